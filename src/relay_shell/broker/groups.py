"""Which group each tool belongs to, so that a group switched off is refused here as well.

The tools' own declarations say the same, but this process imports none of them; a test compares.
"""

from __future__ import annotations

GROUPS: dict[str, str] = {
    "shell_read": "shell",
    "shell_exec": "shell",
    "shell_script": "shell",
    "shell_spawn": "session",
    "session_send": "session",
    "session_recv": "session",
    "session_screen": "session",
    "session_resize": "session",
    "session_kill": "session",
    "session_list": "session",
    "output_read": "output",
    "server_info": "server",
    "audit_tail": "server",
    "policy_explain": "server",
}
