"""`relay-shell forward`: ship the journal, and with it the record, to another host.

systemd-journal-upload(8) does the shipping: it keeps its place in the journal, so that what is
written while the collector is away follows later. This verb writes its drop-ins and says how far
it has come.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import stat
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..wire.errors import RelayError
from . import systemctl
from .acknowledge import cursor as reached
from .install import replace
from .parser import Subparsers, add_json
from .term import Style, duration, safe

DESCRIPTION = """\
Send the journal to a collector over TLS that authenticates both sides, with
systemd-journal-upload. The collector's side is in docs/off-host.md."""

EXAMPLES = """\
examples:
  relay-shell forward enable https://collector:19533 \\
      --key /etc/relay-shell/tls/key.pem --cert /etc/relay-shell/tls/cert.pem \\
      --trust /etc/relay-shell/tls/ca.pem
  relay-shell forward status"""

UNIT = "systemd-journal-upload.service"
ACK = "relay-shell-ack.service"
PROGRAM = Path("/usr/lib/systemd/systemd-journal-upload")
CONF = Path("/etc/systemd/journal-upload.conf.d/50-relay-shell.conf")
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/50-relay-shell.conf")
STATE = Path("/var/lib/systemd/journal-upload/state")
CREDENTIALS = f"/run/credentials/{UNIT}"
BEHIND = 60.0
"""Seconds for which the oldest record that is not uploaded may have waited."""

NOT_FORWARDING, LATE = 69, 75
"""Exit statuses of `forward status` (EX_UNAVAILABLE, EX_TEMPFAIL of sysexits(3))."""

