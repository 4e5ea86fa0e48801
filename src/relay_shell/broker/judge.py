"""The policy and the redaction that one set of settings makes; replaced as a whole by a reload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..config import trust
from ..policy import (
    Mode,
    RuleError,
    Rules,
    SpecError,
    Tier,
    admit,
    classify_call,
    load_commands,
    rule_texts,
)
from ..policy.knowledge import OPERATOR_DIRECTORY
from ..policy.toolgroups import GROUP_OF, GROUPS
from ..wire.errors import RelayError
from .precedents import Precedents
from .principals import Access

REASON = 512
"""Characters of one reason in the record."""


ALWAYS_ENFORCED = frozenset({"shell_read"})
"""Tools whose commands run enforced in every mode: what their readOnlyHint promises."""

ENFORCEABLE = frozenset((*GROUPS["shell"], *GROUPS["session"]))
"""Tools whose commands this machine's kernel can keep from changing anything, or that act on a
session begun so. A worker that cannot enforce refuses the call, so the promise is safe to make."""


class Judgement(NamedTuple):
    """What is decided on one call."""

    allowed: bool
    tier: int
    mode: str
    enforcement: str
    reasons: tuple[str, ...]
    hint: str
    hosts: tuple[str, ...] = ()
    """Hosts that the call's command names; see `Verdict.hosts`."""


class Judge:
    """Decides on calls.

    Args:
        settings: policy.deny and policy.allow are compiled here.
        redact: replaces the secrets in a JSON value.

    Raises:
        RelayError: kind Config, for a rule that cannot be used.
    """

    def __init__(self, settings: Mapping[str, Any], redact: Callable[[Any], Any]) -> None:
        self.redact = redact
        load_knowledge()
        # The same reasons come again and again.
        self._told = lru_cache(1024)(lambda reason: str(redact(reason))[:REASON])
        self.precedents = Precedents()
        self._shell: str = settings["worker.shell"]
        self._disabled = frozenset(settings["tools.disabled"])
        try:
            self._rules = Rules(settings["policy.deny"], settings["policy.allow"], file="policy")
        except RuleError as error:
            raise RelayError("Config", reason=str(error)) from None

    def told(self, reasons: Sequence[str]) -> list[str]:
        """Reasons for the record: redacted, for they may quote the command, and bounded."""
        return [
            self._told(reason) if len(reason) <= REASON else str(self.redact(reason))[:REASON]
            for reason in reasons
        ]

    def decide(
        self,
        tool: str,
        args: Mapping[str, Any],
        access: Access,
        hosts: Sequence[str],
        shell: str = "",
    ) -> Judgement:
        """Classify a call, then apply deny rules, mode, allow rules and ceiling, in that order.

        Args:
            hosts: every name of every machine that the worker resolved; the arguments may name
                aliases of them, which meet the deny rules as well.
            shell: what reads the text on these machines, by their operator; "" if not known.
        """
        # Which shell reads the text is the operator's setting, never an argument.
        args = {**args, "shell": self._shell, "login_shell": shell}
        verdict = classify_call(tool, args)
        connects = verdict.hosts()
        group = GROUP_OF.get(tool, "")
        if group in self._disabled:
            reason = f"tool group {group} is switched off (tools.disabled)"
            return Judgement(False, int(verdict.tier), access.mode, "none", (reason,), "", connects)
        texts = rule_texts(tool, args, verdict, hosts) if self._rules else None
        hit = self._rules.check(*texts) if texts else None
        decision = admit(
            cast(Mode, access.mode),
            verdict,
            hit,
            Tier(access.ceiling),
            enforced=tool in ENFORCEABLE,
            always_enforced=tool in ALWAYS_ENFORCED,
        )
        return Judgement(
            decision.allowed,
            int(verdict.tier),
            access.mode,
            decision.enforcement,
            decision.reasons,
            decision.hint,
            connects,
        )


def load_knowledge(directory: Path = OPERATOR_DIRECTORY) -> None:
    """Read what the classifier knows of programs, the operator's files included.

    Raises:
        RelayError: kind Config, for a file that cannot be used or that others can change; what
            was known before stays.
    """
    try:
        if directory.is_dir():
            trust.check_directory(directory)
            for path in sorted(directory.glob("*.toml")):
                trust.read(path)
        load_commands(directory)
    except (OSError, ValueError, SpecError) as error:
        raise RelayError("Config", reason=f"{directory}: {error}") from None


def redactor() -> Callable[[Any], Any]:
    """The product's redaction of JSON values."""
    from ..secrets import default

    engine = default()

    def redact(value: Any) -> Any:
        return engine.value(value).value

    return redact
