"""``app.conf``: names, precedence, origins, masking, copies."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import timedelta

import pytest

from tq_core.config.loading import load_settings, read
from tq_core.config.settings import Level, Settings
from tq_core.config.validation import checked_values
from tq_core.errors import ImproperlyConfigured


def test_a_setting_reads_back_by_every_one_of_its_names():
    settings = Settings()
    settings.CELERY_TASK_SERIALIZER = "yaml"
    settings["BROKER_URL"] = "redis://h"
    settings.update(CELERYD_CONCURRENCY=3)
    assert settings.task_serializer == settings["task_serializer"] == settings.CELERY_TASK_SERIALIZER == "yaml"
    assert settings.broker_url == settings["CELERY_BROKER_URL"] == "redis://h"
    assert settings.worker_concurrency == settings.CELERY_CONCURRENCY == 3


def test_a_whole_flask_config_is_accepted_and_no_secret_is_printed():
    settings = Settings()
    settings.update(
        {
            "CELERY_BROKER_URL": "amqp://me:hunter2@h//",
            "CELERY_RESULT_BACKEND": "redis://:hunter2@h/0",
            "DEBUG": True,
            "SECRET_KEY": "hunter2",
            "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
        }
    )
    assert settings.broker_url == "amqp://me:hunter2@h//"
    assert settings.result_backend == "redis://:hunter2@h/0"
    assert "SECRET_KEY" not in settings
    for text in (repr(settings), settings.humanize(with_defaults=True), str(settings.masked())):
        assert "hunter2" not in text


def test_an_unknown_name_is_refused_with_the_nearest_one():
    settings = Settings()
    with pytest.raises(ImproperlyConfigured, match="did you mean 'task_serializer'"):
        settings.task_serialiser = "json"
    with pytest.raises(ImproperlyConfigured, match="did you mean 'worker_concurrency'"):
        settings.update(worker_concurency=1)
    with pytest.raises(AttributeError, match="did you mean 'broker_url'"):
        _ = settings.broker_ulr
    assert not hasattr(settings, "nothing_like_it")


def test_a_mapping_may_bring_keys_of_its_own_but_a_likely_typing_error_is_warned_of():
    settings = Settings()
    settings.update({"my_own": 1})
    assert settings["my_own"] == settings.my_own == 1
    with pytest.warns(UserWarning, match="did you mean 'task_serializer'"):
        settings.update({"task_serialiser": "json"})


def test_the_stronger_level_wins_whatever_the_order():
    settings = Settings()
    settings.layer({"timezone": "UTC"}, "command line", Level.COMMAND_LINE)
    settings.timezone = "Europe/Oslo"
    settings.layer({"timezone": "Asia/Tokyo", "task_queues": ["a"]}, "celeryconfig.py", Level.FILE)
    assert settings.timezone == "UTC"
    assert settings.origin("CELERY_TIMEZONE") == "command line"
    assert settings.origin("task_queues") == "celeryconfig.py"
    assert settings.origin("accept_content") == "default"
    assert settings.changes() == {"task_queues": ["a"], "timezone": "UTC"}


def test_setting_a_default_explicitly_is_known_and_taking_it_back_is_too():
    settings = Settings()
    assert not settings.is_set("worker_prefetch_multiplier")
    settings.worker_prefetch_multiplier = 4
    assert settings.is_set("CELERYD_PREFETCH_MULTIPLIER")
    del settings.worker_prefetch_multiplier
    assert settings.worker_prefetch_multiplier == 4
    assert not settings.is_set("worker_prefetch_multiplier")


def test_two_applications_do_not_share_their_default_mappings():
    first, second = Settings(), Settings()
    first.beat_schedule["x"] = {"task": "t", "schedule": 1.0}
    assert second.beat_schedule == {}


def test_settings_survive_the_way_to_a_spawned_process():
    settings = Settings(properties={"shiny_level": {"type": "integer", "default": 7}})
    settings.layer({"task_time_limit": "5m"}, "celeryconfig.yaml:3:1", Level.FILE)
    settings.update({"mine": 1, "broker_url": "redis://h"})
    settings.beat_schedule["x"] = {"task": "t", "schedule": 1.0}
    copy = pickle.loads(pickle.dumps(settings))
    assert dict(copy) == dict(settings)
    assert copy.origin("task_time_limit") == "celeryconfig.yaml:3:1"
    assert copy.shiny_level == 7


def test_wrong_values_are_refused_when_they_are_set_and_passwords_are_not_repeated():
    settings = Settings()
    with pytest.raises(ImproperlyConfigured, match="task_time_limit: expected a duration"):
        settings.task_time_limit = "5 parsecs"
    with pytest.raises(ImproperlyConfigured) as caught:
        settings.redis_password = {"password": "hunter2"}
    assert "hunter2" not in str(caught.value)
    assert settings.task_time_limit is None


def test_an_object_is_read_with_and_without_a_namespace():
    class Project:
        CELERY_BROKER_URL = "redis://h"
        CELERY_TASK_ALWAYS_EAGER = True
        CELERY_ACKS_LATE = True
        DEBUG = True

    for namespace in ("", "CELERY"):
        values, _ = checked_values(read(Project, namespace))
        assert values == {"broker_url": "redis://h", "task_always_eager": True, "task_acks_late": True}


def test_an_attribute_of_a_module_is_read_as_django_projects_name_it(tmp_path, monkeypatch):
    (tmp_path / "project_conf.py").write_text(
        "class settings:\n    CELERY_TASK_ALWAYS_EAGER = True\n    TIME_ZONE = 'UTC'\n    TIMEZONE = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    values, origins = checked_values(read("project_conf:settings", "CELERY"))
    assert values == {"task_always_eager": True}
    assert origins == {"task_always_eager": "project_conf:settings"}
    with pytest.raises(ImportError, match="has no 'nothing'"):
        read("project_conf:nothing")


def test_the_environment_wins_over_the_file_and_an_almost_setting_in_it_is_a_mistake(tmp_path):
    file = tmp_path / "celeryconfig.yaml"
    file.write_text("worker_concurrency: 2\nbroker_url: redis://file\n")
    environ = {
        "TQ_WORKER_CONCURRENCY": "8",
        "CELERY_BROKER_URL": "redis://env",
        "TQ_BROKER_TRANSPORT_OPTIONS": "{visibility_timeout: 60}",
        "TQ_TEST_MACHINE": "x",
    }
    settings = load_settings(directory=tmp_path, environ=environ)
    assert (settings.worker_concurrency, settings.broker_url) == (8, "redis://env")
    assert settings.broker_transport_options == {"visibility_timeout": 60}
    assert settings.origin("worker_concurrency") == "environment variable TQ_WORKER_CONCURRENCY"
    with pytest.raises(ImproperlyConfigured, match="TQ_WORKER_CONCURENCY: There is no setting"):
        load_settings(directory=tmp_path, environ={"TQ_WORKER_CONCURENCY": "8"})


def test_the_config_variable_names_another_file(tmp_path):
    (tmp_path / "celeryconfig.yaml").write_text("timezone: UTC\n")
    other = tmp_path / "other.py"
    other.write_text("timezone = 'Europe/Oslo'\n")
    settings = load_settings(directory=tmp_path, environ={"CELERY_CONFIG_MODULE": str(other)})
    assert settings.timezone == "Europe/Oslo"
    assert settings.origin("timezone") == f"{other}:1:1"


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ImproperlyConfigured, match="'no_such_module_anywhere': there is no such file or module"):
        load_settings("no_such_module_anywhere", environ={})


def test_importing_the_settings_loads_no_heavy_library():
    code = (
        "import sys; import tq_core.config.settings; "
        "print(sorted({'yaml', 'jsonschema', 'kombu', 'rich', 'click', 'zoneinfo'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
