"""Every tool, in the order in which tools/list shows them."""

from __future__ import annotations

from types import MappingProxyType

from . import (
    audit_tail,
    output_read,
    policy_explain,
    server_info,
    session_kill,
    session_list,
    session_recv,
    session_resize,
    session_screen,
    session_send,
    shell_exec,
    shell_read,
    shell_script,
    shell_spawn,
    ssh_check,
    ssh_exec,
    ssh_fanout,
    ssh_hosts,
    ssh_keyscan,
)
from .base import Tool

TOOLS: MappingProxyType[str, Tool] = MappingProxyType(
    {
        module.TOOL.name: module.TOOL
        for module in (
            shell_read,
            shell_exec,
            shell_script,
            shell_spawn,
            session_send,
            session_recv,
            session_screen,
            session_resize,
            session_kill,
            session_list,
            output_read,
            ssh_hosts,
            ssh_exec,
            ssh_fanout,
            ssh_check,
            ssh_keyscan,
            server_info,
            audit_tail,
            policy_explain,
        )
    }
)
"""Name to declaration."""
