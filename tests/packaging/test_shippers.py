"""The configurations for shippers that are not run here: against the options of their
documentation, and against what the record needs of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from relay_shell.evidence.record import MAX_LINE

TREE = Path(__file__).resolve().parent.parent.parent
SHIPPERS = TREE / "deploy/shippers"
KNOWN = json.loads(Path(__file__).with_name("shippers.json").read_text())
TYPES = {"string": str, "uint": int, "bool": bool, "strings": list}


def leaves(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def test_vector() -> None:
    config = tomllib.loads((SHIPPERS / "vector.toml").read_text())
    options = KNOWN["vector"]["options"]
    for name, value in leaves(config):
        first, *rest = name.split(".")
        row = options.get(".".join([first, "*", *rest[1:]] if rest else [first]))
        assert row is not None, f"no option of Vector: {name}"
        assert value in row if isinstance(row, list) else type(value) is TYPES[row], name
    (source,) = config["sources"].values()
    (sink,) = config["sinks"].values()
    assert sink["inputs"] == list(config["sources"])
    # A longest line, with its line feed, is shipped.
    assert source["max_line_bytes"] > MAX_LINE
    assert sink["buffer"]["max_size"] >= 268435488, "the least that Vector takes for a disk buffer"
    assert sink["buffer"]["when_full"] == "block" and sink["acknowledgements"]["enabled"]
    assert sink["tls"]["verify_certificate"] and sink["tls"]["verify_hostname"]


def sections(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Fluent Bit's classic mode: [SECTION], then a key and a value a line, indented alike."""
    name, rows = "", dict[str, str]()
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.startswith("["):
            if name:
                yield name, rows
            name, rows = line.strip("[]"), {}
            continue
        assert line.startswith("    ") and line[4] != " "
        key, _, value = line.strip().partition(" ")
        assert key not in rows and value.strip()
        rows[key] = value.strip()
    yield name, rows


def test_fluent_bit() -> None:
    found = {}
    for section, rows in sections((SHIPPERS / "fluent-bit.conf").read_text()):
        kind = f"{section} {rows['name']}" if "name" in rows else section
        known = KNOWN["fluent-bit"]["sections"][kind]
        assert set(rows) <= set(known), f"no option of Fluent Bit: {set(rows) - set(known)}"
        found[section] = rows
    assert set(found) == {"SERVICE", "INPUT", "OUTPUT"}
    assert found["OUTPUT"]["match"] == found["INPUT"]["tag"]
    assert int(found["INPUT"]["buffer_max_size"].removesuffix("M")) * 2**20 > MAX_LINE
    assert found["INPUT"]["read_from_head"] == "true" and "db" in found["INPUT"]
    assert found["OUTPUT"]["tls.verify"] == found["OUTPUT"]["tls.verify_hostname"] == "on"


def test_rotated_names_are_among_those_read() -> None:
    config = tomllib.loads((SHIPPERS / "vector.toml").read_text())
    patterns = config["sources"]["relay_shell"]["include"]
    paths = dict(sections((SHIPPERS / "fluent-bit.conf").read_text()))["INPUT"]["path"].split(",")
    assert patterns == paths
    for name in ("audit.jsonl", "audit.jsonl-20260131-1769860800", "audit.jsonl-20260131-1-1"):
        assert any(fnmatchcase(f"/var/log/relay-shell/{name}", p) for p in patterns)
