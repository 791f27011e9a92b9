"""Finds the configuration, checks it, and makes ``Settings`` of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tq_core.config.environment import CONFIG_VARIABLE, read_environment
from tq_core.config.mistake import ConfigurationInvalid
from tq_core.config.python_source import read_module, read_object, read_python_file
from tq_core.config.settings import Level, Settings
from tq_core.config.source import Source
from tq_core.config.validation import examine
from tq_core.config.yaml_file import read_yaml
from tq_core.errors import ImproperlyConfigured

#: Looked for in the working directory, in this order.
FILES = ("celeryconfig.yaml", "celeryconfig.yml", "celeryconfig.py")
#: Looked for on Python's path when there is no such file.
MODULE = "celeryconfig"


def discover(environ: Mapping[str, str], directory: str | Path = ".") -> str | None:
    """Find the configuration nobody named.

    Args:
        environ: variables; ``CELERY_CONFIG_MODULE`` names a module or a file.
        directory: where the files are looked for.

    Returns:
        A path or a module's name, or None if there is no configuration.
    """
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return named
    for file in FILES:
        path = Path(directory, file)
        if path.is_file():
            return str(path)
    import importlib.util

    return MODULE if importlib.util.find_spec(MODULE) is not None else None


def read(source: Any, namespace: str = "", environ: Mapping[str, str] | None = None) -> Source:
    """Read one source of settings.

    Args:
        source: the path of a ``.yaml`` or ``.py`` file, a module's name, ``module:attribute``, a mapping
            or an object.
        namespace: prefix of the names in an object, such as ``CELERY``.
        environ: variables for ``${NAME}`` in YAML files; ``os.environ`` if None.

    Raises:
        ImproperlyConfigured: the file does not exist or cannot be opened.
        ImportError: the module cannot be imported.
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if not isinstance(source, str):
        return read_object(source, getattr(source, "__name__", type(source).__name__), namespace)
    is_yaml = source.endswith((".yaml", ".yml"))
    try:
        if is_yaml:
            return read_yaml(source, environ)
        if source.endswith(".py") and (os.sep in source or os.path.exists(source)):
            return read_python_file(source)
    except OSError as error:
        raise ImproperlyConfigured(f"Cannot read the configuration file {source}: {error.strerror or error}") from error
    return read_module(source, namespace)


def read_named(name: str, environ: Mapping[str, str] | None = None) -> Source:
    """Read the file or module that a person named, and explain why when that is impossible.

    Args:
        name: path of a file, a module's name, or ``module:attribute``.
        environ: variables for ``${NAME}`` in YAML files; ``os.environ`` if None.

    Raises:
        ImproperlyConfigured: there is no such file or module, or its code raised; the text begins with
            ``file:line:column`` of that code.
    """
    try:
        return read(name, environ=environ)
    except ImproperlyConfigured:
        raise
    except (Exception, SystemExit) as error:  # a Python configuration is a program, which may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(":")[0]:
            text = f"Cannot read the configuration {name!r}: there is no such file or module"
        else:
            text = f"{_place(name, error)}: {type(error).__name__}: {error}"
        raise ImproperlyConfigured(text) from error


def _place(name: str, error: BaseException) -> str:
    """Return where in somebody's configuration an error was raised, as far as that is known."""
    ours = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, "<frozen importlib")) and "importlib" not in Path(frame.filename).parts
    ]
    if not frames:
        return name
    # The configuration's own line comes first; what it calls lies deeper.
    file = frames[0].filename
    return f"{os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file}:{frames[0].lineno}:1"


def load_settings(
    config: Any = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: str | Path = ".",
    plugin_settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Make settings from a configuration and the environment, strictly.

    Args:
        config: what :func:`read` takes; None looks for a configuration and takes the defaults if there is
            none.
        environ: variables; ``os.environ`` if None.
        directory: where a configuration is looked for.
        plugin_settings: JSON Schema of the settings plugins add, by name.

    Raises:
        ConfigurationInvalid: there are mistakes; it has all of them, those of the environment too.
        ImproperlyConfigured: the file or module named cannot be read, or its code raised.
    """
    environ = os.environ if environ is None else environ
    if config is None:
        config = discover(environ, directory)
    sources = []
    if config is not None:
        source = read_named(config, environ) if isinstance(config, str) else read(config, environ=environ)
        sources.append((Level.FILE, source))
    sources.append((Level.ENVIRONMENT, read_environment(environ, plugin_settings)))
    settings = Settings(properties=plugin_settings)
    mistakes = []
    for level, source in sources:
        values, origins, wrong = examine(source, plugin_settings)
        mistakes += wrong
        settings.adopt_layer(values, origins, level)
    if mistakes:
        raise ConfigurationInvalid(mistakes)
    return settings
