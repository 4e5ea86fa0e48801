"""What names of the inventory may look like. Each function says what is wrong, "" if nothing is.

What is accepted means one thing to everybody who reads it: rules on hosts, the resolver, programs
that take it as an argument, and known_hosts. Hence no name that also reads as a number
(inet_aton(3) takes `127.1` and `2130706433` for addresses), no option, no pattern.
"""

from __future__ import annotations

import ipaddress
import re

LENGTH = 253
"""Characters of a name or address: what DNS allows (RFC 1035, section 2.3.4, without the root)."""
USER = 255
KEY = 256

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
# ssh(1) refuses in a user name what a shell or an option parser would understand (CVE-2023-51385).
_USER = re.compile(r"[A-Za-z0-9_.](?:[A-Za-z0-9_.@+\\-]*[A-Za-z0-9_.@+$-])?", re.ASCII)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)


def name_fault(name: str) -> str:
    """Why a name of a host is refused."""
    if reason := group_fault(name):
        return reason
    if all(map(_NUMBER.fullmatch, name.split("."))) and not is_ipv4(name):
        return f"{name!r} would be read as an address that it does not look like"
    return ""


def group_fault(name: str) -> str:
    """Why a name of a group is refused."""
    if not name:
        return "is empty"
    if len(name) > LENGTH:
        return f"is longer than {LENGTH} characters"
    if not _NAME.fullmatch(name):
        return (
            f"{name[:64]!r} is no name: letters, digits, '.', '_' and '-', with a letter, digit "
            "or '_' first and last"
        )
    return ""


def address_fault(address: str) -> str:
    """Why an address is refused: it is neither a DNS name nor an IP address as usually written."""
    shown = repr(address[:64])
    if not address:
        return "is empty"
    if len(address) > LENGTH:
        return f"is longer than {LENGTH} characters"
    if "@" in address:
        return f"{shown} holds a user; that is the key 'user'"
    if ":" in address:
        return _ipv6_fault(address)
    if not address.isascii():
        return f"{shown} must be in the form that DNS asks for (xn--...)"
    if is_ipv4(address):
        return ""
    labels = address.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return f"{shown} is no IP address as usually written"
    if not all(map(_LABEL.fullmatch, labels)):
        return f"{shown} is neither a DNS name nor an IP address"
    return ""


def _ipv6_fault(address: str) -> str:
    shown = repr(address[:64])
    if address.startswith("[") or address.count(":") == 1:
        return f"{shown}: no brackets and no port; that is the key 'port'"
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return f"{shown} is no IPv6 address"
    if found.scope_id is not None:
        return f"{shown}: an address with a zone depends on the host that uses it"
    if found.ipv4_mapped:
        return f"{shown}: write {found.ipv4_mapped}"
    return ""


def canonical(address: str) -> str:
    """The usual spelling of an address, under which known_hosts has it too."""
    try:
        return str(ipaddress.IPv6Address(address))
    except ValueError:
        return address.lower()


def user_fault(user: str) -> str:
    """Why a user is refused."""
    if not user:
        return "is empty"
    if len(user) > USER:
        return f"is longer than {USER} characters"
    if not _USER.fullmatch(user):
        return f"{user[:64]!r} is no name of a user"
    return ""


def key_fault(key: str) -> str:
    """Why the fingerprint or comment of a key is refused."""
    if key.startswith("SHA256:"):
        # A comment cannot begin so: the two would be taken for each other.
        return "" if _FINGERPRINT.fullmatch(key) else "must be SHA256: and 43 characters of base64"
    if key.startswith("MD5:"):
        return "must be a SHA256 fingerprint (ssh-keygen -l) or a comment"
    if len(key) > KEY or not key.isprintable():
        return f"must be one line of at most {KEY} printable characters"
    return ""


def is_ipv4(text: str) -> bool:
    """Whether it is an IPv4 address as usually written."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
