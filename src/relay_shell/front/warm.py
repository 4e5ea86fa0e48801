"""Speak once with ourselves in both eras, so that the first client does not wait for it.

The SDK's models build their validators at first use, which takes about 100 ms in all.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from ..wire.errors import RelayError
from .lines import Budget
from .session import Session

if TYPE_CHECKING:
    from .client import Shared

_INFO = {"name": "warm", "version": "1"}
_META = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_INFO_META_KEY: _INFO,
    CLIENT_CAPABILITIES_META_KEY: {},
}
_INITIALIZE = {
    "protocolVersion": LATEST_HANDSHAKE_VERSION,
    "capabilities": {},
    "clientInfo": _INFO,
}


class _Nobody:
    """A client whose calls are refused before they could go anywhere."""

    def __init__(self, shared: Shared) -> None:
        self.catalogue = shared.catalogue
        self.tools = shared.catalogue.all
        self.admitted = asyncio.Event()
        self.session = Session(shared.server, shared.options, self, self._sent, Budget(1 << 20))
        self.lines: list[bytes] = []

    def _sent(self, line: bytes, *, optional: bool = False) -> None:
        self.lines.append(line)

    async def ready(self, wait: float | None = None) -> None:
        raise RelayError("BrokerUnavailable", reason="warming up")

    async def identified(self, name: str, version: str, protocol: str) -> None: ...

    def malformed(self, reason: str, length: int, sha256: str | None) -> None: ...

    async def refused_call(self, reason: str, params: object) -> None: ...


async def warm(shared: Shared) -> list[bytes]:
    """Run both eras once and return what was answered."""
    lines = []
    for modern in (False, True):
        nobody = _Nobody(shared)
        requests: list[tuple[str, dict[str, Any]]] = [
            ("server/discover", {}) if modern else ("initialize", _INITIALIZE),
            ("tools/list", {}),
            ("prompts/list", {}),
            ("tools/call", {"name": next(iter(shared.catalogue.names), ""), "arguments": {}}),
        ]
        for ident, (method, params) in enumerate(requests, 1):
            if modern:
                params = {**params, "_meta": _META}
            request = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
            nobody.session.hear(json.dumps(request).encode())
            done = [e.task for e in nobody.session.exchanges.values() if e.task is not None]
            await asyncio.gather(*done)
        lines += nobody.lines
    return lines
