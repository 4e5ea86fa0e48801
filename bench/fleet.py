"""Commands on other machines: a call, and a fan-out to a hundred next to the slowest of them.

    python -m bench.fleet [--hosts N]

The machines are names of four SSH servers on this host, in processes of their own: both ends of
every connection share its processors.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# In place of this directory, where a module of this name would hide the package of helpers.
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]

from relay_shell.ssh.fleet import Fleet  # noqa: E402
from relay_shell.tools import ssh_fanout  # noqa: E402
from ssh.machines import Call, Site, route  # noqa: E402

SERVERS = 4
SLOW = 5
"""Seconds that the slowest machine takes."""


class Asked(Call):
    """A call of ssh_fanout."""

    def __init__(self, site: Site, fleet: Fleet) -> None:
        super().__init__()
        self.services = argparse.Namespace(settings=site.settings, ssh=fleet)
        self.remote: list[dict[str, Any]] = []
        self.reached: Any = None


async def fan_out(site: Site, fleet: Fleet, command: str) -> float:
    """Seconds of one fan-out to all; each must end well."""
    call = Asked(site, fleet)
    call.reached = await fleet.reach(["h*"])
    began = time.perf_counter()
    result = await ssh_fanout.handle(call, {"command": command, "timeout": 300})  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    if result.facts["ok"] != result.facts["total"]:
        raise SystemExit(f"not all ended well: {result.facts['failures'][:3]}")
    return seconds


async def measure(site: Site, hosts: int) -> None:
    """Print the figures."""
    async with site.fleet(**{"limits.fanout": hosts}) as fleet:
        print(f"fan-out to {hosts}, first contact: {await fan_out(site, fleet, 'true'):.2f} s")
        rest = [await fan_out(site, fleet, "true") for _ in range(5)]
        print(f"fan-out to {hosts}, connected: {statistics.median(rest):.2f} s")
        # The first that asks is slow: the directory can be made once.
        slow = f"mkdir {site.place}/slow 2>/dev/null"
        seconds = await fan_out(site, fleet, f"{slow} && sleep {SLOW}; true")
        ratio = seconds / SLOW
        print(f"fan-out to {hosts}, one of them takes {SLOW} s: {seconds:.2f} s, {ratio:.2f} x")
        way = await route(fleet, "h0")
        times = []
        for _ in range(100):
            began = time.perf_counter()
            await fleet.run(way, "true", Call(), timeout=60, max_output=1000)
            times.append((time.perf_counter() - began) * 1000)
        median = statistics.median(times)
        print(f"one command, connected: {min(times):.1f} ms least, {median:.1f} ms median")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=100)
    hosts: int = parser.parse_args().hosts
    with tempfile.TemporaryDirectory(prefix="relay-shell-bench-") as name:
        site = Site(Path(name))
        try:
            for number in range(SERVERS):
                site.server(f"s{number}")
            rows = [site.inventory[f"s{number}"] for number in range(SERVERS)]
            for number in range(hosts):
                site.inventory[f"h{number}"] = {
                    **rows[number % SERVERS],
                    "description": str(number),
                }
            site.write()
            asyncio.run(measure(site, hosts))
        finally:
            site.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
