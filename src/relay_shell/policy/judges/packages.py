"""Package managers whose verbs are few words that read among many that execute."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import by_spec, judge_options

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

# Verb or verb and its object -> tier; what is not listed may run code of a project.
_READING = {
    "yay": "-Q -Qi -Qs -Qu -Ss -Si",
    "paru": "-Q -Qi -Qs -Qu -Ss -Si",
    "brew": "list ls info search outdated doctor config deps uses leaves desc --prefix"
    " services_list home log",
    "nix-env": "-q --query",
    "port": "list installed info search outdated",
    "pkg": "info search query which version audit stats",
    "opkg": "list list-installed list-upgradable info status files search",
    "conda": "list info search env_list config_--show",
    "mamba": "list info search env_list",
    "micromamba": "list info search env_list",
    "asdf": "list current plugin_list where which info",
    "mise": "ls list current where which doctor",
    "nvm": "ls list current version which",
    "rvm": "list current info version",
    "rbenv": "versions version which whence root",
    "pyenv": "versions version which whence root",
    "rustup": "show toolchain_list target_list component_list check which",
    "guix": "search show describe size",
    "uv": "pip_list pip_freeze pip_show pip_check pip_tree python_list version cache_dir tree"
    " self_version",
    "poetry": "show check env_list env_info about version config_--list source_show",
    "pipenv": "graph --venv --where check",
    "pdm": "list info show",
    "gem": "list search specification contents environment env which info outdated dependency"
    " query help sources_-l stale",
    "bundle": "list show info check outdated config_list platform licenses version viz_",
    "bundler": "list show info check outdated version",
    "cargo": "tree metadata search version locate-project pkgid --list help read-manifest"
    " verify-project",
    "go": "version env list doc help mod_graph mod_why mod_verify",
    "composer": "show info licenses outdated status validate about diagnose depends why why-not"
    " search",
    "mix": "help",
    "mvn": "dependency:tree help:effective-pom_ -v",
    "gradle": "--version",
    "dotnet": "--info --list-sdks --list-runtimes nuget_locals_--list list",
    "opam": "list show search switch_list config_env",
    "luarocks": "list show search",
    "stack": "path ls --numeric-version",
    "cabal": "list info",
    "dart": "info",
    "flutter": "doctor devices",
    "rebar3": "version",
    "emerge": "-s --search --info",
    "spack": "find list info",
}
_REMOVING = {
    "conda": "env_remove",
    "go": "clean",
    "cargo": "yank",
    "gem": "yank",
    "nix-env": "--delete-generations",
}
_WRITES = re.compile(
    r"-(?:o|out|output|export|compiled|mod|exec|toolexec|modfile|overlay|w|u|overwrite|write)(?:=.*)?"
    r"|--(?:output|out|write|exec|fix|config|manifest-path|working-dir|directory)(?:=.*)?"
)


def judge_manager(call: Call, spec: Spec) -> None:
    """A verb of the reading list, without options that write or execute."""
    words = [arg.text for arg in call.args]
    if len(words) == 1 and words[0] in ("--version", "-V", "-v", "-version", "version"):
        return
    reading = {entry.replace("_", " ", 1) for entry in _READING.get(call.name, "").split()}
    pair = " ".join(words[:2])
    clear = all(arg.exact for arg in call.args) and not any(_WRITES.fullmatch(w) for w in words[1:])
    if clear and words and (words[0] in reading or pair in reading):
        return
    removing = _REMOVING.get(call.name, "").replace("_", " ")
    if words and removing in (words[0], pair):
        call.add(3, f"`{call.name} {pair}` removes what was installed or published")
    call.add(
        2,
        f"`{call.name} {words[0] if words else ''}`".replace(" `", "`")
        + " may change files or run code",
    )


_NPM_READ = frozenset(
    "ls list ll la view_ root prefix bin help explain why fund config_list config_get -v --version"
    " query licenses version_ store_path pkg_get list-tags_ doctor_ global_list global_bin"
    " --info".split()
)
_NPM_NETWORK = frozenset(
    "view info show v outdated search ping whoami audit dist-tag_ls owner_ls profile_get"
    " access_list doctor".split()
)


def judge_npm(call: Call, spec: Spec) -> None:
    """`npm`, `pnpm`, `yarn`: listing reads; scripts and installs run code of the project."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, call.name)
    if modes and not parsed.operands:
        return
    words = [arg.text for arg in parsed.operands]
    clear = all(arg.exact for arg in parsed.operands)
    verb = words[0] if words else ""
    pair = "_".join(words[:2])
    if call.name in ("npx", "bunx"):
        call.add(2, "fetches and runs a package")
    elif (clear and (verb in _NPM_READ or pair in _NPM_READ)) or (
        clear
        and (verb in _NPM_NETWORK or pair in _NPM_NETWORK)
        and "fix" not in words
        and "--fix" not in words
    ):
        return
    elif verb == "unpublish":
        call.add(3, f"`{call.name} unpublish` removes a published package")
    else:
        call.add(2, f"`{call.name} {verb}` may change files or run code of the project")


def judge_rpm(call: Call, spec: Spec) -> None:
    """`rpm`: queries and verification read, unless a macro or scriptlet can run."""
    by_spec(call, spec)
    for arg in call.args:
        if "%(" in arg.text or "%{lua" in arg.text:
            call.add(2, "a macro of the query runs a command")
