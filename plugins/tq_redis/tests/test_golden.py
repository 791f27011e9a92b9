"""What we write into Redis is what Celery wrote there when it was recorded, key by key and field by field.

``golden/record.py`` records Celery again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plugins.tq_redis.tests.golden.operations import recorded
from plugins.tq_redis.tests.golden.trace import Commands, read, written
from tests.celery_environments import VERSIONS

GOLDEN = Path(__file__).parent / "golden"
CELERYS = {version: read(GOLDEN / f"celery-{version}.txt") for version in VERSIONS}
SECTIONS = [name for name in CELERYS["5.7"] if name != "worker starts"]

#: Keys that one side alone writes; matched after kind and key, such as ``set _kombu.binding.celery``.
THEIRS_ALONE = {
    r"set _kombu\.binding\.(celery|idle)": "bindings of direct exchanges; calls go to the anonymous exchange",
    r"set _kombu\.binding_permanent\..*": "the same, for the sweep of 5.7",
    r"sorted set _kombu\.binding_deadlines": "the same",
    r"string unacked_mutex": "a lock, held for a moment when somebody looks for what the dead held",
    r"channel celery-taskset-meta-<id>\.s": "5.5 announces the size of a chord, and nobody listens",
    r"channel celery-taskset-meta-<id>": "a saved group is announced, and nobody listens",
    r"(string|channel) celery-task-meta-<id> of a revoked task": "Celery's workers store REVOKED when they are told, "
    "ours when the task comes",
}
OURS_ALONE = {
    r"[a-z ]+ tq:.*": "ours by name",
    r"set celery-taskset-meta-<id>\.d": "parts that were counted; Celery 5.7 has it, older ones do not mind",
    r"string celery-taskset-meta-<id>\.c": "who sends the body; likewise",
}


@pytest.fixture(scope="module")
def ours() -> dict[str, Commands]:
    """What we tell Redis when we do the same."""
    return recorded("tq")


def comparable(commands: Sequence[Sequence[Any]], *, groups: bool = True) -> set[tuple[str, str]]:
    """Return what was written as pairs of kind and key, and value; which id is which is left out.

    Args:
        commands: of a section.
        groups: False to leave out of which group the body of a chord is; Celery 5.5 does not tell it.
    """
    found = set()
    for place, values in written(commands).items():
        for value in values:
            shown = json.dumps(alike(value, groups), sort_keys=True)
            of = " of a revoked task" if '"REVOKED"' in shown else ""
            found.add((re.sub(r"<id\d+>", "<id>", place) + of, re.sub(r"<id\d+>", "<id>", shown)))
    return found


def alike(value: Any, groups: bool = True) -> Any:
    """Level what may differ in a value."""
    if isinstance(value, list):
        return [alike(inner, groups) for inner in value]
    if isinstance(value, str) and re.fullmatch(r"<id\d+>|worker@interop:[0-9a-f]{12}", value):
        return "<id>"
    if not isinstance(value, dict):
        return value
    level = {key: alike(inner, groups) for key, inner in value.items()}
    if not groups:
        if "lang" in level and level["group_index"] is None:
            level["group"] = None
        (level["options"] if "subtask_type" in level else level).pop("group_id", None)
    if "callbacks" in level:
        level["chain"] = level["chain"] or None  # the last task of a chain: Celery says [], we say null
    if "subtask_type" in level:
        level["options"].pop("reply_to", None)  # for rpc results, which there are none of in Redis
    if "delivery_tag" in level:
        level.pop("origin", None)  # Celery copies this header into the properties when it retries
        if level["delivery_info"]["exchange"]:
            level.pop("correlation_id", None)  # remote control: the ticket does the same
            level.pop("reply_to", None)  # likewise, in the body
    if level.get("status") == "RETRY":
        level["children"] = []  # Celery names the task as its own child
    return level


def unexplained(found: set[tuple[str, str]], explained: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(pair for pair in found if not any(re.fullmatch(pattern, pair[0]) for pattern in explained))


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_we_write_what_celery_writes(ours: dict[str, Commands], version: str, section: str) -> None:
    groups = version != "5.5"
    theirs = comparable(CELERYS[version][section], groups=groups)
    own = comparable(ours[section], groups=groups)
    assert unexplained(theirs - own, THEIRS_ALONE) == []
    assert unexplained(own - theirs, OURS_ALONE) == []


def test_a_starting_worker_writes_nothing_that_celerys_would_not(ours: dict[str, Commands]) -> None:
    theirs = comparable(CELERYS["5.7"]["worker starts"])
    assert unexplained(comparable(ours["worker starts"]) - theirs, OURS_ALONE) == []


def test_every_difference_named_here_is_there(ours: dict[str, Commands]) -> None:
    """A reason that no longer holds must not hide another difference."""
    theirs_alone, ours_alone = set(), set()
    for version, sections in CELERYS.items():
        for section, commands in sections.items():
            theirs, own = (comparable(each, groups=version != "5.5") for each in (commands, ours[section]))
            theirs_alone |= {place for place, _ in theirs - own}
            ours_alone |= {place for place, _ in own - theirs}
    assert [pattern for pattern in THEIRS_ALONE if not any(re.fullmatch(pattern, p) for p in theirs_alone)] == []
    assert [pattern for pattern in OURS_ALONE if not any(re.fullmatch(pattern, p) for p in ours_alone)] == []
