"""When and in which boot a record is written."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def now() -> str:
    """The time in the form of `ts`: RFC 3339, UTC, microseconds."""
    whole, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(whole)}.{nanoseconds // 1000:06d}Z"


def boot_id() -> str:
    """The boot's id as in the journal's _BOOT_ID, empty where there is none."""
    try:
        return (
            Path("/proc/sys/kernel/random/boot_id").read_bytes().decode().strip().replace("-", "")
        )
    except OSError:
        return ""
