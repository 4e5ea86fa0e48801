"""`relay-shell config`: test the configuration before it is put in force, and see what is."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import config
from ..wire.errors import RelayError
from .parser import Subparsers, add_json, add_socket
from .term import Style, safe

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..policy.access import AccessRules
    from ..ssh.inventory import Host

DESCRIPTION = """\
Read the configuration as the broker would: relay-shell.toml, relay-shell.d/*.toml in the order of
their names, then RELAY_SHELL_* in the environment. relay-shell.toml(5) lists every setting.
'check' also reads access.toml, the rules by identity, and inventory.toml, the hosts of the ssh
tools. 'reload' is what 'systemctl reload relay-shell' runs: the broker reads everything anew, and
keeps what is in force if it is refused."""

RELOADING = 25.0
"""Seconds to wait for a reload: less than the service manager waits for it (TimeoutStartSec=)."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's actions and options."""
    parser = subparsers.add_parser("config", description=DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether it would be accepted, with every problem")
    show = actions.add_parser("show", help="print each setting with its value and source")
    show.add_argument("name", nargs="*", metavar="NAME", help="settings or sections to print")
    show.add_argument("--changed", action="store_true", help="only what differs from the default")
    for action in (check, show):
        action.add_argument(
            "--root", metavar="DIR", help=f"directory of the files (default: {config.ROOT})"
        )
        add_json(action)
    reload = actions.add_parser("reload", help="put it in force, and say whether it was accepted")
    reload.add_argument("--quiet", action="store_true", help="print only what the journal lacks")
    add_socket(reload)
    actions.add_parser("default", help="print a file with every setting, its help and its default")
    actions.add_parser("schema", help="print the JSON Schema of the file")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    actions = {"check": _check, "show": _show, "reload": _reload}
    actions |= {"default": _default, "schema": _schema}
    return actions[args.action](args)


def _root(args: argparse.Namespace) -> str:
    return args.root or os.environ.get("RELAY_SHELL_CONFIG") or config.ROOT


def _load(args: argparse.Namespace) -> tuple[Settings, AccessRules, list[Host]]:
    """Settings, access rules, and the hosts of the inventory.

    Raises:
        ConfigError: with the problems of all three.
    """
    from ..broker.access_file import load_access

    root = _root(args)
    problems: list[config.Problem] = []
    settings, rules = None, None
    try:
        settings = config.load(root)
    except config.ConfigError as error:
        problems += error.problems
    try:
        rules = load_access(root)
    except config.ConfigError as error:
        problems += error.problems
    hosts = _hosts(args.root, settings, problems)
    if settings is None or rules is None or problems:
        raise config.ConfigError(problems)
    return settings, rules, hosts


def _hosts(
    root: str | None, settings: Settings | None, problems: list[config.Problem]
) -> list[Host]:
    """The inventory that workers would read or, with --root, that of the directory."""
    from ..ssh.document import hosts_of, parse_file
    from ..ssh.inventory import FILE

    setting = "paths.inventory"
    path = Path(config.TABLE[setting].default if settings is None else settings[setting])
    if root and (settings is None or settings.source(setting) == "default"):
        path = Path(root) / FILE
    found = parse_file(path, problems)
    return hosts_of(found, str(path), problems) if found else []


def _check(args: argparse.Namespace) -> int:
    try:
        settings, rules, hosts = _load(args)
    except config.ConfigError as error:
        if not args.json:
            raise
        problems = [problem._asdict() for problem in error.problems]
        print(json.dumps({"ok": False, "problems": problems}))
        return error.exit_status
    changed = [name for name in settings if settings.source(name) != "default"]
    if args.json:
        counts = {"access_rules": len(rules), "ssh_hosts": len(hosts)}
        print(json.dumps({"ok": True, "problems": [], "changed": changed, **counts}))
        return 0
    ruled = f", {len(rules)} access rule(s)" if rules else ""
    ruled += f", {len(hosts)} ssh host(s)" if hosts else ""
    print(f"{_root(args)}: {Style()('ok', 'green')}, {len(changed)} setting(s) changed{ruled}")
    if changed or rules:
        print("systemctl reload relay-shell puts them in force")
    restart = [name for name in changed if not config.TABLE[name].reload]
    if restart:
        print(f"a restart is needed for: {', '.join(restart)}")
    return 0


def _wanted(names: list[str]) -> Iterator[str]:
    """Names of settings, sections spelt out, in the order of the table.

    Raises:
        RelayError: InvalidArguments, for a name that is neither.
    """
    sections = {row.section for row in config.TABLE.values()}
    for name in names:
        if name not in config.TABLE and name not in sections:
            from difflib import get_close_matches

            near = get_close_matches(name, [*config.TABLE, *sections], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            error = RelayError("InvalidArguments", reason=f"no setting {name!r}{hint}")
            error.next_step = "'relay-shell config show' prints all of them."
            raise error
    for name, row in config.TABLE.items():
        if not names or name in names or row.section in names:
            yield name


def _show(args: argparse.Namespace) -> int:
    wanted = list(_wanted(args.name))
    settings = config.load(_root(args))
    if args.changed:
        wanted = [name for name in wanted if settings.source(name) != "default"]
    if args.json:
        found = {n: {"value": settings[n], "source": settings.source(n)} for n in wanted}
        print(json.dumps(found))
        return 0
    if not wanted:
        sys.stderr.write("relay-shell: everything has its default\n")
        return 0
    from ..config.generate import toml

    style = Style()
    lines = [(n, f"{n} = {toml(settings[n])}", settings.source(n)) for n in wanted]
    column = min(max((len(text) for _, text, _ in lines), default=0), 60)
    for _, text, source in lines:
        shown = safe(text)
        if source != "default":
            shown = style(shown, "bold")
        note = f"# {safe(source)}" if source != "default" else style("# default", "dim")
        print(f"{shown}{' ' * max(column - len(safe(text)), 0)}  {note}")
    return 0


def _reload(args: argparse.Namespace) -> int:
    from .operator import Operator

    with Operator(args.socket, RELOADING) as broker:
        reply = broker.request("reload")
    if reply["refused"]:
        error = RelayError(
            "Config", reason=f"refused, what was in force stays:\n{reply['refused']}"
        )
        if args.quiet:
            return error.exit_status
        raise error
    if not args.quiet:
        print(f"in force: {Style()('ok', 'green')}")
        if reply["needs_restart"]:
            print(f"a restart is needed for: {safe(', '.join(map(str, reply['needs_restart'])))}")
    return 0


def _default(args: argparse.Namespace) -> int:
    from ..config.generate import default_file

    sys.stdout.write(default_file())
    return 0


def _schema(args: argparse.Namespace) -> int:
    from ..config.generate import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0
