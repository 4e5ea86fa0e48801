"""Which hosts the words of a command name: what rules on hosts are asked about.

Seen is what a command line says. Where a program finds its hosts elsewhere (its configuration, a
server's redirection) is not seen; where the words say that it does, or a word is known only when
the command runs, the host is an unknown one. Manual pages of the programs named below.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from urllib.parse import unquote

from .destination_words import Way, ways
from .hosts import canonical_host
from .model import UNKNOWN_HOST
from .options import Parsed, parse_options
from .spec import Spec
from .values import Arg, known

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/{2,3}([^/?#\\\s]*)([/?#\\]?)")
_WITHIN = re.compile(r"(?:[\w.+-]+[:=])*(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_NO_HOST = frozenset(("file", "unix", "fd", "npipe"))
_REMOTE = re.compile(r"((?:[^/\s@:]*@)?(?:\[[^\]/]*\]|[^/\s:]+)):")
_SETTING = re.compile(r"\s*([A-Za-z0-9]+)\s*[ =]\s*(.*)", re.DOTALL)
_CONNINFO = re.compile(r"\bhost(?:addr)?\s*=\s*'?([^'\s]*)")
_SOCAT = re.compile(
    r"(?:(?:TCP|UDP|SCTP|DCCP|UDPLITE)[46]?(?:-CONNECT|-SENDTO|-DATAGRAM)?|SSL|OPENSSL"
    r"|OPENSSL-(?:CONNECT|DTLS-CLIENT)|DTLS|IP[46]?-(?:SENDTO|DATAGRAM))",
    re.I,
)
_VARIABLE = re.compile(
    r"[a-z]+_proxy|[A-Z_]+_PROXY|PGHOST(?:ADDR)?|MYSQL_HOST|DOCKER_HOST|CONTAINER_HOST|LDAP(?:URI|HOST)"
    r"|(?:VAULT|VAULT_AGENT|CONSUL_HTTP|NOMAD)_ADDR|ETCDCTL_ENDPOINTS|LIBVIRT_DEFAULT_URI"
    r"|AWS_ENDPOINT_URL\w*|[A-Z]+_URL"
)
_REDIRECTING = re.compile(
    r"HOSTALIASES|GIT_SSH(?:_COMMAND)?|GIT_PROXY_COMMAND|GIT_CONFIG_\w+|RSYNC_RSH|RSYNC_CONNECT_PROG"
    r"|PGSERVICE(?:FILE)?|CURL_HOME|WGETRC|KUBECONFIG"
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_DECLARE = frozenset(("export", "declare", "typeset", "readonly", "local", "env"))
_GIT_ELSEWHERE = re.compile(
    r"core\.(?:sshcommand|gitproxy)|.*proxy|url\..*insteadof|include.*", re.I
)
_ELSEWHERE = frozenset(("proxycommand", "controlpath", "include", "canonicaldomains"))
# What ssh replaces by the host of the connection itself (ssh_config(5), TOKENS).
_SELF = frozenset(("%h", "%n"))


def destinations(name: str, args: Sequence[Arg]) -> tuple[str, ...]:
    """The hosts that a program's words name; one not known begins with `UNKNOWN_HOST`."""
    if name in _DECLARE:
        return tuple(dict.fromkeys(_assignments(args)))
    programs, silent = ways()
    way = programs.get(name)
    if way is None:
        if name in silent:
            return ()
        return tuple(dict.fromkeys(_urls(args)))
    return tuple(dict.fromkeys(host for host in _found(name, way, list(args)) if host))


def assigned_hosts(name: str, value: Arg) -> tuple[str, ...]:
    """The hosts that a variable of the environment makes programs connect to."""
    if _REDIRECTING.fullmatch(name):
        return (f"{UNKNOWN_HOST}{name}",)
    if not _VARIABLE.fullmatch(name) or name in ("no_proxy", "NO_PROXY"):
        return ()
    return tuple(host for host in _each(value, listed=True) if host)


def device_host(target: Arg) -> str:
    """The host of bash's /dev/tcp/HOST/PORT, "" for another file (bash(1), REDIRECTION)."""
    text = re.sub(r"/+", "/", target.text)
    for device in ("/dev/tcp/", "/dev/udp/"):
        if text.startswith(device):
            host, slash, _ = text[len(device) :].partition("/")
            return _host(host) if slash or target.exact else UNKNOWN_HOST + target.display
        if not target.exact and device.startswith(text):
            return UNKNOWN_HOST + target.display
    return ""


# ---- words ---------------------------------------------------------------------------------------


def _host(text: str) -> str:
    if text.partition(":")[0] in _SELF:
        return ""
    return canonical_host(text) or UNKNOWN_HOST + text[:128]


