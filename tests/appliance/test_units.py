"""The units verify, front and broker are tightly confined, and the worker's fence holds."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from appliance import check_units
from appliance.machine import Machine
from appliance.probe import Probe

# Signals that wait for a process which does not take them, until the kernel refuses one.
QUEUE = """
import ctypes, os, signal
kernel = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
for _ in range(70_000):
    if kernel.sigqueue(os.getpid(), signal.SIGRTMIN, ctypes.c_void_p(0)):
        print(os.strerror(ctypes.get_errno()))
        break
"""


@pytest.fixture
def machine(boot: Callable[..., Machine]) -> Machine:
    return boot()


@pytest.fixture
def scoped(machine: Machine) -> Probe:
    return Probe(machine, "scoped")


@pytest.fixture
def privileged(machine: Machine) -> Probe:
    return Probe(machine, "privileged")


def test_the_units_verify(machine: Machine) -> None:
    assert check_units.verify(machine) == ""


@pytest.mark.parametrize("unit", check_units.CONFINED)
def test_front_and_broker_are_tightly_confined(machine: Machine, unit: str) -> None:
    assert check_units.exposure(machine, unit) <= check_units.LIMIT


def test_a_scoped_worker_is_an_account_without_privilege(scoped: Probe) -> None:
    said = scoped.run("id -un; grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status")
    assert said.split() == [
        *("relay-shell", "CapEff:", "0000000000000000", "CapBnd:", "0000000000000000"),
        *("NoNewPrivs:", "1", "Seccomp:", "2"),
    ]


def test_a_scoped_worker_can_change_nothing_outside_its_own_tmp(scoped: Probe) -> None:
    said = scoped.run(
        "for d in / /etc /usr /usr/local /var/lib /var/tmp /var/log /run /run/lock /home /srv /opt"
        " /boot /dev/shm /tmp /sys/fs/cgroup /dev/mqueue;"
        ' do (: > "$d/probe") 2>/dev/null && echo "$d"; done; true'
    )
    # /var/tmp and /dev/shm are its own as well, see below.
    assert set(said.split()) <= {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}
    assert "/tmp" in said.split()


def test_scoped_workers_share_no_writable_place(scoped: Probe) -> None:
    machine = scoped.machine
    places = "/tmp /var/tmp /dev/shm /dev/mqueue"
    unit = scoped.start(
        "first",
        f'for d in {places}; do (echo mine > "$d/mine") 2>/dev/null || true; done; '
        "touch /tmp/done; sleep 300",
    )
    pid = machine.out("systemctl", "show", "--property=MainPID", "--value", unit)
    machine.wait(f"test -e /proc/{pid}/root/tmp/done")
    assert scoped.run(f"find {places} -name mine") == ""
    machine.run("systemctl", "stop", unit)


def test_a_scoped_worker_sees_the_host_but_not_the_evidence(scoped: Probe) -> None:
    machine = scoped.machine
    machine.run("systemctl", "start", "relay-shell-operator.socket", "relay-shell-broker.socket")
    said = scoped.run(
        "ps -eo comm | grep -c -E '^(systemd-journal|cron)$'; "
        "for f in /var/log/relay-shell/audit.jsonl /run/relay-shell/operator.sock"
        " /run/systemd/journal/socket /home/. /root/.; do"
        ' [ -r "$f" ] && echo "reads $f"; done; true'
    )
    assert said.split() == ["2"]


def test_a_scoped_worker_has_a_cgroup_to_divide(scoped: Probe) -> None:
    said = scoped.run(
        'own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); echo "${own##*/}"; '
        'mkdir "${own%/*}/call-1"; sleep 60 & echo $! > "${own%/*}/call-1/cgroup.procs"; '
        'echo 1 > "${own%/*}/call-1/cgroup.kill"; wait $! || echo "killed: $?"'
    )
    lines = said.split("\n")
    assert (lines[0], lines[-1]) == ("worker", "killed: 137")


def test_queued_signals_are_bounded_since_no_other_limit_counts_them(scoped: Probe) -> None:
    said = scoped.run(f"python3 -c {shlex.quote(QUEUE)}")
    assert said == "Resource temporarily unavailable"


def test_stopping_a_worker_ends_everything_it_started(scoped: Probe) -> None:
    machine = scoped.machine
    unit = scoped.start("first", "setsid sleep 7001 & (setsid -f sleep 7002); sleep 7003")
    other = scoped.start("second", "touch /tmp/up; exec sleep 7004")
    machine.wait("test \"$(pgrep -c -f '^sleep 700')\" = 4")
    machine.run("systemctl", "stop", unit)
    assert machine.out("pgrep", "-a", "-f", "^sleep 700").split(" ", 1)[1] == "sleep 7004"
    machine.run("systemctl", "stop", other)


def test_a_privileged_worker_administers_the_host_behind_the_fence(privileged: Probe) -> None:
    machine = privileged.machine
    said = privileged.run(
        "id -un; echo made > /etc/made-by-probe; stat -c %a /etc/made-by-probe; "
        "for f in /var/log/relay-shell/audit.jsonl /var/lib/relay-shell-broker/.;"
        ' do [ -r "$f" ] && echo "reads $f"; done; '
        "for d in /usr/lib/relay-shell /etc/relay-shell;"
        ' do (: > "$d/probe") 2>/dev/null && echo "writes $d"; done; '
        "touch /tmp/flag; chattr +a /tmp/flag 2>/dev/null && echo 'sets append-only'; true"
    )
    assert said.split("\n") == ["root", "644"]
    assert machine.read("/etc/made-by-probe") == "made\n"


def test_a_posture_changes_who_runs_but_not_the_limits(machine: Machine) -> None:
    names = ("MemoryMax", "TasksMax", "CPUWeight", "OOMPolicy", "Slice", "KillMode", "Delegate")
    shown = []
    for posture in ("scoped", "privileged"):
        check_units.use_posture(machine, posture)
        options = [f"--property={name}" for name in names]
        shown.append(machine.out("systemctl", "show", *options, check_units.WORKER))
    assert shown[0] == shown[1]
    assert "Slice=relayshell.slice" in shown[0]
