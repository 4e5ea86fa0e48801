"""`relay-shell posture`: which privileges new worker units get.

A posture is a drop-in for relay-shell-worker@.service, shipped as a file and copied as it is, so
that what is in force can be compared byte by byte with what the package holds.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
from pathlib import Path

from ..wire.errors import RelayError
from . import systemctl
from .install import replace
from .parser import Subparsers, add_json
from .term import Style

DESCRIPTION = """\
A posture says what worker units may do. 'scoped', the default, is an unprivileged account;
'privileged' is root behind a fence around the evidence. relay-shell(7) compares them."""

POSTURES = "usr/share/relay-shell/postures"
TEMPLATE = "relay-shell-worker@.service"
DROP_IN = f"etc/systemd/system/{TEMPLATE}.d/50-posture.conf"
DEFAULT = "scoped"

# An instance name that no socket makes: asking systemd about it loads the template's settings
# and starts nothing.
PROBE = "relay-shell-worker@posture.service"

SHOWN = (
    "User",
    "Group",
    "SupplementaryGroups",
    "NoNewPrivileges",
    "CapabilityBoundingSet",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateIPC",
    "ProtectProc",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictNamespaces",
    "RestrictSUIDSGID",
    "RestrictAddressFamilies",
    "InaccessiblePaths",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "MemoryMax",
    "TasksMax",
    "CPUWeight",
    "OOMPolicy",
    "Slice",
    "FragmentPath",
    "DropInPaths",
)


SPARE = "spare:"
"""How the status of a worker begins that belongs to no agent yet; see `worker.worker.SPARE`."""


def available(root: Path) -> dict[str, Path]:
    """Names and files of the postures that the package ships."""
    found = {path.stem: path for path in sorted((root / POSTURES).glob("*.conf"))}
    if not found:
        missing = RelayError("NotFound", reason=f"no postures in {root / POSTURES}")
        missing.next_step = "They come with the package: 'apt install --reinstall relay-shell'."
        raise missing
    return found


def current(root: Path) -> str:
    """Name of the posture in force for new workers; `edited` if the drop-in is nobody's."""
    try:
        installed = (root / DROP_IN).read_bytes()
    except FileNotFoundError:
        return DEFAULT
    for name, path in available(root).items():
        if path.read_bytes() == installed:
            return name
    return "edited"


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("posture", description=DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the posture and the effective unit settings")
    add_json(show)
    setter = actions.add_parser("set", help="install a posture for workers that start from now on")
    setter.add_argument(
        "posture", metavar="NAME", help="scoped, privileged, or another shipped one"
    )
    diff = actions.add_parser("diff", help="compare what is installed with a shipped posture")
    diff.add_argument(
        "posture", metavar="NAME", nargs="?", help="default: the one that looks most alike"
    )
    proof = actions.add_parser(
        "prove", help="try what the posture refuses, in a worker unit, and print what happened"
    )
    add_json(proof)
    for action in (show, setter, diff):
        action.add_argument(
            "--root", metavar="DIR", help="work on the system below DIR, without its manager"
        )


def run(args: argparse.Namespace) -> int:
    """Show, set, compare or prove."""
    if args.action == "prove":
        from . import proof

        return proof.run(args, current(Path("/")))
    root = Path(args.root or "/")
    actions = {"show": _show, "set": _set, "diff": _diff}
    return actions[args.action](args, root)


def _show(args: argparse.Namespace, root: Path) -> int:
    shipped = list(available(root))
    name = current(root)
    settings: dict[str, str] = {}
    live: list[str] = []
    if args.root is None and systemctl.available():
        settings = systemctl.show(PROBE, SHOWN)
        live, _ = _workers()
    if args.json:
        value = {"posture": name, "postures": shipped, "settings": settings}
        print(json.dumps({**value, "workers": live}))
        return 0
    style = Style()
    print("posture of new workers:", style(name, "bold", "red" if name == "edited" else "cyan"))
    print("shipped:", ", ".join(shipped))
    if name == "edited":
        print("the drop-in is none of these; see 'relay-shell posture diff'")
    for key in SHOWN:
        if key in settings:
            print(f"  {key}={settings[key]}")
    if live:
        print(f"live workers: {len(live)}; each keeps the settings that it started with")
    return 0


def _set(args: argparse.Namespace, root: Path) -> int:
    postures = available(root)
    if args.posture not in postures:
        raise _unknown(args.posture, postures)
    target = root / DROP_IN
    before = target.read_bytes() if target.exists() else None
    replace(target, postures[args.posture].read_bytes())
    if args.root is not None:
        print(f"posture {args.posture} written to {target}")
        return 0
    try:
        systemctl.call("daemon-reload")
        state = systemctl.show(PROBE, ("LoadState", "LoadError", "DropInPaths"))
        if state.get("LoadState") != "loaded" or str(target) not in state.get("DropInPaths", ""):
            raise RelayError(
                "Unavailable", reason=f"systemd did not take the drop-in: {state.get('LoadError')}"
            )
    except RelayError:
        # What systemd refuses must not lie in wait for its next reload.
        if before is None:
            target.unlink(missing_ok=True)
        else:
            replace(target, before)
        raise
    print(f"posture {args.posture} is in force for workers that start from now on")
    live, spares = _workers()
    _end(spares)
    if live:
        print(f"{len(live)} live worker(s) keep theirs; 'relay-shell kill --worker ID' ends one:")
        for unit in live:
            print(f"  {unit}")
    return 0


def _workers() -> tuple[list[str], list[str]]:
    """Units of live workers: those of agents, and spares."""
    agents: list[str] = []
    spares: list[str] = []
    for unit, status in sorted(systemctl.statuses("relay-shell-worker@*.service").items()):
        (spares if status.startswith(SPARE) else agents).append(unit)
    return agents, spares


def _end(spares: list[str]) -> None:
    """Ask spares to end: each does unless it has been given to an agent meanwhile.

    No agent would be given one any more; this ends their waiting. A process that does not know the
    signal ignores it.
    """
    if spares:
        with contextlib.suppress(RelayError):
            systemctl.call("kill", "--kill-whom=main", "--signal=SIGWINCH", "--", *spares)


def _diff(args: argparse.Namespace, root: Path) -> int:
    postures = available(root)
    target = root / DROP_IN
    if not target.exists() and args.posture in (None, DEFAULT):
        print(f"no drop-in is installed: the unit as shipped is the posture {DEFAULT}")
        return 0
    installed = target.read_text(errors="replace") if target.exists() else ""
    texts = {name: path.read_text() for name, path in postures.items()}
    name = args.posture or _nearest(installed, texts)
    if name not in postures:
        raise _unknown(name, postures)
    lines = list(
        difflib.unified_diff(
            texts[name].splitlines(True),
            installed.splitlines(True),
            f"{os.fspath(postures[name])} (shipped)",
            f"{os.fspath(target)} (installed)",
        )
    )
    style = Style()
    for line in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
        print(style(line.rstrip("\n"), *([colour] if colour else [])))
    return 1 if lines else 0


def _nearest(installed: str, texts: dict[str, str]) -> str:
    return max(
        texts, key=lambda name: difflib.SequenceMatcher(None, texts[name], installed).ratio()
    )


def _unknown(name: str, postures: dict[str, Path]) -> RelayError:
    error = RelayError("InvalidArguments", reason=f"no posture named {name!r}")
    error.next_step = f"Choose one of: {', '.join(postures)}."
    return error
