"""Cloud command lines: the verb says whether a call reads, changes or deletes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_READ = re.compile(
    r"(?:describe|list|get|show|ls|search|lookup|view|status|info|version|help|check|head|test"
    r"|count|estimate"
    r"|preview|whoami|exists|logs?|tail|batch-get|select|filter|scan|query|simulate|read|inspect"
    r"|stat|cat|du"
    r"|ps|history|releases|regions?|balance|usage|graph|stack_?ls|top|about)"
    r"(?:-[a-z0-9-]+)?"
)
_DELETE = re.compile(
    r"(?:delete|destroy|remove|rm|rb|purge|terminate|del|drop|deregister|wipe|nuke|deprovision"
    r"|prune|erase"
    r"|force-delete|batch-delete|cancel-key|schedule-key-deletion|reset|rollback|revoke|disable-key"
    r"|uninstall|release-address|release)(?:[-:][a-z0-9-]+)?|[\w-]+[:-](?:delete|destroy|remove)"
)
_SECRET_VERBS = frozenset(
    "get-secret-value get-parameter get-parameters get-session-token assume-role get-login-password"
    " decrypt get-password-data get-credentials print-access-token print-identity-token list-keys"
    " get-access-token get-federation-token export-credentials generate-data-key".split()
)


def _split(call: Call, valued: frozenset[str]) -> tuple[list[str], list[str]]:
    """Words and options of a call; Tier 2 where they are not certain."""
    words: list[str] = []
    options: list[str] = []
    skip = False
    for arg in call.args:
        if arg.wild:
            call.add(2, f"`{arg.display}` may become an option")
        if skip:
            skip = False
            continue
        if arg.text.startswith("-"):
            options.append(arg.text)
            skip = arg.text in valued
        else:
            words.append(arg.text if arg.exact else "")
    return words, options


_AWS_VALUED = frozenset(
    (
        "--profile --region --output --query --endpoint-url --color --ca-bundle --cli-read-timeout"
        " --cli-connect-timeout --cli-binary-format"
    ).split()
)


def judge_aws(call: Call, spec: Spec) -> None:
    """`aws SERVICE OPERATION`: describe, list and get read; delete and terminate do not."""
    words, options = _split(call, _AWS_VALUED)
    if not words:
        if not set(options) <= {"--version", "help"}:
            call.add(2, "`aws` with unknown options")
        return
    service = words[0]
    verb = words[1] if len(words) > 1 else ""
    if service in ("help",) or verb == "help" or "--dry-run" in options:
        return
    if any(o.startswith("--endpoint-url") for o in options):
        call.add(1, "sends credentials to another endpoint")
    if service == "s3":
        _s3(call, verb, words[2:], options)
        return
    if service == "configure":
        if verb not in ("list", "list-profiles", "get"):
            call.add(2, "`aws configure` changes settings")
        return
    if verb in _SECRET_VERBS:
        call.add(1, "reads a credential")
        return
    outfile = service in ("s3api", "glacier", "polly", "lambda") and verb in (
        "get-object",
        "get-job-output",
        "synthesize-speech",
        "invoke",
        "get-object-torrent",
        "select-object-content",
    )
    if verb == "wait":
        return
    if _READ.fullmatch(verb) and not outfile:
        return
    if _DELETE.fullmatch(verb):
        call.add(3, f"`aws {service} {verb}` cannot be undone")
    else:
        call.add(2, f"`aws {service} {verb}` changes something in the cloud")


def _s3(call: Call, verb: str, operands: list[str], options: list[str]) -> None:
    if verb == "ls":
        return
    if verb in ("rm", "rb") or "--delete" in options or (verb == "mv"):
        call.add(3, f"`aws s3 {verb}` removes objects")
        return
    if verb == "cp" and operands[1:2] == ["-"]:
        return
    call.add(2, f"`aws s3 {verb}` copies data to or from the cloud")


_GCLOUD_VALUED = frozenset(
    (
        "--project --account --format --filter --zone --region --configuration --verbosity --limit"
        " --sort-by --page-size --billing-project --flatten"
    ).split()
)


def judge_gcloud(call: Call, spec: Spec) -> None:
    """`gcloud GROUP... VERB`, `gsutil`, `bq`: by the verbs among the words."""
    words, options = _split(call, _GCLOUD_VALUED)
    if not words:
        if not set(options) <= {"--version", "-v", "--help", "version"}:
            call.add(2, f"`{call.name}` with unknown options")
        return
    if call.name == "gsutil":
        words = [w for w in words if w not in ("-m",)]
        verb = words[0]
        if verb in ("ls", "du", "stat", "cat", "hash", "version", "help", "acl_get"):
            return
        if verb in ("rm", "rb", "mv") or (verb == "rsync" and any("d" in o for o in options)):
            call.add(3, f"`gsutil {verb}` removes objects")
            return
        call.add(2, f"`gsutil {verb}` changes something in the cloud")
        return
    if call.name == "bq":
        verb = words[0]
        if verb in ("ls", "show", "head", "version", "help"):
            return
        if verb in ("rm", "truncate"):
            call.add(3, f"`bq {verb}` removes data")
        elif verb == "query":
            from .sql import sql_verdict

            tier, reason = sql_verdict(" ".join(words[1:]))
            call.add(tier, reason)
        else:
            call.add(2, f"`bq {verb}` changes something in the cloud")
        return
    if words[0] in ("info", "version", "help", "topic", "cheat-sheet"):
        return
    if words[0] == "auth" and words[1:2] != ["list"]:
        call.add(1 if words[1:2] and words[1].startswith("print-") else 2, "uses credentials")
        return
    if words[0] == "config":
        if words[1:2] not in (["list"], ["get-value"], ["get"]) and words[1:3] not in (
            ["configurations", "list"],
            ["configurations", "describe"],
        ):
            call.add(2, "`gcloud config` changes settings")
        return
    if (
        words[:2] == ["storage", "cat"]
        or words[:2] == ["storage", "ls"]
        or words[:2] == ["storage", "du"]
    ):
        return
    _by_words(call, words[1:5])


def _by_words(call: Call, words: list[str]) -> None:
    """Tier 0 if the first verb among the words reads; deletion anywhere is Tier 3."""
    for word in words:
        if _DELETE.fullmatch(word):
            call.add(3, f"`{call.name} ... {word}` cannot be undone")
            return
    for word in words:
        if word in _SECRET_VERBS:
            call.add(1, "reads a credential")
            return
        if _READ.fullmatch(word):
            return
        if _CHANGE.fullmatch(word):
            break
    call.add(2, f"`{call.name} {' '.join(words[:3])}` changes something in the cloud")


_CHANGE = re.compile(
    r"(?:create|update|set|add|start|stop|restart|deploy|run|exec|ssh|scp|apply|import|export"
    r"|attach|detach"
    r"|enable|disable|resize|scale|move|copy|cp|sync|login|logout|init|connect|reboot|invoke|send"
    r"|put|post"
    r"|patch|publish|up|push|rotate|restore|promote|failover|allow|grant|generate|upload|download"
    r"|power-\w+"
    r"|poweroff|rebuild|snapshot|config|configure|edit|assign|unassign|transfer|rename|lock"
    r"|unlock|mb|kill"
    r"|install|upgrade|redeploy|swap|approve|reject|pause|resume|suspend|activate|deallocate"
    r"|drain|clone)"
    r"(?:-[a-z0-9-]+)?"
)
_VERBS_VALUED = frozenset(
    (
        "-g --resource-group -n --name --subscription -o --output --query -t --access-token"
        " --context --config"
        " -u --api-url --format --region -r --region -a --app --project --namespace -c"
        " --compartment-id"
        " -s --stack --os-cloud -f --profile -p --no-header --limit --filter --zone --ids --cwd -C"
    ).split()
)


def judge_verbs(call: Call, spec: Spec) -> None:
    """Other cloud command lines: groups of words with one verb among them."""
    words, options = _split(call, _VERBS_VALUED)
    if not words:
        if not set(options) <= {"--version", "-v", "--help", "-h", "-V"}:
            call.add(2, f"`{call.name}` with unknown options")
        return
    if call.name == "pulumi":
        if words[0] in ("destroy", "cancel") or words[:2] in (["stack", "rm"], ["state", "delete"]):
            call.add(3, f"`pulumi {words[0]}` destroys what it manages")
            return
        shows = words[0] in ("version", "whoami", "about", "logs", "config", "stack", "plugin")
        showing = words[1:2] in ([], ["ls"], ["output"], ["history"], ["graph"], ["export"])
        writing = any(o.startswith(("--file", "--show-secrets")) for o in options)
        if shows and showing and not writing:
            return
        if words[0] == "preview":
            call.add(1, "runs the program that describes the infrastructure")
            return
    if call.name == "heroku" and ":" in words[0]:
        words = [*words[0].split(":"), *words[1:]]
        if words[-1] in ("destroy", "reset") or (
            len(words) > 1 and words[1] in ("destroy", "reset")
        ):
            call.add(3, "`heroku` destroys an application or database")
            return
    if call.name == "az" and words[0] in ("login", "logout", "rest", "extension"):
        call.add(2, f"`az {words[0]}` uses credentials or changes something")
        return
    project = call.name in ("cdk", "sam", "serverless", "sls", "eb", "amplify", "copilot", "cf")
    deleting = words[0] in ("destroy", "delete", "terminate", "remove")
    if project and (deleting or words[0] in ("synth", "deploy", "diff")):
        call.add(3 if deleting else 2, f"`{call.name} {words[0]}` runs code of the project")
        return
    _by_words(call, words[:5])


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
    if verbs[0] in ("get", "watch", "ls", "check") or text in (
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
        if verbs[0] == "watch" and "--" in options:
            call.add(2, "`etcdctl watch` runs a command on each event")
        return
    call.add(2, f"`{call.name} {text}` changes the store")
