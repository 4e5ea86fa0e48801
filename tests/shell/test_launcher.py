"""Enforced commands on the running kernel: what they may do, and every way out that is known.

The test process is root; an unprivileged worker is a forked child that gave root up.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from native.plans import NOBODY, apart, copied
from relay_shell.shell import launcher, plan, readonly
from relay_shell.shell.launcher import Command, Launcher
from relay_shell.wire.errors import RelayError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to play both workers")


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both workers find the launcher, wherever the tree lies."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        copy = copied(Path(directory))
        monkeypatch.setattr(launcher, "program", lambda: copy)
        yield


def run(command: str, *, root: bool, network: bool = False, cwd: str = "/") -> tuple[int, str]:
    """Run one enforced command; return its exit status and what it said."""

    def play() -> tuple[int, str]:
        confining = Launcher(network=network, account=NOBODY if root else None)
        with tempfile.TemporaryDirectory(prefix="scratch-") as scratch:
            read, write = os.pipe()
            null = os.open("/dev/null", os.O_RDONLY)
            pid = confining.start(
                Command(
                    ["bash", "--norc", "-c", command],
                    "/bin/bash",
                    {"PATH": PATH, "LC_ALL": "C.UTF-8", **readonly.environment(scratch)},
                    cwd,
                    (null, write, write),
                    scratch,
                )
            )
            os.close(write)
            with os.fdopen(read, "rb") as output:
                said = output.read()
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return abs(status), said.decode("utf-8", "replace")

    status, said = apart(play, None if root else NOBODY)
    return status, said


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of root's in the mounts of the host, with a memory file that anybody may write."""
    memory = os.memfd_create("bystander")
    process = subprocess.Popen(["sleep", "98772"], pass_fds=[memory], cwd="/")
    yield process.pid
    assert os.fstat(memory).st_size == 0
    os.close(memory)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "change",
    [
        "echo x > /proc/{pid}/root{t}/new",
        "echo after > /proc/{pid}/root{t}/file",
        "echo after > /proc/{pid}/cwd{t}/file",
        "cd /proc/{pid}/root{t} && {{ mkdir d; ln -s x l; rm -f file; touch file; }}",
        "for f in /proc/{pid}/fd/*; do echo after > $f; done",
        "for p in /proc/[0-9]*; do echo x > $p/root{t}/new; done",
        "for p in /proc/[0-9]*; do echo x > $p/cwd/{t}/new; done",
        "kill -STOP {pid}; kill -9 {pid}",
    ],
)
def test_other_processes_lead_nowhere(
    change: str, root: bool, target: Path, bystander: int
) -> None:
    """Their mounts are not read-only, whatever this command's own are."""
    before = state(target)
    run(f"cd /; {{ {change.format(pid=bystander, t=target)}; }} 2>/dev/null", root=root)
    assert state(target) == before
    status = Path(f"/proc/{bystander}/status").read_text()
    assert re.search(r"^State:\t[^TZ]", status, re.MULTILINE), status
    assert not Path("/tmp/new").exists()


def test_bystander_is_reached_without_enforcement(target: Path, bystander: int) -> None:
    """The way is there: unconfined, the same account that owns the process takes it."""
    before = state(target)
    (Path(f"/proc/{bystander}/root{target}") / "new").write_text("x")
    assert state(target) != before


@pytest.fixture(params=[False, True], ids=["unprivileged", "root"])
def root(request: pytest.FixtureRequest) -> bool:
    """Both kinds of worker."""
    return bool(request.param)


@pytest.fixture
def target() -> Iterator[Path]:
    """A directory that anybody may change, as far as permissions go."""
    path = Path(tempfile.mkdtemp(prefix="target-", dir="/var/tmp"))
    (path / "file").write_text("before\n")
    for entry in (path, path / "file"):
        os.chown(entry, *NOBODY)
        entry.chmod(0o777)
    yield path
    shutil.rmtree(path)


def state(path: Path) -> list[tuple[Any, ...]]:
    """Everything that a command might have changed of a tree."""
    found = []
    for entry in sorted([path, *path.rglob("*")]):
        s = entry.lstat()
        found.append((str(entry), s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns))
        found.append((entry.is_file() and entry.read_bytes(), *os.listxattr(entry)))
    return found


