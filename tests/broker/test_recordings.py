"""Files of recordings: where they lie, and which go first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.broker import recordings
from relay_shell.broker.recordings import Full, Limits, RecordingFile, Stored, surplus
from relay_shell.evidence import cast

HEADER = b'{"version":2,"width":80,"height":24}\n'
LIMITS = Limits(10_000, 0)


def row(owner: str, size: int, modified: float, name: str = "") -> Stored:
    return Stored(f"/r/{owner}-{modified}{name}", owner, "s1.abcdefgh", size, modified)


def test_a_path_tells_when_who_and_which(tmp_path: Path) -> None:
    path = recordings.place(str(tmp_path), "unix:alice", "s1.abcdefgh", 0)
    assert path == f"{tmp_path}/1970-01/19700101T000000Z_alice_s1.abcdefgh.cast"
    odd = {recordings.label(name) for name in ("unix:a/b", "unix:a_b", "https://x#a", "unix:#7")}
    assert len(odd) == 4 and not any(set(name) & set("/_:#") for name in odd)
    RecordingFile(path, LIMITS).create(HEADER)
    (found,) = recordings.stored(str(tmp_path))
    assert (found.owner, found.session, found.size) == ("alice", "s1.abcdefgh", len(HEADER))


def test_who_fills_the_disk_loses_first() -> None:
    rows = [row("alice", 10, 100), row("mallory", 500, 200), row("mallory", 500, 300)]
    gone = surplus(rows, [], 1000, 0, 600)
    assert [(found.owner, found.modified) for found, _ in gone] == [("mallory", 200)]
    assert surplus(rows, [rows[1].path], 1000, 0, 600)[0][0] == rows[2], "an open one stays"
    assert surplus(rows, [], 1000, 0, 2000) == []
    assert len(surplus(rows, [], 1000, 0, 0)) == 3


def test_the_old_go_whoever_they_are_of() -> None:
    rows = [row("alice", 1, 0), row("bob", 1, 86_400 * 9)]
    assert [found for found, _ in surplus(rows, [], 86_400 * 10, 5, 100)] == [rows[0]]
    assert surplus(rows, [rows[0].path], 86_400 * 10, 5, 100) == []


def test_an_unfinished_line_goes_when_the_file_is_taken_up_again(tmp_path: Path) -> None:
    path = str(tmp_path / "2026-01/a.cast")
    first = RecordingFile(path, LIMITS)
    first.create(HEADER)
    first.append(0, [(0.5, "o", "one", None), (1.5, "m", "k-1", None), (1.6, "o", "?", "//4=")])
    first.finish([])
    sound = first.digest()
    with open(path, "ab") as file:
        file.write(b'[2,"o","half')
    again = RecordingFile(path, LIMITS)
    again.resume()
    assert (again.events, again.time, again.digest()) == (3, 1.6, sound)
    assert os.stat(path).st_size == sound.bytes
    # What was answered, or only written, is not written twice.
    again.append(2, [(1.6, "o", "?", "//4="), (1.0, "o", "next", None)])
    with open(path, "rb") as file:
        cast.read_header(file)
        found = list(cast.read_events(file))
    assert [event.text for event in found] == ["one", "k-1", "?", "next"]
    assert found[-1].time == 1.6, "time does not run back"
    again.close()
    with pytest.raises(Full):
        again.append(4, [(9, "o", "x", None)])


def test_a_limit_is_known_again(tmp_path: Path) -> None:
    path = str(tmp_path / "2026-01/a.cast")
    first = RecordingFile(path, Limits(400, 0))
    first.create(HEADER)
    assert not first.append(0, [(0, "o", "x" * 1000, None), (1, "o", "y" * 10, None)])
    assert not first.append(2, [(1, "i", "typed", None)])
    first.finish([])
    again = RecordingFile(path, Limits(400, 0))
    again.resume()
    assert again.over and again.events == 3
    text = Path(path).read_text()
    assert "xxx" not in text and "yyy" not in text and "typed" in text


def test_no_write_is_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "2026-01/a.cast")
    made = RecordingFile(path, LIMITS)
    made.create(HEADER)
    write, calls = os.write, 0

    def short(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(28, "No space left on device")
        return write(fd, bytes(data)[:5])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        made.append(0, [(0.0, "o", "text", None)])
    monkeypatch.undo()
    assert Path(path).read_bytes() == HEADER
    assert made.append(0, [(0, "o", "text", None)])
    assert Path(path).read_bytes() == HEADER + b'[0.0,"o","text"]\n'
    made.finish([])
    with open(path, "rb") as file:
        assert made.digest() == cast.whole(file)


def test_a_file_of_somebody_else_is_not_taken_up(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(HEADER)
    (tmp_path / "a.cast").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        RecordingFile(str(tmp_path / "a.cast"), LIMITS).resume()
