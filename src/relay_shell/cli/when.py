"""Points in time as an operator types them."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?")
_UNITS = ("days", "hours", "minutes", "seconds")


def when(text: str, now: datetime | None = None) -> str:
    """A point in time as records write it: RFC 3339, UTC, microseconds.

    Takes an age (`90s`, `10m`, `1h30m`, `2d`), `today`, `yesterday`, or a date or time of
    ISO 8601 (local time unless it says otherwise).

    Raises:
        argparse.ArgumentTypeError: it is none of these.
    """
    moment = (now or datetime.now(UTC)).astimezone()
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    age = _AGO.fullmatch(text.removesuffix(" ago"))
    if text == "now":
        found = moment
    elif text == "today":
        found = midnight
    elif text == "yesterday":
        found = midnight - timedelta(days=1)
    elif age and any(age.groups()):
        numbers = {unit: int(n or 0) for unit, n in zip(_UNITS, age.groups(), strict=True)}
        try:
            found = moment - timedelta(**numbers)
        except OverflowError:
            raise _wrong(text) from None
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise _wrong(text) from None
        if found.tzinfo is None:
            found = found.astimezone()
    return found.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _wrong(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(
        f"{text!r} is no point in time: 10m, 2h, 3d, today, 2026-01-31 or 2026-01-31T12:00"
    )
