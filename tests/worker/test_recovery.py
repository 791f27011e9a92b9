"""A broker that does not answer for a while."""

from __future__ import annotations

import sqlite3

import pytest

from tq_core.errors import BrokerError


@pytest.fixture
def locked(tmp_path, project):
    """A connection that keeps the database locked against every writer."""
    project.app.broker.connect(5)
    connection = sqlite3.connect(tmp_path / "queue.db", isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


@pytest.fixture
def impatient(env, monkeypatch, project):
    """Broker and backend give up after a fraction of a second instead of several."""
    monkeypatch.setenv("TEST_BUSY_TIMEOUT", "0.2")
    env["TEST_BUSY_TIMEOUT"] = "0.2"
    project.app.conf.broker_transport_options = {"busy_timeout": 0.2}
    project.app.conf.broker_publish_timeout = 1.0
    project.app.forget_connections()


def test_a_worker_whose_broker_was_away_goes_on_by_itself(start_worker, project, impatient, locked):
    worker = start_worker("-c", "1").ready()
    assert project.add.delay(1, 1).get(timeout=30) == 2
    locked.execute("BEGIN IMMEDIATE")
    worker.wait_for("Trying again in", 2)
    locked.execute("ROLLBACK")
    assert project.add.delay(2, 2).get(timeout=30) == 4


def test_a_task_that_ran_while_the_backend_was_away_is_recorded_later(
    start_worker, project, impatient, locked, bell, open_gate
):
    worker = start_worker("-c", "1").ready()
    result = project.wait_at_gate.delay("patient")
    bell.wait("waiting")
    locked.execute("BEGIN IMMEDIATE")
    open_gate()
    bell.wait("passed")
    worker.wait_for("Trying again in", 1)
    locked.execute("ROLLBACK")
    assert result.get(timeout=30) == "patient"
    assert len(bell.said("passed")) == 1


def test_publishing_ends_within_its_bound_when_the_broker_does_not_answer(project, impatient, locked):
    # Nobody ends the lock: a call without a bound would never come back.
    locked.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerError, match="locked"):
        project.add.delay(1, 1)
