"""Record again what real Celery tells Redis: ``python -m plugins.tq_redis.tests.golden.record`` in the checkout.

Needs an installed redis-server and the package index. What has changed then shows in ``git diff``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from plugins.tq_redis.tests.golden.operations import recorded
from plugins.tq_redis.tests.golden.trace import write
from tests.celery_environments import VERSIONS, celery_python

_HERE = Path(__file__).parent
_ASK = (
    "import celery, kombu, redis;"
    "print(f'Celery {celery.__version__}, kombu {kombu.__version__}, redis-py {redis.__version__}')"
)


def main() -> None:
    """Write a file for each version."""
    for version in VERSIONS:
        names = subprocess.run([celery_python(version), "-c", _ASK], stdout=subprocess.PIPE, text=True, check=True)
        heading = f"{names.stdout.strip()}: what Redis is told.\nMade by record.py; see trace.py for how it is written."
        write(_HERE / f"celery-{version}.txt", heading, recorded(f"celery-{version}"))


if __name__ == "__main__":
    main()
