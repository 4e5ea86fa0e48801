"""Programs whose operands or option combinations decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import by_spec, judge_options
from ..values import known

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


def judge_top(call: Call, spec: Spec) -> None:
    """`top`: in batch mode it only prints; otherwise keys signal processes."""
    args = call.args
    if args and args[0].exact and re.fullmatch(r"[a-zA-Z]+[0-9]*", args[0].text):
        args = [*args]
        args[0] = type(args[0])("-" + args[0].text)
    parsed = parse_options(spec, args)
    judge_options(call, spec, parsed, "top")
    if not parsed.has("-b", "--batch-mode", "-h", "--help", "-v", "--version", "-O"):
        call.add(1, "an interactive monitor that can signal what it shows")


def judge_sysctl(call: Call, spec: Spec) -> None:
    """`sysctl`: names are read, `name=value` is written."""
    parsed = by_spec(call, spec)
    for arg in parsed.operands:
        if "=" in arg.display or (not arg.exact and (arg.wild or "=" in arg.text)):
            call.add(2, f"`sysctl {arg.display}` sets a kernel parameter")
        elif not arg.exact and not arg.numeric and not arg.safe:
            call.add(2, f"`{arg.display}` may set a kernel parameter")


def judge_setpci(call: Call, spec: Spec) -> None:
    """`setpci`: registers are read, `register=value` is written."""
    for arg in call.args:
        if "=" in arg.display or not arg.exact:
            call.add(2, f"`setpci {arg.display}` writes to a device")


def judge_ionice(call: Call, spec: Spec) -> None:
    """`ionice`: with a class and -p it changes a process, with -p alone it shows."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "ionice")
    if parsed.has("-p", "-P", "-u"):
        if parsed.has("-c", "-n", "-t"):
            call.add(2, "changes the priority of running processes")
        return
    if parsed.operands:
        call.output = call.run(parsed.operands, call.stdin)


def judge_taskset(call: Call, spec: Spec) -> None:
    """`taskset -p PID` shows; with a mask it changes; else it runs a command."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "taskset")
    if parsed.has("-p", "--pid"):
        if len(parsed.operands) > 1 or any(a.splits or a.many for a in parsed.operands):
            call.add(2, "changes where running processes run")
    elif len(parsed.operands) > 1:
        call.output = call.run(parsed.operands[1:], call.stdin)


def judge_prlimit(call: Call, spec: Spec) -> None:
    """`prlimit`: a limit with a value is set, without one it is shown."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "prlimit")
    showing = ("-p", "--pid", "-o", "--output")
    if any(u.value is not None and not parsed.matches(u, showing) for u in parsed.used):
        call.add(2, "sets limits of a running process or of a command")
    if parsed.operands:
        call.output = call.run(parsed.operands, call.stdin)


def judge_pidstat(call: Call, spec: Spec) -> None:
    """`pidstat -e` runs the words that follow."""
    by_spec(call, spec)


def judge_mount(call: Call, spec: Spec) -> None:
    """`mount` without operands lists."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "mount")
    changing = ("-a", "--all", "-o", "--options", "-B", "-R", "-M", "-m", "--bind", "--move")
    if parsed.operands or parsed.has(*changing):
        call.add(2, "`mount` changes the file system tree")


def judge_crontab(call: Call, spec: Spec) -> None:
    """`crontab`: -l shows, -r removes, a file or standard input replaces."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "crontab")
    if parsed.has("-r"):
        call.add(3, "`crontab -r` removes all jobs of the account")
    elif parsed.has("-l"):
        if parsed.operands:
            call.add(2, "`crontab` with a file replaces the jobs of the account")
    elif not parsed.has("-V", "-T"):
        for line in (call.stdin.text or "").split("\n"):
            fields = line.split(None, 5)
            if len(fields) == 6 and not line.startswith("#"):
                call.shell(known(fields[5]))
        call.add(2, "`crontab` replaces or edits the jobs of the account")


def judge_networks(call: Call, spec: Spec) -> None:
    """`getent`: most databases are local; hosts are asked of the network."""
    parsed = by_spec(call, spec)
    database = parsed.operands[0].text if parsed.operands else ""
    if database in ("hosts", "ahosts", "ahostsv4", "ahostsv6") and len(parsed.operands) > 1:
        call.add(1, "asks the name servers, to which the name leaves the machine")
    elif database in ("shadow", "gshadow"):
        call.add(1, "reads a credential")


def judge_ifconfig(call: Call, spec: Spec) -> None:
    """`ifconfig`: an interface alone is shown, more words change it."""
    words = [a for a in call.args if not (a.exact and a.text in ("-a", "-s", "-v"))]
    if any(a.text == "down" for a in words[1:]):
        call.add(3, "takes a network interface down, which can cut off this machine")
    elif len(words) > 1 or any(a.splits or a.many for a in words):
        call.add(2, "changes a network interface")
    elif words and words[0].text.startswith("-"):
        call.add(2, f"option `{words[0].text}` of `ifconfig` is not known")


