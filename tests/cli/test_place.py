from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell.cli.place import setting

NAME = "paths.audit"
DEFAULT = "/var/log/relay-shell/audit.jsonl"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "relay-shell.d").mkdir(mode=0o755)
    monkeypatch.setenv("RELAY_SHELL_CONFIG", str(tmp_path))
    monkeypatch.delenv("RELAY_SHELL_PATHS_AUDIT", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        '[paths]\naudit = "/srv/a.jsonl"\n',
        'paths.audit = "/srv/a.jsonl"\n',
        'paths = { "audit" = "/srv/a.jsonl" }\n',
        '[paths]\n"\\u0061udit" = "/srv/a.jsonl"\n',
    ],
)
@pytest.mark.parametrize("file", ["relay-shell.toml", "relay-shell.d/50.toml"])
def test_a_file_that_sets_it_is_read(root, file, text):
    (root / file).write_text(text)
    assert setting(NAME) == "/srv/a.jsonl"


def test_the_environment_comes_last_and_counts(root, monkeypatch):
    (root / "relay-shell.toml").write_text('[paths]\naudit = "/srv/a.jsonl"\n')
    monkeypatch.setenv("RELAY_SHELL_PATHS_AUDIT", "/srv/b.jsonl")
    assert setting(NAME) == "/srv/b.jsonl"


def test_a_variable_that_no_setting_has_hides_no_file(root, monkeypatch):
    (root / "relay-shell.toml").write_text('[paths]\naudit = "/srv/a.jsonl"\n')
    monkeypatch.setenv("RELAY_SHELL_DEBUG", "1")
    assert setting(NAME) == "/srv/a.jsonl"


@pytest.mark.parametrize("text", ["", "# audit = 1\n", '[policy]\nmode = "guarded"\n', "audit = ["])
def test_without_a_word_of_it_or_without_sense_the_default_counts(root, text):
    (root / "relay-shell.toml").write_text(text)
    assert setting(NAME) == DEFAULT


def test_a_file_that_does_not_mention_it_is_not_parsed(root):
    (root / "relay-shell.toml").write_text('[policy]\nmode = "guarded"\n')
    code = "import sys; from relay_shell.cli.place import setting; setting('paths.audit'); "
    done = subprocess.run(
        [sys.executable, "-c", f"{code} print('tomllib' in sys.modules)"],
        capture_output=True,
        text=True,
        env={
            "RELAY_SHELL_CONFIG": str(root),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src"),
        },
    )
    assert done.stdout == "False\n"
