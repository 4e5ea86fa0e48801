"""What the launcher is told and what it tells: the same words on both sides."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from relay_shell.shell import plan
from relay_shell.shell.landlock import Place

NATIVE = Path(__file__).parents[2] / "src/native"


def constants(header: str, prefix: str) -> dict[str, int]:
    """Numbers by the rest of their names, as a C header has them."""
    text = (NATIVE / header).read_text()
    found = re.findall(rf"\b{prefix}(\w+) = (\d+)(?: << (\d+))?[,\s]", text)
    return {name: int(number) << int(shift or 0) for name, number, shift in found}


def test_kinds_and_bounds_are_those_of_the_header() -> None:
    kinds = constants("plan.h", "KIND_")
    assert kinds == {
        name: getattr(plan, f"_{name}")
        for name in ("LIMITS", "MOUNTS", "DIRECTORY", "ACCOUNT", "LANDLOCK", "SECCOMP", "EXEC")
    }
    assert constants("plan.h", "PLAN_")["MAX"] == plan.MAX
    assert constants("plan.h", "PLACE_") == {place.name: place.value for place in Place}
    text = (NATIVE / "plan.h").read_text()
    assert f'PLAN_MAGIC "{plan._MAGIC.decode()}"' in text
    assert f"PLAN_VERSION {plan._VERSION}\n" in text


def test_every_step_has_words() -> None:
    steps = constants("step.h", "STEP_")
    assert steps.pop("READY") == plan.READY
    assert sorted(steps.values()) == sorted(plan.STEPS)
    assert len(set(plan.STEPS.values())) == len(plan.STEPS)


def test_layout() -> None:
    made = plan.assemble(3, plan.directory("/srv"), plan.execute("/bin/x", ["x", "y"], {"A": "b"}))
    assert made == (
        b"RSENFORC" + struct.pack("=IIQ", 1, 3, 24 + 16 + 32)
        + struct.pack("=II", 3, 5) + b"/srv\0\0\0\0"
        + struct.pack("=IIII", 7, 23, 2, 1) + b"/bin/x\0x\0y\0A=b\0\0"
    )  # fmt: skip


def report(*steps: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("=Ii", *step) for step in steps)


@pytest.mark.parametrize(
    ("told", "meaning"),
    [
        (report((0, 0)), None),
        (b"", ("setup", "the launcher ended without a word")),
        (report((0, 0))[:7], ("setup", "the launcher ended without a word")),
        (report((4, errno.EPERM)), ("mount namespace", "private /: Operation not permitted")),
        (report((0, 0), (22, errno.ENOENT)), ("exec", "No such file or directory")),
        (report((99, errno.EPERM)), ("setup", "step 99: Operation not permitted")),
    ],
)
def test_report_is_understood(told: bytes, meaning: tuple[str, str] | None) -> None:
    assert plan.failure(told) == meaning
