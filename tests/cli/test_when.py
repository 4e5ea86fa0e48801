from __future__ import annotations

import argparse
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from relay_shell.cli.when import when

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-01-31T12:00:00.000000Z"),
        ("90s", "2026-01-31T11:58:30.000000Z"),
        ("10m", "2026-01-31T11:50:00.000000Z"),
        ("10min ago", "2026-01-31T11:50:00.000000Z"),
        ("1h30m", "2026-01-31T10:30:00.000000Z"),
        ("2d", "2026-01-29T12:00:00.000000Z"),
        ("-2h", "2026-01-31T10:00:00.000000Z"),
        ("+1h", "2026-01-31T13:00:00.000000Z"),
        ("2h left", "2026-01-31T14:00:00.000000Z"),
        ("3 days ago", "2026-01-28T12:00:00.000000Z"),
        ("1 week 2 hours ago", "2026-01-24T10:00:00.000000Z"),
        ("1.5h", "2026-01-31T10:30:00.000000Z"),
        ("@1767225600", "2026-01-01T00:00:00.000000Z"),
        ("@1767225600.25", "2026-01-01T00:00:00.250000Z"),
        ("2026-01-30 08:00:00 UTC", "2026-01-30T08:00:00.000000Z"),
        ("Fri 2026-01-30 08:00 UTC", "2026-01-30T08:00:00.000000Z"),
        ("friday 2026-01-30 08:00:00.125 UTC", "2026-01-30T08:00:00.125000Z"),
        ("26-01-30 UTC", "2026-01-30T00:00:00.000000Z"),
        ("2026-07-30 08:00 Europe/Berlin", "2026-07-30T06:00:00.000000Z"),
        ("08:00 UTC", "2026-01-31T08:00:00.000000Z"),
        ("yesterday UTC", "2026-01-30T00:00:00.000000Z"),
        ("today Asia/Tokyo", "2026-01-30T15:00:00.000000Z"),
        ("2026-01-30T00:00:00Z", "2026-01-30T00:00:00.000000Z"),
        ("2026-01-30T02:00:00+02:00", "2026-01-30T00:00:00.000000Z"),
    ],
)
def test_points_in_time(text, moment):
    assert when(text, NOW) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("today", "2026-10-24T22:00:00.000000Z"),
        ("tomorrow", "2026-10-25T23:00:00.000000Z"),
        ("yesterday", "2026-10-23T22:00:00.000000Z"),
        ("2026-10-25 12:00", "2026-10-25T11:00:00.000000Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00.000000Z"),
        ("9:05", "2026-10-25T08:05:00.000000Z"),
        ("24h", "2026-10-24T18:00:00.000000Z"),
    ],
)
def test_on_the_day_on_which_the_clocks_change(berlin, text, moment):
    assert when(text, datetime(2026, 10, 25, 18, 0, tzinfo=UTC)) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("now", "yesterday", "tomorrow", "@1767225600", "2026-01-30", "2026-01-30 08:00:00"),
        *("2026-01-30 08:00:00 UTC", "Fri 2026-01-30 08:00:00", "26-01-30", "08:00"),
        *("-2h", "+90min", "3 days ago", "1week 2h ago", "2y 1M ago", "5 minutes left"),
    ],
)
def test_as_systemd_reads_it(text):
    """Differs by no more than the time between the two."""
    argv = ["systemd-analyze", "timestamp", "--", text]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    told = float(re.search(r"UNIX seconds: @([0-9.]+)", done.stdout)[1])
    assert abs(datetime.fromisoformat(when(text)).timestamp() - told) < 60


def test_a_time_without_a_zone_is_local():
    found = datetime.fromisoformat(when("2026-01-30T08:00", NOW))
    assert found == datetime(2026, 1, 30, 8, 0).astimezone()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "soon", "10", "m", "99999999999d", "2026-13-01", "-", "+", "@", "@x", "1h 2"),
        *("Mon 2026-01-30 08:00", "2026-01-30 Nowhere/Else", "UTC", "5 ago", "25:00"),
        *("2026-01-30T08:00+01:00 UTC", "today ../../etc/passwd", "10 parsecs", "@99999999999999"),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no point in time"):
        when(text, NOW)
