"""The demonstration's tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from tq_core.demo.app import app

#: Attempts the flaky task needs.
ATTEMPTS = 3


def measured(path: str) -> dict[str, Any]:
    """Return a file's SHA-256, lines and bytes, and the seconds it took to find them out."""
    began = perf_counter()
    content = Path(path).read_bytes()
    return {
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "lines": content.count(b"\n"),
        "bytes": len(content),
        "seconds": perf_counter() - began,
    }


def totals(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what all measured files are together."""
    slowest = max(parts, key=lambda part: float(part["seconds"]))
    digests = sorted(part["sha256"] for part in parts)
    return {
        "files": len(parts),
        "lines": sum(part["lines"] for part in parts),
        "bytes": sum(part["bytes"] for part in parts),
        "sha256": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "slowest": slowest["path"],
        "slowest_seconds": slowest["seconds"],
    }


@app.task(name="demo.measure", acks_late=True)
def measure(path: str) -> dict[str, Any]:
    """Measure one file."""
    return measured(path)


@app.task(name="demo.combine")
def combine(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the measurements; runs once, when the last of them is there."""
    return totals(parts)


@app.task(name="demo.flaky", bind=True, max_retries=ATTEMPTS - 1)
def flaky(self: Any) -> str:
    """Fail twice, as a network does, and succeed when it is tried again."""
    attempt = self.request.retries + 1
    if attempt < ATTEMPTS:
        raise self.retry(exc=ConnectionError(f"no answer at attempt {attempt}"), countdown=0.1)
    return f"succeeded at attempt {attempt}"


@app.task(name="demo.hopeless")
def hopeless(numerator: int) -> float:
    """Fail for good."""
    return numerator / 0
