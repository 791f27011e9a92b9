"""Reads settings from environment variables.

``TQ_<NAME>`` sets any setting. Celery's own few are read too. Structured settings are written in YAML's
flow style: ``TQ_BROKER_TRANSPORT_OPTIONS='{visibility_timeout: 60}'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_core.config.mistake import Position
from tq_core.config.nearness import nearest
from tq_core.config.source import Entry, Source
from tq_core.config.table import TABLE

PREFIX = "TQ_"
#: Variables Celery reads, with the settings they set.
CELERY_VARIABLES = {
    "CELERY_BROKER_URL": "broker_url",
    "CELERY_BROKER_READ_URL": "broker_read_url",
    "CELERY_BROKER_WRITE_URL": "broker_write_url",
    "CELERY_RESULT_BACKEND": "result_backend",
    "CELERY_WORKER_REVOKE_EXPIRES": "worker_revoke_expires",
    "CELERY_WORKER_REVOKES_MAX": "worker_revokes_max",
}
#: Names the file or module to read.
CONFIG_VARIABLE = "CELERY_CONFIG_MODULE"


def read_environment(environ: Mapping[str, str], plugin_settings: Mapping[str, Any] | None = None) -> Source:
    """Read the settings among the environment variables.

    A variable that begins with ``TQ_`` and is almost a setting is a mistake; any other belongs to somebody
    else.

    Args:
        environ: the variables.
        plugin_settings: JSON Schema of the settings plugins add, by name.
    """
    names = {**TABLE, **(plugin_settings or {})}
    entries = []
    for variable, text in environ.items():
        name = CELERY_VARIABLES.get(variable)
        # Our own variable of the same setting is the more particular one.
        if name is not None and PREFIX + name.upper() in environ:
            continue
        if name is None:
            if not variable.startswith(PREFIX):
                continue
            name = variable[len(PREFIX) :].lower()
            if name not in names and nearest(name, names, 0.8) is None:
                continue
        if text == "" and name in names:
            continue
        entries.append(Entry(name, _value(name, text), Position(f"environment variable {variable}")))
    return Source("environment", tuple(entries))


def _value(name: str, text: str) -> Any:
    setting = TABLE.get(name)
    if setting is not None and not setting.kind.structured:
        return None if text.strip().lower() in ("null", "none") else text
    if setting is not None and not text.lstrip().startswith(("{", "[")):
        return text
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
