"""posix_spawn as we use it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay_shell.shell.cgroup import Groups
from relay_shell.shell.spawn import CgroupUnsupported, can_set_cgroup, find_program, spawn
from relay_shell.wire.errors import RelayError

ENV = {"PATH": "/usr/bin:/bin"}


def _run(tmp: Path, argv: list[str], **options: object) -> tuple[int, str]:
    out = os.open(tmp / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    null = os.open("/dev/null", os.O_RDWR)
    given: dict[str, object] = {"env": ENV, "cwd": str(tmp), "stdin": null}
    try:
        pid = spawn(argv, **{**given, **options}, stdout=out, stderr=out)  # type: ignore[arg-type]
        _, code = os.waitpid(pid, 0)
    finally:
        os.close(out)
        os.close(null)
    return os.waitstatus_to_exitcode(code), (tmp / "out").read_text()


def test_program_leads_a_session_in_its_directory(tmp_path: Path) -> None:
    code, out = _run(tmp_path, ["sh", "-c", "pwd; echo $$; cut -d' ' -f6 /proc/$$/stat; env"])
    assert code == 0
    directory, pid, session, *variables = out.splitlines()
    assert directory == str(tmp_path)
    assert pid == session
    assert sorted(v for v in variables if not v.startswith(("PWD=", "_="))) == [
        "PATH=/usr/bin:/bin"
    ]


def test_kept_descriptor_is_number_three(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept text")
    fd = os.open(tmp_path / "kept", os.O_RDONLY)
    try:
        assert _run(tmp_path, ["cat", "/proc/self/fd/3"], keep=[fd]) == (0, "kept text")
    finally:
        os.close(fd)


def test_name_is_looked_up_in_the_given_path(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, mode in ((first, 0o644), (second, 0o755)):
        directory.mkdir()
        (directory / "prog").write_text("#!/bin/sh\necho $0\n")
        (directory / "prog").chmod(mode)
    path = f"{first}:{second}"
    assert find_program("prog", path, "/") == str(second / "prog")
    with pytest.raises(RelayError, match="is not executable"):
        find_program("prog", str(first), "/")
    with pytest.raises(RelayError, match="not found"):
        find_program("prog", "/nowhere", "/")
    assert find_program("prog", "", str(second)) == f"{second}/./prog"
    assert find_program("./prog", "", "/") == "./prog"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#!/no/such/interpreter\n", "interpreter of its first line"),
        (b"neither\n", "neither a program nor a script"),
    ],
)
def test_reason_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "prog").write_bytes(content)
    (tmp_path / "prog").chmod(0o755)
    with pytest.raises(RelayError, match=words):
        _run(tmp_path, ["./prog"])


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_text_that_no_argument_can_hold(tmp_path: Path, word: str) -> None:
    for options in ({"argv": ["true", word]}, {"argv": ["true"], "env": {**ENV, "X": word}}):
        argv = options.pop("argv")
        with pytest.raises(RelayError) as caught:
            _run(tmp_path, argv, **options)  # type: ignore[arg-type]
        assert caught.value.kind == "InvalidArguments"


def test_starts_inside_a_cgroup_or_says_that_it_cannot(tmp_path: Path, groups: Groups) -> None:
    group = groups.make("call-k-1")
    if can_set_cgroup():
        code, out = _run(tmp_path, ["cat", "/proc/self/cgroup"], cgroup=group.fd)
        assert code == 0
        assert "/call-k-1\n" in out
    else:
        with pytest.raises(CgroupUnsupported) as caught:
            _run(tmp_path, ["true"], cgroup=group.fd)
        assert caught.value.lasting
    assert group.remove()
