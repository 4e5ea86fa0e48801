"""The launcher itself: what it refuses, that every step counts, what it leaves behind.

The test process is root; an unprivileged worker is a forked child that gave root up.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import resource
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from native.plans import NOBODY, apart, copied, enter, hand, records
from relay_shell.shell import launcher, plan
from relay_shell.shell.landlock import Domain, Fs, Net, Place, Rule, Scope
from relay_shell.shell.launcher import Command, Launcher
from relay_shell.shell.memfile import sealed
from relay_shell.shell.seccomp import ALLOW, Compare, Filter, equal, refuse
from relay_shell.shell.spawn import spawn
from relay_shell.wire.errors import RelayError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to play both workers")

MARK = errno.EXFULL
"""An errno that no step fails with by itself."""


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both workers find the launcher, wherever the tree lies."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        copy = copied(Path(directory))
        monkeypatch.setattr(launcher, "program", lambda: copy)
        yield copy


@pytest.fixture(params=[False, True], ids=["unprivileged", "root"])
def root(request: pytest.FixtureRequest) -> bool:
    """Both kinds of worker."""
    return bool(request.param)


def given(octets: bytes, root: bool, **options: Any) -> list[Any]:
    """What became of a plan in the hands of one of the workers."""
    answer: list[Any] = apart(lambda: hand(octets, **options), None if root else NOBODY)
    return answer


def whole(root: bool, **spoilt: bytes) -> bytes:
    """A plan that is sound but for the records given."""
    made = records("/tmp", root=root)
    assert spoilt.keys() <= made.keys()
    return plan.assemble(3, *{**made, **spoilt}.values())


def test_sound_plan_is_carried_out(root: bool) -> None:
    assert given(whole(root), root) == [None, 0, "ran\n"]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda octets: octets[:-1], errno.EMSGSIZE),
        (lambda octets: octets + bytes(8), errno.EMSGSIZE),
        (lambda octets: octets[:8] + struct.pack("=I", 2) + octets[12:], errno.EPROTO),
        (lambda octets: octets[:24] + struct.pack("=I", 9) + octets[28:], errno.EINVAL),
        (lambda octets: octets + bytes(plan.MAX), errno.EMSGSIZE),
        (lambda octets: b"", errno.EMSGSIZE),
    ],
    ids=["truncated", "trailing", "version", "kind", "over-long", "empty"],
)
def test_malformed_plan_is_refused(spoil: Any, fault: int, root: bool) -> None:
    assert given(spoil(whole(root)), root) == [["plan", os.strerror(fault)], 126, ""]


def test_plan_of_the_other_kind_of_worker_is_refused(root: bool) -> None:
    """Another's plan would leave root what it is; an account is not another's to take."""
    assert given(whole(not root), root) == [["plan", os.strerror(errno.EPERM)], 126, ""]


def test_plan_that_could_still_change_is_refused(root: bool, tmp_path: Path) -> None:
    """The file itself, and with each seal missing."""
    (tmp_path / "plan").write_bytes(whole(root))
    (tmp_path / "plan").chmod(0o644)
    seals = [fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SEAL]
    opened = [os.open(tmp_path / "plan", os.O_RDONLY)]
    for missing in seals:
        fd = os.memfd_create("plan", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.write(fd, whole(root))
        for seal in seals:
            if seal != missing:
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
        opened.append(fd)
    try:
        answers = apart(lambda: [hand(fd) for fd in opened], None if root else NOBODY)
    finally:
        for fd in opened:
            os.close(fd)
    assert answers == [
        [["plan", os.strerror(errno.EINVAL)], 126, ""],
        *[[["plan", os.strerror(errno.EPERM)], 126, ""]] * len(seals),
    ]


def test_number_of_descriptors_must_agree(root: bool) -> None:
    made = records("/tmp", root=root)
    octets = plan.assemble(4, *made.values())
    assert given(octets, root) == [["plan", os.strerror(errno.EPERM)], 126, ""]


@pytest.mark.parametrize("words", [[], ["3"], ["2"], ["9"], ["33"], [""], ["-1"], ["3", "3"]])
def test_by_hand_it_does_nothing(words: list[str], reachable: str) -> None:
    done = subprocess.run([reachable, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr.startswith("relay-shell-enforce: ")


def test_it_has_no_rights_of_its_own(reachable: str) -> None:
    """Neither setuid nor capabilities, and whoever has none gets none by it."""
    built = launcher.trusted(reachable)
    assert os.stat(built).st_mode & 0o7000 == 0
    assert os.listxattr(built) == []


def denied(call: str, *compare: Compare) -> bytes:
    """A filter under which one system call fails with `MARK`; posix_spawn(3) needs none of them."""
    made = Filter(ALLOW)
    made.add(refuse(MARK), call, *compare)
    return made.build()


ROOTS = {
    "setup: limits": denied("prlimit64"),
    "mount namespace: unshare": denied("unshare"),
    "mount namespace: private /": denied("mount"),
    "mount namespace: mount_setattr": denied("mount_setattr"),
    "mount namespace: scratch": denied("fchdir"),
    "mount namespace: scratch ": denied("mount", equal(3, 14)),
    "account: standard streams": denied("fchown"),
    "account: bounding set": denied("prctl", equal(0, 24)),
    "account: ambient set": denied("prctl", equal(0, 47), equal(1, 4)),
    "account: groups": denied("setgroups"),
    "account: group": denied("setresgid"),
    "account: keep capabilities": denied("prctl", equal(0, 8)),
    "account: user": denied("setresuid"),
    "account: capset": denied("capset"),
    "account: ambient set ": denied("prctl", equal(0, 47), equal(1, 2)),
    "close_range": denied("close_range", equal(2, 4)),
    "account: no_new_privs": denied("prctl", equal(0, 38)),
    "Landlock: ruleset": denied("landlock_create_ruleset"),
    "Landlock: rule": denied("landlock_add_rule"),
    "Landlock: domain": denied("landlock_restrict_self"),
    "seccomp": denied("prctl", equal(0, 22)),
}
OTHERS = {
    "setup: limits": denied("prlimit64"),
    "close_range": denied("close_range", equal(2, 4)),
    "account: no_new_privs": denied("prctl", equal(0, 38)),
    "Landlock: ruleset": denied("landlock_create_ruleset"),
    "Landlock: rule": denied("landlock_add_rule"),
    "Landlock: domain": denied("landlock_restrict_self"),
    "seccomp": denied("prctl", equal(0, 22)),
}


@pytest.mark.parametrize(
    ("root", "step"),
    [*((True, step) for step in ROOTS), *((False, step) for step in OTHERS)],
)
def test_step_that_fails_refuses_to_run(root: bool, step: str) -> None:
    """Each system call of the confinement, failing: the step is named and nothing runs."""

    def play() -> list[str]:
        confining = Launcher(account=NOBODY if root else None)
        read, output = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        with tempfile.TemporaryDirectory() as scratch:
            command = Command(
                ["sh", "-c", "echo ran"], "/bin/sh", {}, "/", (null, output, output), scratch
            )
            said = ""
            enter((ROOTS if root else OTHERS)[step])
            try:
                confining.start(command)
            except RelayError as error:
                said = f"{error.kind}: {error.message}"
        os.close(output)
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED)
        return [said, os.read(read, 100).decode()]

    said, output = apart(play, None if root else NOBODY)
    assert said.startswith("Enforcement: ")
    assert f"{step.strip()}: {os.strerror(MARK)}" in said
    assert output == ""


def domain(**changes: Any) -> bytes:
    """A Landlock record with something in it that the kernel refuses, or that is not there."""
    rules = (Rule("/", Fs.READ_FILE | Fs.READ_DIR | Fs.EXECUTE),)
    made = Domain(Fs.READ_FILE | Fs.READ_DIR | Fs.EXECUTE, Net(0), Scope(0), rules)
    return plan.landlock(made._replace(**changes))


WRONG: list[tuple[bool, dict[str, bytes], str]] = [
    (True, {"limits": plan.limits([(99, 0)])}, "setup"),
    (
        True,
        {"mounts": plan.mounts(plan.Mounts(3, "/nonexistent/none", "size=1m"))},
        "mount namespace",
    ),
    (True, {"mounts": plan.mounts(plan.Mounts(3, "/etc/passwd", "size=1m"))}, "mount namespace"),
    (True, {"mounts": plan.mounts(plan.Mounts(3, "/tmp", "no=such"))}, "mount namespace"),
    (True, {"mounts": plan.mounts(plan.Mounts(1 << 40, "/tmp", "size=1m"))}, "mount namespace"),
    (True, {"directory": plan.directory("/nonexistent/none")}, "cwd"),
    (True, {"seccomp": plan.seccomp(bytes(8))}, "seccomp"),
    (True, {"execute": plan.execute("/nonexistent/none", ["x"], {})}, "exec"),
    (True, {"execute": plan.execute("/etc", ["x"], {})}, "exec"),
    (False, {"limits": plan.limits([(99, 0)])}, "setup"),
    (False, {"directory": plan.directory("/root/.")}, "cwd"),
    (False, {"landlock": domain(fs=Fs(1 << 15) | 1 << 40)}, "Landlock"),
    (False, {"landlock": domain(net=Net(3) | 1 << 40)}, "Landlock"),
    (False, {"landlock": domain(scope=Scope(3) | 1 << 40)}, "Landlock"),
    (False, {"landlock": domain(rules=(Rule("/nonexistent/none", Fs.READ_FILE),))}, "Landlock"),
    (False, {"landlock": domain(rules=(Rule("/", Fs.REFER),))}, "Landlock"),
    (False, {"seccomp": plan.seccomp(bytes(8))}, "seccomp"),
    (False, {"execute": plan.execute("/nonexistent/none", ["x"], {})}, "exec"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_step_that_cannot_be_done_refuses_to_run(number: int) -> None:
    root, spoilt, stage = WRONG[number]
    failed, status, said = given(whole(root, **spoilt), root)
    assert (failed and failed[0], status, said) == (stage, 126, "")


def test_scratch_may_not_be_another_place(root: bool) -> None:
    """Who can put a symbolic link where scratch was must not choose what becomes writable."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        link = Path(directory, "scratch")
        link.symlink_to("/etc")
        os.chmod(directory, 0o755)
        made = records(str(link), root=root)
        failed, status, said = given(plan.assemble(3, *made.values()), root)
    assert failed and failed[0] == ("mount namespace" if root else "Landlock")
    assert (status, said) == (126, "")


