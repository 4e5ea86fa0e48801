"""The one place that answers how a command is confined beyond its worker's own domain."""

from __future__ import annotations

from ..wire.errors import RelayError


def check(enforcement: str) -> None:
    """Accept a call's enforcement, or refuse to start anything for it.

    Raises:
        RelayError: kind Enforcement, for any enforcement that cannot be given.
    """
    if enforcement == "none":
        return
    if enforcement == "readonly":
        raise RelayError("Enforcement", reason="there is no read-only launcher in this version")
    raise RelayError("Enforcement", reason=f"unknown enforcement {enforcement[:32]!r}")
