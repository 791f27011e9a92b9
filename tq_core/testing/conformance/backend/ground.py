"""What the checks of a backend stand on: backends, records and chord parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.errors import TQError
from tq_core.states import FAILURE, REVOKED, SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.promises import Conformance

DONE = "2026-01-02T03:04:05.678901+00:00"
_numbers = itertools.count(1)


def record(task_id: str = "", state: str = SUCCESS, result: Any = 42, **fields: Any) -> ResultRecord:
    """Make a record with a unique id."""
    if state in (SUCCESS, FAILURE, REVOKED):
        fields.setdefault("date_done", DONE)
    return ResultRecord(task_id or f"t{next(_numbers)}", state, result, **fields)


def failure(kind: str = "ValueError", *arguments: Any) -> dict[str, Any]:
    """Return the result of a record whose task raised a built-in error."""
    return {"exc_type": kind, "exc_message": list(arguments), "exc_module": "builtins"}


class BackendGround(Conformance):
    """The fixtures of every backend check.

    Override ``address``, or ``backend`` (and ``other`` where it is ``shared``, ``short_lived`` where records
    expire). Results are written as JSON.
    """

    contract: ClassVar[str] = "backend"

    @pytest.fixture
    def address(self) -> Address | None:
        """Where the plugin is, for checks that open it in other processes; None leaves those out."""
        return None

    @pytest.fixture
    def backend(self, address: Address | None) -> Iterator[Backend]:
        """A backend; to be overridden where there is no ``address``."""
        if address is None:
            raise NotImplementedError("override the fixture `address`, or `backend`")
        backend = address.backend()
        yield backend
        backend.close()

    @pytest.fixture
    def other(self, backend: Backend, address: Address | None) -> Iterator[Backend]:
        """A second connection to the same store; the same one where the backend is not ``shared``."""
        if address is None or not backend.capabilities.shared:
            yield backend
            return
        other = address.backend()
        yield other
        other.close()

    @pytest.fixture
    def short_lived(self, address: Address | None) -> Iterator[Backend]:
        """A backend whose results live half a second; to be overridden where there is no ``address``."""
        if address is None:
            pytest.skip("no fixture `short_lived` with a backend whose results expire")
        backend = address.backend(result_expires=0.5)
        yield backend
        backend.close()

    _used: set[str]

    @pytest.fixture(autouse=True)
    def _clean(self, _only_what_is_declared: None, backend: Backend) -> Iterator[None]:
        """Leave nothing behind in a store that may be shared."""
        self._used = set()
        yield
        able = backend.capabilities
        with suppress(TQError):  # the check may have closed it, or cut its connection
            if able.forget:
                backend.forget(sorted(self._used))
            if able.groups:
                backend.delete_group(self.name("g"))
            if able.chords:
                for word in ("a", "b", "c"):
                    backend.close_chord(self.name(word))

    def name(self, word: str) -> str:
        """Return an id of this check; what is stored under it is forgotten afterwards."""
        name = super().name(word)
        self._used.add(name)
        return name

    def names(self, *words: str) -> list[str]:
        """Return several ids."""
        return [self.name(word) for word in words]

    def record(self, word: str = "", state: str = SUCCESS, result: Any = 42, **fields: Any) -> ResultRecord:
        """Make a record of this check's."""
        return record(self.name(word or f"t{next(_numbers)}"), state, result, **fields)

    def part(self, word: str, index: int, **fields: Any) -> ChordPart:
        """Make a successful part of the chord ``word``, whose result is its index."""
        group = self.name(word)
        values = {"task_id": f"{group}-{index}", "state": SUCCESS, "result": index} | fields
        return ChordPart(group_id=group, index=index, **values)  # type: ignore[arg-type]  # values are as named


def listed(value: Any) -> Any:
    """Turn tuples into lists all the way down: text formats know no tuples."""
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value