def test_absent_device_is_no_hindrance() -> None:
    rules = (Rule("/", Fs.EXECUTE), Rule("/dev/absent", Fs.WRITE_FILE, Place.OPTIONAL))
    made = domain(fs=Fs.EXECUTE | Fs.WRITE_FILE, rules=rules)
    assert given(whole(False, landlock=made), False) == [None, 0, "ran\n"]


def test_lower_limits_stay(root: bool) -> None:
    """A plan lowers limits; what the unit has set lower is not raised."""

    def play() -> Any:
        # Above what the test process itself has open.
        resource.setrlimit(resource.RLIMIT_NOFILE, (900, 1000))
        limits = plan.limits([(resource.RLIMIT_NOFILE, 1024), (resource.RLIMIT_FSIZE, 4096)])
        command = plan.execute("/bin/sh", ["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -f"], {})
        return hand(whole(root, limits=limits, execute=command))

    answer = apart(play, None if root else NOBODY)
    assert answer == [None, 0, "1000\n1000\n8\n"]


def test_no_descriptor_leaks(root: bool) -> None:
    """The command has 0, 1, 2 and what was handed to it: not the plan, not the pipe, no other."""

    def play() -> Any:
        kept = [os.open("/dev/zero", os.O_RDONLY), os.open("/dev/full", os.O_RDONLY)]
        for fd in range(540, 560):
            # As careless as can be: not even closed on exec.
            os.dup2(kept[0], fd, inheritable=True)
        command = plan.execute("/bin/ls", ["ls", "-l", "/proc/self/fd"], {"LC_ALL": "C"})
        made = {**records("/tmp", root=root), "execute": command}
        return hand(plan.assemble(5, *made.values()), kept=kept)

    failed, status, said = apart(play, None if root else NOBODY)
    assert (failed, status) == (None, 0)
    links = dict(line.split()[-3::2] for line in said.splitlines() if "->" in line)
    assert sorted(links) == ["0", "1", "2", "3", "4", "5"]
    assert (links["3"], links["4"]) == ("/dev/zero", "/dev/full")
    assert links["5"].startswith("/proc/")  # what ls itself reads


