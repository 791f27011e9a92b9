"""Fetches messages that are there, of several queues, in as few round trips as possible.

What one look finds tells how many more there are. Many are taken as a stream that is ended at its bound, few one by
one; and while a queue is known to have many, nobody looks before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from tq_amqp.lane import STREAM, Lane, Taken


def fetch(lanes: Sequence[Lane], room: int, patience: float) -> list[Taken]:
    """Fetch what is there; of each queue the returned messages first.

    Args:
        lanes: the queues, of one wire; the first may use up all room.
        room: most messages to fetch. In the rare case of messages being returned at this very moment one or two more
            may come.
        patience: seconds the server may take for each answer.

    Raises:
        Refused, Broken: the server gives none.
    """
    found: list[Taken] = []
    if not lanes:
        return found
    known = min(room, lanes[0].ready[lanes[0].queue])
    if known >= STREAM:
        found = _complete(lanes[0], lanes[0].stream(known, monotonic() + patience), room, patience)
    if 2 * len(lanes) <= room - len(found):
        return found + _look(lanes, (_front, _queue), room - len(found), patience)
    for name_of in (_front, _queue):
        asked = lanes
        while asked and (left := room - len(found)) > 0:
            found += _look(asked[:left], (name_of,), left, patience)
            asked = asked[left:]
    return found


def _look(lanes: Sequence[Lane], names: Sequence[Callable[[Lane], str]], room: int, patience: float) -> list[Taken]:
    """Fetch one message out of each queue that is named, and then what else is in them: there is room for that."""
    for lane in lanes:
        for name_of in names:
            lane.ask(name_of(lane), 1)
    answers = [(lane, lane.got(monotonic() + patience)) for lane in lanes]
    left = room - sum(len(taken) for _, taken in answers)
    found: list[Taken] = []
    for lane, taken in answers:
        whole = _complete(lane, taken, len(taken) + left, patience)
        left -= len(whole) - len(taken)
        found += whole
    return found


def _complete(lane: Lane, taken: list[Taken], room: int, patience: float) -> list[Taken]:
    """Add what else a queue is known to have; what was returned stands before all others."""
    returned = sum(one.returned for one in taken)
    count = min(lane.ready[lane.front], room - returned)
    if count > 0:
        lane.ask(lane.front, count)
        taken = taken[:returned] + lane.got(monotonic() + patience) + taken[returned:]
    count = min(lane.ready[lane.queue], room - len(taken))
    if count >= STREAM:
        return taken + lane.stream(count, monotonic() + patience)
    if count > 0:
        lane.ask(lane.queue, count)
        return taken + lane.got(monotonic() + patience)
    return taken


def _front(lane: Lane) -> str:
    return lane.front


def _queue(lane: Lane) -> str:
    return lane.queue
