"""`relay-shell evidence` beside a real broker: who exports what is in the record itself."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.office import Office, story
from evidence.bundles import Host, content
from relay_shell.cli.evidence import BUNDLE_STATUS
from relay_shell.evidence.keyfile import PUBLIC, publish
from relay_shell.evidence.signing import Signer, generate
from relay_shell.evidence.unbundle import KINDS, NOTES

from .conftest import write
from .desk import run

Cli = Callable[..., Any]


def sign(office: Office) -> None:
    """Give the broker a key, as its service is given one."""
    pem = generate()
    office.broker.state.trail.writer.seals.signer = Signer(lambda: pem)
    office.broker.state.trail.writer.seals.fault = ""
    publish(Path(office.settings["paths.audit"]).parent / PUBLIC, Signer(lambda: pem))


def test_every_failure_has_a_status_of_its_own() -> None:
    assert set(BUNDLE_STATUS) == set(KINDS) - NOTES
    assert len(set(BUNDLE_STATUS.values())) == len(BUNDLE_STATUS)


def test_an_export_is_recorded_and_signed(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        sign(office)
        _, worker = await office.at_work()
        await worker.begin("k-1", "echo secret=1")
        await worker.ask("end", {"call": "k-1", "status": "ok", "duration_ms": 1})
        target = str(tmp_path / "b.tar.gz")
        done = await run(
            office, "evidence", "export", "--call", "k-1", "--output", target, "--json"
        )
        assert done.status == 0, done.err
        facts = json.loads(done.out)
        assert facts["records"] == 2 and facts["sealed"] and facts["recorded"]
        assert stat.S_IMODE(Path(target).stat().st_mode) == 0o600
        (record,) = office.records("export")
        sums = content(Path(target))["MANIFEST.sha256"]
        assert record["facts"]["manifest"] == hashlib.sha256(sums).hexdigest()
        assert record["facts"]["filters"] == {"call": "k-1"} and record["principal"]
        checked = await run(office, "evidence", "verify", target)
        assert checked.status == 0 and "proven" in checked.out, checked.out
        assert "the settings in it" in checked.out
        again = await run(office, "evidence", "export", "--output", target)
        assert again.status == 64 and "there already" in again.err
        members = content(Path(target))
        assert "config/settings.json" in members and "keys/evidence.pub" in members
        whole = str(tmp_path / "whole.tar.gz")
        done = await run(office, "evidence", "export", "--output", whole)
        assert done.status == 0, done.err
        assert (await run(office, "evidence", "verify", whole)).status == 0

    story(tmp_path, tell)


def test_who_is_asked_to_record_must_answer(tmp_path: Path) -> None:
    async def tell(office: Office) -> None:
        operator = await office.operator()
        body = {"manifest": "x", "records": 1, "first": 1, "last": 1, "filters": {}}
        assert "no SHA-256" in await operator.refused("export", body)
        filters = {"call": "k-1", "nonsense": "x", "since": 7}
        reply = await operator.ask("export", {**body, "manifest": "a" * 64, "filters": filters})
        assert reply["signed"] is False
        assert office.records("export")[0]["facts"]["filters"] == {"call": "k-1"}
        none = await run(office, "evidence", "export", "--call", "k-none")
        assert none.status == 66 and "no record" in none.err

    story(tmp_path, tell)


def test_no_broker_no_export_unless_told(cli: Cli, audit: Path, tmp_path: Path) -> None:
    env = {
        "RELAY_SHELL_PATHS_AUDIT": str(audit),
        "RELAY_SHELL_PATHS_OPERATOR": str(tmp_path / "none.sock"),
    }
    target = str(tmp_path / "b.tar.gz")
    refused = cli("evidence", "export", "--output", target, env=env)
    assert refused.status == 69 and "--offline" in refused.err
    assert not Path(target).exists()
    done = cli("evidence", "export", "--output", target, "--offline", env=env)
    assert done.status == 0 and "no checkpoint covers" in done.err
    found = json.loads(cli("evidence", "verify", target, "--json", env=env).out)
    assert [row["kind"] for row in found["findings"]] == [
        "unsealed",
        "unrecorded",
        "untrusted",
        "settings",
    ]
    assert found["status"] == BUNDLE_STATUS["unsealed"]


def test_of_another_hosts_files(cli: Cli, tmp_path: Path) -> None:
    host = Host(tmp_path)
    bundle, key = tmp_path / "b.tar.gz", tmp_path / PUBLIC
    words = ("evidence", "export", "--file", str(host.path), "--principal", "bob")
    done = cli(*words, "--inclusion", "--output", str(bundle))
    assert done.status == 0, done.err
    checked = cli("evidence", "verify", str(bundle), "--key", str(key))
    assert checked.status == 0, checked.out
    assert "others may be left out" in checked.out and "no broker recorded" in checked.out
    other = cli("evidence", "verify", str(bundle))
    assert other.status == BUNDLE_STATUS["untrusted"]
    bundle.write_bytes(bundle.read_bytes()[:-50])
    damaged = cli("evidence", "verify", str(bundle), "--key", str(key))
    assert damaged.status == BUNDLE_STATUS["format"]


def test_recordings_come_along_and_no_other_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    month = tmp_path / "recordings" / "2026-01"
    month.mkdir(parents=True)
    data = b'{"version": 2}\n[1, "o", "x"]\n'
    good = month / "20260131T120000Z_alice_s1.k3v7ma2q.cast"
    good.write_bytes(data + b"later")
    changed = month / "20260131T120001Z_alice_s2.k3v7ma2q.cast"
    changed.write_bytes(b"z" * len(data))
    (tmp_path / "secret").write_bytes(data)
    (link := month / "20260131T120002Z_alice_s3.k3v7ma2q.cast").symlink_to(tmp_path / "secret")

    def session(where: Path, principal: str) -> dict[str, Any]:
        told = {"path": str(where), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        facts = {"recording": told}
        return {"event": "session", "principal": principal, "what": "ended", "facts": facts}

    write(path, session(good, "unix:a"), session(changed, "unix:b"))
    write(path, session(link, "unix:c"), session(Path("/etc/passwd"), "unix:d"))

    def export(name: str, *words: str) -> tuple[dict[str, bytes], list[str]]:
        bundle = tmp_path / f"{name}.tar.gz"
        done = cli("evidence", "export", "--file", str(path), "--principal", name,
                   "--output", str(bundle), *words)  # fmt: skip
        assert done.status == 0, done.err
        rows = json.loads(cli("evidence", "verify", str(bundle), "--json").out)["findings"]
        members = content(bundle)
        recordings = {k: v for k, v in members.items() if k.startswith("recordings/")}
        return recordings, [row["kind"] for row in rows if row["kind"] == "recording"]

    assert export("a") == ({f"recordings/{good.name}": data}, [])
    assert export("b")[1] == ["recording"]
    assert export("c") == ({}, []) and export("d") == ({}, [])
    missing = json.loads(content(tmp_path / "c.tar.gz")["MANIFEST.json"])["recordings_missing"]
    assert "not among the recordings" in missing[0]["reason"]
    Path(tmp_path / "a.tar.gz").unlink()
    assert export("a", "--no-recordings") == ({}, [])
