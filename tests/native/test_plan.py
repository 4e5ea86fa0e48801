"""The reader of plans (src/native/plan.c): sound ones are taken, and nothing else."""

from __future__ import annotations

import errno
import itertools
import random
import struct
import subprocess
from collections.abc import Callable

import pytest

from native.plans import ALLOW, BUILT, NOBODY, record, records, sound
from relay_shell.shell import plan

SEED = 20261122
ROUNDS = 20_000


def read(octets: list[bytes]) -> list[int]:
    """What the reader says of each plan; it must not crash, nor read past the end of one."""
    given = b"".join(struct.pack("=I", len(each)) + each for each in octets)
    done = subprocess.run([BUILT / "plan-check"], input=given, capture_output=True, check=False)
    said = [fault for (fault,) in struct.iter_unpack("=i", done.stdout)]
    after = octets[len(said)].hex() if len(said) < len(octets) else ""
    assert done.returncode == 0, f"plan {len(said)}: {after}"
    return said


@pytest.fixture(params=[False, True], ids=["other", "root"])
def root(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_sound_plan_is_taken(root: bool) -> None:
    assert read([sound(root=root), sound(root=root, kept=8)]) == [0, 0]


def test_plan_that_is_cut_anywhere_is_refused(root: bool) -> None:
    """Both with the size that the header tells and with one that agrees with the cut."""
    whole = sound(root=root)
    cut = [whole[:size] for size in range(len(whole))]
    agreeing = [each[:16] + struct.pack("=Q", len(each)) + each[24:] for each in cut[24:]]
    assert 0 not in read(cut)
    assert 0 not in read(agreeing)


def test_what_follows_a_plan_is_refused(root: bool) -> None:
    whole = sound(root=root)
    longer = [whole + bytes(size) for size in (1, 7, 8, 16, 4096)]
    agreeing = [each[:16] + struct.pack("=Q", len(each)) + each[24:] for each in longer]
    assert set(read(longer)) == {errno.EMSGSIZE}
    assert 0 not in read(agreeing)


def spoilt(root: bool, name: str, octets: bytes) -> bytes:
    """A sound plan with one record in place of another."""
    made = {**records("/tmp", root=root), name: octets}
    return plan.assemble(3, *made.values())


def without(root: bool, name: str) -> bytes:
    made = records("/tmp", root=root)
    del made[name]
    return plan.assemble(3, *made.values())


def test_nothing_may_be_missing_twice_or_in_another_order(root: bool) -> None:
    made = records("/tmp", root=root)
    bad = [without(root, name) for name in made]
    bad += [
        spoilt(root, name, octets + octets) for name, octets in made.items() if name != "seccomp"
    ]
    bad += [plan.assemble(3, *reversed(made.values()))]
    names = list(made)
    for first, second in itertools.pairwise(names):
        swapped = {**made, first: made[second], second: made[first]}
        bad.append(plan.assemble(3, *swapped.values()))
    assert 0 not in read(bad)


def test_half_of_roots_confinement_is_refused() -> None:
    for name in ("mounts", "account", "landlock"):
        assert read([without(True, name)]) == [errno.EINVAL]


HEADS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "no plan": (lambda whole: b"x" * 24, errno.EPROTO),
    "magic": (lambda whole: b"rSENFORC" + whole[8:], errno.EPROTO),
    "version 0": (lambda whole: whole[:8] + struct.pack("=I", 0) + whole[12:], errno.EPROTO),
    "version 2": (lambda whole: whole[:8] + struct.pack("=I", 2) + whole[12:], errno.EPROTO),
    "two descriptors": (lambda w: w[:12] + struct.pack("=I", 2) + w[16:], errno.EINVAL),
    "nine descriptors": (lambda w: w[:12] + struct.pack("=I", 9) + w[16:], errno.EINVAL),
    "size below": (lambda w: w[:16] + struct.pack("=Q", len(w) - 1) + w[24:], errno.EMSGSIZE),
    "size above": (lambda w: w[:16] + struct.pack("=Q", 1 << 63) + w[24:], errno.EMSGSIZE),
    "too long": (lambda whole: plan.assemble(3, whole, bytes(plan.MAX)), errno.EMSGSIZE),
}


@pytest.mark.parametrize("name", HEADS)
def test_head_that_is_not_ours_is_refused(name: str) -> None:
    spoil, fault = HEADS[name]
    assert read([spoil(sound(root=True))]) == [fault]


def words(arguments: int, variables: int, text: bytes) -> bytes:
    return record(7, struct.pack("=II", arguments, variables) + text)