READS = [
    "id; ls -l /etc; cat /etc/passwd",
    "ps aux | grep -c .",
    "df -h /; free -m; uptime; uname -a",
    "find /etc -name passwd 2>/dev/null || test $? = 1",
    "sort /etc/passwd | uniq -c | awk '{print $1}' | head -3",
    "echo x | tee /dev/stderr > /dev/null",
    "timeout 5 true; (sleep 0.01 & wait)",
    "cat <<< here; diff <(echo a) <(echo a)",
    "echo note > $TMPDIR/f && cat $TMPDIR/f && rm $TMPDIR/f",
    "python3 -c 'import os; print(os.getpid())'",
    "ip -br addr 2>&1 || test $? = 127; ss -ltn 2>&1 || test $? = 127",
    "kill -0 $$; sleep 5 & kill $!; wait; true",
    "dpkg -l dpkg | tail -1",
]


@pytest.mark.parametrize("command", READS)
def test_inspection_works(command: str, root: bool) -> None:
    """What operators look with must not be in the way."""
    status, said = run(command, root=root)
    assert (status, "denied" in said, "not permitted" in said) == (0, False, False), said
    assert said or "timeout" in command or "kill" in command


CHANGES = [
    "echo after > {t}/file",
    "echo after >> {t}/file",
    "touch {t}/new; mkdir {t}/d; mkfifo {t}/p; ln -s x {t}/l; ln {t}/file {t}/hard",
    "rm -f {t}/file; mv {t}/file {t}/moved",
    "truncate -s 0 {t}/file",
    "chmod 000 {t}/file; chown 1 {t}/file; touch -d 2001-01-01 {t}/file",
    "python3 -c \"import os; os.setxattr('{t}/file', 'user.x', b'1')\"",
    "python3 -c \"import os; os.truncate('{t}/file', 0)\"",
    "python3 -c \"import mmap; f = open('{t}/file', 'r+b'); mmap.mmap(f.fileno(), 0)[0:1] = b'X'\"",
    "python3 -c \"import socket as s; s.socketpair()[0]; s.socket(1).bind('{t}/sock')\"",
    "cp /bin/true $TMPDIR/true; mv $TMPDIR/true {t}/true; ln $TMPDIR/x {t}/y",
    "dd if=/dev/zero of={t}/file count=1; cp /etc/passwd {t}/file; sed -i s/b/c/ {t}/file",
    "cd {t} && (cd {t} && echo 1 > file); bash -c 'exec 3<>{t}/file; echo 1 >&3'",
    "exec 9> /proc/self/cwd/../var/tmp/x; chattr +i {t}/file; setfattr -n user.a -v 1 {t}/file",
    "(setsid bash -c 'sleep 0.05; echo late > {t}/file' > /dev/null 2>&1 &); sleep 0.2",
]


@pytest.mark.parametrize("command", CHANGES)
def test_nothing_changes(command: str, root: bool, target: Path) -> None:
    """The tree is compared before and after; exit statuses prove nothing."""
    before = state(target)
    run(command.format(t=target), root=root, cwd=str(target))
    assert state(target) == before


def syscall(arguments: str, before: str = "pass") -> str:
    """A command that makes one raw system call and succeeds if the call does."""
    return (
        f"python3 -c 'import ctypes, os; lib = ctypes.CDLL(None);"
        f" lib.syscall.restype = ctypes.c_long; {before};"
        f" os._exit(lib.syscall({arguments}) < 0)'"
    )


