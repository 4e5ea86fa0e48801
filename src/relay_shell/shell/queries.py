"""Read-only questions that an enforced command may put to daemons and about the host.

An enforced command has no unix sockets, so systemctl(1) and its kin cannot reach D-Bus from
inside, nor docker(1) its daemon; what it sees of processes, mounts and accounts is less than there
is (`hostqueries`). Their names lead to a small program that passes its arguments and standard
streams to the worker, which runs the real program only if the arguments are a question. The tables
list what is known to ask; everything else is refused, unknown options included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..wire.errors import RelayError
from . import dockerqueries
from .hostqueries import HOST
from .question import Query, words

_QUIET = ("--no-pager",)

QUERIES: dict[str, Query] = {
    "systemctl": Query(
        words(
            """status show cat list-units list-unit-files list-sockets list-timers list-jobs
            list-paths list-automounts list-dependencies list-machines is-active is-enabled
            is-failed is-system-running get-default show-environment whoami"""
        )
        | {""},
        words(
            """-l --full -a --all -r --recursive --reverse --after --before --with-dependencies -q
            --quiet --failed --plain --no-legend --no-pager --value --system --show-types -h --help
            --version --no-ask-password"""
        ),
        words("-t --type --state -p --property -P -n --lines -o --output --legend --timestamp"),
        ("--no-pager", "--no-ask-password"),
    ),
    "loginctl": Query(
        words(
            """list-sessions session-status show-session list-users user-status show-user
            list-seats seat-status show-seat"""
        )
        | {""},
        words("-a --all -l --full --no-pager --no-legend --value --version -h --help"),
        words("-p --property -P -n --lines -o --output"),
        (*_QUIET, "--no-ask-password"),
    ),
    "hostnamectl": Query(
        words("status") | {""},
        words("--static --transient --pretty --version -h --help"),
        words("--json"),
        ("--no-ask-password",),
    ),
    "timedatectl": Query(
        words("status show list-timezones timesync-status show-timesync") | {""},
        words("-a --all --value --no-pager --version -h --help"),
        words("-p --property -P"),
        (*_QUIET, "--no-ask-password"),
    ),
    "localectl": Query(
        words("status list-locales list-keymaps") | {""},
        words("-l --full --no-pager --version -h --help"),
        frozenset(),
        (*_QUIET, "--no-ask-password"),
    ),
    "networkctl": Query(
        words("list status lldp") | {""},
        words("-a --all -s --stats -l --full --no-pager --no-legend --version -h --help"),
        words("-n --lines --json"),
        _QUIET,
    ),
    "resolvectl": Query(
        words("status statistics dns domain") | {""},
        words("--no-pager --version -h --help"),
        frozenset(),
        _QUIET,
    ),
    "busctl": Query(
        words("list status tree introspect get-property") | {""},
        words(
            """--system --unique --acquired --activatable --show-machine --no-pager --no-legend
            --list -l --full --version -h --help"""
        ),
        words("--json"),
        (*_QUIET, "--auto-start=no"),
    ),
    "systemd-analyze": Query(
        words(
            """time blame critical-chain unit-paths timestamp timespan calendar security
            dump dot plot condition"""
        )
        | {""},
        words("--system --no-pager --version -h --help -q --quiet"),
        frozenset(),
        _QUIET,
    ),
    "docker": dockerqueries.DOCKER,
    "podman": dockerqueries.PODMAN,
    **HOST,
}

_NAMES_ONLY = {("resolvectl", "dns"): 1, ("resolvectl", "domain"): 1}
"""Verbs that show with this many operands and change something with more."""

_BOOLEAN = ("true", "false")
"""Values that docker(1)'s flags may be given: --no-trunc=true."""

MAX_WORDS = 256
MAX_LENGTH = 16_384


def admit(argv: Sequence[str]) -> list[str]:
    """Return the argument vector to run for a question.

    Args:
        argv: the program's bare name and its arguments.

    Raises:
        RelayError: kind Denied, with what would not be a question.
    """
    query = QUERIES.get(argv[0]) if argv else None
    if query is None:
        raise RelayError("Denied", reason="not a program that answers questions here")
    if query.never:
        raise RelayError("Denied", reason=query.never)
    if len(argv) > MAX_WORDS or sum(map(len, argv)) > MAX_LENGTH:
        raise RelayError("Denied", reason="the question is too long")
    if query.first:
        return _by_first(query, argv)
    operands: list[str] = []
    given: set[str] = set()
    rest = iter(argv[1:])
    for word in rest:
        if word == "--":
            operands += rest
        elif word.startswith("--"):
            given.add(_long(argv[0], query, word, rest))
        elif word.startswith("-") and word != "-":
            given |= _short(argv[0], query, word, rest)
        else:
            operands.append(word)
    verb = operands[0] if operands else ""
    if query.needs and not query.needs & given:
        needed = " or ".join(sorted(query.needs))
        raise RelayError("Denied", reason=f"{argv[0]} without {needed} is not a question")
    if query.words is not None:
        for word in operands:
            if not re.fullmatch(query.words, word):
                raise RelayError("Denied", reason=f"{argv[0]} {word} is not a question")
    if query.verbs is not None and verb not in query.verbs:
        raise RelayError("Denied", reason=f"{argv[0]} {verb} is not a question")
    if len(operands) - 1 > _NAMES_ONLY.get((argv[0], verb), MAX_WORDS):
        raise RelayError("Denied", reason=f"{argv[0]} {verb} with a value is not a question")
    return [argv[0], *query.always, *argv[1:]]


def _by_first(query: Query, argv: Sequence[str]) -> list[str]:
    length = dockerqueries.verb(query, argv)
    rest = iter(argv[1 + length :])
    for word in rest:
        if word.startswith("--") and word != "--":
            _long(argv[0], query, word, rest)
        elif word.startswith("-") and word not in ("-", "--"):
            _short(argv[0], query, word, rest)
        elif word == "--" or " ".join(argv[1 : 1 + length]) in dockerqueries.PS:
            break
    return [argv[0], *query.always, *argv[1:]]


def _long(program: str, query: Query, word: str, rest: Iterator[str]) -> str:
    """Judge a long option, with its value; its name."""
    name, equals, value = word.partition("=")
    if name in query.values:
        _value(program, query, name, value if equals else next(rest, None))
    elif name not in query.flags or (equals and not (query.first and value in _BOOLEAN)):
        # getopt_long(3) takes any unambiguous prefix; only full names are in the tables.
        raise RelayError("Denied", reason=f"{program} {name} is not for questions")
    return name


def _short(program: str, query: Query, word: str, rest: Iterator[str]) -> set[str]:
    """Judge a cluster of short options, with the last one's value; their names."""
    given: set[str] = set()
    letters = word[1:]
    while letters:
        option, letters = f"-{letters[0]}", letters[1:]
        given.add(option)
        if option in query.values:
            _value(program, query, option, letters or next(rest, None))
            break
        if option in query.optional:
            # Not attached, the value is a word like others: either way nothing but what is asked.
            break
        if option not in query.flags:
            raise RelayError("Denied", reason=f"{program} {option} is not for questions")
    return given


def _value(program: str, query: Query, option: str, value: str | None) -> None:
    if value is None:
        raise RelayError("Denied", reason=f"{program} {option} lacks its value")
    if option in query.located and not value.startswith("/"):
        raise RelayError("Denied", reason=f"{program} {option} with a relative path")
