"""Where the results of tasks are: in the application's backend, or in one of the task's own (``Task.backend``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.backend import Backend, ResultRecord
    from tq_core.task import Task

Item = TypeVar("Item")
Owner = TypeVar("Owner")

#: True once a task of this process has a backend of its own. Before that nobody looks from task to task.
_some_apart = False


def note_apart() -> None:
    """Note that a task has a backend of its own."""
    global _some_apart
    _some_apart = True


def some_apart() -> bool:
    """Tell whether a task of this process may have a backend of its own."""
    return _some_apart


def backend_of(app: Celery, task_name: str | None) -> Backend:
    """Return where the results of a task are: the application's backend where the task has none, or is unknown here."""
    task = app.tasks.get(task_name) if _some_apart and task_name else None
    return app.backend if task is None or task.own_backend is None else task.backend


def shares(
    default: Backend, items: Sequence[Item], owners: Sequence[Owner], task_of: Callable[[Owner], Task | None]
) -> Iterable[tuple[Backend, Sequence[Item], Sequence[Owner]]]:
    """Return what is to be stored or looked up, by backend.

    Args:
        default: the application's backend.
        items: records or ids.
        owners: what each of them belongs to.
        task_of: returns an owner's task, or None.
    """
    if not _some_apart:
        return [(default, items, owners)]
    found: dict[Backend, tuple[list[Item], list[Owner]]] = {}
    for item, owner in zip(items, owners, strict=True):
        task = task_of(owner)
        backend = default if task is None or task.own_backend is None else task.backend
        mine, theirs = found.setdefault(backend, ([], []))
        mine.append(item)
        theirs.append(owner)
    return [(backend, mine, theirs) for backend, (mine, theirs) in found.items()]


def fetch(
    default: Backend, task_ids: Sequence[str], names: Sequence[Any], tasks: Mapping[str, Task]
) -> dict[str, ResultRecord]:
    """Return what is known of tasks, by id; of those whose results are not kept nothing is.

    Args:
        default: the application's backend.
        task_ids: the tasks.
        names: what their messages say that their names are, which may be anything.
        tasks: the tasks that are known here, by name.

    Raises:
        BackendError: a backend could not be asked.
    """
    found: dict[str, ResultRecord] = {}

    def known(name: Any) -> Task | None:
        return tasks.get(name) if isinstance(name, str) else None

    for backend, mine, _ in shares(default, task_ids, names, known):
        if backend.capabilities.stores:
            found.update(backend.fetch(mine))
    return found


def store(app: Celery, records: Sequence[ResultRecord], task_names: Sequence[str]) -> None:
    """Store records of tasks, each where its results are; nothing where results are not kept.

    Args:
        app: the application.
        records: the records.
        task_names: the name of each one's task.

    Raises:
        BackendError: not all of them could be stored; storing them again is safe.
    """
    for backend, mine, _ in shares(app.backend, records, task_names, app.tasks.get):
        if backend.capabilities.stores:
            backend.store(mine)
