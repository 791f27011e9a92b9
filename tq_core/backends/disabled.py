"""The backend of an application without one: it keeps nothing and says so when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from tq_core.contracts.backend import Backend, BackendCapabilities, BackendRequest, ResultRecord
from tq_core.errors import BackendError

#: What the disabled backend can do.
CAPABILITIES = BackendCapabilities(stores=False, forget=False, shared=False)


class DisabledBackend(Backend):
    """Takes results and drops them; reading one is an error that names the setting to use.

    Args:
        request: ignored; every backend is opened with one.
    """

    capabilities = CAPABILITIES

    def __init__(self, request: BackendRequest | None = None) -> None:
        pass

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Drop the records."""

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Refuse.

        Raises:
            BackendError: always.
        """
        _refuse("read a result")

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        """Refuse at once, not at the first look.

        Raises:
            BackendError: always.
        """
        _refuse("wait for a result")

    def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to forget."""

    def close(self) -> None:
        """Do nothing."""


def _refuse(what: str) -> NoReturn:
    raise BackendError(
        f"cannot {what}: no result backend is configured. Set `result_backend`, for example to"
        " 'db+sqlite:///results.db' or 'redis://localhost/0'."
    )
