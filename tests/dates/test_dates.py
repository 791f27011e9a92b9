"""Dates: what callers give, what travels, and what zones and their changes between summer and winter make of it."""

from __future__ import annotations

import os
import time
import uuid
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import Celery
from tq_core.errors import ImproperlyConfigured
from tq_core.timeutil import unix_from_iso
from tq_core.zones import MachineZone

UTC = timezone.utc
OSLO = ZoneInfo("Europe/Oslo")
ZONES = st.sampled_from([OSLO, ZoneInfo("Australia/Lord_Howe")])
#: The nights in which Oslo's clocks are put on from two to three, and back from three to two.
SPRING, AUTUMN = datetime(2030, 3, 31, tzinfo=OSLO), datetime(2030, 10, 27, tzinfo=OSLO)


@pytest.fixture
def app():
    with Celery("proj", broker=f"memory://{uuid.uuid4().hex}", backend="disabled://", set_as_current=False) as app:
        yield app


def sent(app, **options):
    """Return when the broker holds a call back until, and what its header says of that."""
    with app.producer.collecting() as messages:
        app.send_task("t", **options)
    (message,) = messages
    return message.due, message.headers["eta"]


@pytest.mark.parametrize("zone", [None, "Europe/Oslo", "America/New_York"])
@pytest.mark.parametrize("enable_utc", [True, False])
def test_a_naive_eta_is_in_utc_whatever_the_zone(app, zone, enable_utc):
    app.conf.update(timezone=zone, enable_utc=enable_utc)
    noon = datetime(2030, 7, 1, 12)
    assert sent(app, eta=noon) == (noon.replace(tzinfo=UTC).timestamp(), "2030-07-01T12:00:00+00:00")
    due, text = sent(app, eta="2030-07-01T12:00:00")
    assert due == unix_from_iso(text) == noon.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "header", "in_utc"),
    [
        (SPRING.replace(hour=1, minute=59), "2030-03-31T01:59:00+01:00", "00:59"),
        (SPRING.replace(hour=2, minute=30), "2030-03-31T02:30:00+01:00", "01:30"),
        (SPRING.replace(hour=2, minute=30, fold=1), "2030-03-31T02:30:00+02:00", "00:30"),
        (SPRING.replace(hour=3), "2030-03-31T03:00:00+02:00", "01:00"),
        (AUTUMN.replace(hour=2, minute=30), "2030-10-27T02:30:00+02:00", "00:30"),
        (AUTUMN.replace(hour=2, minute=30, fold=1), "2030-10-27T02:30:00+01:00", "01:30"),
    ],
)
def test_times_that_a_zone_has_twice_or_never_are_one_moment(app, moment, header, in_utc):
    due, text = sent(app, eta=moment)
    assert text == header
    assert due == unix_from_iso(text)
    assert datetime.fromtimestamp(due, UTC).strftime("%H:%M") == in_utc


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), ZONES, st.booleans())
def test_the_header_and_the_broker_are_told_the_same_moment(moment, zone, second):
    local = moment.replace(tzinfo=zone, fold=int(second))
    with Celery("dates", broker="memory://dates", backend="disabled://", set_as_current=False) as app:
        due, text = sent(app, eta=local)
    assert due == pytest.approx(unix_from_iso(text), abs=1e-6)
    assert due == pytest.approx(local.timestamp(), abs=1e-6)


