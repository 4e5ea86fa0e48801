"""Plans for the launcher's tests, and ways to hand them to it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import struct
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from relay_shell.shell import launcher, plan, readonly
from relay_shell.shell.memfile import sealed
from relay_shell.shell.spawn import spawn

NOBODY = plan.Account(65534, 65534)
BUILT = Path(__file__).parents[2] / "build/native"
ALLOW = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
"""A BPF program of one instruction, which allows every call."""


def records(scratch: str, *, root: bool, command: str = "echo ran") -> dict[str, bytes]:
    """The records of a sound plan by their names, for a test to spoil one."""
    made = {"limits": plan.limits(readonly.LIMITS)}
    if root:
        made["mounts"] = plan.mounts(readonly.mounts(scratch))
    made["directory"] = plan.directory("/")
    if root:
        made["account"] = plan.account(NOBODY, readonly.CAPABILITIES)
    made["landlock"] = plan.landlock(readonly.domain(scratch, network=False, devices=root))
    made["seccomp"] = plan.seccomp(ALLOW)
    argv = ["sh", "-c", command]
    made["execute"] = plan.execute("/bin/sh", argv, {"PATH": "/usr/bin:/bin"})
    return made


def sound(scratch: str = "/tmp", *, root: bool, kept: int = 3) -> bytes:
    return plan.assemble(kept, *records(scratch, root=root).values())


def record(kind: int, payload: bytes) -> bytes:
    """One record as it should be laid out, whatever is in it."""
    octets = struct.pack("=II", kind, len(payload)) + payload
    return octets + bytes(-len(octets) % 8)


def write(directory: str) -> None:
    """Sound plans, for a fuzzer to begin with."""
    for name, root in (("root", True), ("other", False)):
        Path(directory, name).write_bytes(sound(root=root))
        filters = readonly.programs(network=False, metadata=root)
        made = records("/tmp", root=root)
        made["seccomp"] = b"".join(map(plan.seccomp, filters))
        Path(directory, f"{name}-whole").write_bytes(plan.assemble(5, *made.values()))


class Told(NamedTuple):
    """What became of a plan: the failed step or None, the exit status, all that was written."""

    failed: tuple[str, str] | None
    status: int
    said: str


def hand(octets: bytes | int, *, kept: Sequence[int] = (), word: str | None = None) -> Told:
    """Give the launcher a plan.

    Args:
        octets: the plan, or a descriptor of something else.
        kept: descriptors for the command, from 3 on.
        word: the launcher's argument, if not their number.
    """
    steps = sealed(octets) if isinstance(octets, bytes) else os.dup(octets)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    status, report = os.pipe2(os.O_CLOEXEC)
    read, output = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(read, "rb") as said, os.fdopen(status, "rb") as told:
        try:
            pid = spawn(
                [launcher.program(), str(3 + len(kept)) if word is None else word],
                env={},
                cwd="/",
                stdin=null,
                stdout=output,
                stderr=output,
                keep=[*kept, steps, report],
            )
        finally:
            for fd in (steps, null, report, output):
                os.close(fd)
        text = said.read().decode("utf-8", "replace")
        _, code = os.waitpid(pid, 0)
        return Told(plan.failure(told.read()), os.waitstatus_to_exitcode(code), text)


def enter(bpf: bytes) -> None:
    """Put this process, and all that it will start, under a filter."""
    lib = ctypes.CDLL(None, use_errno=True)
    octets = ctypes.create_string_buffer(bpf, len(bpf))
    head = struct.pack("@HxxxxxxQ", len(bpf) // 8, ctypes.addressof(octets))
    assert lib.prctl(38, 1, 0, 0, 0) == 0
    assert lib.prctl(22, ctypes.c_ulong(2), head, 0, 0) == 0, os.strerror(ctypes.get_errno())


def apart(play: Callable[[], Any], account: plan.Account | None) -> Any:
    """Run `play` in a forked child, as `account` if one is given, and return its JSON answer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            # Out of the way of the descriptors that `play` makes, by numbers of its own.
            write = fcntl.fcntl(write, fcntl.F_DUPFD_CLOEXEC, 1000)
            if account is not None:
                os.setgroups([])
                os.setresgid(account.gid, account.gid, account.gid)
                os.setresuid(account.uid, account.uid, account.uid)
            os.write(write, json.dumps(play()).encode())
            status = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        text = answer.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(text)


def copied(directory: Path) -> str:
    """The launcher in a directory that every account may search; the tree may be in none."""
    directory.chmod(0o755)
    copy = directory / "relay-shell-enforce"
    shutil.copyfile(BUILT / copy.name, copy)
    copy.chmod(0o755)
    return str(copy)
