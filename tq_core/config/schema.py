"""The JSON Schema of a configuration file, made from the table, for validation and for editors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tq_core.config.table import SPELLINGS, TABLE

#: The dialect the schema is written in.
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def property_schemas(
    plugin_settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each setting by its name.

    Args:
        plugin_settings: what plugins contribute; for a setting of the core, both schemas must hold.
    """
    properties = {name: setting.schema() for name, setting in TABLE.items()}
    for name, schema in (plugin_settings or {}).items():
        own = properties.get(name)
        properties[name] = {"allOf": [own, dict(schema)]} if own else dict(schema)
    return properties


def settings_schema(plugin_settings: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return the schema of a whole file, with the descriptions, defaults and old names that editors show."""
    properties: dict[str, Any] = {}
    for name, schema in property_schemas(plugin_settings).items():
        setting = TABLE.get(name)
        if setting is None:
            properties[name] = schema
            continue
        properties[name] = {"description": setting.doc, **schema}
        if not setting.secret:
            properties[name]["default"] = plain(setting.default)
    for spelling, name in SPELLINGS.items():
        if spelling != name:
            properties[spelling] = {"$ref": f"#/properties/{name}", "deprecated": True}
    return {
        "$schema": DIALECT,
        "title": "Settings of tq (celeryconfig.yaml)",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def plain(value: Any) -> Any:
    """Return a default as JSON has it: lists for tuples, seconds for time, ``"inf"`` for no limit."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value == float("inf"):
        return "inf"
    return value
