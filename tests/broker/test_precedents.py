"""Precedents: what is judged once, and for whom and how long that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.office import Office, settings_in, story
from relay_shell.broker.arguments import describe
from relay_shell.broker.judge import Judge, Judgement, redactor
from relay_shell.broker.precedents import MOST, SIZE, Precedent, Precedents
from relay_shell.broker.principals import Access, access_of
from relay_shell.policy.access import Grant

REDACT = redactor()


def arguments(args: dict[str, Any]):
    return describe(args, REDACT, 4096)


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return access_of(settings_in(tmp_path))


def precedent(access: Access, *reasons: str) -> Precedent:
    judgement = Judgement(True, 0, access.mode, "none", reasons, "")
    return Precedent(access, judgement, list(reasons))


def test_the_same_call_by_the_same_principal_is_known(access: Access) -> None:
    precedents = Precedents()
    asked, other = arguments({"command": "df -h"}), arguments({"command": "df -k"})
    found = precedent(access, "df only reads")
    precedents.keep("unix:a", "shell_exec", asked, found)
    assert precedents.find("unix:a", "shell_exec", asked, access) is found
    assert precedents.find("unix:a", "shell_exec", other, access) is None
    assert precedents.find("unix:a", "shell_read", asked, access) is None
    assert precedents.find("unix:b", "shell_exec", asked, access) is None


def test_what_the_caller_may_do_decides_as_well(tmp_path: Path, access: Access) -> None:
    precedents = Precedents()
    asked = arguments({"command": "df -h"})
    precedents.keep("unix:a", "shell_exec", asked, precedent(access))
    same = access_of(settings_in(tmp_path))
    assert same is not access
    assert precedents.find("unix:a", "shell_exec", asked, same) is not None
    for grant in (
        Grant(mode="readonly"),
        Grant(ceiling=1),
        Grant(tools=frozenset({"shell_read"})),
        Grant(hosts=("web1",)),
        Grant("no rule names it"),
    ):
        narrowed = access_of(settings_in(tmp_path), grant)
        assert precedents.find("unix:a", "shell_exec", asked, narrowed) is None


def test_memory_is_bounded(access: Access) -> None:
    precedents = Precedents()
    for n in range(3 * MOST + 1):
        asked = arguments({"command": f"df {n}"})
        precedents.keep("unix:a", "shell_exec", asked, precedent(access))
        assert len(precedents) <= MOST
    assert precedents.find("unix:a", "shell_exec", asked, access) is not None
    large = arguments({"command": "large"})
    precedents.keep("unix:a", "shell_exec", large, precedent(access, "x" * SIZE))
    assert precedents.find("unix:a", "shell_exec", large, access) is None


def test_a_repeated_call_is_recorded_as_the_first_one(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        judge = office.broker.state.judge
        for command in ("rm -rf /srv/x", "/sbin/shutdown -h now"):
            verdicts = []
            for n in range(3):
                verdicts.append(await worker.begin(f"k-{len(command)}-{n}", command))
                if verdicts[-1]["decision"] == "allow":
                    await worker.end(f"k-{len(command)}-{n}")
            assert verdicts[0] == verdicts[1] == verdicts[2]
        assert len(judge.precedents) == 2
        for event in ("intent", "deny"):
            first, *more = office.records(event)
            assert len(more) == 2
            for record in more:
                own = ("seq", "ts", "call_id", "prev", "chain")
                assert {**record, **{name: first[name] for name in own}} == first

    story(tmp_path, tell, policy__deny=("shutdown",))


def test_a_call_with_a_secret_leaves_nothing(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        for n in range(2):
            await worker.begin(f"k-{n}", "curl -H 'Authorization: Bearer abcdef0123456789abcdef'")
        assert len(office.broker.state.judge.precedents) == 0
        await worker.begin("k-2", "df -h")
        assert len(office.broker.state.judge.precedents) == 1

    story(tmp_path, tell)


def test_a_reload_begins_anew(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()
        assert (await worker.begin("k-1", "touch /srv/x"))["decision"] == "allow"
        new = settings_in(tmp_path, policy__deny=("/srv/x",))
        office.broker.reload(new, Judge(new, redactor()))
        assert (await worker.begin("k-2", "touch /srv/x"))["decision"] == "deny"
        assert (await worker.begin("k-3", "touch /srv/x"))["decision"] == "deny"

    story(tmp_path, tell)


def test_what_a_session_holds_already_is_judged_with_it(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        _, worker = await office.at_work()

        async def types(call: str, text: str) -> int:
            args = {"session": "s-1", "text": text}
            verdict = await worker.begin(call, tool="session_send", args=args)
            await worker.end(call)
            return verdict["tier"]

        await types("k-1", "ls ")
        harmless = await types("k-2", "/\n")
        await types("k-3", "rm -rf ")
        assert await types("k-4", "/\n") > harmless

    story(tmp_path, tell)
