"""Stamps: headers that a visitor puts on every part of a canvas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tq_core.canvas.making import maybe_signature
from tq_core.canvas.signature import Signature


class StampingVisitor:
    """Decides on the stamps of each part of a canvas; derive from it and override what is needed.

    Each method gets the part and the stamps of what it is in, and returns the part's own stamps.
    """

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """Called for each task; must be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must define on_signature()")

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        """Called for a group, before its members."""
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """Called for a group, after its members."""

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any]:
        """Called for a chain, before its steps."""
        return {}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        """Called for a chain, after its steps."""

    def on_chord_header_start(self, sig: Any, **header: Any) -> dict[str, Any]:
        """Called for a chord, before its header."""
        return {}

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """Called for a chord, after its header."""

    def on_chord_body(self, sig: Any, **header: Any) -> dict[str, Any]:
        """Called for a chord, before its body."""
        return {}

    def on_callback(self, callback: Any, **header: Any) -> dict[str, Any]:
        """Called for each ``link``."""
        return {}

    def on_errback(self, errback: Any, **header: Any) -> dict[str, Any]:
        """Called for each ``link_error``."""
        return {}


def stamp(sig: Signature, visitor: StampingVisitor | None, append: bool, headers: Mapping[str, Any]) -> None:
    """Stamp a canvas, its parts and their callbacks.

    Args:
        sig: the canvas; it is changed.
        visitor: decides on each part's stamps, None for ``headers`` alone.
        append: add to stamps of the same name instead of replacing them.
        headers: stamps of all parts.
    """
    given = {name: value for name, value in headers.items() if name != "stamped_headers"}
    if sig.kind in ("chain", "group"):
        own = _asked(visitor, f"on_{sig.kind}_start", sig, given)
        _write(sig, own, append)
        for task in sig.kwargs["tasks"]:
            stamp(task, visitor, append, own)
        if visitor is not None:
            getattr(visitor, f"on_{sig.kind}_end")(sig, **own)
    elif sig.kind == "chord":
        _stamp_chord(sig, visitor, append, given)
    else:
        given = _asked(visitor, "on_signature", sig, given)
        _write(sig, given, append)
    for option, moment in (("link", "on_callback"), ("link_error", "on_errback")):
        found = sig.options.get(option)
        if found:
            linked = [maybe_signature(item) for item in (found if isinstance(found, list) else [found])]
            sig.options[option] = linked
            for item in linked:
                stamp(item, visitor, append, _asked(visitor, moment, item, given))


def _stamp_chord(sig: Any, visitor: StampingVisitor | None, append: bool, given: Mapping[str, Any]) -> None:
    own = _asked(visitor, "on_chord_header_start", sig, given)
    for task in sig.tasks:
        stamp(task, visitor, append, own)
    if visitor is not None:
        visitor.on_chord_header_end(sig, **own)
    if sig.body is not None:
        stamp(sig.body, visitor, append, _asked(visitor, "on_chord_body", sig, given))


def _asked(visitor: Any, moment: str, sig: Any, headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stamps a visitor gives to a part, on top of what it is in."""
    if visitor is None:
        return dict(headers)
    own = dict(getattr(visitor, moment)(sig, **headers) or {})
    # With a list of names a visitor says which of its headers are stamps; the others are plain options.
    names = own.pop("stamped_headers", None)
    if names is None:
        return {**headers, **own}
    plain = {name: value for name, value in own.items() if name not in names}
    sig.options.update(plain)
    return {**headers, **{name: own[name] for name in names if name in own}}


def _write(sig: Signature, stamps: Mapping[str, Any], append: bool) -> None:
    if not stamps:
        return
    known = dict(sig.options.get("stamps") or {name: sig.options[name] for name in _names(sig) if name in sig.options})
    for name, value in stamps.items():
        known[name] = _united(known[name], value) if append and name in known else value
    # Celery's signatures carry each stamp as an option of its own name; ``stamps`` is what the producer sends.
    sig.options.update(known)
    sig.options["stamps"] = known
    sig.options["stamped_headers"] = sorted({*_names(sig), *known})


def _names(sig: Signature) -> Iterable[str]:
    found: Iterable[str] = sig.options.get("stamped_headers") or ()
    return found


def _united(old: Any, new: Any) -> list[Any]:
    both = [
        *(old if isinstance(old, (list, tuple, set)) else [old]),
        *(new if isinstance(new, (list, tuple, set)) else [new]),
    ]
    return list(dict.fromkeys(both))
