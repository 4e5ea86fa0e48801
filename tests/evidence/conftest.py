"""What the evidence tests share: facts of a call, and scenarios on a disk of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_shell.evidence.canonical import body
from relay_shell.evidence.chain import parse, seal
from relay_shell.evidence.record import GENESIS

HERE = Path(__file__).parent
SRC = HERE.parents[1] / "src"
_PRIVATE = ("unshare", "--mount", "--propagation", "private")


@pytest.fixture
def facts() -> Callable[..., dict[str, Any]]:
    def make(call: str = "k-1", event: str = "intent", **more: Any) -> dict[str, Any]:
        base = {"event": event, "call_id": call, "principal": "unix:alice", "tool": "shell_exec"}
        return {**base, **more}

    return make


@pytest.fixture
def rechain() -> Callable[..., None]:
    """Rewrite records by their number, and the chain after them, as only a forger would."""

    def rewrite(path: Path, changes: dict[int, dict[str, Any]]) -> None:
        prev, out = GENESIS, []
        for seq, line in enumerate(path.read_bytes().splitlines(), 1):
            record = {**(parse(line) or {}), **changes.get(seq, {})}
            record.pop("chain")
            data, prev = seal(prev, body(record, prev))
            out.append(data)
        path.write_bytes(b"".join(out))

    return rewrite


@pytest.fixture
def scenario() -> Callable[..., None]:
    """Run a function of faults.py in a mount namespace of its own, with a disk mounted there."""

    def run(name: str, mount: str, directory: Path) -> None:
        if os.geteuid():
            pytest.skip("mounting needs root")
        script = f'set -e; {mount}; exec "$0" "$@"'
        python = (sys.executable, str(HERE / "faults.py"), name, str(directory))
        result = subprocess.run(
            [*_PRIVATE, "sh", "-c", script, *python],
            env={**os.environ, "PYTHONPATH": str(SRC), "DISK": str(directory)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr

    return run
