"""How names are found, decided and refused, told from hand-made catalogues."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tq_core.brokers.memory import MemoryBroker
from tq_core.errors import ImproperlyConfigured, PluginBroken, PluginIncompatible, PluginNotFound
from tq_core.plugin import addressing, builtin
from tq_core.plugin.catalogue import GROUPS, LEGACY_GROUPS, Candidate, Catalogue
from tq_core.plugin.hookspecs import hookimpl
from tq_core.plugin.manager import PluginManager
from tq_core.pools.solo import PreforkPool, SoloPool
from tq_core.serializers.json import JSONSerializer


def candidate(kind: str, name: str, module: str, distribution: str = "acme") -> Candidate:
    group = (GROUPS | LEGACY_GROUPS)[kind]  # type: ignore[operator]  # both are dicts
    return Candidate(kind, name, distribution, "1.0", EntryPoint(name, module, group))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a plugin module to be written to ``tmp_path``; forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "acme_plugin"
    sys.modules.pop("acme_plugin", None)


def manager_of(tmp_path: Path, source: str, kind: str = "brokers") -> PluginManager:
    head = "from tq_core.plugin import PluginInfo, hookimpl\ninfo = PluginInfo('acme', 'Acme.')\n"
    (tmp_path / "acme_plugin.py").write_text(head + source)
    return PluginManager(catalogue=Catalogue([candidate(kind, "acme", "acme_plugin")]))


def test_tq_works_without_being_installed() -> None:
    catalogue = Catalogue.installed()
    for kind, names in builtin.CLASSES.items():
        assert set(names) <= set(catalogue.names(kind))


def test_the_entry_points_in_pyproject_are_the_built_in_ones() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    pyproject = Path(builtin.__file__).parents[2] / "pyproject.toml"
    groups = tomllib.loads(pyproject.read_text("utf-8"))["project"]["entry-points"]
    for kind, names in builtin.CLASSES.items():
        assert groups[GROUPS[kind]] == dict.fromkeys(names, builtin.__name__)


def test_built_ins_open() -> None:
    manager = PluginManager()
    assert isinstance(manager.open_broker("memory://x", {}, "n"), MemoryBroker)
    assert not manager.open_backend(None, {}, JSONSerializer(), (), "n").capabilities.stores
    assert manager.open_backend("cache+memory://", {}, JSONSerializer(), (), "n").capabilities.push
    assert manager.pool_class("prefork") is manager.pool_class("processes") is PreforkPool
    assert manager.pool_class("solo") is SoloPool
    for name in ("json", "yaml", "pickle", "msgpack", "raw"):
        assert manager.open_serializer(name).name == name


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("db+sqlite+pysqlite:///x", ["db+sqlite+pysqlite", "db+sqlite", "db"]),
        ("cache+memory://", ["cache+memory", "cache"]),
        ("redis://h/0;redis://i/0", ["redis"]),
        ("rpc", ["rpc"]),
        ("rpc://", ["rpc"]),
    ],
)
def test_the_longest_name_of_an_address_comes_first(address: str, names: list[str]) -> None:
    assert addressing.names_of(address) == names


def test_the_longest_registered_name_wins() -> None:
    assert addressing.first_registered("cache+memory://", ["cache", "cache+memory"]) == "cache+memory"
    assert addressing.first_registered("cache+memcached://", ["cache", "cache+memory"]) == "cache"
    assert addressing.first_registered("odd+one://", []) == "odd+one"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://localhost", "the broker redis:// needs tq-redis: pip install tq-redis"),
        ("pyamqp://", "needs tq-amqp: pip install tq-amqp"),
        ("sqla+sqlite:///x.db", "needs tq-sqlalchemy: pip install tq-sqlalchemy"),
        ("memry://", "did you mean 'memory'?"),
        ("redsi://", "did you mean 'redis'? (it needs tq-redis: pip install tq-redis)"),
        ("zzz://", "Installed: memory."),
    ],
)
def test_a_missing_broker_says_what_to_do(url: str, text: str) -> None:
    manager = PluginManager(catalogue=Catalogue([candidate("brokers", "memory", builtin.__name__, "tq-core")]))
    with pytest.raises(PluginNotFound) as caught:
        manager.open_broker(url, {}, "n")
    assert text in str(caught.value)


def test_a_name_that_an_installed_distribution_does_not_offer_yet_is_not_blamed_on_a_missing_one() -> None:
    offered = [candidate("brokers", name, builtin.__name__, "tq-sqlalchemy") for name in ("sqla", "sqlite")]
    with pytest.raises(PluginNotFound) as caught:
        PluginManager(catalogue=Catalogue(offered)).open_broker("postgresql://h/d", {}, "n")
    assert "does not offer the broker postgresql://, only: sqla, sqlite" in str(caught.value)


def test_a_scheme_in_capitals_leads_to_the_one_in_small_letters() -> None:
    manager = PluginManager(catalogue=Catalogue([candidate("brokers", "memory", builtin.__name__, "tq-core")]))
    with pytest.raises(PluginNotFound, match="did you mean 'memory'"):
        manager.open_broker("MEMORY://", {}, "n")


def test_no_password_stands_in_an_error() -> None:
    with pytest.raises(PluginNotFound) as caught:
        PluginManager(catalogue=Catalogue([])).open_broker("redis://user:hunter2@host/0", {}, "n")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["tq_core.pools.solo:SoloPool", "tq_core.pools.solo.SoloPool"])
def test_a_class_may_be_named_by_its_path(path: str) -> None:
    assert PluginManager().pool_class(path) is SoloPool


def test_backends_brokers_and_serializers_may_be_named_by_path() -> None:
    manager = PluginManager()
    serializer = manager.open_serializer("tq_core.serializers.json:JSONSerializer")
    assert isinstance(serializer, JSONSerializer)
    backend = manager.open_backend("tq_core.backends.disabled:DisabledBackend", {}, serializer, (), "n")
    assert not backend.capabilities.stores
    assert isinstance(manager.open_broker("tq_core.brokers.memory:MemoryBroker://x", {}, "n"), MemoryBroker)


@pytest.mark.parametrize("path", ["no.such:Thing", "tq_core.pools.solo:Nothing", "tq_core.pools.solo.Nothing"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be imported"):
        PluginManager().pool_class(path)


def test_a_path_to_something_else_is_refused() -> None:
    with pytest.raises(PluginBroken, match="is no tq_core"):
        PluginManager().pool_class("tq_core.errors:TQError")


def test_a_plugin_without_its_hook_is_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(PluginBroken, match="no `@hookimpl` named 'tq_broker'"):
        manager_of(tmp_path, "").open_broker("acme://", {}, "n")


def test_a_plugin_without_a_description_is_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(PluginBroken, match="has no `info = PluginInfo"):
        manager_of(tmp_path, "del info").open_broker("acme://", {}, "n")


def test_a_hook_that_was_not_marked_and_is_misspelt_is_named(tmp_path: Path, module: str) -> None:
    source = "def tq_brokr(request): ..."
    with pytest.raises(PluginBroken, match="no hook 'tq_brokr'; did its authors mean 'tq_broker'"):
        manager_of(tmp_path, source).open_broker("acme://", {}, "n")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return None", "returned"),
        ("return 42", "which is no Broker"),
        ("raise OSError('no luck')", "its hook 'tq_broker' raised OSError: no luck"),
        ("import absent_library", "needs the module 'absent_library'"),
    ],
)
def test_what_a_factory_does_wrong_is_reported_under_its_name(
    tmp_path: Path, module: str, body: str, text: str
) -> None:
    source = f"@hookimpl\ndef tq_broker(request):\n    {body}\n"
    with pytest.raises(PluginBroken, match=r"acme 1\.0") as caught:
        manager_of(tmp_path, source).open_broker("acme://", {}, "n")
    assert text in str(caught.value)


def test_a_factorys_own_verdict_on_a_url_passes_through(tmp_path: Path, module: str) -> None:
    source = """
