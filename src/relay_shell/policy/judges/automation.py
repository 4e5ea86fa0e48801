"""Tools that bring hosts or services to a declared state, and the stores that they read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_TF_READ = frozenset(
    "show output version providers graph validate state_list state_show state_pull workspace_list"
    " workspace_show fmt_-check metadata_functions get_ hclfmt_".split()
)


def judge_terraform(call: Call, spec: Spec) -> None:
    """`terraform`, `tofu`: show and list read; plan runs providers; destroy destroys."""
    args = [a for a in call.args if not a.text.startswith("-chdir")]
    words = [a.text for a in args if not a.text.startswith("-")]
    options = [a.text.lstrip("-") for a in args if a.text.startswith("-")]
    verb = words[0] if words else ""
    pair = "_".join(words[:2])
    if not words:
        if not set(options) <= {"version", "v", "help", "h"}:
            call.add(2, f"`{call.name}` with unknown options")
        return
    if any(a.wild for a in args):
        call.add(2, "an argument may become an option")
    if (
        "destroy" in verb
        or "destroy" in options
        or pair in ("state_rm", "workspace_delete", "run-all_destroy")
    ):
        call.add(3, f"`{call.name} {' '.join(words[:2])}` destroys what it manages")
        return
    if verb == "apply" and any(o.startswith(("auto-approve", "replace")) for o in options):
        call.add(3, f"`{call.name} apply` without asking can destroy what it manages")
        return
    if verb in ("taint", "force-unlock") or pair == "state_push":
        call.add(3 if pair == "state_push" else 2, f"`{call.name} {verb}` changes the state")
        return
    fetching = verb == "providers" and words[1:2] in (["lock"], ["mirror"])
    if (verb in _TF_READ or pair in _TF_READ) and not fetching:
        return
    if verb == "fmt" and any(o.startswith("check") for o in options):
        return
    if verb == "plan" and not any(o.startswith(("out", "generate-config-out")) for o in options):
        call.add(1, "asks providers for the state of the infrastructure")
        return
    call.add(2, f"`{call.name} {verb}` changes infrastructure or files")


def judge_ansible(call: Call, spec: Spec) -> None:
    """Ansible: listing and syntax checks read; the rest runs on other machines."""
    words = [a.text for a in call.args]
    text = " ".join(words)
    listing = {"--list-hosts", "--list-tasks", "--list-tags", "--syntax-check", "--version"}
    for index, word in enumerate(words):
        match = re.fullmatch(
            r"(?:-[a-zA-Z]*i(.*)|(--inv[a-z-]*|--vault[a-z-]*)(?:=(.*))?)", word, re.DOTALL
        )
        if match is None or word in listing:
            continue
        value = match[1] or match[3] or "".join(words[index + 1 : index + 2])
        hosts = match[2] is None or match[2].startswith("--inv")
        if not (hosts and re.fullmatch(r"/etc/ansible/(?!.*\.\.).*|[^/]*,[^/]*", value)):
            call.add(2, f"`{call.name} {word}` may run {value} to ask it")
    if call.name == "ansible-doc":
        return
    if call.name == "ansible-inventory":
        if any(w.startswith("--output") for w in words):
            call.add(2, "writes a file")
        return
    if call.name == "ansible-config" and words[:1] in (["list"], ["dump"], ["view"]):
        return
    if call.name == "ansible-galaxy" and words[:1] == ["list"]:
        return
    if call.name == "ansible-galaxy" and words[1:2] in (["list"], ["info"], ["search"]):
        call.add(0 if words[1] == "list" else 1, "asks the galaxy over the network")
        return
    if call.name == "ansible-vault" and words[:1] == ["view"]:
        call.add(1, "reads a credential")
        return
    if call.name == "ansible-lint":
        call.add(2 if "--fix" in text else 1, "runs the rules of the project")
        return
    if call.name in ("ansible", "ansible-playbook") and listing & set(words):
        return
    if call.name == "ansible":
        _ad_hoc(call, words)
        return
    call.add(2, f"`{call.name}` runs on other machines or changes files")


def _ad_hoc(call: Call, words: list[str]) -> None:
    """`ansible HOSTS -m MODULE -a ARGUMENTS`."""
    module, arguments = "command", ""
    for index, word in enumerate(words[:-1]):
        if word in ("-m", "--module-name"):
            module = words[index + 1]
        elif word in ("-a", "--args"):
            arguments = words[index + 1]
    call.add(2, "runs on other machines")
    if module.rpartition(".")[2] in ("command", "shell", "raw") and arguments:
        call.shell(Arg(arguments))
    elif "state=absent" in arguments or module.rpartition(".")[2] in ("reboot",):
        call.add(3, "the module removes something or reboots")


def judge_agents(call: Call, spec: Spec) -> None:
    """Configuration agents: facts and listings read."""
    words = [a.text for a in call.args]
    options = {w.partition("=")[0] for w in words if w.startswith("-")}
    if call.name in ("facter", "ohai") and not options & {
        "--custom-dir",
        "-p",
        "--puppet",
        "-d",
        "--external-dir",
    }:
        return
    pair = words[:2]
    if call.name == "puppet" and (
        words[:1] in (["--version"], ["facts"], ["help"])
        or pair in (["config", "print"], ["module", "list"], ["parser", "validate"])
        or (words[:1] == ["resource"] and not any("=" in w for w in words) and not options)
    ):
        return
    if call.name == "knife" and len(words) > 1 and words[1] in ("list", "show"):
        return
    if call.name == "salt-key" and options <= {"-L", "-l", "--list-all", "-F", "-f", "-p"}:
        return
    if call.name in ("salt", "salt-call") and any(
        re.fullmatch(
            r"test\.(?:ping|version)|grains\.(?:items|ls|get|item)|pillar\.(?:items|get|ls)"
            r"|status\.\w+|disk\.usage",
            w,
        )
        for w in words
    ):
        call.add(1, "asks other machines")
        return
    text = " ".join(words)
    if re.search(r"cmd\.(?:run|shell)|system\.(?:reboot|shutdown|poweroff|halt)", text):
        match = re.search(r"cmd\.\w+\s+(.*)", text)
        if match:
            call.shell(Arg(match.group(1)))
        if "system." in text:
            call.add(3, "stops or restarts other machines")
    if len(words) > 1 and words[1] == "delete":
        call.add(3, f"`{call.name} {words[0]} delete` removes it")
    call.add(2, f"`{call.name}` changes this or other machines")


def judge_vault(call: Call, spec: Spec) -> None:
    """`vault`: status and list read; read and get show secrets."""
    words = [a.text for a in call.args if not a.text.startswith("-")]
    options = [a.text.lstrip("-") for a in call.args if a.text.startswith("-")]
    if any(a.wild for a in call.args):
        call.add(2, "an argument may become an option")
    if any(o.startswith(("address", "agent-address")) for o in options):
        call.add(1, "sends a token to another address")
    if not words or words[0] in ("status", "version", "help", "path-help", "version-history"):
        return
    pair = " ".join(words[:2])
    if (
        words[0] == "list"
        or pair
        in (
            "secrets list",
            "auth list",
            "policy list",
            "policy read",
            "audit list",
            "kv list",
            "kv metadata get",
            "token lookup",
            "token capabilities",
            "plugin list",
            "plugin info",
            "namespace list",
            "lease lookup",
            "operator raft",
            "operator members",
            "operator key-status",
            "namespace lookup",
            "operator diagnose",
            "policy fmt_",
        )
        or " ".join(words[:3]) == "kv metadata get"
    ):
        if pair == "operator raft" and words[2:3] != ["list-peers"]:
            call.add(
                3 if words[2:3] == ["remove-peer"] else 2,
                "`vault operator raft` changes the cluster",
            )
        return
    if words[0] == "read" or pair == "kv get":
        call.add(1, "reads a credential")
        return
    destroying = {
        "delete",
        "destroy",
        "disable",
        "revoke",
        "seal",
        "remove-peer",
        "rekey",
        "undelete_",
    }
    if destroying & set(words[:3]):
        call.add(3, f"`vault {' '.join(words[:3])}` deletes secrets or locks the store")
        return
    call.add(2, f"`vault {words[0]}` changes the store")


def judge_consul(call: Call, spec: Spec) -> None:
    """`consul`: members, catalog and kv get read."""
    words = [a.text for a in call.args if not a.text.startswith("-")]
    pair = " ".join(words[:2])
    if any(a.wild for a in call.args):
        call.add(2, "an argument may become an option")
    if not words or words[0] in (
        "members",
        "info",
        "version",
        "catalog",
        "validate",
        "rtt",
        "help",
    ):
        return
    if pair in (
        "kv get",
        "operator raft",
        "acl token_",
        "services list",
        "config list",
        "config read",
        "snapshot inspect",
        "intention list",
        "intention check",
        "intention get",
        "namespace list",
        "acl policy_",
        "troubleshoot ports",
        "kv export",
    ) and (pair != "operator raft" or words[2:3] == ["list-peers"]):
        return
    if words[:1] == ["acl"] and words[2:3] in (["list"], ["read"]):
        return
    if {"delete", "remove-peer", "leave", "force-leave"} & set(words[:3]):
        call.add(3, f"`consul {' '.join(words[:3])}` removes data or members")
        return
    call.add(2, f"`consul {words[0]}` changes the cluster")


def judge_etcd(call: Call, spec: Spec) -> None:
    """`etcdctl`: get, list and status read; del and remove do not."""
    words: list[str] = []
    for arg in call.args:
        if arg.wild:
            call.add(2, f"`{arg.display}` may become an option")
        if not arg.text.startswith("-"):
            words.append(arg.text)
    options = {a.text.partition("=")[0] for a in call.args}
    # `--endpoints URL` puts its value among the words; a verb after it still counts.
    verbs = [w for w in words if re.fullmatch(r"[a-z]+", w)]
    text = " ".join(verbs[:2])
    if not verbs or verbs[0] in ("version", "help"):
        return
    if verbs[0] in ("del", "rm", "rmdir", "compaction") or text in (
        "member remove",
        "user delete",
        "role delete",
        "snapshot restore",
        "auth disable",
        "lease revoke",
    ):
        call.add(3, f"`{call.name} {text}` deletes data or members")
        return
    if verbs[0] in ("get", "watch", "ls") or text in (
        "member list",
        "endpoint status",
        "endpoint health",
        "endpoint hashkv",
        "alarm list",
        "user list",
        "user get",
        "role list",
        "role get",
        "snapshot status",
        "lease list",
        "lease timetolive",
        "auth status",
        "cluster-health",
    ):
        if verbs[0] == "check":
            call.add(2, f"`{call.name} check` puts load and keys on the store")
        if verbs[0] == "watch" and "--" in options:
            call.add(2, "`etcdctl watch` runs a command on each event")
        return
    call.add(2, f"`{call.name} {text}` changes the store")
