"""What happens to results and those who wait for them when servers, networks and processes fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import redis
from tq_redis import watching

from tests.private_servers import private_redis
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.errors import BackendUnavailable
from tq_core.states import SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.proxy import Proxy


def done(task_id: str) -> ResultRecord:
    return ResultRecord(task_id, SUCCESS, 42)


def listened_to(server: redis.Redis, prefix: str) -> list[bytes]:
    found: list[bytes] = server.pubsub_channels(prefix + "*")
    return found


def waiting(server: redis.Redis, prefix: str, backend: Backend, *ids: str) -> Thread:
    """Watch in a thread; returns when the server has the subscriptions."""
    watch = Thread(lambda: list(backend.watch(ids, timeout=PATIENCE)))
    until(lambda: len(listened_to(server, prefix)) == len(ids))
    return watch


@pytest.fixture
def announced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches off the looks that make up for lost announcements."""
    monkeypatch.setattr(watching, "LOOK_EVERY", 3600.0)


@pytest.fixture
def proxy(server: redis.Redis) -> Iterator[Proxy]:
    where = server.connection_pool.connection_kwargs
    with Proxy(where["host"], where["port"]) as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: Proxy, address: Address, open_backend: Callable[..., Backend]) -> Backend:
    """A backend on the other side of the proxy."""
    options = {**address.settings["result_backend_transport_options"], "socket_timeout": 0.5}
    at = Address(f"redis://{proxy.host}:{proxy.port}/0", address.settings)
    return open_backend(at, result_backend_transport_options=options)


@pytest.mark.usefixtures("announced_only")
def test_a_watch_survives_a_restart_of_the_server(prefix: str, open_backend: Callable[..., Backend]) -> None:
    with private_redis() as private, redis.Redis.from_url(private.url) as client:
        settings = {"result_backend_transport_options": {"global_keyprefix": prefix}}
        backend = open_backend(Address(private.url, settings))
        watch = waiting(client, prefix, backend, "a")
        private.kill()
        private.start()
        backend.store([done("a")])
        assert [record.task_id for record in watch.result()] == ["a"]


@pytest.mark.usefixtures("announced_only")
def test_a_watch_survives_cut_connections(
    server: redis.Redis, prefix: str, proxy: Proxy, distant: Backend, open_backend: Callable[..., Backend]
) -> None:
    watch = waiting(server, prefix, distant, "a", "b")
    near = open_backend()
    proxy.cut()
    near.store([done("a")])
    until(lambda: listened_to(server, prefix) == [f"{prefix}celery-task-meta-b".encode()])
    proxy.cut()
    near.store([done("b")])
    assert [record.task_id for record in watch.result()] == ["a", "b"]


@pytest.mark.usefixtures("announced_only")
def test_a_result_stored_while_the_network_was_down_is_not_missed(
    server: redis.Redis, prefix: str, proxy: Proxy, distant: Backend, open_backend: Callable[..., Backend]
) -> None:
    watch = waiting(server, prefix, distant, "a")
    proxy.refuse()
    until(lambda: not listened_to(server, prefix))
    open_backend().store([done("a")])
    proxy.resume()
    assert [record.task_id for record in watch.result()] == ["a"]


def test_an_announcement_that_got_lost_is_made_up_for(
    server: redis.Redis, prefix: str, proxy: Proxy, distant: Backend, open_backend: Callable[..., Backend]
) -> None:
    watch = waiting(server, prefix, distant, "a", "b")
    proxy.swallow_replies()
    near = open_backend()
    near.store([done("a")])
    proxy.resume()
    near.store([done("b")])
    assert sorted(record.task_id for record in watch.result()) == ["a", "b"]


def test_a_silent_server_is_an_error_in_time_and_works_again_afterwards(proxy: Proxy, distant: Backend) -> None:
    distant.store([done("a")])
    proxy.stall()
    for call in (
        lambda: distant.store([done("b")]),
        lambda: distant.fetch(["a"]),
        lambda: list(distant.watch(["a"], timeout=PATIENCE)),
        lambda: distant.connect(0.2),
        lambda: distant.coordination().get("k"),
    ):
        with pytest.raises(BackendUnavailable):
            Thread(call).result(PATIENCE)
    proxy.resume()
    distant.store([done("c")])
    assert "c" in distant.fetch(["c"])


def test_a_server_that_is_down_is_an_error_that_names_it(proxy: Proxy, distant: Backend) -> None:
    proxy.refuse()
    with pytest.raises(BackendUnavailable, match=str(proxy.port)):
        distant.store([done("a")])
    with pytest.raises(BackendUnavailable, match=str(proxy.port)):
        next(distant.watch(["a"], timeout=PATIENCE))


def test_closing_ends_those_who_wait(server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]) -> None:
    backend = open_backend()
    watch = waiting(server, prefix, backend, "a")
    backend.close()
    with pytest.raises(BackendUnavailable, match="closed"):
        watch.result()
    until(lambda: not listened_to(server, prefix))


def test_many_watches_share_one_connection_and_leave_no_subscription(
    server: redis.Redis, prefix: str, address: Address, open_backend: Callable[..., Backend]
) -> None:
    options = {**address.settings["result_backend_transport_options"], "client_name": prefix}
    backend = open_backend(result_backend_transport_options=options)
    watches = [Thread(lambda n=n: list(backend.watch([f"{n}", "all"], timeout=PATIENCE))) for n in range(5)]  # type: ignore[misc]  # n is bound per thread
    until(lambda: len(listened_to(server, prefix)) == 6)
    subscribed = [c for c in server.client_list() if c["name"] == prefix and int(c["sub"])]
    assert [client["sub"] for client in subscribed] == ["6"]
    abandoned = backend.watch(["all", "never"], timeout=PATIENCE)
    backend.store([done("all"), *(done(f"{n}") for n in range(5))])
    assert [len(watch.result()) for watch in watches] == [2] * 5
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]  # a watch is a generator
    until(lambda: not listened_to(server, prefix))


def test_a_subscription_hears_of_what_was_added_while_it_waits(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    subscription = backend.subscribe()
    backend.store([done("early")])
    subscription.add(["early", "late"])
    assert [record.task_id for record in subscription.receive(PATIENCE)] == ["early"]
    receiving = Thread(lambda: subscription.receive(PATIENCE))
    subscription.wake()
    assert receiving.result() == []
    backend.store([done("late")])
    assert [record.task_id for record in subscription.receive(PATIENCE)] == ["late"]
    subscription.add(["other"])
    subscription.drop(["other"])
    subscription.close()
    until(lambda: not listened_to(server, prefix))


def test_a_forked_child_waits_on_a_connection_of_its_own(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    watch = waiting(server, prefix, backend, "parent")
    pid = os.fork()
    if pid == 0:
        try:
            found = [record.task_id for record in backend.watch(["child"], timeout=PATIENCE)]
            os._exit(0 if found == ["child"] else 1)
        finally:
            os._exit(2)
    until(lambda: len(listened_to(server, prefix)) == 2)
    backend.store([done("child"), done("parent")])
    assert _exit_code(pid) == 0
    assert [record.task_id for record in watch.result()] == ["parent"]


def _exit_code(pid: int) -> int:
    """Wait for a child, which ends by itself at the latest when its watch does."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
