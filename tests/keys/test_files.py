from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.conftest import make, sign
from relay_shell.keys.files import MOST, Refused, _certificate, _private, examine, listed, shown

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keys must belong to root")


def public(key: Path) -> bytes:
    return base64.b64decode(Path(f"{key}.pub").read_bytes().split()[1])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("phrase", ["", "a phrase"])
def test_a_key_is_known_by_its_public_half(directory: Path, kind: str, phrase: str) -> None:
    key = make(directory / "one", "-t", kind, phrase=phrase)
    found = examine(str(key))
    assert found.path == str(key)
    assert found.blobs == (public(key),)
    assert found.locked is bool(phrase)


def test_a_certificate_beside_it_belongs_to_it(directory: Path, tmp_path: Path) -> None:
    key = make(directory / "one")
    beside = sign(make(tmp_path / "authority"), key)
    blob = base64.b64decode(beside.read_bytes().split()[1])
    assert examine(str(key)).blobs == (public(key), blob)


def test_public_halves_are_no_keys(directory: Path, tmp_path: Path) -> None:
    sign(make(tmp_path / "authority"), make(directory / "b"))
    make(directory / "a")
    (directory / "README").write_text("not a key, and said to be none\n")
    assert listed(str(directory)) == [str(directory / name) for name in ("README", "a", "b")]


def test_no_directory_has_no_keys(tmp_path: Path) -> None:
    assert listed(str(tmp_path / "none")) == []


def test_a_directory_that_others_can_change_is_refused(directory: Path) -> None:
    directory.chmod(0o770)
    with pytest.raises(Refused, match="can be changed by others than root"):
        listed(str(directory))
    directory.chmod(0o700)
    os.chown(directory, 1, 0)
    with pytest.raises(Refused, match="can be changed by others than root"):
        listed(str(directory))
    with pytest.raises(Refused, match="is not a directory"):
        listed(os.devnull)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o610])
def test_what_others_can_use_is_refused(directory: Path, mode: int) -> None:
    key = make(directory / "one")
    key.chmod(mode)
    with pytest.raises(Refused, match=f"{key}: has mode {mode:04o}, so that others can use it"):
        examine(str(key))


def test_what_is_not_root_s_own_is_refused(directory: Path, tmp_path: Path) -> None:
    key = make(directory / "one")
    beside = sign(make(tmp_path / "authority"), key)
    os.chown(beside, 1, 0)
    with pytest.raises(Refused, match=f"{beside}: belongs to uid 1"):
        examine(str(key))
    os.chown(key, 1, 0)
    with pytest.raises(Refused, match=f"{key}: belongs to uid 1"):
        examine(str(key))


def test_what_is_no_file_is_refused_and_not_waited_for(directory: Path, tmp_path: Path) -> None:
    (directory / "link").symlink_to(make(tmp_path / "elsewhere"))
    os.mkfifo(directory / "pipe", 0o600)
    (directory / "sub").mkdir(0o700)
    for name, reason in (
        ("link", "is a symbolic link"),
        ("pipe", "is not a regular file"),
        ("sub", "is not a regular file"),
        ("gone", "No such file"),
    ):
        with pytest.raises(Refused, match=reason):
            examine(str(directory / name))


def test_another_format_is_refused_with_the_way_out(directory: Path) -> None:
    key = make(directory / "one", "-t", "ecdsa", "-m", "PEM")
    with pytest.raises(Refused, match=f"'ssh-keygen -p -f {key}' converts"):
        examine(str(key))
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "", "-f", key], check=True)
    assert examine(str(key)).blobs == (public(key),)


BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
END = b"-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a private key in OpenSSH's format"),
        (b"just text\n", "is not a private key in OpenSSH's format"),
        (BEGIN, "is not a private key in OpenSSH's format"),
        (END + BEGIN, "is not a private key in OpenSSH's format"),
        (BEGIN + END, "is a damaged private key"),
        (BEGIN + b"AAAA\n" + END, "is a damaged private key"),
        (BEGIN + b"*" + END, "is a damaged private key"),
        (BEGIN + b"b3BlbnNzaC1rZXktdjEA\n" + END, "is a damaged private key"),
        (b"x" * (MOST + 1), "is too long for a key"),
    ],
)
def test_what_is_no_key_is_refused(directory: Path, content: bytes, reason: str) -> None:
    key = directory / "one"
    key.write_bytes(content)
    key.chmod(0o600)
    with pytest.raises(Refused, match=reason):
        examine(str(key))


def test_what_is_no_certificate_is_refused(directory: Path, tmp_path: Path) -> None:
    key = make(directory / "one")
    beside = sign(make(tmp_path / "authority"), key)
    whole = beside.read_bytes()
    for wrong in (b"", b"x", b"ssh-ed25519 AAAA\n", whole.replace(b"-cert-v01", b"-cert-v02")):
        beside.write_bytes(wrong)
        with pytest.raises(Refused, match=f"{beside}: is not a certificate"):
            examine(str(key))


@given(st.binary(max_size=300))
def test_no_content_makes_it_fail_otherwise(content: bytes) -> None:
    inner = base64.b64encode(b"openssh-key-v1\0" + content)
    for data in (content, BEGIN + content + END, BEGIN + inner + END):
        with contextlib.suppress(Refused):
            assert _private(data, "file")[0]
    for data in (content, b"ssh-ed25519-cert-v01@openssh.com " + base64.b64encode(content)):
        with contextlib.suppress(Refused):
            assert _certificate(data, "file")


def test_a_name_is_shown_in_one_line() -> None:
    assert shown("/keys/web") == "/keys/web"
    assert shown("/keys/a\nb\x1b[1m") == "/keys/a\\nb\\x1b[1m"
    assert "\n" not in shown(os.fsdecode(b"/keys/\xff\n"))
    assert shown("/keys/\u0448") == "/keys/\u0448"
