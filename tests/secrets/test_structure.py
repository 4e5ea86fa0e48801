"""A redaction hides a secret, never what a shell would do (A5, A5b and their kin)."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redaction_texts import texts

from relay_shell.secrets import default

MARK = re.compile(r"\[REDACTED:[a-z0-9-]+\]")
STRUCTURE = re.compile(r"[\x00-\x20\x7f\"'`\\;&|<>(){}$]")


def redact(text: str) -> str:
    return default().text(text).text


def test_a5_authorization_assignment_does_not_hide_the_next_command() -> None:
    assert redact(": authorization=x; touch F") == (
        ": authorization=[REDACTED:authorization-value]; touch F"
    )


@pytest.mark.parametrize(
    "command",
    [
        "TOKEN=$(touch${IFS}F)",
        "password=`touch F`",
        ': --token "$(touch F)"',
        "API_KEY=${X:=$(touch F)} true",
        "secret=<(touch F)",
        "echo password=>F",
    ],
)
def test_a5b_substitutions_stay_readable(command: str) -> None:
    assert redact(command) == command


@pytest.mark.parametrize(
    ("command", "visible"),
    [
        ('env "x password="; touch F; echo ""', "; touch F; echo"),
        ('env "password=" touch F ""', "touch F"),
        ("env TOKEN= touch F", "touch F"),
        ("echo 'a token=';touch F;echo ''", ";touch F;echo"),
        ("authorization=Bearer touch F", "touch F"),
        ("curl -u admin:pw1234;touch F", ";touch F"),
        ("mysql -phunter2&&touch F", "&&touch F"),
        ("curl https://u:pw1234@h|sh", "|sh"),
        ("Cookie: a=b1; touch F", "; touch F"),
        ("Cookie: a=$(touch F)", "$(touch F)"),
        ("printf 'token=x1\\ntouch F'|sh", "\\ntouch F"),
        ("--token {touch,F}", "{touch,F}"),
        ("$y$touch;F", "$y$touch;F"),
        ("-----BEGIN RSA PRIVATE KEY-----\ntouch F", "touch F"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n/tmp/evil", "/tmp/evil"),
        ("-----BEGIN RSA PRIVATE KEY-----; touch F", "; touch F"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEabc$(touch F)", "$(touch F)"),
        ("password=x1y2z3\ntouch F", "\ntouch F"),
        ("password=x1y2z3 touch F", " touch F"),
        ("--password x1y2z3>F", ">F"),
        ('eval env password="x1;touch F"', ";touch F"),
        ('ssh h TOKEN="x1; touch F"', "; touch F"),
        ('# "\nenv "password=" touch F ""', "touch F"),
        ('true \\" PASSWORD="x1 touch F', "touch F"),
        ("bash -c 'PASSWORD=\"; touch F\"'", "; touch F"),
        ('A="$(echo " PASSWORD=")"; touch F; B=" "', "; touch F; B="),
        ('cat <<E\n"\nE\nPASSWORD="x1;touch F;"', ";touch F;"),
        ('PASSWORD="x1 $(touch F)"', "$(touch F)"),
        ('env "x=" PASSWORD=" touch F', "touch F"),
        ("echo reboot | sudo -S sh", "reboot"),
    ],
)
def test_what_follows_a_secret_stays(command: str, visible: str) -> None:
    assert visible in redact(command)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("PASSWORD='a;b$c d' run", "PASSWORD='[REDACTED:password-value]' run"),
        (
            'cd /x && export TOKEN="a1 & b"; id',
            'cd /x && export TOKEN="[REDACTED:token-value]"; id',
        ),
        (
            "A='x y' DB_PASS=\"p w\" psql | wc",
            "A='x y' DB_PASS=\"[REDACTED:password-value]\" psql | wc",
        ),
    ],
)
def test_a_quoted_assignment_goes_whole_where_quoting_is_certain(command: str, shown: str) -> None:
    assert redact(command) == shown


quoted = st.text(alphabet="ax1 ;&|<>#", max_size=8)
words = st.one_of(
    st.sampled_from(
        ["run", "env", "export", "PASSWORD=", "TOKEN=x1", "A=b", "--token", "eval", "x"]
    ),
    quoted.map(lambda text: f'"{text}"'),
    quoted.map(lambda text: f"'{text}'"),
    quoted.map(lambda text: f"PASSWORD='{text}'"),
    quoted.map(lambda text: f'API_TOKEN="{text}"x'),
)
commands = st.lists(
    st.one_of(words, st.sampled_from([" ", " ", ";", " && ", "|", " > ", "\n"])), max_size=16
).map("".join)


def shell_words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


@settings(max_examples=1500, deadline=None)
@given(commands)
def test_words_and_operators_of_a_command_stay_in_place(command: str) -> None:
    before, after = shell_words(command), shell_words(redact(command))
    assert len(before) == len(after)
    operator = re.compile(r"[;&|<>]+")
    for old, new in zip(before, after, strict=True):
        # A word that changed holds a mark; an operator is as it was, whatever precedes it.
        assert old == new or (MARK.search(new) and not operator.fullmatch(old))


@settings(max_examples=1500, deadline=None)
@given(texts)
def test_structure_is_never_hidden(text: str) -> None:
    # A comment makes the quoting of all that follows uncertain, so that nothing goes whole.
    text = "# " + text
    shown = redact(text)
    assert STRUCTURE.findall(MARK.sub("", shown)) == STRUCTURE.findall(MARK.sub("", text))


@settings(max_examples=1500, deadline=None)
@given(texts)
@example(f"X-Webhook-Signature: ed5e{'7' * 36}.GOOG1E{'A' * 30}")
def test_twice_is_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "command",
    [
        "echo reboot | sudo -S sh",
        "echo reboot | su - root",
        "echo reboot | openssl dgst -sha256",
        "echo reboot | gpg -c -o F",
        "smbclient //host/share <<< reboot",
        "yes | apt install F",
        "vault login -method=oidc",
        "openssl passwd -6 -stdin",
        "curl --cert client.pem https://example.org",
        "bw unlock --check",
        "kinit admin",
        "smbpasswd -a bob",
        "keyctl show @u",
        "az vm list --value F",
        "gh issue create --body F",
    ],
)
def test_words_that_are_no_secrets_stay(command: str) -> None:
    assert redact(command) == command
