"""Points in time as an operator types them: those of systemd.time(7), and of ISO 8601."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_SECONDS = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
"""Units of a time span, systemd.time(7)."""

_PART = re.compile(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-zµμ]+)\s*", re.ASCII)
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?", re.ASCII)


def when(text: str, now: datetime | None = None) -> str:
    """A point in time as records write it: RFC 3339, UTC, microseconds.

    Takes what systemd.time(7) and journalctl(1) take: an age (`90s`, `1h30m`, `-2h`, `3 days ago`),
    a time to come (`+1h`, `2h left`), `now`, `today`, `yesterday`, `tomorrow`, seconds since 1970
    (`@1767225600`), and a date, a time of today, or both, after a day of the week or not, and
    before `UTC` or the name of a time zone or not; also ISO 8601. Local time unless it says
    otherwise. A plain span is an age.

    Raises:
        argparse.ArgumentTypeError: it is none of these.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    try:
        found = _relative(text.strip(), moment) or _absolute(text.strip(), moment)
        utc = found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no point in time: 10m, 2h, '3 days ago', today, 12:00, 2026-01-31, "
            "'2026-01-31 12:00 UTC', 2026-01-31T12:00:00+01:00 or @1767225600"
        ) from None
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _relative(text: str, now: datetime) -> datetime | None:
    if text == "now":
        return now
    if re.fullmatch(r"@\d{1,12}(?:\.\d{1,6})?", text, re.ASCII):
        return datetime.fromtimestamp(float(text[1:]), UTC)
    for mark, sign in (("-", -1), ("+", 1)):
        if text.startswith(mark):
            return now + sign * _span(text[1:])
    for word, sign in ((" ago", -1), (" left", 1)):
        if text.endswith(word):
            return now + sign * _span(text.removesuffix(word))
    return now - _span(text) if _PART.match(text) else None


def _span(text: str) -> timedelta:
    seconds, at = 0.0, 0
    while at < len(text) or not at:
        part = _PART.match(text, at)
        if part is None or part[2] not in _SECONDS:
            raise ValueError
        seconds, at = seconds + float(part[1]) * _SECONDS[part[2]], part.end()
    return timedelta(seconds=seconds)


def _absolute(text: str, now: datetime) -> datetime:
    words = text.split()
    zone: tzinfo | None = None
    if len(words) > 1 and words[-1][0].isalpha():
        name = words.pop()
        # The files of ZoneInfo, which refuses a path that leaves them.
        zone = UTC if name in ("UTC", "Z") else _zone(name)
    today = now.astimezone(zone).date()
    if len(words) > 1 and words[0][0].isalpha() and words[0].lower() not in _DAYS:
        weekday = words.pop(0).rstrip(",").lower()
        found = _local(" ".join(words), today)
        names = {day for day in _WEEKDAYS if weekday in (day, day[:3])}
        if names != {_WEEKDAYS[found.weekday()]}:
            raise ValueError
    else:
        found = _local(" ".join(words), today)
    if found.tzinfo is not None:
        if zone is not None:
            raise ValueError
        return found
    # Of a time that the clocks went over twice, the first is meant, as with mktime(3).
    return found.replace(tzinfo=zone) if zone is not None else found.astimezone()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, IsADirectoryError):
        raise ValueError from None


def _local(text: str, today: date) -> datetime:
    if text in _DAYS:
        return datetime.combine(today + timedelta(days=_DAYS[text]), time())
    if _TIME.fullmatch(text):
        text = f"{today.isoformat()} {text.zfill(5) if len(text) < 5 else text}"
    if re.fullmatch(r"\d{1,2}-\d{2}-\d{2}( .*)?", text, re.ASCII):
        text = f"20{text.zfill(8)}" if text[1] != "-" else f"200{text}"
    return datetime.fromisoformat(text)
