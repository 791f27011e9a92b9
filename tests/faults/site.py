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
#: Seconds by which the result of a task that has ended is stored, on a machine that is busy.
_UNSTORED = 0.1
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
    """A client and nodes, alone in a temporary directory; a context manager.

    Args:
        url: of the broker, and of the result backend unless that is elsewhere.
        client_url: where the client publishes, if it takes another way; it reads results directly all the same.
        results: where results are kept, if that is elsewhere.
        settings: environment of the project: ``LEASE``, ``BUSY`` … without their prefix.
    """

    def __init__(self, url: str, client_url: str | None = None, results: str | None = None, **settings: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tq-faults-"))
        self.url = url
        self._client_url = client_url or url
        self._results = results or url
        self.ledger = self.directory / "ledger"
        self.nodes: list[Node] = []
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "plugins/tq_sqlalchemy/src"), os.environ.get("PYTHONPATH", "")])
        self.env = {
            **os.environ,
            "FAULTS_URL": url,
            "FAULTS_LEDGER": str(self.ledger),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            **({"FAULTS_RESULTS": results} if results else {}),
            **{f"FAULTS_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.project: ModuleType = self._load()

    def _load(self) -> ModuleType:
        for name in ("project", "mischief"):
            shutil.copy(_FOLDER / f"{name}.py", self.directory / f"{name}.py")
        env = {name: value for name, value in self.env.items() if name.startswith("FAULTS_")}
        env |= {"FAULTS_URL": self._client_url, "FAULTS_RESULTS": self._results}
        old = {name: os.environ.get(name) for name in env}
        os.environ.update(env)
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
            text = self.ledger.read_text()
        except FileNotFoundError:
            return
        # Whoever reads beside a writer may see the beginning of its line.
        for line in text[: text.rfind("\n") + 1].splitlines():
            word, number, pid, moment = line.split()
            yield word, number, int(pid), float(moment)

    def count(self, word: str) -> Counter[str]:
        """Return how often each number was noted with ``word``."""
        return Counter(number for said, number, _, _ in self.entries() if said == word)

    def needlessly_repeated(self, kills: Sequence[float]) -> set[str]:
        """Return the numbers of tasks that ended twice though no kill came soon after they had ended first.

        Args:
            kills: when somebody was killed, Unix time. Between a task's own last line and the storing of its result
                there is always a moment, and who dies in it leaves a task that has to run again.
        """
        ends: dict[str, list[float]] = {}
        for word, number, _, moment in self.entries():
            if word == "end":
                ends.setdefault(number, []).append(moment)
        return {
            number
            for number, moments in ends.items()
            if len(moments) > 1 and not any(-0.01 <= kill - min(moments) <= _UNSTORED for kill in kills)
        }

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

        # A few are soon looked up.
        return wait_until(done, seconds, every=0.01 if len(results) < 20 else 0.05)


def memory_of(pid: int, kind: str = "VmRSS") -> int:
    """Return the resident memory of a process in KiB, or with ``VmHWM`` the most it ever was; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1])
    return 0


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
