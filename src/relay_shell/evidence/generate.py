"""What follows from the tables of facts and events: the reference and the JSON schema.

`python -m relay_shell.evidence.generate [--check]` writes them into the source tree; a test runs
`--check`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .. import generated
from . import siemtable
from .events import EVENTS
from .record import FIELDS, VERSION, WRITTEN, journal_name
from .verify import KINDS, NOTES

_HEAD = """\
<!-- Made by `python -m relay_shell.evidence.generate` from the tables of facts and events. -->

# The record

Every call of an agent, every refusal, connection and act of an operator is one line of JSON in
`/var/log/relay-shell/audit.jsonl`, and one entry of the journal (`journalctl -u relay-shell`) with
the same facts. The broker alone writes both. The output of commands is in neither: its SHA-256 and
its length are.

The *intent* of a call is on disk (fdatasync(2)) before the call runs. Its *outcome* is written
before the answer is given, and on disk within a second. An intent that has neither outcome nor
*interrupted* record belongs to a call that still runs, or to a crash that the next start names.

## Line

UTF-8, one JSON object, no blanks, members in the order of the table below. A fact that is not known
is absent, never null. A character that UTF-8 cannot hold is its JSON escape. A line has at most
4 MiB. Its JSON Schema is `/usr/share/relay-shell/schema/record.json`.

## Chain

`seq` counts the records without gaps, across files and restarts. `prev` is the `chain` of the
record before, 64 zeros for the first ever. `chain` is the last member and the SHA-256, in
hexadecimal, of the 64 digits of `prev` followed by the line without `,"chain":"..."` and without
its line feed. With jq(1) and sha256sum(1):

    jq -j '.prev, (del(.chain) | tojson)' <<< "$line" | sha256sum

(jq writes some characters and numbers otherwise than they stand; `relay-shell audit verify` works
on the bytes themselves.)

The chain has no key. It shows an edit, an insertion, a removal or a reordering to whoever holds a
later `chain`: in the journal, or in its copy on another host. Who may replace both the file and
every copy can write a new chain.

## Checkpoints

A *checkpoint* is signed with Ed25519 by a key that only the broker is given. Its `facts` hold `seq`
and `chain` of the record before it, which bind all records up to there, `count`, the records since
the checkpoint before, `key`, the first 16 digits of the SHA-256 of the public key, and `signature`,
in base64, over these lines, each with its line feed:

    relay-shell checkpoint v1
    KEY
    SEQ
    CHAIN
    COUNT

One is written after evidence.checkpoint_records records, evidence.checkpoint_seconds after a record
that none covers, as the last record of a file that is rotated, and at the stop. `relay-shell audit
key` prints the public keys; `evidence.pub` beside the record holds them. With openssl(1), the lines
in `said` and the decoded signature in `signature`:

    openssl pkeyutl -verify -pubin -inkey evidence.pub -rawin -in said -sigfile signature

What is not signed by itself, but by the checkpoint after it, is `latest`: the latest `ts` of the
file up to there. Where a clock was set back, records of a later time are before those of an earlier
one; by `latest`, who looks for what is later than a time (`audit tail --since`) knows that all
before it is earlier. The `rotate` record, the first of a file, has in its `facts` the `latest` of
the file before, and `from`, the number of that file's first record. It is absent where it is not
known.

Who is root can use the key, or make another. A checkpoint that has reached another host cannot be
unmade: it pins the record as it was then.

A *heartbeat* is written after evidence.heartbeat_seconds without any record. A longer silence that
no start follows is a gap in the broker's life, or in the host's.

A write that a crash or a full disk cut off stays in the file, for the file can only be appended to.
It is ended by the character CAN (U+0018) and a line feed, and the next record is a `torn` event
whose facts name the length and SHA-256 of these bytes.

"""

_VERIFY = """
## Findings of a verification

"""


def reference() -> str:
    """docs/record.md."""
    out = [_HEAD, "## Facts\n\n", "| fact | type | journal field | what it says |\n"]
    out.append("|---|---|---|---|\n")
    for name, field in FIELDS.items():
        kind = field.type.replace("|", " or ")
        out.append(f"| `{name}` | {kind} | `{journal_name(name)}` | {field.help} |\n")
    out.append(
        "\nIn the journal, an array is a field for each item, an object is JSON, and beside these"
        " there are\n`MESSAGE` for the reader, `MESSAGE_ID`, `PRIORITY` and `SYSLOG_IDENTIFIER`.\n"
    )
    out.append(
        "\n## Events\n\n| event | MESSAGE_ID | priority | what happened |\n|---|---|---|---|\n"
    )
    for name, event in EVENTS.items():
        subject = event.subject.partition(":")[0]
        out.append(f"| `{name}` | `{event.message_id}` | {event.priority} | {subject} |\n")
    out.append(
        "\n`trouble` and `journal-lost` are in the journal alone. "
        "`journalctl -x` explains each event.\n\n"
        "What the `recording` of a `session` is: [recordings.md](recordings.md).\n"
    )
    out.append(_VERIFY + "| finding | whole | meaning |\n|---|---|---|\n")
    for name, text in KINDS.items():
        out.append(f"| `{name}` | {'yes' if name in NOTES else 'no'} | {text} |\n")
    return "".join(out)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    properties: dict[str, Any] = {}
    for name, field in FIELDS.items():
        kinds = field.type.split("|")
        shape: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
        if name in ("prev", "chain", "args_sha256"):
            shape = dict(digest)
        properties[name] = shape | {"description": field.help}
    properties["v"]["const"] = VERSION
    properties["event"]["enum"] = list(EVENTS)
    properties["seq"]["minimum"] = 1
    properties["tier"] |= {"minimum": 0, "maximum": 3}
    properties["ts"]["pattern"] = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of relay-shell",
        "type": "object",
        "properties": properties,
        "required": [*WRITTEN, "event"],
        "additionalProperties": False,
    }


FILES: dict[str, Callable[[], str]] = {
    "docs/record.md": reference,
    "docs/siem-fields.md": siemtable.reference,
    "docs/schema/record.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
}
"""What is generated, by its path in the source tree."""


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with --check only name those that are out of date (exit status 1)."""
    return generated.main(FILES, "python -m relay_shell.evidence.generate", argv)


if __name__ == "__main__":
    raise SystemExit(main())
