"""What follows from the table: the default file, the manual page, the JSON schema.

`python -m relay_shell.config.generate [--check]` writes them into the source tree; a test runs
`--check`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from .. import generated
from .check import PATTERN_LENGTH
from .relations import AT_MOST
from .table import DROP_INS, FILE, RESERVED, ROOT, SECTIONS, TABLE, Setting, env_name

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def toml(value: Any) -> str:
    """A setting's value in TOML."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml, value))}]"
    # JSON's strings and integers are TOML's, but for the escape of U+007F.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def bounds(setting: Setting) -> str:
    """What values a setting takes, in words."""
    match setting.kind:
        case "choice":
            return f"one of {', '.join(setting.choices)}"
        case "int":
            unit = f" {setting.unit}" if setting.unit else ""
            return f"{setting.low} to {setting.high}{unit}"
        case "names":
            return f"list of {', '.join(setting.choices)}"
        case "patterns":
            return f"list of at most {setting.high} RE2 patterns"
        case "path":
            return "absolute path"
    return f"string of at most {setting.high} bytes"


def default_file() -> str:
    """The commented file: every setting with its default, its bounds and what it does."""
    out = [
        "# relay-shell: settings, see relay-shell.toml(5). Each line shows a default: drop the '#'",
        "# to change it or, better, put your own into relay-shell.d/NAME.toml.",
        "# An unknown key or a bad value stops the start and the reload, and the message names the",
        "# line. After a change: relay-shell config check && systemctl reload relay-shell",
    ]
    for section, text in SECTIONS.items():
        out += ["", *_comment(text), f"[{section}]"]
        for row in _rows(section):
            note = bounds(row) + ("" if row.reload else "; needs a restart")
            out += ["", *_comment(f"{row.help} ({note})"), f"#{row.key} = {toml(row.default)}"]
    return "\n".join(out) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="# ")


def _rows(section: str) -> Iterator[Setting]:
    return (row for row in TABLE.values() if row.section == section)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, for editors; relations between settings are not in it."""
    properties: dict[str, Any] = {}
    for section, text in SECTIONS.items():
        properties[section] = {
            "type": "object",
            "description": text,
            "additionalProperties": False,
            "properties": {row.key: _property(row) for row in _rows(section)},
        }
    return {
        "$schema": SCHEMA,
        "title": "relay-shell.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _property(row: Setting) -> dict[str, Any]:
    default = list(row.default) if isinstance(row.default, tuple) else row.default
    common = {"description": row.help, "default": default}
    match row.kind:
        case "int":
            shape: dict[str, Any] = {"type": "integer", "minimum": row.low, "maximum": row.high}
        case "choice":
            shape = {"enum": list(row.choices)}
        case "names":
            word = {"enum": list(row.choices)}
            shape = {"type": "array", "maxItems": row.high, "items": word}
        case "patterns":
            pattern = {"type": "string", "minLength": 1, "maxLength": PATTERN_LENGTH}
            shape = {"type": "array", "maxItems": row.high, "items": pattern}
        case _:
            shape = {"type": "string", "minLength": row.low, "maxLength": row.high}
            if row.kind == "path":
                shape["pattern"] = "^/"
    return shape | common


_MAN_HEAD = f"""\
.. Made by ``python -m relay_shell.config.generate`` from the table of settings.

================
{FILE}
================

------------------------
settings of relay-shell
------------------------

:Manual section: 5
:Manual group: relay-shell

SYNOPSIS
========

| {ROOT}/{FILE}
| {ROOT}/{DROP_INS}/\\*.toml

DESCRIPTION
===========

The broker reads its settings from *{FILE}*, then from the files of *{DROP_INS}* in the order of
their names, then from its environment; of several values for one setting the last counts, lists
included. The files are TOML (https://toml.io). A file that does not exist leaves the defaults. No
file is ever read from a working directory.

An unknown section or key, a value of the wrong type or out of its bounds, and a file that is no
TOML refuse the start, with file, line and reason for each. ``relay-shell config check`` tests
without starting anything, ``relay-shell config show`` prints what is in force and where each value
comes from.

``systemctl reload relay-shell`` reads everything anew. If it is refused, the reload fails and
the settings in force stay. If not, they are swapped at once and hold for connected agents too. A
setting marked *needs a restart* keeps its value until **systemctl restart relay-shell**.

Each file and each directory above it must belong to root or to the account that reads it, and be
writable by nobody else; otherwise it is refused, as **sshd**\\(8) does with its own.

SETTINGS
========
"""

_MAN_TAIL = f"""\
ENVIRONMENT
===========

Each setting has an environment variable, named with it above. It overrides the files. A list is
written as a TOML array, or with its items separated by commas; patterns, in which a comma means
something, by line breaks. A variable that begins with RELAY_SHELL\\_ and is neither a setting's nor
one of these refuses the start:

{chr(10).join("| " + name for name in sorted(RESERVED))}

EXIT STATUS
===========

A refused configuration ends a program with 78 (EX_CONFIG, **sysexits**\\(3head)).

EXAMPLE
=======

::

  # {ROOT}/{DROP_INS}/50-cautious.toml
  [policy]
  mode = "guarded"
  deny = ['\\bmkfs\\b', '\\brm\\s+-[a-z]*r[a-z]*f']
  allow = ['^systemctl restart (nginx|php-fpm)$']

  [limits]
  timeout = 120

SEE ALSO
========

**access.toml**\\(5), **inventory.toml**\\(5), **relay-shell**\\(1), **relay-shell**\\(7),
**relay-shell-broker**\\(8)
"""


def man_page() -> str:
    """relay-shell.toml(5), in reStructuredText for rst2man(1)."""
    out = [_MAN_HEAD]
    for section, text in SECTIONS.items():
        out += [f"[{section}]", "-" * (len(section) + 2), "", *_wrap(text), ""]
        for row in _rows(section):
            note = f"{bounds(row)}; default ``{toml(row.default)}``"
            note += "" if row.reload else "; needs a restart"
            out += [f"{row.key}", *_indent(row.help), ""]
            out += [*_indent(f"{note[0].upper()}{note[1:]}. Environment: {_name(row)}"), ""]
    for low, high in AT_MOST:
        out += [f"*{low}* must not exceed *{high}*.", ""]
    return "\n".join(out) + "\n" + _MAN_TAIL


def _name(row: Setting) -> str:
    return env_name(row.name).replace("_", "\\_")


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 99)


def _indent(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        99,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


FILES: dict[str, Callable[[], str]] = {
    f"etc/relay-shell/{FILE}": default_file,
    f"docs/man/{FILE}.5.rst": man_page,
    f"docs/schema/{FILE}.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
}
"""What is generated, by its path in the source tree."""


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with --check only name those that are out of date (exit status 1)."""
    return generated.main(FILES, "python -m relay_shell.config.generate", argv)


if __name__ == "__main__":
    raise SystemExit(main())