from tq_core.errors import ImproperlyConfigured
@hookimpl
def tq_broker(request):
    raise ImproperlyConfigured("no port given")
"""
    with pytest.raises(ImproperlyConfigured, match=r"^no port given$"):
        manager_of(tmp_path, source).open_broker("acme://", {}, "n")


def test_a_broken_plugin_is_broken_every_time_and_harms_nobody(tmp_path: Path, module: str) -> None:
    manager = manager_of(tmp_path, "@hookimpl\ndef tq_nonsense(): ...")
    for _ in range(2):
        with pytest.raises(PluginBroken, match="tq_nonsense"):
            manager.open_broker("acme://", {}, "n")
    manager.register(_Watcher())
    assert len(manager.observers("tq_worker_ready")) == 1


class _Watcher:
    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def tq_worker_ready(self, node: str) -> None:
        self.seen.append(node)


class _Scribbler:
    @hookimpl
    def tq_scribble(self) -> None: ...


def test_an_object_of_the_application_may_observe() -> None:
    manager, watcher = PluginManager(), _Watcher()
    manager.register(watcher)
    (listener,) = manager.observers("tq_worker_ready")
    listener("celery@here")
    assert watcher.seen == ["celery@here"]


def test_an_object_with_an_unknown_hook_is_refused() -> None:
    with pytest.raises(PluginBroken, match="tq_scribble"):
        PluginManager().register(_Scribbler(), "scribbler")


def test_two_managers_do_not_share_what_they_registered() -> None:
    one, two = PluginManager(), PluginManager()
    one.register(_Watcher())
    assert two.observers("tq_worker_ready") == ()


def test_what_was_made_for_celery_is_not_loaded() -> None:
    legacy = candidate("celery.result_backends", "old", "old_package:Backend")
    with pytest.raises(PluginIncompatible, match="for Celery"):
        PluginManager(catalogue=Catalogue([legacy])).load(legacy)


def test_metadata_that_cannot_be_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ruined-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[tq.brokers]\nruined = \xff\xfe\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue = Catalogue.installed()
    assert [path for path in catalogue.unreadable if "ruined" in path]
    assert "memory" in catalogue.names("brokers")
