"""A backend of its own: each result is a file in the directory that the URL names."""

from tq_core.contracts.backend import BackendCapabilities
from tq_core.plugin import PluginInfo, hookimpl

CAPABILITIES = BackendCapabilities()

info = PluginInfo(
    name="sample-backend",
    summary="Keeps results on a shelf.",
    capabilities={"backend": CAPABILITIES},
)


@hookimpl
def tq_backend(request):
    import os
    import threading
    import time
    from dataclasses import asdict
    from itertools import count
    from pathlib import Path
    from urllib.parse import quote, unquote, urlsplit

    from tq_core.contracts.backend import Backend, ResultRecord
    from tq_core.errors import BackendUnavailable, TimeoutError
    from tq_core.states import READY_STATES, SUCCESS

    serials = count()

    class ShelfBackend(Backend):
        capabilities = CAPABILITIES
        url = request.url

        def __init__(self):
            parts = urlsplit(request.url)
            self._root = Path(unquote(parts.netloc + parts.path))

        def _file(self, task_id):
            return self._root / quote(task_id, safe="")

        def store(self, records):
            batch = [(r, request.serializer.dumps(asdict(r))) for r in records]
            done = {i for i, r in self.fetch([r.task_id for r in records]).items() if r.state == SUCCESS}
            try:
                self._root.mkdir(parents=True, exist_ok=True)
                for record, data in batch:
                    if record.task_id not in done:
                        written = self._root / f".{os.getpid()}-{next(serials)}"
                        written.write_bytes(data)
                        written.replace(self._file(record.task_id))
                        if record.state == SUCCESS:
                            done.add(record.task_id)
            except OSError as error:
                raise BackendUnavailable(f"The shelf {self._root} cannot be used: {error.strerror}") from error

        def fetch(self, task_ids):
            found = {}
            for task_id in task_ids:
                try:
                    data = self._file(task_id).read_bytes()
                except FileNotFoundError:
                    continue
                found[task_id] = ResultRecord(**request.serializer.loads(data))
            return found

        def watch(self, task_ids, *, timeout, interval=0.5):
            deadline = None if timeout is None else time.monotonic() + timeout
            pending = dict.fromkeys(task_ids)
            while pending:
                for task_id, record in self.fetch(list(pending)).items():
                    if record.state in READY_STATES:
                        del pending[task_id]
                        yield record
                if pending and deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError(f"{len(pending)} results are not there after {timeout:g} s")
                if pending:
                    threading.Event().wait(min(interval, 0.05))

        def forget(self, task_ids):
            for task_id in task_ids:
                self._file(task_id).unlink(missing_ok=True)

        def close(self):
            """Do nothing: no file stays open."""

    return ShelfBackend()
