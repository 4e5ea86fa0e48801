"""Secrets in output: hidden wherever it is cut, counted, and the true whole still hashed."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from typing import Any

import pytest

from relay_shell.secrets.rules import fill
from relay_shell.shell import session as session_module
from relay_shell.shell.capture import Capture
from relay_shell.shell.redaction import Redaction
from relay_shell.tools import run_result, session_output
from relay_shell.wire.errors import RelayError
from shell.conftest import Call

TOKEN = "ghp_" + fill("⟦A36⟧", "output")
OTHER = "glpat-" + fill("⟦w20⟧", "output")
HIDDEN = "[REDACTED:github-pat]"
ON = {"redaction__output": "on"}


def test_off_is_the_same_octets(rig: Any) -> None:
    async def main() -> None:
        async with rig(redaction__output="off") as r:
            done = await r.run(f"printf 'a {TOKEN} \\377\\n'; echo {OTHER} >&2")
            assert done.stdout == f"a {TOKEN} \ufffd\n" and done.stderr == f"{OTHER}\n"
            assert done.redactions is None
            assert "redactions" not in run_result.result(done).facts

    asyncio.run(main())


def test_secrets_are_hidden_and_counted_and_the_digest_is_of_the_whole(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            done = await r.run(f"echo a {TOKEN} b; echo {TOKEN}; echo password={OTHER} >&2")
            assert done.stdout == f"a {HIDDEN} b\n{HIDDEN}\n"
            assert OTHER not in done.stderr and "[REDACTED:" in done.stderr
            assert done.redactions["github-pat"] == 2 and sum(done.redactions.values()) == 3
            out = hashlib.sha256(f"a {TOKEN} b\n{TOKEN}\n".encode())
            err = hashlib.sha256(f"password={OTHER}\n".encode())
            assert done.sha256 == hashlib.sha256(out.digest() + err.digest()).hexdigest()
            assert done.bytes == len(f"a {TOKEN} b\n{TOKEN}\npassword={OTHER}\n")
            facts = run_result.result(done).facts
            assert facts["redactions"] == done.redactions
            assert "[3 secret(s) hidden: github-pat 2" in run_result.render(facts)

    asyncio.run(main())


def test_nothing_to_hide_is_said_so(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            done = await r.run("echo fine")
            assert (done.stdout, done.redactions) == ("fine\n", {})

    asyncio.run(main())


def test_secret_in_pieces(rig: Any) -> None:
    """Each write reaches the reader by itself."""

    async def main() -> None:
        async with rig(**ON) as r:
            script = "".join(f"printf {letter}; sleep 0.005; " for letter in TOKEN)
            assert (await r.run(script)).stdout == HIDDEN

    asyncio.run(main())


@pytest.mark.parametrize("cut", range(1, len(TOKEN), 5))
def test_secret_over_two_chunks(cut: int) -> None:
    redactor = Redaction({"redaction.output": "on"}).stream()
    capture = Capture(1000, None, redactor)
    whole = f"x {TOKEN} y".encode()
    capture.feed(whole[: 2 + cut])
    assert TOKEN[:12] not in capture.last_lines(3, 1000)
    capture.feed(whole[2 + cut :])
    capture.end()
    assert capture.text(1000) == (f"x {HIDDEN} y", False)
    assert (capture.total, capture.sha256()) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_secret_at_the_cut_of_long_output(rig: Any) -> None:
    """Neither head nor tail shows a part of it, wherever the cut falls."""

    async def main() -> None:
        async with rig(**ON) as r:
            for pad in range(90, 160, 7):
                done = await r.run(
                    f"printf '%0{pad}d ' 0; echo {TOKEN}; seq 1000; printf '%0{pad}d ' 0;"
                    f" echo {TOKEN}",
                    max_output=256,
                )
                assert done.truncated and done.redactions == {"github-pat": 2}
                assert not shows(done.stdout)

    asyncio.run(main())


def test_pages_lines_and_matches_of_a_kept_output(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            done = await r.run(f"seq 100; echo {TOKEN}; seq 100", max_output=256)
            pages = r.outputs.get(done.output, None)
            at = total = 0
            text = ""
            while True:
                page = pages.page(at, 13)
                text, at = text + page["text"], page["next_offset"]
                total += sum(page["redactions"].values())
                if not page.get("more"):
                    break
            numbers = "".join(f"{n}\n" for n in range(1, 101))
            assert text == f"{numbers}{HIDDEN}\n{numbers}"
            assert total <= 1
            assert (await pages.lines(101, 1))["redactions"] == {"github-pat": 1}
            found = await pages.search("REDACTED|ghp_", context=1, most=5)
            assert found["redactions"] == {"github-pat": 1}
            assert not shows(str(found))

    asyncio.run(main())


def test_output_kept_before_the_setting_is_not_paged_after(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run(f"seq 1000; echo {TOKEN}; seq 1000", max_output=256)
            assert "text" in r.outputs.get(done.output, None).page(0, 100)
            r.settings["redaction.output"] = "on"
            with pytest.raises(RelayError, match="run it again"):
                r.outputs.get(done.output, None)

    asyncio.run(main())


def test_progress_shows_no_secret(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            call = Call()
            await r.run(
                f"echo {TOKEN}; printf {TOKEN[:20]}; sleep 1.3; echo {TOKEN[20:]}", call=call
            )
            assert any(HIDDEN in said for said in call.said)
            assert not any(shows(said) for said in call.said)

    asyncio.run(main())


def test_session_reads_show_no_secret_however_they_are_cut(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program may be slow to write the rest.
    monkeypatch.setattr(session_module, "SETTLE", 60.0)

    async def main() -> None:
        async with rig(**ON) as r:
            script = f"printf '%s\\n' {TOKEN} > /dev/tty; printf {TOKEN[:9]}; sleep 0.02"
            session = await r.spawn(f"{script}; printf '%s done\\n' {TOKEN[9:]}; sleep 60")
            reading = await r.sessions.read(session, wait="done", timeout=60)
            assert reading.text == f"{HIDDEN}\n{HIDDEN} done\n"
            facts = session_output.facts_of(reading)
            assert facts["redactions"] == {"github-pat": 2}
            for offset in range(0, session.ring.end, 3):
                part = await r.sessions.read(session, offset=offset, quiet=0, max_output=256)
                assert not shows(part.text)
            assert not shows(str(await session.screen()))
            assert (await session.screen())["redactions"] == {"github-pat": 2}

    asyncio.run(main())


def test_prompt_is_shown_once_the_session_is_quiet(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            session = await r.spawn("printf 'key ghp'; read x; echo got; sleep 60")
            reading = await r.sessions.read(session, wait="ghp$", timeout=60)
            assert reading.text == "key ghp"
            await session.send(f"_{TOKEN[4:]}", submit=True, enforcement="none")
            reading = await r.sessions.read(session, wait="got", timeout=60)
            assert reading.text == f"{HIDDEN}\ngot\n"

    asyncio.run(main())


def test_session_says_the_true_size_and_digest(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            session = await r.spawn(f"stty -opost; printf 'x {TOKEN}'")
            await r.until(lambda: r.notes)
            assert r.notes[0][2]["bytes"] == len(f"x {TOKEN}")
            assert r.notes[0][2]["sha256"] == hashlib.sha256(f"x {TOKEN}".encode()).hexdigest()
            assert (await r.sessions.read(session)).text == f"x {HIDDEN}"

    asyncio.run(main())


def test_letters_parted_by_colours_are_one_secret_to_the_reader(rig: Any) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            coloured = f"{TOKEN[:9]}\\033[1m{TOKEN[9:]}\\033[0m"
            session = await r.spawn(f"printf '{coloured} done\\n'; sleep 60")
            reading = await r.sessions.read(session, wait="done", timeout=60)
            assert not shows(reading.text)
            assert not shows(str((await session.screen())["lines"]))

    asyncio.run(main())


def test_switched_on_in_a_running_session(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            session = await r.spawn(f"echo {TOKEN} first; read x; echo {TOKEN} second; sleep 60")
            assert TOKEN in (await r.sessions.read(session, wait="first", timeout=60)).text
            r.settings["redaction.output"] = "on"
            again = await r.sessions.read(session, offset=0, quiet=0)
            assert not shows(again.text)
            await session.send("", submit=True, enforcement="none")
            assert not shows((await r.sessions.read(session, wait="second", timeout=60)).text)
            r.settings["redaction.output"] = "off"
            assert not shows((await r.sessions.read(session, offset=-30, quiet=0)).text)

    asyncio.run(main())


def test_without_the_rules_nothing_runs(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with rig(**ON) as r:
            monkeypatch.setitem(sys.modules, "relay_shell.secrets", None)
            with pytest.raises(RelayError, match="rules cannot be loaded"):
                await r.run("touch made")
            with pytest.raises(RelayError, match="rules cannot be loaded"):
                await r.spawn("touch made")

    asyncio.run(main())


def shows(text: str) -> bool:
    """Whether eight letters in a row of the secret can be seen."""
    body = TOKEN[4:]
    return any(body[at : at + 8] in text for at in range(len(body) - 7))
