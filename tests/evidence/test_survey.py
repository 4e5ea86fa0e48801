"""However a file is read, at speed, by several processes or line by line: the same is found."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_shell.evidence import scan as scan_module
from relay_shell.evidence import survey as survey_module
from relay_shell.evidence.canonical import body
from relay_shell.evidence.chain import parse, seal
from relay_shell.evidence.record import GENESIS
from relay_shell.evidence.signing import Keys, Signer, generate
from relay_shell.evidence.verify import Report, verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture(scope="module")
def signer() -> Signer:
    pem = generate()
    return Signer(lambda: pem)


@pytest.fixture(scope="module")
def original(signer: Signer) -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "audit.jsonl"
        writer = Writer(path, signer=signer, every=50)
        for n in range(200):
            if n % 60 == 7:
                writer.append_now({"event": "heartbeat", "facts": {"seconds": n}})
            writer.append_now({"event": "intent", "call_id": f"k-{n}", "args": {"a": "x" * n}})
        writer.close()
        return path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "audit.jsonl"


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_module, "RANGE", 3000)
        patch.setattr(survey_module, "WORTH", 6000)
        patch.setattr(survey_module, "_CHUNK", 1000)
        patch.setattr(survey_module, "_SHORT", 3)
        patch.setattr(scan_module, "_CHUNK", 1700)
        yield


def strictly(path: Path, keys: Keys | None) -> Report:
    """Every line judged for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_module, "follow", lambda *state: None)
        return verify_chain(path, keys=keys)


def forge(lines: list[bytes], at: int, change: dict[str, object]) -> list[bytes]:
    """Change one record, and the chain from there on, as only a forger would."""
    out, prev = list(lines), GENESIS
    for index, line in enumerate(lines):
        record = parse(line)
        if record is None or "prev" not in record:
            return out
        if index >= at:
            record |= change if index == at else {}
            del record["chain"]
            out[index], prev = seal(prev, body(record, prev))
        else:
            prev = record["chain"]
    return out


CHANGES = (
    {"tier": 3},
    {"ts": "2020-01-01T00:00:00.000000Z"},
    {"ts": "2030-01-01T00:00:00.000000Z"},
    {"ts": "9999-12-31T23:59:59.999999Z"},
    {"ts": "yesterday"},
    {"event": "heartbeat", "facts": {"seconds": 1}},
    {"event": "heartbeat", "facts": {"seconds": 10**40}},
    {"event": "heartbeat", "facts": {"seconds": -5}},
    {"event": "checkpoint"},
    {"v": 2},
    {"boot_id": "longer than it ever was in any record that was written"},
)


def damage(lines: list[bytes], kind: str, at: int, seed: int) -> list[bytes]:
    """One thing that befalls the lines of a record."""
    chance = random.Random(seed)
    at %= len(lines)
    count = chance.choice((1, 2, 40))
    if kind == "flip":
        data = bytearray(lines[at])
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        return [*lines[:at], bytes(data), *lines[at + 1 :]]
    if kind == "drop":
        return [*lines[:at], *lines[at + count :]] or lines
    if kind == "repeat":
        return [*lines[: at + count], *lines[at:]]
    if kind == "move":
        moved = lines[at : at + count]
        rest = [*lines[:at], *lines[at + count :]]
        to = chance.randrange(len(rest) + 1)
        return [*rest[:to], *moved, *rest[to:]]
    if kind == "junk":
        junk = chance.choice(
            (b"\n", b"{}\n", b"\0" * 5000, b"x" * 9000 + b"\n", b'{"v":1,"seq":7,')
        )
        return [*lines[:at], junk, *lines[at:]]
    if kind == "forge":
        return forge(lines, at, chance.choice(CHANGES))
    assert kind == "cut"
    return [*lines[:at], lines[at][: chance.randrange(len(lines[at]))]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("flip", "drop", "repeat", "move", "junk", "forge", "cut")),
            st.integers(0, 10**4),
            st.integers(0, 10**4),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_three_ways_to_read_find_the_same(original, path, signer, ills, keyed) -> None:
    lines = original
    for ill in ills:
        # Splitting anew: a byte that was flipped may have made or unmade a line.
        lines = b"".join(damage(lines, *ill)).splitlines(keepends=True) or original
    path.write_bytes(b"".join(lines))
    keys = Keys([signer.public_pem()]) if keyed else None
    expected = strictly(path, keys)
    assert verify_chain(path, keys=keys) == expected
    assert verify_chain(path, keys=keys, jobs=2) == expected


def test_a_line_over_the_bound_is_one_line(original, path, monkeypatch) -> None:
    for module in (scan_module, survey_module):
        monkeypatch.setattr(module, "MAX_LINE", 5000)
    monkeypatch.setattr(scan_module, "_CHUNK", 4096)
    # What follows the bytes that are too many is a record by its looks, but on the same line.
    lines = [*original[:50], b"x" * 12345 + original[50], *original[51:]]
    path.write_bytes(b"".join(lines))
    expected = strictly(path, None)
    places = {(finding.kind, finding.line) for finding in expected.findings}
    assert {("foreign", 51), ("gap", 52)} <= places
    assert verify_chain(path) == expected == verify_chain(path, jobs=2)


def test_whole_files_are_vouched_for(original, path, signer) -> None:
    """The test above would hold if nobody ever vouched for anything."""
    path.write_bytes(b"".join(original))
    with path.open("rb") as file:
        parts = survey_module.survey(file.fileno(), 0, path.stat().st_size)
    vouched = sum(length for length, run in parts if run is not None)
    assert vouched > 0.8 * path.stat().st_size
    assert sum(length for length, _ in parts) == path.stat().st_size


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_who_dies_is_stood_in_for(original, path, signer, monkeypatch, rate) -> None:
    path.write_bytes(b"".join(original))
    keys = Keys([signer.public_pem()])
    expected = verify_chain(path, keys=keys)
    survey, parent = survey_module.survey, os.getpid()

    def dying(fd: int, start: int, end: int) -> object:
        assert os.getpid() != parent
        if start >= rate * path.stat().st_size:
            os.kill(os.getpid(), signal.SIGKILL)
        return survey(fd, start, end)

    forked: list[int] = []

    def fork(real: Callable[[], int] = os.fork) -> int:
        if pid := real():
            forked.append(pid)
        return pid

    monkeypatch.setattr(survey_module, "survey", dying)
    monkeypatch.setattr(os, "fork", fork)
    assert verify_chain(path, keys=keys, jobs=3) == expected
    assert len(forked) == 3
    for pid in forked:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_a_record_that_is_appended_to_meanwhile(original, path) -> None:
    """What came after the ranges were drawn is read too."""
    path.write_bytes(b"".join(original[:100]))
    taken = survey_module.survey

    def appending(fd: int, start: int, end: int) -> object:
        if not start:
            with path.open("ab") as file:
                file.write(b"".join(original[100:]))
        return taken(fd, start, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_module, "survey", appending)
        report = verify_chain(path, jobs=2)
    assert (report.records, report.bytes) == (len(original), path.stat().st_size)
