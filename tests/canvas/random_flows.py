"""Random work-flows as plain trees, what they come to, and the canvas that says the same."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tq_core import chain, chord, group


class Call(NamedTuple):
    """One call; its value is a text of its label and of what it got, so that each value tells how it came about."""

    label: str
    immutable: bool = False


class Chain(NamedTuple):
    steps: list[Any]


class Group(NamedTuple):
    members: list[Any]


class Chord(NamedTuple):
    header: list[Any]
    body: Any


def said(label: str, value: Any = None) -> str:
    """Return what a call with this label makes of a value."""
    return f"{label}({'' if value is None else json.dumps(value)})"


CALLS = st.builds(Call, st.sampled_from("abcdefgh"), st.booleans())
#: Work-flows of any shape, nested some levels deep.
TREES = st.recursive(
    CALLS,
    lambda inner: (
        st.builds(Chain, st.lists(inner, min_size=1, max_size=4))
        | st.builds(Group, st.lists(inner, min_size=1, max_size=3))
        | st.builds(Chord, st.lists(inner, min_size=1, max_size=3), inner)
    ),
    max_leaves=12,
)


def evaluated(tree: Any, value: Any) -> Any:
    """Return what a work-flow comes to by what the documentation says of each canvas, without any of them."""
    values = _values(tree, value)
    return values if _has_many(tree) else values[0]


def _values(tree: Any, value: Any) -> list[Any]:
    """Return its values; those of groups within groups are one list."""
    if isinstance(tree, Call):
        return [said(tree.label, None if tree.immutable else value)]
    if isinstance(tree, Group):
        return [found for member in tree.members for found in _values(member, value)]
    if isinstance(tree, Chord):
        values = [found for member in tree.header for found in _values(member, value)]
        return _values(tree.body, values)
    for step in _steps(tree):
        values = _values(step, value)
        value = values if _has_many(step) else values[0]
    return value if isinstance(value, list) else [value]


def _steps(tree: Chain) -> list[Any]:
    """Return a chain's steps: no chain within a chain, and behind another step a group of one is its member."""
    flat: list[Any] = []
    for step in tree.steps:
        flat += _steps(_folded(step)) if isinstance(step, Chain) else [step]
    return [step if not number else _alone(step) for number, step in enumerate(flat)]


def _folded(tree: Chain) -> Chain:
    """Return a chain as it is once it has been made: one that begins with a group and goes on is a chord."""
    first, *later = _steps(tree)
    return Chain([Chord([first], Chain(later))]) if later and isinstance(first, Group) else tree


def _alone(step: Any) -> Any:
    if not isinstance(step, Group):
        return step
    members = _plain(step)
    return _alone(members[0]) if len(members) == 1 else step


def _plain(tree: Group) -> list[Any]:
    found: list[Any] = []
    for member in tree.members:
        found += _plain(member) if isinstance(member, Group) else [member]
    return found


def _has_many(tree: Any) -> bool:
    if isinstance(tree, Chain):
        return _has_many(_steps(tree)[-1])
    return _has_many(tree.body) if isinstance(tree, Chord) else isinstance(tree, Group)


def canvas_of(tree: Any, say: Any) -> Any:
    """Return the canvas of a tree.

    Args:
        tree: the tree.
        say: the task that does what :func:`said` says; its label is a keyword.
    """
    if isinstance(tree, Call):
        return (say.si if tree.immutable else say.s)(label=tree.label)
    if isinstance(tree, Group):
        return group([canvas_of(member, say) for member in tree.members])
    if isinstance(tree, Chord):
        return chord([canvas_of(member, say) for member in tree.header], canvas_of(tree.body, say))
    return chain([canvas_of(step, say) for step in tree.steps])
