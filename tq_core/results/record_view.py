"""What a handle tells of its task: all that is read out of the stored record, for every kind of handle."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from tq_core import states
from tq_core.results.values import value_of

if TYPE_CHECKING:
    from tq_core.contracts.backend import ResultRecord


class RecordView:
    """A task's state, value and further fields; a child class says where its record is."""

    __slots__ = ()

    @abstractmethod
    def _fetched(self) -> ResultRecord | None:
        """Return the newest record there is, or None."""

    @property
    def state(self) -> str:
        """The newest state; PENDING when nothing is known."""
        record = self._fetched()
        return states.PENDING if record is None else record.state

    @property
    def status(self) -> str:
        """As :attr:`state`."""
        return self.state

    @property
    def result(self) -> Any:
        """The value, the exception of a failure, or the metadata of another state; None when nothing is known."""
        record = self._fetched()
        return None if record is None else value_of(record)

    @property
    def info(self) -> Any:
        """As :attr:`result`."""
        return self.result

    @property
    def traceback(self) -> str | None:
        """The worker's traceback as text, or None."""
        record = self._fetched()
        return None if record is None else record.traceback

    @property
    def date_done(self) -> Any:
        """When it ended, as an aware datetime; None before that."""
        record = self._fetched()
        if record is None or record.date_done is None:
            return None
        from datetime import datetime, timezone

        moment = datetime.fromisoformat(record.date_done)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)

    @property
    def name(self) -> str | None:
        """Name of the task (``result_extended``)."""
        found: str | None = self._extended("name")
        return found

    @property
    def args(self) -> Any:
        """Positional arguments (``result_extended``)."""
        return self._extended("args")

    @property
    def kwargs(self) -> Any:
        """Keyword arguments (``result_extended``)."""
        return self._extended("kwargs")

    @property
    def worker(self) -> str | None:
        """Node name of the worker (``result_extended``)."""
        found: str | None = self._extended("worker")
        return found

    @property
    def retries(self) -> int | None:
        """Number of retries (``result_extended``)."""
        found: int | None = self._extended("retries")
        return found

    @property
    def queue(self) -> str | None:
        """The queue it came from (``result_extended``)."""
        found: str | None = self._extended("queue")
        return found

    def ready(self) -> bool:
        """Tell whether the task has ended."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Tell whether the task ended without an error."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Tell whether the task failed."""
        return self.state == states.FAILURE

    def exists(self) -> bool:
        """Tell whether anything is known of this id."""
        return self._fetched() is not None

    def supports_native_join(self) -> bool:
        """True: waiting for many results costs one watch on every backend."""
        return True

    def _extended(self, field: str) -> Any:
        record = self._fetched()
        return None if record is None else record.extended.get(field)
