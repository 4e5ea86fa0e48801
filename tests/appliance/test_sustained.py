"""Records by the thousand from eight connections: each is in the file and in the journal.

`python -m bench.sustained` does it for a minute, and says how many a second there were.
"""

from __future__ import annotations

from appliance.machine import Machine
from appliance.sustained import CONNECTIONS, flood

CALLS = 1000
MEGABYTE = 1 << 20


def test_nothing_is_lost_and_memory_stays_bounded(appliance: Machine) -> None:
    found = flood(appliance, calls=CALLS)
    # Those of the flood, and the one of each client.
    expected = CONNECTIONS * (CALLS + 1)
    assert found.events["intent"] >= expected
    assert found.events["outcome"] == found.events["intent"]
    assert "interrupted" not in found.events
    assert found.verified["findings"] == [] or not any(
        finding["fails"] for finding in found.verified["findings"]
    ), found.verified
    assert found.journal >= sum(found.events.values())
    assert found.suppressed == []
    assert found.evidence["journal"]["lost"] == found.evidence["lost"] == 0
    # Sixteen thousand records are 16 MB: what is kept of them would show.
    assert found.most - found.before < 32 * MEGABYTE
