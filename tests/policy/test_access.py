"""access.toml: what it may say, and what the first matching rule gives."""

from __future__ import annotations

import tomllib

import pytest

from relay_shell.broker.principals import access_of
from relay_shell.config.settings import Settings
from relay_shell.policy.access import AccessRules, Grant, Who, host_allowed
from relay_shell.policy.access_document import Known, parse
from relay_shell.policy.toolgroups import GROUP_OF, GROUPS, SENSITIVE
from relay_shell.policy.tools import classify_call
from relay_shell.tools.registry import TOOLS

GIDS = {"sre": 500, "interns": 501}


def read(text: str) -> tuple[AccessRules, list[str]]:
    rules, problems = parse(
        tomllib.loads(text), Known(GROUPS, GIDS.get), lambda path: len(path) * 10
    )
    return rules, [f"{'.'.join(path)}: {reason}" for path, reason in problems]


def rules(text: str) -> AccessRules:
    found, problems = read(text)
    assert problems == []
    return found


def test_without_rules_nothing_changes() -> None:
    assert rules("").find(Who("alice")) == Grant()
    assert not rules("rule = []")


FIRST = """
[[rule]]
name = "interns only look"
group = "interns"
mode = "readonly"
ceiling = 0

[[rule]]
user = ["alice", "bob"]
mode = "guarded"
tools = ["shell", "output_read"]
without_tools = ["shell_script"]
hosts = ["web-*"]
[rule.budgets]
calls_per_minute = 30

[[rule]]
user = "mallory"
deny = true

[[rule]]
group = 500
"""


def test_the_first_match_decides() -> None:
    found = rules(FIRST)
    assert len(found) == 4
    intern = found.find(Who("alice", frozenset({501, 1000})))
    assert (intern.mode, intern.ceiling, intern.tools) == ("readonly", 0, None)
    assert intern.rule == "rule 1 (interns only look) of access.toml, line 20"

    alice = found.find(Who("alice", frozenset({1000})))
    assert alice.mode == "guarded" and alice.ceiling is None and alice.hosts == ("web-*",)
    assert alice.tools == {"shell_exec", "shell_read", "output_read"}
    assert alice.budgets == {"calls_per_minute": 30}

    assert (
        found.find(Who("mallory", frozenset({500}))).refusal == "rule 3 of access.toml refuses it"
    )
    assert found.find(Who("carol", frozenset({500}))) == Grant(
        rule="rule 4 of access.toml, line 20", tools=None
    )


def test_whom_no_rule_names_has_nothing() -> None:
    refused = rules(FIRST).find(Who("eve", frozenset({7})))
    assert refused.refusal == "no rule of access.toml names it" and not refused.pending


def test_every_matcher_of_a_rule_must_fit() -> None:
    found = rules('[[rule]]\nuser = "alice"\ngroup = "sre"\n')
    assert found.find(Who("alice", frozenset({500}))).refusal == ""
    assert found.find(Who("alice")).refusal and found.find(Who("bob", frozenset({500}))).refusal


def test_any_names_everybody() -> None:
    assert rules('[[rule]]\nany = true\nmode = "readonly"\n').find(Who("x")).mode == "readonly"


def test_tokens() -> None:
    found = rules(
        '[[rule]]\nissuer = "https://id"\nsubject = "42"\n[[rule]]\nscope = ["relay:read"]\n'
        'mode = "readonly"\n'
    )
    assert found.find(Who(issuer="https://id", subject="42")).refusal == ""
    assert found.find(Who(issuer="https://evil", subject="42")).refusal
    reader = Who(issuer="https://other", subject="7", scopes=frozenset({"x", "relay:read"}))
    assert found.find(reader).mode == "readonly"
    # A local account has no issuer, and an empty one is nobody's.
    assert found.find(Who("alice")).refusal


