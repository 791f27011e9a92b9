"""Sending and awaiting from coroutines."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from tq_core import Celery, signals
from tq_core.canvas import chain, chord, group
from tq_core.contracts.backend import ResultRecord
from tq_core.errors import BackendError, BrokerError, EncodeError, TimeoutError
from tq_core.results.async_result import AsyncResult
from tq_core.results.waiting import allow_join_result
from tq_core.testing.worker import start_worker

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 30.0

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a loop of its own; what hangs fails."""
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Iterator[Celery]:
    name = request.node.name
    with Celery("proj", broker=f"memory://{name}", backend=f"memory://{name}", set_as_current=False) as app:

        @app.task(name="add")
        def add(x, y):
            return x + y

        @app.task(name="total")
        def total(values):
            return sum(values)

        @app.task(name="fail")
        def fail(text):
            raise ValueError(text)

        yield app


@pytest.fixture
def worker(app: Celery) -> Iterator[Celery]:
    with start_worker(app, concurrency=2):
        yield app


class TestSending:
    def test_a_call_is_awaited_and_its_result_is_awaited(self, worker: Celery) -> None:
        async def program() -> Any:
            result = await worker.tasks["add"].adelay(2, 3)
            return await result

        assert run(program()) == 5

    def test_options_are_those_of_apply_async(self, app: Celery) -> None:
        async def program() -> Any:
            return await app.tasks["add"].aapply_async((1, 2), task_id="mine", queue="other", countdown=60)

        assert run(program()).id == "mine"
        assert app.broker.depth("other").parked == 1

    def test_a_task_is_sent_by_name(self, worker: Celery) -> None:
        async def program() -> Any:
            return await (await worker.asend_task("add", (1, 2)))

        assert run(program()) == 3

    def test_what_many_coroutines_send_leaves_in_few_batches(self, app: Celery, monkeypatch) -> None:
        batches: list[int] = []
        handed_in = threading.Event()
        publish = app.broker.publish

        def watched(messages):
            handed_in.wait(PATIENCE)
            batches.append(len(messages))
            publish(messages)

        monkeypatch.setattr(app.broker, "publish", watched)

        async def program() -> Any:
            calls = [asyncio.create_task(app.tasks["add"].adelay(n, n)) for n in range(1000)]
            await asyncio.sleep(0)
            handed_in.set()
            return await asyncio.gather(*calls)

        assert len({result.id for result in run(program())}) == 1000
        assert sum(batches) == app.broker.depth("celery").ready == 1000
        assert len(batches) <= 3

    def test_the_loop_turns_while_the_broker_is_waited_for(self, app: Celery, monkeypatch) -> None:
        turned = threading.Event()
        publish = app.broker.publish

        def slow(messages):
            assert turned.wait(PATIENCE)
            publish(messages)

        monkeypatch.setattr(app.broker, "publish", slow)

        async def program() -> None:
            call = asyncio.create_task(app.tasks["add"].adelay(1, 1))
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(turned.set)
            await call

        run(program())

    def test_errors_are_raised_where_the_call_is_awaited(self, app: Celery) -> None:
        async def program() -> None:
            with pytest.raises(TypeError, match="missing a required argument"):
                await app.tasks["add"].adelay(1)
            with pytest.raises(EncodeError):
                await app.tasks["add"].adelay(1, object())

        run(program())
        assert app.broker.depth("celery").ready == 0

    def test_a_broker_that_cannot_be_reached_is_an_error_within_the_bound(self, tmp_path) -> None:
        url = f"sqlite:///{tmp_path / 'missing' / 'queue.db'}"
        with Celery("proj", broker=url, set_as_current=False, broker_publish_timeout=0.3) as app:
            add = app.task(name="add")(lambda x, y: x + y)

            async def program() -> list[Any]:
                return await asyncio.gather(*(add.adelay(n, n) for n in range(3)), return_exceptions=True)

            errors = run(program())
        assert [isinstance(error, BrokerError) for error in errors] == [True] * 3
        # An error of its own for each, so that their tracebacks do not run together.
        assert len({id(error) for error in errors}) == 3

    def test_a_cancelled_call_is_sent_all_the_same(self, app: Celery, monkeypatch) -> None:
        cancelled = threading.Event()
        published = threading.Event()
        publish = app.broker.publish

        def slow(messages):
            cancelled.wait(PATIENCE)
            publish(messages)
            published.set()

        monkeypatch.setattr(app.broker, "publish", slow)

        async def program() -> None:
            call = asyncio.create_task(app.tasks["add"].adelay(1, 1))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            cancelled.set()

        run(program())
        assert published.wait(PATIENCE)
        assert app.broker.depth("celery").ready == 1

    def test_signals_are_sent_in_the_context_of_the_call(self, app: Celery) -> None:
        seen: list[tuple[str, str]] = []

        def before(headers=None, **_):
            headers["tenant"] = tenant.get()
            seen.append(("before", tenant.get()))

        def after(**_):
            seen.append(("after", tenant.get()))

        async def call(name: str) -> None:
            tenant.set(name)
            await app.tasks["add"].adelay(1, 1)

        async def program() -> None:
            await asyncio.gather(call("red"), call("blue"))

        signals.before_task_publish.connect(before)
        signals.after_task_publish.connect(after)
        try:
            run(program())
        finally:
            signals.before_task_publish.disconnect(before)
            signals.after_task_publish.disconnect(after)
        assert sorted(seen) == [("after", "blue"), ("after", "red"), ("before", "blue"), ("before", "red")]
        headers = [delivery.message.headers["tenant"] for delivery in app.broker.peek("celery")]
        assert sorted(headers) == ["blue", "red"]

    def test_closing_the_application_publishes_what_was_handed_in(self, app: Celery, monkeypatch) -> None:
        closing = threading.Event()
        publish = app.broker.publish

        def slow(messages):
            closing.wait(PATIENCE)
            publish(messages)

        monkeypatch.setattr(app.broker, "publish", slow)
        broker = app.broker

        async def program() -> None:
            calls = [asyncio.create_task(app.tasks["add"].adelay(n, n)) for n in range(10)]
            await asyncio.sleep(0)
            closing.set()
            app.close()
            assert broker.depth("celery").ready == 10
            await asyncio.gather(*calls)

        run(program())


