"""What must hold between settings, where each alone is within its bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

AT_MOST: tuple[tuple[str, str], ...] = (
    ("limits.timeout", "limits.timeout_max"),
    ("limits.output", "limits.output_max"),
    ("limits.connections_per_user", "limits.connections"),
    ("limits.session_idle", "limits.session_life"),
)
"""Pairs whose first must not exceed the second."""

_SOCKETS = ("paths.socket", "paths.broker", "paths.operator", "paths.worker")


def broken(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each setting at odds with another, and the reason."""
    for low, high in AT_MOST:
        if settings[low] > settings[high]:
            yield low, f"must not exceed {high} = {settings[high]}"
    seen: dict[str, str] = {}
    for name in (*_SOCKETS, "paths.audit"):
        path = settings[name]
        if path in seen:
            yield name, f"is also {seen[path]}"
        seen.setdefault(path, name)
    # What only the broker may read must not lie where others are let in.
    for name in ("paths.state", "paths.runtime"):
        for other in (*_SOCKETS, "paths.audit"):
            if settings[other].startswith(f"{settings[name]}/"):
                yield other, f"lies in {name}, which is the broker's alone"
