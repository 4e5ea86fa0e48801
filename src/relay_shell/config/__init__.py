"""Settings: one table, one loader, and everything that is generated from the table.

Importing this package costs little: the TOML parser is loaded by `load` alone, so a process that
only needs `value` before its first contact with the broker pays for the table and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, Problem
from .table import ROOT, TABLE, Setting, env_name

if TYPE_CHECKING:
    from .settings import Settings

__all__ = ["ROOT", "TABLE", "ConfigError", "Problem", "Setting", "env_name", "load", "value"]


def load(root: str | os.PathLike[str] = ROOT, environ: Mapping[str, str] | None = None) -> Settings:
    """Read relay-shell.toml, relay-shell.d/*.toml in name order, then the environment.

    Args:
        root: directory of the files; a missing file leaves the defaults.
        environ: environment to read RELAY_SHELL_* from, os.environ if None.

    Raises:
        ConfigError: with every problem found, each with file, line and reason.
    """
    from .loader import load as read

    return read(root, os.environ if environ is None else environ)


def value(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """One setting from the environment or its default, without reading any file.

    For what a process must know before the broker has told it its settings: the sockets' paths.

    Raises:
        ConfigError: the environment's value is out of bounds.
        KeyError: no such setting.
    """
    from .check import from_env

    setting = TABLE[name]
    text = (os.environ if environ is None else environ).get(env_name(name))
    if text is None:
        return setting.default
    return from_env(setting, text)
