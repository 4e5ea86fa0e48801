"""Whatever happens to the bytes: it is found, nothing raises, and writing goes on after it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_shell.evidence.chain import link
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.verify import verify_chain
from relay_shell.evidence.writer import Writer


@pytest.fixture(scope="module")
def original() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "audit.jsonl"
        writer = Writer(path)
        for n in range(4):
            writer.append_now({"event": "intent", "call_id": f"k-{n}", "args": {"a": n}})
        writer.close()
        return path.read_bytes()


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "audit.jsonl"


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_one_byte_changed_is_found(original, path, at: int, flip: int) -> None:
    data = bytearray(original)
    data[at % len(data)] ^= flip
    path.write_bytes(data)
    assert not verify_chain(path).whole


@given(st.integers(0, 10**6), st.integers(1, 400))
def test_any_bytes_taken_out_are_found(original, path, at: int, count: int) -> None:
    at %= len(original)
    data = original[:at] + original[at + count :]
    path.write_bytes(data)
    report = verify_chain(path)
    # Whole lines gone from an end leave a chain that is only shorter.
    ends = data and (original.startswith(data) or original.endswith(data))
    shorter = ends and data.endswith(b"\n") and data.startswith(b'{"v"')
    assert report.whole == bool(shorter and data.count(b"\n") == report.records)


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_a_writer_goes_on_after_anything(original, path, junk, at, end, whole) -> None:
    data = junk + original if whole else original[: at % len(original)] + junk
    data += original[end % len(original) :]
    path.write_bytes(data)
    path.chmod(0o640)
    writer = Writer(path)
    assert writer.trouble is None
    record = writer.append_now({"event": "start"})
    writer.close()
    after = path.read_bytes()
    assert after.startswith(data)
    last = link(after.splitlines()[-1])
    assert last is not None and (last.seq, last.chain) == (record["seq"], record["chain"])
    read = list(iter_records(path))
    assert read[-1] == record
    assert list(iter_records(path, reverse=True)) == read[::-1]
    # Opened again, there is nothing more to repair.
    writer = Writer(path)
    assert writer.append_now({"event": "stop"})["seq"] == record["seq"] + 1
    writer.close()
    assert verify_chain(path).last == record["seq"] + 1
