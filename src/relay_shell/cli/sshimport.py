"""`relay-shell ssh import`: an inventory made from a configuration of ssh(1).

`ssh -G` says what the configuration means for a host, so that OpenSSH itself reads it. What an
inventory cannot say is named beside the host.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..config.generate import toml
from ..ssh.inventory import Host, parse
from ..ssh.names import address_fault, canonical, name_fault, user_fault
from ..wire.errors import RelayError
from .openssh import fingerprint
from .openssh import run as openssh
from .term import safe

Options = dict[str, list[str]]
"""What `ssh -G` prints: the values of each keyword, which is in lower case."""

TAKEN = frozenset(
    "host hostname user port proxyjump proxycommand identityfile hostkeyalias".split()
)
"""Keywords that have their place in an inventory."""

NO_MATTER = frozenset(
    "addkeystoagent batchmode checkhostip compression connectionattempts connecttimeout "
    "controlmaster controlpath controlpersist escapechar exitonforwardfailure "
    "globalknownhostsfile hashknownhosts identitiesonly identityagent ipqos loglevel "
    "numberofpasswordprompts passwordauthentication preferredauthentications rekeylimit "
    "requesttty sendenv serveralivecountmax serveraliveinterval syslogfacility tcpkeepalive "
    "updatehostkeys userknownhostsfile visualhostkey xauthlocation".split()
)
"""Keywords of how an interactive ssh behaves, and of what our own settings say."""

LIMIT = 1 << 20
"""Characters of one file that are looked through for names."""
MOST_NAMES = 4096
DEEPEST = 16
"""Files that include each other: as ssh(1) has it."""

_LINE = re.compile(r"\s*(host|include)(?:\s*=\s*|\s+)(.+)", re.IGNORECASE)
_BARE = re.compile(r"[\w-]+", re.ASCII)
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d+))?"
)


class Entry(NamedTuple):
    """One host, and what is to be said of it."""

    host: Host
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    """Why it cannot be used as it is; it is printed as a comment then."""


def run(args: argparse.Namespace) -> int:
    """Print the inventory."""
    source = args.config or "your configuration of ssh(1)"
    names = args.host or list(_named(args.config))
    if not names:
        error = RelayError("NotFound", reason=f"no host is named in {safe(source)}")
        error.next_step = "Name the hosts: relay-shell ssh import web1 web2"
        raise error
    maker = _Maker(args.config, names)
    for name in names:
        maker.add(name)
    text = "\n".join([f"# From {safe(source)}, by 'relay-shell ssh import'.\n", *maker.printed()])
    print(text, end="")
    try:
        parse(text, "the inventory above")
    except RelayError as error:
        error.next_step = "Correct these; then 'relay-shell config check' tests the file."
        raise
    return 0


class _Maker:
    """Collects entries, jump hosts before the hosts behind them."""

    def __init__(self, config: str | None, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._config = ["-F", config] if config else []
        self._plain = _options(["-F", "none"], "localhost")
        self._entries: dict[str, Entry] = {}
        self._making: list[str] = []

    def printed(self) -> Iterator[str]:
        """The tables, in the order in which they were made."""
        for entry in self._entries.values():
            yield _table(entry)

    def add(self, name: str, user: str = "", port: str = "", via: str | None = None) -> str:
        """Make the entry of a host, and return its name in the inventory.

        Args:
            user: in the place of the configuration's.
            port: in the place of the configuration's.
            via: the host before it, in the place of the configuration's.
        """
        options = _options(self._config, name, user, port)
        notes: list[str] = []
        faults: list[str] = []
        jump = via or ""
        self._making.append(name)
        if via is None:
            jump = self._jump(name, options, faults)
        self._making.pop()
        address = _one(options, "hostname") or name
        host = Host(
            f"ip6-{name.replace(':', '-')}" if ":" in name else name,
            canonical(address),
            int(_one(options, "port") or "22"),
            _one(options, "user"),
            jump,
            (),
            self._key(options, notes),
            canonical(_one(options, "hostkeyalias")),
            "",
        )
        if not user and host.user == _one(self._plain, "user"):
            notes.append("nothing says another user than the one who ran this")
        checks = (name_fault(host.name), address_fault(address), user_fault(host.user))
        faults += filter(None, (*checks, host.host_key and address_fault(host.host_key)))
        notes += self._left(options)
        return self._keep(Entry(host, tuple(notes), tuple(faults)))

    def _keep(self, entry: Entry) -> str:
        name, number = entry.host.name, 1
        while name in self._entries:
            if self._entries[name].host == entry.host._replace(name=name):
                return name
            number += 1
            name = f"{entry.host.name}-{number}"
        self._entries[name] = entry._replace(host=entry.host._replace(name=name))
        return name

    def _jump(self, name: str, options: Options, faults: list[str]) -> str:
        """The host before one, with those before it; "" for none."""
        command = _one(options, "proxycommand")
        hops = _one(options, "proxyjump")
        if command and command != "none":
            hops = _forwarding(command)
            if not hops:
                faults.append(f"ProxyCommand {safe(command)[:200]}: give it a jump host instead")
        via: str | None = None
        for hop in hops.split(",") if hops and hops != "none" else ():
            said = _HOP.fullmatch(hop.strip())
            if said is None:
                faults.append(f"ProxyJump {safe(hop)[:200]} is not understood")
                return ""
            host = said["six"] or said["host"]
            if via is None and host in self._making:
                # "Host *" with a jump means the jump host too; ssh(1) goes to it directly.
                continue
            if host in self._names and host not in self._making:
                # As itself it has the name, and another on the way to something a number.
                self.add(host)
            via = self.add(host, said["user"] or "", said["port"] or "", via)
        return via or ""

    def _key(self, options: Options, notes: list[str]) -> str:
        files = options.get("identityfile", [])
        if files == self._plain.get("identityfile"):
            return ""
        if len(files) == 1:
            found = fingerprint(Path(files[0]).expanduser())
            if found:
                notes.append(f"key: {safe(files[0])}; the agent of keys must hold it")
                return found
        notes.append(
            f"keys: {safe(', '.join(files))}; whichever of them the agent of keys holds is offered"
        )
        return ""

    def _left(self, options: Options) -> Iterator[str]:
        """What the configuration says and an inventory cannot."""
        for keyword, values in options.items():
            if keyword in TAKEN | NO_MATTER or keyword.startswith(("canonical", "gssapi")):
                continue
            if values == self._plain.get(keyword):
                continue
            said = safe(", ".join(values))[:120]
            if keyword == "stricthostkeychecking":
                yield f"{keyword} {said} is not taken over: host keys are always checked"
            else:
                yield f"{keyword} {said} is not taken over"


def _options(config: list[str], name: str, user: str = "", port: str = "") -> Options:
    """What ssh(1) would do.

    Raises:
        RelayError: Config, with what it says of the configuration or of the name.
    """
    given = [*(("-l", user) if user else ()), *(("-p", port) if port else ())]
    done = openssh("ssh", "-G", *config, *given, "--", name)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["ssh -G failed"]
        error = RelayError("Config", reason=f"{safe(name)}: {safe(said[0])}")
        error.next_step = f"Try it by hand: ssh -G {shlex.quote(name)}"
        raise error
    found: Options = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), []).append(value)
    return found


def _one(options: Options, keyword: str) -> str:
    return options.get(keyword, [""])[0]


def _forwarding(command: str) -> str:
    """The host of `ssh -W %h:%p HOST`, which is a jump by its old name; "" for what is not."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    if words[:1] == ["exec"]:
        del words[0]
    if not words or os.path.basename(words[0]) != "ssh":
        return ""
    rest = [word for word in words[1:] if word not in ("-q", "-T", "-x", "-a")]
    for form in (["-W", "%h:%p"], ["-W", "[%h]:%p"], ["-W%h:%p"]):
        size = len(form)
        if len(rest) == size + 1 and form in (rest[:size], rest[1:]):
            host = rest[size] if rest[:size] == form else rest[0]
            return "" if host.startswith("-") or "," in host else host
    return ""


