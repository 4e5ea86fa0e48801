"""The archive: the same bytes again, readable by tar(1), closed to what archives can smuggle."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_shell.evidence.tarball import TOP, Damaged, Writer, members

MEMBERS = {
    "a.txt": b"",
    "chain/1-2.jsonl": b"x" * 512,
    "recordings/" + "n" * 90 + ".cast": b"y" * 513,
}


def write(path: Path) -> bytes:
    with path.open("wb") as file:
        writer = Writer(file, 1_700_000_000)
        for name, data in MEMBERS.items():
            writer.add(name, io.BytesIO(data + b"more"), len(data))
        writer.close()
    return path.read_bytes()


def read(path: Path) -> dict[str, bytes]:
    return {member.name: b"".join(member.content.chunks()) for member in members(path)}


def test_round_trip(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.tar.gz"), write(tmp_path / "b.tar.gz")
    assert first == second
    assert read(tmp_path / "a.tar.gz") == MEMBERS
    assert [member.name for member in members(tmp_path / "a.tar.gz")] == list(MEMBERS)
    listed = subprocess.run(["tar", "-tzf", tmp_path / "a.tar.gz"], capture_output=True, text=True)
    assert listed.stdout.splitlines() == [TOP + name for name in MEMBERS]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", ".x", "a//b", "a b", "é", "-x"]
)
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    with (tmp_path / "a").open("wb") as file, pytest.raises(ValueError):
        Writer(file, 0).add(name, b"")
    info = tarfile.TarInfo(TOP + name)
    assert re.search("name|header", damage(tmp_path, info))


def damage(tmp_path: Path, *infos: tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> str:
    path = tmp_path / "bad.tar.gz"
    with gzip.open(path, "wb") as file, tarfile.TarFile(fileobj=file, mode="w", format=form) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(Damaged) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_nothing_but_files(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo(TOP + "x")
    info.type, info.linkname = kind, "/etc/shadow"
    assert damage(tmp_path, info) == "a member is not a plain file"


def test_no_other_formats(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo(TOP + "x" * 300)
        assert damage(tmp_path, info, form=form)
    outside = tarfile.TarInfo("elsewhere/x")
    assert "name" in damage(tmp_path, outside)


def test_hidden_and_missing_bytes(tmp_path: Path) -> None:
    plain = gzip.decompress(write(tmp_path / "a.tar.gz"))
    for data, said in (
        (plain + b"x", "after the last"),
        (plain[:700], "before its end"),
        (plain[:1540] + b"x" + plain[1541:], ""),
        (b"", "before its end"),
    ):
        path = tmp_path / "b.tar.gz"
        path.write_bytes(gzip.compress(data))
        if said:
            with pytest.raises(Damaged, match=said):
                read(path)
    path.write_bytes((tmp_path / "a.tar.gz").read_bytes()[:-20])
    with pytest.raises(Damaged):
        read(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(Damaged):
        read(path)


@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, flips: object
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.tar.gz"
    plain = bytearray(gzip.decompress(write(path)))
    for at, value in flips:
        plain[at % len(plain)] = value
    path.write_bytes(gzip.compress(bytes(plain)))
    try:
        found = read(path)
    except Damaged:
        return
    assert all(len(data) <= len(plain) for data in found.values())
