"""Admission: mode, rules and ceiling turn a verdict into a decision."""

from __future__ import annotations

from collections.abc import Mapping

from .model import Decision, Mode, RuleHit, Tier, Verdict

_ASK = "an operator can run it, or approve or allow it for this principal"
# Programs without any option that writes or executes, admitted in `readonly` without
# kernel enforcement when called with plain words.
_FIXED = frozenset(
    "cat df du free groups head hostname id ls lscpu lsblk nproc ps pwd stat tail uname uptime"
    " wc who whoami date".split()
)


def is_fixed_readonly(verdict: Verdict, args: Mapping[str, object] | None) -> bool:
    """Whether the call is one of the few fixed read-only forms.

    One simple command of a fixed list, every word plain, nothing expanded or redirected and
    no environment or input given; or a tool that runs no command at all. Without the
    arguments only the latter can be told.
    """
    tree = verdict.tree
    if verdict.tier != Tier.READ_ONLY or tree is None:
        return False
    if tree.kind == "tool":
        return not tree.children
    if args is None or args.get("env") or args.get("stdin"):
        return False
    text, argv = args.get("command"), args.get("argv")
    words = text.split() if isinstance(text, str) else argv
    if not isinstance(words, list) or words != tree.text.split():
        # A redirection, an assignment or a quoted blank is not in the canonical form.
        return False
    program = str(words[0]).rpartition("/")[2]
    plain = not any(char in tree.text for char in "$`*?[{<>|&;\n'~")
    return tree.kind == "command" and not tree.children and plain and program in _FIXED


def admit(
    mode: Mode,
    verdict: Verdict,
    rules_hit: RuleHit | None,
    ceiling: Tier | None,
    *,
    args: Mapping[str, object] | None = None,
    enforced: bool = False,
    always_enforced: bool = False,
) -> Decision:
    """Decide on a call.

    Args:
        mode: The mode of the principal.
        verdict: The verdict on the call.
        rules_hit: What `Rules.check` returned.
        ceiling: The highest tier the principal may use, None for no limit.
        args: The arguments of the tool call.
        enforced: Whether the worker can run this call so that the kernel refuses change.
        always_enforced: Whether the tool itself promises that, in every mode.
    """
    tier = verdict.tier
    if rules_hit is not None and rules_hit.action == "deny":
        reason = f"deny rule {rules_hit.index + 1} matches: {rules_hit.pattern}"
        return Decision(False, "none", (reason,), "leave out what the rule names; " + _ASK)
    if mode == "readonly" or always_enforced:
        return _readonly(verdict, ceiling, args, enforced)
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


def _readonly(
    verdict: Verdict, ceiling: Tier | None, args: Mapping[str, object] | None, enforced: bool
) -> Decision:
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
    if is_fixed_readonly(verdict, args):
        return Decision(True, "none", verdict.reasons)
    reason = "mode readonly admits only a few fixed commands until enforcement is available"
    hint = f"one plain command of: {', '.join(sorted(_FIXED))}; {_ASK}"
    return Decision(False, "none", (reason, *verdict.reasons), hint)
