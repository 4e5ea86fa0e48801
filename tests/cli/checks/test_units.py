from __future__ import annotations

import pytest

from relay_shell.cli.checks.units import judge

SOCKET = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "FragmentPath": "/usr/lib/systemd/system/relay-shell.socket",
    "DropInPaths": "",
    "NeedDaemonReload": "no",
    "TriggerLimitIntervalUSec": "0",
}
BROKER = {
    **SOCKET,
    "UnitFileState": "static",
    "FragmentPath": "/usr/lib/systemd/system/relay-shell.service",
    "LogRateLimitIntervalUSec": "1s",
    "LogRateLimitBurst": "1000000",
}


def found(unit, properties, **changes):
    return [(f.status, f.reason) for f in judge(unit, properties | changes)]


def test_units_as_shipped_are_ok():
    assert found("relay-shell.socket", SOCKET) == [("ok", "enabled, active")]
    assert found("relay-shell.service", BROKER) == [("ok", "static, active")]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"LoadState": "not-found"}, "fail", "not loaded (not-found)"),
        ({"LoadState": "masked"}, "fail", "not loaded (masked)"),
        (
            {"FragmentPath": "/etc/systemd/system/relay-shell.socket"},
            "fail",
            "replaced by /etc/systemd/system/relay-shell.socket",
        ),
        (
            {"DropInPaths": "/etc/systemd/system/relay-shell.socket.d/override.conf"},
            "warn",
            "overridden by /etc/systemd/system/relay-shell.socket.d/override.conf",
        ),
        ({"DropInPaths": "/run/systemd/system.control/x.d/50-MemoryMax.conf"}, "warn", None),
        ({"NeedDaemonReload": "yes"}, "warn", "changed on disk since it was loaded"),
        ({"ActiveState": "failed"}, "fail", "failed"),
        (
            {"ActiveState": "activating", "SubState": "auto-restart"},
            "fail",
            "fails, and is started again and again",
        ),
        ({"ActiveState": "inactive"}, "warn", "does not listen (inactive)"),
        (
            {"UnitFileState": "disabled"},
            "warn",
            "listens, but not after the next start of the host",
        ),
        ({"TriggerLimitIntervalUSec": "2s"}, "fail", None),
    ],
)
def test_drift_of_a_socket(changes, status, reason):
    ((found_status, found_reason),) = found("relay-shell.socket", SOCKET, **changes)
    assert found_status == status
    assert reason in (None, found_reason)


@pytest.mark.parametrize(
    ("interval", "burst"), [("0", "0"), ("0", "1000000"), ("30s", "10000"), ("1s", "")]
)
def test_a_journal_limit_that_would_drop_records_is_a_failure(interval, burst):
    changes = {"LogRateLimitIntervalUSec": interval, "LogRateLimitBurst": burst}
    ((status, reason),) = found("relay-shell.service", BROKER, **changes)
    assert status == "fail"
    assert "would be dropped silently" in reason


def test_vendor_drop_ins_and_the_posture_are_no_drift():
    paths = (
        "/usr/lib/systemd/system/service.d/10-vendor.conf "
        "/etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"
    )
    properties = {**BROKER, "DropInPaths": paths}
    assert found("relay-shell-worker@.service", properties)[0][0] == "ok"


def test_each_drift_of_one_unit_is_named():
    changes = {"NeedDaemonReload": "yes", "ActiveState": "failed"}
    assert [s for s, _ in found("relay-shell.socket", SOCKET, **changes)] == ["warn", "fail"]
