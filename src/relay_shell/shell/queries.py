"""Read-only questions that an enforced command may put to daemons and about processes.

An enforced command has no unix sockets, so systemctl(1) and its kin cannot reach D-Bus from
inside, nor docker(1) its daemon; and since it may not look at other processes, lsof(8) and ss(8)
find nobody there. Their names lead to a small program that passes its arguments and standard
streams to the worker, which runs the real program only if the arguments are a question. The tables
list what is known to ask; everything else is refused, unknown options included. (lsof and ss,
refused, run confined.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..wire.errors import RelayError


class Query(NamedTuple):
    """One program's questions.

    Attributes:
        verbs: words that may come first; "" stands for no word at all; None where words are not
            verbs but what is asked about.
        first: the verb is the first word, and may be of two ("image ls"): options in front of it
            could take it for their value.
        flags: options without a value; values: options that take one.
        always: options that are put in front whatever was asked.
        optional: options whose value, if any, may be attached.
        paths: words are paths (":443" and "@host" aside, which lsof's -i takes); to the worker a
            relative one means another file.
    """

    verbs: frozenset[str] | None
    flags: frozenset[str]
    values: frozenset[str]
    always: tuple[str, ...]
    optional: frozenset[str] = frozenset()
    paths: bool = False
    first: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(group: str, verbs: str) -> frozenset[str]:
    return frozenset(f"{group} {verb}" for verb in verbs.split())


_QUIET = ("--no-pager",)

QUERIES: dict[str, Query] = {
    "systemctl": Query(
        _words(
            """status show cat list-units list-unit-files list-sockets list-timers list-jobs
            list-paths list-automounts list-dependencies list-machines is-active is-enabled
            is-failed is-system-running get-default show-environment whoami"""
        )
        | {""},
        _words(
            """-l --full -a --all -r --recursive --reverse --after --before --with-dependencies -q
            --quiet --failed --plain --no-legend --no-pager --value --system --show-types -h --help
            --version --no-ask-password"""
        ),
        _words("-t --type --state -p --property -P -n --lines -o --output --legend --timestamp"),
        ("--no-pager", "--no-ask-password"),
    ),
    "loginctl": Query(
        _words(
            """list-sessions session-status show-session list-users user-status show-user
            list-seats seat-status show-seat"""
        )
        | {""},
        _words("-a --all -l --full --no-pager --no-legend --value --version -h --help"),
        _words("-p --property -P -n --lines -o --output"),
        (*_QUIET, "--no-ask-password"),
    ),
    "hostnamectl": Query(
        _words("status") | {""},
        _words("--static --transient --pretty --version -h --help"),
        _words("--json"),
        ("--no-ask-password",),
    ),
    "timedatectl": Query(
        _words("status show list-timezones timesync-status show-timesync") | {""},
        _words("-a --all --value --no-pager --version -h --help"),
        _words("-p --property -P"),
        (*_QUIET, "--no-ask-password"),
    ),
    "localectl": Query(
        _words("status list-locales list-keymaps") | {""},
        _words("-l --full --no-pager --version -h --help"),
        frozenset(),
        (*_QUIET, "--no-ask-password"),
    ),
    "networkctl": Query(
        _words("list status lldp") | {""},
        _words("-a --all -s --stats -l --full --no-pager --no-legend --version -h --help"),
        _words("-n --lines --json"),
        _QUIET,
    ),
    "resolvectl": Query(
        _words("status statistics dns domain") | {""},
        _words("--no-pager --version -h --help"),
        frozenset(),
        _QUIET,
    ),
    "busctl": Query(
        _words("list status tree introspect get-property") | {""},
        _words(
            """--system --unique --acquired --activatable --show-machine --no-pager --no-legend
            --list -l --full --version -h --help"""
        ),
        _words("--json"),
        (*_QUIET, "--auto-start=no"),
    ),
    "systemd-analyze": Query(
        _words(
            """time blame critical-chain unit-paths timestamp timespan calendar security
            dump dot plot condition"""
        )
        | {""},
        _words("--system --no-pager --version -h --help -q --quiet"),
        frozenset(),
        _QUIET,
    ),
    "lsof": Query(
        None,
        _words("-a -b -h -l -n -N -O -P -R -t -U -v -V -w"),
        _words("-c -d -p -u"),
        (),
        _words("-F -g -i -L -o -s -S -T"),
        paths=True,
    ),
    # Not -K (kills), -D and -F (files), -N (another namespace).
    "ss": Query(
        None,
        _words(
            """-h --help -V --version -H --no-header -n --numeric -r --resolve -a --all -l
            --listening -o --options -e --extended -m --memory -p --processes -i --info -s --summary
            -4 --ipv4 -6 --ipv6 -0 --packet -t --tcp -u --udp -d --dccp -w --raw -x --unix
            -S --sctp --tipc --vsock -Z --context -z --contexts -b --bpf -O --oneline -T --threads
            --tos --cgroup -B --bound-inactive -M --mptcp"""
        ),
        _words("-f --family -A --query --socket"),
        (),
    ),
    # docker(1) takes options before its verb that say which daemon is asked, and some whose value
    # could be the word that looks like the verb; hence `first`. Not compose, buildx and other
    # plugins, which are programs of their own; and not the configuration of the worker's account,
    # which may name another daemon.
    "docker": Query(
        frozenset(
            _words("ps images info version top port diff history logs inspect stats events")
            | _words("--version -v")
            | _pairs("container", "ls list ps inspect logs stats top port diff")
            | _pairs("image", "ls list inspect history")
            | _pairs("network", "ls list inspect")
            | _pairs("volume", "ls list inspect")
            | _pairs("system", "df info events")
            | _pairs("node", "ls list ps inspect")
            | _pairs("service", "ls list ps logs inspect")
            | _pairs("stack", "ls list ps services")
        )
        | {""},
        _words(
            """-a --all -q --quiet -s --size -l --latest -t --timestamps -v --verbose --details
            --digests --follow --no-trunc --no-stream --no-resolve --no-task-ids --pretty --raw
            --tree --help"""
        ),
        _words("--filter --format -n --last --tail --since --until --type --platform"),
        ("--config", "/usr/lib/relay-shell/query"),
        optional=_words("-f"),
        first=True,
    ),
}

_NAMES_ONLY = {("resolvectl", "dns"): 1, ("resolvectl", "domain"): 1}
"""Verbs that show with this many operands and change something with more."""

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
    if len(argv) > MAX_WORDS or sum(map(len, argv)) > MAX_LENGTH:
        raise RelayError("Denied", reason="the question is too long")
    if query.first:
        return _by_first(query, argv)
    operands: list[str] = []
    words = iter(argv[1:])
    for word in words:
        if word == "--":
            operands += words
        elif word.startswith("--"):
            _long(argv[0], query, word, words)
        elif word.startswith("-") and word != "-":
            _short(argv[0], query, word, words)
        else:
            operands.append(word)
    verb = operands[0] if operands else ""
    if query.paths and not all(word.startswith(("/", ":", "@")) for word in operands):
        raise RelayError("Denied", reason=f"{argv[0]} with a relative path is not a question")
    if query.verbs is not None and verb not in query.verbs:
        raise RelayError("Denied", reason=f"{argv[0]} {verb} is not a question")
    if len(operands) - 1 > _NAMES_ONLY.get((argv[0], verb), MAX_WORDS):
        raise RelayError("Denied", reason=f"{argv[0]} {verb} with a value is not a question")
    return [argv[0], *query.always, *argv[1:]]


def _by_first(query: Query, argv: Sequence[str]) -> list[str]:
    verb, length = "", 0
    for length in (1, 2):
        verb = " ".join(argv[1 : 1 + length])
        if query.verbs is not None and verb in query.verbs:
            break
    else:
        asked = next((word for word in argv[1:] if not word.startswith("-")), "")
        raise RelayError("Denied", reason=f"{argv[0]} {asked} is not a question")
    words = iter(argv[1 + length :])
    for word in words:
        if word == "--":
            break
        if word.startswith("--"):
            _long(argv[0], query, word, words)
        elif word.startswith("-") and word != "-":
            _short(argv[0], query, word, words)
    return [argv[0], *query.always, *argv[1:]]


def _long(program: str, query: Query, word: str, words: Iterator[str]) -> None:
    name, equals, _ = word.partition("=")
    if name in query.values:
        if not equals:
            _value(program, word, words)
    elif equals or name not in query.flags:
        # getopt_long(3) takes any unambiguous prefix; only full names are in the tables.
        raise RelayError("Denied", reason=f"{program} {name} is not for questions")


def _short(program: str, query: Query, word: str, words: Iterator[str]) -> None:
    rest = word[1:]
    while rest:
        option, rest = f"-{rest[0]}", rest[1:]
        if option in query.values:
            if not rest:
                _value(program, option, words)
            return
        if option in query.optional:
            # Not attached, the value is a word like others: either way nothing but what is asked.
            return
        if option not in query.flags:
            raise RelayError("Denied", reason=f"{program} {option} is not for questions")


def _value(program: str, option: str, words: Iterator[str]) -> None:
    if next(words, None) is None:
        raise RelayError("Denied", reason=f"{program} {option} lacks its value")
