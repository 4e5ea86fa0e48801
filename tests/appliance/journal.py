"""Journal entries of a machine, and which of them a test has to answer for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# syslog(3)
WARNING = 4


@dataclass(frozen=True)
class Entry:
    """One entry; `fields` is what `journalctl -o json --all` prints of it."""

    fields: dict[str, Any]

    def __getitem__(self, name: str) -> str:
        value = self.fields[name]
        if isinstance(value, list):
            # Bytes that are not printable text come as an array of numbers.
            if all(isinstance(item, int) for item in value):
                return bytes(value).decode(errors="replace")
            return "\n".join(str(item) for item in value)
        return str(value)

    def get(self, name: str, default: str = "") -> str:
        return self[name] if self.fields.get(name) is not None else default

    @property
    def priority(self) -> int:
        return int(self.get("PRIORITY", "6"))

    @property
    def message(self) -> str:
        return self.get("MESSAGE")

    @property
    def unit(self) -> str:
        """The unit that said it, or that systemd said it about."""
        return self.get("_SYSTEMD_UNIT") if not self.get("UNIT") else self.get("UNIT")

    def __str__(self) -> str:
        source = self.unit or self.get("SYSLOG_IDENTIFIER") or self.get("_TRANSPORT")
        return f"<{self.priority}> {source}: {self.message}"


def parse(lines: Iterable[str]) -> Iterator[Entry]:
    for line in lines:
        if line.strip():
            yield Entry(json.loads(line))


def undeclared(entries: Iterable[Entry], declared: Iterable[str]) -> list[Entry]:
    """Entries of priority warning or worse that no pattern is found in ("unit: message")."""
    patterns = [re.compile(pattern) for pattern in declared]
    return [
        entry
        for entry in entries
        if entry.priority <= WARNING and not any(p.search(str(entry)) for p in patterns)
    ]
