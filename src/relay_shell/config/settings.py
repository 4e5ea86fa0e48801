"""The settings in force: an immutable mapping that knows where each value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .table import TABLE

DEFAULT = "default"


class Settings(Mapping[str, Any]):
    """Dotted name to value, complete: every row of the table is there.

    Args:
        values: what differs from the defaults.
        sources: name to "file:line" or "env NAME" for those values.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, sources: Mapping[str, str] | None = None
    ) -> None:
        self._values = {name: row.default for name, row in TABLE.items()}
        for name, value in (values or {}).items():
            if name not in TABLE:
                raise KeyError(name)
            self._values[name] = value
        self._sources = dict(sources or {})

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def source(self, name: str) -> str:
        """Where the value comes from: "file:line", "env NAME" or "default".

        Raises:
            KeyError: no such setting.
        """
        if name not in self._values:
            raise KeyError(name)
        return self._sources.get(name, DEFAULT)

    def subset(self, audience: str) -> dict[str, Any]:
        """What one kind of process ("broker", "front", "worker") may know, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self._values.items()
            if audience in TABLE[name].audience
        }

    def changed(self, new: Settings) -> tuple[list[str], list[str]]:
        """Names that differ in `new`: those a reload applies, and those only a restart does."""
        names = [name for name, value in self._values.items() if new[name] != value]
        return (
            [name for name in names if TABLE[name].reload],
            [name for name in names if not TABLE[name].reload],
        )

    def reloaded(self, new: Settings) -> Settings:
        """The settings after a reload to `new`: what needs a restart keeps its value."""
        merged = Settings()
        for name, row in TABLE.items():
            origin = new if row.reload else self
            merged._values[name] = origin[name]
            if (source := origin.source(name)) != DEFAULT:
                merged._sources[name] = source
        return merged
