"""docs/siem-fields.md: which fact is under which key."""

from __future__ import annotations

from .events import EVENTS
from .record import FIELDS
from .siem import MAP, camel, name, severity

_HEAD = """\
<!-- Made by `python -m relay_shell.evidence.generate` from the table of facts. -->

# Keys of CEF and LEEF

A fact that is an array is joined by `; `, one that is an object is JSON. `msg` is the line that
`relay-shell audit tail` prints, `dvchost` and `deviceHostName` the host. A value longer than its
key allows ends in `...`; the record has all of it.

| fact | CEF | label | at most | LEEF |
|---|---|---|---|---|
"""

_NOTES = """
`rt` is in milliseconds since 1970, `devTime` in the form of `devTimeFormat`. `address` is `src`
where it is an IP address, but for IPv6 in CEF version 0, which has `c6a2` for it.

## Severity

A call has the severity of its tier, 1, 3, 5 or 7, and one more if it was refused; 6 at least if
processes of it could not be ended. Other events:

| event | name | severity |
|---|---|---|
"""


def reference() -> str:
    """The whole page."""
    out = [_HEAD]
    for fact in FIELDS:
        row = MAP.get(fact, ...)
        if row is None:
            continue
        if row is ...:
            key = camel(fact)
            cells = (f"`relayShell{key[0].upper()}{key[1:]}`", "", "4000", f"`{key}`")
        else:
            label = f"`{row.label}`" if row.label else ""
            cells = (f"`{row.cef}`", label, str(row.limit), f"`{row.leef}`")
        out.append(f"| `{fact}` | {' | '.join(cells)} |\n")
    out.append(_NOTES)
    for event in [*EVENTS, "anomaly"]:
        record = {"event": event}
        out.append(f"| `{event}` | {name(record)} | {severity(record)} |\n")
    return "".join(out)
