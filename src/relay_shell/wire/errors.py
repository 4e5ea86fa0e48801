"""The closed error vocabulary: every failure that a client, an operator or a script can meet.

An error has a stable kind, a message template, the next step for whoever reads it, and the exit
status that a command-line verb ends with. Exit statuses follow sysexits(3) where one fits.
"""

from __future__ import annotations

from typing import NamedTuple


class ErrorKind(NamedTuple):
    """One row of the vocabulary; `message` and `next_step` are str.format templates."""

    message: str
    next_step: str
    exit_status: int


KINDS: dict[str, ErrorKind] = {
    "Denied": ErrorKind(
        "{reason}",
        "Ask the operator for an allow rule or another mode; policy_explain shows what decided.",
        77,
    ),
    "Frozen": ErrorKind(
        "frozen by the operator: {reason}",
        "Wait until the operator runs 'relay-shell unfreeze'.",
        77,
    ),
    "InvalidArguments": ErrorKind(
        "{reason}", "Correct the arguments; the tool's inputSchema describes them.", 64
    ),
    "UnknownTool": ErrorKind(
        "no tool named {tool!r}", "Call tools/list for the tools you may use.", 64
    ),
    "NotFound": ErrorKind("{reason}", "List what exists first; handles expire when idle.", 66),
    "Busy": ErrorKind("{reason}", "Wait for a running call to end, then repeat this one.", 75),
    "OverBudget": ErrorKind(
        "over the budget of {what}; retry after {seconds} s",
        "Wait as long as retry_after says; calling earlier changes nothing.",
        75,
    ),
    "ResultGone": ErrorKind(
        "{reason}",
        "Nothing was run again. Look at what the first call did, or use another idempotency_key.",
        66,
    ),
    "Timeout": ErrorKind(
        "no end within {seconds} s", "Raise timeout, or use shell_spawn for long work.", 75
    ),
    "Cancelled": ErrorKind("cancelled: {reason}", "Repeat the call if it is still wanted.", 75),
    "Spawn": ErrorKind(
        "cannot start {program!r}: {reason}", "Check the name, the path and its permissions.", 66
    ),
    "Enforcement": ErrorKind(
        "cannot confine the command: {reason}",
        "The kernel lacks what read-only needs; 'relay-shell doctor' names it.",
        69,
    ),
    "Unreachable": ErrorKind(
        "cannot reach {host}: {reason}",
        "ssh_check tries the way alone. Operator: address, port and jump in the inventory.",
        69,
    ),
    "HostKey": ErrorKind(
        "{reason}",
        "Operator: compare the fingerprint with the host's own, then 'relay-shell ssh trust HOST'.",
        76,
    ),
    "HostAuth": ErrorKind(
        "{reason}",
        "Operator: keys are in /etc/relay-shell/keys; their public halves belong in"
        " authorized_keys on the host.",
        77,
    ),
    "HostLost": ErrorKind(
        "the connection to {host} ended during the call ({reason})",
        "What the command did until then stands, and it may run on; check before you repeat it.",
        70,
    ),
    "BrokerUnavailable": ErrorKind(
        "the broker cannot be reached ({reason}); nothing ran",
        "Operator: 'systemctl status relay-shell' and 'journalctl -u relay-shell'.",
        69,
    ),
    "EvidenceUnavailable": ErrorKind(
        "the audit record cannot be written ({reason}); nothing ran",
        "Operator: free space or repair /var/log/relay-shell; 'relay-shell doctor' says why.",
        69,
    ),
    "CollectorUnavailable": ErrorKind(
        "the collector does not acknowledge the record ({reason}); nothing ran",
        "Operator: 'relay-shell forward status' says how far it is (evidence.remote_ack).",
        75,
    ),
    "WorkerUnavailable": ErrorKind(
        "no worker could be started ({reason}); nothing ran",
        "Operator: 'systemctl status relay-shell-worker.socket' and the worker's journal.",
        69,
    ),
    "WorkerLost": ErrorKind(
        "the worker ended during the call ({reason})",
        "What the command did until then stands; check its effect before you repeat it.",
        70,
    ),
    "Protocol": ErrorKind(
        "{reason}", "This is a defect of relay-shell or of a peer; report it.", 76
    ),
    "VersionMismatch": ErrorKind(
        "peer speaks version {theirs}, this program {ours}",
        "An upgrade is half done: 'systemctl restart relay-shell relay-shell-front'.",
        76,
    ),
    "PermissionDenied": ErrorKind(
        "{reason}", "Join the group named, or run the command as root.", 77
    ),
    "Config": ErrorKind("{reason}", "Correct the file; 'relay-shell config check' tests it.", 78),
    "Unavailable": ErrorKind(
        "{reason}", "Start it: 'systemctl enable --now relay-shell.socket'.", 69
    ),
    "Changed": ErrorKind(
        "not as recorded: {reason}",
        "Keep it as it is, and find out who changed it; --unverified goes on all the same.",
        65,
    ),
    "Internal": ErrorKind(
        "internal error ({reason})", "Report it with the journal of the unit named.", 70
    ),
}


class RelayError(Exception):
    """A failure from the vocabulary.

    Args:
        kind: a key of `KINDS`; anything else is a programming error (KeyError).
        fields: what the templates of that kind name.
    """

    def __init__(self, kind: str, **fields: object) -> None:
        row = KINDS[kind]
        self.kind = kind
        self.fields = fields
        self.message = row.message.format_map(_Fields(fields))
        self.next_step = row.next_step
        self.exit_status = row.exit_status
        self.retry_after: int | None = None
        """Seconds after which the same call may succeed, where that is known."""
        super().__init__(f"{kind}: {self.message}")

    def as_wire(self) -> dict[str, object]:
        """The form that travels in a reply frame."""
        error: dict[str, object] = {"kind": self.kind, "message": self.message}
        if self.retry_after is not None:
            error["retry_after"] = self.retry_after
        return error

    @classmethod
    def from_wire(cls, error: object) -> RelayError:
        """Rebuild an error that a peer sent; an unknown kind becomes Protocol."""
        kind = error.get("kind") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(message, str):
            return cls("Protocol", reason="the peer sent an error outside the vocabulary")
        built = cls(kind)
        built.message = message
        built.args = (f"{kind}: {message}",)
        after = error.get("retry_after") if isinstance(error, dict) else None
        if isinstance(after, int) and not isinstance(after, bool) and 0 <= after <= 2**31:
            built.retry_after = after
        return built


class _Fields(dict[str, object]):
    """format_map source that leaves a missing field visible and never raises while failing."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"
