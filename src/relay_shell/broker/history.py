"""Reading the record back, in a thread of its own: a search never holds up a call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from ..evidence.reader import iter_records
from ..wire.errors import RelayError

MOST = 4096
"""Records in one answer."""

LARGEST = 12 * 1024 * 1024
"""Characters of records in one answer, so that its frame is not refused."""

Record = dict[str, Any]


class History:
    """Answers what was recorded.

    Args:
        path: the active file of the record.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, "relay-history")
        self._asking: set[str] = set()

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def last(self, who: str, count: int, filters: Mapping[str, Any]) -> list[Record]:
        """The last records that fit the filters, oldest first.

        Args:
            who: each asker has one question at a time.

        Raises:
            RelayError: InvalidArguments, for filters that mean nothing; Busy; Unavailable, if the
                record cannot be read.
        """
        if not 0 < count <= MOST:
            raise RelayError("InvalidArguments", reason=f"count is from 1 to {MOST}")
        if who in self._asking:
            raise RelayError("Busy", reason="the record is being searched already")
        self._asking.add(who)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._read, count, dict(filters))
        except ValueError as error:
            raise RelayError("InvalidArguments", reason=str(error)) from None
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RelayError(
                "Unavailable", reason=f"the record cannot be read: {error.strerror}"
            ) from None
        finally:
            self._asking.discard(who)

    def _read(self, count: int, filters: Record) -> list[Record]:
        found: list[Record] = []
        room = LARGEST
        for record in islice(iter_records(self._path, filters=filters, reverse=True), count):
            room -= len(str(record))
            if room < 0:
                break
            found.append(record)
        found.reverse()
        return found
