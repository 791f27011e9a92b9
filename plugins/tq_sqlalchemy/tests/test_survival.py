"""What happens when processes die, fork, sleep or start all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tq_sqlalchemy.doorbell import SocketDoorbell
from tq_sqlalchemy.plugin import tq_broker
from tq_sqlalchemy.waking import WAKE

from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.contracts.broker import Ack, Broker, BrokerRequest
from tq_core.message import Delivery, Message

PATIENCE = 20.0

OPEN = """
import sys
from tq_core.contracts.broker import Ack, BrokerRequest
from tq_core.message import Message
from tq_sqlalchemy.plugin import tq_broker
broker = tq_broker(BrokerRequest(sys.argv[1], {}, "child@here"))
def say(word):
    print(word, flush=True)
"""


def message(task_id: str, **fields: object) -> Message:
    return Message(task_id, {"id": task_id}, b"[]", queue="q", routing_key="q", **fields)  # type: ignore[arg-type]  # fields are as named


def child(url: str, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN + code, url], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def take(broker: Broker, count: int, consumer_id: str = "survivor") -> list[Delivery]:
    consumer = broker.consumer(["q"], consumer_id=consumer_id)
    deadline = time.monotonic() + PATIENCE
    taken: list[Delivery] = []
    while len(taken) < count and time.monotonic() < deadline:
        taken += consumer.receive(count - len(taken), 1.0)
    consumer.settle([Ack(delivery.tag) for delivery in taken])
    consumer.close()
    return taken


def test_messages_of_a_killed_process_come_back_and_begun_ones_as_orphans(
    url: str, open_broker: Callable[..., Broker]
) -> None:
    broker = open_broker()
    broker.publish([message("begun"), message("held")])
    process = child(
        url,
        """
consumer = broker.consumer(["q"], consumer_id="doomed")
taken = consumer.receive(2, 0)
consumer.begin([taken[0].tag])
say(taken[0].message.id)
sys.stdin.read()
""",
    )
    assert heard(process) == "begun"
    process.kill()
    process.wait(PATIENCE)
    returned = {delivery.message.id: delivery for delivery in take(broker, 2) if delivery.message}
    assert returned["begun"].orphaned
    assert not returned["held"].orphaned
    assert returned["held"].redelivered
    assert returned["held"].delivery_count == 2


def test_a_consumer_that_slept_through_its_lease_can_settle_nothing(
    url: str, open_broker: Callable[..., Broker]
) -> None:
    broker = open_broker(lease_duration=0.5)
    broker.publish([message("once")])
    process = child(
        url,
        """
consumer = broker.consumer(["q"], consumer_id="sleeper")
taken = consumer.receive(1, 0)
say("taken")
sys.stdin.readline()
say(len(consumer.settle([Ack(taken[0].tag)], [Message("follow", {}, b"", queue="q", routing_key="q")])))
""",
    )
    assert heard(process) == "taken"
    process.send_signal(signal.SIGSTOP)
    try:
        assert [delivery.redelivered for delivery in take(broker, 1)] == [True]
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert heard(process) == "1"
    process.wait(PATIENCE)
    assert broker.depth("q").ready == 0


def test_an_idle_process_is_woken_by_a_message_from_another(url: str, open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    broker.connect(1.0)
    process = child(
        url,
        """
