"""Writes the reference pages of tasks, work-flows and results, and the table of signals, from the code itself.

    python scripts/api_reference.py [DIRECTORY]

The pages go to ``docs/reference`` unless another directory is named.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from docstrings import Docstring, read

from tq_core import canvas, signals
from tq_core.app import Celery
from tq_core.call_options import CallOptions
from tq_core.canvas.stamping import StampingVisitor
from tq_core.request import Request
from tq_core.results import async_result, eager, group_result
from tq_core.shared import shared_task
from tq_core.task import Task
from tq_core.task_attributes import FromSetting, TaskAttributes
from tq_core.task_factory import TaskFactory
from tq_core.task_handlers import TaskHandlers

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
#: Methods with names of Python's own that users call by operators.
_OPERATORS = {"__call__", "__await__", "__or__", "__invert__"}
#: Where a class's inherited members are no more ours.
_FOREIGN = (object, dict)


def _cell(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.replace("|", "\\|")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if lines:
        columns = list(head)
        yield from ("", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines)


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _type(annotation: Any) -> str:
    """Return an annotation as users know it: without the names that only the code uses."""
    if annotation is inspect.Parameter.empty:
        return ""
    text = re.sub(
        r"\b(Result|Chunks)\b", lambda name: {"Result": "AsyncResult", "Chunks": "chunks"}[name[0]], str(annotation)
    )
    return re.sub(r"\bR_co\b|\bT\b", "R", text)


def _default(value: Any) -> str:
    simple = value is None or isinstance(value, (bool, int, float, str)) or value == ()
    return repr(value) if simple else "…"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    found = list(inspect.signature(function).parameters.values())
    return found[1:] if found and found[0].name in {"self", "cls"} else found


def _heading(name: str, function: Callable[..., Any], *, returns: bool = True) -> str:
    """Return a call as it is written, with the type of what it returns."""
    words = []
    starred = False
    for parameter in _parameters(function):
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words.append("*")
        starred = starred or parameter.kind in {parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY}
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        words.append(f"{stars}{parameter.name}{default}")
    gives = _type(inspect.signature(function).return_annotation) if returns else ""
    before = "await " if inspect.iscoroutinefunction(function) else ""
    return f"`{before}{name}({', '.join(words)})" + (f" → {gives}`" if gives not in {"", "None"} else "`")


def _arguments(function: Callable[..., Any], documented: Docstring) -> Iterator[str]:
    types = {parameter.name: _type(parameter.annotation) for parameter in _parameters(function)}

    def type_of(names: str) -> str:
        found = [types.get(name.strip("*"), "") for name in names.split(", ")]
        return ", ".join(f"`{name}`" for name in dict.fromkeys(found) if name and not name.startswith("P."))

    yield from _table(
        ("argument", "type", "meaning"), ((_code(names), type_of(names), text) for names, text in documented.args)
    )


def _described(function: Callable[..., Any], documented: Docstring) -> Iterator[str]:
    """Yield all that is said of a function but its name."""
    for paragraph in documented.text:
        yield from ("", paragraph)
    yield from _arguments(function, documented)
    if documented.returns:
        yield from ("", f"Returns {documented.returns}")
    if documented.raises:
        yield from ("", "Raises:", "")
        yield from (f"* {_code(names)}: {text}" for names, text in documented.raises)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public members of a class with a docstring, its own first, then those it inherits."""
    seen: set[str] = set()
    for owner in cls.__mro__:
        if owner in _FOREIGN or owner.__module__ == "typing":
            continue
        for name, member in vars(owner).items():
            if name in seen or (name.startswith("_") and name not in _OPERATORS):
                continue
            seen.add(name)
            plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if getattr(plain, "__doc__", None) and (inspect.isfunction(plain) or isinstance(plain, property)):
                yield name, plain


def _methods(cls: type, prefix: str, without: Iterable[str] = ()) -> Iterator[str]:
    """Yield the methods of a class, each with a heading; another name of one is told beside it."""
    shown: dict[Any, str] = {}
    aliases: dict[str, list[str]] = {}
    members = [(name, member) for name, member in _members(cls) if inspect.isfunction(member) and name not in without]
    for name, member in members:
        first = shown.setdefault(member, name)
        if first != name:
            aliases.setdefault(first, []).append(name)
    for name, member in members:
        if shown[member] != name:
            continue
        yield from ("", f"### {name}", "", _call(prefix, name, member))
        yield from _described(member, read(member))
        if name in aliases:
            yield from ("", f"Also called {', '.join(f'`{alias}`' for alias in aliases[name])}.")


def _call(prefix: str, name: str, member: Callable[..., Any]) -> str:
    """Return how a method is called: by its operator where it has one."""
    operators = {"__await__": f"await {prefix}", "__or__": f"{prefix} | other", "__invert__": f"~{prefix}"}
    if name in operators:
        return f"`{operators[name]}`"
    return _heading(prefix if name == "__call__" else f"{prefix}.{name}", member)


def _attributes(cls: type, parent: type | None = None) -> Iterator[str]:
    rows = [(_code(names), text) for names, text in read(cls).attributes]
    told = set() if parent is None else _inherited(cls, parent)
    for name, member in _members(cls):
        if isinstance(member, property) and name not in told:
            rows.append((f"`{name}`", " ".join(read(member).text)))
    yield from _table(("attribute", "meaning"), rows)


def _class(cls: type, prefix: str, parent: type | None = None) -> Iterator[str]:
    """Yield a class: how it is made, its attributes and its methods, but those it has from a parent told before."""
    documented = read(cls)
    yield from ("", f"## {cls.__name__}", "", _heading(cls.__name__, cls.__init__, returns=False))  # type: ignore[misc]
    yield from _described(cls.__init__, documented)  # type: ignore[misc]
    if parent is not None:
        yield from ("", f"Beside what follows it has what `{parent.__name__}` has.")
    yield from _attributes(cls, parent)
    yield from _methods(cls, prefix, () if parent is None else _inherited(cls, parent))


