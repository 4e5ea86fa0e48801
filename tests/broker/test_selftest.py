"""A broken installation does not start."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from relay_shell.broker import selftest
from relay_shell.broker.judge import redactor
from relay_shell.wire.errors import RelayError


def test_a_good_installation_passes() -> None:
    selftest.run(redactor())


def test_redaction_that_hides_nothing_is_noticed() -> None:
    with pytest.raises(RelayError, match="redaction"):
        selftest.run(lambda value: value)


def test_redaction_that_hides_the_shell_is_noticed() -> None:
    with pytest.raises(RelayError, match="redaction"):
        selftest.run(lambda value: {"command": "[REDACTED]"})


def test_a_wrong_digest_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = hashlib.sha256
    monkeypatch.setattr(selftest.hashlib, "sha256", lambda data=b"": real(data + b"x"))
    with pytest.raises(RelayError, match="digest"):
        selftest.run(redactor())


def test_a_policy_that_takes_everything_for_harmless_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = selftest.classify_call

    def harmless(tool: str, args: Any) -> Any:
        return real(tool, {"command": "ls"})

    monkeypatch.setattr(selftest, "classify_call", harmless)
    with pytest.raises(RelayError, match="policy"):
        selftest.run(redactor())
