"""Cloud command lines: the verb says whether a call reads, changes or deletes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    # What answers with a stream writes it to the file that the third word names.
    outfile = outfile or (verb in ("get-export", "get-sdk") and len(words) > 2)
    if verb.startswith("test-invoke-"):
        call.add(2, f"`aws {service} {verb}` invokes it")
        return
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
    for index, word in enumerate(words):
        if word in _SECRET_VERBS:
            call.add(1, "reads a credential")
            return
        if _READ.fullmatch(word):
            # It may be what the command is about: `az search service update`.
            if any(_CHANGE.fullmatch(later) for later in words[index + 1 :]):
                break
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
        words = words[1:2]
    if call.name == "az" and words[0] in ("login", "logout", "rest", "extension"):
        call.add(2, f"`az {words[0]}` uses credentials or changes something")
        return
    project = call.name in ("cdk", "sam", "serverless", "sls", "eb", "amplify", "copilot", "cf")
    deleting = words[0] in ("destroy", "delete", "terminate", "remove")
    if project and (deleting or words[0] in ("synth", "deploy", "diff")):
        call.add(3 if deleting else 2, f"`{call.name} {words[0]}` runs code of the project")
        return
    _by_words(call, words[:5])