def started(octets: bytes, status: int, output: int) -> int:
    """A launcher that has not been waited for."""
    steps = sealed(octets)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        return spawn(
            [launcher.program(), "3"],
            env={},
            cwd="/",
            stdin=null,
            stdout=output,
            stderr=output,
            keep=[steps, status],
        )
    finally:
        os.close(steps)
        os.close(null)


def confined(pid: int) -> bool:
    """Whether a process is in a filter, which is the last step before it says that it is ready."""
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def test_killed_just_before_the_command_it_leaves_nothing(root: bool) -> None:
    """Confined, it waits to say that it is ready on a pipe that is full."""

    def play() -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            mounts = Path("/proc/self/mounts").read_text()
            status, report = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(report, False)
            with pytest.raises(BlockingIOError):
                while True:
                    os.write(report, bytes(4096))
            os.set_blocking(report, True)
            read, output = os.pipe2(os.O_CLOEXEC)
            made = records(scratch, root=root, command=f"echo ran; touch {scratch}/ran")
            pid = started(plan.assemble(3, *made.values()), report, output)
            os.close(output)
            deadline = time.monotonic() + 60
            while not confined(pid):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            _, code = os.waitpid(pid, 0)
            left = [os.read(read, 100).decode(), os.listdir(scratch)]
            same = Path("/proc/self/mounts").read_text() == mounts
            os.close(status)
        return [os.waitstatus_to_exitcode(code), *left, same, os.path.exists(scratch)]

    answer = apart(play, None if root else NOBODY)
    assert answer == [-signal.SIGKILL, "", [], True, False]


