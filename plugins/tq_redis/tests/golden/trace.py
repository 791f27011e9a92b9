"""What a Redis is told, written so that two recordings of the same deeds are equal.

A trace has sections, one for each deed. A line is a command with its arguments, each as JSON. What differs from run to
run is replaced: ids by ``<id1>``, ``<id2>`` … in the order of their appearance in the section, times, host names and
delivery tags by their kind. Bodies of messages are decoded. The text of scripts is left out; what scripts do is there.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tq_core.testing.conformance.patience import until

#: A section's commands: name and arguments.
Commands = list[list[Any]]

#: Commands that change something, or tell somebody something; no others are kept.
KEPT = frozenset(
    [
        "LPUSH",
        "RPUSH",
        "HSET",
        "HDEL",
        "ZADD",
        "ZREM",
        "SET",
        "SETEX",
        "PSETEX",
        "PUBLISH",
        "SADD",
        "SREM",
        "DEL",
        "UNLINK",
        "INCR",
        "INCRBY",
        "EXPIRE",
        "PEXPIRE",
    ]
)
_MARK = "tq-section:"
#: Heartbeats, and the listening to them, come whenever they come.
_EVENTS = (b"/0.celeryev/", b"_kombu.binding.celeryev")
_LINE = re.compile(rb'^\+\d+\.\d+ \[\d+ [^\]]*\] (".*")\r\n$', re.DOTALL)
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
_TIME = re.compile(r"^1[5-9]\d{8}(\.\d+|\d{3})?$")
_SENDER = re.compile(r"gen\d+@[\w.-]+")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class Monitor:
    """Listens to everything a Redis is told. Any thread may mark sections.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._place = (str(address.hostname), int(address.port or 6379))
        self._socket = socket.create_connection(self._place, timeout=60)
        self._socket.sendall(b"MONITOR\r\n")
        self._file = self._socket.makefile("rb")
        assert self._file.readline() == b"+OK\r\n"
        self._lines: list[list[bytes]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for line in self._file:
                match = _LINE.match(line)
                if match:
                    self._lines.append([_unescaped(word) for word in _ARGUMENT.findall(match[1])])
        except (OSError, ValueError):
            return  # closed

    def mark(self, name: str) -> None:
        """Begin a section; returns when everything before it has been heard."""
        mark = (_MARK + name).encode()
        with closing(socket.create_connection(self._place)) as caller:
            caller.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(mark), mark))
            caller.recv(4096)
        until(lambda: [b"ECHO", mark] in self._lines, "the monitor does not hear the server")

    def sections(self) -> dict[str, Commands]:
        """Return what was heard so far, normalised."""
        found: dict[str, Commands] = {}
        commands: Commands | None = None
        normal = Normal()
        for words in self._lines:
            if words[0] == b"ECHO" and words[1].startswith(_MARK.encode()):
                name = words[1].decode()[len(_MARK) :]
                commands, normal = found.setdefault(name, []), Normal()
            elif commands is not None and words[0].decode().upper() in KEPT and not words[1].startswith(_EVENTS):
                commands.append([words[0].decode().upper(), *map(normal.argument, words[1:])])
        return found

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _unescaped(text: bytes) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        return _ESCAPES.get(match[2], match[2])

    return re.sub(rb"\\(?:x([0-9a-f]{2})|(.))", one, text)


class Normal:
    """Replaces what differs from run to run, the same id always by the same name."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def argument(self, raw: bytes) -> Any:
        """Return an argument as JSON can hold it."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return f"<{len(raw)} bytes>"
        if text[:1] in "{[" and text:
            try:
                return self.value(json.loads(text))
            except ValueError:
                pass
        return "<time>" if _TIME.match(text) else self.text(text)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a value of JSON; ``name`` is the key it stands under."""
        if isinstance(value, dict):
            if isinstance(value.get("body"), str) and "properties" in value:
                value = {**value, "body": self._body(value)}
            return {self.text(key): self.value(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        if name == "delivery_tag":
            return "<tag>"
        if name == "clock":
            return "<clock>"
        if name == "traceback" and value:
            return "<traceback>"
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float) and _TIME.match(str(value)):
            return "<time>"
        return value

    def _body(self, envelope: Mapping[str, Any]) -> Any:
        properties = envelope["properties"]
        text = envelope["body"]
        if properties.get("body_encoding") == "base64":
            try:
                text = base64.b64decode(text).decode()
            except ValueError:
                return "<binary>"
        return json.loads(text) if envelope.get("content-type") == "application/json" else text

    def text(self, text: str) -> str:
        """Return a text."""
        text = _ID.sub(lambda match: self._ids.setdefault(match[0], f"<id{len(self._ids) + 1}>"), text)
        text = _ISO.sub("<iso>", text)
        return _SENDER.sub("gen<pid>@<host>", text)


def write(path: Path, heading: str, sections: Mapping[str, Commands]) -> None:
    """Write a trace."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    for name, commands in sections.items():
        lines += ["", f"## {name}"]
        lines += [" ".join([command, *map(_shown, arguments)]) for command, *arguments in commands]
    path.write_text("\n".join(lines) + "\n")


def _shown(argument: Any) -> str:
    return json.dumps(argument, ensure_ascii=True)


def read(path: Path) -> dict[str, Commands]:
    """Read a trace."""
    sections: dict[str, Commands] = {}
    commands: Commands = []
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            commands = sections[line[3:]] = []
        elif line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            commands.append([name, *_arguments(rest)])
    return sections


def _arguments(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        argument, at = decoder.raw_decode(text, at)
        at += 1  # the space between two
        yield argument


def written(commands: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return what was written, by kind and key: ``list celery``, ``string celery-task-meta-<id1>`` …"""
    found: dict[str, list[Any]] = {}
    for name, key, *rest in commands:
        for kind, value in _values(name, rest):
            found.setdefault(f"{kind} {key}", []).append(value)
    return found


def _values(name: str, rest: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    if name in ("LPUSH", "RPUSH"):
        yield from (("list", value) for value in rest)
    elif name == "HSET":
        yield from (("hash", value) for value in rest[1::2])
    elif name == "ZADD":
        numbers = [word for word in rest if word not in ("XX", "NX", "GT", "LT", "CH")]
        yield from (("sorted set", [score, "<member>" if isinstance(member, str) else member])
                    for score, member in zip(numbers[::2], numbers[1::2], strict=True))  # fmt: skip
    elif name == "SETEX":
        yield "string", rest[1]
    elif name == "SET":
        yield "string", rest[0]
    elif name == "PUBLISH":
        yield "channel", rest[0]
    elif name == "SADD":
        yield from (("set", value) for value in rest)
