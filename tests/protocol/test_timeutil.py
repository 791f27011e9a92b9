"""ISO 8601 texts, the same on every Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import timeutil

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.none() | zones))
def test_what_python_writes_both_readers_read(moment: datetime) -> None:
    assert timeutil.parse_iso(moment.isoformat()) == moment
    assert timeutil._parse(moment.isoformat()) == moment


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01", 1),
        ("1970-01-01 01:00:01+01", 1),
        ("1970-01-01T01:00:01+0100", 1),
        ("19700101T000001Z", 1),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00.5Z", 0.5),
        ("1970-01-01T00:00:00.123456789z", 0.123456),
    ],
)
def test_every_form_peers_write_is_read(text: str, unix: float) -> None:
    assert timeutil.unix_from_iso(text) == unix
    assert timeutil.to_unix(timeutil._parse(text)) == unix


@pytest.mark.parametrize("text", ["", "now", "2026-02-30", "2026-01-01T25:00", "12345", "2026-01-01T00:00:00+25:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        timeutil.parse_iso(text)


@pytest.mark.parametrize("seconds", [1e20, -1e20, float("nan"), float("inf")])
def test_seconds_outside_the_calendar_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError):
        timeutil.format_iso(seconds)


def test_a_naive_time_is_utc_unless_local_is_asked_for() -> None:
    naive = datetime(2026, 7, 1, 12)
    assert timeutil.to_unix(naive) == naive.replace(tzinfo=timezone.utc).timestamp()
    assert timeutil.to_unix(naive, local=True) == naive.timestamp()