def test_killed_at_any_moment_it_leaves_nothing(root: bool) -> None:
    """Either the command started, confined, or it did not: never anything else."""
    chance = random.Random(7)

    def play() -> Any:
        mounts = Path("/proc/self/mounts").read_text()
        odd = []
        with tempfile.TemporaryDirectory() as scratch:
            made = records(
                scratch, root=root, command=f"echo x > {scratch}/x; echo x > /var/tmp/x7"
            )
            octets = plan.assemble(3, *made.values())
            for _ in range(30):
                status, report = os.pipe2(os.O_CLOEXEC)
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                pid = started(octets, report, null)
                time.sleep(chance.uniform(0, 0.002))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                os.close(report)
                with os.fdopen(status, "rb") as told:
                    odd.append(len(told.read()) not in (0, 8))
                os.close(null)
            # Below a private tmpfs nothing of root's command is seen; Landlock's is a plain file.
            left = set(os.listdir(scratch)) - (set() if root else {"x"})
        return [any(odd), sorted(left), Path("/proc/self/mounts").read_text() == mounts]

    assert apart(play, None if root else NOBODY) == [False, [], True]
    assert not os.path.exists("/var/tmp/x7")


def test_worker_that_is_gone_gets_no_command_run(root: bool) -> None:
    """Nobody reads its report: SIGPIPE ends it before the command."""

    def play() -> Any:
        status, report = os.pipe2(os.O_CLOEXEC)
        os.close(status)
        read, output = os.pipe2(os.O_CLOEXEC)
        pid = started(whole(root), report, output)
        os.close(output)
        _, code = os.waitpid(pid, 0)
        return [os.waitstatus_to_exitcode(code), os.read(read, 100).decode()]

    assert apart(play, None if root else NOBODY) == [-signal.SIGPIPE, ""]


def test_random_plans_run_nothing_outside_a_confinement(root: bool) -> None:
    """What the reader takes of spoilt plans still runs confined, or not at all."""
    chance = random.Random(11)
    made = records("/tmp", root=root, command="grep -c 'Seccomp:.2' /proc/self/status")
    octets = plan.assemble(3, *made.values())
    # Not the words of the command: those are the agent's to choose.
    end = octets.index(made["execute"])

    def spoilt() -> bytes:
        changed = bytearray(octets)
        changed[chance.randrange(end)] ^= 1 << chance.randrange(8)
        return bytes(changed)

    plans: Sequence[bytes] = [spoilt() for _ in range(150)]
    answers = apart(lambda: [hand(each) for each in plans], None if root else NOBODY)
    assert len(answers) == len(plans)
    for failed, _, said in answers:
        # A spoilt limit may keep the shell from its libraries; unconfined, grep would say 0.
        assert said == "" if failed is not None else said != "0\n"
    assert sum(failed is not None for failed, *_ in answers) > 50
