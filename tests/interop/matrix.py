"""What is tested between which sides, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.interop.places import PLACES, SIDES, Place

#: Who sends to whom: every pair with tq in it, and each Celery with itself, which shows that what is expected of tq is
#: what Celery does.
PAIRS = [(one, other) for one in SIDES for other in SIDES if "tq" in (one, other) or one == other]


@dataclass(frozen=True)
class Feature:
    """One row of the matrix; ``driver.py`` has what is sent.

    Attributes:
        shown: what is seen to work, in words.
        outcome: what must come of it.
    """

    shown: str
    outcome: Any


#: The rows.
FEATURES: dict[str, Feature] = {
    "plain": Feature("arguments that only this format carries arrive as they were, and a result comes back", True),
    "eta": Feature("it runs, and not before its time", [True, "SUCCESS"]),
    "expires": Feature(
        "a call that expires before it is due ends as REVOKED, one in time runs",
        [["TaskRevokedError", "expired"], "REVOKED", 3],
    ),
    "retry": Feature("the task asks twice to be run again, and counts", [2, "SUCCESS"]),
    "priority": Feature("the most urgent of three waiting calls runs first", None),
    "chain": Feature("three tasks in order, and the result of each", [10, 6]),
    "group": Feature("three tasks, and their results in order", [[0, 2, 4], True]),
    "chord": Feature("a body that gets the results of four parts", [12, [0, 2, 4, 6]]),
    "failure": Feature(
        "the exception with its arguments and its traceback", [["ValueError", "no", 3], "FAILURE", True]
    ),
    "revoke": Feature(
        "a waiting call is revoked by remote control, the node answers, the next call runs",
        [[True], ["TaskRevokedError", "revoked"], "REVOKED", 7],
    ),
}


def outcome(feature: str, place: Place) -> Any:
    """Return what must come of a feature at a place."""
    return list(place.urgent_first) if feature == "priority" else FEATURES[feature].outcome


def tried(place: str) -> list[str]:
    """Return the features that are tried at a place, by its word."""
    return [feature for feature in FEATURES if feature not in PLACES[place].without]
