"""The worker's unit with a shell script in its place: what a posture permits and limits."""

from __future__ import annotations

import itertools

from . import check_units
from .steps import Steps

_serial = itertools.count(1)


class Probe:
    """The worker's unit with a shell script in place of the program: the same sandbox."""

    def __init__(self, machine: Steps, posture: str) -> None:
        self.machine = machine
        check_units.use_posture(machine, posture)

    def start(self, name: str, script: str, settings: str = "") -> str:
        """Starts an instance that runs the script, with more settings; its unit name."""
        unit = f"relay-shell-worker@{name}.service"
        self.machine.write(f"/usr/local/lib/{name}.sh", script)
        self.machine.write(
            f"/run/systemd/system/{unit}.d/90-probe.conf",
            "[Service]\nType=exec\nWatchdogSec=0\nExecStart=\n"
            f"ExecStart=/bin/bash -eu /usr/local/lib/{name}.sh\n"
            # Opened by the service manager, outside of the sandbox.
            f"StandardOutput=truncate:/run/{name}.out\nStandardError=inherit\n{settings}",
        )
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", unit)
        return unit

    def run(self, script: str) -> str:
        """What the script prints, run to its end in an instance of its own."""
        name = f"probe{next(_serial)}"
        unit = self.start(name, script)
        self.machine.wait(f"! systemctl --quiet is-active {unit}", 600)
        return self.machine.read(f"/run/{name}.out").strip()
