"""The token buckets that the runners of a node share."""

from __future__ import annotations

import pytest

from tq_core.runner import buckets
from tq_core.runner.board import Board
from tq_core.runner.rates import Rate, parse_rate


class Time:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(buckets, "monotonic", lambda: time.now)
    return time


@pytest.fixture
def pair():
    """The buckets as two processes of a node have them."""
    ours = Board(1, 1)
    theirs = Board(1, 1, ours.path)
    yield ours.buckets, theirs.buckets
    theirs.close()
    ours.close()


@pytest.mark.row("S081")
def test_starts_of_all_runners_together_have_the_distance_of_the_limit(pair, time):
    ours, theirs = pair
    rate = Rate(parse_rate("10/m"))
    assert ours.take("a", rate.per_second, rate.burst) == 0.0
    assert theirs.take("a", rate.per_second, rate.burst) == pytest.approx(6.0)
    assert theirs.take("b", rate.per_second, rate.burst) == 0.0
    time.now += 5.9
    assert ours.take("a", rate.per_second, rate.burst) == pytest.approx(0.1)
    time.now += 0.1
    assert theirs.take("a", rate.per_second, rate.burst) == 0.0
    time.now += 3600  # what was not used meanwhile is not saved up
    assert [ours.take("a", rate.per_second, rate.burst) > 0 for _ in range(2)] == [False, True]


def test_another_rate_counts_from_the_last_start(pair, time):
    ours, theirs = pair
    assert ours.take("a", 1 / 3600, 1.0) == 0.0
    time.now += 1
    assert theirs.take("a", 10.0, 1.0) == 0.0


def test_those_sent_away_come_back_one_after_the_other(pair, time):
    ours, theirs = pair
    ours.take("a", 0.5, 1.0)
    # Places in line, as far as these reach …
    assert [ours.send_away("a", 2.0, 2.0), theirs.send_away("a", 2.0, 2.0)] == pytest.approx([2.0, 4.0])
    # … and a time to ask again for all others, who are not away for hours.
    away = [pair[n % 2].send_away("a", 2.0, 2.0) for n in range(1000)]
    assert away == sorted(away)
    assert away[:2] == pytest.approx([5.0, 5.02])
    assert away[-1] < 5.0 + 1000 * 0.02
    time.now += 4.0
    assert ours.send_away("a", 2.0, 2.0) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("limit", "rate"),
    [
        (None, 0),
        (0, 0),
        ("", 0),
        ("0", 0),
        (5, 5),
        (0.5, 0.5),
        ("5", 5),
        ("100/s", 100),
        ("90/m", 1.5),
        (" 36 / h ", 0.01),
    ],
)
def test_a_limit_is_read(limit, rate):
    assert parse_rate(limit) == pytest.approx(rate)


@pytest.mark.parametrize("limit", ["fast", "-1/s", "1/d", -1, True, [1], float("inf"), "1/s/s"])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(ValueError, match="no rate limit"):
        parse_rate(limit)