def _place(text: str, whole: bool = True) -> str:
    """The host of a URL or of `[user@]host[:port][/path]`; `whole`: nothing may follow."""
    match = _URL.match(text)
    if match:
        scheme, authority, end = match.groups()
        if scheme.lower() in _NO_HOST or (not authority and (whole or end)):
            return ""
        if not (whole or end):
            return UNKNOWN_HOST + text[:128]
        return _authority(authority)
    if text.startswith(("/", "./", "../", "@")) and text != "/":
        # A socket.
        return ""
    bare = re.split(r"[/?#\\]", text, maxsplit=1)
    if not whole and len(bare) < 2:
        return UNKNOWN_HOST + text[:128]
    return _host(unquote(bare[0]))


def _authority(text: str) -> str:
    """The host of a URL's authority; several hosts (PostgreSQL, MongoDB) are not told apart."""
    return (
        _host(unquote(text.rpartition("@")[2]).partition(",")[0])
        if "," not in text
        else (UNKNOWN_HOST + text[:128])
    )


def _each(
    arg: Arg | None, read: Callable[[str, bool], str] = _place, *, listed: bool = False
) -> Iterator[str]:
    """The hosts of a word, which may be several with commas; `listed`: or with blanks."""
    if arg is None:
        return
    if arg.splits or (not arg.exact and "," in arg.text):
        yield UNKNOWN_HOST + arg.display
        return
    if not arg.exact:
        found = read(arg.text, False)
        yield UNKNOWN_HOST + arg.display if found.startswith(UNKNOWN_HOST) else found
        return
    for item in re.split(r"[,\s]+" if listed else ",", arg.text):
        if item and item != "none":
            yield read(item, True)


def _urls(args: Sequence[Arg]) -> Iterator[str]:
    """The hosts of the words that are, or give an option or setting, a URL."""
    for arg in args:
        match = _WITHIN.match(arg.text) if "://" in arg.text else None
        if match:
            text = arg.text[match.end() :]
            found = _place(text, arg.exact)
            hidden = arg.splits or found.startswith(UNKNOWN_HOST)
            if hidden or found:
                yield UNKNOWN_HOST + arg.display if hidden else found


def _remote(text: str, whole: bool) -> str:
    """The host of `host:path`, `host::module`, `//host/share` or a URL; "" for a local path."""
    if "://" in text:
        return _place(text, whole)
    if text.startswith("//"):
        host, slash, _ = text[2:].partition("/")
        return _host(host) if slash or whole else UNKNOWN_HOST + text[:128]
    match = _REMOTE.match(text)
    if match:
        return _host(match.group(1))
    # What follows may still make it one.
    return UNKNOWN_HOST + text[:128] if not whole and "/" not in text else ""


def _assignments(args: Sequence[Arg]) -> Iterator[str]:
    for arg in args:
        match = _ASSIGNMENT.fullmatch(arg.text)
        if match:
            value = Arg(match.group(2), arg.exact, arg.splits, arg.many, arg.safe)
            yield from assigned_hosts(match.group(1), value)


# ---- programs ------------------------------------------------------------------------------------


def _found(name: str, way: Way, args: list[Arg]) -> Iterator[str]:
    if any(arg.wild for arg in args):
        # It may be an option that names a host, or the host.
        yield UNKNOWN_HOST + next(arg.display for arg in args if arg.wild)
    spec = Spec(name, options=way.options, unknown=0, style=way.style)
    parsed = parse_options(spec, args, stop=way.stops)
    for used in parsed.used:
        if parsed.matches(used, way.hides):
            yield UNKNOWN_HOST + used.name
    for option in way.hosts:
        for value in parsed.all(option):
            yield from _each(value, listed=True)
    special = _SPECIAL.get(way.operands)
    if special is not None:
        yield from special(parsed, args, spec)
        return
    operands = parsed.operands
    if way.operands == "first":
        operands = operands[:1]
    elif way.operands == "last":
        operands = operands[-1:]
    elif way.operands == "second":
        operands = operands[1:2]
    elif way.operands == "none":
        yield from _urls(operands)
        return
    for operand in operands:
        yield from _each(operand)


