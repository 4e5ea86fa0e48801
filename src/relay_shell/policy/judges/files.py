"""Programs that find, copy, move, remove or archive files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import paths
from ..options import parse_options
from ..programs import judge_options
from ..values import Arg, Input, known

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

# find(1): tests and global options by the number of words they take.
_FIND_NONE = frozenset(
    (
        "( ) ! , -a -o -and -or -not -true -false -print -print0 -ls -prune -quit -depth -d -mount"
        " -xdev -daystart -follow -noleaf -ignore_readdir_race -noignore_readdir_race -warn -nowarn"
        " -empty -executable -readable -writable -nouser -nogroup -H -L -P -help --help -version"
        " --version"
    ).split()
)
_FIND_ONE = frozenset(
    (
        "-name -iname -path -ipath -wholename -iwholename -lname -ilname -regex -iregex -regextype"
        " -type -xtype -size -mtime -mmin -atime -amin -ctime -cmin -newer -anewer -cnewer -user"
        " -group -uid -gid -perm -links -inum -samefile -maxdepth -mindepth -printf -used -fstype"
        " -context -D"
    ).split()
)
_FIND_WRITE = {"-fprint": 1, "-fprint0": 1, "-fls": 1, "-fprintf": 2}
_FIND_EXEC = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def judge_find(call: Call, spec: Spec) -> None:
    """`find`: an expression whose actions may remove, write or execute."""
    args = call.args
    index = 0
    started = False
    roots: list[Arg] = []
    while index < len(args):
        arg = args[index]
        index += 1
        if not arg.exact:
            if arg.wild or arg.text.startswith("-"):
                call.add(2, f"`{arg.display}` may become part of the expression of find")
            elif not started:
                roots.append(arg)
            continue
        text = arg.text
        if not started and not (text.startswith("-") or text in ("(", "!", ",", ")")):
            roots.append(arg)
            continue
        if text in _FIND_NONE or text.startswith("-O"):
            started = started or text not in ("-H", "-L", "-P")
            continue
        started = True
        if text in _FIND_ONE or text.startswith("-newer"):
            if index < len(args) and args[index].splits:
                call.add(2, f"`{args[index].display}` may become several words")
            index += 1
        elif text == "-delete":
            call.add(3, "`find -delete` removes what it finds")
        elif text in _FIND_WRITE:
            if index < len(args):
                call.writes(args[index])
            else:
                call.add(2, f"`find {text}` writes a file")
            index += _FIND_WRITE[text]
        elif text in _FIND_EXEC:
            index = _find_exec(call, args, index, roots)
        elif text == "-files0-from":
            index += 1
        else:
            call.add(2, f"`{text}` is not known to find")


def _find_exec(call: Call, args: list[Arg], index: int, roots: list[Arg]) -> int:
    """Judge the command of -exec; `{}` is a path below one of the starting points."""
    safe = all(r.text and not r.text.startswith("-") for r in roots) if roots else True
    inner: list[Arg] = []
    while index < len(args):
        arg = args[index]
        index += 1
        if arg.exact and arg.text == ";":
            break
        if arg.exact and arg.text == "+" and inner and inner[-1].display == "{}":
            break
        if arg.exact and "{}" in arg.text:
            prefix = arg.text.partition("{}")[0]
            inner.append(Arg(prefix, exact=False, many=True, safe=safe, shown=arg.text))
        else:
            inner.append(arg)
    if inner:
        call.run(inner, Input("unknown"))
    else:
        call.add(2, "`find -exec` without a command")
    return index


def judge_remove(call: Call, spec: Spec) -> None:
    """`rm`, `unlink`, `shred`, ...: what is gone is gone."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    broad = [arg for arg in parsed.operands if paths.is_broad(arg.display)]
    if broad:
        call.add(3, f"`{call.name}` removes {broad[0].display}, a whole tree of the system or here")
    call.add(3, f"`{call.name}` removes files for good")


def judge_move(call: Call, spec: Spec) -> None:
    """`mv`: what it replaces is lost; into /dev/null or over a device everything is."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "mv")
    target = parsed.get("-t", "--target-directory") or (
        parsed.operands[-1] if parsed.operands else None
    )
    call.add(2, "`mv` moves files and replaces what has their name")
    if target is not None and (target.text == "/dev/null" or paths.is_device(target.text)):
        call.add(3, f"`mv` to {target.display} loses the content")
    for source in parsed.operands[:-1]:
        if paths.is_broad(source.display) or source.display in ("/*",):
            call.add(3, f"`mv` of {source.display} breaks the system")


def judge_copy(call: Call, spec: Spec) -> None:
    """`cp`, `install`: writes the last operand, or into -t."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    target = parsed.get("-t", "--target-directory") or (
        parsed.operands[-1] if parsed.operands else None
    )
    if target is None:
        call.add(2, f"`{call.name}` without operands")
        return
    sources = parsed.operands[:-1]
    if target.exact and paths.is_sink(target.text) and not target.wild:
        call.add(1, "copies into a sink")
        return
    how = (
        "create"
        if parsed.has("-n", "--no-clobber", "-b", "--backup", "-u", "--update")
        else "truncate"
    )
    if any(s.exact and s.text in ("/dev/null", "/dev/zero") for s in sources):
        how = "empty"
    call.writes(target, how)
    call.add(1, f"`{call.name}` writes {target.display}")


