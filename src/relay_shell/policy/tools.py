"""How each tool of the server is judged from its arguments."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence

from . import portable
from .classify import classify_argv, classify_command, classify_script
from .dialects import ANY
from .hosts import canonical_host
from .keystrokes import Line, characters, press
from .knowledge import Knowledge, current, shipped
from .limits import MAX_REASONS, MAX_TEXT
from .model import UNKNOWN_HOST, Node, Tier, Verdict

Args = Mapping[str, object]


def classify_call(tool: str, args: Args) -> Verdict:
    """Judge a tool call. Never raises; an unknown tool is Tier 3."""
    judge = _TOOLS.get(tool)
    if judge is None:
        return _fixed(tool, Tier.IRREVERSIBLE, f"unknown tool `{tool[:80]}`")
    if isinstance(judge, tuple):
        return _fixed(tool, *judge)
    return judge(tool, args)


def rule_texts(
    tool: str, args: Args, verdict: Verdict, machines: Sequence[str] = ()
) -> tuple[str, list[str], list[str], Node | None]:
    """The raw text of a call, its canonical forms, its hosts and its tree, for `Rules.check`.

    Args:
        machines: all names of the machines that the call reaches, as they were resolved.
    """
    raw: list[str] = []
    for key in ("command", "argv", "script", "text", "input", "data", "key", "keys", "stdin"):
        raw.extend(_texts(args.get(key), joined=True))
    raw.extend(_texts(args.get("lines"), joined=False))
    hosts: dict[str, None] = {}
    given = [host for key in _HOST_KEYS for host in _texts(args.get(key), joined=False)]
    for host in (*given, *machines):
        hosts[host] = None
        hosts[canonical_host(host) or host.rpartition("@")[2]] = None
    for host in verdict.hosts():
        if not host.startswith(UNKNOWN_HOST):
            hosts[host] = None
    # What is connected to at no address is this machine (ip(7), INADDR_ANY).
    for host, name in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):  # noqa: S104
        if host in hosts:
            hosts[name] = None
    text = "\n".join(raw) if raw else tool
    return text, list(verdict.canonical_forms()), list(hosts), verdict.tree


_HOST_KEYS = ("host", "hosts", "jump", "jump_host", "jump_hosts", "spec", "target", "forward")


def _texts(value: object, *, joined: bool) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        words = [str(item) for item in value]
        return [" ".join(words)] if joined else words
    return []


def _fixed(tool: str, tier: Tier, reason: str) -> Verdict:
    return Verdict(tier, (reason,), Node(tool[:80], "tool", tier, (reason,)))


def _malformed(tool: str, reason: str) -> Verdict:
    return _fixed(tool, Tier.STATEFUL, f"arguments of {tool} not understood: {reason}")


def _environment(args: Args) -> dict[str, str] | None:
    env = args.get("env")
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        return None
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in env.items()):
        return None
    return {str(k): str(v) for k, v in env.items()}


def _words(value: object) -> list[str] | None:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        words = list(value)
        if words and all(isinstance(word, str) for word in words):
            return words
    return None


def _command(tool: str, args: Args, knowledge: Knowledge | None = None) -> Verdict:
    env = _environment(args)
    if env is None:
        return _malformed(tool, "env must map names to texts")
    stdin = args.get("stdin")
    text = args.get("command")
    argv = args.get("argv")
    if isinstance(text, str) and argv is None:
        return classify_command(
            text,
            shell=_shell(args),
            env=env,
            stdin=stdin if isinstance(stdin, str) else None,
            knowledge=knowledge,
        )
    words = _words(argv)
    if words is not None and text is None:
        return classify_argv(words, env=env, stdin=stdin if isinstance(stdin, str) else None)
    return _malformed(tool, "exactly one of command and argv is needed")


def _shell(args: Args) -> str:
    """The shell that reads the call's text, as the broker says; bash if it says nothing."""
    shell = args.get("shell")
    return shell if isinstance(shell, str) else "bash"


def _script(tool: str, args: Args) -> Verdict:
    script, interpreter = args.get("script"), args.get("interpreter", "")
    env = _environment(args)
    if not isinstance(script, str) or not isinstance(interpreter, str | None) or env is None:
        return _malformed(tool, "script and interpreter must be texts")
    return classify_script(script, interpreter or "", env=env)


def _spawn(tool: str, args: Args) -> Verdict:
    if args.get("command") is None and args.get("argv") is None:
        return _fixed(tool, Tier.STATEFUL, "a live shell runs whatever is typed into it")
    return _command(tool, args)


