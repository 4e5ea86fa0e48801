"""The state of a machine, to be compared with itself: what a command changed, by whatever way.

Runs inside the machine, by its own python3, as root:  python3 snapshot.py > state.json

State is a mapping from a name ("file /etc/passwd", "process ...") to what is true of it. What the
system changes by itself is left out, each place with its reason in `UNSTEADY`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator

ROOTS = (
    *("/etc", "/usr", "/var", "/home", "/root", "/opt", "/srv", "/boot"),
    *("/tmp", "/run", "/dev", "/mnt", "/media"),
)
UNSTEADY = {
    "/var/log/journal": "journald writes it",
    "/run/log/journal": "journald writes it",
    "/var/log/relay-shell": "the record of the calls themselves",
    "/var/lib/relay-shell-broker": "the broker's state: it counts the calls",
    "/run/relay-shell-broker": "the broker's state: its table of workers",
    "/run/relay-shell-front": "the front's state",
    "/run/relay-shell-terminals": "each worker's terminals are made there",
    "/run/systemd": "units, sessions and their sockets come and go with the workers",
    "/run/udev": "the service manager's and udev's",
    "/run/utmp": "logins",
    "/run/host": "the container manager's",
    "/var/lib/systemd": "stamps of timers, the random seed",
    "/var/lib/private": "dynamic users of units",
    "/var/lib/relay-shell": "what the workers keep for their principals",
    "/dev/pts": "terminals of the steps of this test",
    "/dev/console": "the machine's console: its log moves its time",
    "/dev/ptmx": "opening a terminal moves its time",
    "/dev/null": "everybody writes to it, which moves its time",
    "/dev/tty": "everybody may write to it, which moves its time",
}
PRIVATE = ("systemd-private-",)
"""Private directories of units, made and removed with each worker."""

HASHED = 1 << 20
"""Octets up to which a file's content is compared, not its size and times alone."""

UNSTEADY_SYSCTLS = (
    *("fs/dentry-state", "fs/inode", "fs/file-nr", "fs/quota", "kernel/random", "kernel/ns_last"),
    *("kernel/pty/nr", "net/netfilter/nf_conntrack_count", "fs/aio-nr", "vm/stat", "kernel/perf"),
)


def main() -> int:
    state: dict[str, object] = {}
    for root in ROOTS:
        for path, facts in files(root):
            state[f"file {path}"] = facts
    for name, fact in (*sysctls(), *processes(), *commands()):
        state[name] = fact
    json.dump(state, sys.stdout)
    return 0


def steady(path: str) -> bool:
    return path not in UNSTEADY and not os.path.basename(path).startswith(PRIVATE)


def files(root: str) -> Iterator[tuple[str, object]]:
    """Every file below a root, symbolic links not followed, other file systems included."""
    pending = [root]
    while pending:
        path = pending.pop()
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            continue
        yield path, file_facts(path, facts)
        if stat.S_ISDIR(facts.st_mode):
            names = (os.path.join(path, name) for name in sorted(os.listdir(path)))
            pending += [name for name in names if steady(name)]


def file_facts(path: str, facts: os.stat_result) -> object:
    """Type, mode, owner, size, time, attributes and content. Times of directories that hold
    unsteady entries move with those."""
    moves = path in {os.path.dirname(name) for name in UNSTEADY} | {"/tmp", "/var/tmp", "/run"}
    content = ""
    if stat.S_ISLNK(facts.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(facts.st_mode) and facts.st_size <= HASHED:
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False).hex()
        for name in os.listxattr(path, follow_symlinks=False)
    }
    regular = stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode)
    return [
        oct(facts.st_mode),
        facts.st_uid,
        facts.st_gid,
        facts.st_size if regular else 0,
        facts.st_nlink if regular else 0,
        facts.st_rdev,
        0 if moves else facts.st_mtime_ns,
        attributes,
        content,
    ]


def sysctls() -> Iterator[tuple[str, object]]:
    """What can be set of the kernel, as far as it does not count by itself."""
    for directory, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(directory, name)
            short = path.removeprefix("/proc/sys/")
            if short.startswith(UNSTEADY_SYSCTLS):
                continue
            try:
                with open(path, "rb") as file:
                    yield f"sysctl {short}", file.read(4096).hex()
            except OSError:
                continue


def processes() -> Iterator[tuple[str, object]]:
    """Processes by unit and command line; a count, since process numbers tell nothing."""
    counted: dict[str, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read(400).replace(b"\0", b" ").decode("utf-8", "replace").strip()
            with open(f"/proc/{name}/cgroup", encoding="ascii") as file:
                group = file.read().strip().rpartition("::")[2]
        except OSError:
            continue
        # The steps of the test itself run outside of every slice; "(sd-...)" are the service
        # manager's helpers.
        if group.startswith("/outside.slice") or line.startswith("(sd"):
            continue
        key = f"process {group} {line}"
        counted[key] = counted.get(key, 0) + 1
    yield from counted.items()


def commands() -> Iterator[tuple[str, object]]:
    """What tools say of sockets, units, mounts, network, accounts and the clock's settings."""
    for name, argv in {
        "listening": ["ss", "--no-header", "-lntuxp0"],
        "units": [
            *("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"),
            "--type=service,socket,timer,path,target,mount,swap,slice",
        ],
        "unit files": ["systemctl", "list-unit-files", "--no-legend", "--plain", "--full"],
        "environment": ["systemctl", "show-environment"],
        "default": ["systemctl", "get-default"],
        "mounts": ["cat", "/proc/1/mountinfo"],
        "swaps": ["cat", "/proc/swaps"],
        "links": ["ip", "-oneline", "link"],
        "addresses": ["ip", "-oneline", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        # Those that the kernel learns age by themselves.
        "neighbours": ["ip", "neigh", "show", "nud", "permanent"],
        "rules": ["ip", "rule"],
        "names": ["hostname"],
        "modules": ["cut", "-d", " ", "-f", "1", "/proc/modules"],
        "queues": ["cat", "/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"],
        "zone": ["readlink", "/etc/localtime"],
    }.items():
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        for line in sorted(set(done.stdout.splitlines())):
            text = " ".join(line.split())
            if "relay-shell-worker@" not in text and "/outside.slice" not in text:
                yield f"{name}: {text}", True


if __name__ == "__main__":
    sys.exit(main())
