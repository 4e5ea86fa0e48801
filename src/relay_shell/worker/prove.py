"""What a posture claims of a command, tried in the sandbox of a worker unit.

Started by `relay-shell posture prove` in an instance of the worker's own unit, in place of the
worker. It enters the domain that a worker enters, makes every attempt, and prints one JSON object.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..shell import confine
from ..shell.cgroup import Groups
from ..wire.errors import RelayError
from . import attempts as try_to
from .worker import UNCONFINED

_STRUCTURAL = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EISDIR)


class Claim(NamedTuple):
    """One row: what is tried, and whether each posture refuses it.

    A posture that claims nothing has None: the attempt is made and shown all the same.
    """

    what: str
    attempt: try_to.Attempt
    scoped: str | None
    privileged: str | None


NO, YES = "refused", "permitted"


def claims(front: int, broker: int, neighbour: int, unit: str) -> list[Claim]:
    """The table of claims.

    Args:
        front, broker: process ids of the services; 0 where they do not run.
        neighbour: a process of the same account outside this domain, as another agent's would be.
        unit: directory of the unit's cgroup.
    """
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    packets = socket.SOCK_SEQPACKET
    services = [(front, "front"), (broker, "broker")]
    return [
        Claim("become root", try_to.become_root, NO, YES),
        Claim("gain privilege by a set-user-ID program", try_to.gain_by_program, NO, YES),
        Claim("have a capability", try_to.any_capability, NO, YES),
        Claim("write to /etc", try_to.create_in("/etc"), NO, YES),
        Claim("write to /usr or /boot", try_to.create_in("/usr", "/boot"), NO, YES),
        Claim("write to /var", try_to.create_in("/var", "/var/lib", "/var/cache"), NO, YES),
        Claim("write to /run or /dev", try_to.create_in("/run", "/run/lock", "/dev"), NO, None),
        Claim("write to home directories", try_to.create_in("/root", "/home"), NO, YES),
        Claim("keep files in /tmp", try_to.create_in("/tmp"), YES, YES),  # noqa: S108
        Claim(
            "change settings of relay-shell",
            try_to.create_in(
                "/etc/relay-shell", "/etc/systemd/system/relay-shell-worker@.service.d"
            ),
            NO,
            NO,
        ),
        Claim("change programs of relay-shell", try_to.create_in("/usr/lib/relay-shell"), NO, NO),
        Claim("read the record", try_to.read("/var/log/relay-shell"), NO, NO),
        Claim("read the broker's state", try_to.read("/var/lib/relay-shell-broker"), NO, NO),
        Claim("read relay-shell's secrets", try_to.read("/etc/relay-shell/secrets"), NO, NO),
        Claim("read SSH keys", try_to.read("/etc/relay-shell/keys"), NO, NO),
        Claim(
            "use SSH keys without a tool",
            try_to.connect_to("/run/relay-shell-keys/agent.sock", stream),
            NO,
            NO,
        ),
        Claim("read credentials of units", try_to.read("/run/credentials"), NO, NO),
        Claim(
            "act as an operator",
            try_to.connect_to("/run/relay-shell/operator.sock", packets),
            NO,
            NO,
        ),
        Claim(
            "write journal entries with own fields",
            try_to.connect_to("/run/systemd/journal/socket", datagram),
            NO,
            None,
        ),
        Claim("lift an append-only flag", try_to.capability(9), NO, NO),
        Claim("load a kernel module", try_to.load_module, NO, NO),
        Claim("load a BPF program", try_to.load_program, NO, None),
        Claim("reach hardware ports", try_to.capability(17), NO, NO),
        Claim("change the kernel's audit", try_to.capability(30), NO, NO),
        Claim("mount a file system", try_to.mount, NO, YES),
        Claim("make a user namespace", try_to.new_user_namespace, NO, None),
        Claim(
            "change kernel settings", try_to.open_for_writing("/proc/sys/kernel/panic"), NO, None
        ),
        Claim("set the clock", try_to.set_clock, NO, None),
        Claim("set the host's name", try_to.set_hostname, NO, None),
        Claim("reboot", try_to.reboot, NO, None),
        Claim("read the kernel's log", try_to.kernel_log, NO, None),
        Claim("open a packet socket", try_to.raw_packets, NO, YES),
        Claim("use the network", try_to.internet, YES, YES),
        Claim("see processes of the host", try_to.read("/proc/1/stat"), YES, YES),
        Claim("trace process 1", try_to.trace(1), NO, None),
        *(
            Claim(f"signal the {name}", try_to.signal_to(pid), NO, None)
            for pid, name in services
            if pid
        ),
        Claim("signal another agent", try_to.signal_to(neighbour), NO, None),
        Claim("set limits of another agent", try_to.limit(neighbour), NO, None),
        Claim("trace another agent", try_to.trace(neighbour), NO, None),
        Claim("read another agent's memory", try_to.opened(f"/proc/{neighbour}/mem"), NO, None),
        Claim(
            "read another agent's environment", try_to.read(f"/proc/{neighbour}/environ"), NO, None
        ),
        Claim(
            "leave the unit's cgroup", try_to.open_for_writing(f"{unit}/../cgroup.procs"), NO, None
        ),
        Claim("raise the unit's limits", try_to.open_for_writing(f"{unit}/pids.max"), NO, None),
        Claim("use all memory of the host", try_to.exceed(f"{unit}/memory.max"), NO, NO),
        Claim("use all processes of the host", try_to.exceed(f"{unit}/pids.max"), NO, NO),
        Claim(
            "talk to the system's message bus",
            try_to.connect_to("/run/dbus/system_bus_socket", stream),
            None,
            None,
        ),
    ]


def outcome(attempt: try_to.Attempt) -> tuple[str, str]:
    """Make an attempt in a child; "refused", "permitted" or "unknown", and what it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            said = "+" + attempt()
        except FileNotFoundError as error:
            said = f"-{error.filename or 'it'} is not there"
        except OSError as error:
            said = ("?" if error.errno in _STRUCTURAL else "-") + str(error.strerror)
        except BaseException as error:
            said = f"?{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    kinds = {"+": YES, "-": NO}
    return kinds.get(text[:1], "unknown"), text[1:] or "the attempt did not end"