def _copies(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    yield from _settings(parsed)
    for value in parsed.all("-e", "--rsh"):
        yield from _shell_of(value)
    for operand in parsed.operands:
        if operand.splits:
            yield UNKNOWN_HOST + operand.display
        else:
            found = _remote(operand.text, operand.exact)
            yield UNKNOWN_HOST + operand.display if found.startswith(UNKNOWN_HOST) else found


def _shell_of(value: Arg) -> Iterator[str]:
    """The hosts of a remote shell's words, such as `ssh -J jump`."""
    try:
        words = shlex.split(value.text) if value.exact else []
    except ValueError:
        words = []
    if not words:
        yield UNKNOWN_HOST + value.display
    elif len(words) > 1 or words[0].rpartition("/")[2] not in ("ssh", "rsh"):
        yield from destinations(words[0].rpartition("/")[2], [*map(known, words[1:]), known("%h")])


def _settings(parsed: Parsed) -> Iterator[str]:
    """The hosts of `-o Name=value` (ssh_config(5)), and of -J, -W and -L."""
    for value in parsed.all("-o", "--ssh-option"):
        match = _SETTING.fullmatch(value.text)
        name = match.group(1).lower() if match else ""
        text = match.group(2).strip() if match else ""
        if not value.exact and name not in ("user", "port", "identityfile"):
            yield UNKNOWN_HOST + value.display
        elif name in ("hostname", "proxyjump"):
            yield from _each(known(text), listed=True)
        elif name in ("localforward", "remoteforward", "dynamicforward"):
            for word in text.split():
                yield from _forward(word)
        elif name in _ELSEWHERE and text.lower() not in ("none", "no"):
            yield UNKNOWN_HOST + value.display


def _forward(text: str) -> Iterator[str]:
    """The far end of `[bind:]port:host:hostport`; a socket's path names no host."""
    pieces = re.findall(r"\[[^\]]*\]|[^:]+", text)
    if len(pieces) >= 3 and not pieces[-1].startswith("/"):
        yield _host(pieces[-2])


def _ssh(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    rest = parsed.operands
    if rest:
        yield from _each(rest[0])
    # Options may also stand between the host and the command.
    after = parse_options(spec, rest[1:], stop=True)
    for part in (parsed, after):
        yield from (host for host in _settings(part) if not _judged(host))
        for value in part.all("-J", "-W"):
            yield from _each(value, listed=True)
        for value in part.all("-L", "-R"):
            yield from _forward(value.text) if value.exact else [UNKNOWN_HOST + value.display]
        if part.has("-S", "-F") and any(
            v.text not in ("none", "/dev/null") for v in part.all("-S", "-F")
        ):
            yield UNKNOWN_HOST + "-F"


def _judged(host: str) -> bool:
    """Whether it is a ProxyCommand, whose own words are judged as a command of `ssh`."""
    return host.lower().lstrip(UNKNOWN_HOST + " ").startswith("proxycommand")


def _inner(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    if parsed.operands:
        first, *rest = parsed.operands
        yield from (
            destinations(first.text.rpartition("/")[2], rest) if first.exact else [UNKNOWN_HOST]
        )


def _conninfo(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    for word in (*parsed.all("-d", "--dbname"), *parsed.operands):
        if "://" in word.text:
            yield from _urls([word])
        elif "=" in word.text:
            for host in _CONNINFO.findall(word.text):
                yield from _each(Arg(host, word.exact))
            if "service" in word.text:
                yield UNKNOWN_HOST + word.display
        elif word.wild:
            yield UNKNOWN_HOST + word.display


def _servers(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    for operand in parsed.operands:
        if operand.text.startswith("@"):
            yield from _each(Arg(operand.text[1:], operand.exact, operand.splits))


def _socat(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    for operand in parsed.operands:
        for address in operand.text.split("!!"):
            kind, colon, rest = address.partition(":")
            proxied = re.match(r"(?i)(?:PROXY|SOCKS)", kind)
            if not operand.exact and (not colon or _SOCAT.fullmatch(kind) or proxied):
                yield UNKNOWN_HOST + operand.display
            elif _SOCAT.fullmatch(kind) or proxied:
                hosts = re.findall(r"\[[^\]]*\]|[^:,]+", rest)
                yield from map(_host, hosts[: 2 if proxied else 1])


def _openssl(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    for option, value in pairwise(args):
        if re.fullmatch(r"--?(?:connect|proxy|host|url|server|servername_?)", option.text):
            yield from _each(value)


def _git(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    for before, arg in zip([known(""), *args], args, strict=False):
        if before.text in ("-c", "--config") and _GIT_ELSEWHERE.match(arg.text.partition("=")[0]):
            yield UNKNOWN_HOST + arg.display
        if arg.text.startswith(("--config-env", "--upload-pack", "--exec")):
            yield UNKNOWN_HOST + arg.display
    yield from _urls(args)
    words = [arg for arg in parsed.operands if arg.text[:1] != "-"]
    verb = words[0].text if words else ""
    if verb in ("clone", "fetch", "pull", "push", "ls-remote", "remote", "submodule", "archive"):
        for word in words[1:] if verb in ("clone", "remote", "submodule") else words[1:2]:
            if "://" not in word.text:
                found = _remote(word.text, word.exact)
                yield UNKNOWN_HOST + word.display if found.startswith(UNKNOWN_HOST) else found


def _netcat(parsed: Parsed, args: list[Arg], spec: Spec) -> Iterator[str]:
    if not parsed.has("-U", "-l", "--listen", "--unixsock") or len(parsed.operands) > 1:
        for operand in parsed.operands[:1]:
            yield from _each(operand)


_SPECIAL: dict[str, Callable[[Parsed, list[Arg], Spec], Iterator[str]]] = {
    "copies": _copies,
    "ssh": _ssh,
    "inner": _inner,
    "conninfo": _conninfo,
    "servers": _servers,
    "socat": _socat,
    "openssl": _openssl,
    "git": _git,
    "netcat": _netcat,
}
