"""What the programs in the kernel and their reader agree on: members, tables, events."""

from __future__ import annotations

import struct

MEMBERS = {
    "task_struct": ("mm", "cgroups", "real_parent", "tgid", "signal", "cred"),
    "signal_struct": ("live",),
    "mm_struct": ("arg_start", "arg_end"),
    "cred": ("euid",),
    "css_set": ("dfl_cgrp",),
    "cgroup": ("level", "ancestors", "kn"),
    "kernfs_node": ("name", "id"),
    "linux_binprm": ("filename",),
}
"""What of the kernel's structures the programs read."""

PATH, ARGS = 256, 4096
"""Most octets of the path and of the arguments that are kept of one execution."""

UNIT, NAME = 128, 80

GROUP = struct.Struct(f"=QQQQ{UNIT}s{NAME}s")
"""A call or session: live processes, processes, executions, executions that found no room in the
ring, unit of the worker, name of the cgroup."""

EXEC, END = 1, 2
EVENT = struct.Struct("=IIQQ")
"""Kind, flags, time since boot in ns, group."""

EXECUTION = struct.Struct("=IIQQIIIIQIIQ")
"""As EVENT; then pid, parent, uid, effective uid, octets of all arguments, octets of those kept,
of the path with its NUL, and the number of the execution in its group. Path and arguments follow.
"""

HEADER = EXECUTION.size
SCRATCH = HEADER + PATH + ARGS

MOVED, UNREADABLE = 1, 2
"""Flags: the process is not in the cgroup of its call; its arguments could not be read."""

SLICE, UNTRACKED, MOST = 0, 1, 2
"""Keys of the array: the slice's cgroup id; processes that found no room in the tables; executions
that are kept of a group for which `allowed` says nothing else."""
