"""One agent's excess stays that agent's: limits that need a kernel with cgroup controllers."""

from __future__ import annotations

import json
import shlex

import pytest

from appliance.probe import Probe
from appliance.vm import VM

pytestmark = pytest.mark.vm

GREEDY = "b = bytearray(); [b.extend(bytes(1 << 24)) for _ in range(512)]"
# Four processes hold memory that they share, and each stores a file.
HOLD = """
import os
held = bytearray(64 << 20)
for _ in range(2):
    os.fork()
with open(str(os.getpid()), "wb") as file:
    file.write(bytes(1 << 20))
    file.flush()
    os.fsync(file.fileno())
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
ACCOUNT = f"""
import json, os, sys, time
sys.path.append("/usr/lib/relay-shell")
from relay_shell.shell.cgroup import Groups
from relay_shell.shell.spawn import spawn
from relay_shell.shell.usage import measure
groups = Groups.find()
groups.account()
group = groups.make("call-k-1")
null = os.open("/dev/null", os.O_RDWR)
pid = spawn(["python3", "-c", {HOLD!r}], env={{"PATH": "/usr/bin"}}, cwd="/var/tmp",
            stdin=null, stdout=null, stderr=null, cgroup=group.fd)
_, _, used = os.wait4(pid, 0)
while group.pids():
    time.sleep(0.01)
print(json.dumps(measure(group, used)._asdict()))
"""
# The observer's part in the kernel, on a slice of its own.
OBSERVE = """
import json, os, sys
sys.path.append("/usr/lib/relay-shell")
from relay_shell.observer.collect import Collector
from relay_shell.observer.kernel import Kernel, cgroup_id
top = "/sys/fs/cgroup/observed.slice"
call = top + "/relay-shell-worker@1.service/call-k-1"
os.makedirs(call)
kernel = Kernel(cgroup_id(top), 256)
batches = []
collector = Collector(kernel, top, 256, batches.append)
if (pid := os.fork()) == 0:
    open(call + "/cgroup.procs", "w").write("0")
    os.execv("/bin/sh", ["sh", "-c", "/bin/true observed; :"])
os.waitpid(pid, 0)
for record in kernel.ring.read():
    collector.take(record)
print(json.dumps([batches[0]["execs"], kernel.group(cgroup_id(call))]))
"""
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


def test_the_cgroup_of_a_call_accounts_for_all_its_processes(scoped: Probe) -> None:
    """A worker's own steps, without front and broker, which take too long to start here."""
    used = json.loads(scoped.run(f"cd /var/tmp; python3 -IS -c {shlex.quote(ACCOUNT)}"))
    assert used["accounting"] == "cpu=cgroup mem=cgroup io=cgroup+rusage tasks=cgroup"
    assert used["mem_peak"] > 64 << 20
    assert used["io_write"] >= 3 << 20 and used["io_writes"] > 0
    assert used["tasks_peak"] == 4
    assert used["cpu_ms"] > 0


def test_debians_kernel_takes_the_observers_programs(vm: VM) -> None:
    said = vm.out("python3", "-IS", "-c", OBSERVE, timeout=300)
    (shell, true), counts = json.loads(said)
    assert shell["argv"] == ["sh", "-c", "/bin/true observed; :"]
    assert (true["path"], true["argv"]) == ("/bin/true", ["/bin/true", "observed"])
    assert true["ppid"] == shell["pid"]
    assert counts[:4] == [0, 2, 2, 0]
