"""Running in the background, as another user."""

from __future__ import annotations

import os
import sys

import click


def detach(logfile: str | None) -> None:
    """Go on in a process of its own session without a terminal; the process that was started exits with 0.

    Args:
        logfile: where standard output and error go from now on; nowhere when None.

    Raises:
        click.UsageError: this platform cannot.
    """
    if not hasattr(os, "fork"):
        raise click.UsageError("--detach needs a platform with fork(); use a service manager here")
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    # The second fork: a session leader could get a controlling terminal again by opening one.
    if os.fork():
        os._exit(0)
    output = os.open(logfile or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    source = os.open(os.devnull, os.O_RDONLY)
    for descriptor, replacement in ((0, source), (1, output), (2, output)):
        os.dup2(replacement, descriptor)


def become(uid: str | None, gid: str | None, umask: str | None) -> None:
    """Change group, user and umask of this process, in that order.

    Args:
        uid: name or number of a user; its own group comes with it unless ``gid`` is given.
        gid: name or number of a group.
        umask: octal number.

    Raises:
        click.UsageError: there is no such user or group, it is not allowed, or the umask is no number.
    """
    if umask is not None:
        try:
            os.umask(int(str(umask), 8))
        except ValueError as error:
            raise click.UsageError(f"--umask {umask}: an octal number such as 022 is expected") from error
    if uid is None and gid is None:
        return
    import grp
    import pwd

    user = None
    try:
        user = _user(uid, pwd) if uid is not None else None
        group = _group(gid, grp) if gid is not None else (user[1] if user else None)
    except KeyError as error:
        found_user = uid is None or user is not None
        wrong = f"--gid {gid}: there is no such group" if found_user else f"--uid {uid}: there is no such user"
        raise click.UsageError(wrong) from error
    try:
        if group is not None and group != os.getgid():
            os.setgid(group)
        if user is not None and user[0] != os.getuid():
            os.initgroups(user[2], group if group is not None else user[1])
            os.setuid(user[0])
    except PermissionError as error:
        raise click.UsageError(
            f"--uid {uid} --gid {gid}: only root may become another user; start it as root, or leave the option out"
        ) from error


def _user(uid: str, pwd: object) -> tuple[int, int, str]:
    entry = pwd.getpwuid(int(uid)) if uid.isdigit() else pwd.getpwnam(uid)  # type: ignore[attr-defined]  # the module
    return entry.pw_uid, entry.pw_gid, entry.pw_name


def _group(gid: str, grp: object) -> int:
    entry = grp.getgrgid(int(gid)) if gid.isdigit() else grp.getgrnam(gid)  # type: ignore[attr-defined]  # the module
    number: int = entry.gr_gid
    return number
