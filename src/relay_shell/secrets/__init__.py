"""Redaction of secrets in text, bytes, JSON and streams.

RE2 is required: without it the import fails, since no backtracking engine may see untrusted text.
"""

from __future__ import annotations

from .redactor import Redacted, RedactedBytes, RedactedValue, Redactor, StreamRedactor, default
from .rules import Rule, RuleError, load
from .selftest import selftest

__all__ = [
    "Redacted",
    "RedactedBytes",
    "RedactedValue",
    "Redactor",
    "Rule",
    "RuleError",
    "StreamRedactor",
    "default",
    "load",
    "selftest",
]
