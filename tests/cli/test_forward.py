"""What `forward enable` accepts and writes, and what `forward status` makes of what it finds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from relay_shell.cli.forward import (
    LATE,
    NOT_FORWARDING,
    check_files,
    check_url,
    configuration,
    drop_in,
    judge,
)
from relay_shell.wire.errors import RelayError


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://collector", "https://collector"),
        ("https://collector:19533/", "https://collector:19533"),
        ("https://[fd00::1]:19533", "https://[fd00::1]:19533"),
        ("https://192.0.2.1", "https://192.0.2.1"),
    ],
)
def test_urls(given, taken):
    assert check_url(given) == taken


@pytest.mark.parametrize(
    "url",
    [
        "http://collector:19532",
        "collector:19533",
        "https://",
        "https://collector:99999",
        "https://me@collector",
        "https://collector/upload",
        "https://collector?x",
        "https://collector\n[Service]",
        "https://collector%h",
        "https://col lector",
    ],
)
def test_what_no_journal_goes_to(url):
    with pytest.raises(RelayError, match="https"):
        check_url(url)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    argv = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x"
    )
    argv += f" -keyout {key} -out {cert}"
    subprocess.run(argv.split(), check=True, capture_output=True)
    key.chmod(0o600)
    return key, cert


def test_files(pair, tmp_path):
    key, cert = pair
    check_files(key, cert, cert)
    for bad, said in (
        ((cert, cert, cert), "is not the unencrypted key"),
        ((key, cert, key), "holds no CA"),
        ((tmp_path / "none", cert, cert), "No such file"),
        ((key, tmp_path, cert), "not a regular file"),
        ((tmp_path / "with space", cert, cert), "not a plain path"),
    ):
        if bad[0] == cert:
            cert.chmod(0o600)
        with pytest.raises(RelayError, match=said):
            check_files(*bad)
    key.chmod(0o644)
    with pytest.raises(RelayError, match="others may read"):
        check_files(key, cert, cert)


def test_the_files_written():
    text = configuration("https://collector")
    assert "URL=https://collector\n" in text
    assert "ServerKeyFile=/run/credentials/systemd-journal-upload.service/key\n" in text
    assert "LoadCredential=key:/a\n" in drop_in({"key": Path("/a")})


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"enabled": False}, NOT_FORWARDING),
        ({"state": "active"}, 0),
        ({"state": "activating"}, 0),
        ({"state": "failed"}, LATE),
        ({"pending": 3, "lag": 2.0}, 0),
        ({"pending": 3, "lag": 61.0}, LATE),
    ],
)
def test_the_exit_status_says_how_it_stands(facts, status):
    assert judge({"enabled": True, "state": "active", "pending": 0, "lag": 0.0, **facts}) == status