def tried(claim: Claim) -> tuple[str, str]:
    """An attempt's outcome; a limit that the kernel does not keep is neither."""
    result, said = outcome(claim.attempt)
    if claim.what.startswith("use all") and said.endswith("is not there"):
        return "unknown", "this kernel gives the unit no such controller"
    return result, said


def prove(posture: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Enter a worker's domain, make every attempt, and return the report.

    Raises:
        RelayError: the domain cannot be entered.
    """
    groups = Groups.find()
    neighbour, lifeline = _neighbour()
    try:
        confine.undumpable()
        if posture not in UNCONFINED:
            confine.enter(groups)
        table = claims(
            int(environ.get("RELAY_SHELL_PROVE_FRONT", "0")),
            int(environ.get("RELAY_SHELL_PROVE_BROKER", "0")),
            neighbour,
            groups.base if groups else "/sys/fs/cgroup",
        )
        rows = []
        for claim in table:
            result, said = tried(claim)
            expected = getattr(claim, posture)
            held = None if expected is None else result == expected
            rows.append(
                {
                    "what": claim.what,
                    "claimed": expected,
                    "observed": result,
                    "detail": said,
                    "held": held,
                }
            )
    finally:
        # Not by a signal: the domain refuses it, as it should.
        os.close(lifeline)
        os.waitpid(neighbour, 0)
    return {"posture": posture, "uid": os.getuid(), "claims": rows}


def _neighbour() -> tuple[int, int]:
    """A process of the same account that stays outside of the domain, and what keeps it alive.

    It ends with this process, or when the descriptor is closed.
    """
    reader, lifeline = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(lifeline)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    return child, lifeline


def main(argv: list[str] | None = None) -> int:
    """Print the report; the status is 0 if there is one, whatever it says."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0] not in Claim._fields[2:]:
        print("relay-shell-prove: started by 'relay-shell posture prove'", file=sys.stderr)
        return 64
    try:
        report = prove(arguments[0], os.environ)
    except RelayError as error:
        print(json.dumps({"error": str(error)}))
        return 0
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