consumer = broker.consumer(["q"], consumer_id="idle")
assert consumer.receive(1, 0) == []
say("waiting")
taken = consumer.receive(1, 60)
say(taken[0].message.id)
""",
    )
    assert heard(process) == "waiting"
    broker.publish([message("ring")])
    assert heard(process) == "ring"
    process.wait(PATIENCE)


def test_a_watch_is_told_of_a_result_stored_elsewhere(open_backend: Callable[..., Backend]) -> None:
    ours, theirs = open_backend(), open_backend()
    ours.connect(1.0)
    found: list[str] = []
    first = threading.Event()

    def collect() -> None:
        for record in ours.watch(["a", "b"], timeout=PATIENCE):
            found.append(record.task_id)
            first.set()

    watch = threading.Thread(target=collect)
    watch.start()
    theirs.store([ResultRecord("b", "SUCCESS", 1), ResultRecord("other", "SUCCESS", 1)])
    assert first.wait(PATIENCE)
    theirs.store([ResultRecord("a", "STARTED", 1)])
    theirs.store([ResultRecord("a", "FAILURE", {})])
    watch.join(PATIENCE)
    assert found == ["b", "a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_parent_and_child_both_go_on_after_a_fork(open_broker: Callable[..., Broker]) -> None:
    broker = open_broker()
    broker.publish([message("before")])
    consumer = broker.consumer(["q"], consumer_id="parent")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            broker.publish([message(f"child{number}") for number in range(50)])
            code = 0
        finally:
            os._exit(code)
    broker.publish([message(f"parent{number}") for number in range(50)])
    assert os.waitpid(pid, 0)[1] == 0
    taken = consumer.receive(200, 0)
    assert len({delivery.message.id for delivery in taken if delivery.message}) == 101
    assert consumer.settle([Ack(delivery.tag) for delivery in taken]) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
def test_a_forked_child_inherits_no_open_file(tmp_path: Path, sqlite_url: str) -> None:
    broker = tq_broker(BrokerRequest(sqlite_url, {}, "n"))
    broker.publish([message("x")])
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            open_files = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
            os.write(writer, b"yes" if any(name.startswith(f"{tmp_path}/tq.db") for name in open_files) else b"no")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"no"
    os.close(reader)
    os.close(writer)
    broker.close()


def test_many_processes_may_start_on_a_database_without_tables(url: str, open_broker: Callable[..., Broker]) -> None:
    starters = [
        child(url, f"say('up'); sys.stdin.readline(); broker.publish([Message('m{n}', {{}}, b'', queue='q')])")
        for n in range(4)
    ]
    assert [heard(process) for process in starters] == ["up"] * 4
    for process in starters:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(PATIENCE) for process in starters] == [0] * 4
    assert len(take(open_broker(), 4)) == 4


def test_leases_do_not_care_about_the_wall_clock(
    open_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker()
    broker.publish([message("mine")])
    holder = broker.consumer(["q"], consumer_id="holder")
    (taken,) = holder.receive(1, 0)
    real = time.time
    for jump in (86_400.0, -86_400.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        rival = broker.consumer(["q"], consumer_id="rival")
        assert rival.receive(1, 1.2) == []
        rival.close()
    assert list(holder.settle([Ack(taken.tag)])) == []


def test_a_hundred_thousand_parked_messages_are_not_looked_through(
    sqlite_url: str,
) -> None:
    broker = tq_broker(BrokerRequest(sqlite_url, {}, "n"))
    later = time.time() + 3600
    for start in range(0, 100_000, 1000):
        broker.publish([message(f"p{start + number}", due=later + start + number) for number in range(1000)])
    broker.publish([message("now")])
    database = broker._database  # type: ignore[attr-defined]  # the plan of a statement is not visible from outside
    statements = [
        "SELECT id FROM tq_message WHERE state = 0 AND queue = 'q' ORDER BY priority DESC, id LIMIT 5",
        "SELECT due FROM tq_message WHERE state = 1 ORDER BY due LIMIT 1",
    ]
    for statement in statements:
        plan = database.read(
            lambda session, statement=statement: session.raw.execute("EXPLAIN QUERY PLAN " + statement).fetchall()
        )
        assert "INDEX tq_message_" in plan[0][3]
        assert not any("TEMP B-TREE" in step[3] for step in plan)
    assert [delivery.message.id for delivery in take(broker, 1) if delivery.message] == ["now"]
    assert broker.depth("q").parked == 100_000
    broker.close()


def test_a_sleeper_can_be_woken_after_the_socket_of_its_doorbell_was_closed(tmp_path: Path) -> None:
    doorbell = SocketDoorbell(str(tmp_path / "tq.db"))
    bell = doorbell.bell("consumers", ["default"])
    doorbell.close()
    try:
        bell.wake()
        assert bell.wait(5) == [WAKE]
    finally:
        bell.close()
