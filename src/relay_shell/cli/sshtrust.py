"""`relay-shell ssh trust`: host keys that a human has confirmed go to known_hosts.

A key that is there is never replaced: whether a host was installed anew or somebody sits in between
is not for a program to say.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from ..ssh.inventory import Host, listed_as
from ..ssh.names import key_fault
from ..wire.errors import RelayError
from .install import replace
from .openssh import Key, keys_of, known, scan
from .place import setting
from .ssh import AT_ONCE, inventory, known_hosts, select
from .term import Style, safe, table

LIMIT = 256 * 1024
"""Bytes of a file of public keys."""
COMPARE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
"""What prints a fingerprint on the host itself."""


class Offer(NamedTuple):
    """What a host shows, and what of it is not known yet."""

    host: Host
    keys: tuple[Key, ...]
    new: tuple[Key, ...]


def run(args: argparse.Namespace) -> int:
    """Show the keys of hosts, ask, and add them."""
    wanted = _fingerprints(args.fingerprint)
    hosts = select(inventory(), args.host)
    path = known_hosts()
    _check_writable(path)
    given = _given(args.keys, hosts) if args.keys else None
    if given is None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda host: _outcome(path, host, None, wanted), hosts))
    else:
        outcomes = [_outcome(path, hosts[0], given, wanted)]
    failed = [found for found in outcomes if isinstance(found, RelayError)]
    offers = [found for found in outcomes if isinstance(found, Offer)]
    if len(hosts) == 1 and failed:
        raise failed[0]
    for error in failed:
        sys.stderr.write(f"relay-shell: {safe(error.message)}\n{safe(error.next_step)}\n")
    if offers:
        _add(path, offers, asked=bool(args.yes or wanted))
    return failed[0].exit_status if failed else 0


def _fingerprints(given: Sequence[str] | None) -> frozenset[str]:
    for text in given or ():
        if not text.startswith("SHA256:") or key_fault(text):
            error = RelayError("InvalidArguments", reason=f"{text[:80]!r} is no fingerprint")
            error.next_step = f"On the host: {COMPARE}"
            raise error
    return frozenset(given or ())


def _check_writable(path: Path) -> None:
    """Say before anybody compares fingerprints that nothing could be added."""
    if not os.access(path.parent, os.W_OK):
        raise RelayError("PermissionDenied", reason=f"{path.parent} cannot be written")


def _given(name: str, hosts: Sequence[Host]) -> list[Key]:
    if len(hosts) != 1:
        raise RelayError("InvalidArguments", reason="--keys has the keys of one host: name one")
    if name == "-":
        text = sys.stdin.read(LIMIT + 1)
    else:
        with open(name, encoding="utf-8", errors="replace") as file:
            text = file.read(LIMIT + 1)
    keys = keys_of(text) if len(text) <= LIMIT else []
    if not keys:
        error = RelayError("InvalidArguments", reason=f"no public key in {safe(name)}")
        error.next_step = "It holds lines as those of /etc/ssh/ssh_host_ed25519_key.pub."
        raise error
    return keys


def _outcome(
    path: Path, host: Host, given: list[Key] | None, wanted: frozenset[str]
) -> Offer | RelayError:
    try:
        return _offer(path, host, given, wanted)
    except RelayError as error:
        return error


def _offer(path: Path, host: Host, given: list[Key] | None, wanted: frozenset[str]) -> Offer:
    if given is None and host.jump:
        error = RelayError(
            "Unavailable",
            reason=f"{host.name} is behind {host.jump}: its key cannot be asked for from here",
        )
        error.next_step = (
            "Take it from the host, by a way that you trust: cat /etc/ssh/ssh_host_*_key.pub; then "
            f"here: relay-shell ssh trust {host.name} --keys FILE"
        )
        raise error
    keys = _scan(host) if given is None else given
    new = _unknown(path, host, keys)
    if wanted:
        fitting = [key for key in keys if key.fingerprint in wanted]
        if not fitting:
            shown = ", ".join(f"{key.name} {key.fingerprint}" for key in keys)
            error = RelayError(
                "Changed", reason=f"no key of {host.name} has that fingerprint; it shows {shown}"
            )
            error.next_step = f"Nothing was added. Ask the host itself: {COMPARE}"
            raise error
        new = [key for key in new if key in fitting]
    return Offer(host, tuple(keys), tuple(new))


def _scan(host: Host) -> list[Key]:
    return scan(host.address, host.port, int(setting("ssh.connect_timeout")))


def _unknown(path: Path, host: Host, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys that known_hosts has not.

    Raises:
        RelayError: Changed, if it has others, or has one of them as revoked.
    """
    name = listed_as(host)
    have = known(path, name)
    for key in keys:
        if (key.type, key.blob) in have.revoked:
            error = RelayError("Changed", reason=f"the {key.name} key of {host.name} is revoked")
            error.next_step = f"It was revoked in {path}: the host needs a new one."
            raise error
    new = [key for key in keys if (key.type, key.blob) not in have.keys]
    types = {kind for kind, _ in have.keys}
    other = [key for key in new if key.type in types]
    if other or (have.keys and len(new) == len(keys)):
        what = other[0] if other else keys[0]
        error = RelayError(
            "Changed",
            reason=f"{host.name} shows another key ({what.name} {what.fingerprint}) than "
            f"{path} has for it",
        )
        error.next_step = (
            "Either it was installed anew, or somebody sits in between. Ask the host itself: "
            f"{COMPARE}. If the new key is right: ssh-keygen -R {quote(name)} -f {quote(str(path))}"
            " removes the old, then trust it again."
        )
        raise error
    return new


def _add(path: Path, offers: Sequence[Offer], *, asked: bool) -> None:
    style = Style()
    rows = [
        [
            offer.host.name,
            listed_as(offer.host),
            key.name,
            key.fingerprint,
            style("new", "yellow") if key in offer.new else "known",
        ]
        for offer in offers
        for key in offer.keys
    ]
    print(table(["HOST", "LISTED AS", "KEY", "FINGERPRINT", ""], rows, style))
    count = sum(len(offer.new) for offer in offers)
    if not count:
        print("nothing to add")
        return
    if not asked:
        hosts = sum(bool(offer.new) for offer in offers)
        _ask(f"Add {count} key(s) of {hosts} host(s) to {path}?")
    print(f"added {_append(path, offers)} key(s) to {path}")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        error = RelayError("InvalidArguments", reason="nobody to ask: there is no terminal")
        error.next_step = "--fingerprint says which key is right; --yes takes those that are shown."
        raise error
    print(f"Compare them with what the host itself says: {COMPARE}")
    print(f"{question} Type yes: ", end="", flush=True)
    if sys.stdin.readline().strip() != "yes":
        error = RelayError("Cancelled", reason="the answer was not yes")
        error.next_step = "Nothing was added."
        raise error


def _append(path: Path, offers: Sequence[Offer]) -> int:
    """Put the new keys at the end of the file, which readers see as it was or whole.

    Returns:
        How many there were: what another hand added since the question is not added twice.
    """
    real = path.resolve()
    before = real.read_bytes() if real.exists() else b""
    lines = [
        f"{listed_as(offer.host)} {key.type} {key.blob}\n"
        for offer in offers
        for key in _unknown(path, offer.host, offer.keys)
        if key in offer.new
    ]
    # Two names of the inventory may stand for one of known_hosts.
    lines = list(dict.fromkeys(lines))
    if before and not before.endswith(b"\n"):
        before += b"\n"
    replace(real, before + "".join(lines).encode())
    return len(lines)
