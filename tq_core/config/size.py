"""Amounts of memory as people write them: ``64MiB``, ``200 MB``, or a number."""

from __future__ import annotations

import re
from typing import Any

from tq_core.config.mistake import WrongValue

#: What every message calls a size.
EXPECTED = "a size: a number of bytes, or a text such as '512KiB', '64MiB' or '2GB'"
#: The texts that are sizes, as a pattern of JSON Schema.
PATTERN = r"^\s*\d+(\.\d+)?\s*([kKMGT]i?)?B?\s*$"

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kKMGT])(i?))?B?\s*")
_POWER = {"K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(value: Any) -> int:
    """Turn a size into bytes.

    Args:
        value: a whole number of bytes, or a text; ``kB``, ``MB``, ``GB`` count in thousands, ``KiB``,
            ``MiB``, ``GiB`` in 1024s.

    Returns:
        Bytes, not negative.

    Raises:
        WrongValue: it is not a size, or negative.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise WrongValue(EXPECTED, value)
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWER.get((unit or "").upper(), 0))
