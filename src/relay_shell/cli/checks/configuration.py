"""Configuration: it loads as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from ... import config
from ...broker.access_file import load_access
from .base import FAIL, OK, Finding, Host


def check(host: Host) -> Iterator[Finding]:
    """Load the configuration, and keep it for the checks that follow."""
    root = host.path(config.ROOT)
    host.settings = {name: row.default for name, row in config.TABLE.items()}
    try:
        # What whoever looks has in the environment is not this host's configuration.
        settings = config.load(root, {})
    except config.ConfigError as error:
        for problem in error.problems:
            where, _, reason = str(problem).partition(": ")
            yield Finding("config", FAIL, where, reason, "edit it; then relay-shell config check")
        return
    try:
        rules = load_access(root)
    except config.ConfigError as error:
        for problem in error.problems:
            where, _, reason = str(problem).partition(": ")
            yield Finding("config", FAIL, where, reason, "edit it; then relay-shell config check")
        return
    host.settings = dict(settings)
    changed = sum(settings.source(name) != "default" for name in settings)
    ruled = f", {len(rules)} access rule(s)" if rules else ""
    yield Finding("config", OK, host.shown(root), f"loads; {changed} setting(s) changed{ruled}")