ESCAPES = {
    "mount": "mount -t tmpfs none /mnt",
    "remount": "mount -o remount,rw /",
    "user namespace": "unshare -Ur true",
    "setns": "nsenter -t 1 -m true",
    "signal": "kill -0 1",
    "signal the worker": "kill -0 $PPID",
    "signal all": "kill -0 -1 && kill -0 1",
    "unix socket": "python3 -c 'import socket; socket.socket(socket.AF_UNIX)'",
    "datagram socket": "python3 -c 'import socket; socket.socketpair(1, 2)'",
    "raw unix socket": "python3 -c 'import socket; socket.socketpair(1, 3)'",
    "high bits of the kind": syscall("53, 1, ctypes.c_ulong(0x100000002), 0, b", "b = bytes(8)"),
    "tcp socket": "python3 -c 'import socket; socket.socket()'",
    "raw socket": "python3 -c 'import socket; socket.socket(17, 3)'",
    "dev tcp": "echo > /dev/tcp/127.0.0.1/1",
    "high bits of the family": syscall("41, ctypes.c_ulong(0x100000001), 1, 0"),
    "keyring": syscall("250, 0, -3, 1"),
    "bpf": syscall("321, 0, 0, 0"),
    "io_uring": syscall("425, 4, b", "b = ctypes.create_string_buffer(200)"),
    "ptrace": (
        "sleep 5 & python3 -c \"import ctypes, os;"
        ' os._exit(ctypes.CDLL(None).ptrace(16, $!, 0, 0) < 0)"; s=$?; kill $!; exit $s'
    ),
    "memory of the worker": "exec 3<> /proc/$PPID/mem",
    "memory of init": "exec 3<> /proc/1/mem",
    "oom score of init": "echo 1000 > /proc/1/oom_score_adj",
    "sysctl": "echo 0 > /proc/sys/kernel/printk",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "block device": "for d in /dev/vd? /dev/sd? /dev/nvme*; do : >> $d && exit 0; done; exit 1",
    "shared memory": syscall("29, 77, 4096, 0o1600"),
    "posix shared memory": ": > /dev/shm/relay-shell-test",
    "message queue": syscall("68, 77, 0o1600"),
    "device node": "mknod $TMPDIR/null c 1 3",
    "reboot": syscall("169, 0xfee1dead, 672274793, 0, 0"),
    "hostname": "python3 -c 'import socket; socket.sethostname(\"x\")'",
    "clock": "date -s \"$(date)\"",
    "renice": "renice 5 -p 1",
    "renice the account": "python3 -c 'import os; os.setpriority(os.PRIO_USER, 0, 0)'",
    "ionice the account": syscall("251, 3, 0, 2 << 13"),
    "take the kernel's messages": syscall("103, 2, b, 4096", "b = bytes(4096)"),
    "setuid": "python3 -c 'import os; os.setuid(os.getuid())'",
    "cgroup": "for g in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs; do"
    " echo $$ > $g && exit 0; done; exit 1",
    "terminal injection": "python3 -c 'import fcntl; fcntl.ioctl(0, 0x5412, b\"x\")'",
    "lease": "python3 -c 'import fcntl; fcntl.fcntl(open(\"/etc/passwd\"), 1024, 0)'",
    "new mount api": syscall("430, bytes([116, 109, 112, 102, 115]), 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_way_out_is_shut(name: str, root: bool) -> None:
    """Each known way past the sandbox fails in the kernel."""
    status, said = run(f"{{ {ESCAPES[name]}; }} 2>&1", root=root)
    assert status != 0, said


@pytest.mark.parametrize(
    "name", ["unix socket", "tcp socket", "high bits of the family", "setuid", "lease", "keyring",
             "io_uring", "new mount api", "device node", "unix socket", "renice",
             "datagram socket", "raw unix socket", "high bits of the kind",
             "ionice the account"]
)  # fmt: skip
def test_way_out_is_open_without_enforcement(name: str, tmp_path: Path) -> None:
    """The probes prove something: the same command succeeds for an unconfined root."""
    command = ESCAPES[name].replace("renice 5", "renice -n 0")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_root_reads_what_the_account_may_not() -> None:
    """A root worker's enforced commands read like root, and still write like nobody."""
    status, said = run("head -c1 /etc/shadow > /dev/null && ls /root > /dev/null", root=True)
    assert (status, said) == (0, "")
    status, _ = run("head -c1 /etc/shadow", root=False)
    assert status != 0


def test_terminals_of_others_are_out_of_reach(root: bool) -> None:
    """Who has a terminal open takes its input and sets its modes, by whatever descriptor."""
    master, slave = os.openpty()
    try:
        before, path = termios.tcgetattr(slave), os.ttyname(slave)
        os.write(master, b"secret\n")
        status, said = run(f"stty -F {path} -echo; head -c6 {path}", root=root)
        assert (status != 0, "secret" in said) == (True, False)
        assert termios.tcgetattr(slave) == before
        assert os.read(slave, 16) == b"secret\n"
    finally:
        os.close(master)
        os.close(slave)


def test_reading_takes_no_messages_from_the_systems_log() -> None:
    """/proc/kmsg gives each message once; what is read there is missing in the log."""
    assert run("test ! -e /proc/kmsg || wc -c < /proc/kmsg", root=True)[1] in ("", "0\n")


def test_root_keeps_only_reading_capabilities() -> None:
    """CAP_DAC_READ_SEARCH and CAP_SYSLOG, in every set; no new privileges."""
    _, said = run("grep -E 'Cap|NoNew|Seccomp:' /proc/self/status", root=True)
    values = dict(line.split(":\t") for line in said.splitlines())
    assert {values[f"Cap{kind}"] for kind in ("Eff", "Prm", "Bnd", "Amb")} == {"0000000400000004"}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


def test_network_can_be_allowed(root: bool) -> None:
    """With the setting, TCP is there; unix sockets still are not."""
    status, said = run("python3 -c 'import socket; socket.socket()'", root=root, network=True)
    assert (status, said) == (0, "")
    status, _ = run(f"{{ {ESCAPES['unix socket']}; }} 2>&1", root=root, network=True)
    assert status != 0


def test_descriptors_do_not_leak(root: bool) -> None:
    """A command has its three descriptors and nothing of the worker's."""
    _, said = run("ls /proc/self/fd | wc -l", root=root)
    assert said.split() == ["4"]  # 0, 1, 2 and the directory that ls reads


def test_missing_program_is_the_commands_fault(root: bool) -> None:
    """execve(2) failing is Spawn, confining failing is Enforcement; neither leaves a process."""

    def play() -> list[str]:
        confining = Launcher(account=NOBODY if root else None)
        kinds = []
        null = os.open("/dev/null", os.O_RDWR)
        with tempfile.TemporaryDirectory() as scratch:
            good = Command(["x"], "/nonexistent/none", {}, "/", (null, null, null), scratch)
            for command in (
                good,
                good._replace(executable="/bin/true", cwd="/nonexistent/none"),
                good._replace(executable="/bin/true", scratch="/nonexistent/none"),
            ):
                try:
                    confining.start(command)
                except RelayError as error:
                    kinds.append(error.kind)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            kinds.append("no child")
        return kinds

    expected = ["Spawn", "Spawn", "Enforcement", "no child"]
    assert apart(play, None if root else NOBODY) == expected


def attempt(program: str, root: bool, seconds: float = 60.0) -> str:
    """Start something by way of this program as the launcher; return what is said of it."""

    def play() -> str:
        null = os.open("/dev/null", os.O_RDWR)
        with tempfile.TemporaryDirectory() as scratch:
            command = Command(["true"], "/bin/true", {}, "/", (null, null, null), scratch)
            try:
                Launcher(account=NOBODY if root else None).start(command)
            except RelayError as error:
                # Nothing is left of it.
                with pytest.raises(ChildProcessError):
                    os.waitid(os.P_ALL, 0, os.WEXITED)
                return f"{error.kind}: {error.message}"
        return "started"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launcher, "program", lambda: program)
        patch.setattr(launcher, "SETUP_SECONDS", seconds)
        said: str = apart(play, None if root else NOBODY)
    return said


def script(directory: Path, text: str) -> str:
    path = directory / "stand-in"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "reason", "seconds"),
    [
        ("exit 0", "setup: the launcher ended without a word", 60),
        ("kill -9 $$", "setup: the launcher ended without a word", 60),
        ("exec sleep 98771", "setup: hangs", 0.2),
    ],
)
def test_launcher_that_does_not_say_ready_ran_nothing(
    text: str, reason: str, seconds: float, root: bool, target: Path
) -> None:
    said = attempt(script(target, text), root, seconds)
    assert said.startswith("Enforcement: ") and reason in said