def _table(entry: Entry) -> str:
    host = entry.host
    lines = [f"# {note}" for note in entry.notes]
    rows = [f"[host.{host.name if _BARE.fullmatch(host.name) else toml(host.name)}]"]
    if host.address != host.name:
        rows.append(f"address = {toml(host.address)}")
    rows.append(f"user = {toml(host.user)}")
    if host.port != 22:
        rows.append(f"port = {host.port}")
    for key in ("jump", "key", "host_key"):
        if value := getattr(host, key):
            rows.append(f"{key} = {toml(value)}")
    if entry.faults:
        lines += [f"# not usable as it is: {fault}" for fault in entry.faults]
        rows = [f"#{row}" for row in rows]
    return "\n".join(safe(line) for line in (*lines, *rows)) + "\n"


def _named(config: str | None) -> Iterator[str]:
    """The hosts that a configuration names by name, each once, in its order."""
    home = os.path.expanduser("~/.ssh")
    found: dict[str, None] = {}
    if config:
        words = _patterns(config, home)
    else:
        own, system = f"{home}/config", "/etc/ssh/ssh_config"
        words = chain(
            _patterns(own, home) if os.path.exists(own) else (),
            _patterns(system, "/etc/ssh") if os.path.exists(system) else (),
        )
    for word in words:
        if len(found) < MOST_NAMES and not any(char in word for char in "*?!"):
            found[word] = None
    yield from found


def _patterns(path: str, base: str, depth: int = 0) -> Iterator[str]:
    """The words of each Host line of a file, and of those that it includes from `base`."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(LIMIT).splitlines()
    for line in lines:
        said = _LINE.fullmatch(line)
        if said is None:
            continue
        try:
            words = shlex.split(said[2], comments=True)
        except ValueError:
            continue
        if said[1].lower() == "host":
            yield from words
        elif depth < DEEPEST:
            for word in words:
                for name in sorted(glob.glob(os.path.join(base, os.path.expanduser(word)))):
                    yield from _patterns(name, base, depth + 1)
