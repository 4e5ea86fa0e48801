"""What every test relies on: programs that a test starts find the tree under test, and the
launcher of enforced commands is the tree's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

os.environ["PYTHONPATH"] = str(ROOT / "src")


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
