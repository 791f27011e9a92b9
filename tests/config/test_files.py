"""Configuration files: what is found in them, and what is said about their mistakes."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import click
import pytest
from click.testing import CliRunner

from tq_core.cli.config import PLUGIN_SETTINGS, config
from tq_core.config.loading import load_settings
from tq_core.config.mistake import ConfigurationInvalid
from tq_core.config.queues import queue_specs
from tq_core.errors import ImproperlyConfigured

SIX_MISTAKES = """\
task_serialiser: json
CELERYD_CONCURENCY: 4
worker_prefetch_multiplier: four
task_time_limit: 5 parsecs
task_queues:
  - {name: a, routng_key: b}
redis_password: {very: hunter2}
"""

RIGHT = """\
broker_url: redis://:${PASSWORD:-hunter2}@h/0
CELERYD_CONCURRENCY: ${WORKERS:-4}
result_expires: 2d
task_time_limit: 1h30m
message_max_size: 1MiB
task_queues:
  - plain
  - name: fancy
    exchange: {name: media, type: topic}
    routing_key: video.#
    max_priority: 10
    expires: 5m
    queue_arguments: {x-queue-mode: lazy}
task_routes:
  feeds.*: fancy
  /video\\..+/: {queue: fancy, priority: 3}
task_annotations:
  tasks.add: {rate_limit: 10/m}
