"""What goes on in the other process of :class:`tq_core.testing.conformance.actor.Actor`.

The pipe carries pickles: down come functions with their arguments, up go pairs of whether it was raised, and the value.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any


class Speaker:
    """This end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def say(self, value: Any, *, raised: bool = False) -> None:
        """Tell the check a value, or an error; one that cannot be pickled is told as its text."""
        try:
            data = pickle.dumps((raised, value))
        except Exception as error:  # an error of a client library, perhaps
            data = pickle.dumps((True, RuntimeError(f"{type(value).__name__}: {value} ({error})")))
        self._pipe.send_bytes(data)

    def listen(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Wait for the next thing to do; ``EOFError`` when the check is over."""
        function, arguments = pickle.loads(self._pipe.recv_bytes())
        return function, arguments


_speaker: Speaker | None = None


def say(value: Any) -> None:
    """Tell the check something while a call goes on."""
    assert _speaker is not None, "say() is for the other process"
    _speaker.say(value)


def main(descriptor: int) -> None:
    """Do what comes in through a pipe until it is closed: the first call makes the stage, the others are given it."""
    global _speaker
    _speaker = Speaker(Connection(descriptor))
    stage: tuple[Any, ...] = ()
    with suppress(EOFError):
        while True:
            function, arguments = _speaker.listen()
            try:
                value = function(*stage, *arguments)
            except BaseException as error:
                _speaker.say(error, raised=True)
                continue
            if not stage:
                stage, value = (value,), None  # a stage stays here
            _speaker.say(value)
