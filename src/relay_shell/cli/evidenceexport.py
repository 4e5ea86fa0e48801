"""`relay-shell evidence export`: gathers a bundle, and has the broker record and sign it."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .. import __version__
from ..evidence.bundle import KEYS, Bundle
from ..evidence.keyfile import PUBLIC
from ..evidence.reader import iter_records
from ..evidence.select import Choice, Span, choose, copy, normal
from ..evidence.tarball import NAME
from ..wire.errors import RelayError
from .freeze import principal
from .operator import Operator
from .place import setting
from .posture import DROP_IN, current
from .records import readable, unrecorded
from .term import safe

_SMALL = 4 * 1024 * 1024
"""Bytes of a file of settings that are taken."""


def export(args: argparse.Namespace) -> int:
    """Make a bundle; print its name and digest."""
    path = Path(args.file or setting("paths.audit"))
    if not readable(path):
        if path.exists():
            raise RelayError("PermissionDenied", reason=f"{path} is for root and group adm")
        raise unrecorded(path)
    wanted = normal(
        {
            name: value
            for name, value in (
                ("since", args.since),
                ("until", args.until),
                ("principal", args.principal and principal(args.principal)),
                ("call_id", args.call),
            )
            if value
        }
    )
    mode = "inclusion" if args.inclusion else "whole"
    broker = _broker(args)
    if broker is not None:
        # So that what is asked for ends with a checkpoint.
        broker.request("checkpoint")
    choice = choose(path, wanted, mode)
    if not choice.chosen:
        nothing = RelayError("NotFound", reason="no record is of this choice")
        nothing.next_step = (
            "'relay-shell audit tail' takes the same options, and shows what there is."
        )
        raise nothing
    with Bundle(path, wanted, choice, mode) as bundle:
        bundle.gather()
        _surroundings(bundle, args, path, choice)
        digest = bundle.seal()
        seal, recorded = b"", None
        target, file = _target(args, choice)
        try:
            with file:
                if broker is not None:
                    recorded, seal = _record(broker, path, digest, choice, wanted)
                bundle.write(file, seal)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return _tell(args, target, digest, choice, recorded)


def _broker(args: argparse.Namespace) -> Operator | None:
    if args.offline or args.file:
        return None
    try:
        return Operator(args.socket, timeout=60)
    except RelayError as error:
        error.next_step = "With --offline the bundle is made, and nobody has recorded who made it."
        raise


def _target(args: argparse.Namespace, choice: Choice) -> tuple[Path, IO[bytes]]:
    """The file of the bundle, new and for its owner alone.

    Raises:
        RelayError: InvalidArguments, if it is there already.
    """
    host = "".join(char if char.isalnum() or char in "-." else "-" for char in platform.node())
    name = f"evidence-{host or 'host'}-{choice.first}-{choice.last}.tar.gz"
    target = Path(args.output or name)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return target, os.fdopen(os.open(target, flags, 0o600), "wb")
    except FileExistsError:
        taken = RelayError("InvalidArguments", reason=f"{target} is there already")
        taken.next_step = "Name another file with --output."
        raise taken from None


def _record(
    broker: Operator, path: Path, digest: str, choice: Choice, wanted: dict[str, str]
) -> tuple[int, bytes]:
    """Have the export recorded and signed; return its number and the two lines."""
    filters = {"call" if name == "call_id" else name: text for name, text in wanted.items()}
    body = {"manifest": digest, "records": choice.chosen, "first": choice.first}
    reply = broker.request("export", {**body, "last": choice.last, "filters": filters})
    seq = int(reply["seq"])
    lines = [line for _, line in copy(path, [Span(seq, seq + 1)])]
    return seq, b"".join(lines)


def _tell(
    args: argparse.Namespace, target: Path, digest: str, choice: Choice, recorded: int | None
) -> int:
    facts: dict[str, Any] = {
        "bundle": str(target),
        "manifest_sha256": digest,
        "records": choice.chosen,
        "first": choice.first,
        "last": choice.last,
        "sealed": choice.sealed,
        "recorded": recorded,
    }
    if args.json:
        print(json.dumps(facts))
    else:
        print(f"{target}: {choice.chosen} records, {choice.first} to {choice.last}")
        print(f"manifest {digest}" + (f", recorded as {recorded}" if recorded else ""))
    if not choice.sealed:
        sys.stderr.write(
            "relay-shell: no checkpoint covers the last of them: 'evidence verify' will say so\n"
        )
    return 0


# ---- what else is in it ----------------------------------------------------------------------


def _surroundings(bundle: Bundle, args: argparse.Namespace, path: Path, choice: Choice) -> None:
    keys = Path(args.key) if args.key else path.parent / PUBLIC
    if keys.exists():
        bundle.add(KEYS, keys.read_bytes())
    bundle.facts = {"program": f"relay-shell {__version__}"}
    if not args.file:
        bundle.facts["host"] = {"name": platform.node(), "machine_id": _machine()}
        _settings(bundle)
        _posture(bundle)
    missing = [] if args.no_recordings else _recordings(bundle, path, choice, args)
    bundle.facts["recordings_missing"] = missing


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _settings(bundle: Bundle) -> None:
    """The settings as they are now, each with its source; the records in the manifest say by their
    digest whether they were those in force."""
    from .. import config
    from ..evidence import canonical

    root = Path(os.environ.get("RELAY_SHELL_CONFIG") or config.ROOT)
    for file in _files(root):
        name = f"config/{file.relative_to(root)}"
        bundle.add(name, file.read_bytes()[:_SMALL])
    try:
        # The environment of whoever exports is not the broker's.
        settings = config.load(str(root), {})
    except config.ConfigError as error:
        bundle.facts["config_error"] = str(error)
        return
    plain = {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }
    bundle.facts["config_sha256"] = hashlib.sha256(canonical.encode(plain)).hexdigest()
    rows = {name: {"value": plain[name], "source": settings.source(name)} for name in plain}
    bundle.add("config/settings.json", (json.dumps(rows, indent=2) + "\n").encode())


def _files(root: Path) -> Iterator[Path]:
    for pattern in ("relay-shell.toml", "access.toml", "relay-shell.d/*.toml", "commands.d/*.toml"):
        for file in sorted(root.glob(pattern)):
            if file.is_file() and NAME.fullmatch(file.name):
                yield file


def _posture(bundle: Bundle) -> None:
    root = Path("/")
    try:
        bundle.facts["posture"] = current(root)
    except (RelayError, OSError):
        bundle.facts["posture"] = "unknown"
    drop_in = root / DROP_IN
    if drop_in.is_file():
        bundle.add("posture/50-posture.conf", drop_in.read_bytes()[:_SMALL])


def _recordings(
    bundle: Bundle, path: Path, choice: Choice, args: argparse.Namespace
) -> list[dict[str, str]]:
    """Add the recordings that the chosen records name, as far as the last record of each says;
    return those that are not there."""
    told: dict[str, int] = {}
    for record in iter_records(path, filters=bundle.wanted):
        facts = record.get("facts")
        row = facts.get("recording") if isinstance(facts, dict) else None
        if isinstance(row, dict) and type(row.get("bytes")) is int:
            told[str(row.get("path"))] = row["bytes"]
    missing = []
    root = Path(_recordings_root(path, args))
    for name, size in sorted(told.items()):
        try:
            with _recording(root, root.joinpath(*Path(name).parts[-2:])) as file:
                bundle.add_file(f"recordings/{os.path.basename(name)}", file, size)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            missing.append({"path": name, "reason": reason or "cannot be read"})
            sys.stderr.write(f"relay-shell: recording {safe(name)}: {safe(reason)}\n")
    return missing


def _recordings_root(path: Path, args: argparse.Namespace) -> str:
    from .. import config

    if args.file or "paths.recordings" not in config.TABLE:
        return str(path.parent / "recordings")
    return setting("paths.recordings")


def _recording(root: Path, named: Path) -> IO[bytes]:
    """A file that a record names, if it is one of the recordings: a forged record must not lead
    this to another.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none of the recordings.
    """
    path = Path(os.path.realpath(named))
    inside = path.is_relative_to(os.path.realpath(root))
    if not inside or path.suffix != ".cast" or not NAME.fullmatch(named.name):
        raise ValueError("not among the recordings of this host")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("not a regular file")
    return os.fdopen(fd, "rb")
