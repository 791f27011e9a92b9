"""The canvas: calls as data, composed into work-flows."""

from tq_core.canvas.chain import _chain, chain
from tq_core.canvas.chord import chord
from tq_core.canvas.group import group
from tq_core.canvas.making import maybe_signature, signature, subtask
from tq_core.canvas.mapping import chunks, xmap, xstarmap
from tq_core.canvas.signature import Signature

__all__ = [
    "Signature",
    "_chain",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
