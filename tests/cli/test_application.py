"""Every way of naming an application with -A."""

from __future__ import annotations

import pytest

from tq_core.cli.exit_codes import ExitCode

APP = "from tq_core import Celery\n{name} = Celery({label!r})\n"


def named(tq, application: str) -> str:
    (finding,) = [f for f in tq.json("-A", application, "doctor") if f["check"] == "application"]
    return finding["sentence"]


@pytest.mark.parametrize("application", ["proj", "proj:app", "proj.app"])
def test_a_module_and_its_attribute(tq, application):
    assert named(tq, application) == "proj:app (proj)"


@pytest.mark.parametrize(
    ("file", "name", "application", "found"),
    [
        ("pkg/celery.py", "app", "pkg", "pkg.celery:app"),
        ("pkg/celery.py", "celery", "pkg", "pkg.celery:celery"),
        ("pkg/celery.py", "app", "pkg.celery", "pkg.celery:app"),
        ("pkg/__init__.py", "app", "pkg", "pkg:app"),
        ("pkg/__init__.py", "celery", "pkg", "pkg:celery"),
        ("pkg/other.py", "queue", "pkg.other", "pkg.other:queue"),
        ("pkg/other.py", "queue", "pkg.other.queue", "pkg.other:queue"),
    ],
)
@pytest.mark.row("S059")
def test_a_package(tq, file, name, application, found):
    tq.write("pkg/__init__.py", "")
    tq.write(file, APP.format(name=name, label="found"))
    assert named(tq, application) == f"{found} (found)"


@pytest.mark.parametrize(
    ("application", "says"),
    [
        ("nothere", "there is no module 'nothere'"),
        ("proj:nothing", "has no 'nothing'"),
        ("proj:add.name", "not an application"),
        ("empty", "has no application"),
        ("two", "-A two:one or -A two:other"),
        ("broken", "NameError: name 'undefined' is not defined"),
        ("needs", "ModuleNotFoundError: No module named 'not_installed'"),
        ("syntax", "syntax.py, line 2"),
        ("ends", "SystemExit: 4"),
        ("proj:add", "not an application"),
        ("json:dumps", "calling it failed: TypeError"),
        ("proj.py", "a module is named, not its file: -A proj"),
        ("./proj.py:app", "a module is named, not its file: -A proj:app"),
        ("..proj", "no name of a module"),
        (":", "no name of a module"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tq, application, says):
    tq.write("empty.py", "")
    tq.write("two.py", APP.format(name="one", label="1") + APP.format(name="other", label="2"))
    tq.write("broken.py", "\nundefined\n")
    tq.write("needs.py", "import not_installed\n")
    tq.write("ends.py", "raise SystemExit(4)\n")
    tq.write("syntax.py", "\nthis is no Python\n")
    done = tq("-A", application, "queue", "list")
    assert done.returncode == ExitCode.USAGE
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_a_name_the_configuration_in_the_working_directory_is_used(tq):
    tq.write("celeryconfig.yaml", f"broker_url: {tq.url}\ntask_default_queue: from-file\n")
    assert [row["queue"] for row in tq.json("queue", "list")] == ["from-file"]


def test_the_working_directory_can_be_chosen(tq):
    tq.write("below/inner.py", APP.format(name="app", label="inner"))
    (finding,) = [f for f in tq.json("-A", "inner", "--workdir", "below", "doctor") if f["check"] == "application"]
    assert finding["sentence"] == "inner:app (inner)"
