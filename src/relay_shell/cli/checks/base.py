"""A finding, and the host that the checks look at."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"

SOCKETS = (
    "relay-shell.socket",
    "relay-shell-broker.socket",
    "relay-shell-operator.socket",
    "relay-shell-worker.socket",
    "relay-shell-keys.socket",
)
SERVICES = (
    "relay-shell.service",
    "relay-shell-front.service",
    "relay-shell-observer.service",
    "relay-shell-keys.service",
)


class Finding(NamedTuple):
    """One thing looked at: what it is, how it stands, why, and how to mend it."""

    check: str
    status: str
    subject: str
    reason: str
    fix: str = ""


@dataclass(slots=True)
class Host:
    """The system below `root`; `live` where it is the one that runs, with its service manager."""

    root: Path = Path("/")
    live: bool = True
    settings: dict[str, object] = field(default_factory=dict)
    """Settings in force, as far as the configuration loads; the defaults where it does not."""
    operator_socket: str | None = None

    def path(self, name: str) -> Path:
        """A path of the host looked at."""
        return self.root / name.lstrip("/")

    def shown(self, path: Path) -> str:
        """A path as its own host names it."""
        return "/" + os.path.relpath(path, self.root)

    @property
    def superuser(self) -> bool:
        """Whether what only root may read can be read."""
        return os.geteuid() == 0
