"""Keys in files: whole from the first moment, whoever makes them at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.evidence import keyfile
from relay_shell.evidence.keyfile import create, load, publish
from relay_shell.evidence.signing import Signer, generate


def test_what_is_there_stays(tmp_path: Path) -> None:
    assert create(tmp_path / "key", b"first", 0o400)
    assert not create(tmp_path / "key", b"second", 0o400)
    assert (tmp_path / "key").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["key"]


def test_what_a_process_of_the_same_number_left_is_no_hindrance(tmp_path: Path) -> None:
    # Another container's, which is about to give it its name.
    other = tmp_path / f".key.{os.getpid()}"
    other.touch()
    assert create(tmp_path / "key", b"content", 0o400)
    assert other.exists()


def test_a_verifier_never_meets_a_file_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "evidence.pub"
    write = os.write

    def looked(fd: int, data: bytes) -> int:
        if public.exists():
            load(public)
        return write(fd, data)

    monkeypatch.setattr(keyfile.os, "write", looked)
    first, second = Signer(generate), Signer(generate)
    for signer in (first, second, first):
        publish(public, signer)
    assert sorted(load(public)) == sorted((first.key, second.key))


def test_a_key_that_another_published_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "evidence.pub"
    ours, theirs = Signer(generate), Signer(generate)
    create_ = keyfile.create

    def late(path: Path, content: bytes, mode: int) -> bool:
        monkeypatch.undo()
        publish(path, theirs)
        return create_(path, content, mode)

    monkeypatch.setattr(keyfile, "create", late)
    assert publish(public, ours)
    assert sorted(load(public)) == sorted((ours.key, theirs.key))
