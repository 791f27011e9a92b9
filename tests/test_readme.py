"""The README and the other pages, followed to the letter: their blocks run, and the commands they name exist."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tq_core.cli.main import tq

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")
PAGES = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(CHECKOUT.glob("docs/**/*.md")),
    *sorted(CHECKOUT.glob("plugins/*/README.md")),
]

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 60.0


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def console(about: str) -> list[str]:
    """Return the lines of the console block that speaks of something."""
    (block,) = (block for block in blocks("console") if about in block)
    return block.splitlines()


def commands_in(text: str) -> Iterator[str]:
    """Yield what a page says to type after ``tq``; ``tq queue list · peek`` stands for two commands."""
    for line in text.splitlines():
        parent: list[str] = []
        for shown in re.findall(r"`([^`]+)`", line) if "`" in line else []:
            if shown.startswith("tq "):
                words = shown.split()[1:]
                parent = words[:-1] if len(words) == 2 else []
                yield from _alternatives(words)
            elif parent and shown.isalpha() and f"· `{shown}`" in line:
                yield " ".join([*parent, shown])
        yield from re.findall(r"^\$ (?:\S*/)?tq (.*?)(?: +#.*| &)?$", line)


def _alternatives(words: list[str]) -> Iterator[str]:
    """Write ``config check|show`` out."""
    for choice in words[-1].split("|"):
        yield " ".join([*words[:-1], choice])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty directory with the environment that the README's first lines make."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, start in {"python": "", "tq": " -m tq_core"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{start} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def bash(project: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run what somebody types."""
    paths = [path for path in sys.path if path and "tests" not in Path(path).parts]
    return subprocess.run(
        ["bash", "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_first_task_is_run_by_the_first_worker(project):
    (tasks,) = blocks("python")
    (project / "tasks.py").write_text(tasks)
    worker, client, answer = console("worker -l info")
    assert worker.endswith("&")
    script = f"{worker[2:]} worker=$!\n{client[2:]}\nkill $worker\nwait $worker"
    done = bash(project, script)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, answer), done.stdout + done.stderr


def test_what_is_installed_for_the_first_task_is_there():
    (line,) = console("pip install")
    named = line.partition("pip install ")[2].split()
    assert named
    assert all((CHECKOUT / name / "pyproject.toml").is_file() for name in named)


def test_the_yaml_block_is_a_right_configuration(project):
    (yaml,) = blocks("yaml")
    (project / "celeryconfig.yaml").write_text(yaml)
    done = bash(project, ".venv/bin/tq config check && .venv/bin/tq config show --origin task_time_limit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300" in done.stdout
    assert "celeryconfig.yaml:3" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_command_that_a_page_names_exists(page):
    for typed in commands_in(page.read_text("utf-8")):
        words = [word for word in shlex.split(typed) if word not in ("-A", "tasks", "proj")]
        command: click.Command = tq
        context = click.Context(tq)
        options = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
        for word in words:
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            found = command.get_command(context, word)
            assert found is not None, f"{page.name} names `tq {typed}`, and there is no command {word!r}"
            command = found
        known = {name for param in [*command.params, *tq.params] for name in param.opts} | {"--help"}
        assert known.issuperset(options), f"{page.name} names `tq {typed}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_word_of_make_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for typed in re.findall(r"(?:`|^\$ )make ([^`#\n]*)", page.read_text("utf-8"), re.MULTILINE):
        ours = itertools.takewhile(lambda word: word != "--", shlex.split(typed))
        named = {word for word in ours if re.fullmatch("[a-z]+", word)}
        assert named <= targets, f"{page.name} names `make {typed}`"
