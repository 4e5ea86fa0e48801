"""What the last verification of the record found, as its verifier told; kept over restarts."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from ..wire.errors import RelayError
from . import statefile

logger = logging.getLogger(__name__)

COUNTS = ("exit", "records", "first", "last", "checkpoints", "sealed", "findings", "duration_ms")
"""The numbers of a report."""


class Verification:
    """The last report.

    Args:
        path: the file that it is kept in; its directory must belong to the broker alone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._keeping = threading.Lock()
        self.last: dict[str, Any] | None = None
        """`at` (seconds since the epoch), `kind` and `detail` of the first failure, empty if the
        record was whole, and `COUNTS`. None if there never was one."""
        try:
            found = statefile.read(path)
            self.last = _checked(found) | {"at": float(found["at"])}
        except FileNotFoundError:
            pass
        except (statefile.StateError, RelayError, KeyError, TypeError, ValueError) as error:
            # It can be had again, by verifying again.
            logger.warning("the last verification is not known: %s", error)

    def take(self, body: dict[str, Any], now: float | None = None) -> dict[str, Any]:
        """Take a report over and return its facts for the record; call `keep` after it.

        Raises:
            RelayError: kind InvalidArguments, for one that contradicts itself.
        """
        facts = _checked(body)
        self.last = {**facts, "at": time.time() if now is None else now}
        return facts

    def keep(self) -> None:
        """Write it down. Blocks; may run in several threads.

        Raises:
            OSError: after a restart it would be forgotten.
        """
        # The timer's verification and an operator's may end in the same moment.
        with self._keeping:
            statefile.write(self._path, self.last, durable=True)


def _checked(body: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {name: body[name] for name in COUNTS}
    facts |= {"kind": str(body["kind"])[:64], "detail": str(body["detail"])[:1024]}
    if any(type(facts[name]) is not int or facts[name] < 0 for name in COUNTS):
        raise RelayError("InvalidArguments", reason="a verification is told in whole numbers")
    if bool(facts["exit"]) != bool(facts["kind"]):
        raise RelayError("InvalidArguments", reason="a failed verification names its failure")
    return facts
