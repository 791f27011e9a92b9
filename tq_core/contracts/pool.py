"""The contract of a pool: how one runner runs its jobs.

A worker is a supervisor and some runner processes; each runner has one pool with some slots. The runner's transport
thread feeds the pool with :meth:`Pool.submit`; the runner's main thread sits in :meth:`Pool.serve`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from tq_core.contracts.capability import capability


@dataclass(frozen=True, slots=True)
class PoolCapabilities:
    """What a pool can do to a running task."""

    soft_limit: bool = capability("Raises SoftTimeLimitExceeded inside a task at its soft time limit.")
    hard_limit: bool = capability("Frees the slot of a task at its hard limit without harming the others.")
    isolated: bool = capability("One task at a time in a process, so that killing the process ends just that task.")
    cancel: bool = capability("A running task can be cancelled.")
    coroutines: bool = capability("async def tasks share one event loop and one thread; each holds a slot.")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a concurrency is spread: ``processes`` runners of ``slots`` slots each."""

    processes: int
    slots: int


class Job(Protocol):
    """What a pool sees of a task to run."""

    @property
    def task_id(self) -> str:
        """The task's id."""

    @property
    def task_name(self) -> str:
        """The task's name."""

    @property
    def soft_time_limit(self) -> float | None:
        """Seconds after which ``SoftTimeLimitExceeded`` is to be raised inside the task."""

    @property
    def time_limit(self) -> float | None:
        """Seconds after which the task is to be stopped."""

    @property
    def is_coroutine(self) -> bool:
        """True for an ``async def`` task."""

    @property
    def interruptible(self) -> bool:
        """True while the task's own code runs: only then may an error be raised in it."""

    @property
    def throw(self) -> Callable[[type[BaseException]], None] | None:
        """Raises an error where the task's coroutine awaits, from any thread; None while no coroutine of it lives.

        For the times when the task is not ``interruptible``: then its thread is in the event loop, where nothing may
        be raised.
        """


class Execution(Protocol):
    """How a pool runs a job. Never raises: whatever the task does ends as an outcome."""

    def run(self, job: Any) -> Any:
        """Run a job in the calling thread, from slot bookkeeping to outcome, and return the outcome.

        An ``async def`` task runs on an event loop that the thread keeps; its code is stepped in this thread.
        """

    def run_coroutine(self, job: Any) -> Coroutine[Any, Any, Any]:
        """Return a coroutine that runs an ``async def`` job in the running loop and returns the outcome.

        For pools with the ``coroutines`` capability. To be awaited once, by an asyncio task of its own, from whose
        cancellation nothing is concluded: a job is ended by its ``throw``.
        """

    def interrupted(self, job: Any, error: BaseException) -> Any:
        """Return the outcome of a job that an interrupt hit after its code had ended."""


class Pool(ABC):
    """Runs jobs in the slots of one runner."""

    name: ClassVar[str]
    capabilities: ClassVar[PoolCapabilities]
    #: Concurrency when nobody says one; None for the number of processors.
    usual_concurrency: ClassVar[int | None] = None

    @classmethod
    @abstractmethod
    def layout(cls, concurrency: int, processes: int | None) -> Layout:
        """Spread ``-c concurrency`` (and ``--processes``, None when not given) over processes and slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    @abstractmethod
    def start(self, execution: Execution, report: Callable[[Any, Any], None]) -> None:
        """Make ready, in the runner's main thread.

        Args:
            execution: runs a job.
            report: called once for each job, with its outcome, as soon as it ended, in whichever thread it ran;
                quick, never raises.
        """

    @abstractmethod
    def serve(self) -> None:
        """Occupy the main thread until :meth:`stop`; a solo pool runs its jobs here."""

    @abstractmethod
    def submit(self, jobs: Sequence[Any]) -> None:
        """Queue jobs to run in order. Called by the transport thread; never blocks."""

    @abstractmethod
    def withdraw(self) -> list[Any]:
        """Take back the queued jobs that have not started, in order. Called by the transport thread."""

    @abstractmethod
    def queued(self) -> int:
        """Return how many submitted jobs have not started."""

    @abstractmethod
    def cancel(self, job: Any, error: type[BaseException]) -> bool:
        """Raise ``error`` inside a running job; False when it does not run here or cannot be interrupted."""

    def abandon(self, job: Any) -> bool:
        """Give up a running job that cannot be interrupted and free its slot (``hard_limit``).

        Returns:
            True when the caller now decides the job's outcome and the pool will never report it; False when it
            does not run here.
        """
        return False

    @abstractmethod
    def resize(self, slots: int) -> None:
        """Have ``slots`` slots from now on; running jobs finish first."""

    @abstractmethod
    def stop(self) -> None:
        """Let :meth:`serve` return once the running and queued jobs ended. May be called from any thread, and twice."""


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """What a ``tq_pool`` hook is given.

    Attributes:
        name: the pool's name as configured.
    """

    name: str