def _send(tool: str, args: Args) -> Verdict:
    """Judge what is typed into a session.

    The broker passes each text that a shell could come to read (`lines`): what earlier sends left
    on the line is part of them, so that a command split over several sends is judged whole. It
    says as well whether keys `edited` a line, which then cannot be known. Without it, what this
    send types is judged alone.
    """
    lines, edited = args.get("lines"), args.get("edited") is True
    if lines is None:
        typed = characters(args)
        if typed is None:
            return _malformed(tool, "text must be a text and keys a list of keys")
        judged, _ = press(Line(), typed)
        lines = sorted({line.text for line in judged if line.text})
        edited = any(line.unknown for line in judged)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return _malformed(tool, "lines must be texts")
    if not lines:
        if not edited:
            return _fixed(tool, Tier.REVERSIBLE, "types nothing")
        node = Node(tool, "session", Tier.STATEFUL, (_EDITED,), (), (UNKNOWN_HOST + "edited line",))
        return Verdict(Tier.STATEFUL, (_EDITED,), node)
    if sum(map(len, lines)) > MAX_TEXT:
        reason = f"more than {MAX_TEXT} characters to judge, so they are not judged"
        return _fixed(tool, Tier.IRREVERSIBLE, reason)
    verdicts = [classify_command(line, shell=_shell(args)) for line in lines]
    floor = Tier.STATEFUL
    reason = _EDITED if edited else "keystrokes reach a program whose state is not known"
    if args.get("program") in _SHELLS and not edited:
        floor, reason = Tier.REVERSIBLE, "typed into a live shell"
        if any("!" in line for line in lines):
            floor, reason = Tier.STATEFUL, "a live shell may replace `!` from its history"
    tier = max(floor, *(verdict.tier for verdict in verdicts))
    trees = tuple(verdict.tree for verdict in verdicts if verdict.tree)
    found = dict.fromkeys(why for v in verdicts if v.tier == tier for why in v.reasons)
    reasons = (reason, *list(found)[: MAX_REASONS - 1])
    hosts = (UNKNOWN_HOST + "edited line",) if edited else ()
    return Verdict(tier, reasons, Node(tool, "session", tier, (reason,), trees, hosts))


_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")
_EDITED = "keys edited, completed or recalled a line, so what is entered cannot be known"


def _higher(one: Verdict, other: Verdict) -> Verdict:
    return other if other.tier > one.tier else one


_LOGIN_SHELLS = ("bash", "sh")


def _remote(tool: str, args: Args) -> Verdict:
    # Where the login shell over there is not known, only what every shell reads alike counts.
    shell = args.get("login_shell")
    known = shell in _LOGIN_SHELLS
    args = {**args, "shell": shell if known else ANY}
    words = _words(args.get("argv"))
    if words is not None and args.get("command") is None:
        # It goes there as text, quoted word by word.
        args = {**args, "argv": None, "command": shlex.join(words)}
    text = args.get("command")
    if isinstance(text, str) and not text.strip():
        return _fixed(tool, Tier.STATEFUL, "without a command a shell there reads its input")
    verdict = _command(tool, args)
    if verdict.tier == Tier.READ_ONLY and isinstance(text, str) and not known:
        read = portable.variant(text)
        if read:
            other = _command(tool, {**args, "command": read})
            if other.tier > verdict.tier:
                why = f"csh reads the number of a redirection as a word{portable.WAY_OUT}"
                verdict = other._replace(reasons=(why, *other.reasons))
    if shipped() is not current():
        # What an operator's file says is of this machine's programs.
        verdict = _higher(verdict, _command(tool, args, shipped()))
    reason = "runs on another machine with the account's keys"
    node = Node(tool, "remote", verdict.tier, (), (verdict.tree,) if verdict.tree else ())
    reasons = verdict.reasons if verdict.tier == Tier.READ_ONLY else (*verdict.reasons, reason)
    return Verdict(verdict.tier, reasons, node)


_READS = (Tier.READ_ONLY, "reads state that the server itself holds")
_SSH_CONNECTS = (
    Tier.READ_ONLY,
    "connects to a machine of the inventory; runs nothing there and stores nothing here",
)
_TOOLS: dict[str, Callable[[str, Args], Verdict] | tuple[Tier, str]] = {
    "shell_read": _command,
    "shell_exec": _command,
    "shell_script": _script,
    "shell_spawn": _spawn,
    "session_send": _send,
    "session_recv": (Tier.READ_ONLY, "reads what a session printed"),
    "session_screen": (Tier.READ_ONLY, "reads what a session printed"),
    "session_list": _READS,
    "session_resize": (Tier.REVERSIBLE, "resizes a terminal"),
    "session_kill": (Tier.REVERSIBLE, "ends a session of this principal"),
    "job_start": _command,
    "job_status": _READS,
    "job_output": _READS,
    "job_list": _READS,
    "job_stop": (Tier.REVERSIBLE, "ends a job of this principal"),
    "output_read": _READS,
    "server_info": _READS,
    "audit_tail": _READS,
    "policy_explain": _READS,
    "operation_confirm": _READS,
    "file_read": (Tier.READ_ONLY, "reads a file"),
    "file_write": (Tier.STATEFUL, "writes a file"),
    "file_edit": (Tier.REVERSIBLE, "edits a file, keeping what file_undo restores"),
    "file_undo": (Tier.REVERSIBLE, "restores a file"),
    "ssh_exec": _remote,
    "ssh_fanout": _remote,
    "ssh_spawn": (Tier.STATEFUL, "a live shell on another machine runs whatever is typed"),
    "ssh_upload": (Tier.STATEFUL, "writes files on another machine"),
    "ssh_download": (Tier.STATEFUL, "writes files on this machine"),
    "ssh_forward": (Tier.STATEFUL, "opens a way through the network"),
    "ssh_forward_list": _READS,
    "ssh_forward_close": (Tier.REVERSIBLE, "closes a forward of this principal"),
    "ssh_check": _SSH_CONNECTS,
    "ssh_keyscan": _SSH_CONNECTS,
    "ssh_hosts": _READS,
    "host_query": (Tier.READ_ONLY, "a fixed diagnostic query"),
    "host_queries": _READS,
    "host_snapshot": (Tier.READ_ONLY, "a set of fixed diagnostic queries"),
}