_RECORDS = ("_SYSTEMD_UNIT=relay-shell.service", "SYSLOG_IDENTIFIER=relay-shell")


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's actions and options."""
    parser = subparsers.add_parser("forward", description=DESCRIPTION, epilog=EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    enable = actions.add_parser("enable", help="begin to upload, now and at every boot")
    enable.add_argument("url", metavar="URL", help="https://HOST[:PORT] of the collector")
    enable.add_argument("--key", required=True, metavar="FILE", help="this host's private key")
    enable.add_argument("--cert", required=True, metavar="FILE", help="this host's certificate")
    enable.add_argument(
        "--trust", required=True, metavar="FILE", help="CA that the collector's is signed by"
    )
    status = actions.add_parser(
        "status", help="say what is written, what is uploaded, and how far apart they are"
    )
    add_json(status)
    actions.add_parser("disable", help="upload no more, and remove the drop-ins")
    actions.add_parser("watch", help="tell the broker what has arrived (relay-shell-ack.service)")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    actions = {"enable": _enable, "status": _status, "disable": _disable, "watch": _watch}
    return actions[args.action](args)


def _watch(args: argparse.Namespace) -> int:
    from .acknowledge import run as watch

    return watch()


# ---- enable, disable -------------------------------------------------------------------------


def _enable(args: argparse.Namespace) -> int:
    _as_root()
    if not PROGRAM.exists():
        missing = RelayError("Unavailable", reason=f"{PROGRAM} is not installed")
        missing.next_step = "apt install systemd-journal-remote"
        raise missing
    url = check_url(args.url)
    files = {name: Path(getattr(args, name)).absolute() for name in ("key", "cert", "trust")}
    check_files(files["key"], files["cert"], files["trust"])
    replace(CONF, configuration(url).encode())
    replace(DROP_IN, drop_in(files).encode())
    systemctl.call("daemon-reload")
    systemctl.call("enable", UNIT)
    systemctl.call("restart", UNIT)
    systemctl.call("restart", ACK)
    print(f"the journal goes to {url}; 'relay-shell forward status' says how far it has come")
    return 0


def _disable(args: argparse.Namespace) -> int:
    _as_root()
    if not CONF.exists() and not DROP_IN.exists():
        missing = RelayError("NotFound", reason="forwarding was not enabled by relay-shell")
        missing.next_step = "'relay-shell forward status' says what leaves this host."
        raise missing
    systemctl.call("disable", "--now", UNIT)
    systemctl.call("stop", ACK)
    for path in (CONF, DROP_IN):
        path.unlink(missing_ok=True)
    systemctl.call("daemon-reload")
    print("nothing is forwarded any more")
    return 0


def _as_root() -> None:
    if os.geteuid():
        raise RelayError("PermissionDenied", reason="only root configures services")


def check_url(url: str) -> str:
    """The URL, if it is one that a journal may go to.

    Raises:
        RelayError: InvalidArguments, if it is not of HTTPS, or holds more than host and port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong(f"{url!r}: {error}") from None
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise _wrong(f"{url!r} is not https://HOST[:PORT]")
    if parts.path not in ("", "/") or parts.query or parts.fragment or not url.isprintable():
        raise _wrong(f"{url!r} has more than a host and a port")
    if any(char.isspace() or char in "%\\\"'" for char in url):
        raise _wrong(f"{url!r} is not a plain host name")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{port}" if port else f"https://{host}"


def check_files(key: Path, cert: Path, trust: Path) -> None:
    """Refuse files with which no connection would come about, or whose key others may read.

    Raises:
        RelayError: InvalidArguments, with the file and what is wrong.
    """
    for path in (key, cert, trust):
        # Specifiers and quotes of systemd.unit(5) would make another path of it.
        if not str(path).isprintable() or any(char in " %:\\\"'" for char in str(path)):
            raise _wrong(f"{path}: not a plain path")
        try:
            found = path.stat()
        except OSError as error:
            raise _wrong(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise _wrong(f"{path} is not a regular file")
    if key.stat().st_mode & 0o007:
        raise _wrong(f"others may read {key}: chmod o= {key}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(trust)
    except (ssl.SSLError, OSError) as error:
        raise _wrong(f"{trust} holds no CA: {error}") from None
    try:
        # Never asks for a passphrase: the service could not answer either.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        raise _wrong(f"{key} is not the unencrypted key of {cert}: {error}") from None


def _wrong(reason: str) -> RelayError:
    error = RelayError("InvalidArguments", reason=reason)
    error.next_step = "'relay-shell forward --help' and docs/off-host.md say what is needed."
    return error


def configuration(url: str) -> str:
    """journal-upload.conf(5); the files are where the unit's credentials are."""
    return (
        "# Made by `relay-shell forward enable`.\n"
        "[Upload]\n"
        f"URL={url}\n"
        f"ServerKeyFile={CREDENTIALS}/key\n"
        f"ServerCertificateFile={CREDENTIALS}/cert\n"
        f"TrustedCertificateFile={CREDENTIALS}/trust\n"
    )


def drop_in(files: dict[str, Path]) -> str:
    """The unit's drop-in: the service has an account of its own and is handed the files, and it
    tries again for ever, since a collector may be away for long."""
    loads = "".join(f"LoadCredential={name}:{path}\n" for name, path in files.items())
    return (
        "# Made by `relay-shell forward enable`.\n"
        f"[Unit]\nStartLimitIntervalSec=0\nWants={ACK}\n\n"
        f"[Service]\n{loads}"
        "Restart=always\nRestartSec=1s\nRestartSteps=6\nRestartMaxDelaySec=30s\n"
    )


# ---- status ----------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    facts = _facts()
    code = judge(facts)
    if args.json:
        print(json.dumps(facts))
        return code
    style = Style()
    if not facts["enabled"]:
        print(style("not enabled", "red") + ": nothing leaves this host")
        print("'relay-shell forward enable' sends the record to a collector")
        return code
    state = str(facts["state"])
    print(f"to {safe(facts['url'])}: {style(safe(state), 'green' if state == 'active' else 'red')}")
    print(f"written   record {facts['written']}")
    print(f"uploaded  record {facts['uploaded']}")
    if facts["pending"]:
        behind = duration(float(facts["lag"]))
        text = f"{facts['pending']} records, the oldest for {behind}"
        print(f"lag       {style(text, 'red' if code else 'yellow')}")
    else:
        print(f"lag       {style('none', 'green')}")
    if code == LATE:
        print(f"see 'journalctl -u {UNIT}'")
    return code


def judge(facts: dict[str, Any]) -> int:
    """The exit status for what is found."""
    if not facts["enabled"]:
        return NOT_FORWARDING
    late = facts["pending"] and facts["lag"] > BEHIND
    return LATE if late or facts["state"] not in ("active", "activating") else 0


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = {"enabled": CONF.exists(), "url": "", "state": "inactive"}
    facts |= {"written": 0, "uploaded": 0, "pending": 0, "lag": 0.0}
    if not facts["enabled"]:
        return facts
    for line in CONF.read_text().splitlines():
        if line.startswith("URL="):
            facts["url"] = line.removeprefix("URL=")
    facts["state"] = systemctl.show(UNIT, ["ActiveState"]).get("ActiveState", "")
    newest = _journal("--lines=1")
    facts["written"] = _seq(newest[-1]) if newest else 0
    cursor = reached(STATE)
    waiting = _journal(f"--after-cursor={cursor}") if cursor else _journal()
    facts["pending"] = len(waiting)
    if waiting:
        oldest = int(waiting[0].get("__REALTIME_TIMESTAMP", 0)) / 1e6
        facts["lag"] = round(max(0.0, time.time() - oldest), 3)
        facts["uploaded"] = max(0, _seq(waiting[0]) - 1) if cursor else 0
    else:
        facts["uploaded"] = facts["written"]
    return facts


def _journal(*options: str) -> list[dict[str, Any]]:
    """Records in the journal of this host, oldest first.

    Raises:
        RelayError: Unavailable, if journalctl fails.
    """
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=RELAY_SEQ"]
    try:
        done = subprocess.run([*argv, *options, *_RECORDS], capture_output=True, check=False)
    except OSError as error:
        raise RelayError("Unavailable", reason=f"journalctl: {error.strerror}") from None
    if done.returncode and done.stderr.strip():
        said = done.stderr.decode(errors="replace").strip().splitlines()[0]
        raise RelayError("Unavailable", reason=f"journalctl: {said}")
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return [entry for entry in entries if "RELAY_SEQ" in entry]


def _seq(entry: dict[str, Any]) -> int:
    text = str(entry["RELAY_SEQ"])
    return int(text) if text.isdigit() else 0
