"""Throwaway Debian 13 machines, booted by systemd-nspawn in a network of their own.

    with Machine(package.installed()) as machine:
        machine.run("systemctl", "enable", "--now", "relay-shell.socket")
        machine.run("relay-shell", "status", user="root").stdout

A machine is an overlay of cached directories, so it boots in about a second and leaves nothing.
It ends when its `with` block does, and when the process that started it dies. Needs root and
cgroup v2, alone or beside v1. Its kernel is the host's: for resource controllers see vm.py.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Process, poll
from .steps import ENVIRONMENT, Steps, prepared

TREE = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("RELAY_SHELL_BUILD", TREE / "build"))
# The kernel features that the units under test use and nspawn withholds by default.
CAPABILITIES = "CAP_NET_ADMIN,CAP_IPC_LOCK,CAP_BPF,CAP_PERFMON"
SYSTEM_CALLS = "@keyring bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self"

# $1 cgroup, $2 root, $3 overlay options, then the command. The mount is in the namespace of this
# process alone and goes with it.
BOOT = """
echo $$ > "$1/cgroup.procs"; mount -t overlay overlay -o "$3" "$2"; shift 3; exec "$@"
"""
# $1 cgroup, then the command. A step runs in a cgroup of the machine's, as a login would.
STEP = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'

_serial = itertools.count(1)


def rootfs(name: str) -> Path:
    """The cached file system of packaging/rootfs.py, built if need be."""
    argv = [sys.executable, str(TREE / "packaging/rootfs.py"), name]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def cgroup2() -> Path:
    for candidate in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (candidate / "cgroup.controllers").exists():
            return candidate
    raise RuntimeError("no cgroup v2 hierarchy is mounted")


class Machine(Steps):
    """One machine. `layers` are the directories of its file system, the uppermost first."""

    def __init__(
        self,
        layers: Sequence[Path],
        *,
        name: str | None = None,
        binds: Mapping[str, str] | None = None,
        network: str | None = None,
    ) -> None:
        """`binds` maps host paths to paths in the machine; `network` names a netns to share."""
        super().__init__()
        self.name = name or f"rs-{os.getpid()}-{next(_serial)}"
        self.layers = tuple(layers)
        self.directory = BUILD / "machines" / self.name
        self.console = self.directory / "console.log"
        self._binds = dict(binds or {})
        self._network = network
        self._cgroup = cgroup2() / f"relay-shell-test-{self.name}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader: Process | None = None

    # -- life ------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._leader is not None and self._leader.alive()

    @property
    def upper(self) -> Path:
        """The directory that holds what this machine has changed, as overlayfs keeps it."""
        return self.directory / "upper"

    def boot(self, seconds: float = 180) -> None:
        """Boots. Returns when systemd has started everything it was told to."""
        self._leader = None
        for part in ("root", "upper", "work"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        self._cgroup.mkdir(exist_ok=True)
        lower = ":".join(map(str, self.layers))
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self.directory / 'work'}"
        root = self.directory / "root"
        argv = ["setpriv", "--pdeathsig", "SIGKILL", "unshare", "--mount"]
        argv += ["--propagation", "private", "sh", "-euc", BOOT, "sh"]
        argv += [str(self._cgroup), str(root), options, *self._nspawn_command(root)]
        with open(self.console, "ab") as console:
            self._nspawn = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                # The container gets cgroup v2 alone, also where the host mounts both.
                env={"PATH": ENVIRONMENT["PATH"], "UNIFIED_CGROUP_HIERARCHY": "1"},
            )
        try:
            poll(self._find_leader, seconds, "systemd runs")
            poll(self._started, seconds, "the machine has started")
        except TimeoutError as error:
            tail = self.console.read_text(errors="replace")[-4000:]
            raise TimeoutError(f"{self.name}: {error}\n{tail}") from None
        outside = self._payload() / "outside.slice"
        outside.mkdir(exist_ok=True)

    def _nspawn_command(self, root: Path) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={root}",
            f"--machine={self.name}",
            f"--hostname={self.name}",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=read-only",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--kill-signal=SIGRTMIN+4",
            f"--capability={CAPABILITIES}",
            f"--system-call-filter={SYSTEM_CALLS}",
            f"--network-namespace-path=/run/netns/{self._network}"
            if self._network
            else "--private-network",
            *(f"--bind={host}:{there}" for host, there in self._binds.items()),
        ]

    def _find_leader(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise TimeoutError(f"systemd-nspawn ended with {self._nspawn.returncode}")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self._leader = Process.of(child)
        return self._leader is not None

    def _started(self) -> bool:
        try:
            state = self._enter(["systemctl", "is-system-running"]).stdout.strip()
        except subprocess.TimeoutExpired:
            return False
        return state in ("running", "degraded")

    def shutdown(self, seconds: float = 180) -> None:
        """Powers the machine off, as an operator would, and leaves its directory."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return
        # nspawn passes SIGTERM on to the machine's systemd as --kill-signal: power off.
        Process.of(self._nspawn.pid).signal(signal.SIGTERM)
        poll(self._powered_off, seconds, f"{self.name} is powered off")

    def _powered_off(self) -> bool:
        assert self._nspawn is not None
        # systemd-shutdown(8) stops all processes before it ends them. The nsenter(1) of a step
        # stops with its child, which only it can reap, and systemd cannot see it: it would wait.
        with contextlib.suppress(OSError):
            for pid in (self._payload() / "outside.slice/cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    Process.of(int(pid)).signal(signal.SIGCONT)
        return self._nspawn.poll() is not None

    def destroy(self) -> None:
        """Ends everything in the machine at once and removes its directory."""
        if self._cgroup.is_dir():
            # All of the machine is in this cgroup and nothing else is.
            (self._cgroup / "cgroup.kill").write_text("1")
        if self._nspawn is not None:
            self._nspawn.wait(180)
            self._nspawn = None
        self._leader = None
        with contextlib.suppress(TimeoutError):
            poll(self._remove_cgroup, 60, "its cgroup is empty")
        if self.directory.is_dir():
            # Append-only and immutable files of a copied tree; overlayfs keeps its own in xattrs.
            subprocess.run(
                ["chattr", "-R", "-f", "-i", "-a", self.directory], check=False, capture_output=True
            )
            shutil.rmtree(self.directory)

    def _remove_cgroup(self) -> bool:
        if not self._cgroup.is_dir():
            return True
        deepest_first = sorted(self._cgroup.rglob("**/"), key=lambda p: -len(p.parts))
        for directory in deepest_first:
            with contextlib.suppress(OSError):
                directory.rmdir()
        with contextlib.suppress(OSError):
            self._cgroup.rmdir()
        return not self._cgroup.is_dir()

    def _payload(self) -> Path:
        return self._cgroup / "payload"

    # -- steps -----------------------------------------------------------------------------------

    def _nsenter(self) -> list[str]:
        if self._leader is None or not self.running:
            raise RuntimeError(f"{self.name}: the machine is not running")
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        return ["nsenter", "--target", str(self._leader.pid), *spaces]

    def _enter(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._nsenter(), *argv], capture_output=True, text=True, env=ENVIRONMENT, timeout=30
        )

    def command(
        self, *argv: str, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        return [
            *("sh", "-euc", STEP, "sh", str(self._payload() / "outside.slice")),
            *self._nsenter(),
            *prepared(argv, user, env),
        ]