def judge_hdparm(call: Call, spec: Spec) -> None:
    """`hdparm`: identify and timing read; --security-*, --write-* and others do not."""
    for arg in call.args:
        text = arg.text
        if re.match(
            r"--(?:security-(?:erase|set|disable)|trim-sector|write-sector|make-bad|repair"
            r"|sanitize|fwdownload|dco-restore|yes-i-know|please-destroy|user-master)",
            text,
        ):
            call.add(3, f"`hdparm {text}` destroys data or locks the device")
        elif text.startswith("-") and not re.fullmatch(
            r"-[IitTgCvHh]+|--(?:Istdout|direct|verbose|fibmap|prefer-ata12|dco-identify)|-V", text
        ):
            call.add(2, f"`hdparm {text}` changes the device")
        elif not arg.exact and arg.wild:
            call.add(2, f"`{arg.display}` may become an option")


def judge_parted(call: Call, spec: Spec) -> None:
    """`parted DEVICE COMMAND...`: print and unit only show."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "parted")
    if parsed.has("-l", "--list", "-v", "--version") and not parsed.operands:
        return
    words = parsed.operands[1:]
    index = 0
    if not words:
        call.add(3, "`parted` without a command reads it from its input")
    while index < len(words):
        word = words[index].text if words[index].exact else ""
        if word in ("print", "p", "align-check", "help", "version", "select"):
            following = words[index + 1].text if index + 1 < len(words) else ""
            index += (
                2 if following in ("free", "list", "all", "devices") or following.isdecimal() else 1
            )
        elif word in ("unit", "u"):
            index += 2
        elif word in ("quit", "q"):
            index += 1
        else:
            call.add(3, f"`parted {word}` changes the partition table")
            return


def judge_nft(call: Call, spec: Spec) -> None:
    """`nft`: list and describe read; flush and delete lose rules."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "nft")
    if parsed.has("-c", "--check"):
        return
    text = " ".join(a.display for a in parsed.operands)
    if not all(a.exact for a in parsed.operands):
        call.add(2, "rules that are known only when it runs")
    for statement in re.split(r"[;\n]", text):
        words = statement.split()
        if not words or words[0] in ("list", "describe", "monitor", "get"):
            continue
        if words[0] in ("flush", "destroy") or words[:2] in (
            ["delete", "table"],
            ["delete", "chain"],
        ):
            call.add(3, f"`nft {words[0]}` removes rules")
        else:
            call.add(2, f"`nft {words[0]}` changes the packet filter")
    if not text and parsed.has("-f", "--file", "-i", "--interactive"):
        call.add(2, "loads rules")


