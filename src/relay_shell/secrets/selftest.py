"""Self-test of the shipped rules: complete, compiled, and each finding its own example."""

from __future__ import annotations

from .compiled import Compiled
from .redactor import default
from .rules import Rule, RuleError, fill

#: Number of shipped rules. A lost or unread rule file must not pass as a smaller rule set.
EXPECTED_RULES = 403

_NEGATIVES = (
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "550e8400-e29b-41d4-a716-446655440000",
    "author: Jane Doe, keyboard=us, monkey=banana, compass=north",
    "the password must have eight characters",
)


def compile_all(compiled: Compiled) -> None:
    """Compile what is otherwise compiled at first use; raises :class:`RuleError`."""
    for handler in compiled.tokens:
        handler.compile()


def check(rule: Rule) -> str | None:
    """What is wrong with a rule's own example, or None."""
    text = rule.synthetic()
    done = default().text(text)
    if done.text == text:
        return f"{rule.name}: its example is not redacted"
    if rule.name not in done.counts:
        return f"{rule.name}: its example is taken by {', '.join(done.counts)}"
    return None


def selftest() -> None:
    """Raise :class:`RuleError` unless the shipped rules are whole and work.

    Meant for the start of a process that redacts; takes some tens of milliseconds.
    """
    redactor = default()
    if len(redactor.rules) != EXPECTED_RULES:
        raise RuleError(
            f"{len(redactor.rules)} redaction rules instead of {EXPECTED_RULES}: "
            "reinstall the package, its rule files are incomplete"
        )
    compile_all(redactor.compiled)
    failures = [reason for rule in redactor.rules if (reason := check(rule)) is not None]
    for text in _NEGATIVES:
        if redactor.text(fill(text)).counts:
            failures.append(f"redacted without reason: {text}")
    if failures:
        raise RuleError("redaction self-test: " + "; ".join(failures[:5]))
