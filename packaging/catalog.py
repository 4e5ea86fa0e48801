#!/usr/bin/env python3
"""Prints the journal's message catalog (journalctl --catalog), made from the table of events.

packaging/catalog.py > deploy/systemd/catalog/relay-shell.catalog
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.evidence.events import EVENTS

HEAD = """\
# Made by packaging/catalog.py from the table of events; a test compares the two.
"""
ENTRY = """
-- {id}
Subject: {subject}
Defined-By: relay-shell
Documentation: man:relay-shell-broker(8)

{text}
"""


def catalog() -> str:
    return HEAD + "".join(
        ENTRY.format(id=event.message_id, subject=event.subject, text=event.text)
        for event in EVENTS.values()
    )


if __name__ == "__main__":
    print(catalog(), end="")
