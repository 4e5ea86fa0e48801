"""Container and virtual machine tools whose reading verbs are few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import by_spec, judge_options
from ..values import WORDS

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_READING = {
    "runc": "list state ps spec_ events features",
    "crun": "list state ps features",
    "vagrant": "status global-status version box_list plugin_list port ssh-config",
    "minikube": "status ip version profile_list service_list addons_list node_list logs"
    " config_view",
    "kind": "get version",
    "k3d": "cluster_list node_list version registry_list",
    "k3s": "--version",
    "microk8s": "status version inspect_",
    "colima": "status list version",
    "limactl": "list info",
    "multipass": "list info version networks find",
    "cloud-init": "status analyze query --version features schema",
    "distrobox": "list",
    "toolbox": "list",
    "istioctl": "version proxy-status analyze proxy-config",
    "linkerd": "check version stat viz_stat",
    "cilium": "status version",
    "calicoctl": "get node_status version ipam_show",
    "flux": "get check version tree logs events stats",
    "argocd": "app_list app_get app_history app_diff app_logs version cluster_list repo_list"
    " proj_list account_list",
    "velero": "get describe version backup_get backup_describe backup_logs restore_get"
    " schedule_get",
    "nomad": "status node_status job_status alloc_status alloc_logs server_members version"
    " operator_raft_list"
    " namespace_list var_list deployment_list job_history job_inspect eval_status volume_status",
    "stern": "--version",
    "VBoxManage": "list showvminfo --version",
    "vboxmanage": "list showvminfo --version",
    "kustomize": "version",
    "kubens": "-c --current",
    "kubectx": "-c --current",
    "vmctl": "status",
    "qemu-nbd": "--list",
    "eksctl": "get version info",
    "kops": "get version",
    "apptainer": "version inspect",
    "singularity": "version inspect",
}
_REMOVING = frozenset(
    "delete destroy purge rm remove prune wipe unregistervm closemedium gc down uninstall".split()
)
_OUTPUT = frozenset(
    ("-o", "--output", "-f", "--follow", "-n", "--namespace", "-A", "--all", "-a", "-json")
)


def judge_machine(call: Call, spec: Spec) -> None:
    """A verb, or verb and object, of the reading list."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, call.name)
    if modes and not parsed.operands:
        return
    words = [arg.text for arg in parsed.operands]
    reading = {entry.replace("_", " ", 1) for entry in _READING.get(call.name, "").split()}
    clear = all(arg.exact and not arg.text.startswith("--file") for arg in call.args)
    pair = " ".join(words[:2])
    if clear and words and (words[0] in reading or pair in reading):
        return
    if clear and len(call.args) == 1 and call.args[0].text in reading:
        return
    if words[:1] == ["kubectl"] and call.name in ("k3s", "microk8s") and not parsed.used:
        call.run(parsed.operands)
        return
    purging = any(arg.text.lstrip("-") in ("purge", "delete") for arg in call.args)
    if purging or any(word in _REMOVING for word in words[:2]):
        call.add(3, f"`{call.name} {pair}` removes machines or what they hold")
        return
    call.add(
        2, f"`{call.name} {words[0] if words else ''}` changes machines or runs something in them"
    )


def judge_kube_get(call: Call, spec: Spec) -> None:
    """`kubectl get`: reads; secrets in full are credentials."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    raw = parsed.get("--raw")
    if raw is not None and not (
        raw.exact
        and re.fullmatch(
            r"/(?:healthz|readyz|livez|metrics|version|apis?)(?:[/?][\w/.?=&-]*)?", raw.text
        )
        and not re.search(r"/(?:proxy|exec|attach|portforward)(?:/|$)", raw.text)
    ):
        call.add(2, "asks an address of the cluster that may act")
    resources = {part for arg in parsed.operands[:1] for part in arg.text.split("/")[0].split(",")}
    output = parsed.get("-o", "--output")
    if (
        resources & {"secret", "secrets"}
        and output is not None
        and output.text not in ("wide", "name")
    ):
        call.add(1, "reads a credential")


def judge_exec(call: Call, spec: Spec) -> None:
    """A command inside a container: judged as what it is, and Tier 2 at least."""
    parsed = parse_options(spec, call.args, stop=True)
    if spec.style == "gnu":
        # kubectl takes options on both sides of the pod's name.
        head = parsed.operands[:1]
        parsed = parse_options(spec, parsed.operands[1:], stop=True)
        parsed.operands = [*head, *parsed.operands]
    for doubt in parsed.doubts:
        call.add(2, doubt)
    call.add(2, f"`{call.name}` runs a command in a container")
    inner = parsed.operands[1:]
    if inner and inner[0].exact and inner[0].text == "--":
        inner = inner[1:]
    if inner:
        call.output = call.run(inner)


def judge_list(call: Call, spec: Spec) -> None:
    """`docker ps -q` and its kind: identifiers, a word each."""
    parsed = by_spec(call, spec)
    if parsed.has("-q", "--quiet"):
        call.output = WORDS
