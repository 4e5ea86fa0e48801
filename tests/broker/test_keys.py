"""The broker's signing key: given by the service manager, or its own in the state directory."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay_shell.broker.keys import CREDENTIAL, signer
from relay_shell.evidence.signing import KeyFault, Keys, generate


def test_without_a_credential_there_is_none(tmp_path: Path) -> None:
    assert signer(tmp_path, tmp_path / "audit.jsonl", {}, local=False) is None
    assert (
        signer(
            tmp_path,
            tmp_path / "audit.jsonl",
            {"CREDENTIALS_DIRECTORY": str(tmp_path)},
            local=False,
        )
        is None
    )


def test_a_credential(tmp_path: Path) -> None:
    (tmp_path / CREDENTIAL).write_bytes(generate())
    found = signer(
        tmp_path, tmp_path / "audit.jsonl", {"CREDENTIALS_DIRECTORY": str(tmp_path)}, local=False
    )
    assert found is not None and len(found.key) == 16


def test_an_own_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = signer(tmp_path, tmp_path / "audit.jsonl", {}, local=True)
    assert first is not None and not (tmp_path / "evidence.key").exists()
    again = signer(tmp_path, tmp_path / "audit.jsonl", {}, local=True)
    assert again is not None and first.key == again.key
    assert stat.S_IMODE((tmp_path / "evidence.key").stat().st_mode) == 0o400
    keys = Keys([(tmp_path / "evidence.pub").read_bytes()])
    assert first.key in keys
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evidence.key", "evidence.pub"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evidence.key").write_bytes(generate())
    (tmp_path / "evidence.key").chmod(0o644)
    found = signer(tmp_path, tmp_path / "audit.jsonl", {}, local=True)
    assert found is not None
    with pytest.raises(KeyFault, match="0400"):
        found.load()


def test_two_that_want_a_missing_key_get_the_same(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for number in range(20):
        state = tmp_path / str(number)
        state.mkdir(0o700)
        found = signer(state, state / "audit.jsonl", {}, local=True)
        assert found is not None
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(lambda _, key=found: key.key, range(8)))) == 1
