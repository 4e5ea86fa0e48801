from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Any

from relay_shell.worker.prove import claims, outcome


def report(posture: str) -> dict[str, Any]:
    """What the prober prints outside of any unit."""
    done = subprocess.run(
        [sys.executable, "-m", "relay_shell.worker.prove", posture],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(posture: str) -> dict[str, dict[str, Any]]:
    return {row["what"]: row for row in report(posture)["claims"]}


def test_the_domain_of_a_scoped_worker_keeps_another_agent_away() -> None:
    found = rows("scoped")
    for what in (
        *("signal another agent", "set limits of another agent", "trace another agent"),
        "read another agent's memory",
    ):
        assert (found[what]["observed"], found[what]["held"]) == ("refused", True), found[what]


def test_without_the_domain_the_other_agent_is_reached() -> None:
    # The same attempts, so that a refusal above is the domain's doing.
    found = rows("privileged")
    for what in ("signal another agent", "read another agent's memory"):
        assert (found[what]["observed"], found[what]["held"]) == ("permitted", None), found[what]


def test_a_claim_that_does_not_hold_is_said() -> None:
    # Outside of a unit nothing limits the programs of the account that runs the tests.
    found = rows("privileged")
    if os.geteuid() == 0:
        assert found["lift an append-only flag"]["held"] is False
        assert found["write to /etc"]["held"] is True
    else:
        assert found["become root"]["held"] is False
        assert found["write to /etc"]["held"] is False


def test_every_posture_claims_and_no_row_is_named_twice() -> None:
    table = claims(1, 2, 3, "/sys/fs/cgroup")
    names = [claim.what for claim in table]
    assert len(set(names)) == len(names)
    assert sum(claim.scoped == "refused" for claim in table) >= 37
    assert sum(claim.privileged == "refused" for claim in table) >= 14


def test_an_attempt_cannot_change_or_end_the_prober() -> None:
    def ends() -> str:
        os._exit(3)

    def moves() -> str:
        os.chdir("/")
        return "moved"

    def refused() -> str:
        raise PermissionError(errno.EPERM, "no")

    def absent() -> str:
        raise OSError(errno.ENOSYS, "no such call")

    before = os.getcwd()
    assert outcome(ends) == ("unknown", "the attempt did not end")
    assert outcome(moves) == ("permitted", "moved")
    assert outcome(refused) == ("refused", "no")
    assert outcome(absent) == ("unknown", "no such call")
    assert os.getcwd() == before


def test_nothing_but_a_posture_is_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay_shell.worker.prove", "what"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert "relay-shell posture prove" in done.stderr
