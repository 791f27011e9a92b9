"""``--watch``: a worker that starts anew when its source changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

#: Files whose change counts.
SUFFIXES = (".py", ".pyi", ".yaml", ".yml", ".toml")
#: Milliseconds between looks at whether the worker still runs.
_LOOK = 500
_FORWARDED = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2")
_ENDING = frozenset({"SIGTERM", "SIGINT", "SIGQUIT"})


class WatchedWorker:
    """Runs a command as a child process, and anew after each change of a source file.

    Signals are passed on to the child; those that end a worker also end the watch, with the child's exit code. A
    child that ended by itself with an error is started again after the next change.

    Args:
        arguments: of ``tq``, without ``--watch``.
        directory: watched with everything below it.
        quiet: say nothing.
    """

    def __init__(self, arguments: Sequence[str], directory: str | Path = ".", *, quiet: bool = False) -> None:
        self._command = [sys.executable, "-m", "tq_core.cli.main", *arguments]
        self._directory = Path(directory).resolve()
        self._quiet = quiet
        self._ended = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run until a signal ends it, and return the child's exit code. In the main thread.

        Raises:
            click.UsageError: watchfiles is not installed.
        """
        try:
            import watchfiles
        except ImportError as error:
            raise click.UsageError("--watch needs watchfiles: pip install 'tq-core[watch]'") from error

        changes = watchfiles.watch(
            self._directory,
            watch_filter=_SourceFilter(),
            stop_event=self._ended,
            rust_timeout=_LOOK,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for name in _FORWARDED:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._forward)
        try:
            return self._supervise(changes)
        finally:
            self._stop_child()

    def _supervise(self, changes: Iterable[set[tuple[Any, str]]]) -> int:
        self._start_child()
        reported = False
        for changed in changes:
            child = self._child
            if child is None:
                break
            if changed:
                names = sorted({os.path.relpath(path, self._directory) for _, path in changed})
                self._say(f"Changed: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}; the worker starts anew")
                self._stop_child()
                if self._ended.is_set():
                    break
                self._start_child()
                reported = False
            elif child.poll() is not None and not reported:
                if child.returncode == 0:
                    return 0
                reported = True
                self._say(f"The worker ended with exit code {child.returncode}; it starts anew after the next change")
        return self._child.wait() if self._child is not None else 0

    def _start_child(self) -> None:
        # A session of its own: Ctrl-C reaches the child once, through the forwarding, and not twice.
        self._child = subprocess.Popen(self._command, start_new_session=True)

    def _stop_child(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._child.wait()

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        if signal.Signals(signum).name in _ENDING:
            self._ended.set()
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signum)

    def _say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, err=True)


class _SourceFilter:
    """Lets changes of source files through, but not those of caches and virtual environments."""

    _IGNORED = frozenset({"__pycache__", "node_modules", "site-packages", ".git", ".venv", "venv", ".tox"})

    def __call__(self, change: object, path: str) -> bool:
        return path.endswith(SUFFIXES) and self._IGNORED.isdisjoint(Path(path).parts)


def without_watch(arguments: Sequence[str]) -> list[str]:
    """Return a command line without ``--watch``, for the child."""
    return [argument for argument in arguments if argument != "--watch"]
