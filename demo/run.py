#!/usr/bin/env python3
"""Boots a throwaway Debian 13, installs the package with apt, holds an MCP conversation through
`relay-shell connect`, and shows the audit trail. Run by `make demo`; needs root.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "tests"))

from appliance import package  # noqa: E402
from appliance.machine import Machine, rootfs  # noqa: E402


def step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """The exit status; 124 if it takes longer, as timeout(1) would say."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return 124


def main() -> int:
    step("build the package")
    deb = package.deb()
    print(deb.name)

    step("boot a Debian 13 in a network of its own")
    with Machine([rootfs("machine")]) as machine:
        print(machine.shell('. /etc/os-release; echo "$PRETTY_NAME, systemd $(systemctl --version '
                            "| sed -n '1s/systemd \\([0-9]*\\).*/\\1/p')\""))  # fmt: skip

        step(f"apt install ./{deb.name}")
        print("\n".join(package.install(machine).splitlines()[-6:]))

        step("systemctl enable --now relay-shell.socket; adduser alice relay-shell-access")
        machine.add_user("alice", "relay-shell-access")
        print(machine.run("systemctl", "enable", "--now", "relay-shell.socket").stderr.rstrip())
        machine.put(TREE / "demo/conversation.py", "/usr/local/bin/conversation")

        step("alice's agent: a conversation over `relay-shell connect`")
        # The client's SDK is the one in the package: the machine has no other.
        bundle = {"PYTHONPATH": "/usr/lib/relay-shell/vendor"}
        talk = machine.popen("python3", "/usr/local/bin/conversation", user="alice", env=bundle)
        units = ""
        while talk.poll() is None and not units:
            # A worker's unit is there while its agent is.
            units = machine.out("systemctl", "list-units", "--no-legend", "relay-shell-worker@*")
        held = wait(talk, 120)

        step("systemctl list-units 'relay-shell-worker@*', meanwhile")
        print(units)

        step("journalctl -u relay-shell")
        machine.run("journalctl", "--sync")
        trail = machine.out("journalctl", "--unit=relay-shell", "--output=cat", "--no-pager")
        print(trail)
        if held or not trail:
            print(machine.out("journalctl", "--no-pager", "--unit=relay-shell*"))
            print("the demonstration failed", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
