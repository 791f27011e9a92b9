"""Checking arguments against a function's signature before they are sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Arity:
    """The arguments one function takes.

    Args:
        function: the function; one whose signature cannot be read takes anything.
    """

    __slots__ = ("_fewest", "_most", "_signature")

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None
            return
        self._fewest, self._most = 0, 0.0
        for parameter in self._signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._most = float("inf")
            elif parameter.kind is parameter.KEYWORD_ONLY:
                if parameter.default is parameter.empty:
                    self._most = -1  # never satisfied by position alone: the full check decides
                    break
            elif parameter.kind is not parameter.VAR_KEYWORD:
                self._most += 1
                if parameter.default is parameter.empty:
                    self._fewest += 1

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError, worded as Python words it, when the arguments do not fit."""
        if self._signature is None or (not kwargs and self._fewest <= len(args) <= self._most):
            return
        self._signature.bind(*args, **kwargs)
