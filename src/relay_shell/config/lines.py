"""The line on which each key of a TOML document stands; tomllib does not tell.

The document has been accepted by tomllib, so the scan need not be a parser: it only has to know
where a value that spans lines ends.
"""

from __future__ import annotations

import re

Path = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]\]?")
_SPLIT = re.compile(_PART)
_TOKEN = re.compile(r'''"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]|\n''')


def key_lines(text: str) -> dict[Path, int]:
    """Map each key path, table headers included, to the line of its first appearance.

    In an array of tables the index is a part of the path: ("rule", "0", "user").
    """
    found: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    at, line, depth = 0, 1, 0
    start = True
    while at < len(text):
        if start and not depth:
            rest = text[at : (text.find("\n", at) + 1 or len(text) + 1) - 1]
            if header := _HEADER.match(rest):
                table = _indexed(_parts(header[2]), arrays, new=header[1] == "[[")
                found.setdefault(table, line)
                # The header's brackets balance, and none of its parts spans lines.
                at += header.end()
            elif key := _KEY.match(rest):
                found.setdefault(table + _parts(key[1]), line)
                at += key.end()
        start = False
        token = _TOKEN.search(text, at)
        if token is None:
            break
        at, mark = token.end(), token[0]
        if mark == "\n":
            line += 1
            start = True
        elif mark in ('"""', "'''"):
            end = _close(text, at, mark)
            line += text.count("\n", at, end)
            at = end
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth = max(0, depth - 1)
    return found


def line_of(found: dict[Path, int], path: Path) -> int:
    """The line of a key, or of the nearest table around it; 0 if the scan saw neither."""
    for length in range(len(path), 0, -1):
        prefix = path[:length]
        if prefix in found:
            return found[prefix]
        # A dotted key names its tables without a line of their own.
        below = [line for key, line in found.items() if key[:length] == prefix]
        if below:
            return min(below)
    return 0


def _indexed(parts: Path, arrays: dict[Path, int], *, new: bool) -> Path:
    """The path of a header, with the index of each array of tables that it goes through."""
    path: Path = ()
    for at, part in enumerate(parts, 1):
        path += (part,)
        if new and at == len(parts):
            # Arrays below are reached through the index, so they begin anew by themselves.
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path += (str(arrays[path]),)
    return path


def _close(text: str, at: int, mark: str) -> int:
    while (end := text.find(mark, at)) >= 0:
        slashes = len(text[:end]) - len(text[:end].rstrip("\\")) if mark == '"""' else 0
        if slashes % 2 == 0:
            end += 3
            # Up to two more quotes may stand directly before the closing ones.
            while text.startswith(mark[0], end) and end < len(text):
                end += 1
            return end
        at = end + 1
    return len(text)


def _parts(dotted: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in _SPLIT.findall(dotted))
