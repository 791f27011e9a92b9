"""Reads settings from Python modules, files and objects."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tq_core.config.mistake import Mistake, Position
from tq_core.config.source import Entry, Source
from tq_core.config.table import SPELLINGS, nearest_setting

_OUR_PREFIXES = ("CELERY_", "CELERYD_", "CELERYBEAT_", "BROKER_")


def read_python_file(path: str | Path) -> Source:
    """Run a Python file and read the settings it assigns.

    Raises:
        OSError: the file cannot be opened.
        Exception: whatever the file raises while it runs; a syntax error is a mistake instead.
    """
    name = str(path)
    text = Path(path).read_text(encoding="utf-8")
    try:
        tree = ast.parse(text, name)
    except SyntaxError as error:
        at = Position(name, error.lineno or 1, error.offset or 1)
        return Source(name, (), (Mistake(at, "", f"This is no valid Python: {error.msg}"),))
    module = types.ModuleType(Path(path).stem)
    module.__file__ = os.path.abspath(name)
    exec(compile(tree, name, "exec"), module.__dict__)  # a configuration file is a program of the user's own
    return _from_namespace(name, vars(module), _assignments(tree, name))


def read_module(name: str, namespace: str = "") -> Source:
    """Import a module, or an attribute of one (``package.module:attribute``), and read its settings.

    Args:
        name: dotted, as Python imports it; the working directory is looked in too.
        namespace: take only names that begin with this prefix and ``_``, such as ``CELERY``.

    Raises:
        ImportError: there is no such module or attribute.
    """
    module_name, _, attribute = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module: Any = importlib.import_module(module_name)
    except SyntaxError as error:
        at = Position(error.filename or name, error.lineno or 1, error.offset or 1)
        return Source(name, (), (Mistake(at, "", f"This is no valid Python: {error.msg}"),))
    except ImportError as error:
        parent, _, last = module_name.rpartition(".")
        if not attribute and parent and getattr(error, "name", None) == module_name:
            return _attribute(name, parent, last, namespace)
        raise
    if attribute:
        return _attribute(name, module_name, attribute, namespace)
    if namespace:
        return read_object(module, name, namespace)
    file = getattr(module, "__file__", None)
    positions: dict[str, Position] = {}
    if file and file.endswith(".py"):
        shown = os.path.relpath(file) if file.startswith(here) else file
        positions = _assignments(ast.parse(Path(file).read_text(encoding="utf-8"), file), shown)
    return _from_namespace(name, vars(module), positions)


def _attribute(name: str, module_name: str, attribute: str, namespace: str) -> Source:
    found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ImportError(
                f"Cannot read the configuration {name!r}: {module_name} has no {attribute!r}. "
                "Name a module, a file, or 'module:attribute'."
            ) from None
    return read_object(found, name, namespace)


def read_object(source: Any, name: str = "object", namespace: str = "") -> Source:
    """Read settings from the attributes of an object, or the items of a mapping.

    Names that are no settings are passed over: an object belongs to the program, and may hold anything.

    Args:
        source: a mapping, a module, a class or an instance.
        name: what origins and messages call it.
        namespace: take only names that begin with this prefix and ``_``, such as ``CELERY``.
    """
    if isinstance(source, Mapping):
        given = {key: value for key, value in source.items() if isinstance(key, str)}
    else:
        given = {key: getattr(source, key) for key in dir(source) if not key.startswith("_")}
    prefix = f"{namespace}_" if namespace and not namespace.endswith("_") else namespace
    entries = []
    for key, value in given.items():
        bare = key[len(prefix) :] if prefix and key.startswith(prefix) else key
        if prefix and bare is key:
            continue
        # With a namespace, CELERY_RESULT_BACKEND is result_backend, but CELERY_ACKS_LATE keeps its old
        # meaning.
        known = (spelling for spelling in (bare, bare.lower()) if prefix and spelling in SPELLINGS)
        spelling = next(known, key)
        entries.append(Entry(spelling, value, Position(name)))
    return Source(name, tuple(entries), strict=False)


def _from_namespace(name: str, values: Mapping[str, Any], positions: Mapping[str, Position]) -> Source:
    entries = []
    for key, value in values.items():
        at = positions.get(key)
        if key in SPELLINGS or (at is not None and _looks_like_a_setting(key, value)):
            entries.append(Entry(key, value, at or Position(name)))
    return Source(name, tuple(entries))


def _looks_like_a_setting(key: str, value: Any) -> bool:
    """Tell a mistyped setting from a variable the file needs for itself."""
    if key.startswith("_") or isinstance(value, (types.ModuleType, types.FunctionType, type)):
        return False
    return key.startswith(_OUR_PREFIXES) or nearest_setting(key) is not None


def _assignments(tree: ast.Module, file: str) -> dict[str, Position]:
    found = {}
    for node in ast.walk(tree):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = Position(file, target.lineno, target.col_offset + 1)
    return found
