"""Files and environment to settings: everything is checked before anything is used."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .check import fit, from_env
from .document import parse_file
from .errors import ConfigError, Problem
from .lines import line_of
from .relations import broken
from .settings import DEFAULT, Settings
from .table import DROP_INS, FILE, PREFIX, RESERVED, SECTIONS, TABLE, env_name
from .trust import check_directory


def load(root: str | os.PathLike[str], environ: Mapping[str, str]) -> Settings:
    """Read the files below `root` and the environment; see `relay_shell.config.load`."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    places: dict[str, tuple[str, int]] = {}
    for path in _files(Path(root), problems):
        _take_file(path, values, places, problems)
    _take_environ(environ, values, places, problems)
    settings = Settings(values, {name: _source(*place) for name, place in places.items()})
    if not problems:
        for name, reason in broken(settings):
            where, line = places.get(name, (DEFAULT, 0))
            problems.append(Problem(where, line, f"{name} = {settings[name]!r}: {reason}"))
    if problems:
        raise ConfigError(problems)
    return settings


def _files(root: Path, problems: list[Problem]) -> Iterator[Path]:
    yield root / FILE
    drop_ins = root / DROP_INS
    try:
        check_directory(drop_ins)
        names = sorted(os.listdir(drop_ins))
    except FileNotFoundError:
        return
    except ValueError as error:
        problems.append(Problem(str(drop_ins), 0, str(error)))
        return
    except OSError as error:
        problems.append(Problem(str(drop_ins), 0, f"cannot be read: {error.strerror}"))
        return
    for name in names:
        # An editor's backup or dpkg's leftover is no drop-in; an unseen dot file is none either.
        if name.endswith(".toml") and not name.startswith("."):
            yield drop_ins / name


def _take_file(
    path: Path,
    values: dict[str, Any],
    places: dict[str, tuple[str, int]],
    problems: list[Problem],
) -> None:
    # A name that the directory lists is there, or a link to nothing.
    found = parse_file(path, problems, required=path.parent.name == DROP_INS)
    if found is None:
        return
    where, (document, lines) = str(path), found
    for section, content in document.items():
        line = line_of(lines, (section,))
        if section not in SECTIONS:
            problems.append(Problem(where, line, _unknown("section", section, list(SECTIONS))))
        elif not isinstance(content, dict):
            problems.append(Problem(where, line, f"{section!r} is a section: write [{section}]"))
        else:
            for key, value in content.items():
                line = line_of(lines, (section, key))
                _take(f"{section}.{key}", value, (where, line), values, places, problems)


def _take(
    name: str,
    value: Any,
    place: tuple[str, int],
    values: dict[str, Any],
    places: dict[str, tuple[str, int]],
    problems: list[Problem],
) -> None:
    setting = TABLE.get(name)
    if setting is None:
        problems.append(Problem(*place, _unknown("setting", name, list(TABLE))))
        return
    try:
        values[name] = fit(setting, value)
    except ValueError as error:
        problems.append(Problem(*place, f"{name} {error}"))
        return
    places[name] = place


def _take_environ(
    environ: Mapping[str, str],
    values: dict[str, Any],
    places: dict[str, tuple[str, int]],
    problems: list[Problem],
) -> None:
    names = {env_name(name): name for name in TABLE}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        name = names.get(variable)
        # A misspelt variable must not leave the operator with a mode he did not ask for.
        if name is None:
            problems.append(Problem(variable, 0, _unknown_variable(variable, list(names))))
            continue
        try:
            values[name] = from_env(TABLE[name], environ[variable])
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        places[name] = (f"env {variable}", 0)


def _unknown(what: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name[:128]!r}{hint}"


def _unknown_variable(variable: str, known: list[str]) -> str:
    # The prefix is common to all of them, and would make any two alike.
    after = {name.removeprefix(PREFIX): name for name in known}
    close = difflib.get_close_matches(variable.removeprefix(PREFIX), after, 1, cutoff=0.5)
    hint = f"did you mean {after[close[0]]!r}?" if close else "no setting has this name: unset it"
    return f"unknown variable {variable[:128]!r}; {hint}"


def _source(where: str, line: int) -> str:
    return f"{where}:{line}" if line else where
