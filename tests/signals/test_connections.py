"""Connecting functions to a signal, in all of Celery's forms."""

from __future__ import annotations

import gc
import threading

import pytest

from tq_core import Celery, dispatch, shared_task
from tq_core.dispatch import Signal


@pytest.fixture
def signal():
    return Signal(name="moment", providing_args={"value"})


@pytest.fixture
def app():
    with Celery("proj", broker="memory://connections", backend="disabled://", set_as_current=False) as app:
        yield app


@pytest.fixture
def heard():
    return []


def test_the_decorator_takes_arguments_or_none(signal, heard):
    @signal.connect
    def plain(**named):
        heard.append("plain")

    @signal.connect()
    def called(**named):
        heard.append("called")

    @signal.connect(sender="one")
    def by_sender(**named):
        heard.append("by sender")

    @signal.connect("one")
    def by_position(**named):
        heard.append("by position")

    answers = signal.send("one", value=1)
    assert heard == ["plain", "called", "by sender", "by position"]
    assert [receiver for receiver, _ in answers] == [plain, called, by_sender, by_position]
    heard.clear()
    signal.send(sender="other", value=1)
    assert heard == ["plain", "called"]


def test_a_receiver_gets_the_signal_the_sender_and_what_is_told(signal):
    @signal.connect
    def receiver(signal, sender, value, **named):
        return (signal, sender, value, named)

    assert signal.send("me", value=3, more=4) == [(receiver, (signal, "me", 3, {"more": 4}))]


def test_a_task_is_meant_by_the_object_its_name_its_class_and_its_shared_form(signal, heard, app):
    class Special(app.Task):
        abstract = True

    def add(x):
        return x

    shared = shared_task(name="proj.add")(add)
    task, other = app.task(name="proj.add", base=Special)(add), app.task(name="proj.other")(lambda: None)
    for sender in (task, "proj.add", Special, shared):
        signal.connect(lambda sender, **named: heard.append(sender), sender=sender, weak=False)
    signal.send(other)
    assert heard == []
    signal.send(task)
    assert heard == [task] * 4
    heard.clear()
    signal.send("proj.add")  # a call's sender is the name alone, which has no class
    assert heard == ["proj.add"] * 3


def test_a_receiver_that_goes_away_stops_listening_unless_it_is_kept(signal, heard):
    class Listener:
        def hear(self, **named):
            heard.append(self)

    listener, kept = Listener(), Listener()
    signal.connect(listener.hear)
    signal.connect(kept.hear, weak=False)
    signal.send(None)
    assert heard == [listener, kept]
    heard.clear()
    del listener, kept
    gc.collect()
    signal.send(None)
    assert len(heard) == 1
    assert len(signal.receivers) == 1, "who has gone costs nothing any more"


def test_methods_of_two_objects_are_two_receivers(signal, heard):
    class Listener:
        def hear(self, **named):
            heard.append(self)

    one, two = Listener(), Listener()
    for listener in (one, two, one):
        signal.connect(listener.hear)
    signal.send(None)
    assert heard == [one, two]
    assert signal.disconnect(one.hear)
    assert not signal.disconnect(one.hear)
    heard.clear()
    signal.send(None)
    assert heard == [two]


def test_under_one_dispatch_uid_the_first_receiver_stays(signal, heard):
    def first(**named):
        heard.append(1)

    def second(**named):
        heard.append(2)

    signal.connect(first, dispatch_uid="mine")
    signal.connect(second, dispatch_uid="mine")
    signal.send(None)
    assert heard == [1]
    assert signal.disconnect(dispatch_uid="mine")
    assert not signal.receivers


def test_a_connection_is_taken_back_for_the_sender_it_was_made_for(signal):
    def receiver(**named):
        pass

    signal.connect(receiver, sender="one")
    signal.connect(receiver, sender="two")
    assert not signal.disconnect(receiver)
    assert signal.disconnect(receiver, sender="one")
    assert not signal.has_listeners("one")
    assert signal.has_listeners("two")
    assert not signal.has_listeners()


def test_a_receiver_that_raises_is_logged_and_the_others_are_called(signal, heard, caplog):
    @signal.connect
    def broken(**named):
        raise ValueError("no")

    @signal.connect
    def whole(**named):
        heard.append("called")

    (_, error), (_, answer) = signal.send_robust(None)
    assert isinstance(error, ValueError)
    assert (heard, answer) == (["called"], None)
    assert "broken" in caplog.text


def test_a_receiver_connected_for_retry_is_called_until_it_raises_nothing(signal, heard, monkeypatch):
    waits = []
    monkeypatch.setattr(dispatch.time, "sleep", waits.append)

    def third_time(**named):
        heard.append(named["value"])
        if len(heard) < 3:
            raise ConnectionError("not yet")
        return "done"

    signal.connect(third_time, retry=True)
    ((_, answer),) = signal.send(None, value=7)
    assert (heard, answer) == ([7, 7, 7], "done")
    assert waits == [2.0, 4.0]
    assert signal.disconnect(third_time)


def test_a_receiver_without_keyword_arguments_is_refused(signal):
    with pytest.raises(ValueError, match=r"must accept keyword arguments: add \*\*kwargs"):
        signal.connect(lambda sender: None)


def test_threads_may_connect_and_disconnect_while_others_send(signal):
    """No connection of one thread gets lost by what another does at the same time."""
    start = threading.Barrier(9)
    lasting = [[(lambda **named: None) for _ in range(50)] for _ in range(8)]

    def work(mine):
        start.wait()
        for receiver in mine:
            signal.connect(receiver)
            passing = lambda **named: None  # noqa: E731  # a receiver that lives for one turn
            signal.connect(passing)
            signal.send(None)
            signal.disconnect(passing)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in lasting]
    for thread in threads:
        thread.start()
    start.wait()
    for thread in threads:
        thread.join()
    assert len(signal.send(None)) == 8 * 50


def test_a_signal_of_ones_own_is_made_as_celery_has_it():
    own = Signal({"value"}, True, "own")
    assert (own.name, own.receivers, str(own)) == ("own", (), "<Signal: own providing_args={'value'}>")
