"""Every call: begin, verdict, handler, end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from expiry import expires_at
from processes import mark, processes_with
from relay_shell.tools import shell_exec
from relay_shell.wire.errors import RelayError


def test_call_is_begun_before_and_ended_after(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            reply = await s.front.call("shell_exec", {"command": "echo hi; exit 3"}, ident="k-1")
            assert not reply["is_error"]
            assert (reply["result"]["exit"], reply["result"]["stdout"]) == (3, "hi\n")
            begin, end = s.broker.all("begin"), s.broker.all("end")
            assert begin == [
                {
                    "call": "k-1",
                    "conn": "c-1",
                    "tool": "shell_exec",
                    "args": {"command": "echo hi; exit 3"},
                }
            ]
            assert len(end) == 1
            assert (end[0]["call"], end[0]["status"], end[0]["exit"]) == ("k-1", "ok", 3)
            assert end[0]["bytes"] == 3
            said = [name for name, _ in s.broker.heard if name in ("begin", "end")]
            assert said == ["begin", "end"]

    asyncio.run(main())


def test_denied_call_runs_nothing_and_has_no_end(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.verdict |= {
                "decision": "deny",
                "tier": 3,
                "reasons": ["rm -r", "matches deny rule 1"],
                "hint": "ask for an allow rule",
            }
            await s.front.start()
            reply = await s.front.call("shell_exec", {"command": f"touch {tmp_path}/ran"})
            assert reply["is_error"]
            error = reply["result"]["error"]
            assert error == {
                "kind": "Denied",
                "message": "rm -r; matches deny rule 1",
                "next_step": "ask for an allow rule",
                "tier": 3,
            }
            assert not (tmp_path / "ran").exists()
            assert s.broker.all("end") == []
            text = shell_exec.TOOL.render(reply["result"])
            assert text.startswith("[DENIED tier 3 (IRREVERSIBLE): rm -r; matches deny rule 1]\n")

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["EvidenceUnavailable", "Frozen", "Busy"])
def test_refusal_of_the_broker_is_a_result(setting: Any, tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with setting() as s:

            def refuse(body: Any) -> None:
                raise RelayError(kind, reason="because")

            s.broker.on_begin = refuse
            await s.front.start()
            reply = await s.front.call("shell_exec", {"command": f"touch {tmp_path}/ran"})
            assert reply["result"]["error"]["kind"] == kind
            assert not (tmp_path / "ran").exists()

    asyncio.run(main())


def test_demand_for_read_only_is_met_by_every_tool_that_runs(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.verdict["enforcement"] = "readonly"
            await s.front.start()
            for tool, args in (
                ("shell_exec", {"command": f"touch {tmp_path}/ran"}),
                ("shell_read", {"argv": ["touch", f"{tmp_path}/ran"]}),
                ("shell_script", {"script": f"touch {tmp_path}/ran"}),
            ):
                facts = (await s.front.call(tool, args))["result"]
                assert (facts["exit"], facts["enforced"]) == (1, True)
                assert "touch: cannot touch" in facts["refused"][0]
            spawned = await s.front.call("shell_spawn", {"command": f"touch {tmp_path}/ran"})
            session = spawned["result"]["session"]
            read = await s.front.call("session_recv", {"session": session, "wait": "touch: cannot"})
            assert read["result"]["reason"] == "match"
            assert not (tmp_path / "ran").exists()

    asyncio.run(main())


def test_reading_tool_refuses_a_verdict_that_does_not_enforce(setting: Any, tmp_path: Path) -> None:
    """Its readOnlyHint must hold even if the broker errs."""

    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            reply = await s.front.call("shell_read", {"command": f"touch {tmp_path}/ran"})
            assert reply["result"]["error"]["kind"] == "Enforcement"
            assert not (tmp_path / "ran").exists()

    asyncio.run(main())


def test_unknown_enforcement_is_refused(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.verdict["enforcement"] = "strict"
            await s.front.start()
            for tool in ("shell_exec", "shell_spawn"):
                reply = await s.front.call(tool, {"command": f"touch {tmp_path}/ran"})
                assert reply["result"]["error"]["kind"] == "Enforcement"
            assert not (tmp_path / "ran").exists()
            assert [end["status"] for end in s.broker.all("end")] == ["error"] * 2

    asyncio.run(main())


def test_timeout_is_an_error_with_what_there_was(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at(f"sleep\0{mark(98781)}", monkeypatch)

    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            reply = await s.front.call(
                "shell_exec", {"command": f"echo a; sleep {mark(98781)}", "timeout": 600}
            )
            assert reply["is_error"]
            assert reply["result"]["stdout"] == "a\n"
            assert reply["result"]["error"]["kind"] == "Timeout"
            assert shell_exec.TOOL.render(reply["result"]).startswith("[TIMEOUT after 600s]\na\n")
            assert s.broker.all("end")[0]["status"] == "timeout"
            assert processes_with(mark(98781)) == []

    asyncio.run(main())


@pytest.mark.parametrize(("message", "status"), [("cancel", "cancelled"), ("abort", "killed")])
def test_cancel_and_abort_kill_the_tree_and_are_recorded(
    setting: Any, message: str, status: str
) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            call = s.front.call(
                "shell_exec", {"command": f"echo a; sleep {mark(98782)}"}, ident="k-7"
            )
            await s.until(lambda: processes_with(f"sleep\0{mark(98782)}"))
            link = s.front.link if message == "cancel" else s.broker.links[-1]
            link.notify(message, {"call": "k-7", "reason": "user said so"})
            reply = await call
            assert reply["result"]["error"]["kind"] == "Cancelled"
            end = s.broker.all("end")[0]
            assert (end["status"], end["error"], end["signal"]) == (
                status,
                "user said so",
                "SIGKILL",
            )
            assert (end["bytes"], end["survivors"]) == (2, 0)
            assert processes_with(mark(98782)) == []

    asyncio.run(main())


def test_cancel_before_the_verdict_runs_nothing(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            asked, go = asyncio.Event(), asyncio.Event()

            async def slow(body: Any) -> Any:
                asked.set()
                await go.wait()
                return s.broker.verdict

            s.broker.on_begin = slow
            await s.front.start()
            call = s.front.call("shell_exec", {"command": f"touch {tmp_path}/ran"}, ident="k-1")
            await asked.wait()
            s.front.link.notify("cancel", {"call": "k-1", "reason": "changed my mind"})
            await s.front.link.request("attach", {"conn": "c-1"})
            go.set()
            assert (await call)["result"]["error"]["kind"] == "Cancelled"
            assert s.broker.all("end")[0]["status"] == "cancelled"
            assert not (tmp_path / "ran").exists()

    asyncio.run(main())


def test_number_of_calls_is_bounded(setting: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            s.broker.settings["limits.calls"] = 2
            await s.front.start()
            calls = [
                s.front.call("shell_exec", {"command": f"sleep {mark(98783)}"}) for _ in range(2)
            ]
            await s.until(lambda: len(processes_with(f"sleep\0{mark(98783)}")) == 2)
            reply = await s.front.call("shell_exec", {"command": "true"})
            assert reply["result"]["error"]["kind"] == "Busy"
            s.front.link.notify("detach", {"conn": "c-1", "reason": "test"})
            await asyncio.gather(*calls)

    asyncio.run(main())


def test_unknown_tool_and_failing_handler_are_results(setting: Any, caplog: Any) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            reply = await s.front.call("no_such_tool", {})
            assert reply["result"]["error"]["kind"] == "UnknownTool"
            # What no validated call can hold: the defect stays inside the call.
            reply = await s.front.call("shell_exec", {"command": "true", "env": 5})
            assert reply["result"]["error"]["kind"] == "Internal"
            assert s.broker.all("end")[0]["error"].startswith("Internal")
            assert (await s.front.result("shell_exec", command="echo on"))["stdout"] == "on\n"

    asyncio.run(main())
    assert "Traceback" in caplog.text


def test_progress_is_told_only_to_who_asked(setting: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            command = "printf 'a\\nb\\033[1m\\n'; until [ -e go ]; do sleep 0.05; done"
            heard = s.front.call("shell_exec", {"command": command}, progress=True, ident="k-1")
            silent = s.front.call("shell_exec", {"command": command}, ident="k-2")
            await s.until(lambda: s.front.all("progress"))
            (tmp_path / "go").touch()
            await asyncio.gather(heard, silent)
            told = s.front.all("progress")
            assert {body["call"] for body in told} == {"k-1"}
            assert told[0]["message"] == "a\nb [1m"
            values = [body["progress"] for body in told]
            assert values == sorted(set(values))

    asyncio.run(main())


def test_silent_calls_show_that_they_live(setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay_shell.worker.dispatch.HEARTBEAT", 0.1)

    async def main() -> None:
        async with setting() as s:
            await s.front.start()
            session = (await s.front.result("shell_spawn", command="cat"))["session"]
            args = {"session": session, "wait": "now", "timeout": 60}
            reading = asyncio.ensure_future(s.front.call("session_recv", args, progress=True))
            await s.until(lambda: len(s.front.all("progress")) >= 3)
            await s.front.result("session_send", session=session, text="now", submit=True)
            assert (await reading)["result"]["reason"] == "match"
            told = s.front.all("progress")
            assert told[0]["message"].startswith("running for")
            count = len(told)
            await s.front.result("session_list")
            assert len(s.front.all("progress")) == count

    asyncio.run(main())
