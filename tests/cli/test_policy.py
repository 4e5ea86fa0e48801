"""`relay-shell policy`: what an operator sees of a decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent.parent / "src"


def policy(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay_shell.cli", "policy", *words],
        input=given,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SRC), "NO_COLOR": "1"},
    )


def test_explain_prints_the_tree_with_tier_and_reasons() -> None:
    done = policy("explain", "sudo rm -rf /srv/app > /dev/sda")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "tier 3 (irreversible): open admits it, after approval where that is set;"
        " guarded needs an allow rule",
        "  runs with the privileges of another account",
        "  `rm` removes files for good",
        "  overwrites the device /dev/sda",
        "",
        "3 command sudo rm -rf /srv/app",
        "    runs with the privileges of another account",
        "  3 command rm -rf /srv/app",
        "      `rm` removes files for good",
        "  3 redirection > /dev/sda",
        "      overwrites the device /dev/sda",
    ]


def test_explain_takes_an_argument_vector() -> None:
    done = policy("explain", "--json", "--", "echo", "; rm x")
    assert json.loads(done.stdout)["tier"] == 0


def test_explain_names_the_rule_that_decides() -> None:
    done = policy("explain", "--json", "--deny", "^rm", "r\\m x")
    found = json.loads(done.stdout)
    assert found["rule"] == {"action": "deny", "pattern": "^rm", "matched": "rm x"}
    assert found["admits"].startswith("no mode")
    assert found["canonical"] == ["rm x"]
    done = policy("explain", "--deny", "(?=x)", "ls")
    assert done.returncode == 65
    assert "deny: pattern 1" in done.stderr


def test_explain_shows_no_terminal_escapes() -> None:
    done = policy("explain", "ls \x1b[2J\u202e")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "\\x1b" in done.stdout


def test_jsonl_answers_a_line_for_a_line() -> None:
    given = (
        '{"cmd": "ls"}\n\n{"cmd": "rm x", "id": 7}\nnonsense\n{"cmd": 3}\n{"cmd": "caf\\u00e9"}\n'
    )
    done = policy("test", "--jsonl", given=given)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(a["cmd"], a["tier"]) for a in answers] == [
        ("ls", 0),
        ("rm x", 3),
        (None, 3),
        (None, 3),
        ("café", 2),
    ]
    assert all(a["reasons"] for a in answers)
    assert done.returncode == 65
    assert "line 4" in done.stderr
    assert "line 5" in done.stderr


def test_lint_reports_files_and_ends_with_65(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[sitectl]\nsub0 = "status"\n')
    bad.write_text("[sitectl]\ntier = 4\n")
    assert policy("lint", str(good)).returncode == 0
    done = policy("lint", str(good), str(bad))
    assert done.returncode == 65
    assert f"{good}: ok" in done.stdout
    assert "tier must be a tier from 0 to 3" in done.stdout


def test_lint_reads_the_rules_by_identity(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text("[[rule]]\nany = true\nredact = 1\nhosts = ['10.0.0.1/8']\n")
    path.chmod(0o644)
    done = policy("lint", str(path))
    assert done.returncode == 65
    assert "access.toml:3: redact must be true or false" in done.stdout
    assert "access.toml:4: hosts: 10.0.0.1/8 has host bits set" in done.stdout
    path.write_text("[[rule]]\nany = true\n[[rule]]\nuser = 'alice'\nmode = 'open'\n")
    done = policy("lint", str(path))
    assert done.returncode == 0
    assert "warning: line 3: rule 2 of access.toml is never reached" in done.stdout


def test_explain_names_hosts_and_reads_as_the_shell_does() -> None:
    done = policy("explain", "ssh -J jump root@0x0a000001 uptime", "--deny", r"^10\.0\.0\.1$")
    assert "hosts: 10.0.0.1 jump" in done.stdout and "a deny rule matches" in done.stdout
    assert json.loads(policy("explain", "--json", "ssh $H").stdout)["hosts"] == ["?$H"]
    assert json.loads(policy("explain", "--json", "--shell", "zsh", "ls").stdout)["tier"] == 2
