"""Tables that Celery's workers and clients use too."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.errors import ContentDisallowed, ImproperlyConfigured


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/tq.db"


def shared(peer: str) -> dict[str, Any]:
    return {"result_backend_transport_options": {"shared_with": peer}}


def stored(tmp_path: Path) -> bytes:
    connection = sqlite3.connect(tmp_path / "tq.db")
    (value,) = connection.execute("SELECT result FROM celery_taskmeta").fetchone()
    connection.close()
    return bytes(value)


def put(tmp_path: Path, value: Any) -> None:
    with sqlite3.connect(tmp_path / "tq.db") as connection:
        connection.execute(
            "INSERT INTO celery_taskmeta (task_id, status, result, date_done) VALUES ('theirs', 'SUCCESS', ?, ?)",
            (pickle.dumps(value), "2024-01-01 00:00:00.000000"),
        )
    connection.close()


class Harm:
    """What a pickle can do to its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("peer", ["celery-5.3", "celery-5.6"])
def test_results_are_pickled_for_a_celery_that_reads_nothing_else(
    tmp_path: Path, open_backend: Callable[..., Backend], peer: str
) -> None:
    backend = open_backend(**shared(peer))
    backend.store([ResultRecord("ours", "SUCCESS", {"sum": (3, None)})])
    assert pickle.loads(stored(tmp_path)) == {"sum": [3, None]}, "what JSON makes of it, as for every other reader"
    assert backend.fetch(["ours"])["ours"].result == {"sum": [3, None]}


def test_results_are_written_by_the_serializer_for_a_celery_that_reads_that(
    tmp_path: Path, open_backend: Callable[..., Backend]
) -> None:
    open_backend(**shared("celery-5.7")).store([ResultRecord("ours", "SUCCESS", [3])])
    assert stored(tmp_path) == b"[3]"


def test_a_pickle_of_plain_values_is_read(tmp_path: Path, open_backend: Callable[..., Backend]) -> None:
    backend = open_backend(**shared("celery-5.5"))
    backend.fetch(["theirs"])
    put(tmp_path, {"sum": [3, 1.5, "é", b"\xff", None, True]})
    assert backend.fetch(["theirs"])["theirs"].result == {"sum": [3, 1.5, "é", b"\xff", None, True]}


def test_a_pickle_that_names_a_function_is_refused_and_runs_nothing(
    tmp_path: Path, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend(**shared("celery-5.5"))
    backend.fetch(["theirs"])
    put(tmp_path, Harm(tmp_path / "harm"))
    with pytest.raises(ContentDisallowed, match=r"names posix\.mkdir"):
        backend.fetch(["theirs"])
    assert not (tmp_path / "harm").exists()


def test_celerys_own_task_looks_after_chords(open_backend: Callable[..., Backend]) -> None:
    assert open_backend().capabilities.chords
    for peer in ("celery-5.5", "celery-5.7"):
        assert not open_backend(**shared(peer)).capabilities.chords


def test_an_unknown_celery_is_an_error_that_lists_the_known(open_backend: Callable[..., Backend]) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"celery-5\.3, .* not 'celery-4'"):
        open_backend(**shared("celery-4"))
