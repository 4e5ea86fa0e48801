"""Which lines of the record a bundle of evidence needs, so that what was chosen can be proven.

A chain value is a hash over the whole record before it, so a record that was not chosen cannot be
left out and still be passed over: from a chosen record to the next signed checkpoint every line is
needed as it is. `whole` takes all lines from the checkpoint before to the checkpoint after what was
asked for, which also proves that nothing in between was left out; `inclusion` takes only those from
each chosen record to the next checkpoint.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from .chain import parse
from .files import first_numbers, lines, opened, streams
from .reader import Filter, timestamp

MODES = ("whole", "inclusion")


class Span(NamedTuple):
    """Records that follow each other, by their numbers."""

    first: int
    last: int


class Choice(NamedTuple):
    """What was chosen, and what proves it."""

    chosen: int
    """Records chosen."""
    first: int
    last: int
    spans: list[Span]
    sealed: bool
    """Whether a checkpoint ends each span."""
    settings: list[dict[str, Any]]
    """The records of settings that were in force: the last before the first record chosen, and
    those up to the last."""


def choose(path: str | os.PathLike[str], wanted: Mapping[str, Any], mode: str) -> Choice:
    """Survey the record at `path`.

    Args:
        wanted: see `reader.Filter`.
        mode: one of `MODES`.

    Raises:
        OSError: a file cannot be read.
        ValueError: the filters make no sense.
    """
    test = Filter(wanted)
    since, until = test.since, test.until
    chosen: list[int] = []
    checkpoints: list[int] = []
    settings: list[dict[str, Any]] = []
    bounds: list[int] = []
    lowest = last = 0
    for line, record in _records(Path(path), *opened(Path(path))):
        seq = record["seq"]
        lowest, last = lowest or seq, seq
        ts = str(record.get("ts", ""))
        if ts >= since and (not until or ts <= until):
            bounds = [bounds[0] if bounds else seq, seq]
        event = record.get("event")
        if event == "checkpoint":
            checkpoints.append(seq)
        elif event in ("start", "config") and _hash(record):
            settings = [record] if not chosen else [*settings, record]
        if test.may(line) and test.wants(record):
            chosen.append(seq)
    if not chosen:
        return Choice(0, 0, 0, [], False, [])
    if mode == "whole":
        edge = bounds if since or until else []
        start, end = min([chosen[0], *edge]), max([chosen[-1], *edge])
        spans = [_span(start, end, checkpoints, lowest, last)]
    else:
        spans = _shortest(chosen, checkpoints, last)
    ends = set(checkpoints)
    sealed = all(span.last in ends for span in spans)
    used = [record for record in settings if record["seq"] <= chosen[-1]]
    return Choice(len(chosen), chosen[0], chosen[-1], spans, sealed, used)


def _hash(record: Mapping[str, Any]) -> str:
    facts = record.get("facts")
    return str(facts.get("config_sha256", "")) if isinstance(facts, dict) else ""


def _span(start: int, end: int, checkpoints: list[int], lowest: int, last: int) -> Span:
    before = bisect.bisect_right(checkpoints, start)
    after = bisect.bisect_right(checkpoints, end)
    return Span(
        checkpoints[before - 1] if before else lowest,
        checkpoints[after] if after < len(checkpoints) else last,
    )


def _shortest(chosen: list[int], checkpoints: list[int], last: int) -> list[Span]:
    spans: list[Span] = []
    for seq in chosen:
        after = bisect.bisect_right(checkpoints, seq)
        end = checkpoints[after] if after < len(checkpoints) else last
        if spans and seq <= spans[-1].last + 1:
            spans[-1] = Span(spans[-1].first, max(end, spans[-1].last))
        else:
            spans.append(Span(seq, end))
    return spans


def copy(path: str | os.PathLike[str], spans: list[Span]) -> Iterator[tuple[int, bytes]]:
    """Index of the span and line, with its end, of each record in the spans; what is no record is
    left out."""
    files, active = opened(Path(path))
    firsts = first_numbers(files, Path(path), active)
    needed = [
        file
        for file, first, after in zip(files, firsts, [*firsts[1:], 0], strict=True)
        if first <= spans[-1].last and not 0 < after <= spans[0].first
    ]
    at = 0
    for line, record in _records(Path(path), needed, active):
        seq = record["seq"]
        while at + 1 < len(spans) and seq > spans[at].last:
            at += 1
        if spans[at].first <= seq <= spans[at].last:
            yield at, line + b"\n"


def _records(
    path: Path, files: list[Path], active: IO[bytes] | None
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Line and facts of whatever in the files says that it is a record."""
    for _, stream in streams(files, path, active):
        for line in lines(stream):
            record = parse(line)
            if record is not None and type(record.get("seq")) is int:
                yield line, record


def normal(wanted: Mapping[str, Any]) -> dict[str, str]:
    """The filters as a manifest keeps them: times in the form of `ts`."""
    return {
        name: timestamp(value) if name in ("since", "until") else str(value)
        for name, value in wanted.items()
    }
