"""Network tools with languages of their own: iproute2, ethtool, iw, nmcli."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..programs import by_spec
from ..spec import Spec
from ..values import Arg, known

if TYPE_CHECKING:
    from ..call import Call

_IP_GLOBAL = re.compile(
    r"-(?:4|6|0|B|M|s|stats|statistics|d|details|h|human|human-readable|iec|o|oneline|r|resolve|c"
    r"|color"
    r"|c=\w+|color=\w+|t|timestamp|ts|tshort|br|brief|j|json|p|pretty|N|Numeric|a|all|echo|V"
    r"|Version"
    r"|loops|ss|dd)+|-br|-c"
)
# In iproute2 an abbreviation means the first command of a fixed order that it begins; only
# spellings that can mean nothing but reading are listed.
_SHOW = frozenset("show list lst sh sho lis ls li get".split())
_IP_OBJECTS = {
    "address": {"s"},
    "link": {"xstats", "afstats"},
    "route": {"s", "g", "l"},
    "rule": {"s", "l"},
    "neighbour": {"s", "l"},
    "neighbor": {"s", "l"},
    "maddress": {"s"},
    "mroute": set(),
    "netns": {"identify", "pids", "list-id", "monitor"},
    "tunnel": set(),
    "tuntap": set(),
    "ntable": set(),
    "netconf": set(),
    "tcp_metrics": set(),
    "token": set(),
    "xfrm": set(),
    "vrf": {"identify", "pids"},
    "addrlabel": set(),
    "nexthop": set(),
    "macsec": set(),
    "mptcp": {"limits", "endpoint", "monitor"},
    "l2tp": set(),
    "sr": set(),
    "ioam": set(),
    "fou": set(),
    "monitor": set(),
    "stats": set(),
}
_IP_SHORT = {
    "a": "address",
    "ad": "address",
    "addr": "address",
    "l": "link",
    "li": "link",
    "lin": "link",
    "r": "route",
    "ro": "route",
    "rou": "route",
    "ru": "rule",
    "n": "neighbour",
    "ne": "neighbour",
    "neigh": "neighbour",
    "m": "maddress",
    "maddr": "maddress",
    "mr": "mroute",
    "tu": "tunnel",
    "tun": "tunnel",
    "mo": "monitor",
    "mon": "monitor",
    "x": "xfrm",
    "nei": "neighbour",
    "to": "token",
    "netn": "netns",
}


def _words(call: Call) -> list[Arg] | None:
    """The words, or None with a Tier 2 reason if one may become several."""
    for arg in call.args:
        if arg.splits:
            call.add(2, f"`{arg.display}` may become several words")
            return None
    return call.args


def judge_ip(call: Call, spec: Spec) -> None:
    """`ip`: show, list and get of an object read."""
    args = _words(call)
    if args is None:
        return
    index = 0
    while index < len(args) and args[index].text.startswith("-"):
        option = args[index].text
        index += 1
        if option in ("-f", "-family", "-n", "-netns", "-rc", "-rcvbuf", "-l"):
            index += 1
            continue
        if not args[index - 1].exact or not _IP_GLOBAL.fullmatch(option):
            call.add(2, f"option `{option}` of `ip` is not known to only read")
            return
    words = args[index:]
    if not words:
        return
    first = words[0]
    name = _IP_SHORT.get(first.text, first.text)
    extra = _IP_OBJECTS.get(name) if first.exact else None
    if extra is None:
        if first.text != "help":
            call.add(2, f"`ip {first.display}` is not known to only read")
        return
    if name == "monitor" or len(words) == 1:
        if name in ("xfrm", "tcp_metrics", "token", "mptcp") and len(words) == 1:
            return
        return
    if name == "netns" and words[1].text in ("exec", "e", "ex", "exe"):
        call.add(2, "`ip netns exec` runs a command in another network namespace")
        call.run(words[3:])
        return
    if name == "vrf" and words[1].text == "exec":
        call.add(2, "`ip vrf exec` runs a command in another routing domain")
        call.run(words[3:])
        return
    verbs = [words[1]]
    if name in ("xfrm", "mptcp", "l2tp", "sr", "ioam"):
        verbs = words[2:3] or [known("show")]
        if words[1].text in ("monitor", "m", "limits") and len(words) < 3:
            return
    for verb in verbs:
        if verb.exact and (verb.text in _SHOW or verb.text in extra or verb.text == "help"):
            return
        if (
            verb.exact
            and verb.text in ("count", "monitor")
            and name in ("xfrm", "mptcp", "nexthop")
        ):
            return
    flushing = words[1].text.startswith(("f", "fl"))
    texts = [word.text for word in words[1:]]
    if (
        (name == "link" and ("down" in texts or texts[0].startswith("de")))
        or (name == "route" and texts[0].startswith("d") and "default" in texts)
        or (name == "address" and texts[0].startswith("d"))
    ):
        call.add(3, f"`ip {first.text} {texts[0]}` can cut off the way to this machine")
    call.add(
        3 if flushing and name in ("address", "route", "link") else 2,
        f"`ip {first.text} {words[1].display}` changes the network",
    )


_OBJECT_VERBS = frozenset("show list ls lst sh help monitor mon get dump".split())


def judge_objects(call: Call, spec: Spec) -> None:
    """`tc`, `bridge`, `devlink` and their kind: OBJECT then a verb; no verb shows."""
    args = _words(call)
    if args is None:
        return
    words = list(args)
    while words and words[0].text.startswith("-"):
        option = words.pop(0)
        if re.fullmatch(r"-(?:b|batch|force|n|netns|net)(?:=.*)?", option.text) or not option.exact:
            call.add(2, f"option `{option.display}` of `{call.name}` is not known to only read")
            return
    if len(words) < 2:
        if words and words[0].text not in _OBJECT_VERBS and not words[0].exact:
            call.add(2, f"`{call.name} {words[0].display}` is known only when it runs")
        return
    verb = words[1]
    if words[0].text in ("monitor", "mon", "help"):
        return
    if call.name == "devlink" and words[0].text in ("dev", "port", "health", "sb", "resource"):
        nested = [w.text for w in words[1:4] if w.exact]
        if any(
            w
            in (
                "set",
                "reload",
                "flash",
                "add",
                "del",
                "split",
                "unsplit",
                "recover",
                "clear",
                "test",
                "bind",
                "new",
                "trigger",
            )
            for w in nested
        ):
            call.add(2, f"`{call.name}` changes a device")
            return
        if any(w in _OBJECT_VERBS or w in ("info", "diagnose") for w in nested):
            return
    if verb.exact and verb.text in _OBJECT_VERBS:
        return
    if call.name == "tc" and verb.text in ("s", "l", "li", "lis", "sho"):
        return
    call.add(2, f"`{call.name} {words[0].display} {verb.display}` changes the network")


def judge_ethtool(call: Call, spec: Spec) -> None:
    """`ethtool`: options in lower case mostly show, the others set or blink."""
    args = _words(call)
    if not args:
        return
    first = args[0].text
    showing = re.fullmatch(
        r"-[iSkgcalmPTxnudeV]|-P|-h|--(?:driver|statistics|show-\w[\w-]*|register-dump"
        r"|eeprom-dump|version|help"
        r"|module-info|json|include-statistics|phy-statistics)|--phy-statistics|-I",
        first,
    )
    if first in ("-e", "-d", "-m") or showing:
        prefix = first in ("--json", "-I", "--include-statistics") and len(args) > 1
        if prefix and args[1].text.startswith("-") and not args[1].text.startswith("--show"):
            call.add(2, "changes a network interface")
        return
    if not first.startswith("-") and len(args) == 1 and args[0].exact:
        return
    if not first.startswith("-") and len(args) == 1 and not args[0].wild:
        return
    call.add(2, f"`ethtool {args[0].display}` changes a network interface")


def judge_vtysh(call: Call, spec: Spec) -> None:
    """`vtysh -c`: `show` reads; without a command it is a shell of the router."""
    commands = by_spec(call, spec).all("-c", "--command")
    if not commands:
        call.add(2, "reads commands from standard input")
    for command in commands:
        if not (command.exact and re.fullmatch(r"\s*sh(?:ow|o)?(?: [\w./:-]+)+\s*", command.text)):
            call.add(2, f"command {command.display} of `vtysh` is not known to only read")


def judge_ovs(call: Call, spec: Spec) -> None:
    """Open vSwitch: another command may follow after `--`, and a trace may send its packet."""
    by_spec(call, spec)
    if any(arg.text == "--" or "-generate" in arg.text or not arg.exact for arg in call.args):
        call.add(2, f"`{call.name}` runs several commands or sends a packet")


_IW_READ = re.compile(
    r"(?:dev |phy )?[\w.-]+ (?:info|link|channels|(?:station|survey|scan|mpath|mpp) dump"
    r"|station get [0-9a-f:]+|get \w+)"
)


def judge_iw(call: Call, spec: Spec) -> None:
    """`iw`: info, link, dump, list and get read."""
    words = [a.text for a in call.args if a.exact]
    if len(words) < len(call.args) and any(a.wild for a in call.args):
        call.add(2, "an argument is known only when it runs")
        return
    if words in (
        [],
        ["dev"],
        ["phy"],
        ["list"],
        ["reg", "get"],
        ["event"],
        ["help"],
        ["--version"],
    ):
        return
    if _IW_READ.fullmatch(" ".join(words)):
        return
    call.add(2, "`iw` changes or scans a wireless interface")


_NM_OBJECTS = ("general", "networking", "radio", "connection", "device", "agent", "monitor")
_NM_READ = {
    "general": {"status", "permissions", "logging", "reload_"},
    "networking": {"connectivity"},
    "radio": set(),
    "connection": {"show", "monitor", "export"},
    "device": {"status", "show", "monitor", "lldp"},
    "monitor": set(),
}


def judge_nmcli(call: Call, spec: Spec) -> None:
    """`nmcli`: objects and verbs may be abbreviated; only sure readings count."""
    args = _words(call)
    if args is None:
        return
    words: list[str] = []
    index = 0
    while index < len(args):
        text = args[index].text
        index += 1
        if text in (
            "-f",
            "--fields",
            "-g",
            "--get-values",
            "-m",
            "--mode",
            "-e",
            "--escape",
            "-w",
            "--wait",
            "-c",
            "--colors",
            "-n",
        ):
            index += 1 if text != "-n" else 0
        elif text in ("-s", "--show-secrets"):
            call.add(1, "shows secrets of connections")
        elif text in ("-a", "--ask"):
            call.add(2, "asks for input")
        elif text.startswith("-"):
            if not re.fullmatch(
                r"-[tpvh]+|--(?:terse|pretty|version|help|overview|active|order|escape)|-o", text
            ):
                call.add(2, f"option `{text}` of nmcli is not known")
        else:
            words.append(args[index - 1].text if args[index - 1].exact else "?")
    if not words:
        return
    matches = [name for name in _NM_OBJECTS if name.startswith(words[0])]
    name = matches[0] if matches else ""
    if name == "monitor" and words[0] == "m":
        return
    if not name or name == "agent":
        call.add(2, f"`nmcli {words[0]}` changes the network or waits for input")
        return
    if len(words) == 1:
        return
    verb = words[1]
    if name == "radio" and verb in ("wifi", "wwan", "all") and len(words) == 2:
        return
    if name == "networking" and verb == "connectivity" and len(words) == 2:
        return
    if name == "general" and verb in ("hostname", "logging") and len(words) == 2:
        return
    if name == "device" and verb in ("wifi", "w") and (len(words) == 2 or words[2] == "list"):
        if "--rescan" in words:
            call.add(1, "scans for wireless networks")
        return
    reading = _NM_READ.get(name, set())
    if (
        any(r.startswith(verb) for r in reading)
        and verb
        in (
            "s",
            "sh",
            "sho",
            "show",
            "status",
            "monitor",
            "st",
            "permissions",
            "lldp",
        )
        and not (verb == "s" and name == "device")
    ):
        return
    cutting = verb == "off" or verb.startswith(("del", "down", "disc"))
    call.add(3 if cutting else 2, f"`nmcli {words[0]} {verb}` changes the network")
