"""Tools of systemd and of boot loaders: few of their verbs only read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..programs import by_spec

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_READING = {
    "coredumpctl": {"list", "info", ""},
    "machinectl": {"list", "status", "show", "list-images", "image-status", "show-image", ""},
    "portablectl": {"list", "inspect", "is-attached", ""},
    "homectl": {"list", "inspect", ""},
    "userdbctl": {
        "user",
        "group",
        "users-in-group",
        "groups-of-user",
        "services",
        "users",
        "groups",
    },
    "oomctl": {"dump", ""},
    "systemd-inhibit": {"--list"},
    "systemd-tmpfiles": {"--cat-config", "--tldr"},
    "systemd-sysusers": {"--cat-config", "--tldr"},
    "systemd-sysctl": {"--cat-config", "--tldr"},
    "systemd-hwdb": {"query"},
    "systemd-sysext": {"status", "list", ""},
    "systemd-confext": {"status", "list", ""},
    "systemd-creds": {"list", "has-tpm2"},
    "systemd-repart": set(),
    "systemd-mount": {"--list"},
    "systemd-dissect": {"--list"},
    "grub-editenv": {"list"},
    "kernel-install": {"list", "inspect"},
    "importctl": {"list", "list-images", "list-transfers", ""},
    "updatectl": {"list", "check"},
}
_READING_OPTION = re.compile(
    r"--(?:no-\w+|since|until|lines|json|full|all|reverse|quiet|state|type|property|value|output-fields"
    r"|show-unrecoverable)(?:=.*)?|-[nrla1qpS]"
)
_VIEW = frozenset(
    (
        "--no-pager",
        "--no-legend",
        "-r",
        "--reverse",
        "-1",
        "-q",
        "--quiet",
        "-l",
        "--full",
        "--json=short",
        "--json=pretty",
        "-a",
        "--all",
    )
)
_DESTROYS = {
    "machinectl": {"terminate", "poweroff", "reboot", "remove", "clean"},
    "systemd-repart": {"--empty=force", "--factory-reset=yes"},
    "homectl": {"remove"},
    "systemd-cryptenroll": {"--wipe-slot"},
}


def judge_tool(call: Call, spec: Spec) -> None:
    """Tier 0 for a reading verb without unknown options, Tier 3 for a destroying one."""
    if not all(arg.exact for arg in call.args):
        call.add(2, f"arguments of `{call.name}` are known only when it runs")
        return
    words = [arg.text for arg in call.args if arg.text not in _VIEW]
    verbs = [word for word in words if not word.startswith("-")]
    verb = words[0] if words else ""
    destroying = _DESTROYS.get(call.name, set())
    if any(word.partition("=")[0] in destroying or word in destroying for word in words):
        call.add(3, f"`{call.name} {verb}` cannot be undone")
        return
    reading = _READING.get(call.name, set())
    options = [word for word in words[1:] if word.startswith("-")]
    if verb in reading and all(_READING_OPTION.fullmatch(o) for o in options) and len(verbs) <= 12:
        return
    call.add(2, spec.why or f"`{call.name} {verb}`".rstrip() + " changes state")


def judge_service(call: Call, spec: Spec) -> None:
    """`service NAME status` and `service --status-all` read."""
    words = [arg.text for arg in call.args]
    if words == ["--status-all"] or (len(words) == 2 and words[1] == "status"):
        # The name is a path below /etc/init.d, which `..` would leave.
        if call.args[0].exact and re.fullmatch(r"[\w.@+-]*\w[\w.@+-]*|--status-all", words[0]):
            return
        if call.args[0].safe and "/" not in words[0]:
            return
    call.add(2, "changes the state of a service")


_POWER_UNITS = re.compile(
    r"(?:reboot|poweroff|halt|kexec|shutdown|emergency|rescue|suspend|hibernate|hybrid-sleep|exit|soft-reboot"
    r"|ctrl-alt-del|suspend-then-hibernate|runlevel[016]|systemd-(?:reboot|poweroff|halt|kexec|suspend|hibernate))"
    r"(?:\.target|\.service)?"
)
# Without these the machine loses its evidence or the way in.
_LIFELINES = re.compile(
    r"(?:sshd?|networking|NetworkManager|systemd-networkd|systemd-journald|auditd|rsyslog|syslog-ng|relay-shell.*"
    r"|systemd-journal-upload|dbus|systemd-logind)(?:\.service|\.socket)?"
)


def judge_systemctl(call: Call, spec: Spec) -> None:
    """`systemctl`: by verb; some units stop the machine, lose evidence or the way in."""
    parsed = by_spec(call, spec)
    words = [arg.text for arg in call.args if not arg.text.startswith("-")]
    verb = words[0] if words else ""
    del parsed
    if verb in ("start", "restart", "isolate", "reload-or-restart", "try-restart"):
        for word in words[1:]:
            if _POWER_UNITS.fullmatch(word):
                call.add(3, f"`systemctl {verb} {word}` stops or restarts the machine")
    if verb == "isolate":
        call.add(3, "`systemctl isolate` stops every unit that the target does not need")
    if verb in ("stop", "disable", "mask", "kill"):
        for word in words[1:]:
            if _LIFELINES.fullmatch(word):
                call.add(3, f"`systemctl {verb} {word}` can cut off access or evidence")


_BUS_POWER = re.compile(
    r"\b(?:PowerOff|Reboot|Halt|KExec|Suspend|Hibernate|HybridSleep|SoftReboot)\w*\b"
)


def judge_bus(call: Call, spec: Spec) -> None:
    """Calls over D-Bus: methods that stop the machine cannot be undone."""
    text = " ".join(arg.display for arg in call.args)
    words = [arg.text for arg in call.args]
    if call.name == "gdbus" and words[:1] in (["introspect"], ["monitor"]):
        return
    if _BUS_POWER.search(text):
        call.add(3, "calls a method that stops or suspends the machine")
    call.add(2, "calls a method of another program over D-Bus")