BAD: list[tuple[bool, str, bytes]] = [
    (True, "limits", record(1, b"")),
    (True, "limits", record(1, struct.pack("=IIQ", 1, 1, 1))),
    (True, "limits", record(1, struct.pack("=IIQ", 1, 0, 1) * 17)),
    (True, "limits", record(1, struct.pack("=IIQI", 1, 0, 1, 0))),
    (True, "mounts", record(2, struct.pack("=Q", 3) + b"tmp\0size=1\0")),
    (True, "mounts", record(2, struct.pack("=Q", 3) + b"/tmp\0size=1")),
    (True, "mounts", record(2, struct.pack("=Q", 3) + b"/tmp\0size=1\0x")),
    (True, "directory", record(3, b"")),
    (True, "directory", record(3, b"\0")),
    (True, "directory", record(3, b"./\0")),
    (True, "directory", record(3, b"/\0/\0")),
    (True, "account", plan.account(NOBODY._replace(uid=0), ())),
    (True, "account", plan.account(NOBODY._replace(gid=0), ())),
    (True, "account", plan.account(NOBODY._replace(uid=0xFFFFFFFF), ())),
    (True, "account", plan.account(NOBODY._replace(gid=0xFFFFFFFF), ())),
    (True, "account", record(4, struct.pack("=IIQI", 1, 1, 0, 0))),
    (False, "landlock", record(5, struct.pack("=QQ", 1, 0))),
    (False, "landlock", record(5, struct.pack("=QQQ", 0, 3, 3))),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 1, 3, 0) + b"/\0")),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 1, 3, 0) + b"/\0\0\0\0\0\0\0")),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 0, 0, 0) + b"/\0\0\0\0\0\0\0")),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 1, 0, 1) + b"/\0\0\0\0\0\0\0")),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 1, 0, 0) + b"x\0\0\0\0\0\0\0")),
    (False, "landlock", record(5, struct.pack("=QQQQII", 1, 0, 0, 1, 0, 0) + b"/\0\0\0\0\0\0\1")),
    (False, "landlock", record(5, struct.pack("=QQQ", 1, 0, 0) + (
        struct.pack("=QII", 1, 0, 0) + b"/\0\0\0\0\0\0\0") * 257)),
    (True, "seccomp", record(6, b"")),
    (True, "seccomp", record(6, ALLOW[:7])),
    (True, "seccomp", record(6, ALLOW * 4097)),
    (True, "seccomp", record(6, ALLOW) * 5),
    (True, "execute", words(0, 0, b"/bin/true\0")),
    (True, "execute", words(1, 0, b"/bin/true\0")),
    (True, "execute", words(1, 0, b"/bin/true\0true")),
    (True, "execute", words(1, 0, b"/bin/true\0true\0more\0")),
    (True, "execute", words(1, 0, b"\0true\0")),
    (True, "execute", words(1, 0xFFFFFFFF, b"/bin/true\0true\0")),
    (True, "execute", words(0xFFFFFFFF, 2, b"/bin/true\0true\0")),
    (True, "execute", words(1 << 20, 1 << 20, b"/bin/true\0true\0")),
    (True, "execute", records("/tmp", root=True)["execute"] + record(8, b"")),
    (True, "limits", record(0, b"") + records("/tmp", root=True)["limits"]),
    (True, "execute", struct.pack("=II", 7, 0xFFFFFFFF) + bytes(64)),
    (True, "directory", struct.pack("=II", 3, 2) + b"/\0\0\0\0\0\0\1"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_record_that_is_not_sound_voids_the_plan(number: int) -> None:
    assert read([spoilt(*BAD[number])])[0] in (errno.EINVAL, errno.EMSGSIZE)


def mutant(chance: random.Random, whole: bytes) -> bytes:
    """A plan with some octets changed, cut out, put in or swapped; its size told right or not."""
    octets = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(octets))
        length = chance.choice((1, 1, 2, 4, 8, 64))
        match chance.randrange(5):
            case 0:
                octets[place] ^= 1 << chance.randrange(8)
            case 1:
                octets[place : place + length] = chance.randbytes(length)
            case 2:
                del octets[place : place + length]
            case 3:
                octets[place:place] = octets[place - length : place]
            case _:
                number = chance.choice((0, 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
                octets[place & ~3 : (place & ~3) + 4] = struct.pack("=I", number)
        if not octets:
            octets.append(0)
    if chance.random() < 0.7 and len(octets) >= 24:
        octets[16:24] = struct.pack("=Q", len(octets))
    return bytes(octets)


def test_random_changes_never_crash_the_reader(root: bool) -> None:
    """A bounded part of what `make fuzz` does; what is taken is whole (plan_check.c asserts it)."""
    chance = random.Random(SEED)
    whole = sound(root=root)
    said = read([mutant(chance, whole) for _ in range(ROUNDS)])
    assert (
        {errno.EINVAL, errno.EMSGSIZE, errno.EPROTO}
        <= set(said)
        <= {*(errno.EINVAL, errno.EMSGSIZE, errno.EPROTO, 0)}
    )
