"""Patterns of callers, on RE2: linear time whatever the pattern and the text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..wire.errors import RelayError

MAX_MEM = 8 << 20
"""Octets that one compiled pattern may take."""


@lru_cache(maxsize=64)
def compile(pattern: str, *, lines: bool = False) -> Any:
    """Compile a pattern for UTF-8 octets.

    Args:
        lines: ^ and $ match at line ends, and no match crosses one.

    Raises:
        RelayError: kind InvalidArguments, for a pattern that RE2 does not take; kind Internal,
            where RE2 is not installed (there is no fallback: `re` can take exponential time).
    """
    try:
        import re2
    except ImportError:
        raise RelayError("Internal", reason="python3-re2 is not installed") from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEM
    if lines:
        options.never_nl = True
        pattern = f"(?m:{pattern})"
    try:
        return re2.compile(pattern.encode("utf-8", "replace"), options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else "malformed"
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        raise RelayError("InvalidArguments", reason=f"RE2 pattern: {reason}") from None
