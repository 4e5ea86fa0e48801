"""Records a second that file and journal take from eight connections, for a minute, without loss.

    python -m bench.sustained [--seconds N]

Boots a Debian 13 with the package as it is installed, its journald, units and sandboxes; the
workers begin and end calls without running any. Exit status 1 if a record is missing anywhere.
Needs root and systemd-nspawn, and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In place of this directory, where a module of this name would hide the package of helpers.
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]

from appliance import package  # noqa: E402
from appliance.machine import Machine  # noqa: E402
from appliance.sustained import CONNECTIONS, Found, flood  # noqa: E402


def show(found: Found) -> bool:
    """Print the figures; whether nothing is missing."""
    records = sum(found.events.values())
    calls = found.events["outcome"]
    failures = [
        f"{row['kind']} ({row['detail']})" for row in found.verified["findings"] if row["fails"]
    ]
    lost = found.evidence["journal"]["lost"] + found.evidence["lost"]
    whole = not failures and not lost and not found.suppressed and found.journal >= records
    print(f"{CONNECTIONS} connections, {found.seconds:.1f} s: {records} records, {calls} calls")
    print(f"{found.rate:.0f} records/s in file and journal (budget 2000)")
    print(f"journal: {found.journal} records, {lost} lost, {len(found.suppressed)} suppressions")
    print(f"verified against the journal: {', '.join(failures) or 'whole'}")
    print(f"memory of the broker: {found.before >> 20} MiB before, {found.most >> 20} at most")
    evidence = found.evidence
    print(
        f"{evidence['syncs']} syncs of at most {evidence['largest_batch']} calls, "
        f"the slowest {evidence['slowest_sync_ms']} ms"
    )
    print(
        f"processor time a call: broker {found.cpu / calls * 1e3:.2f} ms, "
        f"journald {found.journald_cpu / calls * 1e3:.2f} ms"
    )
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    with Machine(package.installed()) as machine:
        machine.add_user("agent", "relay-shell-access")
        machine.run("systemctl", "enable", "--now", "relay-shell.socket")
        return 0 if show(flood(machine, seconds=args.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
