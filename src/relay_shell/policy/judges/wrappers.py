"""Programs that run another program given on their command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import environment
from ..model import UNKNOWN_HOST
from ..options import parse_options
from ..programs import judge_options
from ..values import ANYTHING, Arg, Input, known

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_ASSIGN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def _environment(call: Call, operands: list[Arg]) -> list[Arg]:
    """Take leading `NAME=value` words; the rest is the command."""
    rest = list(operands)
    while rest and _ASSIGN.match(rest[0].text):
        name, _, text = rest[0].text.partition("=")
        arg = rest.pop(0)
        value = Arg(text, arg.exact, arg.splits, arg.many, arg.safe)
        if arg.splits:
            call.add(2, f"`{arg.display}` may become several words")
        call.add(*environment.assigned(name, value, exported=True))
    return rest


def split_string(text: str) -> list[str] | None:
    """Words of `env -S`; None if it uses escapes or variables."""
    if any(char in text for char in "\\$#"):
        return None
    words: list[str] = []
    for quoted_one, quoted_two, bare in re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s'\"]+)", text):
        words.append(quoted_one or quoted_two or bare)
    return words


def judge_env(call: Call, spec: Spec) -> None:
    """`env`: assignments, then a command; -S splits a text into words first."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "env")
    operands = parsed.operands
    text = parsed.get("-S")
    if text is not None:
        words = split_string(text.text) if text.exact else None
        if words is None:
            call.add(2, f"`env -S` with text that is not resolved: {text.display}")
            return
        operands = [*map(known, words), *operands]
    rest = _environment(call, operands)
    if rest:
        call.output = call.run(rest, call.stdin)


def judge_sudo(call: Call, spec: Spec) -> None:
    """`sudo`, `doas`, `run0`, `pkexec`: the command, with more privilege."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, call.name)
    rest = _environment(call, parsed.operands)
    if modes:
        call.add(max(modes), f"`{call.name}` lists or forgets credentials")
        if max(modes) == 0 and not rest:
            call.add(1, "asks for the privileges of this account")
            return
    call.add(1, "runs with the privileges of another account")
    shell = parsed.has("-i", "-s")
    if rest and shell:
        call.shell(known(" ".join(arg.display for arg in rest)))
        call.add(1, "runs through a shell of another account")
    elif rest:
        call.output = call.run(rest, call.stdin)
    elif shell or call.name in ("run0",):
        _live_shell(call)
    elif parsed.has("-e"):
        call.add(2, "edits files with the privileges of another account")


def _live_shell(call: Call) -> None:
    """A shell that reads its standard input."""
    if call.stdin.text is not None:
        call.shell(known(call.stdin.text), [])
        call.add(1, "feeds a shell of another account")
    else:
        call.add(2, "starts a shell whose commands are not known")


def judge_su(call: Call, spec: Spec) -> None:
    """`su`, `runuser`: -c text, else a login shell."""
    args = [a for a in call.args if not (a.exact and a.text == "-")]
    parsed = parse_options(spec, args)
    judge_options(call, spec, parsed, call.name)
    call.add(1, "runs with the privileges of another account")
    command = parsed.get("-c")
    if command is not None:
        call.output = call.shell(command, parsed.operands[1:])
    elif call.name == "runuser" and parsed.has("-u") and parsed.operands:
        call.output = call.run(parsed.operands, call.stdin)
    elif len(parsed.operands) > 1:
        call.add(2, "hands words to a shell of another account")
    else:
        _live_shell(call)


def judge_floor(call: Call, spec: Spec) -> None:
    """A wrapper whose own effect counts (`tier`), running the command after its options."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, call.name)
    call.add(spec.tier, spec.why or f"`{call.name}` runs a command elsewhere or otherwise")
    rest = parsed.operands[spec.skip :]
    rest = _environment(call, rest)
    if rest:
        call.output = call.run(rest, Input("unknown"))
        if any(used.option is None for used in parsed.used):
            # An unknown option may have taken a word, so the command may begin later.
            for index, arg in enumerate(rest[1:8], 1):
                if arg.exact and call.judge.knowledge.get(arg.text.rpartition("/")[2]) is not None:
                    call.run(rest[index:], Input("unknown"))
                    break
    elif spec.bare is not None:
        call.add(spec.bare, f"`{call.name}` without a command starts a shell")


def judge_xargs(call: Call, spec: Spec) -> None:
    """`xargs`: words from standard input end the command, or replace -I text in it."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "xargs")
    command = parsed.operands or [known("echo")]
    replaced = parsed.get("-I")
    if replaced is None and parsed.has("-i"):
        replaced = parsed.get("-i") or known("{}")
    call.output = ANYTHING
    if replaced is not None and replaced.exact and replaced.text:
        call.run(_replaced(command, replaced.text), Input("unknown"))
        return
    whole = parsed.has("-0", "-d")
    safe = call.stdin.safe
    appended = Arg("", exact=False, splits=not (whole or safe), many=True, safe=safe, shown="...")
    call.run([*command, appended], Input("unknown"))


def _replaced(command: list[Arg], token: str) -> list[Arg]:
    """The command with unknown text in the place of the token."""
    result: list[Arg] = []
    for arg in command:
        if token not in arg.text:
            result.append(arg)
            continue
        prefix = arg.text[: arg.text.index(token)]
        safe = bool(prefix) and prefix[0] != "-"
        result.append(Arg(prefix, exact=False, safe=safe, shown=arg.display))
    return result


def judge_parallel(call: Call, spec: Spec) -> None:
    """`parallel` hands a command template to a shell, with words from ::: or its input."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "parallel")
    words: list[str] = []
    for arg in parsed.operands:
        if arg.exact and re.fullmatch(r":::+\+?", arg.text):
            break
        words.append(arg.display)
    call.add(1, "runs a command through a shell for each word")
    if words:
        text = " ".join(words)
        call.shell(known(text if "{" in text else f"{text} {{}}"))
        call.add(2, "the words that complete the command are parsed by a shell")
    else:
        call.add(2, "runs its input as commands")


