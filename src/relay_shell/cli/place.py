"""Where things are: one path setting, without parsing files that cannot hold it."""

from __future__ import annotations

import os

from .. import config


def setting(name: str) -> str:
    """The value of a path setting, by environment, files or default.

    A TOML parser takes longer to load than most verbs run, so it is loaded only if some file has
    the setting's key in it. A configuration that does not load does not keep an operator from the
    record or a running broker: the default counts then.
    """
    default = str(config.value(name))
    if config.env_name(name) in os.environ or not _mentioned(config.TABLE[name].key):
        return default
    try:
        # The environment does not name it, and what else is in there is not asked for.
        return str(config.load(_root(), {})[name])
    except config.ConfigError:
        return default


def _root() -> str:
    return os.environ.get("RELAY_SHELL_CONFIG") or config.ROOT


def _mentioned(key: str) -> bool:
    """Whether a configuration file has the key, or spells anything in a way that could hide it."""
    needles = (key.encode(), b"\\")
    for path in _files():
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError:
            # `load` says better what is wrong with it.
            return True
        for line in text.splitlines():
            if any(needle in line for needle in needles) and not line.lstrip().startswith(b"#"):
                return True
    return False


def _files() -> list[str]:
    root = _root()
    found = [os.path.join(root, "relay-shell.toml")]
    drop_ins = os.path.join(root, "relay-shell.d")
    try:
        names = sorted(os.listdir(drop_ins))
    except OSError:
        names = []
    found += [os.path.join(drop_ins, name) for name in names if name.endswith(".toml")]
    return [path for path in found if os.path.lexists(path)]