def test_a_clients_name_is_waited_for() -> None:
    found = rules('[[rule]]\nuser = "alice"\nclient = "editor"\n')
    waiting = found.find(Who("alice"))
    assert waiting.pending and waiting.refusal
    assert found.find(Who("alice", client="editor")).refusal == ""
    other = found.find(Who("alice", client="other"))
    assert other.refusal and not other.pending
    assert not found.find(Who("bob")).pending


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules = 1", "rules: unknown key 'rules'; did you mean 'rule'?"),
        ("rule = 1", "rule: 'rule' is a list: write [[rule]]"),
        ("[rule]\nany = true", "rule: 'rule' is a list: write [[rule]]"),
        ("[[rule]]", "rule.0: the rule names nobody: give one of user, group"),
        ("[[rule]]\nusers = 'a'", "rule.0.users: unknown key 'users'; did you mean 'user'?"),
        ("[[rule]]\nany = 1", "rule.0.any: any must be true or false"),
        ("[[rule]]\nany = false", "rule.0.any: any = false means nothing; leave it out"),
        ("[[rule]]\nany = true\nuser = 'a'", "rule.0.any: 'any' names everybody; leave out 'user'"),
        ("[[rule]]\nuser = 3", "rule.0.user: user must be a string or a list of strings"),
        ("[[rule]]\nuser = true", "rule.0.user: user must be a string or a list of strings"),
        ("[[rule]]\nuser = []", "rule.0.user: user must name 1 to 256, not 0"),
        ("[[rule]]\nuser = ''", "rule.0.user: user has an item that is empty"),
        ("[[rule]]\ngroup = 'ser'", "rule.0.group: there is no group 'ser' on this system"),
        ("[[rule]]\ngroup = true", "rule.0.group: group must be a string"),
        ("[[rule]]\nsubject = 'a'", "rule.0.subject: a subject means something only with its"),
        ("[[rule]]\nclient = 'a'", "rule.0.client: a client's name is its own claim"),
        ("[[rule]]\nany = true\nmode = 'opne'", "rule.0.mode: mode must be one of open, guarded"),
        ("[[rule]]\nany = true\nmode = ['open']", "rule.0.mode: mode must be one of"),
        ("[[rule]]\nany = true\nceiling = 4", "rule.0.ceiling: ceiling must be a tier, 0 to 3"),
        ("[[rule]]\nany = true\nceiling = true", "rule.0.ceiling: ceiling must be a tier"),
        (
            "[[rule]]\nany = true\ntools = ['shel_exec']",
            "rule.0.tools: tools: unknown tool or group 'shel_exec'; did you mean 'shell_exec'?",
        ),
        ("[[rule]]\nany = true\ntools = 'shell'", "rule.0.tools: tools must be a list"),
        ("[[rule]]\nany = true\ntools = [['a']]", "rule.0.tools: tools: unknown tool or group"),
        ("[[rule]]\nany = true\nhosts = ['10.0.0.1/8']", "rule.0.hosts: hosts: 10.0.0.1/8 has"),
        ("[[rule]]\nany = true\nhosts = [1]", "rule.0.hosts: hosts has an item that is no name"),
        ("[[rule]]\nany = true\nbudgets = 1", "rule.0.budgets: budgets is a table"),
        (
            "[[rule]]\nany = true\n[rule.budgets]\ncall_per_minute = 1",
            "rule.0.budgets.call_per_minute: unknown budget 'call_per_minute'; did you mean",
        ),
        (
            "[[rule]]\nany = true\nbudgets = {burst = -1}",
            "rule.0.budgets.burst: budgets.burst must be between 0 and 1000000, not -1",
        ),
        (
            "[[rule]]\nuser = 'a'\ndeny = true\nmode = 'open'",
            "rule.0.mode: a rule that denies gives no 'mode'",
        ),
        ("[[rule]]\nuser = 'a'\nname = 'b\\nc'".replace("\\n", "\\\\n"), ""),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    _, problems = read(text)
    if reason:
        assert problems and problems[0].startswith(reason), problems
    else:
        assert problems == []


def test_every_problem_is_told() -> None:
    _, problems = read("[[rule]]\nmode = 'x'\n[[rule]]\nany = true\nceiling = 9\nfoo = 1\n")
    assert [p.partition(":")[0] for p in problems] == [
        "rule.0",
        "rule.0.mode",
        "rule.1.foo",
        "rule.1.ceiling",
    ]


@pytest.mark.parametrize(
    ("host", "patterns", "fits"),
    [
        ("web-1", ["web-*"], True),
        ("root@WEB-1.", ["web-*"], True),
        ("db-1", ["web-*"], False),
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("0x0a010203", ["10.0.0.0/8"], True),
        ("root@[::ffff:10.1.2.3]", ["10.0.0.0/8"], True),
        ("2001:db8::1", ["10.0.0.0/8", "2001:db8::/32"], True),
        ("ten.example", ["10.0.0.0/8"], False),
        ("167838211", ["10.1.2.3"], True),
        ("web-1", [], False),
    ],
)
def test_hosts(host: str, patterns: list[str], fits: bool) -> None:
    assert host_allowed(host, patterns) is fits


def test_the_table_of_groups_is_the_registrys() -> None:
    for tool in TOOLS.values():
        assert GROUP_OF[tool.name] == tool.group
    listed = [name for names in GROUPS.values() for name in names]
    assert len(listed) == len(set(listed))
    # What is listed ahead of its tool is known to the classifier at least.
    for name in {*listed, *SENSITIVE}:
        assert "unknown tool" not in " ".join(classify_call(name, {}).reasons), name


def test_no_claim_makes_less_recorded() -> None:
    found = rules(
        "[[rule]]\nuser = 'alice'\nclient = 'trusted'\nrecording = 'off'\n"
        "[[rule]]\nuser = 'bob'\nclient = 'risky'\nrecording = 'full'\n"
        "[[rule]]\nuser = 'alice'\nrecording = 'output'\n"
        "[[rule]]\nany = true\n"
    )

    def recorded(who: Who, mode: str) -> str:
        return access_of(Settings({"recording.mode": mode}), found.find(who)).recording

    for client in (None, "trusted", "other"):
        assert recorded(Who("alice", client=client), "metadata") == "output"
    assert recorded(Who("alice"), "full") == "output", "who an account is may make it less"
    for client in ("risky", "tame"):
        assert recorded(Who("bob", client=client), "off") == "full"
    assert recorded(Who("carol"), "off") == "off"


def test_redaction_of_output_by_identity() -> None:
    found = rules(
        "[[rule]]\nissuer = 'https://id'\nscope = 'secrets:read'\nredact = false\n"
        "[[rule]]\nissuer = 'https://id'\nredact = true\n[[rule]]\nuser = 'alice'\n"
    )
    reader = Who(issuer="https://id", scopes=frozenset({"secrets:read"}))
    assert found.find(reader).redact is False
    assert found.find(reader._replace(scopes=frozenset())).redact is True
    assert found.find(Who("alice")).redact is None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("redact = 'no'", "rule.0.redact: redact must be true or false"),
        ("client = 'x'\nredact = false", "rule.0.redact: a client's name is its own claim"),
        ("deny = true\nredact = false", "rule.0.redact: a rule that denies gives no 'redact'"),
    ],
)
def test_what_may_not_show_secrets(keys: str, reason: str) -> None:
    _, problems = read(f"[[rule]]\nuser = 'a'\n{keys}\n")
    assert problems[0].startswith(reason)