def judge_watch(call: Call, spec: Spec) -> None:
    """`watch` hands its words to `sh -c`, or with -x executes them."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, call.name)
    if parsed.has("-x", "--exec"):
        if parsed.operands:
            call.run(parsed.operands)
        return
    if not all(arg.exact for arg in parsed.operands):
        call.add(2, "hands text to a shell that is known only when it runs")
    if parsed.operands:
        call.shell(known(" ".join(arg.display for arg in parsed.operands)), [])


def judge_script(call: Call, spec: Spec) -> None:
    """`script` records a command or a shell into a file."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "script")
    target = parsed.operands[0] if parsed.operands else known("typescript")
    if not parsed.has("--log-out", "-O"):
        call.writes(target, "append" if parsed.has("-a") else "truncate")
    command = parsed.get("-c")
    if command is not None:
        call.shell(command, dialect=call.judge.login)
    else:
        _live_shell(call)


def judge_flock(call: Call, spec: Spec) -> None:
    """`flock FILE COMMAND`, `flock FILE -c TEXT`, `flock FD`."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "flock")
    call.add(1, "takes a lock, creating its file")
    rest = parsed.operands[1:]
    if rest and rest[0].exact and rest[0].text in ("-c", "--command"):
        if len(rest) > 1:
            call.shell(rest[1])
    elif rest:
        call.run(rest, call.stdin)


def judge_ssh(call: Call, spec: Spec) -> None:
    """`ssh`: the words after the host go to a shell there."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, "ssh")
    for value in parsed.all("-o"):
        judge_ssh_setting(call, value)
    if modes:
        call.add(max(modes), "prints the client's settings, for which `Match exec` runs commands")
        return
    rest = parsed.operands
    if not rest:
        call.add(2, "`ssh` without a host")
        return
    # Options may also stand between the host and the command.
    after = parse_options(spec, rest[1:], stop=True)
    judge_options(call, spec, after, "ssh")
    for value in after.all("-o"):
        judge_ssh_setting(call, value)
    call.add(1, "connects to another machine with the account's keys; may add its host key")
    command = after.operands
    if command:
        if all(arg.exact for arg in command):
            call.output = call.shell(known(" ".join(arg.text for arg in command)))
        else:
            call.add(2, "hands a remote shell text that is known only when it runs")
            call.hosts.append(UNKNOWN_HOST + "ssh")
            call.run(command)
    elif not parsed.has("-N", "-O") and not after.has("-N"):
        _live_shell(call)


_SSH_HARMLESS = frozenset(
    (
        "batchmode connecttimeout connectionattempts stricthostkeychecking serveraliveinterval"
        " serveralivecountmax loglevel port user identityfile identitiesonly"
        " preferredauthentications"
        " passwordauthentication pubkeyauthentication kbdinteractiveauthentication addressfamily"
        " numberofpasswordprompts requesttty compression ciphers macs kexalgorithms"
        " hostkeyalgorithms"
        " pubkeyacceptedalgorithms hostname checkhostip visualhostkey tcpkeepalive"
        " clearallforwardings"
        " forwardagent forwardx11 controlmaster escapechar exitonforwardfailure hostkeyalias"
        " passwordauthentication hashknownhosts updatehostkeys verifyhostkeydns"
        " gssapiauthentication"
        " permitlocalcommand controlpersist bindaddress"
    ).split()
)


def judge_ssh_setting(call: Call, value: Arg) -> None:
    """`-o Name=value`: names that run a local command or load code are not harmless."""
    name, _, text = re.sub(r"^\s*([A-Za-z0-9]+)\s*[ =]\s*", r"\1=", value.text).partition("=")
    name = name.lower()
    if name in ("proxycommand", "localcommand", "knownhostscommand"):
        if text.strip().lower() != "none":
            call.shell(Arg(text, value.exact))
            call.add(2, f"`ssh -o {name}` runs a local command")
    elif name in ("userknownhostsfile", "globalknownhostsfile", "controlpath"):
        if not (value.exact and text in ("/dev/null", "none")):
            call.add(1, f"`ssh -o {name}` names a file that may be written")
    elif name in ("proxyjump",):
        call.add(1, "connects through a jump host")
    elif name not in _SSH_HARMLESS or not value.exact:
        call.add(2, f"`ssh -o {value.display}` is not known to be harmless")


def judge_busybox(call: Call, spec: Spec) -> None:
    """`busybox`, `toybox`: the first word is the applet."""
    if not call.args:
        call.add(2 if call.name == "lvm" else 0, "`lvm` reads commands from standard input")
        return
    first = call.args[0]
    if first.exact and first.text in ("--list", "--list-full", "--help"):
        return
    if first.exact and first.text.startswith("-"):
        call.add(2, f"`{call.name} {first.text}` changes the system")
        return
    call.output = call.run(call.args, call.stdin)


def judge_tracer(call: Call, spec: Spec) -> None:
    """`strace`, `ltrace`: attach to a process or run a command."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, call.name)
    for value in parsed.all("-o"):
        if value.text.startswith(("|", "!")):
            call.shell(Arg(value.text[1:], value.exact))
            call.add(2, "sends the trace to a command")
        else:
            call.writes(value)
    if parsed.has("-p"):
        call.add(2, "attaches to a running process")
    if parsed.operands:
        call.add(1, "traces a command")
        call.run(parsed.operands, call.stdin)
