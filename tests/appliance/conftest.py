from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import package
from appliance.machine import Machine, rootfs
from appliance.vm import VM

NEEDED = ("systemd-nspawn", "mmdebstrap", "nsenter", "setpriv")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/appliance/" in str(item.path):
            item.add_marker("appliance")


@pytest.fixture(scope="session")
def host() -> None:
    """What booting machines asks of the host; `make test` sees to it."""
    if os.geteuid():
        pytest.skip("booting machines needs root")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {' '.join(missing)}")


@pytest.fixture
def boot(host: None) -> Iterator[Callable[..., Machine]]:
    """Boots machines that end with the test; their journals are checked then."""
    machines: list[Machine] = []

    def start(
        *, installed: bool = True, below: tuple[Path, ...] = (), **options: object
    ) -> Machine:
        layers = package.installed() if installed else (rootfs("machine"),)
        machine = Machine((*layers, *below), **options)  # type: ignore[arg-type]
        machines.append(machine)
        machine.boot()
        return machine

    try:
        yield start
        for machine in machines:
            if machine.running:
                machine.check_journal()
    finally:
        for machine in machines:
            machine.destroy()


@pytest.fixture(scope="module")
def vm(host: None) -> Iterator[VM]:
    """A booted virtual machine with the package installed and its socket enabled.

    It ends with its module: later tests make their process a subreaper, and end every child that
    belongs to no call of theirs.
    """
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("not installed: qemu-system-x86_64")
    with VM(package.installed("vm"), memory=1024) as machine:
        machine.run("systemctl", "enable", "--now", "relay-shell.socket")
        yield machine
        machine.check_journal()


@pytest.fixture
def bare(boot: Callable[..., Machine]) -> Machine:
    """A booted Debian 13 without the package."""
    return boot(installed=False)


@pytest.fixture
def appliance(boot: Callable[..., Machine]) -> Machine:
    """A booted Debian 13 with the package installed by apt and its socket enabled.

    The user `agent` is in relay-shell-access, `olga` in relay-shell-operators, and
    `outsider` in neither.
    """
    return ready(boot())


def ready(machine: Machine) -> Machine:
    """The machine, with the users of `appliance` and its socket enabled."""
    machine.add_user("agent", "relay-shell-access")
    machine.add_user("olga", "relay-shell-operators")
    machine.add_user("outsider")
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    return machine
