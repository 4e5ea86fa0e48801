"""Where other shells read text otherwise than bash, which the parser follows.

Text may be harmless to bash and not to the shell that runs it: to dash `$'a\\'; rm x #'` is a
string followed by a command. POSIX.1-2024 sh, dash(1), zshexpn(1).
"""

from __future__ import annotations

import re

ANY = "any"
"""A login shell that is not known; see `portable`."""

EXACT = frozenset(("bash", "rbash"))
POSIX = frozenset(("sh", "dash", "ash", "posh"))
_DIFFERS = re.compile(
    r"""\$['"]|<<<|&>|>&\s*[^\s\d&-]|\|&|[<>]\(|\[\[|(?<!\$)\(\(|\{[^{}\s]*(?:,|\.\.)|\bfunction\s"""
    r"|\b(?:coproc|select|declare|typeset|mapfile|readarray|let|source|pushd|popd|shopt|enable)\s"
    r"|\w\+?=\(|\w\+=|\$\{[!]|\$\{\w+(?:\[|:\s*\d|:\s+-|//?|\^|,|@)|\$\[|\{\w+\}[<>]"
)


def doubt(text: str, shell: str) -> str:
    """Why the verdict for bash may not hold for the shell, or nothing."""
    if shell in EXACT:
        return ""
    if shell not in POSIX:
        return f"`{shell}` reads text in ways that are not judged"
    match = _DIFFERS.search(text)
    return (
        f"`{match.group().strip()}` means something else to {shell} than to bash" if match else ""
    )
