"""The programs that run in the kernel: which process belongs to which call, and what it executes.

A process belongs to a call because a worker, which belongs to none, started it in the call's
cgroup. What a process of a call starts belongs to the same call from then on, in whatever cgroup
it is: the commands of one worker could start a process in another call's cgroup (clone3(2) asks
for nothing but the directory's owner).

The arguments are read after execve(2) has copied them and before the program's first instruction,
so that no other thread can exchange them in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from .assemble import FP, LONG, R0, R1, R2, R3, R4, R6, R7, R8, R9, WORD, Assembler
from .layout import (
    ARGS,
    END,
    EVENT,
    EXEC,
    GROUP,
    HEADER,
    MOST,
    MOVED,
    NAME,
    PATH,
    SLICE,
    UNIT,
    UNREADABLE,
    UNTRACKED,
)

DEEPEST = 10
"""Level of the slice in the hierarchy at most; more than 1 in a container."""

WAKE = 256 * 1024
"""Octets in the ring from which on its reader is woken before a call ends."""

# Places in a group.
_LIVE, _FORKS, _EXECS, _LOST, _UNIT, _NAME = 0, 8, 16, 24, 32, 160

# Helpers by number (linux/bpf.h).
_LOOKUP, _UPDATE, _DELETE, _PID, _UID = 1, 2, 3, 14, 15
_READ_USER, _READ, _READ_STRING = 112, 113, 115
_ANCESTOR, _BOOTTIME, _OUTPUT, _QUERY = 123, 125, 130, 134

_NO_WAKEUP, _FORCE_WAKEUP = 1, 2

# Places on the stack, below the frame pointer.
_KEY, _TGID, _CHILD, _POINTER, _SMALL, _ZERO = -8, -12, -16, -24, -32, -36
_GROUP = -40 - GROUP.size
_CALL, _SESSION = (int.from_bytes(name, "little") for name in (b"call", b"sess"))


class Fds:
    """The maps, by descriptor."""

    def __init__(
        self, *, labels: int, groups: int, allowed: int, config: int, scratch: int, ring: int
    ) -> None:
        self.labels = labels
        self.groups = groups
        self.allowed = allowed
        self.config = config
        self.scratch = scratch
        self.ring = ring


class Programs:
    """Assembles the programs.

    Args:
        at: offsets of `MEMBERS`.
    """

    def __init__(self, at: Mapping[str, int], fds: Fds) -> None:
        self._at = at
        self._fds = fds

    def all(self) -> dict[str, bytes]:
        """The programs, by their tracepoint."""
        return {
            "sched_process_fork": self._fork(),
            "sched_process_exec": self._exec(),
            "sched_process_exit": self._exit(),
        }

    def _fork(self) -> bytes:
        """A process of a call, or the worker, started another: (parent, child)."""
        a = Assembler()
        a.load(LONG, R7, R1, 8)
        self._own_tgid(a)
        self._read(a, _CHILD, 4, R7, "task_struct.tgid")
        a.load(WORD, R1, FP, _TGID)
        a.load(WORD, R2, FP, _CHILD)
        a.whenr(R1, "==", R2, "out")
        self._lookup(a, self._fds.labels, _TGID)
        a.when(R0, "!=", 0, "inherit")
        self._classify(a, R7, "out")
        a.jump("enter")
        a.label("inherit")
        a.load(LONG, R8, R0, 0)
        a.store(LONG, FP, _KEY, R8)
        a.label("enter")
        self._enter(a, _CHILD, "out")
        a.label("out")
        a.leave()
        return a.code()

    def _exec(self) -> bytes:
        """A process executes a program: (task, old pid, binprm)."""
        a = Assembler()
        a.alur(R6, "=", R1)
        self._own_tgid(a)
        self._lookup(a, self._fds.labels, _TGID)
        a.when(R0, "!=", 0, "known")
        # The worker's child that entered the cgroup of its call by itself, after its fork.
        a.load(LONG, R7, R6, 0)
        self._classify(a, R7, "out")
        self._enter(a, _TGID, "out")
        a.jump("counted")
        a.label("known")
        a.load(LONG, R8, R0, 0)
        a.store(LONG, FP, _KEY, R8)
        a.label("counted")
        self._lookup(a, self._fds.groups, _KEY)
        a.when(R0, "==", 0, "out")
        a.alur(R7, "=", R0)
        a.alu(R9, "=", 1)
        a.add_atomic(R7, _EXECS, R9, fetch=True)
        self._lookup(a, self._fds.allowed, _KEY)
        a.when(R0, "!=", 0, "bounded")
        a.put(WORD, FP, _ZERO, MOST)
        self._lookup(a, self._fds.config, _ZERO)
        a.when(R0, "==", 0, "out")
        a.label("bounded")
        a.load(LONG, R1, R0, 0)
        a.whenr(R9, ">=", R1, "out")
        a.store(LONG, FP, _POINTER, R9)
        a.put(WORD, FP, _ZERO, 0)
        self._lookup(a, self._fds.scratch, _ZERO)
        a.when(R0, "==", 0, "out")
        a.alur(R9, "=", R0)
        a.load(LONG, R1, FP, _POINTER)
        a.store(LONG, R9, 56, R1)
        self._facts(a)
        self._send_exec(a)
        a.label("out")
        a.leave()
        return a.code()

    def _exit(self) -> bytes:
        """A thread ends: (task)."""
        a = Assembler()
        a.load(LONG, R7, R1, 0)
        self._own_tgid(a)
        self._lookup(a, self._fds.labels, _TGID)
        a.when(R0, "==", 0, "out")
        a.load(LONG, R8, R0, 0)
        a.store(LONG, FP, _KEY, R8)
        # The last thread of the process is the one after which none is live.
        self._follow(a, R7, "task_struct.signal")
        self._read(a, _SMALL, 4, R3, "signal_struct.live", ready=True)
        a.load(WORD, R1, FP, _SMALL)
        a.when(R1, "!=", 0, "out")
        self._key(a, self._fds.labels, _TGID)
        a.call(_DELETE)
        self._lookup(a, self._fds.groups, _KEY)
        a.when(R0, "==", 0, "out")
        a.alu(R1, "=", -1)
        a.add_atomic(R0, _LIVE, R1, fetch=True)
        a.when(R1, "!=", 1, "out")
        a.call(_BOOTTIME)
        a.put(WORD, FP, _GROUP, END)
        a.put(WORD, FP, _GROUP + 4, 0)
        a.store(LONG, FP, _GROUP + 8, R0)
        a.store(LONG, FP, _GROUP + 16, R8)
        a.map(R1, self._fds.ring)
        a.alur(R2, "=", FP)
        a.alu(R2, "+", _GROUP)
        a.alu(R3, "=", EVENT.size)
        a.alu(R4, "=", _FORCE_WAKEUP)
        a.call(_OUTPUT)
        a.label("out")
        a.leave()
        return a.code()

    # ---- parts ---------------------------------------------------------------------------

    def _own_tgid(self, a: Assembler) -> None:
        a.call(_PID)
        a.alu(R0, ">>", 32)
        a.store(WORD, FP, _TGID, R0)

    def _key(self, a: Assembler, fd: int, key: int) -> None:
        a.map(R1, fd)
        a.alur(R2, "=", FP)
        a.alu(R2, "+", key)

    def _lookup(self, a: Assembler, fd: int, key: int) -> None:
        self._key(a, fd, key)
        a.call(_LOOKUP)

    def _update(self, a: Assembler, fd: int, key: int, value: int, new: bool) -> None:
        self._key(a, fd, key)
        a.alur(R3, "=", FP)
        a.alu(R3, "+", value)
        a.alu(R4, "=", 1 if new else 0)
        a.call(_UPDATE)

    def _read(
        self, a: Assembler, to: int, size: int, base: int, member: str, ready: bool = False
    ) -> None:
        """Read a member of the structure at `base` to the stack."""
        if not ready:
            a.alur(R3, "=", base)
        a.alu(R3, "+", self._at[member])
        a.alur(R1, "=", FP)
        a.alu(R1, "+", to)
        a.alu(R2, "=", size)
        a.call(_READ)

    def _follow(self, a: Assembler, base: int, *members: str) -> None:
        """Follow pointers from the structure at `base`; the last is then in R3."""
        for n, member in enumerate(members):
            self._read(a, _POINTER, 8, base, member, ready=n > 0)
            a.load(LONG, R3, FP, _POINTER)

    def _find_slice(self, a: Assembler, missing: str) -> None:
        """R9 = level of the slice above the running process."""
        found = a.fresh("slice")
        a.put(WORD, FP, _ZERO, SLICE)
        self._lookup(a, self._fds.config, _ZERO)
        a.when(R0, "==", 0, missing)
        a.load(LONG, R8, R0, 0)
        for level in range(1, DEEPEST + 1):
            a.alu(R1, "=", level)
            a.call(_ANCESTOR)
            a.when(R0, "==", 0, missing)
            a.alu(R9, "=", level)
            a.whenr(R0, "==", R8, found)
        a.jump(missing)
        a.label(found)

    def _classify(self, a: Assembler, task: int, other: str) -> None:
        """Find the group of a task that has no call yet, as R8 and at _KEY, and describe it.

        The running process is in the slice; the task is the running process or its child.
        """
        self._find_slice(a, other)
        self._follow(a, task, "task_struct.cgroups", "css_set.dfl_cgrp")
        a.alur(R8, "=", R3)
        self._read(a, _SMALL, 4, R8, "cgroup.level")
        a.load(WORD, R1, FP, _SMALL)
        a.alu(R9, "+", 2)
        a.whenr(R1, "<", R9, other)
        for off in range(0, GROUP.size, 8):
            a.put(LONG, FP, _GROUP + off, 0)
        for back, size, place in ((8, UNIT, _UNIT), (0, NAME, _NAME)):
            # cgroup.ancestors[level], whose kernfs node has the name.
            a.alur(R3, "=", R9)
            a.alu(R3, "<<", 3)
            a.alur(R3, "+", R8)
            a.alu(R3, "-", back)
            self._read(a, _POINTER, 8, R3, "cgroup.ancestors", ready=True)
            a.load(LONG, R3, FP, _POINTER)
            self._follow(a, R3, "cgroup.kn")
            a.store(LONG, FP, _KEY, R3)
            self._follow(a, R3, "kernfs_node.name")
            a.alur(R1, "=", FP)
            a.alu(R1, "+", _GROUP + place)
            a.alu(R2, "=", size)
            a.call(_READ_STRING)
        a.load(LONG, R7, FP, _KEY)
        a.load(WORD, R1, FP, _GROUP + _NAME)
        named = a.fresh("named")
        a.when(R1, "==", _CALL, named)
        a.when(R1, "!=", _SESSION, other)
        a.label(named)
        self._read(a, _KEY, 8, R7, "kernfs_node.id")
        a.load(LONG, R8, FP, _KEY)
        self._update(a, self._fds.groups, _KEY, _GROUP, new=True)

    def _enter(self, a: Assembler, tgid: int, out: str) -> None:
        """The process belongs to the group in R8, which is at _KEY too."""
        entered = a.fresh("entered")
        a.store(LONG, FP, _POINTER, R8)
        self._update(a, self._fds.labels, tgid, _POINTER, new=False)
        a.alur(R9, "=", R0)
        self._lookup(a, self._fds.groups, _KEY)
        full = a.fresh("full")
        a.when(R0, "==", 0, full)
        a.when(R9, "!=", 0, full)
        a.alu(R1, "=", 1)
        a.add_atomic(R0, _LIVE, R1)
        a.add_atomic(R0, _FORKS, R1)
        a.jump(entered)
        a.label(full)
        a.put(WORD, FP, _ZERO, UNTRACKED)
        self._lookup(a, self._fds.config, _ZERO)
        a.when(R0, "==", 0, out)
        a.alu(R1, "=", 1)
        a.add_atomic(R0, 0, R1)
        a.jump(out)
        a.label(entered)

    def _facts(self, a: Assembler) -> None:
        """Fill the scratch at R9 with what is known of the execution in the group R8."""
        a.put(WORD, R9, 0, EXEC)
        a.put(WORD, R9, 4, 0)
        a.call(_BOOTTIME)
        a.store(LONG, R9, 8, R0)
        a.store(LONG, R9, 16, R8)
        a.load(WORD, R1, FP, _TGID)
        a.store(WORD, R9, 24, R1)
        a.load(LONG, R3, R6, 0)
        self._follow(a, R3, "task_struct.real_parent")
        self._read(a, _SMALL, 4, R3, "task_struct.tgid", ready=True)
        a.load(WORD, R1, FP, _SMALL)
        a.store(WORD, R9, 28, R1)
        a.call(_UID)
        a.store(WORD, R9, 32, R0)
        a.load(LONG, R3, R6, 0)
        self._follow(a, R3, "task_struct.cred")
        self._read(a, _SMALL, 4, R3, "cred.euid", ready=True)
        a.load(WORD, R1, FP, _SMALL)
        a.store(WORD, R9, 36, R1)
        a.load(LONG, R3, R6, 16)
        self._follow(a, R3, "linux_binprm.filename")
        a.alur(R1, "=", R9)
        a.alu(R1, "+", HEADER)
        a.alu(R2, "=", PATH)
        a.call(_READ_STRING)
        a.store(WORD, R9, 52, R0)
        self._moved(a)
        self._arguments(a)

    def _moved(self, a: Assembler) -> None:
        """Flag a process that is not below its group's cgroup."""
        found = a.fresh("here")
        for level in range(3, DEEPEST + 3):
            a.alu(R1, "=", level)
            a.call(_ANCESTOR)
            a.whenr(R0, "==", R8, found)
        a.put(WORD, R9, 4, MOVED)
        a.label(found)

    def _arguments(self, a: Assembler) -> None:
        """Read the arguments behind path in the scratch; R7 stays, R8 is then their length."""
        a.load(LONG, R3, R6, 0)
        self._follow(a, R3, "task_struct.mm")
        a.store(LONG, FP, _KEY, R3)
        self._read(a, _POINTER, 8, R3, "mm_struct.arg_end", ready=True)
        a.load(LONG, R8, FP, _POINTER)
        a.load(LONG, R3, FP, _KEY)
        self._read(a, _POINTER, 8, R3, "mm_struct.arg_start", ready=True)
        a.load(LONG, R3, FP, _POINTER)
        a.alur(R8, "-", R3)
        a.store(LONG, R9, 40, R8)
        a.when(R8, "<=", ARGS, "short")
        a.alu(R8, "=", ARGS)
        a.label("short")
        a.alur(R1, "=", R9)
        a.alu(R1, "+", HEADER + PATH)
        a.alur(R2, "=", R8)
        a.call(_READ_USER)
        a.when(R0, "==", 0, "read")
        a.load(WORD, R1, R9, 4)
        a.alu(R1, "+", UNREADABLE)
        a.store(WORD, R9, 4, R1)
        a.alu(R8, "=", 0)
        a.label("read")
        a.store(WORD, R9, 48, R8)

    def _send_exec(self, a: Assembler) -> None:
        a.map(R1, self._fds.ring)
        a.alu(R2, "=", 0)
        a.call(_QUERY)
        a.alu(R4, "=", _NO_WAKEUP)
        a.when(R0, "<=", WAKE, "quiet")
        a.alu(R4, "=", _FORCE_WAKEUP)
        a.label("quiet")
        a.map(R1, self._fds.ring)
        a.alur(R2, "=", R9)
        a.alur(R3, "=", R8)
        a.alu(R3, "+", HEADER + PATH)
        a.call(_OUTPUT)
        a.when(R0, "==", 0, "sent")
        a.alu(R1, "=", 1)
        a.add_atomic(R7, _LOST, R1)
        a.label("sent")
