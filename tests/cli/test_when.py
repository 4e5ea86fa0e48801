from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from relay_shell.cli.when import when

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-01-31T12:00:00.000000Z"),
        ("90s", "2026-01-31T11:58:30.000000Z"),
        ("10m", "2026-01-31T11:50:00.000000Z"),
        ("10min ago", "2026-01-31T11:50:00.000000Z"),
        ("1h30m", "2026-01-31T10:30:00.000000Z"),
        ("2d", "2026-01-29T12:00:00.000000Z"),
        ("2026-01-30T00:00:00Z", "2026-01-30T00:00:00.000000Z"),
        ("2026-01-30T02:00:00+02:00", "2026-01-30T00:00:00.000000Z"),
    ],
)
def test_points_in_time(text, moment):
    assert when(text, NOW) == moment


def test_a_day_begins_at_local_midnight():
    start = datetime.fromisoformat(when("today", NOW)).astimezone()
    assert (start.hour, start.minute, start.date()) == (0, 0, NOW.astimezone().date())
    before = datetime.fromisoformat(when("yesterday", NOW))
    assert 23 <= (start - before).total_seconds() / 3600 <= 25


def test_a_time_without_a_zone_is_local():
    found = datetime.fromisoformat(when("2026-01-30T08:00", NOW))
    assert found == datetime(2026, 1, 30, 8, 0).astimezone()


@pytest.mark.parametrize("text", ["", "soon", "10", "m", "99999999999d", "2026-13-01"])
def test_anything_else_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no point in time"):
        when(text, NOW)
