"""What type checkers find in a user's program: the types it promises, its mistakes, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("program.py")

_PROMISE = re.compile(r"reveal_type\(.*\)  # (?P<type>.+)$")
_MISTAKE = re.compile(r"  # wrong(?: for (?P<checker>\w+))?$")


@dataclass
class Findings:
    """What a checker says, or is to say, of a program.

    Attributes:
        types: the types that it reveals, by line.
        errors: the lines with errors, with what is wrong where that is known.
    """

    types: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)


def promised(checker: str) -> Findings:
    found = Findings()
    for number, line in enumerate(PROGRAM.read_text().splitlines(), 1):
        if promise := _PROMISE.search(line):
            found.types[number] = promise["type"]
        elif (mistake := _MISTAKE.search(line)) and mistake["checker"] in {None, checker}:
            found.errors[number] = line.strip()
    return found


def _said(command: list[str], directory: Path) -> str:
    program = directory / "program.py"
    program.write_text(PROGRAM.read_text())
    ended = subprocess.run([*command, program.name], cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    return ended.stdout


def mypy(directory: Path) -> Findings:
    """Run mypy, strict, over a copy of the program that lies in a user's directory."""
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version=3.10", "--no-error-summary"]
    found = Findings()
    for line in _said([*command, "--hide-error-context"], directory).splitlines():
        place = re.match(r"program\.py:(\d+): (note|error): (.*)", line)
        assert place, line
        number, text = int(place[1]), place[3]
        if revealed := re.match(r'Revealed type is "(.*)"', text):
            found.types[number] = revealed[1]
        elif place[2] == "error":
            found.errors[number] = text
    return found


def pyright(directory: Path) -> Findings:
    """Run pyright's engine, with its standard rules."""
    (directory / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard", "pythonVersion": "3.10"}')
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    found = Findings()
    for said in json.loads(_said(command, directory))["generalDiagnostics"]:
        number, text = said["range"]["start"]["line"] + 1, said["message"]
        if revealed := re.match(r'Type of ".*" is "(.*)"', text):
            # Its parameters stand in round brackets.
            found.types[number] = revealed[1].replace("(", "[").replace(")", "]")
        elif said["severity"] == "error":
            found.errors[number] = text
    return found


def _plain(types: dict[int, str]) -> Iterator[tuple[int, str]]:
    for number, name in types.items():
        yield number, re.sub(r"\b(?:\w+\.)+(?=\w)", "", name)


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_type_checkers_know_what_tasks_take_and_give(checker: Callable[[Path], Findings], tmp_path: Path):
    found, wanted = checker(tmp_path), promised(checker.__name__)
    assert dict(_plain(found.types)) == wanted.types
    assert sorted(found.errors) == sorted(wanted.errors), f"\nfound {found.errors}\nwanted {wanted.errors}"
