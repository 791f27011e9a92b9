"""Tests written for Celery's own pytest plugin run as they are."""

from __future__ import annotations

pytest_plugins = "pytester"


def test_an_application_and_a_worker_for_each_test(pytester, run):
    pytester.makepyfile("""
        import pytest
        from tq_core import get_current_app, shared_task

        @shared_task
        def shared(x):
            return x * 2

        def test_create_task(celery_app, celery_worker):
            @celery_app.task
            def mul(x, y):
                return x * y

            celery_worker.reload()
            assert mul.delay(4, 4).get(timeout=30) == 16
            assert celery_worker.app is celery_app
            celery_worker.ensure_started()

        def test_shared_tasks(celery_app, celery_worker):
            assert shared.delay(4).get(timeout=30) == 8

        def test_defaults(celery_app):
            assert celery_app.main == "celery.tests"
            assert celery_app.conf.broker_url == "memory://"
            assert celery_app.conf.result_backend == "cache+memory://"
            assert not celery_app.conf.task_always_eager

        @pytest.mark.celery(result_backend="memory://marked", task_default_queue="marked")
        def test_marked(celery_app):
            assert celery_app.conf.result_backend == "memory://marked"
            shared.delay(1)
            assert celery_app.broker.depth("marked").ready == 1

        @pytest.mark.celery(task_default_queue="marked")
        def test_nothing_is_left(celery_app):
            assert celery_app.broker.depth("marked").ready == 0

        def test_the_current_application(depends_on_current_app, celery_app):
            assert get_current_app() is celery_app
    """)
    run().assert_outcomes(passed=6)


def test_configuration_parameters_and_worker_can_be_overridden(pytester, run):
    pytester.makepyfile(
        included="from tq_core import shared_task\n@shared_task(name='included.task')\ndef task(): return 'included'\n"
    )
    pytester.makeini("[pytest]\npythonpath = .\n")
    pytester.makeconftest("""
        import pytest
        from tq_core import Task

        class OurTask(Task):
            abstract = True
            label = "ours"

        class ClassTask(Task):
            name = "class.task"
            def run(self):
                return "class"

        @pytest.fixture(scope="session")
        def celery_config():
            return {"broker_url": "memory://ours", "result_backend": "memory://ours", "task_default_priority": 3}

        @pytest.fixture(scope="session")
        def celery_parameters():
            return {"task_cls": OurTask, "strict_typing": False}

        @pytest.fixture(scope="session")
        def celery_includes():
            return ["included"]

        @pytest.fixture(scope="session")
        def celery_class_tasks():
            return [ClassTask]

        @pytest.fixture(scope="session")
        def celery_worker_pool():
            return "threads"

        @pytest.fixture(scope="session")
        def celery_worker_parameters():
            return {"queues": ("high", "celery"), "exclude_queues": "low", "perform_ping_check": False,
                    "concurrency": 2, "shutdown_timeout": 20}

        @pytest.fixture(scope="session")
        def celery_enable_logging():
            return True
    """)
    pytester.makepyfile("""
        import sys
        import threading

        def test_application(celery_app):
            assert celery_app.conf.broker_url == "memory://ours"
            assert celery_app.conf.task_default_priority == 3
            assert celery_app.Task.label == "ours"
            assert celery_app.strict_typing is False

        def test_worker(celery_app, celery_worker):
            assert celery_worker.queues == ("high", "celery")
            assert "included" in sys.modules
            assert celery_app.send_task("included.task", queue="high").get(timeout=30) == "included"
            pool = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolWorker")]
            assert len(pool) == 2

        def test_session_worker(celery_session_app, celery_session_worker):
            assert celery_session_app.send_task("class.task").get(timeout=30) == "class"

        def test_the_session_worker_is_still_there(celery_session_app, celery_session_worker):
            assert celery_session_app.send_task("included.task").get(timeout=30) == "included"

        def test_session_application_beside_one_of_a_test(celery_session_worker, celery_app):
            assert celery_app.send_task("class.task").get(timeout=30) == "class"
    """)
    run().assert_outcomes(passed=5)


def test_the_trap_catches_the_use_of_the_current_application(pytester, run):
    pytester.makeconftest("""
        import pytest

        @pytest.fixture(scope="session")
        def use_celery_app_trap():
            return True
    """)
    pytester.makepyfile("""
        import pytest
        from tq_core import current_app, get_current_app

        def test_trapped(celery_app, celery_worker):
            with pytest.raises(RuntimeError, match="Test depends on current_app"):
                get_current_app().conf

        def test_allowed(celery_app, depends_on_current_app):
            assert get_current_app() is celery_app

        def test_the_application_itself_works(celery_app, celery_worker):
            @celery_app.task
            def add(x, y):
                return x + y

            assert add.delay(1, 2).get(timeout=30) == 3
    """)
    run().assert_outcomes(passed=3)


def test_celery_s_own_plugin_is_left_alone(pytester, run):
    pytester.mkpydir("celery")
    pytester.mkpydir("celery/contrib")
    pytester.path.joinpath("celery/contrib/pytest.py").write_text(
        "import pytest\n@pytest.fixture\ndef celery_app(): return 'celery'\n"
        "def pytest_configure(config): config.addinivalue_line('markers', 'celery(**settings): theirs')\n"
    )
    pytester.makeini("[pytest]\npythonpath = .\n")
    pytester.makeconftest("pytest_plugins = ('celery.contrib.pytest',)")
    pytester.makepyfile("def test_app(celery_app): assert celery_app == 'celery'")
    result = run("--fixtures")
    result.stdout.no_fnmatch_line("celery_worker*")
    run().assert_outcomes(passed=1)
