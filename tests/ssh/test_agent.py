"""Keys that stay in a real ssh-agent, reached over a passed descriptor."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay_shell.ssh.agent import KeyAgent
from relay_shell.wire.errors import RelayError
from ssh.machines import Call, Site, route


def agent(site: Site) -> KeyAgent:
    import socket

    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(site.agent))
    return KeyAgent(sock.detach())


def asked(keys: KeyAgent, *wanted: str) -> list[Any]:
    async def main() -> list[Any]:
        try:
            return [await keys.pairs(word) for word in wanted or ("",)]
        finally:
            keys.close()

    return asyncio.run(main())


def test_key_is_found_by_fingerprint_and_by_comment(site: Site) -> None:
    line = subprocess.run(
        ["ssh-keygen", "-lf", site.key], capture_output=True, text=True, check=True
    ).stdout
    site.add_key(site.new_key("other"))
    every, by_print, by_comment = asked(agent(site), "", line.split()[1], "fleet")
    assert len(every) == 2
    assert [pair.public_data for pair in by_print] == [pair.public_data for pair in by_comment]
    assert len(by_print) == 1


def test_key_that_the_agent_lacks_is_said(site: Site) -> None:
    with pytest.raises(RelayError) as caught:
        asked(agent(site), "SHA256:none")
    assert caught.value.kind == "HostAuth" and "SHA256:none" in caught.value.message


def test_empty_agent_is_said(site: Site) -> None:
    env = os.environ | {"SSH_AUTH_SOCK": str(site.agent)}
    subprocess.run(["ssh-add", "-q", "-D"], check=True, env=env)
    with pytest.raises(RelayError) as caught:
        asked(agent(site))
    assert "empty" in caught.value.message


def test_keys_that_are_added_later_are_offered(site: Site) -> None:
    keys = agent(site)

    async def main() -> tuple[int, int]:
        try:
            before = len(await keys.pairs())
            site.add_key(site.new_key("later"))
            return before, len(await keys.pairs())
        finally:
            keys.close()

    assert asyncio.run(main()) == (1, 2)


def test_agent_that_has_ended_is_an_error_with_a_next_step(site: Site) -> None:
    keys = agent(site)
    site.started.kill()
    site.started.wait()

    async def main() -> list[str]:
        said = []
        for _ in range(2):
            with pytest.raises(RelayError) as caught:
                await keys.pairs()
            assert caught.value.kind == "Unavailable"
            assert "relay-shell-keys" in caught.value.next_step
            said.append(caught.value.message)
        keys.close()
        return said

    assert "does not answer" in asyncio.run(main())[0]


def test_without_an_agent_nothing_is_offered(site: Site) -> None:
    with pytest.raises(RelayError) as caught:
        asked(KeyAgent())
    assert caught.value.kind == "Unavailable"


def test_agent_of_the_account_serves_where_none_was_passed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(site.agent))
    assert len(asked(KeyAgent())[0]) == 1


def test_passed_agent_is_the_only_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command puts into the environment or into its home names no agent."""
    keys = agent(site)
    site.started.kill()
    site.started.wait()
    other = Site(site.place / "other") if (site.place / "other").mkdir() is None else site
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(other.agent))
        for _ in range(2):
            with pytest.raises(RelayError):
                asyncio.run(keys.pairs())
    finally:
        keys.close()
        other.close()


def test_signature_that_came_too_late_is_not_taken_for_the_next_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that asks a person, who answers when the call has long been given up."""
    ask = tmp_path / "ask"
    ask.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/asked\n"
        f"until [ -e {tmp_path}/answer ]; do sleep 0.05; done\nexit 0\n"
    )
    ask.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    site = Site(tmp_path)
    try:
        site.server("web1")
        env = os.environ | {"SSH_AUTH_SOCK": str(site.agent)}
        subprocess.run(["ssh-add", "-q", "-D"], check=True, env=env)
        subprocess.run(["ssh-add", "-q", "-c", site.key], check=True, env=env)

        async def main() -> str:
            async with site.fleet() as fleet:
                way = await route(fleet, "web1")
                given_up = asyncio.create_task(
                    fleet.run(way, "true", Call(), timeout=600, max_output=1000)
                )
                async with asyncio.timeout(60):
                    while not (tmp_path / "asked").exists():
                        await asyncio.sleep(0.01)
                # The attempt itself is given up, not only the call that waits for it.
                await fleet.pool.close()
                await asyncio.gather(given_up, return_exceptions=True)
                (tmp_path / "answer").touch()
                done = await fleet.run(way, "echo in", Call(), timeout=600, max_output=1000)
                return done.completed.stdout

        assert asyncio.run(main()) == "in\n"
    finally:
        site.close()
