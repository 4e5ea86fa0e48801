"""The record and what seals it."""

from __future__ import annotations

from ..setting import BROKER, KIB, MIB, OBSERVER, Setting, choice, integer

POLICIES = ("block", "spool", "continue-and-mark")

ROWS: tuple[Setting, ...] = (
    choice(
        "evidence.journal",
        ("spool", "block", "continue-and-mark", "continue"),
        (BROKER,),
        True,
        "What to do while journald does not take records. spool: keep them in memory up to "
        "spool_bytes, then count what is lost. block: no call runs until journald takes them. "
        "continue-and-mark, or continue: count what is lost, and record how much. The file is "
        "written in every case.",
    ),
    choice(
        "evidence.disk",
        POLICIES,
        (BROKER,),
        True,
        "What to do while the disk does not take records: it is full, read-only or fails. block: "
        "no call runs. spool: calls run while their records fit into spool_bytes of memory. "
        "continue-and-mark: calls run, and what does not fit is counted, and the count recorded. "
        "Without block, whoever can fill the disk can act without a record that lasts; the journal "
        "has each record at once, without a number.",
    ),
    choice(
        "evidence.file",
        POLICIES,
        (BROKER,),
        True,
        "The same while the file is gone, may not be written, or was replaced by one that others "
        "can change.",
    ),
    choice(
        "evidence.attribute",
        POLICIES,
        (BROKER,),
        True,
        "The same once the file has lost its append-only attribute (chattr +a) for two seconds; "
        "continue-and-mark goes on writing to it.",
    ),
    integer(
        "evidence.spool_bytes",
        16 * MIB,
        64 * KIB,
        1024 * MIB,
        "bytes",
        (BROKER,),
        "Memory for records that wait for journald, and as much for those that wait for the disk.",
    ),
    integer(
        "evidence.args_bytes",
        4096,
        256,
        256 * KIB,
        "bytes",
        (BROKER,),
        "Length of the redacted arguments in a record; size and SHA-256 of the full ones are "
        "always there.",
    ),
    choice(
        "evidence.remote_ack",
        ("off", "3", "2", "1", "0"),
        (BROKER,),
        True,
        "Least tier whose calls wait until the collector has their intent; needs 'relay-shell "
        "forward enable'.",
    ),
    integer(
        "evidence.remote_ack_wait",
        10,
        1,
        300,
        "s",
        (BROKER,),
        "How long such a call waits.",
    ),
    choice(
        "evidence.remote_ack_policy",
        ("block", "continue-and-mark"),
        (BROKER,),
        True,
        "What then. block: it is refused. continue-and-mark: it runs, and the record names it.",
    ),
    choice(
        "evidence.observe",
        ("exec", "off"),
        (BROKER, OBSERVER),
        True,
        "exec: what the processes of a call execute is recorded as the kernel sees it, with the "
        "call, by relay-shell-observer.service. A call never waits for it.",
    ),
    integer(
        "evidence.observe_execs",
        256,
        1,
        8192,
        "",
        (BROKER, OBSERVER),
        "Executions of one call that are recorded, and of one session in a minute; the rest is "
        "counted.",
    ),
    integer(
        "evidence.checkpoint_records",
        1000,
        1,
        1_000_000,
        "",
        (BROKER,),
        "Records after which a signed checkpoint is written.",
    ),
    integer(
        "evidence.checkpoint_seconds",
        60,
        1,
        86400,
        "s",
        (BROKER,),
        "Time after which a signed checkpoint covers a new record.",
    ),
    integer(
        "evidence.heartbeat_seconds",
        300,
        0,
        86400,
        "s",
        (BROKER,),
        "A heartbeat is recorded after this long without any record, so that a gap shows; 0 never.",
    ),
)
