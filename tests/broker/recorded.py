"""Sessions whose recordings a broker writes: the worker's own parts, on a real link."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from broker.office import Body, Office
from relay_shell.evidence import cast
from relay_shell.shell import confine
from relay_shell.shell.children import Children
from relay_shell.shell.confined import Enforcer
from relay_shell.shell.environment import Account
from relay_shell.shell.session import Session
from relay_shell.shell.sessions import SessionTable
from relay_shell.worker.broker import BrokerLink


class Call:
    """A call as far as a session needs one."""

    enforcement = "none"

    def __init__(self, ident: str) -> None:
        self.id = ident


class Recorded:
    """One worker with its sessions."""

    def __init__(self, office: Office, link: BrokerLink, hello: Body, conn: str) -> None:
        self.office = office
        self.link = link
        self.worker = hello["worker"]
        self.conn = conn
        self.settings: dict[str, Any] = dict(hello["settings"])
        self.children = Children(None)
        account = Account()
        account.prepare()
        enforcer = Enforcer(account, self.settings)
        self.sessions = SessionTable(
            self.worker,
            self.children,
            account,
            self.settings,
            enforcer,
            link.note,
            lambda: None,
            link.request,
        )
        self.calls = 0

    async def spawn(self, *argv: str, rows: int = 24, columns: int = 80) -> Session:
        """Start a program under a call of its own."""
        self.calls += 1
        call = f"k-{self.calls}"
        body = {"call": call, "conn": self.conn, "tool": "shell_spawn", "args": {"argv": [*argv]}}
        assert (await self.link.request("begin", body))["decision"] == "allow"
        try:
            return await self.sessions.spawn(
                argv,
                call=Call(call),
                cwd=None,
                env={"PS1": "ready> ", "HISTFILE": ""},
                rows=rows,
                columns=columns,
                title=" ".join(argv),
            )
        finally:
            await self.link.end({"call": call, "status": "ok", "duration_ms": 1})

    async def saw(self, session: Session, pattern: str) -> None:
        """Wait until new output, however much, has the pattern."""
        async with asyncio.timeout(60):
            while True:
                found = re.search(pattern.encode(), session.ring.read(session.cursor))
                if found is not None:
                    break
                await session.wait(1)
        session.cursor = max(session.cursor, session.ring.start) + found.end()


@contextlib.asynccontextmanager
async def recorded(office: Office) -> AsyncIterator[Recorded]:
    """A worker that has said hello; its sessions end with the block."""
    confine.adopt_orphans()
    front = await office.front()
    conn = (await office.connect(front))["conn"]
    ticket = (await front.ask("ticket", {"conn": conn}))["ticket"]
    link = BrokerLink(
        office.dial,
        running=list,
        wait=lambda: 30.0,
        notices={"stop": print, "abort": print, "settings": print},
        lost=print,
    )
    made = Recorded(office, link, await link.hello(ticket), conn)
    try:
        yield made
    finally:
        await made.sessions.close()
        await link.close(0)
        made.children.close()


def told(office: Office, what: str = "recording") -> list[Body]:
    """What the record says of recordings."""
    return office.records("session", what=what)


def checked(record: Body) -> tuple[dict[str, Any], list[cast.Event]]:
    """Header and events of a recording whose file is what the record says."""
    facts = record["facts"]["recording"]
    data = Path(facts["path"]).read_bytes()[: facts["bytes"]]
    assert len(data) == facts["bytes"]
    assert hashlib.sha256(data).hexdigest() == facts["sha256"]
    with Path(facts["path"]).open("rb") as file:
        header = cast.read_header(file)
        return header, list(cast.read_events(file))


def text(events: list[cast.Event], code: str = "o") -> str:
    """What events of one kind hold, together."""
    return "".join(event.text for event in events if event.code == code)


async def eventually(office: Office, what: str = "recording", count: int = 1) -> list[Body]:
    """The records, once there are so many."""
    async with asyncio.timeout(60):
        while len(found := told(office, what)) < count:
            await asyncio.sleep(0.02)
    return found
