"""Decide what a call may do: shell grammar, knowledge of programs, rules, modes.

Pure: nothing here runs a command, opens a socket or looks at the host's files, except the
operator's own command files.
"""

from __future__ import annotations

from .admit import admit
from .classify import classify_argv, classify_command, classify_script
from .knowledge import load as load_commands
from .model import Decision, Mode, Node, RuleHit, Tier, Verdict
from .rules import RuleError, Rules
from .spec import SpecError
from .tools import classify_call, rule_texts

__all__ = [
    "Decision",
    "Mode",
    "Node",
    "RuleError",
    "RuleHit",
    "Rules",
    "SpecError",
    "Tier",
    "Verdict",
    "admit",
    "classify_argv",
    "classify_call",
    "classify_command",
    "classify_script",
    "load_commands",
    "rule_texts",
]
