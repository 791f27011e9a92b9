"""A plugin's description as tests. Subclass :class:`PluginConformance` and override ``distribution``."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tq_core.config.table import TABLE
from tq_core.contracts.backend import BackendCapabilities
from tq_core.contracts.broker import BrokerCapabilities
from tq_core.contracts.pool import PoolCapabilities
from tq_core.plugin.catalogue import Candidate, normalized
from tq_core.plugin.info import PluginInfo
from tq_core.plugin.loading import FACTORIES
from tq_core.plugin.manager import PluginManager
from tq_core.testing.conformance.promises import Conformance, promise

#: Kind → the class of its capabilities; kinds without capabilities are missing.
CAPABILITIES: Mapping[str, type] = {
    "broker": BrokerCapabilities,
    "backend": BackendCapabilities,
    "pool": PoolCapabilities,
}

#: Every word that may stand before the colon in a capabilities key.
_KINDS = {kind.removesuffix("s") for kind in FACTORIES}


class PluginConformance(Conformance):
    """What :mod:`tq_core.plugin.info` and :mod:`tq_core.plugin.hookspecs` ask of a plugin module.

    Override ``distribution``: the name of an installed distribution.
    """

    contract: ClassVar[str] = "plugin"

    @pytest.fixture
    def distribution(self) -> str:
        """The name of the distribution under test; to be overridden."""
        raise NotImplementedError("override the fixture `distribution`")

    @pytest.fixture
    def manager(self) -> PluginManager:
        """Finds what is installed."""
        return PluginManager()

    @pytest.fixture
    def candidates(self, manager: PluginManager, distribution: str) -> list[Candidate]:
        """What the distribution offers."""
        wanted = normalized(distribution)
        offered = [c for c in manager.catalogue if normalized(c.distribution) == wanted and not c.legacy]
        assert offered, f"{distribution} is not installed, or has no entry points in groups like tq.brokers"
        return offered

    @pytest.fixture
    def infos(self, manager: PluginManager, candidates: list[Candidate]) -> dict[str, PluginInfo]:
        """The descriptions of its plugin modules, by module."""
        return {candidate.module: manager.load(candidate).info for candidate in candidates}

    @pytest.fixture
    def modules(self, manager: PluginManager, candidates: list[Candidate]) -> dict[str, ModuleType]:
        """Its plugin modules, by name."""
        return {candidate.module: manager.load(candidate).module for candidate in candidates}

    # --- loading

    @promise("loading.hooks", "every name loads: the module has its description, its factory, and only known hooks")
    def test_every_name_loads(self, manager: PluginManager, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            manager.load(candidate)

    @promise("loading.registered", "every factory that a module has is registered under some name")
    def test_no_factory_is_without_a_name(self, modules: dict[str, ModuleType], candidates: list[Candidate]) -> None:
        for name, module in modules.items():
            kinds = {candidate.kind for candidate in candidates if candidate.module == name}
            unused = {hook for kind, hook in FACTORIES.items() if hasattr(module, hook) and kind not in kinds}
            assert not unused, f"{name} has {unused}, and no entry point of that kind names it"

    @promise("loading.light", "importing the plugin module imports no client library")
    def test_importing_the_module_imports_no_client_library(self, candidates: list[Candidate]) -> None:
        for module in sorted({candidate.module for candidate in candidates}):
            strangers = _strangers(module)
            assert not strangers, f"importing {module} imports {', '.join(strangers)}; import it inside the hooks"

    # --- description

    @promise("description.version", "the distribution has a version and says what it is")
    def test_the_distribution_describes_itself(self, distribution: str) -> None:
        found = importlib.metadata.distribution(distribution)
        assert re.match(r"\d", found.version), f"its version is {found.version!r}"

    @promise("description.name", "the plugin has a name without spaces")
    def test_the_plugin_has_a_name(self, infos: dict[str, PluginInfo]) -> None:
        for module, info in infos.items():
            assert re.fullmatch(r"[\w.-]+", info.name), f"{module}: the name is {info.name!r}"

    @promise("description.summary", "the summary is one sentence on one line")
    def test_the_summary_is_a_sentence(self, infos: dict[str, PluginInfo]) -> None:
        for module, info in infos.items():
            assert re.fullmatch(r"[^\n]{5,200}\.", info.summary), f"{module}: the summary is {info.summary!r}"

    # --- capabilities

    @promise("capabilities.keys", "capabilities stand under a kind, or a kind and a registered name")
    def test_capabilities_stand_under_known_keys(
        self, infos: dict[str, PluginInfo], candidates: list[Candidate]
    ) -> None:
        for module, info in infos.items():
            offered = {f"{c.kind.removesuffix('s')}:{c.name}" for c in candidates if c.module == module}
            kinds = {key.partition(":")[0] for key in offered}
            for key in info.capabilities:
                assert key.partition(":")[0] in _KINDS, f"{module}: there is no kind {key!r}"
                assert key in kinds | offered, f"{module}: {key!r} is declared, and not registered"

    @promise("capabilities.flags", "capabilities are objects of the contract's class, every flag of its type")
    def test_capabilities_are_of_the_contracts_class(self, infos: dict[str, PluginInfo]) -> None:
        for module, info in infos.items():
            for key, value in info.capabilities.items():
                expected = CAPABILITIES.get(key.partition(":")[0])
                assert expected is not None, f"{module}: the kind of {key!r} has no capabilities"
                assert type(value) is expected, f"{module}: {key!r} is a {type(value).__name__}, no {expected.__name__}"
                for flag in expected.__slots__:
                    kind = type(getattr(expected(), flag))
                    assert type(getattr(value, flag)) is kind, f"{module}: {key!r} has {flag}={getattr(value, flag)!r}"

    @promise("capabilities.declared", "every broker, backend and pool declares its capabilities in the description")
    def test_every_driver_declares_its_capabilities(
        self, infos: dict[str, PluginInfo], candidates: list[Candidate]
    ) -> None:
        for candidate in candidates:
            kind = candidate.kind.removesuffix("s")
            if kind in CAPABILITIES:
                keys = {kind, f"{kind}:{candidate.name}"}
                assert keys & set(infos[candidate.module].capabilities), f"{candidate.name!r} declares nothing"

    @promise("capabilities.pools", "a pool's class has the capabilities that the description says")
    def test_a_pools_class_has_what_is_declared(
        self, manager: PluginManager, infos: dict[str, PluginInfo], candidates: list[Candidate]
    ) -> None:
        pools = [candidate for candidate in candidates if candidate.kind == "pools"]
        if not pools:
            pytest.skip("the distribution offers no pools")
        for candidate in pools:
            if manager.choose("pools", candidate.name) is candidate:
                declared = infos[candidate.module].capabilities
                expected = declared.get(f"pool:{candidate.name}", declared.get("pool"))
                assert manager.pool_class(candidate.name).capabilities == expected

    # --- settings

    @pytest.fixture
    def properties(self, infos: dict[str, PluginInfo], modules: dict[str, ModuleType]) -> dict[str, Any]:
        """The JSON Schema of the plugin's settings, by setting name."""
        found: dict[str, Any] = {}
        for module, info in infos.items():
            if info.settings_schema is not None:
                found.update(json.loads(info.settings_schema.read_text("utf-8"))["properties"])
            collect = getattr(modules[module], "tq_settings_schema", None)
            if collect is not None:
                found.update(collect())
        if not found:
            pytest.skip("the plugin has no settings")
        return found

    @promise("settings.schema", "the settings schema is valid JSON Schema")
    def test_the_schema_is_valid(self, properties: dict[str, Any]) -> None:
        import jsonschema

        for name, schema in properties.items():
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                pytest.fail(f"{name}: {error.message}")

    @promise("settings.described", "every setting says its type and what it does")
    def test_every_setting_is_described(self, properties: dict[str, Any]) -> None:
        for name, schema in properties.items():
            assert str(schema.get("description", "")).strip(), f"{name} has no description"
            assert {"type", "enum", "const", "anyOf", "oneOf", "$ref"} & set(schema), f"{name} says no type"

    @promise("settings.defaults", "every default is valid")
    def test_every_default_is_valid(self, properties: dict[str, Any]) -> None:
        import jsonschema

        for name, schema in properties.items():
            if "default" in schema:
                errors = list(jsonschema.Draft202012Validator(schema).iter_errors(schema["default"]))
                assert not errors, f"{name}: {errors[0].message}"

    @promise("settings.names", "setting names are lower-case, and take none of tq's own")
    def test_settings_take_no_name_of_tqs(self, properties: dict[str, Any]) -> None:
        for name, schema in properties.items():
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name), f"{name!r} is no setting's name"
            assert name not in TABLE or "x-tq-section" in schema, f"{name!r} is a setting of tq's own"


def _strangers(module: str) -> list[str]:
    """Return the foreign top-level modules that a fresh interpreter imports for a plugin module."""
    code = (
        "import json, sys\n"
        "import pluggy, tq_core.plugin, tq_core.contracts.broker, tq_core.contracts.backend, tq_core.contracts.pool\n"
        "before = set(sys.modules)\n"
        f"import {module}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))\n"
    )
    environment_path = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {environment_path!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own = {module.partition(".")[0], "tq_core"}
    return [name for name in json.loads(done.stdout) if name not in own | set(sys.stdlib_module_names)]
