"""What a result shows of a command's output: what there is room for; the rest is kept."""

from __future__ import annotations

from typing import Protocol

from .capture import Capture
from .completed import Completed
from .outputs import Spill
from .redaction import merged


class Keeper(Protocol):
    """Where what is not shown is kept (`shell.run.Shell`)."""

    def keep(self, streams: dict[str, Spill]) -> str: ...

    def drop(self, spill: Spill) -> None: ...


def sum_up(
    completed: Completed, out: Capture, err: Capture, most: int, keeper: Keeper, keep: bool
) -> None:
    """Enter what two streams carried; both are at their end.

    Args:
        most: octets to show of both together.
        keep: whether somebody will see the result, and so may read more of a long output.
    """
    for capture in (out, err):
        capture.end()
    if out.redacting or err.redacting:
        completed.redactions = merged(out.redactions(), err.redactions())
    completed.bytes = out.total + err.total
    if out.total and err.total:
        completed.sha256 = combined(out.digest(), err.digest())
    else:
        completed.sha256 = (out if out.total else err).sha256()
    rooms = _rooms(out.size, err.size, most)
    completed.stdout, cut_out = out.text(rooms[0])
    completed.stderr, cut_err = err.text(rooms[1])
    completed.truncated = cut_out or cut_err
    spills: dict[str, Spill] = {}
    for name, capture, cut in (("stdout", out, cut_out), ("stderr", err, cut_err)):
        spill = capture.finish(cut and keep)
        if spill is None:
            continue
        if keep:
            spills[name] = spill
        else:
            keeper.drop(spill)
    if spills:
        completed.output = keeper.keep(spills)


def combined(out: bytes, err: bytes) -> str:
    """The digest of an output on two streams, from their digests."""
    from hashlib import sha256

    return sha256(out + err).hexdigest()


def _rooms(out: int, err: int, most: int) -> tuple[int, int]:
    """Share the room of a result: a stream that needs less than half leaves the rest."""
    half = most // 2
    if out + err <= most:
        return out, err
    if out <= half:
        return out, most - out
    if err <= half:
        return most - err, err
    return half, most - half
