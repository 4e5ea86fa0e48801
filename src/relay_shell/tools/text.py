"""The text grammar of results: what a model reads where a client shows text, not structure.

A result starts with its status in brackets: `[exit N]`, `[TIMEOUT after Ns]`,
`[DENIED tier N (NAME): reason]` or `[ERROR: Kind: message]`; an error's next step follows on a
line of its own. `[TRUNCATED - N bytes total, M shown]` stands where output was left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..wire.errors import RelayError
from .base import Json

TIER_NAMES = ("READ-ONLY", "REVERSIBLE", "STATEFUL", "IRREVERSIBLE")


def error_facts(error: RelayError, tier: int | None = None) -> Json:
    """The facts of a failed call; `tier` belongs to a refusal."""
    facts: Json = {
        "kind": error.kind,
        "message": error.message,
        "next_step": error.next_step,
    }
    if tier is not None:
        facts["tier"] = tier
    if error.retry_after is not None:
        facts["retry_after"] = error.retry_after
    return {"error": facts}


def error_text(facts: Json) -> str:
    """Render the `error` of a result's facts."""
    error = facts["error"]
    kind, message = error["kind"], error["message"]
    if kind == "Denied" and "tier" in error:
        tier = error["tier"]
        name = TIER_NAMES[tier] if 0 <= tier < len(TIER_NAMES) else "UNKNOWN"
        head = f"[DENIED tier {tier} ({name}): {message}]"
    else:
        head = f"[ERROR: {kind}: {message}]"
    return f"{head}\n{error['next_step']}"


def redacted(counts: dict[str, int]) -> str:
    """Say how many secrets are hidden, by rule."""
    rules = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"[{sum(counts.values())} secret(s) hidden: {rules}]"


def join(parts: Iterable[str]) -> str:
    """Join blocks of text by single newlines, whether or not a block ends with one."""
    return "\n".join(part.removesuffix("\n") for part in parts if part)
