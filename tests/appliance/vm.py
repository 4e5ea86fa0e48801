"""Debian 13 with its own kernel under qemu, emulated: slow, but what it says of the kernel is true.

A container shares the host's kernel, and often has no memory, pids and cpu controllers; a virtual
machine has them. Booting takes about a minute, so a test module boots one (fixture `vm`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import journal
from .machine import BUILD
from .process import Process, poll
from .steps import Steps, prepared

KEY = BUILD / "rootfs/vm-key"
SIZE = "4G"
KEPT = 2

# $1 scratch, $2 lower directories, $3 image, $4 size. The layers are merged in a mount namespace of
# this process, and the merged tree becomes the disk.
IMAGE = """
mkdir -p "$1/root" "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cp "$1"/root/boot/vmlinuz-* "$3/kernel"
cp "$1"/root/boot/initrd.img-* "$3/initrd"
mke2fs -q -t ext4 -d "$1/root" "$3/disk" "$4"
"""

_serial = itertools.count(1)


def image(layers: Sequence[Path]) -> Path:
    """A directory with `disk`, `kernel` and `initrd` made of the layers, the uppermost first."""
    names = ":".join(map(str, layers))
    directory = BUILD / "images" / hashlib.sha256(names.encode()).hexdigest()[:12]
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.is_dir():
            os.utime(directory)
            return directory
        # A running machine keeps its open files.
        images = directory.parent.glob("[0-9a-f]*")
        for old in sorted(images, key=lambda path: path.stat().st_mtime)[: -KEPT + 1]:
            shutil.rmtree(old)
        unfinished = directory.parent / ".new"
        scratch = directory.parent / ".scratch"
        for leftover in (unfinished, scratch):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        scratch.mkdir()
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", IMAGE, "sh"]
        subprocess.run([*argv, str(scratch), names, str(unfinished), SIZE], check=True)
        shutil.rmtree(scratch)
        unfinished.rename(directory)
    return directory


def free_port() -> int:
    """A port of the loopback address that nobody has, and that no other program is given by chance.

    The kernel hands out ports of ip_local_port_range(7), from 32768: one of those could be taken
    between this look and qemu.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class VM(Steps):
    """One virtual machine; the disk is a snapshot, so it changes nothing."""

    baseline = tuple(journal.EMULATED)

    def __init__(self, layers: Sequence[Path], *, memory: int = 2048) -> None:
        """`memory` is in MiB."""
        super().__init__()
        self.name = f"vm-{os.getpid()}-{next(_serial)}"
        self.directory = BUILD / "machines" / self.name
        self.console = self.directory / "console.log"
        self._image = image(layers)
        self._memory = memory
        self._port = 0
        self._qemu: subprocess.Popen[bytes] | None = None

    def boot(self, seconds: float = 900) -> None:
        """Boots. Returns when systemd has started everything it was told to."""
        self.directory.mkdir(parents=True)
        self._port = free_port()
        with open(self.directory / "qemu.log", "wb") as log:
            self._qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig", "SIGKILL", *self._qemu_command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            poll(self._started, seconds, "the machine has started", every=0.5)
        except TimeoutError as error:
            said = (self.directory / "qemu.log").read_text(errors="replace")
            if self.console.exists():
                said += self.console.read_text(errors="replace")[-4000:]
            raise TimeoutError(f"{self.name}: {error}\n{said}") from None

    def _qemu_command(self) -> list[str]:
        # mitigations cost time and protect nobody here; cx16 crashes guests under qemu 7.2's TCG.
        kernel = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false mitigations=off"
        # To a kernel whose processor waits for the host's, the time that passes looks like a hang:
        # its watchdogs would write call traces of whatever was running.
        kernel += (
            " nowatchdog tsc=nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
            " workqueue.watchdog_thresh=0 sysctl.kernel.hung_task_timeout_secs=0"
        )
        return [
            "qemu-system-x86_64",
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,cx16=off"),
            *("-smp", "1", "-m", str(self._memory), "-nodefaults", "-display", "none"),
            *("-no-reboot", "-serial", f"file:{self.console}"),
            *("-kernel", str(self._image / "kernel"), "-initrd", str(self._image / "initrd")),
            *("-append", kernel),
            *("-drive", f"file={self._image / 'disk'},format=raw,if=virtio,snapshot=on"),
            *("-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"),
            *("-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci"),
        ]

    def _started(self) -> bool:
        assert self._qemu is not None
        if self._qemu.poll() is not None:
            raise TimeoutError(f"qemu ended with {self._qemu.returncode}")
        argv = self.command("systemctl", "is-system-running", "--wait")
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.stdout.strip() in ("running", "degraded")

    @property
    def running(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def destroy(self) -> None:
        if self._qemu is not None:
            with contextlib.suppress(ProcessLookupError):
                Process.of(self._qemu.pid).signal(signal.SIGKILL)
            self._qemu.wait(60)
            self._qemu = None
        if self.directory.is_dir():
            # The shared ssh connection ends with its peer.
            shutil.rmtree(self.directory)

    def command(
        self, *argv: str, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "BatchMode": "yes",
            "ConnectTimeout": "60",
            "ControlMaster": "auto",
            "ControlPersist": "300",
            "ControlPath": f"/tmp/{self.name}.ssh",
            # The default exchange takes seconds under emulation.
            "KexAlgorithms": "curve25519-sha256",
        }
        return [
            *("ssh", "-i", str(KEY), "-p", str(self._port), "-c", "aes128-gcm@openssh.com"),
            *(item for name, value in options.items() for item in ("-o", f"{name}={value}")),
            "root@127.0.0.1",
            "--",
            shlex.join(prepared(argv, user, env)),
        ]
