"""A worker on a Redis Cluster: tasks, results and workflows."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.private_servers import PrivateRedisCluster

PATIENCE = 60.0

APPLICATION = """
import os
from tq_core import Celery
app = Celery("shop", broker=os.environ["SHOP_URL"], backend=os.environ["SHOP_URL"])
app.conf.broker_transport_options = {"global_keyprefix": os.environ["SHOP_PREFIX"]}
app.conf.result_backend_transport_options = {"global_keyprefix": os.environ["SHOP_PREFIX"]}

@app.task
def double(number):
    return 2 * number

@app.task
def total(numbers):
    return sum(numbers)

@app.task(bind=True, max_retries=3)
def stubborn(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries

@app.task
def fails():
    raise ValueError("no")
"""


@pytest.fixture
def shop(cluster: PrivateRedisCluster, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application, while a worker of two processes runs."""
    (tmp_path / "shop.py").write_text(APPLICATION)
    monkeypatch.setenv("SHOP_URL", cluster.url)
    monkeypatch.setenv("SHOP_PREFIX", prefix)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    shop = importlib.import_module("shop")
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "shop", "worker", "-c", "2", "-l", "critical"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    yield shop
    worker.terminate()
    assert worker.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    shop.app.close()


def test_tasks_results_and_workflows(shop: Any) -> None:
    from tq_core import chain, chord, group

    assert shop.double.delay(21).get(timeout=PATIENCE) == 42
    assert group(shop.double.s(n) for n in range(50))().get(timeout=PATIENCE) == [2 * n for n in range(50)]
    assert chord(shop.double.s(n) for n in range(50))(shop.total.s()).get(timeout=PATIENCE) == 2450
    assert chain(shop.double.s(1), shop.double.s(), shop.double.s())().get(timeout=PATIENCE) == 8
    assert shop.stubborn.delay().get(timeout=PATIENCE) == 2
    assert shop.double.apply_async((4,), countdown=0.3).get(timeout=PATIENCE) == 8
    with pytest.raises(ValueError, match="no"):
        shop.fails.delay().get(timeout=PATIENCE)