beat_schedule:
  often: {task: t, schedule: 30s}
  lines: {task: t, schedule: {crontab: "*/5 * * * mon"}}
  fields: {task: t, schedule: {crontab: {minute: 0, hour: 3}}}
  sun: {task: t, schedule: {solar: {event: sunset, lat: 59.9, lon: 10.7}}}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("CELERY_CONFIG_MODULE", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.delenv(variable, raising=False)

    def write(text, name="celeryconfig.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_six_mistakes_are_printed_at_once_with_their_places_and_the_exit_status_is_3(write):
    write(SIX_MISTAKES)
    result = CliRunner().invoke(config, ["check"])
    places = re.findall(r"^celeryconfig\.yaml:(\d+:\d+): ", result.stdout, re.MULTILINE)
    assert places == ["1:1", "2:1", "3:29", "4:18", "6:15", "7:17"]
    for near in ("task_serializer", "CELERYD_CONCURRENCY", "routing_key"):
        assert f"did you mean {near!r}?" in result.stdout
    assert "hunter2" not in result.output
    assert result.exit_code == 3


def test_a_right_file_has_no_mistakes_and_its_values_are_read(write):
    write(RIGHT)
    assert CliRunner().invoke(config, ["check"]).exit_code == 0
    settings = load_settings(environ={"WORKERS": "6"})
    assert settings.broker_url == "redis://:hunter2@h/0"
    assert settings.worker_concurrency == 6
    assert settings.result_expires == timedelta(days=2)
    assert settings.task_time_limit == 5400.0
    assert settings.message_max_size == 1024**2
    plain, fancy = queue_specs(settings.task_queues)
    assert plain.name == "plain"
    assert (fancy.exchange.name, fancy.exchange.type, fancy.expires) == ("media", "topic", 300.0)
    assert settings.beat_schedule["often"]["schedule"] == 30.0
    assert settings.beat_schedule["lines"]["schedule"]["crontab"]["day_of_week"] == "mon"
    assert settings.origin("worker_concurrency") == "celeryconfig.yaml:2:1"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [1\nb: 2\n", "2:2", "no valid YAML"),
        ("timezone: UTC\ntimezone: UTC\n", "2:1", "given twice"),
        ("enable_utc: true\nCELERY_ENABLE_UTC: true\n", "2:1", "sets enable_utc again"),
        ("- timezone\n", "1:1", "a mapping of settings"),
        ("broker_url: ${NO_SUCH_VARIABLE}\n", "1:13", "NO_SUCH_VARIABLE is not set"),
        ("broker_url: !!python/name:os.system x\n", "1:13", "a tag that is not understood"),
        ("accept_content: []\n", "1:17", "at least one serializer"),
        ("worker_concurrency: -1\n", "1:21", "a whole number, or 'auto'"),
        ("timezone: Europe/Osl\n", "1:11", "did you mean 'Europe/Oslo'"),
        ("task_routes: {a.*: {que: x}}\n", "1:21", "did you mean 'queue'"),
        ("task_routes: {'/(/': x}\n", "1:15", "a regular expression"),
        ("beat_schedule: {x: {task: t, schedule: {crontab: '* *'}}}\n", "1:50", "five fields"),
        ("broker_transport_options: 5\n", "1:27", "a mapping"),
    ],
)
def test_each_mistake_has_its_place(write, text, place, message):
    name = write(text)
    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(environ={})
    (mistake,) = caught.value.mistakes
    assert str(mistake).startswith(f"{name}:{place}: ")
    assert message in str(mistake)


def test_mistakes_in_a_python_file_have_places_too_and_its_own_variables_are_left_alone(write):
    name = write(
        "import os\nhome = os.getcwd()\n\nbroker_url = 'redis://h'\ntask_serialiser = 'json'\n"
        "CELERY_ACKS_LTE = True\nworker_concurrency = 'many'\n",
        "celeryconfig.py",
    )
    result = CliRunner().invoke(config, ["check", name])
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == [f"{name}:{n}:1:" for n in (5, 6, 7)]
    assert result.exit_code == 3


def test_a_broken_python_file_is_named_with_its_line(write):
    name = write("timezone = 'UTC'\nbroker_url = (\n", "broken.py")
    result = CliRunner().invoke(config, ["check", name])
    assert result.exit_code == 3
    assert result.stdout.startswith(f"{name}:2:")
    name = write("timezone = 'UTC'\nbroker_url = nowhere\n", "broken.py")
    result = CliRunner().invoke(config, ["check", name])
    assert result.stdout.startswith(f"{name}:2:1: NameError")


def test_kombu_queues_and_the_oldest_form_are_understood_and_read_back_as_given(write):
    from kombu import Exchange, Queue

    queues = (Queue("a", Exchange("media", "topic"), "video.#", max_priority=5, message_ttl=2), Queue("b"))
    first, second = queue_specs(queues)
    assert (first.exchange.name, first.exchange.type, first.routing_key) == ("media", "topic", "video.#")
    assert (first.max_priority, first.message_ttl, second.exchange) == (5, 2.0, None)
    (old,) = queue_specs({"feeds": {"exchange": "feeds", "exchange_type": "topic", "binding_key": "f.#"}})
    assert (old.name, old.exchange.type, old.routing_key) == ("feeds", "topic", "f.#")
    write("from kombu import Queue\ntask_queues = (Queue('a'), Queue('b'))\n", "celeryconfig.py")
    assert [queue.name for queue in load_settings(environ={}).task_queues] == ["a", "b"]


def test_a_plugin_s_settings_are_checked_and_known(write):
    write("shiny_level: high\nbroker_transport_options: {pulse: x}\n")
    properties = {
        "shiny_level": {"type": "integer", "default": 1},
        "broker_transport_options": {"properties": {"pulse": {"type": "number"}}},
    }
    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(environ={}, plugin_settings=properties)
    assert [mistake.position.line for mistake in caught.value.mistakes] == [1, 2]
    write("shiny_level: 3\n")
    assert load_settings(environ={}, plugin_settings=properties).shiny_level == 3


def test_a_file_that_is_not_there_is_named(write):
    with pytest.raises(ImproperlyConfigured, match=r"nowhere\.yaml"):
        load_settings("nowhere.yaml", environ={})


def test_show_prints_origins_and_hides_passwords(write):
    write(RIGHT)
    result = CliRunner().invoke(config, ["show", "--origin", "--changed"])
    assert 'broker_url = "redis://:**@h/0"  # celeryconfig.yaml:1:1' in result.stdout.splitlines()
    assert "hunter2" not in result.output
    result = CliRunner().invoke(config, ["show", "--json", "BROKER_URL", "worker_prefetch_multiplier"])
    assert json.loads(result.stdout) == {"broker_url": "redis://:**@h/0", "worker_prefetch_multiplier": 4}
    result = CliRunner().invoke(config, ["show", "broker_ulr"])
    assert result.exit_code == 2
    assert "broker_url" in result.stderr


def test_show_refuses_a_wrong_configuration_with_status_3_and_prints_no_data(write):
    write(SIX_MISTAKES)
    result = CliRunner().invoke(config, ["show"])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("celeryconfig.yaml:") == 6


def test_diff_prints_both_sides_even_when_only_the_password_differs(write):
    a = write("broker_url: redis://:one@h\ntimezone: UTC\n", "a.yaml")
    b = write("broker_url: redis://:two@h\ntimezone: UTC\ntask_acks_late: true\n", "b.yaml")
    result = CliRunner().invoke(config, ["diff", a, b])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        '- broker_url = "redis://:**@h"',
        '+ broker_url = "redis://:**@h"  # the values differ, and are hidden',
        "- task_acks_late = false  # default",
        "+ task_acks_late = true",
    ]


def test_schema_prints_json_with_the_plugins_settings():
    @click.group()
    @click.pass_context
    def root(ctx):
        ctx.meta[PLUGIN_SETTINGS] = {"shiny_level": {"type": "integer"}}

    root.add_command(config)
    result = CliRunner().invoke(root, ["config", "schema"])
    assert result.exit_code == 0
    properties = json.loads(result.stdout)["properties"]
    assert properties["shiny_level"] == {"type": "integer"}
    assert properties["broker_url"]["description"]
