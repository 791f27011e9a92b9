"""No message waits behind a long task while another slot is free."""

from __future__ import annotations


def test_a_short_task_behind_long_ones_starts_at_once_on_another_worker(start_worker, project, bell, open_gate):
    start_worker("-c", "1", "-n", "one@%h").ready()
    # Short tasks first, so that the runner has learned to reserve many.
    for result in [project.add.delay(n, n) for n in range(300)]:
        result.get(timeout=30)
    blocked = project.wait_at_gate.delay("long")
    bell.wait("waiting")
    short = [project.add.delay(n, 1) for n in range(5)]
    start_worker("-c", "1", "-n", "two@%h").ready()
    assert [result.get(timeout=30) for result in short] == [1, 2, 3, 4, 5]
    assert not blocked.ready()
    open_gate()
    assert blocked.get(timeout=30) == "long"


def test_reservations_behind_a_long_task_are_handed_back(start_worker, project, bell, open_gate):
    start_worker("-c", "2").ready()
    for result in [project.add.delay(n, n) for n in range(300)]:
        result.get(timeout=30)
    with project.app.producer.collecting() as messages:
        blocked = project.wait_at_gate.delay("long")
        short = [project.add.delay(n, 1) for n in range(50)]
    project.app.producer.publish(list(messages))
    assert [result.get(timeout=30) for result in short] == [n + 1 for n in range(50)]
    assert not blocked.ready()
    open_gate()
    assert blocked.get(timeout=30) == "long"
