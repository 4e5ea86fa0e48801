"""Software: interpreter, modules, and one version of this program everywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, util

from ... import __version__
from ...wire.errors import RelayError
from .base import FAIL, OK, SKIP, WARN, Finding, Host

MODULES: tuple[tuple[str, str, str, str], ...] = (
    # module, distribution, Debian package, what for
    ("uvloop", "uvloop", "python3-uvloop", "event loop"),
    ("re2", "google-re2", "python3-re2", "patterns in linear time"),
    ("pyte", "pyte", "python3-pyte", "terminal screens"),
    ("asyncssh", "asyncssh", "python3-asyncssh", "SSH"),
    ("mcp", "mcp", "relay-shell", "MCP"),
)


def check(host: Host) -> Iterator[Finding]:
    """Look at what this interpreter finds."""
    if not host.live:
        return
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("software", OK, "python", version)
    for module, distribution, package, purpose in MODULES:
        yield _module(module, distribution, package, purpose)
    yield from _versions(host)


def _module(module: str, distribution: str, package: str, purpose: str) -> Finding:
    if util.find_spec(module) is None:
        return Finding(
            "software", FAIL, module, f"is not installed ({purpose})", f"apt install {package}"
        )
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        version = "installed"
    return Finding("software", OK, module, version)


def _versions(host: Host) -> Iterator[Finding]:
    installed = _dpkg_version()
    if installed and not _same(installed, __version__):
        yield Finding(
            "software",
            FAIL,
            "relay-shell",
            f"package is {installed}, the program says {__version__}",
            "apt install --reinstall relay-shell",
        )
    else:
        yield Finding("software", OK, "relay-shell", installed or f"{__version__}, no package")
    from ..operator import Operator

    try:
        with Operator(host.operator_socket) as broker:
            running = str(broker.broker["program"])
    except RelayError as error:
        status = FAIL if error.kind == "VersionMismatch" else SKIP
        yield Finding("software", status, "broker", error.message, error.next_step)
        return
    if running.rpartition(" ")[2] != __version__:
        yield Finding(
            "software",
            WARN,
            "broker",
            f"runs {running}, installed is {__version__}",
            "systemctl restart relay-shell relay-shell-front relay-shell-observer",
        )
    else:
        yield Finding("software", OK, "broker", f"runs {running}")


def _dpkg_version() -> str:
    if shutil.which("dpkg-query") is None:
        return ""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", "relay-shell"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    status, _, version = done.stdout.strip().partition("  ")
    return version if status.startswith("ii") else ""


def _same(debian: str, upstream: str) -> bool:
    """Whether a Debian version (deb-version(7)) is of that upstream version."""
    own = debian.partition(":")[2] or debian
    own = own.rpartition("-")[0] or own
    return own == upstream or own.startswith((f"{upstream}~", f"{upstream}+"))
