"""The plan of one enforced start, as octets for the launcher (src/native/plan.h has the format).

The worker decides, the launcher does: nothing here touches the kernel.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .landlock import Domain
from .spawn import octets

_MAGIC, _VERSION = b"RSENFORC", 1
_LIMITS, _MOUNTS, _DIRECTORY, _ACCOUNT, _LANDLOCK, _SECCOMP, _EXEC = range(1, 8)

MAX = 16 << 20
"""Octets of a plan that the launcher takes; execve(2) takes 6 MiB of words at most."""

READY = 0
STEPS = {
    1: ("plan", ""),
    2: ("setup", "limits"),
    3: ("mount namespace", "unshare"),
    4: ("mount namespace", "private /"),
    5: ("mount namespace", "mount_setattr"),
    6: ("mount namespace", "scratch"),
    7: ("cwd", ""),
    8: ("account", "standard streams"),
    9: ("account", "bounding set"),
    10: ("account", "ambient set"),
    11: ("account", "groups"),
    12: ("account", "group"),
    13: ("account", "keep capabilities"),
    14: ("account", "user"),
    15: ("account", "capset"),
    16: ("close_range", ""),
    17: ("account", "no_new_privs"),
    18: ("Landlock", "ruleset"),
    19: ("Landlock", "rule"),
    20: ("Landlock", "domain"),
    21: ("seccomp", ""),
    22: ("exec", ""),
}
"""Stage and detail of what the launcher reports (src/native/step.h)."""

_REPORT = struct.Struct("=Ii")


class Mounts(NamedTuple):
    """A mount namespace of the command's own.

    Attributes:
        attributes: MOUNT_ATTR_* that every mount in it gets (mount_setattr(2)).
        scratch: where a tmpfs of its own is mounted, afterwards.
        options: of that tmpfs (tmpfs(5)).
    """

    attributes: int
    scratch: str
    options: str


class Account(NamedTuple):
    """Whom a root worker's enforced commands run as."""

    uid: int
    gid: int


def limits(bounds: Iterable[tuple[int, int]]) -> bytes:
    """Resource limits, by resource and bound (setrlimit(2))."""
    return _record(_LIMITS, b"".join(struct.pack("=IIQ", which, 0, most) for which, most in bounds))


def mounts(given: Mounts) -> bytes:
    texts = _text(given.scratch) + _text(given.options)
    return _record(_MOUNTS, struct.pack("=Q", given.attributes) + texts)


def directory(path: str) -> bytes:
    return _record(_DIRECTORY, _text(path))


def account(given: Account, capabilities: Iterable[int]) -> bytes:
    """An account, and the numbers of the capabilities that it keeps (capabilities(7))."""
    mask = sum(1 << number for number in capabilities)
    return _record(_ACCOUNT, struct.pack("=IIQ", given.uid, given.gid, mask))


def landlock(domain: Domain) -> bytes:
    rules = [
        _padded(struct.pack("=QII", rule.rights, rule.place, 0) + _text(rule.path))
        for rule in domain.rules
    ]
    head = struct.pack("=QQQ", domain.fs, domain.net, domain.scope)
    return _record(_LANDLOCK, head + b"".join(rules))


def seccomp(program: bytes) -> bytes:
    """A BPF program (struct sock_filter, seccomp(2))."""
    return _record(_SECCOMP, program)


def execute(executable: str, argv: Sequence[str], env: Mapping[str, str]) -> bytes:
    words = [executable, *argv, *(f"{name}={value}" for name, value in env.items())]
    counts = struct.pack("=II", len(argv), len(env))
    return _record(_EXEC, counts + b"".join(map(_text, words)))


def assemble(kept: int, *records: bytes) -> bytes:
    """The whole plan.

    Args:
        kept: descriptors that the command gets, from 0 on.
        records: in the order of their kinds.
    """
    body = b"".join(records)
    return struct.pack("=8sIIQ", _MAGIC, _VERSION, kept, 24 + len(body)) + body


def failure(report: bytes) -> tuple[str, str] | None:
    """What the launcher told: stage and reason, None if the command was started.

    The launcher says that it is ready as its last act, so silence is a failure too.
    """
    whole = len(report) - len(report) % _REPORT.size
    told = list(_REPORT.iter_unpack(report[:whole]))
    if not told:
        return "setup", "the launcher ended without a word"
    step, error = told[-1]
    if step == READY:
        return None
    stage, detail = STEPS.get(step, ("setup", f"step {step}"))
    return stage, ": ".join(filter(None, (detail, os.strerror(error))))


def _text(text: str) -> bytes:
    # A NUL within would make two words of one.
    return octets(text) + b"\0"


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 8)


def _record(kind: int, payload: bytes) -> bytes:
    return _padded(struct.pack("=II", kind, len(payload)) + payload)