def _inherited(cls: type, parent: type) -> set[str]:
    static = inspect.getattr_static
    return {name for name, _ in _members(parent) if static(cls, name) is static(parent, name)}


def _head(title: str, text: str) -> Iterator[str]:
    yield from (
        f"# {title}",
        "",
        "<!-- Written by `python scripts/api_reference.py` from the code's docstrings. -->",
        "",
    )
    yield text


def tasks() -> Iterator[str]:
    """Yield the page of tasks."""
    yield from _head(
        "Tasks",
        "How tasks are made, called and run. [Tasks](../tasks.md) is the guide; settings stand behind many "
        "attributes; they are in the [configuration reference](configuration.md).",
    )
    yield from ("", "## Making a task", "", _heading("@app.task", Celery.task, returns=False))  # type: ignore[arg-type]
    yield from ("", _heading("@shared_task", shared_task, returns=False), "", read(Celery.task).summary)
    yield from ("", f"`shared_task`: {read(shared_task).summary[0].lower()}{read(shared_task).summary[1:]}")
    own = [
        (names, text) for names, text in read(TaskFactory.of_function).args if names not in {"function", "**options"}
    ]
    yield from _table(("option", "meaning"), ((_code(names), text) for names, text in own))
    yield from ("", "Every attribute of a task is an option as well.", "", "## Attributes")
    yield from _table(("attribute", "default", "meaning"), _task_attributes())
    yield from ("", "## Calling options", "", read(CallOptions).summary)
    types = CallOptions.__annotations__
    yield from _table(
        ("option", "type", "meaning"),
        ((f"`{name}`", f"`{_forward(types[name])}`", text) for name, text in read(CallOptions).attributes),
    )
    yield from ("", "## Task")
    for paragraph in read(Task).text:
        yield from ("", paragraph)
    yield from _attributes(Task)
    handlers = {name for name, _ in _members(TaskHandlers)}
    yield from _methods(Task, "task", without=handlers)
    yield from ("", "## Handlers")
    for paragraph in read(TaskHandlers).text:
        yield from ("", paragraph)
    yield from _methods(TaskHandlers, "task")
    yield from ("", "## The request")
    for paragraph in read(Request).text:
        yield from ("", paragraph)
    yield from _attributes(Request)
    yield from _methods(Request, "task.request")


def _forward(annotation: Any) -> str:
    return _type(getattr(annotation, "__forward_arg__", annotation))


def _task_attributes() -> Iterator[tuple[str, str, str]]:
    for name, text in read(TaskAttributes).attributes:
        value = vars(TaskAttributes)[name]
        if isinstance(value, FromSetting):
            default = f"setting `{value.name}`"
        elif isinstance(value, type):
            default = f"`{value.__name__}`"
        else:
            default = f"`{value!r}`"
        yield f"`{name}`", default, text


def work_flows() -> Iterator[str]:
    """Yield the page of the canvas."""
    yield from _head(
        "Signatures and work-flows",
        "A signature is a call that has not been made; canvases are signatures made of others. "
        "[Work-flows](../canvas.md) is the guide. What every signature has stands at `Signature` and is left out "
        "below it.",
    )
    for function in (canvas.signature, canvas.maybe_signature):
        yield from ("", f"## {function.__name__}", "", _heading(function.__name__, function))
        yield from _described(function, read(function))
    yield from _class(canvas.Signature, "sig")
    for cls in (canvas.chain, canvas.group, canvas.chord, canvas.xmap, canvas.chunks):
        yield from _class(cls, cls.__name__, canvas.Signature)
    yield from _class(canvas.xstarmap, "xstarmap", canvas.xmap)
    yield from _class(StampingVisitor, "visitor")


def results() -> Iterator[str]:
    """Yield the page of results."""
    yield from _head(
        "Results",
        "Handles of what tasks return. R is the type of the task's value, which type checkers know.",
    )
    yield from _class(async_result.AsyncResult, "result")
    yield from _class(eager.EagerResult, "result", async_result.AsyncResult)
    yield from _class(group_result.ResultSet, "results")
    yield from _class(group_result.GroupResult, "results", group_result.ResultSet)
    yield from ("", "## result_from_tuple", "", _heading("result_from_tuple", async_result.result_from_tuple))
    yield from _described(async_result.result_from_tuple, read(async_result.result_from_tuple))


def told_signals(page: str) -> str:
    """Return the page of signals, whose words are written by hand, with the table as the signals themselves have it."""
    found = [value for value in vars(signals).values() if isinstance(value, type(signals.task_prerun))]
    rows = [
        (
            f"`{one.name}`",
            getattr(one, "description", ""),
            getattr(one, "sender", "") or "—",
            ", ".join(f"`{name}`" for name in one.providing_args) or "—",
            getattr(one, "process", ""),
        )
        for one in found
    ]
    table = "\n".join(_table(("signal", "sent when", "sender", "arguments", "in"), rows)).strip()
    return re.sub(r"^\| signal \|.*?(?=\n\n|\Z)", lambda _: table, page, flags=re.DOTALL | re.MULTILINE)


#: The pages by the names of their files.
CONTENTS = {"tasks.md": tasks, "canvas.md": work_flows, "results.md": results}


def main(directory: Path) -> None:
    """Write all pages into a directory."""
    for name, lines in CONTENTS.items():
        (directory / name).write_text("\n".join(lines()) + "\n", encoding="utf-8")
    by_hand = PAGES / "signals.md"
    if by_hand.exists():
        (directory / by_hand.name).write_text(told_signals(by_hand.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
