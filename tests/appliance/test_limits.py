"""One agent's excess stays that agent's: limits that need a kernel with cgroup controllers."""

from __future__ import annotations

import pytest

from appliance.probe import Probe
from appliance.vm import VM

pytestmark = pytest.mark.vm

GREEDY = "b = bytearray(); [b.extend(bytes(1 << 24)) for _ in range(512)]"
# Each process forks until the limit refuses, then stays.
BOMB = """
import os, signal
try:
    while True:
        os.fork()
except OSError:
    signal.pause()
"""


@pytest.fixture
def scoped(vm: VM) -> Probe:
    return Probe(vm, "scoped")


def test_a_worker_is_given_the_controllers(scoped: Probe) -> None:
    own = "/sys/fs/cgroup$(sed -n 's|^0::\\(.*\\)/worker$|\\1|p' /proc/self/cgroup)"
    said = scoped.run(f'cat "{own}/cgroup.controllers"')
    assert {"cpu", "io", "memory", "pids"} <= set(said.split())


def test_a_command_out_of_memory_dies_alone(scoped: Probe) -> None:
    scoped.machine.expect(r"killed by the OOM killer")
    # The kernel's own report of it is a hundred lines.
    scoped.machine.expect(r"^<\d> kernel: ")
    said = scoped.run(f"python3 -c '{GREEDY}' || echo \"died: $?\"; echo the unit goes on")
    assert said.endswith("died: 137\nthe unit goes on")


def test_a_fork_bomb_fills_its_own_limit_and_no_more(scoped: Probe) -> None:
    scoped.machine.expect(r"fork rejected by pids controller")
    vm = scoped.machine
    # Fewer than the unit allows as shipped: an emulated processor forks slowly.
    unit = scoped.start("bomb", f"exec python3 -c '{BOMB}'", "TasksMax=100\n")
    vm.wait(f'test "$(systemctl show --property=TasksCurrent --value {unit})" -ge 100', 120)
    assert vm.out("systemctl", "show", "--property=TasksCurrent", "--value", unit) == "100"
    assert scoped.run("echo another works") == "another works"
    vm.run("systemctl", "stop", unit)
    assert vm.run("pgrep", "-u", "relay-shell", check=False).stdout == ""


def test_nothing_but_its_own_tmp_is_writable_under_a_true_kernel(scoped: Probe) -> None:
    said = scoped.run(
        "find / -xdev -type d -writable 2>/dev/null || true;"
        " for d in /run /run/lock /dev /dev/shm /dev/mqueue /tmp /var/tmp /sys /proc/sys;"
        ' do (: > "$d/probe") 2>/dev/null && echo "$d"; done; true'
    )
    assert set(said.split()) <= {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}