class TestCanvas:
    def test_a_group_is_sent_and_awaited(self, worker: Celery) -> None:
        add = worker.tasks["add"]

        async def program() -> Any:
            return await (await group(add.s(n, n) for n in range(5)).adelay())

        assert run(program()) == [0, 2, 4, 6, 8]

    def test_a_chain_is_sent_and_awaited(self, worker: Celery) -> None:
        add = worker.tasks["add"]

        async def program() -> Any:
            return await (await chain(add.s(1, 1), add.s(2), add.s(3)).aapply_async())

        assert run(program()) == 7

    def test_a_chord_is_opened_before_its_header_leaves_and_off_the_loop(self, worker: Celery, monkeypatch) -> None:
        opened_in: list[str] = []
        open_chord = worker.backend.open_chord

        def watched(group_id, size):
            opened_in.append(threading.current_thread().name)
            open_chord(group_id, size)

        monkeypatch.setattr(worker.backend, "open_chord", watched)
        add, total = worker.tasks["add"], worker.tasks["total"]

        async def program() -> Any:
            return await (await chord([add.s(1, 1), add.s(2, 2)], total.s()).adelay())

        assert run(program()) == 6
        assert opened_in == ["Outbox"]

    def test_the_failure_of_an_earlier_step_is_raised(self, worker: Celery) -> None:
        async def program() -> None:
            result = await chain(worker.tasks["fail"].s("first"), worker.tasks["add"].s(1)).adelay()
            with pytest.raises(ValueError, match="first"):
                await result

        run(program())

    def test_a_group_raises_the_first_error_or_returns_errors_in_their_places(self, worker: Celery) -> None:
        async def program() -> Any:
            results = await group(worker.tasks["add"].s(1, 1), worker.tasks["fail"].s("second")).adelay()
            with pytest.raises(ValueError, match="second"):
                await results
            return await results.aget(propagate=False)

        value, error = run(program())
        assert value == 2
        assert isinstance(error, ValueError)


