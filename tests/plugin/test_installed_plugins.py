"""What plugins of other people, really installed, can do, and what they cannot break."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Environment

pytestmark = pytest.mark.timeout(300)

#: How the names of modules begin that are no part of tq.
OTHERS = ("sample_", "tq_broker_", "tq_backend_", "tq_serializer_", "tq_pool_")
OFF = 'PluginManager(disabled=["sample_Disabled"], prefer={"brokers.demo": "sample-demo-two"})'


def test_each_kind_is_opened_by_its_name(environment: Environment) -> None:
    opened = environment.run(f"""
manager = {OFF}
broker = manager.open_broker("directory:///top", {{}}, "n")
serializer = manager.open_serializer("cbor")
backend = manager.open_backend("sqlite3:///top.db", {{}}, serializer, {{serializer.content_type}}, "n")
pool = manager.pool_class("fresh")
show([type(broker).__name__, type(backend).__name__, pool.__name__,
      serializer.dumps(["hello"]).hex(), serializer.loads(serializer.dumps(["hello"]))])
""")
    assert opened == ["DirectoryBroker", "SQLiteBackend", "FreshThreadPool", "816568656c6c6f", ["hello"]]


def test_opening_one_plugin_imports_no_other(environment: Environment) -> None:
    imported = environment.run(f"""
{OFF}.open_broker("directory:///top", {{}}, "n")
show(sorted(name for name in sys.modules if name.startswith({OTHERS}) and "." not in name))
""")
    assert imported == ["tq_broker_directory"]


def test_using_only_built_ins_imports_no_plugin_and_no_stevedore(environment: Environment) -> None:
    imported = environment.run(f"""
manager = {OFF}
manager.open_broker("memory://", {{}}, "n")
show(sorted(name for name in sys.modules if name.startswith((*{OTHERS}, "stevedore"))))
""")
    assert imported == []


def test_two_that_offer_one_name_are_both_named_with_the_lines_that_decide(environment: Environment) -> None:
    kind, text = environment.run('show(refusal(PluginManager().open_broker, "demo://", {}, "n"))')
    assert kind == "PluginConflict"
    assert "sample-demo-one 1.2 and sample-demo-two 3.4" in text
    assert text.endswith("\nplugins_prefer:\n  brokers.demo: sample-demo-one")


@pytest.mark.parametrize(
    ("arguments", "origin"),
    [
        ('prefer={"brokers.demo": "sample-demo-one"}', "one"),
        ('prefer={"brokers.demo": "Sample_Demo_Two"}', "two"),
        ('disabled=["sample-demo-one"]', "two"),
    ],
)
def test_the_configuration_decides_a_conflict(environment: Environment, arguments: str, origin: str) -> None:
    assert environment.run(f'show(PluginManager({arguments}).open_broker("demo://", {{}}, "n").origin)') == (origin)


def test_a_preference_for_somebody_else_is_refused(environment: Environment) -> None:
    kind, text = environment.run(
        'show(refusal(PluginManager(prefer={"brokers.demo": "absent"}).open_broker, "demo://", {}, "n"))'
    )
    assert kind == "PluginNotFound"
    assert "'absent'" in text
    assert "sample-demo-one" in text


def test_a_plugin_that_raises_on_import_is_named_with_its_error(environment: Environment) -> None:
    kind, text = environment.run('show(refusal(PluginManager().open_broker, "raising://", {}, "n"))')
    assert kind == "PluginBroken"
    assert "sample-raising 1.2" in text
    assert "RuntimeError: the wheels came off" in text
    assert "pip install -U sample-raising" in text


def test_a_plugin_for_other_contracts_is_not_called(environment: Environment) -> None:
    kind, text = environment.run('show(refusal(PluginManager().open_backend, "outdated://", {}, None, (), "n"))')
    assert kind == "PluginIncompatible"
    assert "sample-outdated 1.2" in text
    assert "version 0 of tq's contracts" in text
    assert "pip install -U sample-outdated" in text


def test_a_disabled_plugin_is_not_imported(environment: Environment) -> None:
    kind, text = environment.run(f'show(refusal({OFF}.open_serializer, "disabled"))')
    assert kind == "PluginDisabled"
    assert "sample-disabled 1.2" in text
    assert "plugins_disabled" in text


def test_a_missing_client_library_is_named(environment: Environment) -> None:
    kind, text = environment.run('show(refusal(PluginManager().open_serializer, "needy"))')
    assert kind == "PluginBroken"
    assert "sample-needy" in text
    assert "'no_such_client_library'" in text


def test_faulty_extensions_are_reported_by_name_and_the_others_observe(environment: Environment) -> None:
    seen = environment.run(f"""
manager = {OFF}
started = manager.observers("tq_task_started")
finished = manager.observers("tq_task_finished")
for listener in started:
    listener("id-1", "shop.pay")
for listener in finished:
    listener("id-1", "shop.pay", "SUCCESS", 0.1)
import sample_extension
show([type(started).__name__, len(started), len(finished), sample_extension.journal,
      sorted(manager.observers("tq_worker_ready")), {{k: str(v) for k, v in manager.problems.items()}}])
