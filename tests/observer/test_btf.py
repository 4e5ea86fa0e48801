"""The kernel's type information is asked, never guessed, and malformed information is refused."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.observer import btf, layout
from relay_shell.observer.btf import Btf, BtfError

STRUCT, UNION, TYPEDEF = 4, 5, 8


def image(names: list[str], types: list[bytes]) -> bytes:
    """BTF of these types; a name's offset is found by `at`."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    body = b"".join(types)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings))
    return header + body + strings


NAMES = ["task", "pid", "inner", "__parent"]
AT = {"": 0} | {name: 1 + sum(len(n) + 1 for n in NAMES[:k]) for k, name in enumerate(NAMES)}


def compound(kind: int, name: str, *members: tuple[str, int, int]) -> bytes:
    head = struct.pack("<III", AT[name], kind << 24 | len(members), 64)
    return head + b"".join(struct.pack("<III", AT[m], t, 8 * off) for m, t, off in members)


# 1: union {4: inner, ...}; 2: typedef of it; 3: struct task {pid at 8; anonymous 2 at 32}.
SMALL = image(
    NAMES,
    [
        compound(UNION, "", ("inner", 0, 4)),
        struct.pack("<III", 0, TYPEDEF << 24, 1),
        compound(STRUCT, "task", ("pid", 0, 8), ("", 2, 32), ("__parent", 0, 48)),
    ],
)


def test_members_are_found_also_in_anonymous_parts() -> None:
    found = Btf(SMALL).offsets({"task": ["pid", "inner", "parent|__parent"]})
    assert found == {"task.pid": 8, "task.inner": 36, "task.parent": 48}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BtfError, match=r"no task\.gone, other\.x"):
        Btf(SMALL).offsets({"task": ["pid", "gone"], "other": ["x"]})


@given(st.integers(0, len(SMALL)), st.binary(max_size=8))
def test_damaged_information_is_refused_or_lacks_something(cut: int, junk: bytes) -> None:
    try:
        found = Btf(SMALL[:cut] + junk).offsets({"task": ["pid"]})
    except BtfError:
        return
    assert set(found) == {"task.pid"}


def test_a_kernel_without_information_says_so() -> None:
    with pytest.raises(BtfError, match="No such file"):
        btf.kernel("/nonexistent/btf")


@pytest.mark.skipif(not os.path.exists(btf.PATH), reason="the kernel has no type information")
def test_the_running_kernel_has_all_that_is_read() -> None:
    found = btf.kernel().offsets(layout.MEMBERS)
    assert len(found) == sum(map(len, layout.MEMBERS.values()))
    assert all(0 <= offset < 65_536 for offset in found.values())
