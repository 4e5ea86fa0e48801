"""A checkpoint's signature holds for what it says, by the key it names, and for nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from relay_shell.evidence.signing import KeyFault, Keys, Signer, generate, statement


@pytest.fixture(scope="module")
def signer() -> Signer:
    pem = generate()
    return Signer(lambda: pem)


def test_a_signature_holds(signer) -> None:
    facts = signer.checkpoint(7, "ab" * 32, 3)
    keys = Keys([signer.public_pem()])
    assert keys.holds(facts) and facts["key"] in keys and len(keys) == 1
    assert {name: facts[name] for name in ("seq", "chain", "count")} == {
        "seq": 7,
        "chain": "ab" * 32,
        "count": 3,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 8},
        {"seq": "7"},
        {"chain": "ac" * 32},
        {"count": 4},
        {"count": None},
        {"key": "0" * 16},
        {"key": None},
        {"signature": ""},
        {"signature": "!!"},
        {"signature": None},
        {"chain": "\u00e4"},
    ],
)
def test_a_change_breaks_it(signer, change) -> None:
    facts = signer.checkpoint(7, "ab" * 32, 3)
    assert not Keys([signer.public_pem()]).holds({**facts, **change})


def test_another_key_does_not_do(signer) -> None:
    other = Signer(generate)
    mine = signer.checkpoint(1, "00" * 32, 1)
    assert not Keys([other.public_pem()]).holds(mine)
    both = Keys([other.public_pem() + signer.public_pem()])
    assert len(both) == 2 and both.holds(mine)


def test_openssl_checks_it_too(signer, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    import base64

    facts = signer.checkpoint(7, "ab" * 32, 3)
    (tmp_path / "key").write_bytes(signer.public_pem())
    (tmp_path / "said").write_bytes(statement(facts["key"], 7, "ab" * 32, 3))
    (tmp_path / "sig").write_bytes(base64.b64decode(facts["signature"]))
    argv = "openssl pkeyutl -verify -pubin -inkey key -rawin -in said -sigfile sig".split()
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"x" * 100]
)
def test_what_is_no_key_is_refused(pem) -> None:
    with pytest.raises(KeyFault):
        Keys([pem])
    with pytest.raises(KeyFault):
        Signer(lambda: pem).load()


def test_the_library_is_loaded_at_the_first_use_only() -> None:
    import sys

    program = (
        "import sys, relay_shell.evidence.writer, relay_shell.evidence.verify\n"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
