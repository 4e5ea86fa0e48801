"""Tools of systemd and of boot loaders: few of their verbs only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core import Call
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
    "fwupdmgr": {
        "get-devices",
        "get-updates",
        "get-history",
        "get-topology",
        "security",
        "get-remotes",
    },
    "grub-editenv": {"list"},
    "kernel-install": {"list", "inspect"},
    "importctl": {"list", "list-images", "list-transfers", ""},
    "updatectl": {"list", "check"},
}
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
    if verb in reading and not options and len(verbs) <= 12:
        return
    call.add(2, spec.why or f"`{call.name} {verb}`".rstrip() + " changes state")


def judge_service(call: Call, spec: Spec) -> None:
    """`service NAME status` and `service --status-all` read."""
    words = [arg.text for arg in call.args]
    if words == ["--status-all"] or (len(words) == 2 and words[1] == "status"):
        if not call.args[0].splits:
            return
    call.add(2, "changes the state of a service")
