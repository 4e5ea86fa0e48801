"""Instructions of eBPF, as the kernel takes them (Documentation/bpf/standardization of Linux)."""

from __future__ import annotations

import struct

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = range(11)

BYTE, HALF, WORD, LONG = 0x10, 0x08, 0x00, 0x18
"""Widths of memory accesses: 1, 2, 4 and 8 octets."""

_JUMPS = {"==": 0x10, ">": 0x20, ">=": 0x30, "!=": 0x50, "<": 0xA0, "<=": 0xB0}
_ALU = {"+": 0x00, "-": 0x10, "&": 0x50, "<<": 0x60, ">>": 0x70, "=": 0xB0}


class Assembler:
    """Collects instructions; jumps name labels, which may come later."""

    def __init__(self) -> None:
        self._code: list[bytes] = []
        self._labels: dict[str, int] = {}
        self._open: list[tuple[int, str]] = []
        self._made = 0

    def label(self, name: str) -> None:
        """What follows is jumped to as `name`."""
        assert name not in self._labels
        self._labels[name] = len(self._code)

    def fresh(self, stem: str) -> str:
        """A label that nothing else uses."""
        self._made += 1
        return f"{stem}.{self._made}"

    def _emit(self, op: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> None:
        self._code.append(struct.pack("<BBhI", op, src << 4 | dst, off, imm & 0xFFFFFFFF))

    def alu(self, dst: int, operator: str, imm: int) -> None:
        """dst operator= imm, on 64 bits."""
        self._emit(0x07 | _ALU[operator], dst, imm=imm)

    def alur(self, dst: int, operator: str, src: int) -> None:
        """dst operator= src, on 64 bits."""
        self._emit(0x0F | _ALU[operator], dst, src)

    def const(self, dst: int, value: int) -> None:
        """dst = a constant of 64 bits."""
        self._emit(0x18, dst, imm=value)
        self._emit(0, imm=value >> 32)

    def map(self, dst: int, fd: int) -> None:
        """dst = a map."""
        self._emit(0x18, dst, 1, imm=fd)
        self._emit(0)

    def load(self, width: int, dst: int, src: int, off: int) -> None:
        """dst = memory at src + off."""
        self._emit(0x61 | width, dst, src, off)

    def store(self, width: int, dst: int, off: int, src: int) -> None:
        """Memory at dst + off = src."""
        self._emit(0x63 | width, dst, src, off)

    def put(self, width: int, dst: int, off: int, imm: int) -> None:
        """Memory at dst + off = a constant."""
        self._emit(0x62 | width, dst, 0, off, imm)

    def add_atomic(self, dst: int, off: int, src: int, fetch: bool = False) -> None:
        """Add src to the 64 bits at dst + off; with `fetch`, src is then what was there."""
        self._emit(0xDB, dst, src, off, 0x01 if fetch else 0x00)

    def jump(self, label: str) -> None:
        """Go on at a label."""
        self._open.append((len(self._code), label))
        self._emit(0x05)

    def when(self, dst: int, operator: str, imm: int, label: str) -> None:
        """Go on at a label if dst compares so with a constant (unsigned)."""
        self._open.append((len(self._code), label))
        self._emit(0x05 | _JUMPS[operator], dst, imm=imm)

    def whenr(self, dst: int, operator: str, src: int, label: str) -> None:
        """Go on at a label if dst compares so with src (unsigned)."""
        self._open.append((len(self._code), label))
        self._emit(0x0D | _JUMPS[operator], dst, src)

    def call(self, helper: int) -> None:
        """R0 = helper(R1...R5); R1 to R5 are lost."""
        self._emit(0x85, imm=helper)

    def leave(self) -> None:
        """Return 0."""
        self.alu(R0, "=", 0)
        self._emit(0x95)

    def code(self) -> bytes:
        """The program."""
        for at, label in self._open:
            op, registers, _, imm = struct.unpack("<BBhI", self._code[at])
            distance = self._labels[label] - at - 1
            self._code[at] = struct.pack("<BBhI", op, registers, distance, imm)
        self._open.clear()
        return b"".join(self._code)
