"""The file that keeps a second instance from starting."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import click


class PidFile:
    """A file with the id of the process that owns it.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def acquire(self) -> None:
        """Write this process's id, replacing the file of a process that is gone.

        Raises:
            click.ClickException: a living process holds the file, or it cannot be written.
        """
        try:
            self._create()
            return
        except FileExistsError:
            pass
        owner = self.owner()
        if owner is not None and owner != os.getpid():
            raise click.ClickException(
                f"--pidfile {self.path}: process {owner} holds it; stop that one first, or name another file"
            )
        try:
            self.path.unlink()
        except OSError as error:
            raise click.ClickException(f"--pidfile {self.path}: {error.strerror}") from error
        try:
            self._create()
        except FileExistsError as error:
            raise click.ClickException(f"--pidfile {self.path}: another process took it just now") from error

    def _create(self) -> None:
        # Exclusive creation: of two processes that start at once, one is refused.
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise
        except OSError as error:
            raise click.ClickException(f"--pidfile {self.path}: {error.strerror}") from error
        with os.fdopen(handle, "w") as file:
            file.write(f"{os.getpid()}\n")

    def owner(self) -> int | None:
        """Return the id of the living process that holds the file, or None."""
        try:
            pid = int(self.path.read_text().strip())
        except (OSError, ValueError):
            return None
        if sys.platform == "win32":
            return pid  # there, signal 0 is Ctrl-C and not a question; a stale file has to be deleted by hand
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return pid  # somebody else's, but alive
        except OverflowError:
            return None
        return pid

    def hand_over(self) -> None:
        """Write the id of this process, to which the owner of the file has forked."""
        try:
            self.path.write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise click.ClickException(f"--pidfile {self.path}: {error.strerror}") from error

    def release(self) -> None:
        """Delete the file if it is still this process's."""
        if self.owner() == os.getpid():
            # The process may have become a user who must not delete it; the next start replaces it then.
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
