"""What imports and the command line cost before anything is done."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks import environments
from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.measure import Measure, Reading
from tests.benchmarks.session import Failed

APPLICATION = "import of the application class"


def run(bench: Bench) -> Iterator[Reading]:
    """Start Python with and without an import; the difference counts."""
    python = str(environments.python(bench.system))
    bare = _milliseconds([python, "-c", "pass"], bench.sizes.starts)
    if bench.system != "tq":
        statement = environments.known()[bench.system].imports
        yield Reading(APPLICATION, "ms", _milliseconds([python, "-c", statement], bench.sizes.starts) - bare)
        return
    for figure, statement in (("import tq_core", "import tq_core"), (APPLICATION, "from tq_core import Celery")):
        yield Reading(figure, "ms", _milliseconds([python, "-c", statement], bench.sizes.starts) - bare)
    yield Reading("tq --help", "ms", _milliseconds([python, "-m", "tq_core.cli.main", "--help"], bench.sizes.starts))


def _milliseconds(command: Sequence[str], count: int) -> float:
    """Return the median time of a command that has run once before.

    Raises:
        Failed: it ended with an error.
    """
    times = []
    for _ in range(count + 1):
        started = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environments.variables())
        times.append((time.perf_counter() - started) * 1000)
        if done.returncode:
            raise Failed(done.stderr)
    return statistics.median(times[1:])


MEASURE = Measure("imports", "imports, and a whole `tq --help`", run, pools=False)
