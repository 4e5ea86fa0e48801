"""`relay-shell metrics`: the broker's figures in the text format of Prometheus.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4),
which node_exporter's textfile collector reads.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..wire.errors import RelayError
from .figures import METRICS, Labels, Status
from .install import replace
from .operator import Operator
from .parser import Subparsers, add_socket
from .term import safe

DESCRIPTION = """\
Print the broker's figures in the text format of Prometheus, or write them where node_exporter's
textfile collector looks. relay-shell-metrics.timer does the latter every minute, once enabled."""

FILE = "relay-shell.prom"
DIRECTORIES = ("/var/lib/prometheus/node-exporter", "/var/lib/node_exporter/textfile_collector")
"""Where textfile collectors look, on Debian and by custom."""

OWN = "/var/lib/relay-shell-metrics"
"""Where the file is written if there is none of these."""

PREFIX = "relay_shell_"


def series(status: Status) -> dict[str, float]:
    """Every value by the name of its series."""
    return {
        f"{PREFIX}{row.name}{labels.get('', '')}{_labels(labels)}": value
        for row in METRICS
        for labels, value in row.values(status)
    }


def exposition(status: Status) -> str:
    """The metrics of a broker's status; of an empty one, that the broker does not answer."""
    lines = []
    for row in METRICS:
        values = row.values(status)
        if not values:
            continue
        name = PREFIX + row.name
        text = row.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {row.type}"]
        lines += [
            f"{name}{labels.get('', '')}{_labels(labels)} {_value(value)}"
            for labels, value in values
        ]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    told = [f'{name}="{_escape(value)}"' for name, value in labels.items() if name]
    return "{" + ",".join(told) + "}" if told else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else repr(value)


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's options."""
    parser = subparsers.add_parser("metrics", description=DESCRIPTION)
    parser.add_argument(
        "--textfile",
        nargs="?",
        const="",
        metavar="DIR",
        help=f"write {FILE} in DIR (default: node_exporter's directory, else {OWN})",
    )
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Print or write the metrics; where the broker does not answer, they say so."""
    status: dict[str, Any] = {}
    trouble: RelayError | None = None
    try:
        with Operator(args.socket) as broker:
            status = {
                **broker.request("status")["status"],
                "version": str(broker.broker["program"]).rpartition(" ")[2],
            }
    except RelayError as error:
        if error.kind == "PermissionDenied":
            raise
        trouble = error
    text = exposition(status)
    if args.textfile is None:
        sys.stdout.write(text)
    else:
        if args.textfile and not os.path.isdir(args.textfile):
            missing = RelayError("NotFound", reason=f"{safe(args.textfile)} is no directory")
            missing.next_step = "Name that of node_exporter's --collector.textfile.directory."
            raise missing
        replace(Path(args.textfile or directory()) / FILE, text.encode(), 0o644)
    if trouble is not None:
        sys.stdout.flush()
        raise trouble
    return 0


def directory(candidates: tuple[str, ...] = DIRECTORIES) -> str:
    """The directory of a textfile collector, if one is there to be written to."""
    for name in candidates:
        if os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK):
            return name
    return OWN
