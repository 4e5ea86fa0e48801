"""The options that say which records of which file, alike in every verb that reads the record."""

from __future__ import annotations

import argparse

from .when import when


def add_filters(parser: argparse.ArgumentParser, title: str = "filters") -> Group:
    """Add --principal, --since and --until, in a group of the help that is returned."""
    group = parser.add_argument_group(title)
    group.add_argument("--principal", metavar="NAME", help="of one identity")
    group.add_argument(
        "--since",
        type=when,
        metavar="TIME",
        help="from: 10m, 2h, today, 2026-01-31T12:00; systemd.time(7)",
    )
    group.add_argument("--until", type=when, metavar="TIME", help="up to")
    return group


def add_call(group: Group) -> None:
    """Add --call."""
    group.add_argument("--call", metavar="ID", help="of one call")


def add_file(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add --file."""
    parser.add_argument("--file", metavar="PATH", help=f"another record than the host's{more}")


Group = argparse._ArgumentGroup
"""What `add_argument_group` returns; argparse gives it no public name."""