@pytest.mark.parametrize("night", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_countdown_over_a_change_of_the_clocks_is_as_long_as_it_says(tq_app, tq_clock, night):
    tq_app.conf.timezone = "Europe/Oslo"
    tq_clock.travel_to(night.replace(hour=1, minute=30))
    start = tq_clock.now()
    for seconds in (3600, timedelta(hours=24)):
        due, text = sent(tq_app, countdown=seconds)
        length = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        assert due - start == length
        assert unix_from_iso(text) == due
    assert tq_app.now() == night.replace(hour=1, minute=30)
    assert tq_app.now().tzinfo == OSLO


def test_a_call_is_held_until_its_time_and_dropped_after_it(tq_app, tq_clock, run_pending):
    runs = []
    tq_app.task(name="t")(lambda word: runs.extend([word]))
    hour = tq_clock.moment + timedelta(hours=1)
    tq_app.send_task("t", ["late"], eta=hour.replace(tzinfo=None))
    tq_app.send_task("t", ["gone"], countdown=60, expires=hour.astimezone(OSLO) - timedelta(minutes=1))
    tq_clock.travel_to(hour - timedelta(seconds=1))
    run_pending()
    assert runs == []
    tq_clock.advance(1)
    run_pending()
    assert runs == ["late"]


def test_of_a_countdown_and_an_eta_the_countdown_holds(app):
    far = datetime(2090, 1, 1, tzinfo=UTC)
    assert sent(app, countdown=60, eta=far)[0] < far.timestamp()
    assert sent(app, countdown=0, eta=far)[0] == far.timestamp()
    assert sent(app, countdown=0) == (None, None), "what is due at once is not held"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("countdown", float("nan"), "countdown must be a number of seconds, not nan"),
        ("countdown", float("inf"), "countdown must be a number of seconds, not inf"),
        ("countdown", 1e12, r"countdown 1e\+12: .* outside the years 1 to 9999"),
        ("expires", [60], r"expires must be a number of seconds, not \[60\]"),
        ("expires", "tomorrow", "expires must be a datetime or an ISO 8601 text, not 'tomorrow'"),
        ("eta", 60, "eta must be a datetime or an ISO 8601 text, not 60"),
        ("eta", "2030-02-30T00:00:00", "eta must be a datetime or an ISO 8601 text"),
    ],
)
def test_what_is_no_time_is_told_by_the_name_of_its_option(app, option, value, told):
    with pytest.raises(ImproperlyConfigured, match=told):
        sent(app, **{option: value})


@pytest.mark.row("S202", "S203")
@pytest.mark.parametrize(
    ("settings", "zone"),
    [
        ({}, UTC),
        ({"timezone": "UTC"}, UTC),
        ({"timezone": "Europe/Oslo"}, OSLO),
        ({"timezone": "Europe/Oslo", "enable_utc": False}, OSLO),
        ({"timezone": OSLO}, OSLO),
        ({"enable_utc": False}, MachineZone()),
    ],
    ids=str,
)
def test_the_zone_of_an_application_is_that_of_its_settings(app, settings, zone):
    app.conf.update(settings)
    assert app.timezone == zone
    assert app.now().tzinfo == zone
    assert abs(app.now() - datetime.now(UTC)) < timedelta(hours=1)


@pytest.fixture
def machine_in_oslo(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("this platform's zone is not changed by the environment")
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Europe/Oslo")
    time.tzset()
    yield
    monkeypatch.undo()
    assert os.environ.get("TZ") == before
    time.tzset()


@pytest.mark.usefixtures("machine_in_oslo")
@pytest.mark.parametrize("night", [SPRING, AUTUMN, SPRING.replace(month=1), AUTUMN.replace(month=7)])
def test_the_machines_zone_follows_its_changes(night):
    first = night.astimezone(UTC)
    for quarters in range(5 * 4):
        moment = first + timedelta(minutes=15 * quarters)
        local = moment.astimezone(MachineZone())
        assert local.isoformat() == moment.astimezone(OSLO).isoformat()
        assert local.astimezone(UTC) == moment
        assert local.tzname() in ("CET", "CEST")


@pytest.mark.parametrize("expires", [-1, 0, timedelta(seconds=-1), datetime(2020, 1, 1), "2020-01-01T00:00:00Z"])
def test_what_has_expired_already_is_left_to_a_worker_which_says_so(app, expires):
    """A broker would drop it, and nobody would hear of it."""
    with app.producer.collecting() as messages:
        app.send_task("t", expires=expires)
    (message,) = messages
    assert message.expiration is None
    assert unix_from_iso(message.headers["expires"]) <= time.time()
