"""The domain that a worker enters before it serves: its own, and that of all its commands.

All scoped workers share one account, so file permissions do not keep agents apart. Landlock's
scopes do (signals, abstract sockets; ptrace(2) and /proc/PID/root follow), and no write below
/sys keeps commands in their cgroups. Landlock has no say in resource limits, by which the kernel
kills (RLIMIT_CPU) or cripples (RLIMIT_NOFILE) any process of the account: a filter has.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from ..wire.errors import RelayError
from .cgroup import Groups

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
_INSTRUCTION = 8
"""Octets of a struct sock_filter."""


def undumpable() -> None:
    """Keep processes of the same account from tracing this one (prctl(2), ptrace(2))."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def enter(groups: Groups | None) -> None:
    """Confine this process and all that it will start, irrevocably.

    Files may be written wherever ordinary permissions allow it, but nowhere below /sys; in the
    own cgroup, directories may be made and removed. A process may set its own limits, as pid 0,
    and no other's.

    Raises:
        RelayError: kind Enforcement, where the kernel cannot give all of it.
    """
    from .landlock import ABI_SCOPES, WRITE, Fs, Ruleset, Scope, abi

    have = abi()
    if have < ABI_SCOPES:
        raise RelayError(
            "Enforcement",
            reason=f"Landlock ABI {ABI_SCOPES} (Linux 6.12) is needed, this kernel has {have}",
        )
    try:
        ruleset = Ruleset(fs=WRITE, scope=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET)
        try:
            # A rule on / would cover /sys too, and no rule takes back what another gives.
            for name in os.listdir("/"):
                if name != "sys":
                    ruleset.allow(f"/{name}", WRITE)
            if groups is not None:
                ruleset.allow(groups.base, Fs.MAKE_DIR | Fs.REMOVE_DIR)
            ruleset.enter()
        finally:
            ruleset.close()
        _filter(_others())
    except OSError as error:
        raise RelayError("Enforcement", reason=str(error)) from None


def _others() -> bytes:
    """The filter of calls that reach the processes of other agents, as a BPF program."""
    from .seccomp import ALLOW, Filter, equal, not_equal, refuse

    built = Filter(ALLOW)
    denied = refuse(errno.EPERM)
    # A pid and a new limit; who only asks gives no new limit.
    built.add(denied, "prlimit64", not_equal(0, 0), not_equal(2, 0))
    built.add(denied, "setpriority", equal(0, _PRIO_USER))
    built.add(denied, "ioprio_set", equal(0, _IOPRIO_WHO_USER))
    return built.build()


def _filter(program: bytes) -> None:
    """Enter a seccomp filter; no_new_privs is set since the Landlock domain."""
    octets = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // _INSTRUCTION, ctypes.addressof(octets))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")
