"""The last output, by offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay_shell.shell.ring import Ring


@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 60), st.integers(0, 2000))
def test_ring_addresses_by_the_streams_own_offsets(
    chunks: list[bytes], size: int, offset: int
) -> None:
    ring = Ring(size)
    for chunk in chunks:
        ring.append(chunk)
    whole = b"".join(chunks)
    assert ring.end == len(whole)
    assert ring.end - ring.start >= min(size, len(whole))
    assert ring.end - ring.start <= 2 * size
    assert ring.read(offset) == whole[max(offset, ring.start) :]
    assert ring.read(offset, 7) == whole[max(offset, ring.start) :][:7]
