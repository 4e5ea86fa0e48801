"""Judge redirections: what they write, and what the command finds on its standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import environment, paths
from .destinations import device_host
from .model import Node, Tier
from .syntax import Redirect
from .values import Arg, Input

if TYPE_CHECKING:
    from .core import Judge

_SILENT = frozenset((":", "true", "false"))


def redirect_all(
    judge: Judge, redirects: list[Redirect], stdin: Input, *, writer: str = ""
) -> tuple[list[Node], Input]:
    """Nodes of redirections that matter, and the standard input after them."""
    nodes: list[Node] = []
    for redirect in redirects:
        judge.budget.spend()
        if redirect.fd.startswith("{"):
            tier, reason = environment.changed(judge.scope, redirect.fd.strip("{}"))
            if tier:
                nodes.append(Node(redirect.source, "redirection", tier, (reason,)))
        if redirect.op in ("<<", "<<-"):
            value = judge.expander(nodes).single(redirect.target)
            if redirect.fd in ("", "0"):
                stdin = Input("here", value.text if value.exact else None)
            continue
        if redirect.op == "<<<":
            value = judge.expander(nodes).single(redirect.target)
            if redirect.fd in ("", "0"):
                stdin = Input("here", value.text + "\n" if value.exact else None)
            continue
        args = judge.expander(nodes).words([redirect.target])
        if len(args) != 1 or args[0].splits:
            reason = f"redirection to {redirect.target.source}, known only when it runs"
            unknown = args[0] if args else Arg("", exact=False)
            hosts = tuple(filter(None, (device_host(unknown),)))
            nodes.append(Node(redirect.source, "redirection", Tier.STATEFUL, (reason,), (), hosts))
            continue
        target = args[0]
        tier, reason, stdin = _redirect(redirect, target, stdin, writer)
        host = device_host(target) if redirect.op not in ("<&", ">&") else ""
        if tier or host:
            hosts = (host,) if host else ()
            nodes.append(Node(redirect.source, "redirection", tier, (reason,), (), hosts))
    return nodes, stdin


def _redirect(
    redirect: Redirect, target: Arg, stdin: Input, writer: str
) -> tuple[Tier, str, Input]:
    op = redirect.op
    if op in ("<&", ">&"):
        text = target.text.removesuffix("-")
        if target.exact and (text.isdecimal() or target.text == "-"):
            if op == "<&" and redirect.fd in ("", "0"):
                stdin = Input("unknown")
            return Tier.READ_ONLY, "", stdin
        if op == "<&" or redirect.fd:
            return Tier.STATEFUL, f"duplicates descriptor {target.display}", stdin
    if op == "<":
        path = paths.normal(target.text)
        if redirect.fd in ("", "0"):
            # `target.block` is the only input whose commands are known.
            stdin = Input("file")
        if path.startswith(("/dev/tcp/", "/dev/udp/")):
            return Tier.STATEFUL, f"opens a network connection to {target.display}", stdin
        if paths.is_secret(path):
            return Tier.REVERSIBLE, f"reads a credential: {target.display}", stdin
        return Tier.READ_ONLY, "", stdin
    how = "append" if op in (">>", "&>>") else "create" if op == "<>" else "truncate"
    if how == "truncate" and writer == "nothing":
        how = "empty"
    tier, reason = paths.written(target, how)
    return tier, reason, stdin


def writer_of(args: list[Arg]) -> str:
    """`nothing` for a command that prints nothing, so that its redirection empties a file."""
    if not args:
        return "nothing"
    words = [arg.text for arg in args if arg.exact]
    if len(words) == len(args) and (
        words[0] in _SILENT
        or words in (["cat", "/dev/null"], ["echo", "-n"], ["echo", "-n", ""], ["printf", ""])
        or words in (["echo"], ["echo", ""])
    ):
        return "nothing"
    return ""
