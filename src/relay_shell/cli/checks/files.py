"""Files: what runs and what configures is root's alone; what is packaged is unchanged."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .base import FAIL, OK, SKIP, Finding, Host

CODE = ("/usr/lib/relay-shell", "/usr/share/relay-shell", "/usr/bin/relay-shell")
CONFIGURATION = ("/etc/relay-shell",)
TMPFILES = "/usr/lib/tmpfiles.d/relay-shell.conf"
SHOWN = 5
"""How many offending files are named; the rest is counted."""


def check(host: Host) -> Iterator[Finding]:
    """Look at code, configuration and the directories that tmpfiles.d declares."""
    for name in CODE + CONFIGURATION:
        yield _tree(host, host.path(name))
    yield from _tmpfiles(host)
    if host.live:
        yield from _package()


def _tree(host: Host, top: Path) -> Finding:
    shown = host.shown(top)
    if not top.exists():
        return Finding("files", SKIP, shown, "is not there (not installed from the package?)")
    bad = []
    count = 0
    for path in _walk(top):
        count += 1
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            continue
        if status.st_uid != 0:
            bad.append(f"{host.shown(path)} belongs to uid {status.st_uid}")
        elif status.st_mode & 0o022:
            bad.append(f"{host.shown(path)} has mode {stat.S_IMODE(status.st_mode):04o}")
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        return Finding(
            "files",
            FAIL,
            shown,
            f"can be changed by others than root: {'; '.join(bad[:SHOWN])}{more}",
            f"chown -R root:root {shown}; chmod -R go-w {shown}",
        )
    return Finding("files", OK, shown, f"{count} entries, root's alone")


def _walk(top: Path) -> Iterator[Path]:
    yield top
    if top.is_dir():
        for directory, names, files in os.walk(top):
            for name in (*names, *files):
                yield Path(directory, name)


def _tmpfiles(host: Host) -> Iterator[Finding]:
    """Compare each path with its line in tmpfiles.d(5)."""
    source = host.path(TMPFILES)
    try:
        lines = source.read_text().splitlines()
    except OSError as error:
        yield Finding("files", SKIP, TMPFILES, error.strerror or str(error))
        return
    for line in lines:
        words = line.split()
        if len(words) < 5 or words[0][0] not in "df" or words[2] == "-":
            continue
        kind, name, mode, owner, group = words[:5]
        yield _declared(host, kind[0], name, int(mode, 8), owner, group)


def _declared(host: Host, kind: str, name: str, mode: int, owner: str, group: str) -> Finding:
    fix = f"systemd-tmpfiles --create {TMPFILES}"
    try:
        status = host.path(name).lstat()
    except PermissionError:
        return Finding("files", SKIP, name, "cannot be seen; run as root")
    except OSError as error:
        return Finding("files", FAIL, name, error.strerror or str(error), fix)
    if kind != ("d" if stat.S_ISDIR(status.st_mode) else "f"):
        return Finding("files", FAIL, name, "is of another type than declared", f"rm it; {fix}")
    try:
        wanted_ids = (pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    except KeyError as error:
        return Finding("files", SKIP, name, f"account missing: {error.args[0]}")
    found = stat.S_IMODE(status.st_mode)
    # With an ACL the group bits are its mask (acl(5)), so they may exceed what was declared.
    masked = found & ~0o070 if _has_acl(host.path(name)) else found
    expected = mode & ~0o070 if masked != found else mode
    if masked != expected or (status.st_uid, status.st_gid) != wanted_ids:
        return Finding(
            "files",
            FAIL,
            name,
            f"is {found:04o} {status.st_uid}:{status.st_gid}, declared as {mode:04o} "
            f"{owner}:{group}",
            fix,
        )
    return Finding("files", OK, name, f"{found:04o} {owner}:{group}")


def _has_acl(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "system.posix_acl_access", follow_symlinks=False))
    except OSError:
        return False


def _package() -> Iterator[Finding]:
    """Let dpkg compare its checksums."""
    if shutil.which("dpkg") is None:
        yield Finding("package", SKIP, "dpkg", "is not installed")
        return
    done = subprocess.run(
        ["dpkg", "--verify", "relay-shell"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    if "is not installed" in done.stderr:
        yield Finding("package", SKIP, "relay-shell", "is not installed as a package")
        return
    yield from judge_verify(done.stdout)


def judge_verify(output: str) -> Iterator[Finding]:
    """Findings from what `dpkg --verify` prints; a conffile may differ."""
    changed = []
    for line in output.splitlines():
        flags, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.startswith("c "):
            continue
        changed.append(rest + (" (missing)" if flags == "missing" else ""))
    if changed:
        yield Finding(
            "package",
            FAIL,
            "relay-shell",
            f"files differ from the package: {', '.join(changed[:SHOWN])}",
            "apt install --reinstall relay-shell",
        )
    else:
        yield Finding("package", OK, "relay-shell", "files are those of the package")
