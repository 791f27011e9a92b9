"""What a measure works with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measures.sizes import Sizes
from tests.benchmarks.places import Broker
from tests.benchmarks.session import Session


@dataclass(frozen=True)
class Bench:
    """One system on one broker with one pool, to be measured.

    Attributes:
        system: ``tq``, a peer's name, or ``ceilings.NAME``.
        broker: where.
        pool: of its workers.
        late: acknowledge late.
        sizes: how much.
    """

    system: str
    broker: Broker
    pool: str
    late: bool
    sizes: Sizes

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Drive the system at an empty place."""
        with (
            tempfile.TemporaryDirectory(prefix="tq-bench-") as directory,
            self.broker.place() as url,
            Session(self.system, url, pool=self.pool, late=self.late, directory=Path(directory)) as session,
        ):
            yield session
