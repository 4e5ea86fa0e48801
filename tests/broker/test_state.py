"""The line that `systemctl status` shows."""

from __future__ import annotations

from pathlib import Path

from broker.office import Office, story


def test_the_summary_leads_with_what_is_wrong(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        state = office.broker.state
        assert state.summary() == "0 agents, 0 calls"
        front, worker = await office.at_work()
        await office.connect(front)
        user = worker.hello["user"]
        await worker.begin("k-1")
        (call,) = state.calls
        call.began -= 12
        assert state.summary() == f"2 agents, 1 call: {user} shell_exec 12 s"
        state.freezer.add("tier", "2", "r", "test")
        assert state.summary().endswith("; frozen: tier 2")
        office.broker.refuse_reload("relay-shell.toml:3: no")
        assert state.summary().endswith("; reload refused: relay-shell.toml:3: no")
        state.reload_error = "x" * 5000
        assert len(state.summary()) <= 512

    story(tmp_path, tell)


def test_the_configuration_s_hash_follows_every_setting(tmp_path: Path) -> None:
    found: list[str] = []

    async def tell(office: Office) -> None:
        found.append(office.broker.state.config_hash())
        assert office.records("start")[-1]["facts"]["config_sha256"] == found[-1]

    for changes in ({}, {"policy__deny": ("a",)}, {"limits__timeout": 61}, {}):
        story(tmp_path, tell, **changes)
    assert found[0] == found[3] and len(set(found)) == 3
