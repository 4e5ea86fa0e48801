"""access.toml from its file: trusted and checked as a whole, or refused with every reason."""

from __future__ import annotations

import grp
import hashlib
import os
from pathlib import Path

from ..config import ROOT, ConfigError
from ..config.document import parse_file
from ..config.errors import Problem
from ..config.lines import line_of
from ..evidence import canonical
from ..policy.access import FILE, AccessRules
from ..policy.access_document import Known, parse, shadowed
from ..policy.toolgroups import GROUPS


def load_access(root: str | os.PathLike[str] = ROOT) -> AccessRules:
    """Read access.toml below `root`; without the file there are no rules. Reads NSS: not for the
    loop.

    Raises:
        ConfigError: with every problem found, each with file, line and reason.
    """
    path = Path(root) / FILE
    found: list[Problem] = []
    parsed = parse_file(path, found)
    if found:
        raise ConfigError(found)
    if parsed is None:
        return AccessRules()
    document, lines = parsed
    rules, problems = parse(document, Known(GROUPS, _gid), lambda place: line_of(lines, place))
    if problems:
        raise ConfigError(
            [Problem(str(path), line_of(lines, place), reason) for place, reason in problems]
        )
    rules.sha256 = hashlib.sha256(canonical.encode(document)).hexdigest()
    return rules


def lint(path: Path) -> list[str]:
    """What is wrong with a file of access rules, one line each. Reads NSS."""
    found: list[Problem] = []
    parsed = parse_file(path, found)
    if parsed is None:
        return [str(problem) for problem in found] or [f"{path}: no such file"]
    document, lines = parsed
    rules, problems = parse(document, Known(GROUPS, _gid), lambda place: line_of(lines, place))
    found = [Problem(str(path), line_of(lines, place), reason) for place, reason in problems]
    return [*map(str, found), *(f"{path}: warning: {text}" for text in shadowed(rules))]


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, OSError):
        return None
