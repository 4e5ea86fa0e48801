"""`relay-shell ssh`: the hosts that the ssh tools reach, and the keys by which they are known."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..ssh.inventory import FILE, Host, Inventory, listed_as, load
from ..wire.errors import RelayError
from .openssh import Known, known
from .parser import Subparsers, add_json
from .place import setting
from .term import Style, safe, table

DESCRIPTION = """\
The ssh tools reach the hosts of inventory.toml(5), each by the key that known_hosts has for it.
'hosts' lists them, 'trust' adds their keys once you have compared them, and 'import' makes an
inventory from the configuration of ssh(1). HOST is a name, a pattern or @GROUP."""

EXAMPLES = """\
examples:
  relay-shell ssh import bastion web1 >> /etc/relay-shell/inventory.toml
  relay-shell config check
  relay-shell ssh trust @web
  relay-shell ssh trust db1 --fingerprint SHA256:uNiVztksCsDhcc0u9e8BrJQXVUpKZIDTMczCvj3tD2s
  ssh -J bastion db2 'cat /etc/ssh/ssh_host_*_key.pub' | relay-shell ssh trust db2 --keys - --yes
  relay-shell ssh hosts 'web*'"""

AT_ONCE = 8
"""Programs that are asked at once."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the verb's actions and options."""
    parser = subparsers.add_parser("ssh", description=DESCRIPTION, epilog=EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    hosts = actions.add_parser("hosts", help="list hosts, and whether their keys are known")
    hosts.add_argument("host", nargs="*", metavar="HOST", help="names, patterns, @GROUP; or all")
    add_json(hosts)
    trust = actions.add_parser(
        "trust", help="add the keys of hosts to known_hosts, once they are confirmed"
    )
    trust.add_argument("host", nargs="+", metavar="HOST", help="names, patterns, @GROUP")
    confirm = trust.add_mutually_exclusive_group()
    confirm.add_argument(
        "--fingerprint",
        action="append",
        metavar="SHA256:...",
        help="add keys with this fingerprint alone, and do not ask; may be repeated",
    )
    confirm.add_argument(
        "--yes", action="store_true", help="do not ask: take what the network shows for true"
    )
    trust.add_argument(
        "--keys",
        metavar="FILE",
        help="take the keys from copies of the host's /etc/ssh/ssh_host_*_key.pub ('-': standard "
        "input), and do not connect",
    )
    imported = actions.add_parser(
        "import", help="print an inventory made from a configuration of ssh(1)"
    )
    imported.add_argument(
        "host", nargs="*", metavar="NAME", help="hosts; or all that the file names by name"
    )
    imported.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: yours and the system's, as ssh reads them)",
    )


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    if args.action == "hosts":
        return _hosts(args)
    if args.action == "trust":
        from .sshtrust import run as trust

        return trust(args)
    from .sshimport import run as imported

    return imported(args)


def inventory() -> Inventory:
    """The inventory that workers read.

    Raises:
        RelayError: Config.
    """
    return load(setting("paths.inventory"))


def known_hosts() -> Path:
    """The file of host keys that workers read, if it is one that they would.

    Raises:
        RelayError: Config, if others can change it.
    """
    from ..config import trust

    path = Path(setting("paths.known_hosts"))
    try:
        trust.read(path)
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise RelayError("Config", reason=f"{path}: {error}") from None
    return path


def select(found: Inventory, words: list[str]) -> list[Host]:
    """The hosts that the words of a command line stand for.

    Raises:
        RelayError: NotFound, for a word that fits no host.
    """
    try:
        return found.select(words)
    except RelayError as error:
        error.next_step = "'relay-shell ssh hosts' lists the hosts that there are."
        if not found:
            error.next_step = f"Add the host to {setting('paths.inventory')}; {FILE}(5) says how."
        raise


def _hosts(args: argparse.Namespace) -> int:
    found = inventory()
    hosts = select(found, args.host) if args.host else list(found.hosts.values())
    path = known_hosts()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        keys = list(pool.map(lambda host: known(path, listed_as(host)), hosts))
    if args.json:
        facts = [
            {**host._asdict(), "listed_as": listed_as(host), "host_key_known": _is_known(have)}
            for host, have in zip(hosts, keys, strict=True)
        ]
        print(json.dumps(facts))
        return 0
    if not hosts:
        print(f"no hosts: {setting('paths.inventory')} names none")
        return 0
    style = Style()
    rows = [
        [
            host.name,
            _place(host),
            safe(host.user),
            host.jump or "-",
            ",".join(host.groups) or "-",
            style("known", "green") if _is_known(have) else style("unknown", "red"),
            safe(host.description),
        ]
        for host, have in zip(hosts, keys, strict=True)
    ]
    head = ["HOST", "ADDRESS", "USER", "JUMP", "GROUPS", "HOST KEY", "DESCRIPTION"]
    print(table(head, rows, style))
    missing = sum(not _is_known(have) for have in keys)
    if missing:
        print(f"{missing} without a host key: 'relay-shell ssh trust HOST' adds it")
    return 0


def _is_known(have: Known) -> bool:
    return bool(have.keys or have.authorities)


def _place(host: Host) -> str:
    address = f"[{host.address}]" if ":" in host.address else host.address
    return address if host.port == 22 else f"{address}:{host.port}"