def judge_link(call: Call, spec: Spec) -> None:
    """`ln`: creates a name; -f replaces one."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "ln")
    forced = parsed.has("-f", "--force")
    call.add(2 if forced else 1, "`ln` creates a link")
    if forced and any(arg.text == "/dev/null" for arg in parsed.operands[:-1]):
        call.add(3, "replaces a file by /dev/null")


def judge_truncate(call: Call, spec: Spec) -> None:
    """`truncate`: growing keeps the content, shrinking loses it."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "truncate")
    size = parsed.get("-s", "--size")
    if size is not None and size.exact and size.text.startswith("+"):
        call.add(2, "`truncate` grows a file")
    else:
        call.add(3, "`truncate` cuts a file's content")


def judge_chmod(call: Call, spec: Spec) -> None:
    """`chmod`, `chown`, `chgrp`: recursive ones on a system tree cannot be put back."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    call.add(2, f"`{call.name}` changes who may use files")
    targets = parsed.operands if parsed.has("--reference") else parsed.operands[1:]
    recursive = parsed.has("-R", "--recursive")
    for arg in targets:
        path = paths.normal(arg.text) if arg.exact else arg.display
        if path == "/" and call.name == "chmod":
            call.add(3, "can lock every account out of the root directory")
        if recursive and (paths.is_broad(arg.display) or paths.is_broad(path)):
            call.add(3, f"`{call.name} -R` on {arg.display} loses all former settings")


def judge_dd(call: Call, spec: Spec) -> None:
    """`dd`: of= is written; a device loses its content."""
    output = None
    for arg in call.args:
        name, equals, text = arg.text.partition("=")
        if not equals:
            if not (arg.exact and arg.text in ("--help", "--version")):
                call.add(2, f"`{arg.display}` is not an operand of dd")
        elif name == "of":
            output = Arg(text, arg.exact, arg.splits, arg.many, arg.safe, arg.display[3:])
        elif name == "if":
            if paths.is_secret(text):
                call.add(1, f"reads a credential: {text}")
        elif arg.splits:
            call.add(2, f"`{arg.display}` may become several words")
    if output is not None:
        call.writes(output)
        if not (output.exact and paths.is_sink(output.text)):
            call.add(2, f"`dd` writes {output.display}")


def judge_tee(call: Call, spec: Spec) -> None:
    """`tee`: writes each operand."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "tee")
    how = "append" if parsed.has("-a", "--append") else "truncate"
    if call.stdin.text == "":
        how = "empty" if how == "truncate" else how
    for arg in parsed.operands:
        call.writes(arg, how)


def judge_touch(call: Call, spec: Spec) -> None:
    """`touch`: creates a file or sets its times."""
    call.add(1, "`touch` creates files or sets their times")


_TAR_READ = ("-t", "--list", "-d", "--diff", "--compare")
_TAR_WRITE = ("-c", "--create", "-r", "--append", "-u", "--update", "-A", "--catenate")


def judge_tar(call: Call, spec: Spec) -> None:
    """`tar`: list, extract or create, with options that run programs."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "tar")
    archive = parsed.get("-f", "--file")
    if archive is not None:
        host, colon, _ = archive.text.partition(":")
        if (colon and "/" not in host) and not parsed.has("--force-local"):
            call.add(2, f"opens the archive {archive.display} on another machine")
    if parsed.has("--delete"):
        call.add(3, "`tar --delete` removes members of the archive")
    elif parsed.has("-x", "--extract", "--get"):
        if parsed.has("-O", "--to-stdout"):
            return
        call.add(2, "`tar -x` writes files, replacing those that exist")
    elif parsed.has("-c", "--create"):
        if archive is None or archive.text == "-":
            return
        call.writes(archive)
    elif parsed.has("-r", "--append", "-u", "--update", "-A", "--catenate", "--concatenate"):
        call.add(2, "`tar` changes the archive")
    elif not parsed.has(*_TAR_READ):
        call.add(2, "`tar` without a known operation")


def judge_ar(call: Call, spec: Spec) -> None:
    """`ar`: p and t read, the others write."""
    if not call.args or not call.args[0].exact:
        call.add(2, "`ar` without a known operation")
        return
    operation = call.args[0].text.lstrip("-")
    if operation[:1] in ("t", "p") and set(operation) <= set("tpvOPN"):
        return
    call.add(3 if operation.startswith("d") else 2, "`ar` changes the archive or writes files")


def judge_cpio(call: Call, spec: Spec) -> None:
    """`cpio`: -t lists; -i, -o and -p write."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "cpio")
    for archive in parsed.all("-F", "--file", "-I", "-O"):
        host, colon, _ = archive.text.partition(":")
        if (colon and "/" not in host) and not parsed.has("--force-local"):
            call.add(2, f"opens the archive {archive.display} on another machine")
    if parsed.has("-t", "--list") or (parsed.has("-o", "--create") and not parsed.has("-O", "-F")):
        return
    call.add(2, "`cpio` writes files")


