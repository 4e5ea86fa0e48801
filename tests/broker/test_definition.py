"""What a worker unit is made from: a change of any of it outdates what was started before."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_shell.broker import definition
from relay_shell.broker.definition import OLDEST, Definition, age, boot_seconds
from relay_shell.broker.peer import facts

SHIPPED = "usr/lib/systemd/system/relay-shell-worker@.service"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with the files that a package, a manager and an administrator make."""
    for name in (
        SHIPPED,
        "usr/lib/systemd/system/service.d/10-all.conf",
        "etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf",
        "etc/passwd",
        "etc/group",
        "etc/relay-shell/relay-shell.toml",
        "run/systemd/systemd-units-load",
        "usr/lib/relay-shell/relay_shell/__init__.py",
        "var/lib/dpkg/status",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one\n")
    return tmp_path


@pytest.fixture
def spare() -> Iterator[Callable[[], int]]:
    """Starts a process and returns its start in clock ticks from boot."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        # The kernel counts a start in whole ticks, downwards.
        until = boot_seconds() + 0.02
        while boot_seconds() < until:
            time.sleep(0.005)
        running.append(subprocess.Popen(["sleep", "60"]))
        return facts(running[-1].pid).start

    yield start
    for process in running:
        process.kill()
        process.wait()


def rewritten(path: Path) -> None:
    """As an editor does it: a new file takes the name."""
    new = path.with_name(path.name + ".new")
    new.write_text("two\n")
    os.replace(new, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "the unit was upgraded": lambda root: rewritten(root / SHIPPED),
    "a drop-in was written in place": lambda root: (
        root / "etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
    ).write_text("x"),
    "a drop-in was removed": lambda root: (
        root / "etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
    ).unlink(),
    "systemctl edit --runtime": lambda root: (
        root / "run/systemd/system/relay-shell-worker@.service.d"
    ).mkdir(parents=True),
    "systemctl set-property": lambda root: (
        root / "etc/systemd/system.control/relayshell.slice.d"
    ).mkdir(parents=True),
    "a drop-in for every service": lambda root: (
        root / "usr/lib/systemd/system/service.d/20-more.conf"
    ).write_text("x"),
    "a drop-in by the dashed prefix": lambda root: (
        root / "etc/systemd/system/relay-shell-.service.d"
    ).mkdir(),
    "usermod -aG": lambda root: rewritten(root / "etc/group"),
    "useradd": lambda root: rewritten(root / "etc/passwd"),
    "daemon-reload": lambda root: os.utime(root / "run/systemd/systemd-units-load"),
    "the program was upgraded": lambda root: rewritten(
        root / "usr/lib/relay-shell/relay_shell/__init__.py"
    ),
    "apt install": lambda root: rewritten(root / "var/lib/dpkg/status"),
    "secrets were made": lambda root: (root / "etc/relay-shell/secrets").mkdir(),
    "its mode was changed": lambda root: (root / SHIPPED).chmod(0o640),
    "its times were put back": lambda root: os.utime(root / SHIPPED, (1, 1)),
    "no reload can be seen": lambda root: (root / "run/systemd/systemd-units-load").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_outdates_what_was_started_before_it(
    root: Path, spare: Callable[[], int], change: Callable[[Path], object]
) -> None:
    unit = Definition(str(root))
    before = spare()
    assert unit.outdated(before) == ""
    change(root)
    assert "have changed since" in unit.outdated(before)
    assert "have changed since" in unit.outdated(before), "it stays so"


def test_what_is_started_after_a_change_was_seen_is_up_to_date(
    root: Path, spare: Callable[[], int]
) -> None:
    unit = Definition(str(root))
    rewritten(root / SHIPPED)
    unit.since()
    assert unit.outdated(spare()) == ""


def test_a_change_that_is_seen_late_outdates_too_much_not_too_little(
    root: Path, spare: Callable[[], int]
) -> None:
    unit = Definition(str(root))
    rewritten(root / SHIPPED)
    assert "have changed since" in unit.outdated(spare())


def test_what_was_started_before_the_broker_is_outdated(
    root: Path, spare: Callable[[], int]
) -> None:
    before = spare()
    assert "have changed since" in Definition(str(root)).outdated(before)


def test_where_reloads_cannot_be_seen_everything_is_outdated(
    root: Path, spare: Callable[[], int]
) -> None:
    (root / "run/systemd/systemd-units-load").unlink()
    unit = Definition(str(root))
    assert "have changed since" in unit.outdated(spare())
    (root / "run/systemd/generator").mkdir()
    unit.since()
    assert unit.outdated(spare()) == ""


def test_a_loop_of_links_counts_as_changed(root: Path, spare: Callable[[], int]) -> None:
    unit = Definition(str(root))
    before = spare()
    path = root / "etc/passwd"
    path.unlink()
    path.symlink_to("passwd")
    assert "have changed since" in unit.outdated(before)
    assert "have changed since" in unit.outdated(spare())
    path.unlink()
    path.write_text("one\n")
    unit.since()
    assert unit.outdated(spare()) == ""


def test_a_link_is_followed(root: Path, spare: Callable[[], int]) -> None:
    elsewhere = root / "srv/posture.conf"
    elsewhere.parent.mkdir()
    elsewhere.write_text("one\n")
    drop_in = root / "etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
    drop_in.unlink()
    drop_in.symlink_to(elsewhere)
    unit = Definition(str(root))
    before = spare()
    elsewhere.write_text("two\n")
    assert "have changed since" in unit.outdated(before)


def test_what_waited_long_is_outdated(
    root: Path, spare: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Definition(str(root))
    before = spare()
    later = boot_seconds() + OLDEST + 1
    monkeypatch.setattr(definition, "boot_seconds", lambda: later)
    assert "more than 1800" in unit.outdated(before)


def test_age_is_counted_from_the_start(spare: Callable[[], int]) -> None:
    before = boot_seconds()
    start = spare()
    assert 0 <= age(start) <= boot_seconds() - before


def test_nothing_is_there_at_all(tmp_path: Path, spare: Callable[[], int]) -> None:
    shutil.rmtree(tmp_path)
    assert "have changed since" in Definition(str(tmp_path)).outdated(spare())