class TestAwaiting:
    def test_the_tasks_exception_is_raised_with_the_remote_traceback(self, worker: Celery) -> None:
        async def program() -> None:
            result = await worker.tasks["fail"].adelay("broken")
            with pytest.raises(ValueError, match="broken") as raised:
                await result
            assert "raise ValueError(text)" in str(raised.value.__cause__)
            assert isinstance(await result.aget(propagate=False), ValueError)

        run(program())

    def test_a_result_is_awaited_as_often_as_one_likes(self, worker: Celery) -> None:
        async def program() -> Any:
            result = await worker.tasks["add"].adelay(1, 1)
            again = worker.AsyncResult(result.id)
            return [*await asyncio.gather(result, result, again), await result]

        assert run(program()) == [2, 2, 2, 2]

    def test_waiting_ends_after_the_timeout(self, app: Celery) -> None:
        async def program() -> None:
            with pytest.raises(TimeoutError):
                await app.AsyncResult("nobody").aget(timeout=0.05)
            with pytest.raises(TimeoutError):
                await app.GroupResult("g", [app.AsyncResult("nobody")]).aget(timeout=0.05)

        run(program())

    def test_a_cancelled_wait_leaves_the_task_and_other_waits_alone(self, app: Celery) -> None:
        async def program() -> Any:
            result = await app.tasks["add"].adelay(1, 1)
            other = app.AsyncResult(result.id)
            waits = [asyncio.ensure_future(each.aget()) for each in (result, other)]
            await asyncio.sleep(0)
            waits[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits[0]
            with start_worker(app):
                return await waits[1]

        assert run(program()) == 2

    def test_thousands_wait_in_one_thread(self, app: Celery) -> None:
        async def program() -> Any:
            results = [await app.tasks["add"].adelay(n, n) for n in range(2000)]
            waits = [asyncio.ensure_future(result.aget()) for result in results]
            await asyncio.sleep(0)
            before = threading.active_count()
            with start_worker(app):
                values = await asyncio.gather(*waits)
            return values, before

        threads = threading.active_count()
        values, waiting = run(program())
        assert values == [2 * n for n in range(2000)]
        # The outbox and the watcher.
        assert waiting - threads <= 2

    def test_loops_in_several_threads_share_an_application(self, worker: Celery) -> None:
        sums: dict[int, list[int]] = {}

        async def program(number: int) -> None:
            results = await asyncio.gather(*(worker.tasks["add"].adelay(number, n) for n in range(50)))
            sums[number] = await asyncio.gather(*results)

        threads = [threading.Thread(target=run, args=(program(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sums == {number: [number + n for n in range(50)] for number in range(4)}

    def test_loops_come_and_go(self, worker: Celery) -> None:
        async def program(number: int) -> Any:
            return await (await worker.tasks["add"].adelay(number, 1))

        assert [run(program(number)) for number in range(3)] == [1, 2, 3]

    def test_a_loop_that_is_gone_harms_nobody(self, app: Celery) -> None:
        async def impatient() -> Any:
            result = await app.tasks["add"].adelay(1, 1)
            wait = asyncio.ensure_future(result.aget())
            await asyncio.sleep(0)
            assert not wait.done()
            return result

        abandoned = run(impatient())
        with start_worker(app):

            async def program() -> Any:
                return await abandoned

            assert run(program()) == 2

    def test_closing_the_application_ends_the_wait_with_an_error(self, app: Celery) -> None:
        async def program() -> None:
            waits = [asyncio.ensure_future(app.AsyncResult(name).aget()) for name in ("one", "two")]
            await asyncio.sleep(0)
            app.close()
            for wait in waits:
                with pytest.raises(BackendError, match="application was closed"):
                    await wait

        run(program())

    def test_without_a_result_backend_the_error_says_what_to_set(self) -> None:
        with Celery("proj", broker="memory://", backend="disabled://", set_as_current=False) as app:

            async def program() -> None:
                with pytest.raises(BackendError, match="set result_backend"):
                    await app.AsyncResult("x")

            run(program())

    def test_a_backend_that_cannot_tell_is_asked_again_and_again(self, tmp_path) -> None:
        with Celery("proj", broker="memory://polled", backend=f"file://{tmp_path}", set_as_current=False) as app:
            assert not app.backend.capabilities.subscribe
            add = app.task(name="add")(lambda x, y: x + y)

            async def program() -> Any:
                results = await asyncio.gather(*(add.adelay(n, n) for n in range(20)))
                return await asyncio.gather(*results)

            with start_worker(app):
                assert run(program()) == [2 * n for n in range(20)]


class TestInsideATask:
    def test_awaiting_a_result_is_refused_unless_allowed(self, app: Celery) -> None:
        @app.task
        async def careless():
            return await (await app.tasks["add"].adelay(1, 1))

        @app.task
        async def careful():
            result = await app.tasks["add"].adelay(1, 1)
            with allow_join_result():
                first = await result
            return first + await app.AsyncResult(result.id).aget(disable_sync_subtasks=False)

        async def program() -> Any:
            with pytest.raises(RuntimeError, match="nor await a result"):
                await (await careless.adelay())
            return await (await careful.adelay())

        with start_worker(app, concurrency=4, pool="aio"):
            assert run(program()) == 4

    def test_what_it_sends_knows_its_parent_and_is_its_child(self, app: Celery) -> None:
        @app.task(bind=True)
        async def parent(self):
            first = await app.tasks["add"].adelay(1, 1)
            second = await group(app.tasks["add"].s(1, 1), app.tasks["add"].s(2, 2)).adelay()
            return [first.id, second.id]

        async def program() -> Any:
            result = await parent.adelay()
            return result, await result

        with start_worker(app, concurrency=4, pool="aio"):
            result, ids = run(program())
            assert [child.id for child in result.children] == ids


class TestEager:
    @pytest.fixture
    def eager(self, app: Celery) -> Celery:
        app.conf.task_always_eager = True
        return app

    def test_a_coroutine_task_runs_in_the_callers_loop(self, eager: Celery) -> None:
        @eager.task(bind=True, max_retries=1)
        async def which(self):
            await asyncio.sleep(0)
            if not self.request.retries:
                raise self.retry(countdown=0)
            return id(asyncio.get_running_loop())

        async def program() -> bool:
            return await (await which.adelay()) == id(asyncio.get_running_loop())

        assert run(program())

    def test_a_coroutine_task_can_be_called_eagerly_inside_and_outside_of_a_loop(self, eager: Celery) -> None:
        @eager.task
        async def double(x):
            await asyncio.sleep(0)
            return 2 * x

        async def program() -> Any:
            return double.delay(2).get()

        assert double.delay(1).get() == 2
        assert run(program()) == 4

    def test_canvases_of_coroutines_run_eagerly(self, eager: Celery) -> None:
        @eager.task
        async def double(x):
            await asyncio.sleep(0)
            return 2 * x

        async def program() -> Any:
            return await (await (double.s(1) | double.s() | eager.tasks["add"].s(1)).adelay())

        assert run(program()) == 5

    def test_cancelling_the_caller_cancels_the_eager_task(self, eager: Celery) -> None:
        ended: list[str] = []

        @eager.task
        async def long():
            try:
                await asyncio.sleep(600)
            finally:
                ended.append("cleaned up")

        async def program() -> None:
            call = asyncio.ensure_future(long.adelay())
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        run(program())
        assert ended == ["cleaned up"]

    def test_its_failure_is_raised_when_awaited(self, eager: Celery) -> None:
        async def program() -> None:
            result = await eager.tasks["fail"].adelay("eagerly")
            with pytest.raises(ValueError, match="eagerly"):
                await result

        run(program())


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_child_sends_and_awaits_on_its_own(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.db'}"
    with Celery("proj", broker=url, backend=url, set_as_current=False) as app:
        add = app.task(name="add")(lambda x, y: x + y)

        async def program(x: int) -> Any:
            return await (await add.adelay(x, x))

        with start_worker(app):
            assert run(program(1)) == 2
        backend = app.backend

        backend.store([ResultRecord("kept", "SUCCESS", 8)])

        async def awaited_with_the_parents_backend() -> Any:
            return await AsyncResult("kept", backend=backend, app=app)

        assert run(awaited_with_the_parents_backend()) == 8
        _in_child(lambda: run(awaited_with_the_parents_backend()) == 8)
        _in_child(lambda: _serve_and(app, lambda: run(program(2)) == 4))
        with start_worker(app):
            assert run(program(3)) == 6


def _serve_and(app: Celery, check: Callable[[], bool]) -> bool:
    with start_worker(app):
        return check()


def _in_child(check: Callable[[], bool]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
