"""What writing to a path means, from its name alone."""

from __future__ import annotations

import posixpath
import re

from .model import Tier
from .values import Arg

# Writing to these changes nothing that lasts.
_SINKS = re.compile(
    r"/dev/(?:null|zero|full|stdout|stderr|stdin|tty|console|fd/\d+|random|urandom)"
    r"|/proc/self/fd/\d+"
)
_NETWORK = re.compile(r"/dev/(?:tcp|udp)/")
_ORDINARY_DEVICE = re.compile(r"/dev/(?:shm/|mqueue/|pts/|tty|log$|ptmx|kmsg|watchdog|hugepages/)")
_POWER = re.compile(r"/proc/sysrq-trigger|/sys/power/(?:state|disk)|/sys/kernel/.*kexec")
# Losing the old content of these loses accounts, evidence, data or the ability to boot.
_PRECIOUS = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|sudoers|fstab|crypttab|machine-id|ssh/ssh_host_.*)"
    r"|/(?:boot|var/log|var/lib|var/backups|var/spool|usr/bin|usr/sbin|usr/lib|bin|sbin|lib)(?:/.*)?"
    r"|.*\.(?:db|sqlite3?|sql|dump|ibd|frm|mdf|qcow2|vmdk|vdi|img|raw|key|pem|kdbx)"
    r"|.*\.(?:sql|dump|tar|img)\.(?:gz|xz|bz2|zst)"
    r"|.*/\.ssh/.*|.*/\.bash_history|.*/\.(?:zsh|mysql|psql|python)_history|~/\.\w*_history"
)
# Appending to these grants access or runs something later.
_TRUSTED = re.compile(
    r"/etc(?:/.*)?|/usr(?:/.*)?|/bin/.*|/sbin/.*|/lib.*|/boot(?:/.*)?|/root(?:/.*)?|/proc/.*|/sys/.*"
    r"|/var/spool/.*|/var/lib/.*|/run/systemd/.*|.*/authorized_keys\d?"
    r"|(?:.*/|~/)?\.(?:bashrc|profile|bash_profile|bash_login|zshrc|zshenv|zprofile|kshrc|vimrc"
    r"|inputrc|netrc|pgpass|my\.cnf|gitconfig|npmrc|forward|rhosts|shosts|xprofile|xinitrc)"
    r"|(?:.*/|~/)\.(?:ssh|config|local|gnupg|git)/.*"
)
_ROOTS = re.compile(
    r"/(?:\*|bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|usr|var"
    r"|var/lib|var/log|usr/\w+|home/[^/]+)?(?:/\*?)?|~/?\*?|\.|\.\.|\*|\./?\*?|\$HOME/?\*?"
)
_SECRET = re.compile(
    r"/etc/(?:shadow|gshadow|security/opasswd)-?|/etc/ssl/private/.*|/etc/ssh/ssh_host_\w+_key"
    r"|(?:.*/|~/)\.ssh/id_[a-z0-9_]+|(?:.*/|~/)\.(?:netrc|pgpass|git-credentials|vault-token)"
    r"|(?:.*/|~/)\.aws/credentials|(?:.*/|~/)\.docker/config\.json|(?:.*/|~/)\.kube/config"
    r"|(?:.*/|~/)\.gnupg/(?:private-keys.*|secring.*)|/etc/krb5\.keytab"
    r"|/(?:run|etc)/credentials?(?:store)?/.*|/etc/wireguard/.*"
)


def normal(path: str) -> str:
    """A path without `.`, `..` and doubled slashes; `//x` is `/x` on Linux."""
    if not path:
        return path
    result = posixpath.normpath(path)
    return result[1:] if result.startswith("//") else result


def is_sink(path: str) -> bool:
    """Whether writing to the path changes nothing."""
    return _SINKS.fullmatch(path) is not None


def is_device(path: str) -> bool:
    """Whether the path names a device whose content a write destroys."""
    path = normal(path)
    return (
        path.startswith("/dev/")
        and not is_sink(path)
        and not _ORDINARY_DEVICE.match(path)
        and not _NETWORK.match(path)
    )


def is_secret(path: str) -> bool:
    """Whether the path is a well-known place of a credential."""
    # Each of these places has a directory.
    return "/" in path and _SECRET.fullmatch(normal(path)) is not None


def is_broad(path: str) -> bool:
    """Whether the path is the root, a system directory, a home or everything here."""
    return _ROOTS.fullmatch(path) is not None


def written(arg: Arg, how: str) -> tuple[Tier, str]:
    """The tier and reason of writing to a path.

    `how` is `truncate`, `append`, `create` or `empty` (truncated and nothing written).
    """
    name = arg.display
    path = normal(arg.text)
    if arg.exact and is_sink(path):
        return Tier.READ_ONLY, ""
    if path.startswith("/dev/fd/") and not arg.exact:
        return Tier.READ_ONLY, ""
    if _NETWORK.match(path):
        return Tier.STATEFUL, f"opens a network connection to {name}"
    if _POWER.match(path):
        return Tier.IRREVERSIBLE, f"stops or suspends the machine through {name}"
    if path.startswith("/dev/") and not _ORDINARY_DEVICE.match(path):
        return Tier.IRREVERSIBLE, f"overwrites the device {name}"
    if how == "empty":
        return Tier.IRREVERSIBLE, f"empties {name}"
    if not arg.exact and not (how == "append" and path):
        return Tier.STATEFUL, f"writes to {name}, a path that is known only when it runs"
    if how == "truncate" and _PRECIOUS.fullmatch(path):
        return Tier.IRREVERSIBLE, f"replaces the content of {name}"
    if _TRUSTED.fullmatch(path) or _PRECIOUS.fullmatch(path):
        return Tier.STATEFUL, f"writes to {name}"
    if how in ("append", "create"):
        verb = "appends to" if how == "append" else "creates"
        return Tier.REVERSIBLE, f"{verb} {name}"
    return Tier.STATEFUL, f"overwrites {name}"
