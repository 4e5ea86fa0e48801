"""The file access.toml: read as strictly as the settings."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from relay_shell.broker.access_file import load_access
from relay_shell.config import ConfigError
from relay_shell.policy.access import Who


def write(root: Path, text: str, mode: int = 0o644) -> Path:
    path = root / "access.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def problems(root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_access(root)
    return [str(problem).removeprefix(f"{root}/") for problem in caught.value.problems]


def test_no_file_is_no_rules(tmp_path: Path) -> None:
    assert not load_access(tmp_path)


def test_the_file_that_is_shipped_has_no_rules() -> None:
    shipped = Path(__file__).parents[2] / "etc" / "relay-shell"
    assert (shipped / "access.toml").exists()
    assert not load_access(shipped)


def test_the_examples_of_the_shipped_file_are_valid(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "etc" / "relay-shell" / "access.toml"
    ours = grp.getgrgid(os.getgid()).gr_name
    lines = [line[1:] for line in shipped.read_text().splitlines() if line.startswith("#[[rule")]
    assert lines
    text = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else ""
        for line in shipped.read_text().splitlines()
    )
    write(tmp_path, text.replace('"sre"', f'"{ours}"').replace('"interns"', f'"{ours}"'))
    assert len(load_access(tmp_path)) == len(lines)


def test_rules_know_their_lines(tmp_path: Path) -> None:
    ours = grp.getgrgid(os.getgid()).gr_name
    write(tmp_path, f'# one\n[[rule]]\nuser = "a"\n\n[[rule]]\ngroup = "{ours}"\nceiling = 1\n')
    grant = load_access(tmp_path).find(Who("b", frozenset({os.getgid()})))
    assert grant.ceiling == 1 and grant.rule.endswith("line 5")


def test_problems_name_file_and_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[[rule]]\nuser = "a"\n[[rule]]\nany = true\ncieling = 1\n'
        'group = "no-such-group"\n[rule.budgets]\nburst = "x"\n',
    )
    assert problems(tmp_path) == [
        "access.toml:5: unknown key 'cieling'; did you mean 'ceiling'?",
        "access.toml:6: there is no group 'no-such-group' on this system",
        "access.toml:4: 'any' names everybody; leave out 'group'",
        "access.toml:8: budgets.burst must be an integer, not 'x'",
    ]


def test_no_toml(tmp_path: Path) -> None:
    write(tmp_path, "[[rule]\n")
    (problem,) = problems(tmp_path)
    assert problem.startswith("access.toml:1: is no TOML")


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "", mode=0o666)
    (problem,) = problems(tmp_path)
    assert "can be changed by others" in problem and "chmod go-w" in problem


def test_a_dangling_link_is_not_an_absent_file(tmp_path: Path) -> None:
    (tmp_path / "access.toml").symlink_to(tmp_path / "gone")
    assert problems(tmp_path) == ["access.toml: is a link to a file that does not exist"]
