"""The filesystem backend keeps the backend contract, and Celery's file format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tq_core.backends.filesystem import FilesystemBackend
from tq_core.contracts.backend import BackendRequest
from tq_core.errors import BackendError, BackendUnavailable, ImproperlyConfigured
from tq_core.serializers.json import JSONSerializer
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import BackendConformance, record


def opened(where: Path | str, **settings: Any) -> FilesystemBackend:
    url = where if isinstance(where, str) else where.as_uri()
    accept = frozenset({"application/json"})
    return FilesystemBackend(BackendRequest(url, settings, JSONSerializer(), accept, "test@here"))


class TestFilesystemBackend(BackendConformance):
    @pytest.fixture
    def address(self, tmp_path: Path) -> Address:
        return Address(tmp_path.as_uri())


def test_a_result_is_one_file_with_celerys_name_and_document(tmp_path: Path) -> None:
    opened(tmp_path).store([record("5a1f", result=4)])
    (file,) = tmp_path.iterdir()
    assert file.name == "celery-task-meta-5a1f"
    meta = json.loads(file.read_bytes())
    assert (meta["status"], meta["result"], meta["task_id"]) == ("SUCCESS", 4, "5a1f")


def test_a_group_is_one_file_with_celerys_name_and_document(tmp_path: Path) -> None:
    opened(tmp_path).save_group("g1", [["g1", None], []])
    file = tmp_path / "celery-taskset-meta-g1"
    assert json.loads(file.read_bytes()) == {"result": [["g1", None], []]}


def test_a_key_prefix_stands_before_the_name(tmp_path: Path) -> None:
    opened(tmp_path, result_backend_transport_options={"global_keyprefix": "shop_"}).store([record("x")])
    assert [f.name for f in tmp_path.iterdir()] == ["shop_celery-task-meta-x"]


@pytest.mark.parametrize("task_id", ["../../outside", "a/b", "nul\x00", "x" * 5000, "..", "ü☃"])
def test_no_task_id_leaves_the_directory(tmp_path: Path, task_id: str) -> None:
    directory = tmp_path / "deep" / "results"
    directory.mkdir(parents=True)
    backend = opened(directory)
    backend.store([record(task_id)])
    assert len(list(directory.iterdir())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]
    assert backend.fetch([task_id])[task_id].task_id == task_id


def test_long_ids_do_not_meet(tmp_path: Path) -> None:
    backend = opened(tmp_path)
    backend.store([record("x" * 500 + "1", result=1), record("x" * 500 + "2", result=2)])
    assert backend.fetch(["x" * 500 + "1"])["x" * 500 + "1"].result == 1


@pytest.mark.parametrize("call", ["connect", "store"])
def test_a_missing_directory_is_named(tmp_path: Path, call: str) -> None:
    backend = opened(tmp_path / "missing")
    with pytest.raises(BackendUnavailable, match=r"missing'.*No such file"):
        backend.connect(1.0) if call == "connect" else backend.store([record()])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BackendUnavailable, match="Permission denied"):
            opened(tmp_path).connect(1.0)
    finally:
        tmp_path.chmod(0o700)


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "occupied"
    file.write_text("")
    with pytest.raises(BackendUnavailable, match=r"occupied'.*Not a directory"):
        opened(file).connect(1.0)


@pytest.mark.parametrize("url", ["file://", "file:///", "file://results"])
def test_a_url_without_a_directory_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="three slashes"):
        opened(url)


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "celery-task-meta-bad").write_bytes(b"{")
    with pytest.raises(BackendError, match="celery-task-meta-bad"):
        opened(tmp_path).fetch(["bad"])


def test_clean_up_removes_old_results_and_nothing_else(tmp_path: Path) -> None:
    backend = opened(tmp_path, result_expires=3600)
    backend.store([record("old"), record("young")])
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("celery-task-meta-old", "notes.txt"):
        os.utime(tmp_path / name, (1, 1))
    assert backend.clean_up() == 1
    assert sorted(f.name for f in tmp_path.iterdir()) == ["celery-task-meta-young", "notes.txt"]


def test_no_unfinished_file_is_left_behind(tmp_path: Path) -> None:
    opened(tmp_path).store([record() for _ in range(20)])
    assert len(list(tmp_path.glob("celery-task-meta-*"))) == len(list(tmp_path.iterdir())) == 20
