"""Kernel: what confinement and clean killing need."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from .base import FAIL, OK, WARN, Finding, Host

# landlock_create_ruleset(2): asked for the version, with no ruleset.
SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1
SCOPED_ABI = 6
"""First ABI that scopes signals and abstract unix sockets (Linux 6.12)."""

WANTED = ("memory", "pids", "cpu", "io")


def check(host: Host) -> Iterator[Finding]:
    """Look at the running kernel."""
    if not host.live:
        return
    yield judge_landlock(landlock_abi())
    yield _cgroup(Path("/sys/fs/cgroup"))
    yield _seccomp()
    yield _pidfd()
    yield judge_types(Path("/sys/kernel/btf/vmlinux"))


def landlock_abi() -> int:
    """Landlock's ABI version, or minus the errno with which the kernel refused to say."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    abi = libc.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION),
    )
    return int(abi) if abi >= 0 else -ctypes.get_errno()


def judge_landlock(abi: int) -> Finding:
    """Finding on Landlock's version."""
    name = "landlock"
    release = platform.release()
    if abi >= SCOPED_ABI:
        return Finding("kernel", OK, name, f"ABI {abi}, Linux {release}")
    reason = f"has ABI {abi}" if abi >= 0 else f"is not there ({os.strerror(-abi)})"
    return Finding(
        "kernel",
        FAIL,
        name,
        f"{reason} in Linux {release}; ABI {SCOPED_ABI} keeps agents apart",
        'boot Linux 6.12 or later with lsm=landlock,...; worker.landlock = "off" gives it up',
    )


def _cgroup(top: Path) -> Finding:
    try:
        controllers = (top / "cgroup.controllers").read_text().split()
    except OSError:
        return Finding(
            "kernel",
            FAIL,
            "cgroup",
            f"{top} is no cgroup2: a call's processes cannot be held together",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    missing = [name for name in WANTED if name not in controllers]
    if missing:
        return Finding(
            "kernel",
            WARN,
            "cgroup",
            f"controllers missing: {', '.join(missing)}; the units' limits on them do nothing",
            "a container needs them from its host",
        )
    return Finding("kernel", OK, "cgroup", "version 2 with " + ", ".join(WANTED))


def _seccomp() -> Finding:
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return Finding(
            "kernel", FAIL, "seccomp", "is not there: units run unfiltered", "another kernel"
        )
    return Finding("kernel", OK, "seccomp", ", ".join(actions))


def judge_types(path: Path) -> Finding:
    """Finding on the type information that the observer asks for."""
    if os.access(path, os.R_OK):
        return Finding("kernel", OK, "btf", "the observer can see what calls execute")
    return Finding(
        "kernel",
        WARN,
        "btf",
        f"{path} is not there: what calls execute is not observed",
        'a kernel with CONFIG_DEBUG_INFO_BTF, as Debian\'s; evidence.observe = "off" does without',
    )


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return Finding("kernel", FAIL, "pidfd", f"cannot be had ({error})", "Linux 5.3 or later")
    return Finding("kernel", OK, "pidfd", "available")
