"""Disk, volume and cluster-storage tools whose verbs are options or words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import paths
from ..options import parse_options
from ..programs import by_spec, judge_options

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


def judge_wipefs(call: Call, spec: Spec) -> None:
    """`wipefs`: without -a and -o it lists signatures; -n never writes."""
    parsed = parse_options(spec, call.args)
    if parsed.has("-n", "--no-act") and not parsed.doubts:
        return
    judge_options(call, spec, parsed, "wipefs")


def judge_sgdisk(call: Call, spec: Spec) -> None:
    """`sgdisk`: print, info and verify read; `-P` only pretends."""
    parsed = by_spec(call, spec)
    attributes = parsed.get("-A", "--attributes")
    if attributes is not None and not re.fullmatch(r"\d+:show.*|\d+:get.*|list", attributes.text):
        call.add(3, "`sgdisk --attributes` changes a partition")


def judge_losetup(call: Call, spec: Spec) -> None:
    """`losetup`: lists, or shows one device; with a file it attaches."""
    parsed = parse_options(spec, call.args)
    modes = judge_options(call, spec, parsed, "losetup")
    if parsed.has("-f", "--find") and not parsed.operands:
        return
    if len(parsed.operands) > 1 or (parsed.operands and parsed.has("-f", "--find", "-P")):
        call.add(2, "attaches a file to a loop device")
    elif parsed.operands and not modes and parsed.operands[0].many:
        call.add(2, "may attach a file to a loop device")


_MD_READ = re.compile(
    r"-[DEQXvbs]+|--(?:detail|examine|query|examine-bitmap|verbose|brief|scan|export|test|version"
    r"|help"
    r"|detail-platform|examine-badblocks|no-devices|prefer=\S+|config=\S+)|-V|-h"
)


def judge_mdadm(call: Call, spec: Spec) -> None:
    """`mdadm`: detail, examine and query read; zeroing and creating destroy."""
    words = [arg.text for arg in call.args if arg.exact]
    if len(words) < len(call.args) and any(arg.wild for arg in call.args):
        call.add(2, "an argument is known only when it runs")
    options = [word for word in words if word.startswith("-")]
    if any(
        word.startswith(("--zero-s", "--create", "--build", "--kill-s", "-C", "-B"))
        for word in options
    ):
        call.add(3, "`mdadm` destroys what the devices hold")
        return
    if any(
        w in ("--remove", "-r", "--stop", "-S", "--fail", "-f", "--set-faulty") for w in options
    ):
        call.add(2, "`mdadm` takes a device or array out of service")
        return
    reading = options and all(_MD_READ.fullmatch(word) for word in options)
    asked = any(
        re.fullmatch(r"-[DEQX]+\w*|--(?:detail|examine|query)\S*|-V|-h|--version|--help", word)
        for word in options
    )
    if not (reading and asked):
        call.add(2, "`mdadm` changes an array")


def judge_zfs_allow(call: Call, spec: Spec) -> None:
    """`zfs allow DATASET` shows, more words delegate."""
    if len(call.args) != 1 or call.args[0].text.startswith("-"):
        call.add(2, "`zfs allow` delegates permissions")


_DEBUGFS_READ = re.compile(
    r"\s*(?:stat|ls|show_super_stats|stats|blocks|bmap|cat|filefrag|ex|extents|dump_extents|htree"
    r"|htree_dump|icheck|ncheck|imap|inode_dump|idump|lsdel|list_deleted_inodes|ffb|ffi|testb|testi"
    r"|find_free_block|find_free_inode|logdump|mi_check|quota|lq|list_quota|gq|get_quota|ea_list"
    r"|ea_get|supported_features|features|params|pwd|help|block_dump|bdump|bd|dump_mmp|pathlen"
    r"|orphan_inodes|dirsearch|e2freefrag|freefrag|dx_hash|hash|ls_acl|journal_show)\b"
    r"(?!.*\s-[a-zA-Z]*f).*"
)


def judge_debugfs(call: Call, spec: Spec) -> None:
    """`debugfs`: without -w it changes no file system, but its dump requests write files."""
    parsed = by_spec(call, spec)
    for request in parsed.all("-R"):
        if not request.exact or not _DEBUGFS_READ.fullmatch(request.text):
            call.add(2, f"request {request.display} of `debugfs` is not known to only read")


_XFS_READ = re.compile(
    r"\s*(?:a|agf|agi|agfl|agresv|b|bmap|btdump|btheight|check|convert|daddr|dblock|dquot|echo|f|fsb"
    r"|fsblock|forward|frag|freesp|fsmap|help|hash|info|inode|label|logformat|logres|ls|ncheck|p"
    r"|path|pop|print|push|quit|ring|rmapbt|sb|timelimit|type|uuid|version)(?:\s+[^\s>|]+)*\s*"
)


def judge_xfs_db(call: Call, spec: Spec) -> None:
    """`xfs_db`: with -r it changes no file system, but some of its commands write files."""
    parsed = by_spec(call, spec)
    for command in parsed.all("-c"):
        words = command.text.split()
        known = command.exact and _XFS_READ.fullmatch(command.text)
        sets = words[:1] in (["label"], ["uuid"], ["version"]) and len(words) > 1
        if not known or sets:
            call.add(2, f"command {command.display} of `xfs_db` is not known to only read")


_CEPH_READ = frozenset(
    (
        "status health df versions version fsid report quorum_status features time-sync-status"
        " stat dump ls list tree get find perf utilization metadata lspools getmap getcrushmap info"
        " du show log last query count ping blocked-by ok-to-stop safe-to-destroy lssnap stats"
        " detail -s -w listsnap listsnaps lspools lsobjects listxattr check-index config-key device"
        " osd mon pg mds mgr fs auth pool node orch crash balancer crush config rule host service"
        " daemon user bucket snap mirror children disk-usage trash json json-pretty plain snapshot"
        " dump_stuck module inactive unclean stale undersized degraded get-quota sum lock"
        " erasure-code-profile"
    ).split()
)
_CEPH_DESTROY = frozenset(
    "delete rm purge destroy remove rmsnap zap unprotect flatten wipe mkfs lost"
    " force-create-pg".split()
)


def judge_ceph(call: Call, spec: Spec) -> None:
    """`ceph`, `rbd`, `rados`: Tier 0 if each word is a reading verb or what it applies to."""
    if not all(arg.exact for arg in call.args):
        call.add(2, f"arguments of `{call.name}` are known only when it runs")
    words: list[str] = []
    skip = False
    for arg in call.args:
        text = arg.text
        if skip:
            skip = False
        elif text in ("-f", "--format", "-p", "--pool", "-c", "--conf", "-n", "--name", "--id"):
            skip = True
        elif text.startswith("--format=") or text in ("-s", "-l", "--long", "--all", "-a"):
            continue
        else:
            words.append(text)
    if any(word in _CEPH_DESTROY or "really-mean-it" in word for word in words):
        call.add(3, f"`{call.name}` removes storage")
        return
    verbs = words[:3]
    known = [word for word in verbs if word in _CEPH_READ]
    first_two = words[:2]
    reading = bool(known) and all(word in _CEPH_READ for word in first_two[:1])
    if any(re.match(r"-o|--out-?f", arg.text) for arg in call.args):
        call.add(2, f"`{call.name}` writes its answer to a file")
    if call.name == "rados" and "get" in words and words[-1:] != ["-"]:
        call.add(2, "`rados get` writes a file")
    if not words and call.args:
        return
    asking = reading and (len(words) < 2 or any(w in _VERBS for w in words[:3]))
    if asking and not any(word in _CEPH_CHANGE for word in words):
        return
    call.add(2, f"`{call.name} {' '.join(verbs)}` changes the cluster")


_VERBS = frozenset(
    (
        "status health df versions version fsid report stat dump ls list tree get find perf lspools"
        " info du show last query count stats detail listsnap listsnaps metadata utilization"
        " disk-usage children dump_stuck get-quota check-index"
    ).split()
)
_CEPH_CHANGE = frozenset(
    (
        "set add in out down up create enable disable import apply reweight repair scrub deep-scrub"
        " unset mark setcrushmap reset start stop restart redeploy upgrade rename mv cp put append"
        " map unmap resize export lock clone protect rollback allow caps get-or-create archive fail"
        " swap enroll revoke pause unpause injectargs tell daemon"
    ).split()
)
_CLUSTER_READ = {
    "gluster": r"(?!.*\sclear\b)(?:volume|vol|peer|pool|snapshot)\s+(?:info|status|list|get|top"
    r"|profile\s+\S+\s+info).*"
    r"|--version|version",
    "drbdadm": r"(?:status|dump|role|cstate|dstate|sh-\S+|show-gi|get-gi)\b.*|--version",
    "drbdsetup": r"(?:status|show|events2?|role|cstate|dstate|show-gi|get-gi)\b.*",
    "multipath": r"-l+|-l+ -v\d|-v\d -l+|-t|-T|-d .*-v\d",
    "multipathd": r"(?:-k)?\s*(?:show|list)\b.*",
    "iscsiadm": r"-m\s+(?:session|iface|fw)(?:\s+-P\s*\d)?|--mode\s+session"
    r"|-m\s+node(?:\s+-P\s*\d)?",
    "targetcli": r"ls\b.*",
    "sanlock": r"(?:client\s+)?(?:status|host_status|log_dump)\b.*",
    "nvmetcli": r"ls\b.*",
}
_CLUSTER_DESTROY = re.compile(
    r"volume\s+delete|vol\s+delete|remove-brick|snapshot\s+delete|wipe-md|create-md|invalidate"
    r"|reset-brick"
)


def judge_cluster(call: Call, spec: Spec) -> None:
    """Cluster storage tools: a pattern of words that only read."""
    text = " ".join(arg.display for arg in call.args)
    if _CLUSTER_DESTROY.search(text):
        call.add(3, f"`{call.name}` removes storage")
    elif not all(arg.exact for arg in call.args) or not re.fullmatch(
        _CLUSTER_READ[call.name], text
    ):
        call.add(2, f"`{call.name}` changes storage")


def judge_image(call: Call, spec: Spec) -> None:
    """`qemu-img convert`, `create`, `dd`: write an image, which may be a device."""
    call.add(2, f"`{call.name}` writes an image")
    for arg in call.args:
        target = arg.text.removeprefix("of=")
        if paths.is_device(target) and (arg is call.args[-1] or call.name.endswith("create")):
            call.add(3, f"overwrites the device {target}")


def judge_fallocate(call: Call, spec: Spec) -> None:
    """`fallocate`: growing keeps the content, punching, collapsing and zeroing lose it."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "fallocate")
    call.add(2, "`fallocate` changes the size of a file")


def judge_xfs_quota(call: Call, spec: Spec) -> None:
    """`xfs_quota`: reports and states read; without a command it reads them from its input."""
    parsed = by_spec(call, spec)
    commands = parsed.all("-c")
    reading = (
        r"(?:report|df|quota|state|free|print|path|get|help|dquot)(?: -[a-eg-zA-MO-Z]+| [\w./]+)*"
    )
    if not commands and not parsed.has("-V"):
        call.add(2, "reads commands from standard input")
    for command in commands:
        if not command.exact or not re.fullmatch(reading, command.text.strip()):
            call.add(2, f"command {command.display} of `xfs_quota` is not known to only read")
