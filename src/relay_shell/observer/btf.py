"""Where the members of the kernel's structures are: its own type information (BTF).

Format: Documentation/bpf/btf.rst of the kernel. The kernel that runs is asked, so nothing here
depends on a version or an architecture.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

PATH = "/sys/kernel/btf/vmlinux"

_MAGIC = 0xEB9F
_STRUCT, _UNION = 4, 5
_MODIFIERS = frozenset({8, 9, 10, 11, 18})
"""typedef, volatile, const, restrict and type tag: they lead on to another type."""

# Octets that follow a type's 12, (fixed, for each of its vlen), by kind.
_EXTRA = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8)}
_EXTRA |= {14: (4, 0), 15: (0, 12), 17: (4, 0), 19: (0, 12)}


class BtfError(Exception):
    """The kernel's type information is missing, malformed, or lacks what was looked for."""


class Btf:
    """The types of one BTF image.

    Raises:
        BtfError: it is malformed.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._parse(data)
        except (struct.error, IndexError, KeyError) as error:
            raise BtfError(f"malformed type information: {error}") from None

    def _parse(self, data: bytes) -> None:
        magic, _, _, header, types, types_len, strings, strings_len = struct.unpack_from(
            "<HBBIIIII", data
        )
        if magic != _MAGIC:
            raise BtfError("no type information of this byte order")
        start = header + types
        end = start + types_len
        self._data = data
        self._names = data[header + strings : header + strings + strings_len]
        self._types = [0]
        read = struct.Struct("<II").unpack_from
        at = start
        found = self._types.append
        while at < end:
            found(at)
            _, info = read(data, at)
            fixed, each = _EXTRA.get(info >> 24 & 0x1F, (0, 0))
            at += 12 + fixed + (info & 0xFFFF) * each

    def offsets(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Offsets in octets of members, as "structure.member"; anonymous members are looked into.

        Args:
            wanted: for each structure its members; one written "a|b" has either name.

        Raises:
            BtfError: a structure or member is missing.
        """
        try:
            return self._offsets(wanted)
        except (struct.error, IndexError, ValueError) as error:
            raise BtfError(f"malformed type information: {error}") from None

    def _offsets(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, int]:
        names = {self._name_at(name): name for name in wanted}
        names.pop(-1, None)
        found: dict[str, int] = {}
        read = struct.Struct("<III").unpack_from
        for at in self._types[1:]:
            name, info, _ = read(self._data, at)
            if name not in names or info >> 24 & 0x1F != _STRUCT:
                continue
            structure = names[name]
            members = self._members(at, 0, 0)
            for member in wanted[structure]:
                for alias in member.split("|"):
                    if alias in members:
                        found[f"{structure}.{member.split('|')[0]}"] = members[alias]
        missing = [
            f"{structure}.{member}"
            for structure, members in wanted.items()
            for member in members
            if f"{structure}.{member.split('|')[0]}" not in found
        ]
        if missing:
            raise BtfError(f"this kernel has no {', '.join(missing)}")
        return found

    def _name_at(self, name: str) -> int:
        at = self._names.find(b"\0" + name.encode() + b"\0")
        return at + 1 if at >= 0 else -1

    def _members(self, at: int, base: int, depth: int) -> dict[str, int]:
        _, info, _ = struct.unpack_from("<III", self._data, at)
        bitfields = info >> 31
        found: dict[str, int] = {}
        for n in range(info & 0xFFFF):
            name, kind, offset = struct.unpack_from("<III", self._data, at + 12 + 12 * n)
            octet = base + ((offset & 0xFFFFFF if bitfields else offset) >> 3)
            if name:
                end = self._names.index(b"\0", name)
                found[self._names[name:end].decode("ascii", "replace")] = octet
            elif depth < 8:
                inner = self._resolve(kind)
                if inner:
                    found |= self._members(inner, octet, depth + 1)
        return found

    def _resolve(self, kind: int) -> int:
        for _ in range(16):
            at = self._types[kind]
            _, info, target = struct.unpack_from("<III", self._data, at)
            number = info >> 24 & 0x1F
            if number in (_STRUCT, _UNION):
                return at
            if number not in _MODIFIERS:
                return 0
            kind = target
        return 0


def kernel(path: str = PATH) -> Btf:
    """The types of the running kernel.

    Raises:
        BtfError: the kernel has none (CONFIG_DEBUG_INFO_BTF), or they cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return Btf(file.read())
    except OSError as error:
        raise BtfError(f"{path}: {error.strerror}") from None
