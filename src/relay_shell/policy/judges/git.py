"""git(1), forges and other version control.

A repository's own configuration can name programs (fsmonitor, textconv, pager); only what
the command line adds is judged here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..spec import Spec, declarations
from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call

_GLOBAL = Spec(
    "git",
    style="posix",
    options=declarations(
        "-C: -c: --git-dir: --work-tree: --namespace: --exec-path? -p,--paginate -P,--no-pager"
        " --no-replace-objects --bare --literal-pathspecs --glob-pathspecs --noglob-pathspecs"
        " --icase-pathspecs --no-optional-locks --list-cmds: --config-env: --super-prefix:"
        " -v,--version -h,--help --html-path --man-path --info-path --no-lazy-fetch --no-advice"
        " --attr-source:",
        "posix",
    ),
)
_HARMLESS_CONFIG = re.compile(
    r"(?:color\..*|core\.(?:pager=(?:cat|less|)|quotepath|abbrev|autocrlf|safecrlf|filemode"
    r"|ignorecase"
    r"|preloadindex|untrackedcache|fscache|precomposeunicode|longpaths)|advice\..*|log\.(?:date"
    r"|decorate"
    r"|showsignature=false|abbrevcommit|follow)|diff\.(?:renames|renamelimit|algorithm|noprefix"
    r"|mnemonicprefix"
    r"|context|colormoved|wordregex|submodule|ignoresubmodules)|safe\.directory|status\..*"
    r"|column\..*|grep\..*"
    r"|blame\..*|i18n\..*|format\.pretty|pager\.\w+=(?:false|cat)|init\.defaultbranch"
    r"|user\.(?:name|email)"
    r"|submodule\.recurse=false|gc\.auto=0|maintenance\.auto=false|core\.fsmonitor=(?:false|)"
    r"|fetch\.prune=false)"
    r"(?:=.*)?",
    re.IGNORECASE,
)
# Options of reading subcommands that write files or run programs, also abbreviated.
_OUTPUT = re.compile(r"--outp?u?t?(?:=.*)?|--output-directory(?:=.*)?|--output=.*")
_RUNS = re.compile(
    r"--ext-d\w*|--textc\w*|--filters|-O.*|--op[\w-]*(?:=.*)?|--upload-p.*|--exec(?:=.*)?"
    r"|--remote=.*|--receive-p.*"
    r"|--run-command.*|--config-env.*"
)
_READ = frozenset(
    (
        "status log diff show shortlog blame annotate grep ls-files ls-tree rev-parse rev-list"
        " describe"
        " cat-file name-rev merge-base show-ref for-each-ref count-objects whatchanged diff-tree"
        " diff-index diff-files cherry range-diff verify-commit verify-tag verify-pack"
        " show-branch var"
        " check-ignore check-attr check-mailmap check-ref-format version help help fsck ls-remote_"
        " merge-tree_ patch-id get-tar-commit-id column stripspace interpret-trailers_ unpack-file_"
        " show-index diff-pairs last-modified"
    ).split()
)
_ASKS_PATCH = re.compile(
    r"--(?:check|stat|numstat|summary|reverse|verbose|recount|unidiff-zero|whitespace=\w+"
    r"|ignore-whitespace|ignore-space-change|directory=.*|include=.*|exclude=.*)|-[Rvpz]\d*|-C\d+"
)
_NETWORK = frozenset(("ls-remote", "request-pull"))
_STATEFUL_HINT = "changes the repository or the working tree"
_LISTING: dict[str, str] = {
    "branch": r"-[avrlvq]+|-vv|--(?:list|all|remotes|verbose|show-current|contains(?:=.*)?"
    r"|no-contains(?:=.*)?"
    r"|merged(?:=.*)?|no-merged(?:=.*)?|points-at(?:=.*)?|sort(?:=.*)?|format(?:=.*)?"
    r"|color(?:=.*)?|no-color"
    r"|column(?:=.*)?|no-column|abbrev(?:=.*)?|no-abbrev|ignore-case|omit-empty)|-i",
    "tag": r"-[ln]\d*|--(?:list|contains(?:=.*)?|no-contains(?:=.*)?|merged(?:=.*)?"
    r"|no-merged(?:=.*)?"
    r"|points-at(?:=.*)?|sort(?:=.*)?|format(?:=.*)?|color(?:=.*)?|column(?:=.*)?|no-column"
    r"|ignore-case)|-i|-v|--verify",
    "config": r"-l|-[lz]+|-f|--(?:list|get|get-all|get-regexp|get-urlmatch|show-origin|show-scope"
    r"|name-only|global"
    r"|file(?:=.*)?|blob(?:=.*)?|local|system|worktree|null|includes|no-includes|type=.*|bool|int"
    r"|path|get-color|get-colorbool|default=.*)",
}
_TAKING_OPERANDS = re.compile(
    r"-l|--list|--contains|--no-contains|--merged|--no-merged|--points-at|-n\d*|-v|--verify|-a|-r"
    r"|--sort|--format"
)
_SUB_READ = {
    "stash": {"list", "show"},
    "remote": {"show", "get-url", "-v", "--verbose", ""},
    "reflog": {"show", "list", "exists", ""},
    "worktree": {"list"},
    "submodule": {"status", "summary", "--quiet", ""},
    "notes": {"list", "show", "get-ref", ""},
    "bisect": {"log", "view", "visualize", "terms"},
    "lfs": {"ls-files", "status", "env", "version", "logs", "locks"},
    "bundle": {"verify", "list-heads"},
    "sparse-checkout": {"list"},
    "commit-graph": {"verify"},
    "multi-pack-index": {"verify"},
    "maintenance": set(),
    "symbolic-ref": set(),
    "replace": {"-l", "--list", ""},
    "rerere": {"status", "diff", "remaining"},
    "credential": set(),
    "hook": set(),
    "refs": {"verify"},
    "svn": {"log", "info", "blame"},
    "flow": set(),
    "annex": {"info", "whereis", "list", "status"},
    "config": {"list", "get"},
}


def judge_git(call: Call, spec: Spec) -> None:
    """`git`: global options first, then by subcommand."""
    parsed = parse_options(_GLOBAL, call.args, stop=True)
    for doubt in parsed.doubts:
        call.add(2, doubt)
    for used in parsed.used:
        if used.option is None:
            call.add(2, f"option `{used.name}` of git is not known")
        elif used.name == "-c":
            value = used.value
            if value is None or not value.exact or not _HARMLESS_CONFIG.fullmatch(value.text):
                call.add(2, "a setting given with -c can name a program to run")
        elif used.name == "--config-env" or (used.name == "--exec-path" and used.value is not None):
            call.add(2, f"`git {used.name}` can make git run another program")
    if not parsed.operands:
        return
    first = parsed.operands[0]
    args = parsed.operands[1:]
    if not first.exact:
        call.add(2, "the subcommand of git is known only when it runs")
        return
    _subcommand(call, first.text, args)


def _options(args: list[Arg]) -> list[str]:
    """Options before a `--`."""
    found: list[str] = []
    for arg in args:
        if arg.exact and arg.text == "--":
            break
        if arg.text.startswith("-"):
            found.append(arg.text)
    return found


def _subcommand(call: Call, name: str, args: list[Arg]) -> None:
    options = _options(args)
    if _destroys(call, name, args, options):
        return
    if name in _NETWORK:
        call.add(1, "asks another repository, maybe over the network")
    elif name in _LISTING:
        if not _lists(name, args, options):
            call.add(2, f"`git {name}` {_STATEFUL_HINT}")
    elif name in _SUB_READ:
        while name == "remote" and len(args) > 1 and args[0].text in ("-v", "--verbose"):
            args = args[1:]
        verb = args[0].text if args and args[0].exact else ("" if not args else "?")
        if name == "reflog" and verb not in ("expire", "delete", "drop", "write", "?"):
            verb = ""
        if verb not in _SUB_READ[name] or (name == "remote" and verb == "show" and len(args) > 1):
            if name == "remote" and verb == "show":
                call.add(0 if "-n" in options else 1, "asks the remote repository")
            elif (
                name == "symbolic-ref" and len([a for a in args if not a.text.startswith("-")]) == 1
            ):
                if set(options) - {"--short", "-q", "--quiet", "--no-recurse"}:
                    call.add(2, f"`git {name}` {_STATEFUL_HINT}")
            else:
                call.add(2, f"`git {name} {verb}`".rstrip() + f" {_STATEFUL_HINT}")
    elif name == "archive":
        if not any(o.startswith(("-o", "--output", "--remote", "--exec")) for o in options):
            return
        call.add(2, "`git archive` writes a file or asks another machine")
    elif (
        name == "apply"
        and not any(arg.wild for arg in args)
        and {"--check", "--stat", "--numstat", "--summary"} & set(options)
        and all(_ASKS_PATCH.fullmatch(option) for option in options)
    ):
        return
    elif name not in _READ:
        call.add(2, f"`git {name}` {_STATEFUL_HINT}")
        if name == "bisect" or name in ("submodule", "rebase", "filter-branch"):
            call.add(2, f"`git {name}` may run a command")
        return
    _dangerous_options(call, name, args, options)


def _dangerous_options(call: Call, name: str, args: list[Arg], options: list[str]) -> None:
    for arg in args:
        begun = not arg.exact and arg.text.startswith("--") and "=" not in arg.text
        if begun or (arg.wild and not (arg.exact is False and arg.safe)):
            call.add(2, f"`{arg.display}` may become an option")
    for option in options:
        if name == "help" and option in ("-w", "--web", "-i", "--info"):
            call.add(1, "opens a browser")
        if name == "fsck" and option.startswith("--lost-found"):
            call.add(2, "`git fsck --lost-found` writes files")
        elif _OUTPUT.fullmatch(option):
            call.add(2, f"`git {name} {option}` writes a file")
        elif _RUNS.fullmatch(option) and not (
            name in ("diff", "log", "show") and option.startswith("-O")
        ):
            call.add(2, f"`git {name} {option}` may run a program")


def _lists(name: str, args: list[Arg], options: list[str]) -> bool:
    """Whether branch, tag or config are only asked to list."""
    if any(arg.wild for arg in args):
        return False
    operands = [arg for arg in args if not arg.text.startswith("-")]
    if any(not re.fullmatch(_LISTING[name], option) for option in options):
        return False
    if name == "config":
        if options and any(o.startswith(("--get", "-l", "--list")) for o in options):
            return True
        if operands and operands[0].text in ("list", "get"):
            return True
        # Of one word the newer git takes the name of a subcommand first, which opens an editor.
        return len(operands) == 1 and operands[0].text != "edit"
    if not operands:
        return True
    if name == "branch" and set(options) <= {"-a", "-r", "-v", "-vv", "-i", "--all", "--remotes"}:
        return False
    return any(_TAKING_OPERANDS.fullmatch(option.partition("=")[0]) for option in options)


def _destroys(call: Call, name: str, args: list[Arg], options: list[str]) -> bool:
    """Tier 3: what loses commits, stashes or untracked files."""
    words = [arg.text for arg in args]
    shorts = "".join(o[1:] for o in options if not o.startswith("--"))
    longs = {o.partition("=")[0] for o in options if o.startswith("--")}
    reason = ""
    if name == "push":
        if "f" in shorts or any(o.startswith("--force") for o in longs):
            reason = "`git push --force` replaces history at the other end"
        elif "d" in shorts or longs & {"--delete", "--mirror", "--prune"}:
            reason = "`git push` deletes references at the other end"
        elif any(w.startswith(("+", ":")) and len(w) > 1 for w in words[1:] or words):
            reason = "`git push` replaces or deletes a reference at the other end"
    elif name == "reset" and ("--hard" in longs or "--merge" in longs):
        reason = "`git reset --hard` loses changes that are not committed"
    elif name == "clean":
        if "n" in shorts or "--dry-run" in longs:
            return not options or all(
                re.fullmatch(r"-[dxXnqf]+|--dry-run|-e.*", o) for o in options
            )
        reason = "`git clean` removes files that are not tracked"
    elif name == "checkout" and (
        "f" in shorts or "--force" in longs or "--" in words or words[-1:] == ["."]
    ):
        reason = "`git checkout` loses changes that are not committed"
    elif name == "switch" and (longs & {"--force", "--discard-changes"} or "f" in shorts):
        reason = "`git switch` loses changes that are not committed"
    elif (name == "restore" and "--staged" not in longs and "S" not in shorts) or (
        name == "restore" and ("--worktree" in longs or "W" in shorts)
    ):
        reason = "`git restore` loses changes that are not committed"
    elif name == "stash" and words[:1] in (["clear"], ["drop"]):
        reason = f"`git stash {words[0]}` loses stashed changes"
    elif name == "reflog" and words[:1] in (["expire"], ["delete"]):
        reason = f"`git reflog {words[0]}` loses the way back to commits"
    elif name in ("gc", "prune") and (
        name == "prune" or any(o.startswith("--prune") for o in options)
    ):
        if "n" not in shorts and "--dry-run" not in longs:
            reason = f"`git {name}` removes unreachable objects"
    elif name in ("filter-branch", "filter-repo"):
        reason = f"`git {name}` rewrites history"
    elif name == "branch" and ("D" in shorts or ("d" in shorts and "f" in shorts)):
        reason = "`git branch -D` loses commits that are on no other branch"
    elif name == "branch" and "--delete" in longs and "--force" in longs:
        reason = "`git branch --delete --force` loses commits"
    elif name == "update-ref" and ("d" in shorts or "--delete" in longs):
        reason = "`git update-ref -d` removes a reference"
    elif name == "worktree" and words[:1] == ["remove"] and ("f" in shorts or "--force" in longs):
        reason = "`git worktree remove --force` loses changes"
    elif name == "rm" and ("f" in shorts or "--force" in longs) and "--cached" not in longs:
        reason = "`git rm -f` loses changes that are not committed"
    elif name == "submodule" and words[:1] == ["deinit"] and ("f" in shorts or "--force" in longs):
        reason = "`git submodule deinit --force` loses changes"
    elif name == "lfs" and words[:1] == ["prune"]:
        reason = "`git lfs prune` removes objects"
    if reason:
        call.add(3, reason)
    return bool(reason)


def judge_forge(call: Call, spec: Spec) -> None:
    """`gh`, `glab`: list, view and status read; delete cannot be undone."""
    words = [arg.text for arg in call.args if not arg.text.startswith("-")]
    options = _options(call.args)
    if not words:
        if not set(options) <= {"--version", "--help"}:
            call.add(2, f"`{call.name}` with unknown options")
        return
    verb = words[1] if len(words) > 1 else ""
    if words[0] == "api":
        method = [
            o for o in options if re.match(r"-X|--method|-f|-F|--field|--raw-field|--input", o)
        ]
        text = " ".join(arg.display for arg in call.args)
        if re.search(r"(?:-X|--method)[ =]?DELETE", text):
            call.add(3, "deletes through the interface of the forge")
        elif method and not re.search(r"(?:-X|--method)[ =]?GET", text):
            call.add(2, "changes something through the interface of the forge")
        return
    if verb in ("delete", "delete-asset", "archive", "purge") or (
        words[0] == "cache" and verb == "delete"
    ):
        call.add(3, f"`{call.name} {words[0]} {verb}` cannot be undone")
        return
    reading = {
        "list",
        "ls",
        "view",
        "status",
        "diff",
        "checks",
        "show",
        "get",
        "watch",
        "search",
        "verify",
    }
    if words[0] in ("status", "search", "version", "help", "browse_") or verb in reading:
        if any(re.match(r"-w$|--web", o) for o in options):
            call.add(1, "opens a browser")
        if words[0] == "auth" and any(o in ("-t", "--show-token") for o in options):
            call.add(1, "reads a credential")
        if words[0] == "extension" and verb == "search":
            call.add(1, "asks the forge for extensions")
        if any(arg.wild for arg in call.args):
            call.add(2, "an argument may become an option")
        return
    call.add(2, f"`{call.name} {words[0]} {verb}` changes something at the forge or here")


_OTHER_READ = {
    "svn": "info log status st stat diff list ls blame cat propget proplist pl pg help annotate"
    " praise",
    "hg": "status st log diff id identify branches branch_ tags bookmarks_ heads parents paths"
    " showconfig root"
    " summary sum cat annotate blame files manifest grep help version tip incoming_ outgoing_"
    " verify",
    "bzr": "status st log diff info ls cat annotate version revno tags",
    "cvs": "status log diff annotate history version",
    "fossil": "status timeline diff info ls finfo version annotate",
    "darcs": "log changes show diff whatsnew status",
    "jj": "log status st diff show op_log branch_list bookmark_list config_list root version",
}


def judge_other(call: Call, spec: Spec) -> None:
    """Subversion, Mercurial and others: a list of reading verbs."""
    words = [arg.text for arg in call.args if not arg.text.startswith("-")]
    options = _options(call.args)
    verb = words[0] if words else ""
    risky = any(
        re.match(
            r"--(?:config|debugger|diff-cmd|diff-command|diff3-cmd|extcmd|using|command|tool|editor"
            r"|pager|config-option|output|repository=)|-o|-R|-p$",
            o,
        )
        or (call.name == "cvs" and re.match(r"-[de]", o))
        for o in options
    )
    if not words and set(options) <= {"--version", "--help", "-V"}:
        return
    if verb in _OTHER_READ[call.name].split() and not risky and not any(a.wild for a in call.args):
        if any("://" in word for word in words[1:]):
            call.add(1, "asks another machine")
        return
    stripping = call.name == "hg" and verb in ("strip", "purge")
    call.add(
        3 if stripping else 2, f"`{call.name} {verb}` changes the repository or the working tree"
    )
