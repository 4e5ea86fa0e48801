"""What the broker proves to itself before it admits anything.

A broken installation must not admit calls: one whose redaction hides nothing, whose digests are
wrong, or whose policy takes everything for harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from .. import secrets
from ..evidence import canonical, chain
from ..policy import Rules, Tier, classify_call
from ..wire.errors import RelayError

# FIPS 180-4, the one-block example.
_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
_SECRET = "AKIA" + "QJZ7RW4MXT2KVPLD"


def run(redact: Callable[[Any], Any]) -> None:
    """Check redaction, digests and policy on known answers.

    Raises:
        RelayError: kind Internal, naming what failed.
    """
    for name, check in (
        ("digest", _digest),
        ("chain", _chain),
        ("policy", _policy),
        ("redaction", lambda: _redaction(redact)),
    ):
        try:
            good = check()
        except Exception as error:
            raise RelayError("Internal", reason=f"self-test of {name}: {error}") from error
        if not good:
            raise RelayError("Internal", reason=f"self-test of {name} failed")


def _digest() -> bool:
    return hashlib.sha256(b"abc").hexdigest() == _ABC


def _chain() -> bool:
    facts = {"v": 1, "seq": 1, "ts": "2000-01-01T00:00:00.000000Z", "event": "start"}
    line, value = chain.seal("0" * 64, canonical.body(facts, "0" * 64))
    line = line[:-1]
    place = chain.link(line)
    damaged = line.replace(b'"start"', b'"stop_"')
    return place is not None and place.chain == value and chain.link(damaged) is None


def _policy() -> bool:
    low = classify_call("shell_exec", {"command": "ls -l /"})
    high = classify_call("shell_exec", {"command": "rm -rf /"})
    rules = Rules(deny=["^sh.t$"])
    hit, miss = rules.check("shut"), rules.check("shout")
    tiers = low.tier == Tier.READ_ONLY and high.tier == Tier.IRREVERSIBLE
    return tiers and hit is not None and hit.action == "deny" and miss is None


def _redaction(redact: Callable[[Any], Any]) -> bool:
    secrets.selftest()
    command = f"aws --id {_SECRET} && PASSWORD=$(cat /etc/hostname) run"
    shown = str(redact({"command": command})["command"])
    return _SECRET not in shown and "&&" in shown and "$(cat /etc/hostname)" in shown
