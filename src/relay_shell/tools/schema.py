"""JSON Schema fragments that several tools share."""

from __future__ import annotations

from .base import Json

COMMAND: Json = {
    "type": "string",
    "minLength": 1,
    "description": "A bash command line.",
}
ARGV: Json = {
    "type": "array",
    "items": {"type": "string"},
    "minItems": 1,
    "maxItems": 4096,
    "description": "Program and arguments, run without a shell. Give this or command.",
}
CWD: Json = {"type": "string", "minLength": 1, "description": "Directory; default the home."}
ENV: Json = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "maxProperties": 256,
    "description": "Variables to add.",
}
STDIN: Json = {"type": "string", "description": "Text for standard input; default empty."}
TIMEOUT: Json = {
    "type": "number",
    # Not "exclusiveMinimum": Gemini's API refuses a whole request over it.
    "minimum": 0.001,
    "maximum": 86400,
    "description": "Seconds until everything is killed; default and limit in server_info.",
}
MAX_OUTPUT: Json = {
    "type": "integer",
    "minimum": 256,
    "maximum": 16777216,
    "description": "Bytes to return; the rest is kept for output_read.",
}
MERGE_STDERR: Json = {
    "type": "boolean",
    "description": "Interleave stderr with stdout, as a terminal would.",
}
SESSION: Json = {"type": "string", "minLength": 1, "maxLength": 128}
ROWS: Json = {"type": "integer", "minimum": 1, "maximum": 500}
COLUMNS: Json = {"type": "integer", "minimum": 1, "maximum": 1000}

HOST: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 253,
    "description": "A name of ssh_hosts.",
}
HOSTS: Json = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 256},
    "minItems": 1,
    "maxItems": 1000,
    "description": "Names, globs (web*) or @groups.",
}
REMOTE_COMMAND: Json = {
    "type": "string",
    "minLength": 1,
    "description": "A command line for the login shell there.",
}
REMOTE_ARGV: Json = ARGV | {"description": "Program and arguments, quoted for it."}

HOST_FAILURES: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "host": {"type": "string"},
            "kind": {"type": "string"},
            "message": {"type": "string"},
        },
    },
    "description": "Hosts on which it did not run, or whose connection was lost.",
}

WAIT: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "description": "Return once this RE2 pattern matches the output.",
}
QUIET: Json = {
    "type": "number",
    "minimum": 0,
    "maximum": 3600,
    "description": "Return once nothing came for so many seconds; default 0.3 without wait.",
}
WAIT_TIMEOUT: Json = {
    "type": "number",
    "minimum": 0,
    "maximum": 86400,
    "description": "Most seconds to wait; default 10.",
}

IDEMPOTENCY_KEY: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "description": "A repeated call with the same key is not run twice.",
}

REDACTIONS: Json = {
    "type": "object",
    "additionalProperties": {"type": "integer"},
    "description": "Secrets hidden, by rule; where the operator has output redacted.",
}

USED: Json = {
    "type": "object",
    "additionalProperties": {"type": ["integer", "string"]},
    "description": "What all processes used: cpu_ms, mem_peak, io_read and io_write in bytes, "
    "tasks_peak, and where the figures come from.",
}

RUN_FACTS: dict[str, Json] = {
    "exit": {"type": "integer", "description": "Exit status; 128 + number for a signal."},
    "signal": {"type": "string"},
    "stdout": {"type": "string"},
    "stderr": {"type": "string"},
    "duration_ms": {"type": "integer"},
    "bytes": {"type": "integer", "description": "Size of the whole output."},
    "truncated": {"type": "boolean"},
    "sha256": {"type": "string", "description": "Of the whole output, when truncated."},
    "output": {"type": "string", "description": "Handle for output_read, when truncated."},
    "timeout": {"type": "number", "description": "Seconds after which all was killed."},
    "killed": {"type": "integer", "description": "Background processes ended with the call."},
    "enforced": {"type": "boolean", "description": "The kernel refused every change."},
    "refused": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Diagnostics of what was refused.",
    },
    "redactions": REDACTIONS,
    "used": USED,
}

SESSION_OUTPUT_FACTS: dict[str, Json] = {
    "session": {"type": "string"},
    "output": {"type": "string"},
    "offset": {"type": "integer", "description": "Of the first byte returned."},
    "next_offset": {"type": "integer"},
    "missed": {"type": "integer", "description": "Bytes that left the buffer unread."},
    "more": {"type": "boolean", "description": "Call again: output is left."},
    "reason": {
        "type": "string",
        "enum": ["match", "quiet", "exit", "timeout", "full"],
        "description": "Why the wait ended.",
    },
    "match": {"type": "string"},
    "running": {"type": "boolean"},
    "exit": {"type": "integer"},
    "signal": {"type": "string"},
    "redactions": REDACTIONS,
}
