"""The domain of a worker, entered in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import relay_shell
from relay_shell.shell import confine, landlock
from relay_shell.shell.cgroup import Groups
from relay_shell.wire.errors import RelayError

SOURCE = str(Path(relay_shell.__file__).parent.parent)

INSIDE = """
import os, resource, socket, sys
sys.path.insert(0, sys.argv[1])
from relay_shell.shell import confine
from relay_shell.shell.cgroup import Groups

def attempt(what, act):
    try:
        act()
        print(what, "yes")
    except OSError as error:
        print(what, error.strerror)

base, scratch, outsider = sys.argv[2], sys.argv[3], int(sys.argv[4])
confine.enter(Groups(base) if base else None)
attempt("write", lambda: open(scratch + "/file", "w").write("x"))
attempt("truncate", lambda: os.truncate(scratch + "/file", 0))
attempt("link", lambda: os.rename(scratch + "/file", "/var/tmp/" + os.path.basename(scratch)))
attempt("unlink", lambda: os.unlink("/var/tmp/" + os.path.basename(scratch)))
attempt("signal", lambda: os.kill(outsider, 0))
attempt("own", lambda: os.kill(os.getpid(), 0))
attempt("trace", lambda: open(f"/proc/{outsider}/mem", "rb").read(1))
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
attempt("ask", lambda: resource.prlimit(outsider, resource.RLIMIT_NOFILE))
attempt("limit", lambda: resource.prlimit(outsider, resource.RLIMIT_NOFILE, limits))
attempt("own-limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
attempt("nice", lambda: os.nice(1))
attempt("nice-all", lambda: os.setpriority(os.PRIO_USER, 0, 19))
abstract = socket.socket(socket.AF_UNIX)
attempt("abstract", lambda: abstract.connect("\\0relay-shell-test"))
attempt("null", lambda: open("/dev/null", "w").write("x"))
if base:
    attempt("group", lambda: os.mkdir(base + "/call-x"))
    attempt("move", lambda: open(base + "/call-x/cgroup.procs", "w").write("0"))
    attempt("kill", lambda: open(base + "/call-x/cgroup.kill", "w").write("1"))
    attempt("ungroup", lambda: os.rmdir(base + "/call-x"))
attempt("above", lambda: os.mkdir(os.path.dirname(base or "/sys/fs/cgroup/x") + "/escape"))
"""

pytestmark = pytest.mark.skipif(
    landlock.abi() < landlock.ABI_SCOPES, reason="kernel without Landlock scopes"
)


def _inside(base: str, scratch: Path) -> dict[str, str]:
    outsider = subprocess.Popen(["sleep", "98842"])
    try:
        ran = subprocess.run(
            [sys.executable, "-I", "-c", INSIDE, SOURCE, base, str(scratch), str(outsider.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        outsider.kill()
        outsider.wait()
    return dict(line.split(" ", 1) for line in ran.stdout.splitlines())


def test_what_a_worker_and_its_commands_may_do(tmp_path: Path) -> None:
    seen = _inside("", tmp_path)
    for allowed in ("write", "truncate", "own", "null"):
        assert seen[allowed] == "yes", allowed
    if os.stat(tmp_path).st_dev == os.stat("/var/tmp").st_dev:
        # From beneath one rule to beneath another: both give the same rights.
        assert (seen["link"], seen["unlink"]) == ("yes", "yes")
    assert seen["signal"] == "Operation not permitted"
    assert seen["trace"] == "Permission denied"
    # Nobody listens there; what matters is that the name is out of reach, see below.
    assert seen["abstract"] in ("Connection refused", "Operation not permitted")


def test_limits_and_priorities_of_other_agents_are_out_of_reach(tmp_path: Path) -> None:
    """RLIMIT_CPU kills and RLIMIT_NOFILE cripples whatever runs under the account."""
    seen = _inside("", tmp_path)
    assert [seen[name] for name in ("ask", "own-limit", "nice")] == ["yes"] * 3
    assert [seen[name] for name in ("limit", "nice-all")] == ["Operation not permitted"] * 2


def test_groups_can_be_made_but_nobody_moves_between_them(groups: Groups, tmp_path: Path) -> None:
    seen = _inside(groups.base, tmp_path)
    assert (seen["group"], seen["ungroup"]) == ("yes", "yes")
    assert (seen["move"], seen["kill"]) == ("Permission denied", "Permission denied")
    assert seen["above"] == "Permission denied"
    assert not os.path.exists(os.path.dirname(groups.base) + "/escape")


def test_abstract_sockets_of_others_are_out_of_reach(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0relay-shell-test")
        listener.listen()
        assert _inside("", tmp_path)["abstract"] == "Operation not permitted"


def test_kernel_without_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 5)
    with pytest.raises(RelayError, match="this kernel has 5") as caught:
        confine.enter(None)
    assert caught.value.kind == "Enforcement"
