"""Evidence: the audit file can only grow, has room, and the journal keeps its copy."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ...wire.errors import RelayError
from ..term import size
from .base import FAIL, OK, SKIP, WARN, Finding, Host

# linux/fs.h
FS_IOC_GETFLAGS = 0x80086601
FS_APPEND_FL = 0x20

JOURNAL_DROPPED = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h."""

ROOM_FAIL = 64 * 1024 * 1024
ROOM_WARN = 1024 * 1024 * 1024

OVERDUE = 3 * 86400
"""Seconds after which a verification that runs daily has been missed."""


def check(host: Host) -> Iterator[Finding]:
    """Look at the audit file, its file system, journald, and what the broker says of both."""
    audit = host.path(str(host.settings.get("paths.audit", "/var/log/relay-shell/audit.jsonl")))
    yield _append_only(host, audit)
    yield from _room(host, audit)
    yield _journald(host)
    yield _rotation(host)
    if host.live:
        yield from _dropped()
        yield from _broker(host)


def _append_only(host: Host, audit: Path) -> Finding:
    shown = host.shown(audit)
    try:
        handle = os.open(audit, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        return Finding("evidence", SKIP, shown, "cannot be read; run as root")
    except OSError as error:
        return Finding(
            "evidence",
            FAIL,
            shown,
            error.strerror or str(error),
            "systemd-tmpfiles --create /usr/lib/tmpfiles.d/relay-shell.conf",
        )
    flags = array.array("l", [0])
    try:
        fcntl.ioctl(handle, FS_IOC_GETFLAGS, flags, True)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        return Finding(
            "evidence",
            WARN,
            shown,
            "its file system has no append-only flag, so root can rewrite the file unnoticed "
            "but for the chain",
            "put /var/log/relay-shell on ext4, xfs or btrfs, and send the journal off the host",
        )
    finally:
        os.close(handle)
    if flags[0] & FS_APPEND_FL:
        return Finding("evidence", OK, shown, "append-only")
    return Finding("evidence", FAIL, shown, "append-only flag is lost", f"chattr +a {shown}")


def _room(host: Host, audit: Path) -> Iterator[Finding]:
    directory = audit.parent
    while not directory.exists():
        directory = directory.parent
    shown = host.shown(directory)
    state = os.statvfs(directory)
    yield judge_room(shown, state.f_bavail * state.f_frsize, state.f_favail, state.f_files)


def judge_room(shown: str, free: int, inodes: int, inodes_total: int) -> Finding:
    """Finding on the space that the audit has left; without any, no call runs."""
    text = f"{size(free)} free"
    fix = "free space there, or move the audit to a file system of its own"
    if free < ROOM_FAIL or (inodes_total and inodes < 16):
        return Finding("evidence", FAIL, shown, f"{text}: calls are about to be refused", fix)
    if free < ROOM_WARN:
        return Finding("evidence", WARN, shown, text, fix)
    return Finding("evidence", OK, shown, text)


def _journald(host: Host) -> Finding:
    """journald.conf(5): files in order of precedence, the last assignment wins."""
    storage = "auto"
    files = [host.path("/etc/systemd/journald.conf")]
    drop_ins: dict[str, Path] = {}
    for directory in ("/usr/lib", "/usr/local/lib", "/run", "/etc"):
        for path in host.path(f"{directory}/systemd/journald.conf.d").glob("*.conf"):
            drop_ins[path.name] = path
    for path in (*files, *(drop_ins[name] for name in sorted(drop_ins))):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "Storage":
                storage = value.strip() or "auto"
    persistent = host.path("/var/log/journal").is_dir()
    if storage == "none" or storage == "volatile" or (storage == "auto" and not persistent):
        return Finding(
            "journal",
            WARN,
            "journald",
            f"Storage={storage}: the journal's copy of the audit does not survive a restart",
            "set Storage=persistent in /etc/systemd/journald.conf.d/",
        )
    return Finding("journal", OK, "journald", f"Storage={storage}, kept on disk")


def _dropped() -> Iterator[Finding]:
    """What journald says that it dropped of the broker's entries, since the host started."""
    try:
        done = subprocess.run(
            ["journalctl", "--quiet", "--boot", "--output=cat", f"MESSAGE_ID={JOURNAL_DROPPED}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from judge_dropped(done.stdout)


def judge_dropped(said: str) -> Iterator[Finding]:
    """Finding on the messages of journald about what it dropped."""
    about = [line for line in said.splitlines() if line.endswith(" from relay-shell.service")]
    if about:
        yield Finding(
            "journal",
            FAIL,
            "journald",
            f"{about[-1]}, {len(about)} time(s): records are missing in the journal",
            "raise LogRateLimitBurst= of relay-shell.service",
        )


def _rotation(host: Host) -> Finding:
    path = host.path("/etc/logrotate.d/relay-shell")
    if path.exists():
        return Finding("evidence", OK, host.shown(path), "rotates the audit file")
    return Finding(
        "evidence",
        WARN,
        host.shown(path),
        "is not there: the audit file grows without end",
        "apt install --reinstall -o Dpkg::Options::=--force-confmiss relay-shell",
    )


def _broker(host: Host) -> Iterator[Finding]:
    from ..operator import Operator

    try:
        with Operator(host.operator_socket) as broker:
            status = broker.request("status")["status"]
    except RelayError as error:
        level = SKIP if error.kind == "PermissionDenied" else FAIL
        yield Finding("evidence", level, "broker", error.message, error.next_step)
        return
    yield judge_broker(status)
    yield judge_signing(status)
    yield judge_verified(status)


def judge_verified(status: dict[str, object], now: float | None = None) -> Finding:
    """Finding on what the last verification of the record found, and whether it is recent."""
    from ..status import verification

    found, since = status.get("verified"), status.get("since")
    now = time.time() if now is None else now
    late = "systemctl start relay-shell-verify.timer relay-shell-verify.service"
    if not isinstance(found, dict):
        if isinstance(since, (int, float)) and now - since > OVERDUE:
            return Finding("evidence", WARN, "verification", "never ran", late)
        return Finding("evidence", OK, "verification", "has not run yet")
    good, text = verification(found)
    if not good:
        return Finding("evidence", FAIL, "verification", text, "relay-shell audit verify")
    if now - float(found.get("at", 0)) > OVERDUE:
        return Finding("evidence", WARN, "verification", text, late)
    return Finding("evidence", OK, "verification", text)


def judge_signing(status: dict[str, object]) -> Finding:
    """Finding on whether the broker signs its checkpoints."""
    evidence = status.get("evidence")
    signing = evidence.get("signing") if isinstance(evidence, dict) else None
    if isinstance(signing, dict) and signing.get("state") == "ok":
        return Finding("evidence", OK, "checkpoints", f"signed by key {signing.get('key', '')}")
    why = signing.get("state") if isinstance(signing, dict) else "the broker says nothing of it"
    return Finding(
        "evidence",
        FAIL,
        "checkpoints",
        f"are not signed: {why}",
        "relay-shell audit key --create; systemctl restart relay-shell.service",
    )


def judge_broker(status: dict[str, object]) -> Finding:
    """Finding on the evidence as the broker reports it in its status."""
    from ..status import audit_health

    healthy, text = audit_health(status)
    if healthy:
        return Finding("evidence", OK, "broker", text)
    return Finding("evidence", FAIL, "broker", text, "journalctl -u relay-shell")