def test_launcher_that_others_may_write_is_not_started(root: bool, target: Path) -> None:
    program = script(target, "exec touch " + str(target / "ran"))
    os.chmod(program, 0o775)
    assert "others than root may write it" in attempt(program, root)
    os.chmod(program, 0o755)
    os.chown(program, 1, 1)
    assert "others than root may write it" in attempt(program, root)
    (target / "link").symlink_to("/bin/true")
    assert "others than root may write it" in attempt(str(target / "link"), root)
    assert "No such file" in attempt(str(target / "absent"), root)
    assert not (target / "ran").exists()


def test_environment_leads_to_no_other_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/tmp")
    tree = Path(__file__).parents[2]
    assert launcher.program() == str(tree / "build/native/relay-shell-enforce")
    monkeypatch.setattr(launcher, "__file__", "/usr/lib/relay-shell/relay_shell/shell/launcher.py")
    assert launcher.program() == launcher.INSTALLED


def test_text_that_no_plan_can_hold_is_refused(root: bool) -> None:
    def play() -> list[str]:
        confining = Launcher(account=NOBODY if root else None)
        good = Command(["true", "x"], "/bin/true", {"A": "b"}, "/", (0, 1, 2), "/tmp")
        kinds = []
        for bad in (
            good._replace(argv=["true", "a\0b"]),
            good._replace(env={"A": "b\0c"}),
            good._replace(env={"A\0": "b"}),
            good._replace(cwd="/\0"),
            good._replace(executable="/bin/true\0"),
            good._replace(argv=["true", "\ud800"]),
            good._replace(argv=["true", "x" * plan.MAX]),
        ):
            with pytest.raises(RelayError) as caught:
                confining.start(bad)
            kinds.append(caught.value.kind)
        return kinds

    assert apart(play, None if root else NOBODY) == [*["InvalidArguments"] * 6, "Spawn"]


def test_root_without_an_account_is_refused() -> None:
    """A root worker must not run its readers as root."""
    with pytest.raises(RelayError, match="account"):
        Launcher()
