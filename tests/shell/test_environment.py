"""The environment and directory of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_shell.shell.environment import Account, build, directory
from relay_shell.wire.errors import RelayError


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("LANG", raising=False)
    made = Account()
    made.prepare()
    return made


def test_environment_is_built_from_the_settings(account: Account) -> None:
    settings = {"worker.path": "/opt/bin", "worker.shell": "/bin/dash"}
    env = build(account, settings, {"PATH": "/mine", "A_1": ""}, call_id="k-1")
    assert env["PATH"] == "/mine"
    assert env["SHELL"] == "/bin/dash"
    assert env["LANG"] == "C.UTF-8"
    assert env["A_1"] == ""
    assert env["TERM"] == "dumb"
    assert env["HOME"] == account.home
    assert env["RELAY_SHELL_CALL"] == "k-1"
    assert build(account, settings, None, call_id="k-1")["PATH"] == "/opt/bin"
    env = build(account, {}, None, call_id="k-1", session="s1.w")
    assert (env["TERM"], env["RELAY_SHELL_SESSION"]) == ("linux", "s1.w")


@pytest.mark.parametrize("name", ["", "A=B", "1A", "A-B", "A B", "\u00c4", "A\0", "BASH_FUNC_x%%"])
def test_names_that_are_none(account: Account, name: str) -> None:
    with pytest.raises(RelayError, match="no variable name"):
        build(account, {}, {name: "x"}, call_id="k-1")


def test_our_own_names_and_nul_are_refused(account: Account) -> None:
    with pytest.raises(RelayError, match="reserved"):
        build(account, {}, {"RELAY_SHELL_SESSION": "s2.other"}, call_id="k-1")
    with pytest.raises(RelayError, match="NUL"):
        build(account, {}, {"A": "x\0y"}, call_id="k-1")


def test_home_is_made_for_its_owner_alone(account: Account) -> None:
    assert Path(account.home).stat().st_mode & 0o777 == 0o700


def test_home_that_cannot_be_is_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/no/home")
    account = Account()
    account.prepare()
    assert directory(account, None) == "/"


def test_directories(account: Account, tmp_path: Path) -> None:
    (Path(account.home) / "sub").mkdir()
    assert directory(account, None) == account.home
    assert directory(account, "sub") == f"{account.home}/sub"
    assert directory(account, "/usr") == "/usr"
    assert directory(account, "~/sub") == f"{account.home}/sub"
    for cwd in ("nowhere", "/etc/passwd"):
        with pytest.raises(RelayError, match="is not a directory"):
            directory(account, cwd)
