"""What every test relies on: programs that a test starts find the tree under test, and the
launcher of enforced commands is the tree's own."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

os.environ["PYTHONPATH"] = str(ROOT / "src")

# What whoever started the run left behind, every program under test would inherit: nohup(1) and a
# shell's `&` ignore signals, a hardened account's umask takes modes away, a terminal has a width.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(
            number,
            signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL,
        )
signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
os.umask(0o022)
# Of 200 clients and what serves them both ends are in one process; a login's soft limit is 1024.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
for name in ("COLUMNS", "LINES", "BASH_ENV", "ENV", "CDPATH", "POSIXLY_CORRECT"):
    os.environ.pop(name, None)
os.environ.setdefault("HOME", "/root" if os.geteuid() == 0 else "/")
os.environ.setdefault("LANG", "C.UTF-8")

# How long an example takes says how busy the machine is. `make test` takes the profile `same`, and
# with it the same examples in each run of a commit; every other run looks for new ones.
slow = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("any", deadline=None, suppress_health_check=slow)
settings.register_profile("same", settings.get_profile("any"), derandomize=True, database=None)
settings.load_profile("any")


@pytest.fixture(autouse=True)
def inherited() -> Iterator[None]:
    """What runs below this process before a test is no orphan of the test's calls.

    Tests of workers make this process a subreaper. A machine of an earlier test that is still
    ending, for as long as its file systems take, would count as what a call left behind.
    """
    from relay_shell.shell.children import descendants, hold, release

    present = descendants(os.getpid())
    for pid in present:
        hold(pid)
    yield
    for pid in present:
        release(pid)


@pytest.fixture(scope="session", autouse=True)
def native() -> None:
    """Build what is out of date; what needs it and finds it missing says so."""
    subprocess.run(
        ["make", "-s", "-C", ROOT / "src/native", f"OUT={ROOT}/build/native", "all", "check"],
        check=False,
    )
