"""The library that boots machines keeps its word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import journal
from appliance.machine import Machine, cgroup2
from appliance.steps import StepFailed


def test_steps_files_and_users(bare: Machine, tmp_path: Path) -> None:
    bare.add_user("alice")
    assert bare.out("id", "-un", user="alice") == "alice"
    assert bare.shell("cat", input="zwei\n", user="alice") == "zwei"
    with pytest.raises(StepFailed, match="status 3"):
        bare.shell("echo why >&2; exit 3")

    bare.write("/tmp/a/b", b"\x00\xff", mode=0o640)
    bare.get("/tmp/a/b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    bare.put(tmp_path, "/srv/tree")
    assert bare.out("stat", "--format=%U %s", "/srv/tree/b") == "root 2"


def test_a_machine_reaches_no_network(bare: Machine) -> None:
    assert "lo" in bare.out("ip", "-brief", "link")
    assert bare.out("ip", "route") == ""


def test_an_undeclared_warning_is_found_and_a_declared_one_is_not(bare: Machine) -> None:
    bare.run("systemd-cat", "--priority=warning", "echo", "something odd")
    bare.run("systemd-cat", "--priority=info", "echo", "nothing odd")
    with pytest.raises(AssertionError, match="something odd"):
        bare.check_journal()
    bare.expect("something odd")
    bare.check_journal()


def test_a_failing_unit_is_undeclared(bare: Machine) -> None:
    bare.run("systemd-run", "--wait", "--quiet", "--unit=broken", "false", check=False)
    with pytest.raises(AssertionError, match="broken"):
        bare.check_journal()
    bare.expect(r"^<4> broken\.service: ")


def test_nothing_is_left_of_a_machine(boot: Callable[..., Machine]) -> None:
    machine = boot(installed=False)
    sleeper = machine.popen("sleep", "1000")
    machine.shutdown()
    machine.destroy()
    assert sleeper.wait(60)
    assert not machine.directory.exists()
    assert not list(cgroup2().glob(f"*{machine.name}*"))


def test_entries_are_read_as_journald_keeps_them() -> None:
    lines = ['{"MESSAGE":[104,105,255],"PRIORITY":"4","_SYSTEMD_UNIT":"x.service"}', ""]
    (entry,) = journal.parse(lines)
    assert str(entry) == "<4> x.service: hi\ufffd"
    assert journal.undeclared([entry], []) == [entry]
    assert journal.undeclared([entry], ["^<4> x.service: hi"]) == []


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("", "workqueue: blk_mq_run_work_fn hogged CPU for >10000us 4 times, consider switching"),
        ("", "clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable"),
        ("", "hrtimer: interrupt took 12345678 ns"),
        ("", "net_ratelimit: 12 callbacks suppressed"),
        ("ssh.service", "error: kex_exchange_identification: Connection closed by remote host"),
        ("systemd-journald.service", "Missed 27 kernel messages"),
    ],
)
def test_noise_is_what_others_say(unit: str, message: str) -> None:
    fields = {"PRIORITY": "4", "MESSAGE": message, "_TRANSPORT": "kernel", "_SYSTEMD_UNIT": unit}
    assert journal.undeclared([journal.Entry(fields)], journal.EMULATED) == []
    ours = journal.Entry({**fields, "UNIT": "relay-shell-front.service"})
    assert journal.undeclared([ours], journal.EMULATED) == [ours]
