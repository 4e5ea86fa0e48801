"""`relay-shell audit key`: one private key, however many want to make it."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

import pytest

from relay_shell.cli import auditkey
from relay_shell.evidence.keyfile import PUBLIC, load
from relay_shell.evidence.signing import Signer


def test_two_that_make_a_key_at_once_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encrypted, plain = tmp_path / "credstore.encrypted" / "key", tmp_path / "credstore" / "key"
    monkeypatch.setattr(auditkey, "ENCRYPTED", encrypted)
    monkeypatch.setattr(auditkey, "PLAIN", plain)
    # Where no service manager runs, the key is a file of root's.
    monkeypatch.setattr(auditkey, "_creds", lambda *words, given=None: None)
    generate = auditkey.generate
    args = argparse.Namespace(file=str(tmp_path / "audit.jsonl"), json=False, create=True)
    args.renew = False
    statuses: list[int] = []
    other = threading.Thread(target=lambda: statuses.append(auditkey.run(args)))

    def slow() -> bytes:
        if not statuses and not other.is_alive():
            other.start()
            # Where nothing holds it up, it is done by now.
            other.join(0.5)
        return generate()

    monkeypatch.setattr(auditkey, "generate", slow)
    assert auditkey.run(args) == 0
    other.join(60)
    assert statuses == [0]
    (published,) = load(tmp_path / PUBLIC)
    assert published == Signer(plain.read_bytes).key
    assert capsys.readouterr().out.count("BEGIN PUBLIC KEY") == 2
