"""Records as rows of Celery's result table, and back."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from io import BytesIO
from typing import Any

from tq_core.contracts.backend import ResultRecord
from tq_core.contracts.serializer import Serializer
from tq_core.errors import ContentDisallowed, DecodeError
from tq_core.states import READY_STATES

#: What every version of the table has, and what it may have besides.
ALWAYS = ("task_id", "status", "result", "date_done", "traceback")
LATER = ("children", "name", "args", "kwargs", "worker", "retries", "queue", "stamps")

PICKLE = "application/x-python-serialize"
#: Read by every Python that Celery 5 runs on.
PICKLE_PROTOCOL = 4
_PLAIN = ("name", "worker", "retries", "queue")
_ENCODED = ("args", "kwargs")
_NAMED = frozenset((*_PLAIN, *_ENCODED, "stamped_headers"))


def naive_utc(moment: datetime) -> str:
    """Write a moment the way SQLAlchemy writes a DateTime into SQLite."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")


class NotPlain(Exception):
    """A pickle names a class or a function."""


class PlainUnpickler(pickle.Unpickler):
    """Reads pickles of plain values: numbers, texts, bytes, and lists, maps and the like of them.

    A pickle is dangerous by the functions it names. One that names any is refused, so that whoever wrote it can make
    nothing run here.
    """

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise NotPlain(f"{module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> Any:
        raise NotPlain("a reference to something outside")


class ResultCodec:
    """Turns records into rows with the columns a table really has.

    Args:
        serializer: writes results; reads all but pickles.
        accept: content types that may be read.
        columns: the table's columns.
        pickled: results are pickled, as Celery up to 5.6 does and expects it; pickles of plain values are read
            whatever is accepted.
    """

    def __init__(
        self, serializer: Serializer, accept: Collection[str], columns: Collection[str], *, pickled: bool = False
    ) -> None:
        self._serializer = serializer
        self._accept = accept
        self._pickled = pickled
        self._dumps = self._pickle if pickled else serializer.dumps
        self.columns = (*ALWAYS, *(name for name in LATER if name in columns))
        self._later = self.columns[len(ALWAYS) :]

    def row_of(self, record: ResultRecord, now: str) -> tuple[Any, ...]:
        """Turn a record into values in the order of ``columns``.

        Args:
            record: what to keep.
            now: the moment of writing, for a record that is not done: expiry goes by this column.

        Raises:
            EncodeError: its result cannot be serialized.
        """
        done = record.date_done
        if done is None:
            done = now
        elif len(done) == 32 and done.endswith("+00:00"):
            done = f"{done[:10]} {done[11:26]}"
        else:
            moment = datetime.fromisoformat(done.replace("Z", "+00:00"))
            done = naive_utc(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc))
        row = (record.task_id, record.state, self._dumps(record.result), done, record.traceback)
        if not self._later:
            return row
        return row + tuple([self._later_of(name, record) for name in self._later])

    def _pickle(self, value: Any) -> bytes:
        # The serializer says what a result may be and what comes back; the pickle is how it travels.
        return pickle.dumps(self._serializer.loads(self._serializer.dumps(value)), PICKLE_PROTOCOL)

    def _later_of(self, name: str, record: ResultRecord) -> Any:
        extended = record.extended
        if name == "children":
            return self._serializer.dumps(list(record.children)) if record.children else None
        if name == "stamps":
            stamps = {key: extended[key] for key in extended if key not in _NAMED}
            headers = extended.get("stamped_headers")
            if not stamps and not headers:
                return None
            return self._serializer.dumps({"stamped_headers": headers, "stamps": stamps})
        given = extended.get(name)
        if name in _PLAIN or given is None:
            return given
        return self._serializer.dumps(given)

    def record_of(self, row: Sequence[Any]) -> ResultRecord:
        """Read a row back.

        Raises:
            ContentDisallowed: the result was pickled, and pickles are not accepted.
            DecodeError: the result cannot be read.
        """
        task_id, state, result, done, traceback = row[:5]
        children: Sequence[Any] = ()
        extended: dict[str, Any] = {}
        for name, given in zip(self._later, row[5:]):  # noqa: B905  # zip(strict=) costs, and the lengths are equal by construction
            if given is None:
                continue
            if name == "children":
                children = self.loads(given, task_id)
            elif name == "stamps":
                stamps = self.loads(given, task_id)
                if isinstance(stamps, dict):
                    extended["stamped_headers"] = stamps.get("stamped_headers")
                    extended.update(stamps.get("stamps") or {})
            else:
                extended[name] = given if name in _PLAIN else self.loads(given, task_id)
        if isinstance(done, datetime):
            done = done.isoformat(" ", "microseconds")
        done = f"{done.replace(' ', 'T')}+00:00" if done and state in READY_STATES else None
        value = None if result is None else self.loads(result, task_id)
        return ResultRecord(task_id, state, value, traceback, children, done, extended=extended)

    def loads(self, data: bytes | str, task_id: str) -> Any:
        """Read one value; Celery up to 5.6 pickled them all, whatever the serializer."""
        encoded = data.encode() if isinstance(data, str) else bytes(data)
        if encoded[:1] != b"\x80" or len(encoded) == 1:
            return self._serializer.loads(encoded)
        accepted = PICKLE in self._accept
        try:
            if self._pickled and not accepted:
                return PlainUnpickler(BytesIO(encoded)).load()
            if accepted:
                return pickle.loads(encoded)
        except NotPlain as error:
            raise ContentDisallowed(
                f"The result of {task_id} is a pickle that names {error}; add 'pickle' to result_accept_content if you "
                "trust whoever writes to this database"
            ) from None
        except Exception as error:  # unpickling may raise anything
            raise DecodeError(f"The result of {task_id} cannot be unpickled: {error!r}") from error
        raise ContentDisallowed(
            f"The result of {task_id} is a pickle. Where Celery up to 5.6 writes results, set shared_with in "
            "result_backend_transport_options, which reads plain values; or add 'pickle' to result_accept_content if "
            "you trust whoever writes to this database"
        )
