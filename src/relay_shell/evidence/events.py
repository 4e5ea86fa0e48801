"""The table of events: what can be recorded, under which journal id, and how it reads."""

from __future__ import annotations

from typing import NamedTuple

INFO = 6
NOTICE = 5
WARNING = 4
ERROR = 3
CRITICAL = 2


class Event(NamedTuple):
    """One event.

    `message_id` is its MESSAGE_ID (sd-id128(3)), never to change. `priority` is a level of
    syslog(3): what an agent can cause at will is never above notice, so that no agent can flood
    or forge an alarm. `subject` and `text` are its catalog entry, in which journalctl fills in
    @FIELD@.
    """

    message_id: str
    priority: int
    subject: str
    text: str


EVENTS: dict[str, Event] = {
    "start": Event(
        "6ea396842a0546fd9be1cc3060b017fd",
        INFO,
        "The broker has started",
        "Calls are admitted from here on. Calls that the last broker left without an outcome and\n"
        "whose worker does not return are recorded as interrupted.",
    ),
    "stop": Event(
        "c1bca2405e3948cf98b00223e6edf82c",
        INFO,
        "The broker has stopped",
        "No call is admitted until it starts again.",
    ),
    "config": Event(
        "03d4b9e829c94cad94b9f4d22a7876f0",
        NOTICE,
        "The settings were loaded",
        "Settings were read at start or by 'systemctl reload relay-shell'. A refused reload\n"
        "leaves the earlier settings in force; the error names file and line.",
    ),
    "connect": Event(
        "94568634c5944fe5835c05a5bdb5416f",
        INFO,
        "An agent connected: @RELAY_PRINCIPAL@",
        "The principal is what the kernel says of the client's socket, or what a verified token\n"
        "says. What a client calls itself is in RELAY_CLIENT and proves nothing.",
    ),
    "client": Event(
        "e4975ea4a35b49499f9a2172cd01fbb4",
        INFO,
        "A client introduced itself: @RELAY_CLIENT@",
        "Name, version and protocol are the client's own words.",
    ),
    "disconnect": Event(
        "ace7b85559f345aab21d85e059576efe",
        INFO,
        "An agent disconnected: @RELAY_PRINCIPAL@",
        "Calls that were running for this connection are cancelled and recorded so. Its terminal\n"
        "sessions stay for their idle time.",
    ),
    "refused": Event(
        "55f2987a7aa14536813acc8592d757f7",
        NOTICE,
        "A connection was refused",
        "A peer of one of relay-shell's sockets was not who it had to be, or there were too many.",
    ),
    "worker": Event(
        "8c66205656704190bdee02614a586034",
        INFO,
        "A worker appeared or ended: @RELAY_WORKER@",
        "A worker is the process that runs the commands of one connection:\n"
        "    systemctl list-units 'relay-shell-worker@*'\n"
        "A unit whose status says that it is a spare waits for a connection and is nobody's.\n"
        "RELAY_WHAT outdated: a spare was not used, because its unit changed after its start.",
    ),
    "intent": Event(
        "c7b317c0c2d04f318124af38b5524c26",
        INFO,
        "A call was admitted: @RELAY_TOOL@ for @RELAY_PRINCIPAL@",
        "Written to disk before the call ran. The outcome follows under the same RELAY_CALL_ID:\n"
        "    relay-shell audit show @RELAY_CALL_ID@\n"
        "An intent without outcome or interrupted record is itself a finding.",
    ),
    "deny": Event(
        "b9a22225b79848dba8a830538780f0a7",
        NOTICE,
        "A call was refused: @RELAY_TOOL@ for @RELAY_PRINCIPAL@",
        "Nothing ran. RELAY_REASONS says why.",
    ),
    "replay": Event(
        "7024c386787241db90a82d6e21fd119e",
        INFO,
        "A repeated call was answered from the first: @RELAY_TOOL@ for @RELAY_PRINCIPAL@",
        "It used the idempotency key of the call in RELAY_DETAIL, with the same arguments, and\n"
        "was not executed again.",
    ),
    "outcome": Event(
        "692661c2d41b45c5951e4004096c4268",
        INFO,
        "A call ended: @RELAY_STATUS@",
        "RELAY_SHA256 and RELAY_BYTES are of the whole output, whatever was returned of it.\n"
        "RELAY_SURVIVORS above 0 counts processes of the call that could not be ended.",
    ),
    "interrupted": Event(
        "6bc7ee19a63649b3baa6f8d069e9043f",
        NOTICE,
        "A call has no known outcome: @RELAY_CALL_ID@",
        "The worker or the broker ended during the call. What its command did until then stands;\n"
        "what it did is not known.",
    ),
    "rejected": Event(
        "6eb181f1b5a0459abb0b4746eac8f2f6",
        NOTICE,
        "A message was rejected",
        "A client sent what is no valid call: an unknown tool, arguments that do not fit, or a\n"
        "message that is malformed. Nothing ran.",
    ),
    "observe": Event(
        "ace127d4e0874e3b88995017e2ecb44c",
        INFO,
        "A resource or prompt was read: @RELAY_WHAT@",
        "Reads change nothing; they are recorded because they disclose.",
    ),
    "exec": Event(
        "d85426f7b00844018c1d2774f6a0c7ef",
        INFO,
        "Programs that a call executed, as the kernel saw them",
        "Told by relay-shell-observer.service, in which neither worker nor command has a hand.\n"
        "RELAY_EXECS holds path and arguments, redacted; RELAY_FACTS counts what is not there:\n"
        "    relay-shell audit show @RELAY_CALL_ID@",
    ),
    "observer": Event(
        "7d350443be7e43a8b43fdb457429cf9b",
        NOTICE,
        "The observation of executions began, ended or has a gap: @RELAY_WHAT@",
        "RELAY_OBSERVED of an outcome says whether the call was observed all the time. Without\n"
        "observation calls run as before:\n"
        "    systemctl status relay-shell-observer",
    ),
    "session": Event(
        "57473cde1e7a43d2a340bb68b1461e41",
        INFO,
        "A terminal session changed: @RELAY_WHAT@",
        "RELAY_DETAIL names the session.",
    ),
    "note": Event(
        "07910fa5e6834b4dbe393d2a298c5618",
        INFO,
        "A worker noted: @RELAY_WHAT@",
        "RELAY_FACTS holds what the worker says of its call. It is the worker's word.",
    ),
    "freeze": Event(
        "83df7c68dae4431fa384eacace7de41f",
        NOTICE,
        "An operator froze calls: @RELAY_DETAIL@",
        "Calls in this scope are refused and its sessions ended until 'relay-shell unfreeze'.",
    ),
    "unfreeze": Event(
        "e2e00591654f445dace9a642c7846cab",
        NOTICE,
        "An operator lifted a freeze: @RELAY_DETAIL@",
        "Calls in this scope are judged again as the settings say.",
    ),
    "kill": Event(
        "3ff62ee2cbeb4bc589ca5cffeba28970",
        NOTICE,
        "An operator ended work: @RELAY_DETAIL@",
        "Calls and sessions in this scope were ended with all their processes.",
    ),
    "export": Event(
        "0e594f1e25254cd2ad06787dcd2f41d3",
        NOTICE,
        "An operator exported records as evidence",
        "RELAY_FACTS holds the SHA-256 of the bundle's manifest and which records were chosen.\n"
        "The checkpoint after it signs it:\n"
        "    relay-shell evidence verify BUNDLE",
    ),
    "rotate": Event(
        "caf09354a5c94d37bdf1bb8a1ff2c85d",
        INFO,
        "The record continues in a new file",
        "The chain continues over the seam: RELAY_PREV is the chain value of the last record of\n"
        "the file before.",
    ),
    "budgets": Event(
        "908300cd5f214e3080a602c4984d81b4",
        ERROR,
        "What the budgets held of the last hour was lost",
        "The file that keeps them over a restart was damaged or missing; what was found is kept\n"
        "beside it. Limits of an hour (cpu_seconds, output_bytes) count as reached until an hour\n"
        "has passed. Where that is too long, set them to 0 for as long and reload.",
    ),
    "checkpoint": Event(
        "fb52422f33b845359eb84e20d6b1999b",
        INFO,
        "The record was signed up to here",
        "RELAY_FACTS holds number and chain value of the record before this one, and the Ed25519\n"
        "signature over them. In a copy on another host it pins the record as it was:\n"
        "    relay-shell audit verify --against DIRECTORY",
    ),
    "heartbeat": Event(
        "4d42235fc13b46f8ac1644569b42d054",
        INFO,
        "The broker is alive and had nothing to record",
        "Written after evidence.heartbeat_seconds without any record, so that a longer silence\n"
        "without a stop of the broker is a gap.",
    ),
    "verified": Event(
        "2047fb44d0f0462baee0e99b5ddf159f",
        INFO,
        "The record was verified, and is whole",
        "By relay-shell-verify.service, or by whom RELAY_PRINCIPAL names. RELAY_FACTS says how\n"
        "much was read and what the checkpoints cover.",
    ),
    "verify-failed": Event(
        "a7d1242eb4fb45febcbd7d13ebe8af2a",
        CRITICAL,
        "The record is NOT WHOLE: @RELAY_WHAT@",
        "Records are missing, changed, moved or foreign. Keep the files as they are, and see all\n"
        "that was found, beside the journal and beside a copy on another host:\n"
        "    relay-shell audit verify --journal\n"
        "    relay-shell audit verify --against DIRECTORY",
    ),
    "torn": Event(
        "0f169fc3424a42e291e64fd5e331eadc",
        NOTICE,
        "The record holds bytes that are no record",
        "A write was cut off, by a crash or a full disk, or something else wrote to the file. The\n"
        "bytes are left in place; RELAY_FACTS names their number and SHA-256.",
    ),
    "recovered": Event(
        "c612c64f318a49668060f82b043208a6",
        NOTICE,
        "The record is kept again as it must be: @RELAY_WHAT@",
        "RELAY_FACTS says since when it was not, and how many calls were refused meanwhile. What\n"
        "was recorded late has its own time in RELAY_AT; what was lost is counted in a note.",
    ),
    "unacknowledged": Event(
        "8f76c93cae174e16ad7fb1b0f7071b11",
        NOTICE,
        "The collector did not acknowledge an intent in time",
        "evidence.remote_ack asks for it. RELAY_DECISION says what evidence.remote_ack_policy\n"
        "made of the call: deny, it did not run; allow, it ran without a copy elsewhere:\n"
        "    relay-shell forward status",
    ),
    "acknowledged": Event(
        "cc0e671f7c964a13ba6b10018a942397",
        NOTICE,
        "The collector acknowledges the record again",
        "RELAY_FACTS counts the calls that were refused or marked meanwhile.",
    ),
    "degraded": Event(
        "34e6e0ff443d4de99fbe781d803f4dd0",
        NOTICE,
        "The record is written, but not kept as it must be: @RELAY_WHAT@",
        "journal: journald does not take records; evidence.journal says what happens meanwhile.\n"
        "attribute: the file is not append-only any more, and evidence.attribute lets calls go on.",
    ),
    "trouble": Event(
        "9fe86f07d2b34c648d63d12c15d7d1d9",
        ERROR,
        "The record cannot be written",
        "Calls are refused and nothing runs until it can, unless evidence.disk, evidence.file or\n"
        "evidence.attribute says otherwise. RELAY_ERROR says why:\n"
        "    relay-shell doctor",
    ),
    "journal-lost": Event(
        "7e4172473c36462e9e149a000a2e9d2f",
        WARNING,
        "Records did not reach the journal",
        "journald did not take records for a while and the spool was full. They are in the file;\n"
        "RELAY_FACTS counts them.",
    ),
}
