"""What docker(1) may be asked by an enforced command: its daemon's socket is the whole host.

docker(1) takes options before its verb that say which daemon is asked, and some whose value could
be the word that looks like the verb; and `docker --version exec` obeys the verb. Hence the verb is
the first word. Not the configuration of the worker's account, which may name another daemon. Of its
plugins, which are programs of their own, only compose, as far as it reads no project's file: that
may fetch others and run programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..wire.errors import RelayError
from .question import Query, words

PROJECT_VERBS = words("ps logs top images")
"""Verbs of compose that are asked about one project, by "-p NAME" in front of them; without, they
would look for its file, where the worker has none to look at."""

ALONE = words("--version -v --help")
"""What may stand for a verb, if nothing follows."""

PS = frozenset(("top", "container top"))
"""Verbs whose words from the second operand on are ps(1)'s options, which only tell."""

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _pairs(group: str, verbs: str) -> frozenset[str]:
    return frozenset(f"{group} {verb}" for verb in verbs.split())


DOCKER = Query(
    frozenset(
        words("ps images info version top port diff history logs inspect stats events")
        | _pairs("container", "ls list ps inspect logs stats top port diff")
        | _pairs("image", "ls list inspect history")
        | _pairs("network", "ls list inspect")
        | _pairs("volume", "ls list inspect")
        | _pairs("system", "df info events")
        | _pairs("node", "ls list ps inspect")
        | _pairs("service", "ls list ps logs inspect")
        | _pairs("stack", "ls list ps services")
        | _pairs("plugin", "ls list inspect")
        | _pairs("config", "ls list inspect")
        | _pairs("secret", "ls list inspect")
        | _pairs("compose", "ls version")
    ),
    words(
        """-a --all -q --quiet -s --size -l --latest -t --timestamps -v --verbose --details
        --digests --follow --no-trunc --no-stream --no-resolve --no-task-ids --pretty --raw
        --tree --human --services --orphans --no-color --no-log-prefix --short --help"""
    ),
    words(
        """--filter --format -n --last --tail --since --until --type --platform --status
        --index"""
    ),
    ("--config", "/usr/lib/relay-shell/query"),
    optional=words("-f"),
    first=True,
    daemon="/run/docker.sock",
)

PODMAN = Query(
    frozenset(),
    frozenset(),
    frozenset(),
    (),
    never="podman has no daemon to ask and opens its storage for writing even to list; ps,"
    " systemctl list-units 'libpod-*' and journalctl CONTAINER_NAME=... tell of its containers",
)


def verb(query: Query, argv: Sequence[str]) -> int:
    """How many words behind the program's name are its verb.

    Raises:
        RelayError: kind Denied, with what may be asked instead.
    """
    program, verbs = argv[0], query.verbs or frozenset()
    if len(argv) == 1:
        return 0
    if len(argv) == 2 and argv[1] in ALONE:
        return 1
    for length in (1, 2):
        if " ".join(argv[1 : 1 + length]) in verbs:
            return length
    match argv[1:5]:
        case ["compose", "-p" | "--project-name", project, name] if name in PROJECT_VERBS:
            if _PROJECT.fullmatch(project):
                return 4
            reason = f"{project[:64]!r} is no project's name"
        case ["compose", *_]:
            known = ", ".join(sorted(PROJECT_VERBS))
            reason = f"of {program} compose, `ls` and `-p PROJECT` with {known} are questions"
        case [option, *_] if option.startswith("-"):
            reason = f"{program} {option} in front of a verb is not for questions"
        case given:
            group = {name.partition(" ")[2] for name in verbs if name.startswith(f"{given[0]} ")}
            asked = " ".join([program, *given[: 2 if group else 1]])
            known = ", ".join(sorted(group or {name for name in verbs if name.isalpha()}))
            reason = f"{asked} is not a question ({known} are)"
    raise RelayError("Denied", reason=reason)
