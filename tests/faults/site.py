"""One place where faults are injected: a directory, a database, worker nodes, and the ledger of what tasks did."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

#: Seconds after which waiting for something that must come is given up.
PATIENCE = 60.0
_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[1]


class Node:
    """One ``tq worker`` with all its processes, in a process group of its own.

    Args:
        directory: it runs there, and logs there.
        env: its environment.
        options: of the command line.
    """

    def __init__(self, directory: Path, env: dict[str, str], options: Sequence[str]) -> None:
        handle, name = tempfile.mkstemp(dir=directory, prefix="node-", suffix=".log")
        self.log = Path(name)
        command = [sys.executable, "-m", "tq_core.cli.main", "-A", "project", "worker", "-l", "info", *options]
        with os.fdopen(handle, "wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """True while its supervisor runs."""
        return self.process.poll() is None

    def runners(self) -> list[int]:
        """Return the process ids of its runners: the supervisor's children."""
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except OSError:
            return []
        return [int(word) for word in text.split()]

    def ready(self) -> Node:
        """Wait until it says that it is ready.

        Raises:
            AssertionError: it ended or stayed silent; its log is the message.
        """
        assert wait_until(lambda: " ready." in self.text or not self.alive), self.text
        assert " ready." in self.text, self.text
        return self

    def signal(self, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the supervisor, or to every process of the node."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(self.process.pid, number)

    def kill(self) -> None:
        """Kill every process of the node at once, and wait for the supervisor."""
        self.signal(signal.SIGKILL, everyone=True)
        self.process.wait()

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Return the exit code, or None when it still lives after ``seconds``."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class Site:
    """A client, a database and nodes, alone in a temporary directory; a context manager.

    Args:
        settings: environment of the project: ``LEASE``, ``BUSY`` … without their prefix.
        database: path of the SQLite file; one in the directory when None.
    """

    def __init__(self, database: Path | None = None, **settings: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tq-faults-"))
        self.database = database or self.directory / "queue.db"
        self.ledger = self.directory / "ledger"
        self.nodes: list[Node] = []
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "plugins/tq_sqlalchemy/src"), os.environ.get("PYTHONPATH", "")])
        self.env = {
            **os.environ,
            "FAULTS_URL": f"sqlite:///{self.database}",
            "FAULTS_LEDGER": str(self.ledger),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            **{f"FAULTS_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.project: ModuleType = self._load()

    def _load(self) -> ModuleType:
        for name in ("project", "mischief"):
            shutil.copy(_FOLDER / f"{name}.py", self.directory / f"{name}.py")
        old = {name: os.environ.get(name) for name in self.env if name.startswith("FAULTS_")}
        os.environ.update({name: self.env[name] for name in old})
        try:
            spec = importlib.util.spec_from_file_location("project", self.directory / "project.py")
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules["project"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            mischief = importlib.util.spec_from_file_location("mischief", self.directory / "mischief.py")
            assert mischief is not None
            assert mischief.loader is not None
            tricks = sys.modules["mischief"] = importlib.util.module_from_spec(mischief)
            mischief.loader.exec_module(tricks)
            module.mischief = tricks  # type: ignore[attr-defined]  # the tasks beside the tasks
            return module
        finally:
            for name, value in old.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *raised: object) -> None:
        for node in self.nodes:
            node.kill()
        with contextlib.suppress(Exception):  # its database may be the very thing that was broken
            self.project.app.close()
        for name in ("project", "mischief"):
            sys.modules.pop(name, None)
        shutil.rmtree(self.directory, ignore_errors=True)

    def node(self, *options: str, env: dict[str, str] | None = None, ready: bool = True) -> Node:
        """Start a worker node; each gets a name of its own."""
        name = f"node{len(self.nodes)}@faults"
        node = Node(self.directory, {**self.env, **(env or {})}, ["-n", name, *options])
        self.nodes.append(node)
        return node.ready() if ready else node

    def entries(self) -> Iterator[tuple[str, str, int, float]]:
        """Yield what tasks noted: word, number, process id, time."""
        try:
            lines = self.ledger.read_text().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            word, number, pid, moment = line.split()
            yield word, number, int(pid), float(moment)

    def count(self, word: str) -> Counter[str]:
        """Return how often each number was noted with ``word``."""
        return Counter(number for said, number, _, _ in self.entries() if said == word)

    def states(self, results: Sequence[object]) -> Counter[str]:
        """Return how many results are in which state."""
        ids = [result.id for result in results]  # type: ignore[attr-defined]  # AsyncResult
        found = self.project.app.backend.fetch(ids)
        return Counter(found[task_id].state if task_id in found else "PENDING" for task_id in ids)

    def finished(self, results: Sequence[object], seconds: float = PATIENCE) -> bool:
        """Wait until every result has a final state."""
        ready = ("SUCCESS", "FAILURE", "REVOKED")

        def done() -> bool:
            states = self.states(results)
            return sum(states[name] for name in ready) == len(results)

        return wait_until(done, seconds, every=0.05)


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE, every: float = 0.01) -> bool:
    """Look every so often until a condition holds; False after ``seconds``.

    Faults leave nobody who could tell, so the suite looks; how long something took is as fine as ``every``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
