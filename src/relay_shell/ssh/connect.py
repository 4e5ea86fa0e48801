"""One SSH connection to one machine, made as the inventory says and in no other way.

asyncssh would by default read ~/.ssh (which the agent's commands can write), ask an agent of the
environment, run a ProxyCommand and pass variables on; each of these is switched off here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import asyncssh

from ..wire.errors import RelayError
from .agent import KeyAgent
from .hostkeys import Known, KnownHosts, print_of
from .inventory import Host
from .reach import Route

# At level INFO it would write each command and each key to the journal, unredacted.
asyncssh.set_log_level(logging.ERROR)

SAID = 200
"""Characters of what a remote host says that an error repeats."""

ALIVE = 3
"""Unanswered keepalives after which a connection is given up (ssh_config(5))."""

ACCEPT = (
    "Operator: compare the fingerprint with the host's own, then 'relay-shell ssh trust {host}'."
)


class Client(asyncssh.SSHClient):
    """Sees the host key, and offers nothing but the agent's keys."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Called for a key that is not known: never accepted, but named in the error."""
        self.refused = key
        return False


async def dial(
    route: Route,
    depth: int,
    tunnel: asyncssh.SSHClientConnection | None,
    keys: KeyAgent,
    known_hosts: KnownHosts,
    settings: Mapping[str, Any],
) -> asyncssh.SSHClientConnection:
    """Connect to and log in at hop `depth` of a route, through `tunnel` unless it is the first.

    Raises:
        RelayError: kinds Unreachable, HostKey, HostAuth, Unavailable and Config.
    """
    host = route.hops[depth]
    known = known_hosts.find(host)
    if not known.keys and not known.authorities:
        raise _unknown(host, "no host key of it is known")
    pairs = await keys.pairs(host.key)
    addresses = route.addresses if tunnel is None else (host.address,)
    if not addresses:
        raise _unreachable(host, f"its address {host.address} cannot be resolved")
    # One deadline for all addresses: the last gets what the others left.
    deadline = asyncio.get_running_loop().time() + float(settings.get("ssh.connect_timeout", 10))
    failure: RelayError | None = None
    for number, address in enumerate(addresses):
        left = deadline - asyncio.get_running_loop().time()
        share = left / (len(addresses) - number)
        client = Client(known)
        try:
            async with asyncio.timeout(share):
                return await asyncssh.connect(
                    address,
                    host.port,
                    tunnel=tunnel or (),
                    client_factory=lambda client=client: client,
                    client_keys=pairs,
                    username=host.user,
                    **_options(host, known, settings),
                )
        except (OSError, TimeoutError, asyncssh.Error, ValueError) as error:
            failure = _failure(host, client, error)
            if failure.kind != "Unreachable" or left <= share:
                break
    assert failure is not None
    raise failure


async def seen_key(
    route: Route, tunnel: asyncssh.SSHClientConnection | None, algorithm: str, timeout: float
) -> asyncssh.SSHKey | None:
    """The host key of one algorithm that a machine shows; None if it agrees to none such.

    Raises:
        RelayError: kind Unreachable.
    """
    host = route.host
    addresses = route.addresses if tunnel is None else (host.address,)
    if not addresses:
        raise _unreachable(host, f"its address {host.address} cannot be resolved")
    try:
        async with asyncio.timeout(timeout):
            return await asyncssh.get_server_host_key(
                addresses[0],
                host.port,
                tunnel=tunnel or (),
                proxy_command=None,
                config=None,
                server_host_key_algs=[algorithm],
            )
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost):
        # Some servers hang up where they have no such key.
        return None
    except (OSError, TimeoutError, asyncssh.Error, ValueError) as error:
        raise _unreachable(host, said(error)) from None


def _options(host: Host, known: Known, settings: Mapping[str, Any]) -> dict[str, Any]:
    trusted: tuple[list[Any], ...] = (
        list(known.keys),
        list(known.authorities),
        list(known.revoked),
        [],
        [],
        [],
        [],
    )
    return {
        "config": None,
        "proxy_command": None,
        "known_hosts": lambda *_: trusted,
        # The principal that a host certificate must name.
        "host_key_alias": host.host_key or host.address,
        "preferred_auth": "publickey",
        "public_key_auth": True,
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "gss_kex": False,
        "gss_auth": False,
        "client_host_keysign": False,
        "pkcs11_provider": None,
        "agent_path": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "env": None,
        "send_env": None,
        "x509_trusted_certs": None,
        "keepalive_interval": float(settings.get("ssh.keepalive", 15)),
        "keepalive_count_max": ALIVE,
        "login_timeout": float(settings.get("ssh.connect_timeout", 10)),
    }


def _failure(host: Host, client: Client, error: Exception) -> RelayError:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        key = client.refused
        if key is None:
            return _unknown(host, f"its host key is not accepted: {said(error)}")
        shown = f"{key.get_algorithm()} {print_of(key)}"
        if client.known.state(key) == "changed":
            return _unknown(
                host,
                f"its host key is not the known one but {shown}: somebody may"
                " stand in between, or the host was installed anew",
            )
        return _unknown(host, f"it shows a host key that is not known, {shown}")
    if isinstance(error, asyncssh.PermissionDenied):
        reason = f"{host.name} lets none of the agent's keys in as user {host.user}"
        return RelayError("HostAuth", reason=reason)
    return _unreachable(host, said(error))


def _unknown(host: Host, reason: str) -> RelayError:
    error = RelayError("HostKey", reason=f"{host.name} ({host.address}): {reason}")
    error.next_step = ACCEPT.format(host=host.name)
    return error


def _unreachable(host: Host, reason: str) -> RelayError:
    where = host.address if host.port == 22 else f"{host.address} port {host.port}"
    return RelayError("Unreachable", host=f"{host.name} ({where})", reason=reason)


def said(error: BaseException) -> str:
    """Why something failed, in printable characters: part of it may be the remote host's."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return printable(text) or type(error).__name__


def printable(text: str) -> str:
    """What a remote host says of itself, bounded and without control characters."""
    return "".join(char if char.isprintable() else " " for char in text[:SAID])
