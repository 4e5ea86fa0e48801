"""Make the agent of relay-shell-keys.service have the keys of the directory, and no others.

Its unit starts this after ssh-agent, and again at each reload. What is not used is named in the
journal with the reason, and does not keep the others out.
"""

from __future__ import annotations

import os
import sys

from .agent import Agent, AgentError, AgentGone
from .files import Key, Refused, examine, listed, shown

DIRECTORY = "/etc/relay-shell/keys"
SOCKET = "/run/relay-shell-keys/agent.sock"

_ERROR, _WARNING, _INFO = 3, 4, 6
"""Levels of syslog(3); the prefix of sd-daemon(3) gives them to the journal."""


def say(level: int, text: str) -> None:
    """Write a line to the journal."""
    print(f"<{level}>{text}", file=sys.stderr, flush=True)


def wanted(directory: str) -> tuple[list[Key], int]:
    """The keys of the directory, and how many files it has for keys.

    Raises:
        Refused: others than root can put files there.
        OSError: the directory cannot be read.
    """
    keys: list[Key] = []
    paths = listed(directory)
    for path in paths:
        try:
            keys.append(examine(path))
        except Refused as refusal:
            say(_ERROR, f"not used: {refusal}")
    return keys, len(paths)


def load(directory: str, agent: Agent, socket: str = SOCKET) -> bool:
    """Add what the directory has, remove what it has not; whether all of it is used.

    A key with a passphrase stays if it was added by hand, and is named if it was not.

    Args:
        socket: where the agent is, for whoever is to add a key by hand.

    Raises:
        AgentError: the agent does not answer.
        OSError: the directory cannot be read.
    """
    try:
        keys, files = wanted(directory)
        whole = len(keys) == files
    except Refused as refusal:
        say(_ERROR, f"no key is used: {refusal}")
        keys, files, whole = [], 0, False
    for key in keys:
        if not key.locked:
            try:
                agent.add(key.path)
            except AgentGone:
                raise
            except AgentError as error:
                say(_ERROR, f"not used: {shown(key.path)}: {error}")
                whole = False
    held = agent.held()
    unwanted = held.difference(blob for key in keys for blob in key.blobs)
    for blob in unwanted:
        agent.remove(blob)
    for key in keys:
        if key.locked and not held.issuperset(key.blobs):
            command = f"SSH_AUTH_SOCK={socket} ssh-add {shown(key.path)}"
            say(_WARNING, f"{shown(key.path)} has a passphrase; to use it, as root: {command}")
    used = sum(held.issuperset(key.blobs) for key in keys)
    dropped = f", {len(unwanted)} dropped" if unwanted else ""
    say(_INFO, f"{used} of {files} keys in use{dropped}")
    return whole


def main() -> int:
    """Entry point; status 1 where something is not used, or nothing could be done."""
    if len(sys.argv) > 1 or os.geteuid() != 0:
        print("relay-shell-keys: started by relay-shell-keys.service", file=sys.stderr)
        return 64
    # Set by the service manager. The socket is its own: it takes connections without the agent too.
    pid = os.environ.get("MAINPID", "")
    try:
        agent = Agent(SOCKET, int(pid) if pid.isdecimal() else None)
        return 0 if load(DIRECTORY, agent) else 1
    except (AgentError, OSError) as error:
        say(_ERROR, f"keys are not loaded: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
