"""The package under test, and a cached file system in which apt has installed it."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from .machine import BUILD, TREE, Machine, rootfs

KEPT = 4


@functools.cache
def deb() -> Path:
    """The .deb of the tree as it is; RELAY_SHELL_DEB names a finished one to test instead."""
    if given := os.environ.get("RELAY_SHELL_DEB"):
        return Path(given)
    argv = [sys.executable, str(TREE / "packaging/build-deb")]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def install(machine: Machine) -> str:
    """Installs the package as the README says, without a network; what apt printed."""
    machine.put(deb(), f"/root/{deb().name}")
    return machine.out("apt-get", "install", "--yes", f"/root/{deb().name}")


@functools.cache
def installed(kind: str = "machine") -> tuple[Path, ...]:
    """Layers of a machine in which the package is installed and nothing is enabled yet.

    `kind` is a file system of packaging/rootfs.py, "machine" or "vm".
    """
    base = rootfs(kind)
    key = hashlib.sha256(deb().read_bytes() + base.name.encode()).hexdigest()[:12]
    layer = BUILD / "rootfs" / f"installed-{kind}-{key}"
    with open(layer.parent / ".installed.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layer.is_dir():
            with Machine([base]) as machine:
                install(machine)
                # The layer is shared: each machine made of it is to get an identity of its own.
                # Nor are its timers to think that they last ran when the layer was made.
                machine.shell(
                    "journalctl --rotate; : > /etc/machine-id; rm -rf /var/lib/systemd/timers"
                )
                machine.shutdown()
                journals = machine.upper / "var/log/journal"
                subprocess.run(["rm", "-rf", journals], check=True)
                machine.upper.rename(layer)
                (machine.directory / "upper").mkdir()
        # Runs side by side may test different states of the tree: the latest few stay.
        os.utime(layer)
        layers = layer.parent.glob(f"installed-{kind}-*")
        for old in sorted(layers, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            if not in_use(old):
                subprocess.run(["rm", "-rf", old], check=True)
    return (layer, base)


def in_use(directory: Path) -> bool:
    """Whether a mount of some process has the directory for a layer."""
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if str(directory) in mounts.read_text():
                return True
        except OSError:
            continue
    return False
