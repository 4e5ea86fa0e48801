"""The rendered screen, whatever a program writes."""

from __future__ import annotations

import asyncio

from relay_shell.shell.ring import Ring
from relay_shell.shell.screen import Screen


def test_screen_takes_anything_and_goes_on() -> None:
    async def main() -> None:
        ring = Ring(100_000)
        screen = Screen(5, 20)
        for hostile in (
            b"\x1b[999999999;999999999H",
            b"\x1b[1;2;3;4;5;6;7;8;9c\x1b[?1;2;3h",
            b"\x1b[" + b"9" * 5000 + b"A",
            b"\x1b[>1;2c\x1b[=5u\x1b[0;0;0r\x1b[-1K",
            bytes(range(256)) * 4,
        ):
            ring.append(hostile)
            await screen.look(ring, 5, 20)
        ring.append(b"\x18\x1b\\\x07\x1bc\x1b[2J\x1b[Hstill here")
        facts = await screen.look(ring, 5, 20)
        assert facts["lines"] == ["still here"]

    asyncio.run(main())


def test_screen_that_lost_its_past_starts_afresh() -> None:
    async def main() -> None:
        ring = Ring(50)
        screen = Screen(3, 30)
        ring.append(b"first picture")
        assert (await screen.look(ring, 3, 30))["lines"] == ["first picture"]
        ring.append(b"x" * 500 + b"\x1b[2J\x1b[Hnew")
        assert (await screen.look(ring, 3, 30))["lines"] == ["new"]

    asyncio.run(main())