def judge_iptables(call: Call, spec: Spec) -> None:
    """`iptables`: -L and -S list; -F, -X and -P DROP can lock out or lose rules."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    zero = parsed.has("-Z", "--zero")
    policy = parsed.has("-P", "--policy") and any(a.text in ("DROP", "REJECT") for a in call.args)
    if policy:
        call.add(3, "a policy that drops everything can cut off the way to this machine")
    if parsed.has("-F", "--flush", "-X", "--delete-chain"):
        call.add(3, "removes rules of the packet filter")
    elif (parsed.has("-L", "--list", "-S", "--list-rules") and not zero) or parsed.has(
        "-C", "--check", "-h", "--help", "-V", "--version"
    ):
        return
    call.add(2, "changes the packet filter")


def judge_media(call: Call, spec: Spec) -> None:
    """Converters and document tools: describing a file reads, the rest writes."""
    words = [arg.text for arg in call.args]
    clear = all(arg.exact or not arg.wild for arg in call.args)
    if (
        clear
        and call.name == "identify"
        and not any(re.match(r"-(?:write|script|define)|[+@]|[\w-]+:", w) for w in words)
    ):
        return
    if (
        clear
        and call.name == "exiftool"
        and not any(
            re.search(
                r"[<=]|^-(?:o|out|w|tagsfrom|overwrite|delete|config|if|api|execute|stay|@|geotag"
                r"|restore|p$)",
                w,
            )
            for w in words
        )
    ):
        return
    if clear and call.name == "pdftotext" and words[-1:] == ["-"]:
        return
    if words in (["-version"], ["--version"], ["-v"], ["-V"]):
        return
    if (
        clear
        and call.name == "ffmpeg"
        and re.fullmatch(
            r"-(?:formats|codecs|encoders|decoders|filters|protocols|pix_fmts|devices|bsfs|muxers"
            r"|demuxers|hwaccels|buildconf)",
            words[-1] if words else "",
        )
    ):
        return
    if (
        clear
        and call.name in ("nroff", "groff", "troff")
        and not any(re.match(r"-\w*[lLUPX]", w) for w in words)
    ):
        return
    if (
        clear
        and call.name == "rrdtool"
        and words[:1] in (["info"], ["fetch"], ["last"], ["lastupdate"], ["first"], ["dump"])
    ) and (len(words) < 3 or words[0] == "fetch"):
        return
    call.add(2, f"`{call.name}` writes files or sends them to a device")


def judge_terminal(call: Call, spec: Spec) -> None:
    """Programs that change the terminal or desktop; clearing the screen is harmless."""
    if call.name in ("clear",):
        return
    words = [arg.text for arg in call.args]
    if call.name in (
        "xset",
        "xinput",
        "setxkbmap",
        "xclip",
        "xsel",
        "wmctrl",
        "kbd_mode",
    ) and words in (
        ["-q"],
        ["q"],
        ["list"],
        ["-query"],
        ["-print"],
        ["-o"],
        ["-l"],
        ["-m"],
        ["-d"],
    ):
        return
    call.add(1, f"`{call.name}` changes the terminal or desktop")


def judge_multiplexer(call: Call, spec: Spec) -> None:
    """`tmux`, `screen`: listing reads; new sessions and sent keys run commands."""
    text = " ".join(arg.display for arg in call.args)
    if not all(arg.exact for arg in call.args):
        call.add(2, "arguments that are known only when it runs")
    listing = (
        r"-V|ls|list-\w+(?: -\w+.*)?|lsw.*|lsp.*|lsc.*|info|has-session.*|has .*|show-options.*"
        r"|show .*|display-message -p .*"
        r"|capture-pane -p.*|server-info|show-environment.*|lscm|lsk|-ls|-list|-v|list-sessions"
        r"|--version|capture-pane .*-p.*"
    )
    if re.fullmatch(listing, text) and "#(" not in text and ";" not in text:
        return
    if re.match(r"kill-server|kill-session|-X quit|-wipe", text):
        call.add(2, "ends sessions and what runs in them")
        return
    match = re.match(
        r"(?:new(?:-session)?|new-window|neww|split-window|splitw|respawn-pane|run(?:-shell)?"
        r"|if(?:-shell)?)\b((?:\s+-\w+(?:\s+[\w:.-]+)?)*)"
        r"\s+(.*)",
        text,
    )
    if match and call.args:
        call.shell(call.args[-1])
    elif call.name in ("screen", "dtach", "abduco") and call.args:
        index = 0
        while index < len(call.args) and call.args[index].text.startswith("-"):
            index += (
                2
                if call.args[index].text
                in ("-S", "-c", "-t", "-e", "-h", "-s", "-T", "-p", "-A", "-n")
                else 1
            )
        if call.args[index:]:
            call.run(call.args[index:])
    elif "send-keys" in text or "stuff" in text:
        for arg in call.args[1:]:
            if " " in arg.text:
                call.shell(arg)
    call.add(2, f"`{call.name}` starts a session or types into one")


def judge_watcher(call: Call, spec: Spec) -> None:
    """`inotifywait` watches; `entr` and `incrontab` run commands."""
    words = [arg.text for arg in call.args]
    if call.name in ("inotifywait", "inotifywatch"):
        if not any(re.match(r"-\w*[od]\b|--outfile|--daemon", w) for w in words):
            return
        call.add(2, "writes a file or stays in the background")
        return
    if call.name == "incrontab" and words == ["-l"]:
        return
    if call.name == "direnv" and words[:1] in (["status"], ["version"]):
        return
    if call.name == "entr":
        inner = [arg for arg in call.args if not arg.text.startswith("-")]
        if inner:
            call.run(inner)
    call.add(2, f"`{call.name}` runs commands later or on changes")


def judge_chrt(call: Call, spec: Spec) -> None:
    """`chrt -p PID` shows; with a priority it changes; else it runs a command."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, "chrt")
    if parsed.has("-p", "--pid"):
        if len(parsed.operands) > 1 or any(a.splits or a.many for a in parsed.operands):
            call.add(2, "changes the scheduling of running processes")
    elif len(parsed.operands) > 1:
        call.output = call.run(parsed.operands[1:], call.stdin)


def judge_asks_host(call: Call, spec: Spec) -> None:
    """Programs that ask this machine, or with an operand another one."""
    parsed = by_spec(call, spec)
    for arg in parsed.operands:
        if not arg.exact or arg.text not in ("localhost", "127.0.0.1", "::1"):
            call.add(1, f"asks the machine {arg.display}")


def judge_at(call: Call, spec: Spec) -> None:
    """`at`, `batch`: run their input later, outside this call."""
    parsed = by_spec(call, spec)
    if call.stdin.text is not None and not parsed.has("-l", "-c", "-V"):
        call.shell(known(call.stdin.text))
