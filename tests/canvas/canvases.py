"""Canvases that are built the same way with Celery and with tq, so that the two can be compared."""

from __future__ import annotations

from typing import Any

#: What each canvas is built from: ``c`` has ``chain``, ``group``, ``chord``, ``signature``, ``chunks``, ``xmap`` and
#: ``xstarmap``;
#: ``t`` has the tasks ``add``, ``mul``, ``tsum`` and ``boom``.
CANVASES: dict[str, Any] = {
    "signature": lambda c, t: t.add.s(1, 2),
    "keywords": lambda c, t: t.add.s(1, y=2),
    "immutable": lambda c, t: t.add.si(1, 2),
    "options": lambda c, t: t.add.s(1, 2).set(queue="q", priority=3),
    "by_name": lambda c, t: c.signature("proj.add", args=(1, 2), kwargs={"z": 3}, options={"countdown": 5}),
    "link": lambda c, t: _linked(t.add.s(1, 2), t.mul.s(3)),
    "link_error": lambda c, t: _errlinked(t.add.s(1, 2), t.boom.s()),
    "clone": lambda c, t: t.add.s(2).clone((1,), {"z": 3}, queue="q"),
    "clone_immutable": lambda c, t: t.add.si(2).clone((1,), {"z": 3}, queue="q"),
    "replace": lambda c, t: t.add.s(2).replace(args=(7,), options={"queue": "x"}),
    "chain": lambda c, t: c.chain(t.add.s(1, 2), t.mul.s(3), t.mul.si(4, 4)),
    "or": lambda c, t: t.add.s(1, 2) | t.mul.s(3),
    "or_three": lambda c, t: t.add.s(1, 2) | t.mul.s(3) | t.mul.s(4),
    "chain_of_one": lambda c, t: c.chain(t.add.s(1, 2)),
    "chain_of_list": lambda c, t: c.chain([t.add.s(1, 2), t.mul.s(1)]),
    "chain_or_chain": lambda c, t: c.chain(t.add.s(1, 2), t.mul.s(1)) | c.chain(t.mul.s(2), t.mul.s(3)),
    "task_or_chain": lambda c, t: t.add.s(1, 2) | c.chain(t.mul.s(2), t.mul.s(3)),
    "chain_in_chain": lambda c, t: c.chain(t.add.s(1, 2), c.chain(t.mul.s(2), t.mul.s(3)), t.mul.s(5)),
    "group": lambda c, t: c.group(t.add.s(1, 2), t.mul.s(3, 4)),
    "group_of_generator": lambda c, t: c.group(t.add.s(i, i) for i in range(3)),
    "group_of_group": lambda c, t: c.group(t.add.s(1, 2), c.group(t.add.s(3, 4), t.add.s(5, 6))),
    "group_of_chain": lambda c, t: c.group(c.chain(t.add.s(1, 2), t.mul.s(3)), t.add.s(5, 6)),
    "empty_group": lambda c, t: c.group(),
    "skew": lambda c, t: c.group(t.add.s(i, i) for i in range(3)).skew(1, 3),
    "group_or_task": lambda c, t: c.group(t.add.s(1, 2), t.mul.s(3, 4)) | t.tsum.s(),
    "group_of_one_or_task": lambda c, t: c.group(t.add.s(1, 2)) | t.tsum.s(),
    "task_or_group": lambda c, t: t.add.s(1, 2) | c.group(t.mul.s(3), t.mul.s(4)),
    "task_group_task": lambda c, t: t.add.s(1, 2) | c.group(t.mul.s(3), t.mul.s(4)) | t.tsum.s(),
    "chain_task_group_task": lambda c, t: c.chain(t.add.s(1, 2), c.group(t.mul.s(3), t.mul.s(4)), t.tsum.s()),
    "task_group_task_task": lambda c, t: t.add.s(1, 2) | c.group(t.mul.s(3), t.mul.s(4)) | t.tsum.s() | t.mul.s(5),
    "group_group": lambda c, t: c.group(t.add.s(1, 2), t.add.s(3, 4)) | c.group(t.tsum.s(), t.tsum.s()),
    "group_group_task": lambda c, t: (
        c.group(t.add.s(1, 2), t.add.s(3, 4)) | c.group(t.tsum.s(), t.tsum.s()) | t.tsum.s()
    ),
    "chain_single_group": lambda c, t: c.chain(t.add.s(1, 2), c.group(t.mul.s(3)), t.mul.s(5)),
    "group_or_chain": lambda c, t: c.group(t.add.s(1, 2), t.mul.s(3, 4)) | c.chain(t.tsum.s(), t.mul.s(2)),
    "chord": lambda c, t: c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()),
    "chord_called": lambda c, t: c.chord([t.add.s(1, 2), t.add.s(3, 4)], body=t.tsum.s()),
    "chord_of_one": lambda c, t: c.chord([t.add.s(1, 2)], t.tsum.s()),
    "chord_empty": lambda c, t: c.chord([], t.tsum.s()),
    "chord_of_group": lambda c, t: c.chord(c.group(t.add.s(1, 2), t.add.s(3, 4)), t.tsum.s()),
    "chord_of_chain": lambda c, t: c.chord([c.chain(t.add.s(1, 2), t.mul.s(2)), t.add.s(3, 4)], t.tsum.s()),
    "chord_of_chord": lambda c, t: c.chord(
        [c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()), t.add.s(3, 4)], t.tsum.s()
    ),
    "chord_nested_group": lambda c, t: c.chord([t.add.s(1, 1), c.group(t.add.s(1, 2), t.add.s(3, 4))], t.tsum.s()),
    "chord_body_chain": lambda c, t: c.chord([t.add.s(1, 2), t.add.s(3, 4)], c.chain(t.tsum.s(), t.mul.s(2))),
    "chord_or_task": lambda c, t: c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()) | t.mul.s(2),
    "chord_or_chord": lambda c, t: (
        c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()) | c.chord([t.mul.s(1), t.mul.s(2)], t.tsum.s())
    ),
    "task_or_chord": lambda c, t: t.add.s(1, 2) | c.chord([t.mul.s(1), t.mul.s(2)], t.tsum.s()),
    "chord_link_error": lambda c, t: _errlinked(c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()), t.boom.s()),
    "chord_link": lambda c, t: _linked(c.chord([t.add.s(1, 2), t.add.s(3, 4)], t.tsum.s()), t.mul.s(2)),
    "chain_link": lambda c, t: _linked(c.chain(t.add.s(1, 2), t.mul.s(3)), t.mul.s(2)),
    "chain_link_error": lambda c, t: _errlinked(c.chain(t.add.s(1, 2), t.mul.s(3)), t.boom.s()),
    "chain_on_error": lambda c, t: c.chain(t.add.s(1, 2), t.mul.s(3)).on_error(t.boom.s()),
    "group_link": lambda c, t: _linked(c.group(t.add.s(1, 2), t.mul.s(3, 3)), t.mul.s(2)),
    "group_link_error": lambda c, t: _errlinked(c.group(t.add.s(1, 2), t.mul.s(3, 3)), t.boom.s()),
    "chain_set": lambda c, t: c.chain(t.add.s(1, 2), t.mul.s(3)).set(queue="q"),
    "map": lambda c, t: c.xmap(t.tsum.s(), [[1, 2], [3, 4]]),
    "starmap": lambda c, t: c.xstarmap(t.add.s(), [(1, 2), (3, 4)]),
    "chunks": lambda c, t: c.chunks(t.add.s(), [(1, 2), (3, 4), (5, 6)], 2),
    "chunks_group": lambda c, t: c.chunks(t.add.s(), [(1, 2), (3, 4), (5, 6)], 2).group(),
    "three_deep": lambda c, t: c.group(c.group(c.group(t.add.s(1, 2)), t.add.s(3, 4)), t.add.s(5, 6)),
    "chain_ending_in_group": lambda c, t: c.chain(t.add.s(1, 2), t.mul.s(3), c.group(t.mul.s(3), t.mul.s(4))),
    "chain_starting_with_group": lambda c, t: c.chain(c.group(t.add.s(1, 2), t.add.s(1, 3)), t.tsum.s(), t.mul.s(4)),
}

#: Options given when a canvas is sent, beyond none at all.
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "chain_queue": ("chain", (), {"queue": "q"}),
    "chain_task_id": ("chain", (), {"task_id": "last"}),
    "chain_countdown": ("chain", (), {"countdown": 30}),
    "chain_partial": ("chain", (9,), {}),
    "group_partial": ("task_or_group", (9,), {}),
    "group_queue": ("group", (), {"queue": "q"}),
    "group_partial_args": ("group", (9,), {}),
    "chord_queue": ("chord", (), {"queue": "q"}),
    "chord_partial": ("chord", (9,), {}),
    "chord_task_id": ("chord", (), {"task_id": "body"}),
    "immutable_partial": ("immutable", (9,), {}),
}


def _linked(canvas: Any, callback: Any) -> Any:
    canvas.link(callback)
    return canvas


def _errlinked(canvas: Any, errback: Any) -> Any:
    canvas.link_error(errback)
    return canvas