""")
    assert seen[:5] == ["tuple", 1, 1, ["shop.pay"], []]
    assert sorted(seen[5]) == ["sample-foreign", "sample-misspelt"]
    assert "'tq_task_startd'; did its authors mean 'tq_task_started'?" in seen[5]["sample-misspelt"]
    assert "colour" in seen[5]["sample-foreign"]


def test_an_observer_that_raises_is_logged_under_its_name(environment: Environment) -> None:
    done = environment.call(
        "-c",
        "from tq_core.plugin.manager import PluginManager\n"
        'for listener in PluginManager().observers("tq_task_finished"):\n'
        '    listener("id-1", "shop.pay", "SUCCESS", 0.1)\n',
    )
    assert done.returncode == 0
    assert "sample-extension:sample_extension failed in its hook tq_task_finished" in done.stderr


def test_settings_of_all_plugins_are_merged_though_some_are_broken(environment: Environment) -> None:
    schema = environment.run(f"show({OFF}.settings_schema())")
    assert schema == {
        "directory_poll_interval": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.05,
            "description": "Seconds between two looks at a directory that holds no message.",
        },
        "journal_pages": {"type": "integer", "default": 100},
    }


def test_extensions_add_commands(environment: Environment) -> None:
    assert environment.run(f"show(sorted({OFF}.cli_commands()))") == ["journal"]


def test_what_was_published_for_celery_is_found_and_not_imported(environment: Environment) -> None:
    listed = {s["kind"]: s for s in json.loads(environment.plugins("--json").stdout) if "." in s["kind"]}
    assert (listed["celery.result_backends"]["name"], listed["kombu.serializers"]["name"]) == (
        "oldstore",
        "oldformat",
    )
    assert {s["state"] for s in listed.values()} == {"listed"}


def test_the_list_tells_every_state(environment: Environment) -> None:
    done = environment.plugins("--disable", "sample-disabled", "list", "--json")
    assert done.returncode == 0, done.stderr
    states = {(s["distribution"], s["name"]): s["state"] for s in json.loads(done.stdout)}
    assert {name: states[(name, offered)] for name, offered in NAMES.items()} == {
        "tq-broker-directory": "ok",
        "tq-backend-sqlite3": "ok",
        "tq-serializer-cbor": "ok",
        "tq-pool-fresh": "ok",
        "sample-extension": "ok",
        "sample-demo-one": "conflict",
        "sample-demo-two": "conflict",
        "sample-raising": "broken",
        "sample-misspelt": "broken",
        "sample-foreign": "broken",
        "sample-outdated": "outdated",
        "sample-disabled": "disabled",
        "sample-needy": "missing dependency",
    }
    assert states[("tq-core", "memory")] == "ok"


NAMES = {
    "tq-broker-directory": "directory",
    "tq-backend-sqlite3": "sqlite3",
    "tq-serializer-cbor": "cbor",
    "tq-pool-fresh": "fresh",
    "sample-extension": "journal",
    "sample-demo-one": "demo",
    "sample-demo-two": "demo",
    "sample-raising": "raising",
    "sample-misspelt": "misspelt",
    "sample-foreign": "foreign",
    "sample-outdated": "outdated",
    "sample-disabled": "disabled",
    "sample-needy": "needy",
}


def test_no_subcommand_lists_one_line_for_each_name(environment: Environment) -> None:
    done = environment.plugins()
    assert done.returncode == 0
    assert "brokers\tdirectory\tok\ttq-broker-directory\t1.0\n" in done.stdout


def test_check_fails_with_four_and_says_what_to_do(environment: Environment) -> None:
    done = environment.plugins("check")
    assert done.returncode == 4
    assert "cannot be used" in done.stderr
    assert "pip install no-such-client-library" in done.stdout


@pytest.mark.parametrize(
    ("name", "code"), [("directory", 0), ("tq-serializer-cbor", 0), ("raising://", 4), ("json", 0)]
)
def test_one_plugin_can_be_checked(environment: Environment, name: str, code: int) -> None:
    assert environment.plugins("check", name).returncode == code


def test_a_preferred_distribution_ends_the_conflict(environment: Environment) -> None:
    assert environment.plugins("check", "demo").returncode == 4
    assert environment.plugins("--prefer", "brokers.demo=sample-demo-two", "check", "demo").returncode == 0


def test_of_two_that_offer_one_name_the_preferred_one_is_tried(environment: Environment) -> None:
    tq_plugins = ("-m", "tq_core.cli.main", "plugins")
    conflict = environment.call(*tq_plugins, "test", "demo")
    assert conflict.returncode == 4
    assert "sample-demo-one 1.2 and sample-demo-two 3.4" in conflict.stderr
    preferred = ("--prefer", "brokers.demo=sample-demo-two", "test", "demo", "--contract", "broker")
    done = environment.call(*tq_plugins, *preferred, "--only", "connection")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept" in done.stdout


def test_show_tells_what_a_plugin_can_do(environment: Environment) -> None:
    (memory,) = json.loads(environment.plugins("show", "brokers.memory", "--json").stdout)
    assert memory["capabilities"]["due_time"] is True
    assert memory["capabilities"]["exchanges"] is False
    assert "Keeps each message in a file" in environment.plugins("show", "directory").stdout


def test_an_unknown_name_is_a_usage_error_with_the_nearest(environment: Environment) -> None:
    done = environment.plugins("show", "directry")
    assert done.returncode == 2
    assert "did you mean 'directory'?" in done.stderr
