"""Finding the application that ``-A`` names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from tq_core.config.mistake import ConfigurationInvalid

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Attributes and sub-modules that are looked through when only a module is named, in this order.
_ATTRIBUTES = ("app", "celery")
_SUBMODULE = "celery"


class ApplicationNotFound(click.UsageError):
    """What ``-A`` names is not there, or cannot be imported; the text is one line."""


def find_app(name: str) -> tuple[Celery, str]:
    """Import the application that ``-A`` names.

    ``module:attribute`` and ``module.attribute`` are taken at their word. For a module alone, its attributes ``app``
    and ``celery`` are tried, then any one application in it, then the same in its sub-module ``celery``. The working
    directory is put on ``sys.path`` first.

    Args:
        name: as given.

    Returns:
        the application, and its address as ``module:attribute``.

    Raises:
        ApplicationNotFound: says what is missing, or which error importing it raised.
    """
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module_name, colon, attribute = name.partition(":")
    _check_module_name(name, module_name)
    if colon:
        module = _import(name, module_name)
        found = _attribute(module, attribute)
        if found is None:
            raise ApplicationNotFound(f"-A {name}: module {module_name!r} has no {attribute!r}")
        if isinstance(found, ModuleType):
            return _in_module(name, found)
        return _checked(name, found), name
    if _exists(name):
        return _in_module(name, _import(name, name))
    parent, _, last = name.rpartition(".")
    if parent and _exists(parent):
        found = _attribute(_import(name, parent), last)
        if found is None:
            raise ApplicationNotFound(f"-A {name}: there is no module {name!r}, and {parent!r} has no {last!r}")
        return _checked(name, found), f"{parent}:{last}"
    raise ApplicationNotFound(f"-A {name}: there is no module {name!r} in {directory} or elsewhere on sys.path")


def _check_module_name(name: str, module: str) -> None:
    """Refuse what cannot be imported by any name, and say what was probably meant."""
    if all(part.isidentifier() for part in module.split(".")) and not module.endswith(".py"):
        return
    rest = name[len(module) :]
    likely = module.removesuffix(".py").replace(os.sep, ".").strip(".")
    if os.path.isfile(module) and all(part.isidentifier() for part in likely.split(".")):
        raise ApplicationNotFound(f"-A {name}: a module is named, not its file: -A {likely}{rest}")
    raise ApplicationNotFound(f"-A {name}: {module!r} is no name of a module; say -A module or -A module:attribute")


def _exists(module: str) -> bool:
    """Tell whether a module is there, importing only the packages around it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return False
        raise ApplicationNotFound(_import_failure(module, module, error)) from error
    except ConfigurationInvalid:
        raise  # the application is there; it is its configuration that is wrong, and every mistake is to be said
    except (Exception, SystemExit) as error:  # a package's own code ran, and may raise anything, or end the program
        raise ApplicationNotFound(_import_failure(module, module, error)) from error


def _import(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise ApplicationNotFound(f"-A {name}: there is no module {module!r} in {os.getcwd()}") from error
        raise ApplicationNotFound(_import_failure(name, module, error)) from error
    except ConfigurationInvalid:
        raise  # as above
    except (Exception, SystemExit) as error:  # the user's code runs: it may raise anything, or end the program
        raise ApplicationNotFound(_import_failure(name, module, error)) from error


def _import_failure(name: str, module: str, error: BaseException) -> str:
    return f"-A {name}: importing {module!r} failed: {describe_import_error(error)}"


def describe_import_error(error: BaseException) -> str:
    """Say in one line what importing somebody's module raised, and where in their code."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    text = str(error).splitlines()[0] if str(error) else ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_machinery(f.filename)]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"


def _is_machinery(filename: str) -> bool:
    """Tell whether a frame belongs to the import system or to this package's own importing."""
    return "importlib" in filename or filename.startswith(os.path.dirname(os.path.dirname(__file__)))


def _in_module(name: str, module: ModuleType) -> tuple[Celery, str]:
    from tq_core.app import Celery

    for attribute in _ATTRIBUTES:
        found = _attribute(module, attribute)
        if isinstance(found, Celery):
            return found, f"{module.__name__}:{attribute}"
    others = [key for key, value in vars(module).items() if isinstance(value, Celery)]
    if len(others) == 1:
        return getattr(module, others[0]), f"{module.__name__}:{others[0]}"
    if others:
        choices = " or ".join(f"-A {module.__name__}:{other}" for other in others)
        raise ApplicationNotFound(f"-A {name}: {module.__name__!r} has several applications; say {choices}")
    submodule = f"{module.__name__}.{_SUBMODULE}"
    if hasattr(module, "__path__") and _exists(submodule):
        return _in_module(name, _import(name, submodule))
    raise ApplicationNotFound(
        f"-A {name}: module {module.__name__!r} has no application; name it as -A {module.__name__}:attribute"
    )


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _checked(name: str, found: Any) -> Celery:
    from tq_core.app import Celery
    from tq_core.task import Task

    if callable(found) and not isinstance(found, (Celery, Task, type)):
        try:
            found = found()  # an application factory
        except ConfigurationInvalid:
            raise  # as above
        except Exception as error:  # the factory is the user's code, which may raise anything
            raise ApplicationNotFound(f"-A {name}: calling it failed: {describe_import_error(error)}") from error
    if not isinstance(found, Celery):
        raise ApplicationNotFound(f"-A {name}: it is a {type(found).__name__}, not an application")
    return found
