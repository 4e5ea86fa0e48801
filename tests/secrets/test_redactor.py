"""Text, bytes and JSON values through the public face."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.secrets import Redactor, default
from relay_shell.secrets.redactor import SHORT
from relay_shell.secrets.rules import fill
from relay_shell.secrets.scan import Scanner

PAT = "ghp_" + fill("⟦A36⟧", "test")


def redact(text: str) -> str:
    return default().text(text).text


def test_counts_are_by_rule() -> None:
    done = default().text(f"a {PAT} b {PAT} password=x1")
    assert done.counts == {"github-pat": 2, "password-value": 1}


def test_text_without_secrets_is_the_same_object() -> None:
    text = "df -h / && uptime"
    assert default().text(text).text is text


def test_a_named_token_lends_its_name_to_the_assignment() -> None:
    assert redact(f"GITHUB_TOKEN={PAT}") == "GITHUB_TOKEN=[REDACTED:github-pat]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=[REDACTED:password-value]"),
        ("password: hunter2", "password: [REDACTED:password-value]"),
        ('"password": "hunter2"', '"password": "[REDACTED:password-value]"'),
        ("-token=abc123", "-token=[REDACTED:token-value]"),
        ("--password hunter2 -v", "--password [REDACTED:password-value] -v"),
        ("mysql -phunter2 -u root", "mysql -p[REDACTED:mysql-option-password] -u root"),
        ("mysql -p app", "mysql -p app"),
        ("docker run -p 8080:80 nginx", "docker run -p 8080:80 nginx"),
        ("mkdir -p /srv/a", "mkdir -p /srv/a"),
        ("ssh -p 2222 host", "ssh -p 2222 host"),
        ("curl -u me:pw1 h", "curl -u me:[REDACTED:curl-user-password] h"),
        ("curl -u me h", "curl -u me h"),
        ("sudo -u root id", "sudo -u root id"),
        ("redis://:pw1@h:6379/0", "redis://:[REDACTED:url-credentials]@h:6379/0"),
        ("http://localhost:8080/@vite/client", "http://localhost:8080/@vite/client"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("machine h login me password pw", "machine h login me password [REDACTED:password-value]"),
        ("<password>pw12</password>", "<password>[REDACTED:password-value]</password>"),
        (
            "- name: DB_PASSWORD\n  value: hunter2\n",
            "- name: DB_PASSWORD\n  value: [REDACTED:password-value]\n",
        ),
        ("\x1b[31mtoken=abc123\x1b[0m", "\x1b[31mtoken=[REDACTED:token-value]\x1b[0m"),
        ("a\\n" + PAT, "a\\n[REDACTED:github-pat]"),
        ("t%3D" + PAT, "t%3D[REDACTED:github-pat]"),
        ("PWD=/work OLDPWD=/d", "PWD=/work OLDPWD=/d"),
        ("status installed passwd:amd64 1:4.13", "status installed passwd:amd64 1:4.13"),
        ("author=Jane keyboard=us monkey=1", "author=Jane keyboard=us monkey=1"),
        ("max_tokens=4096 token_type=bearer", "max_tokens=4096 token_type=bearer"),
        ("password=$PASSWORD", "password=$PASSWORD"),
        ("--password-file /run/secrets/db", "--password-file /run/secrets/db"),
        ("key=/etc/ssl/private/host.key", "key=/etc/ssl/private/host.key"),
    ],
)
def test_transcript(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_quoted_values_are_whole_when_structure_need_not_stay() -> None:
    text = 'password = "correct horse; battery" # end'
    assert default(False).text(text).text == 'password = "[REDACTED:password-value]" # end'
    assert default(False).text('password = "Enter your password"').counts == {}
    text = 'DB_PASSWORD="a1;b2 c3&d4" next'
    assert default(False).text(text).text == 'DB_PASSWORD="[REDACTED:password-value]" next'


def test_keys_in_variables_go_line_by_line() -> None:
    line = fill("⟦b64⟧", "key")
    for keep in (True, False):
        for text in (
            f'PRIVATE_KEY="-----BEGIN RSA PRIVATE KEY-----\n{line}\n-----END RSA PRIVATE KEY-----"',
            f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{line}\\n-----END PRIVATE KEY-----"',
            f"export TLS_PRIVATE_KEY='-----BEGIN EC PRIVATE KEY-----\n{line}",
            f"PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n{line}\nPrivate-MAC: 12",
        ):
            shown = default(keep).text(text).text
            assert line not in shown and "[REDACTED:private-key-block]" in shown


def test_a_token_within_a_name_does_not_shield_what_the_name_is_given() -> None:
    text = "passwordpplx-" + fill("⟦A48⟧") + "VAULT_TOKEN=x1y2z3"
    assert (
        redact(text)
        == "password[REDACTED:perplexity-api-key]VAULT_TOKEN=[REDACTED:vault-token-value]"
    )
    long = "password_" + "of_a_service_" * 6 + "token=x1y2z3"
    assert redact(long).endswith("token=[REDACTED:token-value]")


def test_bytes_of_no_encoding_pass() -> None:
    data = bytes(range(256)) + PAT.encode() + b"\xff\xfe"
    done = default().data(data)
    assert done.data == bytes(range(256)) + b"[REDACTED:github-pat]\xff\xfe"


def test_unpaired_surrogates_survive() -> None:
    assert redact("\ud800 password=x1 \udfff") == "\ud800 password=[REDACTED:password-value] \udfff"


def test_utf8_values_go_whole() -> None:
    assert redact("password=pässwörd1 ü") == "password=[REDACTED:password-value] ü"


def test_a_limit_cuts_without_showing_half_a_secret() -> None:
    text = "x" * 90 + " " + PAT + " tail"
    done = default().text(text, limit=110)
    assert PAT[:12] not in done.text and done.text.startswith("x" * 90)
    assert done.text.endswith("+ bytes cut]")


VALUE: dict[str, Any] = {
    "command": "curl -H 'X-Api-Key: abc123def456' https://h",
    "argv": ["mysql", "-u", "root", "-phunter2", "--password", "pw9"],
    "env": {"DB_PASSWORD": "any thing", "PATH": "/usr/bin", "N": 3},
    "nested": [{"token": 12345, "secret": None, "ok": True}, [PAT]],
    PAT: "a key may be a secret too",
    "pairs": [{"name": "API_TOKEN", "value": "x y"}, {"name": "LANG", "value": "C"}],
}


def test_json_values() -> None:
    done = default().value(VALUE)
    assert done.value == {
        "command": "curl -H 'X-Api-Key: [REDACTED:api-key-value]' https://h",
        "argv": [
            "mysql",
            "-u",
            "root",
            "-p[REDACTED:mysql-option-password]",
            "--password",
            "[REDACTED:password-value]",
        ],
        "env": {"DB_PASSWORD": "[REDACTED:password-value]", "PATH": "/usr/bin", "N": 3},
        "nested": [
            {"token": "[REDACTED:token-value]", "secret": None, "ok": True},
            ["[REDACTED:github-pat]"],
        ],
        "[REDACTED:github-pat]": "a key may be a secret too",
        "pairs": [
            {"name": "API_TOKEN", "value": "[REDACTED:token-value]"},
            {"name": "LANG", "value": "C"},
        ],
    }
    assert sum(done.counts.values()) == 8
    assert VALUE["env"]["DB_PASSWORD"] == "any thing"


def test_json_twice_is_once() -> None:
    once = default().value(VALUE).value
    assert default().value(once).value == once


def test_json_of_great_depth_is_cut_not_recursed() -> None:
    value: Any = PAT
    for _ in range(5000):
        value = [value]
    assert PAT not in json.dumps(default().value(value).value)


def test_two_secret_keys_do_not_overwrite_each_other() -> None:
    other = "ghp_" + fill("⟦A36⟧", "other")
    assert len(default().value({PAT: 1, other: 2}).value) == 2


def test_own_tool_arguments_are_no_secrets() -> None:
    value = {"session_id": "s-1", "idempotency_key": "k-1", "key_path": "~/.ssh/id", "pattern": "a"}
    assert default().value(value).value == value


def test_own_rules_only() -> None:
    rules = [rule for rule in default().rules if rule.name == "github-pat"]
    assert Redactor(rules).text(f"{PAT} password=x1").text == "[REDACTED:github-pat] password=x1"


@pytest.mark.parametrize("after", ["", "\n", "\nnext\n", " # said so\n", "; id\n"])
def test_a_rule_that_asks_for_the_end_of_a_word_takes_the_end_of_a_line(after: str) -> None:
    text = "echo Xy7hunter22 | sudo -S ls"
    assert "Xy7hunter22" not in default().text(text + after).text


PIECES = st.sampled_from(
    [PAT, "password=", "hunter2", " -u ", "curl", "mysql -p", "://", "a:b@h", "key", "-----BEGIN"]
) | st.text(max_size=6)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_text_without_an_anchor_is_what_the_scanner_makes_of_it(text: str) -> None:
    for engine in (default(), default(False)):
        data = text.encode("utf-8", "surrogatepass")
        scanner = Scanner(engine.compiled)
        assert engine.data(data) == (scanner.feed(data, True), scanner.counts)
        assert engine.data(bytearray(data)) == engine.data(data)


@pytest.mark.parametrize("size", [SHORT - 1, SHORT, SHORT + 1, 3 * SHORT])
def test_a_secret_is_found_in_a_text_of_any_length(size: int) -> None:
    text = "x " * ((size - len(PAT)) // 2) + PAT
    assert default().text(text).counts == {"github-pat": 1}
    assert default().text(text[: -len(PAT)]).text == text[: -len(PAT)]
