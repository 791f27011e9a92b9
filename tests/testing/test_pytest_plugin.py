"""The pytest plugin in runs of pytest of its own, as its users have them."""

from __future__ import annotations

import pytest

pytest_plugins = "pytester"

#: A project of some user's, with an application that no test may reach by its own addresses.
PROJECT = """
from tq_core import Celery, shared_task
app = Celery("proj", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/0", include=["proj_more"])
app.conf.task_always_eager = True

@app.task
def add(x, y):
    return x + y

@shared_task
def shared():
    return "shared"
"""


@pytest.fixture
def proj(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(proj=PROJECT, proj_more="from proj import app\n@app.task\ndef more(): return 'more'\n")
    pytester.makeini("[pytest]\npythonpath = .\ntq_app = proj:app\n")
    return pytester


def test_a_run_without_its_fixtures_imports_nothing(pytester, run):
    pytester.makepyfile("""
        import sys

        def test_modules():
            ours = {name for name in sys.modules if name.startswith("tq_core")}
            assert ours == {"tq_core", "tq_core.testing", *(f"tq_core.testing.{name}" for name in (
                "pytest_plugin", "celery_fixtures", "app_fixture"))}
            assert not {"kombu", "stevedore", "click", "yaml"} & sys.modules.keys()
    """)
    run().assert_outcomes(passed=1)


def test_the_project_s_own_application_is_used_with_memory_for_its_stores(proj, run):
    proj.makepyfile("""
        import pytest
        from proj import add, app, shared
        from tq_core import current_app

        def test_first(tq_app, run_pending, enqueued):
            assert tq_app is app
            assert app.conf.broker_url.startswith("memory://")
            result, other = add.delay(1, 2), shared.delay()
            assert len(enqueued()) == 2
            run_pending()
            assert (result.get(), other.get()) == (3, "shared")
            add.delay(0, 0)

        def test_the_next_one_finds_the_queues_empty(enqueued):
            assert enqueued() == []

        def test_modules_of_tasks_are_imported(tq_app, run_pending):
            assert tq_app.send_task("proj_more.more").app is tq_app
            (run,) = run_pending()
            assert run.result == "more"

        def test_settings_are_back():
            assert app.conf.broker_url.startswith("redis://")
            assert app.conf.task_always_eager

        @pytest.mark.tq(task_default_queue="marked", task_always_eager=True)
        def test_marked_settings(tq_app):
            assert tq_app.conf.task_default_queue == "marked"
            assert add.delay(1, 2).get() == 3

        @pytest.mark.tq(app=None)
        def test_another_application(tq_app, assert_enqueued):
            assert tq_app is not app
            shared.delay()
            assert_enqueued("proj.shared", count=1)
    """)
    run().assert_outcomes(passed=6)


def test_marks_of_a_class_and_a_module_apply_and_the_nearest_wins(proj, run):
    proj.makepyfile("""
        import pytest

        pytestmark = pytest.mark.tq(app=None, task_default_queue="module", result_expires=1)

        @pytest.mark.tq(task_default_queue="class")
        class TestIt:
            @pytest.mark.tq(task_default_queue="test")
            def test_nearest(self, tq_app):
                assert (tq_app.conf.task_default_queue, tq_app.main) == ("test", "tests")
                assert tq_app.conf.result_expires == 1

            def test_nearer(self, tq_app):
                assert tq_app.conf.task_default_queue == "class"
    """)
    run().assert_outcomes(passed=2)


def test_fixtures_of_the_project_come_first(proj, run):
    proj.makeconftest("""
        import pytest
        from tq_core import Celery
        from tq_core.testing.isolation import isolated

        @pytest.fixture
        def app():
            return "an application of Flask's"

        @pytest.fixture
        def tq_app():
            with isolated(Celery("its own", set_as_current=False)) as app:
                yield app

        @pytest.fixture
        def tq_worker_options():
            return {"queues": ["mine"]}
    """)
    proj.makepyfile("""
        def test_app(app, tq_app):
            assert app == "an application of Flask's"
            assert tq_app.main == "its own"

        def test_worker(tq_worker):
            assert tq_worker.queues == ("mine",)
    """)
    run().assert_outcomes(passed=2)


def test_app_is_the_application_where_nobody_else_has_one(proj, run):
    proj.makeconftest("from proj import app")
    proj.makepyfile("def test_app(app, tq_app): assert app is tq_app")
    run().assert_outcomes(passed=1)


def test_app_of_another_plugin_is_left_alone(proj, run):
    proj.makepyfile(flasks="import pytest\n@pytest.fixture\ndef app(): return 'flask'\n")
    proj.makepyfile("def test_app(app): assert app == 'flask'")
    run("-p", "flasks").assert_outcomes(passed=1)


def test_it_can_be_left_out(proj, run):
    proj.makeini("[pytest]\n")
    proj.makepyfile("def test_app(tq_app): pass")
    result = run("-p", "no:tq")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'tq_app' not found"])


def test_marks_are_known_to_strict_runs(proj, run):
    proj.makepyfile("""
        import pytest

        @pytest.mark.tq
        @pytest.mark.celery(task_default_queue="x")
        def test_marked(): pass
    """)
    run("--strict-markers", "-W", "error").assert_outcomes(passed=1)


def test_a_wrong_name_of_the_application_is_said(proj, run):
    proj.makeini("[pytest]\npythonpath = .\ntq_app = proj:nothing\n")
    proj.makepyfile("def test_app(tq_app): pass")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ImproperlyConfigured: *'proj:nothing', names nothing*such as proj.celery:app"])


def test_failures_show_what_is_enqueued_and_not_our_own_code(proj, run):
    proj.makepyfile("""
        from proj import add

        def test_it(assert_enqueued):
            add.delay(1, 2)
            assert_enqueued(add, args=(1, 3))
    """)
    result = run()
    result.stdout.fnmatch_lines(["E *enqueued, but different:", "E * proj.add(1, 2)  [[]queue celery[]]"])
    result.stdout.no_fnmatch_line("*def require*")


def test_a_task_that_hangs_is_an_error_that_names_it_and_the_next_test_runs(proj, run):
    proj.makepyfile("""
        import pytest
        import threading

        running = threading.Event()

        @pytest.fixture
        def tq_worker_options():
            return {"shutdown_timeout": 0.2}

        @pytest.fixture
        def hang(tq_app):
            @tq_app.task(name="hangs")
            def hang():
                running.set()
                while True:
                    pass
            return hang

        def test_hanging(tq_worker, hang):
            hang.delay()
            assert running.wait(30)

        def test_after(tq_app, tq_worker):
            assert [thread.name for thread in threading.enumerate() if thread.name.startswith("Thread")].count(
                "ThreadPoolWorker-1") == 1
            assert tq_app.tasks["proj.add"].delay(1, 2).get(timeout=30) == 3
    """)
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *TimeoutError: *still ran", "E *hangs[[]*which was here:"])


def test_draining_beside_a_worker_is_refused_with_the_reason(proj, run):
    proj.makepyfile("def test_both(tq_worker, drain): pass")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*use one or the other*tq_worker.join()*"])


def test_processes_of_xdist_do_not_meet(proj, run):
    proj.makepyfile("""
        import pytest
        from proj import add

        @pytest.mark.parametrize("number", range(8))
        def test_apart(number, drain, enqueued, tq_clock):
            result = add.apply_async((number, 1), countdown=3600)
            assert len(enqueued()) == 1
            drain()
            assert result.get() == number + 1
    """)
    run("-n", "2").assert_outcomes(passed=8)


def test_tests_that_are_coroutines_may_drain(proj, run):
    proj.makepyfile("""
        import asyncio
        import pytest
        from proj import add, app

        @app.task
        async def sleep():
            await asyncio.sleep(0)
            return "slept"

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_draining(drain, assert_enqueued):
            result = await add.adelay(1, 2)
            assert_enqueued(add, args=(1, 2))
            sleep.apply_async(countdown=60)
            assert [run.result for run in drain()] == [3, "slept"]
            assert await result.aget() == 3

        @pytest.mark.anyio
        async def test_with_a_worker(tq_worker):
            result = await sleep.adelay()
            assert await result.aget(timeout=30) == "slept"
    """)
    run().assert_outcomes(passed=2)
