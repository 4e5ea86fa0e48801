"""The verdict that a call would get, for a worker that asks on behalf of its agent."""

from __future__ import annotations

from typing import Any

from ..wire.errors import RelayError
from .admission import Admission
from .reach import machines_of, meant, names_of
from .state import State
from .workers import Worker

Body = dict[str, Any]


async def explained(state: State, admission: Admission, worker: Worker, asked: Body) -> Body:
    """The verdict as `explain` answers it.

    Args:
        asked: `tool` (shell_exec if absent), its `args`, and, if the worker has resolved what the
            call would reach, `hosts` and `shell` as in `begin`.

    Raises:
        RelayError: kind InvalidArguments or Busy.
    """
    tool, args = asked.get("tool", "shell_exec"), asked.get("args")
    if not isinstance(tool, str) or not isinstance(args, dict):
        raise RelayError("InvalidArguments", reason="give a tool and its arguments")
    machines = machines_of(asked.get("hosts", []))
    shell = str(asked.get("shell", ""))
    judgement = await admission.explain(worker, tool, args, machines, shell)
    reaches = (*names_of(machines or meant(args)), *judgement.hosts)
    frozen = state.freezer.find(worker.principal, worker.id, judgement.tier, reaches)
    verdict = {
        "decision": "allow" if judgement.allowed and frozen is None else "deny",
        "tier": judgement.tier,
        "mode": judgement.mode,
        "enforcement": judgement.enforcement,
        "reasons": list(judgement.reasons),
        "hint": judgement.hint,
    }
    if frozen is not None:
        verdict["reasons"] = [f"frozen ({frozen}): {frozen.reason}", *judgement.reasons]
    return {"verdict": verdict}