def judge_unzip(call: Call, spec: Spec) -> None:
    """`unzip`: -l, -t, -z, -p, -Z read; otherwise files are written."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "unzip")
    if not parsed.has("-l", "-t", "-z", "-p", "-c", "-Z", "-v"):
        call.add(2, "`unzip` writes files")


def judge_zip(call: Call, spec: Spec) -> None:
    """`zip -T` tests, `-sf` shows; with files to add both write first."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "zip")
    alone = len(call.args) == 1 and parsed.has("-v", "-h", "-h2")
    tests = parsed.has("-T") and len(parsed.operands) == 1 and parsed.operands[0].exact
    if not (alone or tests or parsed.has("-sf")):
        call.add(2, spec.why)


def judge_compress(call: Call, spec: Spec) -> None:
    """`gzip` and its kind: replace files, unless listing, testing or writing to stdout."""
    parsed = parse_options(spec, call.args)
    modes = judge_options(call, spec, parsed, call.name)
    files = [arg for arg in parsed.operands if not (arg.exact and arg.text == "-")]
    if (modes and max(modes) == 0) or not files:
        return
    call.add(2, f"`{call.name}` replaces files")


def judge_rsync(call: Call, spec: Spec) -> None:
    """`rsync`: lists, dry-runs or copies; --delete removes at the destination."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "rsync")
    remote = any(":" in arg.text.partition("/")[0] for arg in parsed.operands)
    if remote:
        call.add(1, "connects to another machine")
    shell = parsed.get("-e", "--rsh")
    if shell is not None and not (shell.exact and shell.text == "ssh"):
        call.shell(shell)
        call.add(2, "`rsync -e` names a program to run")
    if parsed.has("-n", "--dry-run", "--list-only") or len(parsed.operands) == 1:
        return
    deleting = (
        "--delete --del --delete-before --delete-during --delete-delay --delete-after"
        " --delete-excluded --delete-missing-args --remove-source-files"
    ).split()
    if parsed.has(*deleting):
        call.add(3, "`rsync` removes files")
    call.add(2, "`rsync` writes and replaces files")
    if parsed.operands:
        call.writes(parsed.operands[-1] if not remote else known("/tmp/x"), "create")  # noqa: S108


def judge_clone(call: Call, spec: Spec) -> None:
    """Device copiers: what they write is replaced whole; `pv` only passes data on."""
    words = [arg.text for arg in call.args]
    if call.name == "pv":
        for index, word in enumerate(words):
            if word in ("-o", "--output", "-P", "--pidfile") and index + 1 < len(words):
                call.writes(call.args[index + 1])
            elif word in ("-d", "--watchfd", "-R", "--remote"):
                call.add(2, "`pv` controls another process")
        return
    for arg in call.args:
        name, equals, text = arg.text.partition("=")
        target = Arg(text, arg.exact) if equals and name == "of" else arg
        if paths.is_device(target.text) and not (equals and name == "if"):
            call.add(
                3 if arg is not call.args[0] or name == "of" else 2,
                f"writes the device {target.display}",
            )
    call.add(2, f"`{call.name}` writes images or devices")


def judge_attributes(call: Call, spec: Spec) -> None:
    """`chattr`, `setfacl`: those on a whole system tree, or on evidence, are Tier 3."""
    words = [arg.text for arg in call.args]
    call.add(2, f"`{call.name}` changes attributes or rights of files")
    recursive = any(word.startswith("-") and "R" in word for word in words)
    for arg in call.args:
        if recursive and paths.is_broad(arg.display):
            call.add(3, f"`{call.name} -R` on {arg.display} loses all former settings")
        if call.name == "chattr" and paths.normal(arg.text).startswith("/var/log"):
            call.add(3, f"takes away or changes the protection of {arg.display}")
