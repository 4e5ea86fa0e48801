"""Instructions are those of the instruction set's specification."""

from __future__ import annotations

from relay_shell.observer.assemble import FP, LONG, R0, R1, R2, WORD, Assembler


def test_instructions_have_the_octets_of_the_specification() -> None:
    a = Assembler()
    a.alu(R0, "=", 7)
    a.alur(R1, "=", FP)
    a.alu(R1, "+", -8)
    a.load(WORD, R2, R1, 4)
    a.store(LONG, FP, -8, R2)
    a.put(WORD, FP, -4, 1)
    a.const(R2, 0x1122334455667788)
    a.map(R1, 5)
    a.add_atomic(R0, 8, R1)
    a.add_atomic(R0, 8, R1, fetch=True)
    a.call(14)
    a.leave()
    octets = a.code()
    assert [octets[n : n + 8].hex() for n in range(0, len(octets), 8)] == [
        "b700000007000000",
        "bfa1000000000000",
        "07010000f8ffffff",
        "6112040000000000",
        "7b2af8ff00000000",
        "620afcff01000000",
        "1802000088776655",
        "0000000044332211",
        "1811000005000000",
        "0000000000000000",
        "db10080000000000",
        "db10080001000000",
        "850000000e000000",
        "b700000000000000",
        "9500000000000000",
    ]


def test_jumps_reach_their_labels() -> None:
    a = Assembler()
    a.label("top")
    a.when(R0, "==", 0, "end")
    a.jump("top")
    a.label("end")
    a.leave()
    octets = a.code()
    assert octets[:8].hex() == "1500010000000000"
    assert octets[8:16].hex() == "0500feff00000000"
