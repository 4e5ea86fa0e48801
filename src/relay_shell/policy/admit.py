"""Admission: mode, rules and ceiling turn a verdict into a decision."""

from __future__ import annotations

from .model import Decision, Mode, RuleHit, Tier, Verdict

_ASK = "an operator can run it, or approve or allow it for this principal"


def admit(
    mode: Mode,
    verdict: Verdict,
    rules_hit: RuleHit | None,
    ceiling: Tier | None,
    *,
    enforced: bool = False,
    always_enforced: bool = False,
) -> Decision:
    """Decide on a call.

    Args:
        mode: The mode of the principal.
        verdict: The verdict on the call.
        rules_hit: What `Rules.check` returned.
        ceiling: The highest tier the principal may use, None for no limit.
        enforced: Whether the worker can run this call so that the kernel refuses change. It cannot
            where another machine runs it: there the classifier's proof is all there is.
        always_enforced: Whether the tool itself promises that, in every mode.
    """
    tier = verdict.tier
    if rules_hit is not None and rules_hit.action == "deny":
        reason = f"deny rule {rules_hit.index + 1} matches: {rules_hit.pattern}"
        return Decision(False, "none", (reason,), "leave out what the rule names; " + _ASK)
    if mode == "readonly" or always_enforced:
        return _readonly(verdict, enforced, always_enforced)
    if ceiling is not None and tier > ceiling:
        reason = f"tier {int(tier)} is above the ceiling {int(ceiling)} of this principal"
        return Decision(False, "none", (reason, *verdict.reasons), _below(ceiling))
    if mode == "guarded" and tier >= Tier.STATEFUL:
        if rules_hit is not None:
            reason = f"allow rule {rules_hit.index + 1} matches: {rules_hit.pattern}"
            return Decision(True, "none", (reason,))
        reason = f"mode guarded refuses tier {int(tier)} without an allow rule"
        return Decision(False, "none", (reason, *verdict.reasons), _below(Tier.REVERSIBLE))
    return Decision(True, "none", verdict.reasons)


def _below(tier: Tier) -> str:
    what = {
        Tier.READ_ONLY: "commands that only read are admitted",
        Tier.REVERSIBLE: "commands that read, or make changes that can be undone, are admitted",
        Tier.STATEFUL: "anything that can be undone or redone is admitted",
        Tier.IRREVERSIBLE: "everything is admitted",
    }[tier]
    return f"{what}; {_ASK}"


def _readonly(verdict: Verdict, enforced: bool, always_enforced: bool) -> Decision:
    """Mode `readonly`: nothing runs that could change something.

    With enforcement the text does not matter, since the kernel refuses the change.
    """
    runs_nothing = (
        verdict.tree is not None
        and verdict.tree.kind == "tool"
        and not verdict.tree.children
        and verdict.tier == Tier.READ_ONLY
    )
    if runs_nothing:
        return Decision(True, "none", verdict.reasons)
    if enforced:
        return Decision(True, "readonly", ("the kernel refuses every change",))
    if verdict.tier == Tier.READ_ONLY and not always_enforced:
        return Decision(True, "none", verdict.reasons)
    reason = "mode readonly admits here only what is known to change nothing (tier 0)"
    if always_enforced:
        reason = "this tool runs only what the kernel keeps from changing anything"
    return Decision(False, "none", (reason, *verdict.reasons), _below(Tier.READ_ONLY))
