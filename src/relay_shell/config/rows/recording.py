"""Recordings of sessions."""

from __future__ import annotations

from ..setting import BROKER, KIB, MIB, WORKER, Setting, choice, integer

ROWS: tuple[Setting, ...] = (
    choice(
        "recording.mode",
        ("metadata", "off", "output", "full"),
        (BROKER,),
        True,
        "What is kept of the sessions that start from now on. off: what the session's own calls "
        "say. metadata: also title, size and counts, in the record. output: a recording of the "
        "screen. full: with what was typed, masked at password prompts. access.toml gives another "
        "by identity.",
    ),
    choice(
        "recording.on_failure",
        ("refuse", "continue"),
        (BROKER,),
        True,
        "What to do while no recording can be written. refuse: no session that must be recorded "
        "starts. continue: it starts without, and the record says so. A session that runs already "
        "goes on in both cases, with the gap marked in its recording.",
    ),
    integer(
        "recording.session_bytes",
        64 * MIB,
        64 * KIB,
        16 * 1024 * MIB,
        "bytes",
        (BROKER,),
        "Longest recording of one session; output beyond is counted, not kept.",
    ),
    integer(
        "recording.total_bytes",
        4096 * MIB,
        MIB,
        2**50,
        "bytes",
        (BROKER,),
        "Space for all recordings; the oldest of the principal that uses most make room.",
    ),
    integer(
        "recording.free_bytes",
        256 * MIB,
        0,
        2**50,
        "bytes",
        (BROKER,),
        "Free space of the file system that recordings leave to the record of the calls.",
    ),
    integer(
        "recording.days",
        90,
        0,
        36500,
        "days",
        (BROKER,),
        "A recording older than this is removed, which is recorded; 0 never.",
    ),
    integer(
        "recording.digest_seconds",
        60,
        1,
        86400,
        "s",
        (BROKER,),
        "Time after which the digest of a recording that grew is recorded, so that a cut shows.",
    ),
    integer(
        "recording.wait",
        2,
        0,
        60,
        "s",
        (WORKER,),
        "How long a session is held up that writes faster than it can be recorded; then a gap is "
        "marked.",
    ),
)
