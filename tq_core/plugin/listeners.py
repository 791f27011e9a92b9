"""Observers as plain callables: what is called per task is a function, not a hook."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pluggy

_log = logging.getLogger("tq.plugins")

#: Called with an observer hook's arguments in their order; never raises an ``Exception``.
Listener = Callable[..., None]


def listeners_of(caller: pluggy.HookCaller) -> tuple[Listener, ...]:
    """Return one guarded callable for each implementation of a hook, in pluggy's order of calling.

    Where an implementation wraps the others, the whole call stays pluggy's and is one listener.
    """
    specification = caller.spec
    assert specification is not None, f"{caller.name} is not a hook"
    arguments = tuple(specification.argnames)
    implementations = caller.get_hookimpls()
    if any(i.hookwrapper or i.wrapper for i in implementations):

        def relay(*values: Any) -> None:
            caller(**dict(zip(arguments, values, strict=True)))

        return (_guarded(relay, caller.name, "a hook wrapper"),)
    return tuple(
        _guarded(_adapted(i.function, tuple(i.argnames), arguments), caller.name, i.plugin_name)
        for i in reversed(implementations)
    )


def _adapted(function: Callable[..., object], wanted: tuple[str, ...], given: tuple[str, ...]) -> Callable[..., object]:
    """Return ``function`` itself when it takes all arguments in order, else one that picks those it takes."""
    if wanted == given:
        return function
    places = tuple(given.index(name) for name in wanted)
    return lambda *values: function(*(values[place] for place in places))


def _guarded(function: Callable[..., object], hook: str, plugin: str) -> Listener:
    def listener(*values: Any) -> None:
        try:
            function(*values)
        except Exception:  # an observer only looks on; the task it watches must not suffer
            _log.exception("the plugin %s failed in its hook %s", plugin, hook)

    return listener
