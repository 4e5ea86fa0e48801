"""Units: as shipped, loaded, listening, with the limits that the audit relies on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ...wire.errors import RelayError
from .. import posture, systemctl
from .base import FAIL, OK, SERVICES, SKIP, SOCKETS, WARN, Finding, Host

SHIPPED = ("/usr/lib/systemd/system/", "/lib/systemd/system/")
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "TriggerLimitIntervalUSec",
    "Listen",
    "SocketMode",
    "SocketUser",
    "SocketGroup",
    "LogRateLimitIntervalUSec",
    "LogRateLimitBurst",
)
BURST = 100_000
"""Journal messages an interval that a busy host reaches; below, records are dropped silently."""


def check(host: Host) -> Iterator[Finding]:
    """Look at every unit of the package."""
    yield from _posture(host)
    if not host.live or not systemctl.available():
        yield Finding("units", SKIP, "units", "no systemd is running here")
        return
    for unit in (*SOCKETS, *SERVICES, posture.PROBE):
        try:
            values = systemctl.show(unit, PROPERTIES)
        except RelayError as error:
            yield Finding("units", SKIP, unit, error.message)
            continue
        name = posture.TEMPLATE if unit == posture.PROBE else unit
        yield from judge(name, values)
        if unit in SOCKETS and values.get("ActiveState") == "active":
            yield from _socket_file(unit, values)


def judge(unit: str, values: dict[str, str]) -> Iterator[Finding]:
    """Findings on one unit from its properties as `systemctl show` prints them."""
    if values.get("LoadState") != "loaded":
        yield Finding(
            "units",
            FAIL,
            unit,
            f"not loaded ({values.get('LoadState', 'unknown')})",
            "apt install --reinstall relay-shell",
        )
        return
    sound = True
    for finding in (
        _shipped(unit, values),
        _reload(unit, values),
        _active(unit, values),
        _trigger(unit, values),
        _rate(unit, values),
    ):
        if finding is not None:
            sound = False
            yield finding
    if sound:
        yield Finding("units", OK, unit, _state(values))


def _state(values: dict[str, str]) -> str:
    words = (values.get("UnitFileState", ""), values.get("ActiveState", ""))
    return ", ".join(word for word in words if word)


def _shipped(unit: str, values: dict[str, str]) -> Finding | None:
    fragment = values.get("FragmentPath", "")
    if not fragment.startswith(SHIPPED):
        return Finding(
            "units",
            FAIL,
            unit,
            f"replaced by {fragment or 'nothing on disk'}",
            f"systemctl revert {unit}",
        )
    extra = [
        path
        for path in values.get("DropInPaths", "").split()
        if not path.startswith("/usr/lib/") and path != f"/{posture.DROP_IN}"
    ]
    if extra:
        return Finding(
            "units",
            WARN,
            unit,
            f"overridden by {' '.join(extra)}",
            f"read it with 'systemctl cat {unit}'; 'systemctl revert {unit}' removes it",
        )
    return None


def _reload(unit: str, values: dict[str, str]) -> Finding | None:
    if values.get("NeedDaemonReload") != "yes":
        return None
    return Finding(
        "units", WARN, unit, "changed on disk since it was loaded", "systemctl daemon-reload"
    )


def _active(unit: str, values: dict[str, str]) -> Finding | None:
    state = values.get("ActiveState", "")
    if state == "failed" or values.get("SubState") == "auto-restart":
        return Finding(
            "units",
            FAIL,
            unit,
            "failed" if state == "failed" else "fails, and is started again and again",
            f"journalctl -u {unit}; then systemctl reset-failed {unit}; systemctl restart {unit}",
        )
    if unit in SOCKETS and state != "active":
        return Finding(
            "units",
            WARN,
            unit,
            f"does not listen ({state or 'unknown'})",
            "systemctl enable --now relay-shell.socket",
        )
    if unit == SOCKETS[0] and values.get("UnitFileState") == "disabled":
        return Finding(
            "units",
            WARN,
            unit,
            "listens, but not after the next start of the host",
            f"systemctl enable {unit}",
        )
    return None


def _trigger(unit: str, values: dict[str, str]) -> Finding | None:
    if unit not in SOCKETS or values.get("TriggerLimitIntervalUSec", "0") == "0":
        return None
    return Finding(
        "units",
        FAIL,
        unit,
        f"has a trigger limit ({values['TriggerLimitIntervalUSec']}): "
        "any local user who may connect can make it fail for good",
        "set TriggerLimitIntervalSec=0",
    )


def _rate(unit: str, values: dict[str, str]) -> Finding | None:
    if unit != SERVICES[0]:
        return None
    interval = values.get("LogRateLimitIntervalUSec", "0")
    burst = values.get("LogRateLimitBurst", "0")
    # systemd.exec(5): 0 is "unset", so journald's own limit (10000 in 30 s) would apply.
    if interval != "0" and burst.isdecimal() and int(burst) >= BURST:
        return None
    return Finding(
        "journal",
        FAIL,
        unit,
        f"rate limit of the journal is {burst} in {interval}: records would be dropped silently",
        "set LogRateLimitIntervalSec=1s and LogRateLimitBurst=1000000",
    )


def _posture(host: Host) -> Iterator[Finding]:
    try:
        name = posture.current(host.root)
    except (RelayError, OSError) as error:
        yield Finding("posture", SKIP, posture.TEMPLATE, str(error))
        return
    if name == "edited":
        yield Finding(
            "posture",
            FAIL,
            posture.TEMPLATE,
            "the posture drop-in was edited",
            "relay-shell posture diff; then relay-shell posture set NAME",
        )
    else:
        yield Finding("posture", OK, posture.TEMPLATE, name)


def _socket_file(unit: str, values: dict[str, str]) -> Iterator[Finding]:
    """The socket's node must be as its unit says; a chmod by hand is seen by nobody else."""
    import grp
    import pwd

    path = values.get("Listen", "").partition(" ")[0]
    try:
        status = os.lstat(path)
        owner = pwd.getpwuid(status.st_uid).pw_name
        group = grp.getgrgid(status.st_gid).gr_name
    except (OSError, KeyError) as error:
        yield Finding(
            "sockets", FAIL, path or unit, f"is not there ({error})", f"systemctl restart {unit}"
        )
        return
    found = f"{stat.S_IMODE(status.st_mode):04o} {owner}:{group}"
    wanted = (
        f"{values.get('SocketMode', '0666')} "
        f"{values.get('SocketUser') or 'root'}:{values.get('SocketGroup') or 'root'}"
    )
    if not stat.S_ISSOCK(status.st_mode) or found != wanted:
        yield Finding(
            "sockets",
            FAIL,
            path,
            f"is {found}, its unit says {wanted}",
            f"systemctl restart {unit}",
        )
    else:
        yield Finding("sockets", OK, path, found)
