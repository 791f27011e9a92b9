"""Checks sources of settings and finds every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.config.masking import is_secret, mask_url
from tq_core.config.mistake import ConfigurationInvalid, Mistake, WrongValue, shown
from tq_core.config.nearness import nearest
from tq_core.config.schema import property_schemas
from tq_core.config.setting import Setting
from tq_core.config.source import Entry, Source
from tq_core.config.table import SPELLINGS, TABLE, nearest_setting

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_Properties = Mapping[str, Mapping[str, Any]]
_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def checked_values(source: Source, plugin_settings: _Properties | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Check a source and read its values.

    Args:
        source: what was found.
        plugin_settings: JSON Schema of the settings plugins add, by name.

    Returns:
        The values by lower-case name, as programs see them, and the origin of each.

    Raises:
        ConfigurationInvalid: there are mistakes; it has all of them.
    """
    values, origins, mistakes = examine(source, plugin_settings)
    if mistakes:
        raise ConfigurationInvalid(mistakes)
    return values, origins


def examine(
    source: Source, plugin_settings: _Properties | None = None
) -> tuple[dict[str, Any], dict[str, str], list[Mistake]]:
    """Check a source as :func:`checked_values` does, and return the mistakes beside what is right."""
    plugin_settings = plugin_settings or {}
    mistakes = list(source.mistakes)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    first: dict[str, Entry] = {}
    schemas = property_schemas(plugin_settings) if source.plain or plugin_settings else {}
    for entry in source.entries:
        name = SPELLINGS.get(entry.name) or (entry.name if entry.name in plugin_settings else None)
        if name is None:
            if source.strict:
                mistakes.append(_unknown(entry, plugin_settings))
            continue
        if name in first:
            if source.strict:
                mistakes.append(_twice(entry, name, first[name]))
            continue
        first[name] = entry
        setting = TABLE.get(name)
        found = []
        if source.plain or setting is None:
            found = list(_against_schema(entry, setting, schemas[name]))
        if not found:
            try:
                values[name] = setting.coerce(entry.value) if setting else entry.value
                origins[name] = str(entry.position)
            except WrongValue as wrong:
                found = [_wrong(entry, setting, wrong)]
        mistakes += found
    mistakes.sort(key=lambda mistake: (mistake.position.line or 0, mistake.position.column or 0))
    return values, origins, mistakes


def _unknown(entry: Entry, plugin_settings: Iterable[str]) -> Mistake:
    near = nearest_setting(entry.name, plugin_settings)
    return Mistake(entry.position, entry.name, f"There is no setting {entry.name!r}", "a setting", entry.name, near)


def _twice(entry: Entry, name: str, first: Entry) -> Mistake:
    message = f"{entry.name!r} sets {name} again; {first.name!r} at {first.position} sets it already"
    return Mistake(entry.position, entry.name, message, "each setting once", entry.name)


def _wrong(entry: Entry, setting: Setting | None, wrong: WrongValue) -> Mistake:
    secret = (setting is not None and setting.secret) or any(is_secret(part) for part in wrong.path)
    # What was wrong may have been the key itself, which then ends the path.
    is_key = bool(wrong.path) and wrong.found == wrong.path[-1]
    found = "a secret value" if secret and not is_key else shown(wrong.found)
    where = _dotted(entry.name, wrong.path)
    message = f"{where}: expected {wrong.expected}, found {found}"
    return Mistake(entry.at(wrong.path, key=is_key), entry.name, message, wrong.expected, found, wrong.nearest)


def _dotted(name: str, path: Iterable[Any]) -> str:
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{mask_url(str(part))}" for part in path)


def _against_schema(entry: Entry, setting: Setting | None, schema: Mapping[str, Any]) -> Iterator[Mistake]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(dict(schema)).iter_errors(entry.value):
        for leaf, path in _leaves(error, ()):
            for wrong in _complaints(leaf, path, setting):
                yield _wrong(entry, setting, wrong)


def _leaves(error: ValidationError, above: tuple[Any, ...]) -> Iterator[tuple[ValidationError, tuple[Any, ...]]]:
    """Yield the errors that say most: of several alternatives, those of the one whose type fits the value."""
    path = (*above, *error.relative_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for inner in error.context:
            branches.setdefault(inner.relative_schema_path[0], []).append(inner)
        fitting = [
            inner
            for inner in branches.values()
            if not any(each.validator in ("type", "enum") and not each.relative_path for each in inner)
        ]
        # A scalar that fits in type but not in form is told all the forms there are.
        if len(fitting) == 1 and isinstance(error.instance, (dict, list)):
            for inner_error in fitting[0]:
                yield from _leaves(inner_error, path)
            return
    yield error, path


def _complaints(error: ValidationError, path: tuple[Any, ...], setting: Setting | None) -> Iterator[WrongValue]:
    schema = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = tuple(schema.get("properties", ()))
        for key in error.instance:
            if key not in known:
                yield WrongValue("one of " + ", ".join(known), key, (*path, key), nearest(key, known))
        return
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        yield WrongValue("a " + " and a ".join(repr(key) for key in missing), error.instance, path)
        return
    if not path and setting is not None:
        words = schema.get("enum", ())
        yield WrongValue(setting.kind.expected, error.instance, path, nearest(error.instance, words))
        return
    yield WrongValue(_in_words(schema), error.instance, path, nearest(error.instance, schema.get("enum", ())))


def _in_words(schema: Mapping[str, Any]) -> str:
    """Say what a schema wants."""
    from tq_core.config import duration, size

    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return "one of " + ", ".join(repr(word) for word in schema["enum"])
    alternatives = schema.get("anyOf")
    if alternatives:
        patterns = {alternative.get("pattern") for alternative in alternatives}
        if duration.PATTERN in patterns:
            return duration.EXPECTED
        if size.PATTERN in patterns:
            return size.EXPECTED
        return " or ".join(dict.fromkeys(_in_words(alternative) for alternative in alternatives))
    types = schema.get("type", ())
    words = " or ".join(_WORDS[each] for each in ([types] if isinstance(types, str) else types))
    if "minimum" in schema and "maximum" in schema:
        return f"{words} from {schema['minimum']} to {schema['maximum']}"
    if "minimum" in schema:
        return f"{words}, {schema['minimum']} or more"
    if schema.get("minLength") or schema.get("minItems"):
        return f"{words} that is not empty"
    return words or "something else"
