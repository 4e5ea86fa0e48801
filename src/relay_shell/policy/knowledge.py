"""The knowledge base: one TOML file per command family, read on first use.

Files shipped with the package are found through an index of program names; files of the
operator in `commands.d` are read wholly and win over them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from .spec import Spec, SpecError, compile_spec

OPERATOR_DIRECTORY = Path("/etc/relay-shell/commands.d")


# Programs that Debian installs under a name with their version.
_VERSIONED = re.compile(
    r"(php-fpm|php|python3|python|perl|ruby|lua|gcc|g\+\+|cpp|clang|tclsh|postgres|go)-?\d+(?:\.\d+)*"
)


class Knowledge:
    """Specs by program name; tables are compiled when first asked for."""

    def __init__(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        self._tables = dict(tables)
        self._specs: dict[str, Spec] = {}

    def __len__(self) -> int:
        return len(self._tables)

    def names(self) -> list[str]:
        """All known programs, sorted."""
        return sorted(self._tables)

    def get(self, name: str) -> Spec | None:
        """The spec of a program, following `same`."""
        spec = self._specs.get(name)
        if spec is not None:
            return spec
        table = self._tables.get(name)
        if table is None:
            match = _VERSIONED.fullmatch(name)
            return self.get(match.group(1)) if match else None
        other = table.get("same")
        if isinstance(other, str) and other != name:
            base = self._tables.get(other)
            if base is None:
                raise SpecError(f"{name}: same as unknown program {other!r}")
            merged = {**base, **{key: v for key, v in table.items() if key != "same"}}
            spec = compile_spec(name, merged)
        else:
            spec = compile_spec(name, table)
        self._specs[name] = spec
        return spec

    def extended(self, tables: Mapping[str, Mapping[str, object]]) -> Knowledge:
        """This base with further tables, which win."""
        return Knowledge({**self._tables, **tables})


def read_tables(text: str, origin: str) -> dict[str, Mapping[str, object]]:
    """Tables by program name of one command file; a heading may name several programs.

    Subcommand tables of the first of several (`[docker.sub.ps]` after `["docker podman"]`)
    belong to all of them.

    Raises:
        SpecError: with the origin and the reason.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin}: {error}") from None
    tables: dict[str, Mapping[str, object]] = {}
    groups: dict[str, list[str]] = {}
    for heading, table in document.items():
        if not isinstance(table, dict):
            raise SpecError(f"{origin}: {heading} is not a table")
        names = heading.split()
        if heading in groups and set(table) == {"sub"}:
            for name in groups[heading]:
                base = tables[name]
                assert isinstance(base, dict)
                tables[name] = {**base, "sub": {**base.get("sub", {}), **table["sub"]}}
            continue
        for name in names:
            if name in tables:
                raise SpecError(f"{origin}: {name} is described twice")
            tables[name] = table
        if len(names) > 1:
            groups[names[0]] = names
    return tables


def builtin_tables() -> dict[str, Mapping[str, object]]:
    """All tables shipped with the package."""
    tables: dict[str, Mapping[str, object]] = {}
    for entry in sorted((Path(__file__).parent / "data").iterdir()):
        if entry.suffix == ".toml":
            found = read_tables(entry.read_text(encoding="utf-8"), entry.name)
            twice = tables.keys() & found.keys()
            if twice:
                raise SpecError(
                    f"{entry.name}: described elsewhere too: {', '.join(sorted(twice))}"
                )
            tables.update(found)
    return tables


def operator_tables(directory: Path = OPERATOR_DIRECTORY) -> dict[str, Mapping[str, object]]:
    """Tables of the operator's files, in order of file name; later files win.

    Raises:
        SpecError: for the first file that cannot be used.
    """
    tables: dict[str, Mapping[str, object]] = {}
    if not directory.is_dir():
        return tables
    for path in sorted(directory.glob("*.toml")):
        found = read_tables(path.read_text(encoding="utf-8"), str(path))
        for name, table in found.items():
            compile_spec(name, table)
        tables.update(found)
    return tables


class _Current:
    """The base in use."""

    knowledge: Knowledge | None = None
    shipped: Knowledge | None = None


def load(directory: Path = OPERATOR_DIRECTORY) -> Knowledge:
    """Read the shipped files and the operator's, and make the result the current base.

    Raises:
        SpecError: when an operator file cannot be used; the current base stays.
    """
    own, builtin = operator_tables(directory), builtin_tables()
    found = Knowledge({**builtin, **own})
    _Current.knowledge, _Current.shipped = found, Knowledge(builtin) if own else found
    return found


def current() -> Knowledge:
    """The base in use, read on first need."""
    return load() if _Current.knowledge is None else _Current.knowledge


def shipped() -> Knowledge:
    """The base in use without the operator's files; the same object where there are none."""
    found = current()
    return _Current.shipped or found
