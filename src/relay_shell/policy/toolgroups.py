"""Which group a tool belongs to, and which tools are rationed more strictly.

The registry of tools is the authority; the broker, which does not load it, decides by this table,
and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shell": ("shell_exec", "shell_script", "shell_read"),
        "session": (
            "shell_spawn",
            "session_send",
            "session_recv",
            "session_screen",
            "session_resize",
            "session_kill",
            "session_list",
        ),
        "output": ("output_read",),
        "ssh": ("ssh_hosts", "ssh_exec", "ssh_fanout", "ssh_check", "ssh_keyscan"),
        "server": ("server_info", "audit_tail", "policy_explain"),
    }
)

GROUP_OF: Mapping[str, str] = MappingProxyType(
    {tool: group for group, tools in GROUPS.items() for tool in tools}
)

REACHING = frozenset(
    (
        "ssh_check",
        "ssh_keyscan",
        "ssh_exec",
        "ssh_fanout",
        "ssh_spawn",
        "ssh_upload",
        "ssh_download",
        "ssh_forward",
    )
)
"""Tools that reach other machines, which the worker resolves before it asks."""

SENSITIVE = frozenset(
    (
        "shell_spawn",
        "audit_tail",
        "file_write",
        "ssh_spawn",
        "ssh_fanout",
        "ssh_upload",
        "ssh_download",
        "ssh_forward",
    )
)
"""Tools that hold resources for long, reach many machines or disclose much; so is any call of
Tier 3, whatever its tool."""
