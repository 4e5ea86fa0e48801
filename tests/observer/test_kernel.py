"""What the programs in the kernel see of real processes, hostile ones among them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from relay_shell.observer.collect import groups_below
from relay_shell.observer.kernel import Kernel

from .conftest import UNIT, Seen, Slice

Observe = Callable[..., Kernel]


def argvs(execs: list[dict[str, object]]) -> list[object]:
    return [row["argv"] for row in execs]


def test_every_execution_is_seen_with_its_arguments(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    slice_.run("call-k-1", "/bin/echo 'a b' '' c >/dev/null; (exec /bin/true x)")
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows) == [
        ["sh", "-c", "/bin/echo 'a b' '' c >/dev/null; (exec /bin/true x)"],
        ["/bin/echo", "a b", "", "c"],
        ["/bin/true", "x"],
    ]
    shell, echo, true = rows
    assert [row["path"] for row in rows] == ["/bin/sh", "/bin/echo", "/bin/true"]
    assert echo["ppid"] == true["ppid"] == shell["pid"] != echo["pid"]
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert {row["uid"] for row in rows} == {os.getuid()}
    assert shell["at"] <= echo["at"] <= true["at"]
    batch = seen.last("call-k-1")
    assert (batch["unit"], batch["total"], batch["recorded"], batch["lost"]) == (UNIT, 3, 3, 0)
    assert batch["processes"] == 3


def test_short_lived_processes_are_not_missed(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(1000), slice_.path, 1000)
    slice_.run("call-k-1", "for n in $(seq 300); do /bin/true $n; done")
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows)[2:] == [["/bin/true", str(n)] for n in range(1, 301)]
    assert observe_nothing_lost(seen)


def observe_nothing_lost(seen: Seen) -> bool:
    return seen.kernel.untracked() == 0 and all(batch["lost"] == 0 for batch in seen.batches)


def test_a_child_in_another_calls_cgroup_stays_with_its_call(
    slice_: Slice, observe: Observe
) -> None:
    """The commands of one worker share an account: its cgroups may be open to them."""
    seen = Seen(observe(), slice_.path)
    slice_.group("call-k-victim")
    enter = f"echo 0 > {slice_.unit}/call-k-victim/cgroup.procs"
    slice_.run("call-k-liar", f"sh -c '{enter}; exec /bin/echo forged >/dev/null'")
    slice_.run("call-k-liar", f"{enter.replace('victim', 'victim/..')}/nonsense; true")
    slice_.run("call-k-victim", "/bin/echo mine >/dev/null")
    found = seen.until_ended("call-k-liar", "call-k-victim")
    assert ["/bin/echo", "forged"] in argvs(found["call-k-liar"])
    forged = next(row for row in found["call-k-liar"] if "forged" in row["argv"])
    assert forged["moved"] is True
    assert argvs(found["call-k-victim"])[1:] == [["/bin/echo", "mine"]]


def test_an_orphan_that_left_the_slice_stays_with_its_call(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    outside = os.path.dirname(slice_.path)
    slice_.run(
        "call-k-1",
        f"(setsid sh -c 'echo 0 > {outside}/cgroup.procs; sleep 0.2; exec /bin/echo out' &) >&-",
    )
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows)[-1] == ["/bin/echo", "out"]
    assert rows[-1]["moved"] is True


def test_nested_cgroups_belong_to_the_call(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    deep = f"{slice_.unit}/call-k-1/a/b"
    slice_.run("call-k-1", f"mkdir -p {deep}; echo 0 > {deep}/cgroup.procs; /bin/true deep")
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows)[-1] == ["/bin/true", "deep"]
    assert "moved" not in rows[-1]


def test_a_flood_is_counted_and_takes_nothing_from_others(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(10), slice_.path, 10)
    slice_.run("call-k-flood", "for n in $(seq 99); do /bin/true; done")
    slice_.run("call-k-quiet", "/bin/true quiet")
    found = seen.until_ended("call-k-flood", "call-k-quiet")
    assert len(found["call-k-flood"]) == 10
    last = seen.last("call-k-flood")
    # The shell, seq, and 99 times true.
    assert (last["total"], last["recorded"], last["lost"]) == (101, 10, 0)
    assert argvs(found["call-k-quiet"])[-1] == ["/bin/true", "quiet"]


def test_arguments_are_cut_and_said_to_be(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    slice_.run("call-k-1", f"/bin/true {'x' * 9000} tail")
    row = seen.until_ended("call-k-1")["call-k-1"][-1]
    assert row["cut"] == len("/bin/true") + 1 + 9001 + len("tail") + 1
    assert row["argv"][1].startswith("xxxx") and len(row["argv"][1]) < 4096


def test_a_program_without_a_file_is_seen(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    program = (
        "import os; fd = os.memfd_create('hidden', 0);"
        " os.write(fd, open('/bin/true', 'rb').read()); os.execve(fd, ['innocent'], {})"
    )
    slice_.run("call-k-1", f'{sys.executable} -c "{program}"')
    row = seen.until_ended("call-k-1")["call-k-1"][-1]
    assert row["argv"] == ["innocent"]
    assert row["path"].startswith("/dev/fd/")


def test_a_thread_may_execute_for_its_process(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    program = (
        "import os, threading;"
        " threading.Thread(target=lambda: os.execv('/bin/echo', ['thread'])).start()"
    )
    slice_.run("call-k-1", f'{sys.executable} -c "{program}" >/dev/null')
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows)[-1] == ["thread"]
    assert seen.kernel.group(slice_.group("call-k-1")).live == 0  # type: ignore[union-attr]


def test_processes_elsewhere_are_nobodys(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    subprocess.run(["/bin/echo", "elsewhere"], check=True, stdout=subprocess.DEVNULL)
    slice_.run("call-k-1", "true")
    rows = seen.until_ended("call-k-1")["call-k-1"]
    assert argvs(rows) == [["sh", "-c", "true"]]
    assert list(seen.kernel.labels.keys()) == []


def test_what_runs_already_is_entered_and_marked(slice_: Slice, observe: Observe) -> None:
    ready, go = (slice_.path.replace("/", "_") + name for name in (".ready", ".go"))
    gate = f"/tmp/{go}"
    os.mkfifo(gate)
    try:
        slice_.start("call-k-1", f": > /tmp/{ready}; read x < {gate}; /bin/true late")
        deadline = time.monotonic() + 60
        while not os.path.exists(f"/tmp/{ready}"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        seen = Seen(observe(), slice_.path)
        (entry,) = groups_below(slice_.path)
        group, unit, name, pids = entry
        assert (unit, name, len(pids)) == (UNIT, "call-k-1", 1)
        assert seen.kernel.seed(group, unit, name, pids)
        seen.collector.enter(group, unit, name)
        with open(gate, "w") as file:
            file.write("\n")
        slice_.answer()
        rows = seen.until_ended("call-k-1")["call-k-1"]
        assert argvs(rows) == [["/bin/true", "late"]]
        assert seen.last("call-k-1")["late"] is True
    finally:
        os.unlink(gate)
        os.unlink(f"/tmp/{ready}")


def test_a_group_that_ended_is_forgotten(slice_: Slice, observe: Observe) -> None:
    seen = Seen(observe(), slice_.path)
    slice_.run("call-k-1", "true")
    seen.until_ended("call-k-1")
    group = slice_.group("call-k-1")
    slice_.end_group("call-k-1")
    assert seen.kernel.group(group) is not None
    seen.collector.sweep(older=0)
    assert seen.kernel.group(group) is None
    assert len(seen.collector) == 0
