"""Pickles are shared with Celery, and neither side has the other's classes."""

from __future__ import annotations

import pickle

from tq_core import Celery, chord
from tq_core.errors import MaxRetriesExceededError
from tq_core.serializers.pickle import PickleSerializer

#: What Celery's signature of ``add(1)`` becomes: a call of ``celery.canvas.signature``.
CELERYS = b"\x80\x04\x8c\x0dcelery.canvas\x8c\x09signature\x93}(\x8c\x04task\x8c\x03add\x8c\x04argsK\x01\x85u\x85R."


def test_signatures_travel_as_plain_maps() -> None:
    app = Celery(broker="memory://", set_as_current=False)
    add = app.task(lambda x, y: x + y, name="add")
    written = PickleSerializer().dumps([chord([add.s(1, 1), add.s(2, 2)], add.s(3))])
    assert b"tq_core" not in written
    (read,) = pickle.loads(written)
    assert type(read) is dict
    assert [type(part) for part in read["kwargs"]["header"]] == [dict, dict]


def test_other_maps_keep_their_class() -> None:
    class_of = type(PickleSerializer().loads(PickleSerializer().dumps(Kept(a=1))))
    assert class_of is Kept


class Kept(dict[str, int]):
    def __json__(self) -> dict[str, int]:
        return dict(self)


def test_celerys_signatures_are_read_without_celery() -> None:
    assert PickleSerializer().loads(CELERYS) == {"task": "add", "args": (1,)}


def test_celerys_exceptions_are_ours() -> None:
    error = PickleSerializer().loads(b"\x80\x04\x8c\x11celery.exceptions\x8c\x17MaxRetriesExceededError\x93)R.")
    assert type(error) is MaxRetriesExceededError
