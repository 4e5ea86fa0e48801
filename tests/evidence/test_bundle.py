"""Bundles: what they prove, and every way in which they can be tampered with, each named."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.bundles import Host, content, pack
from relay_shell.evidence.bundle import MANIFEST, RECORDS, SEAL, SUMS
from relay_shell.evidence.select import Span, choose
from relay_shell.evidence.signing import Keys, Signer, generate
from relay_shell.evidence.unbundle import KINDS, verify
from relay_shell.evidence.verifytext import VERIFY


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


@pytest.fixture
def bundle(host: Host, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.tar.gz"
    host.bundle(path, principal="unix:bob")
    return path


def kinds(bundle: Path, keys: Keys | None) -> list[str]:
    return [finding.kind for finding in verify(bundle, keys).findings]


def test_a_bundle_proves_what_was_chosen(host: Host, bundle: Path) -> None:
    report = verify(bundle, host.keys)
    assert report.findings == []
    assert (report.records, report.complete) == (20, True)
    assert report.checkpoints > 5 and report.export and report.export["principal"] == "unix:olga"
    members = content(bundle)
    chosen = [json.loads(line) for line in members[RECORDS].split(b"\n") if line]
    assert {record["principal"] for record in chosen} == {"unix:bob"}
    manifest = json.loads(members[MANIFEST])
    assert manifest["records"] == len(chosen) == 20
    assert manifest["settings"][0]["event"] == "start"


def test_the_same_bytes_again(host: Host, tmp_path: Path) -> None:
    for name in ("a", "b"):
        host.bundle(tmp_path / name, call_id="k-3")
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    assert {**first, SEAL: b""} == {**second, SEAL: b""}
    assert first[SEAL] != second[SEAL]


def test_spans(host: Host, tmp_path: Path) -> None:
    """From a checkpoint to a checkpoint, or from each record to the next checkpoint alone."""
    whole = choose(host.path, {"call_id": "k-20"}, "whole")
    (span,) = whole.spans
    assert span.first < whole.first <= whole.last < span.last and span.last - span.first <= 20
    shortest = choose(host.path, {"principal": "unix:bob"}, "inclusion")
    assert len(shortest.spans) > 1 and shortest.spans[0].first == shortest.first
    assert sum(span.last - span.first for span in shortest.spans) < host.writer.seq
    host.bundle(tmp_path / "a", "inclusion", call_id="k-39")
    report = verify(tmp_path / "a", host.keys)
    assert report.findings == [] and not report.complete
    assert choose(host.path, {"call_id": "none"}, "whole").chosen == 0
    assert Span(1, 2) < Span(1, 3)


def test_time_bounds_are_covered(host: Host, tmp_path: Path) -> None:
    """All of the time asked for lies in the span, also where nothing was chosen."""
    first, *_, last = (json.loads(line) for line in host.path.read_bytes().split(b"\n") if line)
    wanted = {"since": first["ts"], "until": last["ts"], "call_id": "k-30"}
    choice = choose(host.path, wanted, "whole")
    assert choice.spans[0].first <= first["seq"] and choice.spans[0].last >= last["seq"]


def test_without_the_hosts_key_nothing_is_proven(host: Host, bundle: Path) -> None:
    assert kinds(bundle, None) == ["untrusted"]
    pem = generate()
    other = Keys([Signer(lambda: pem).public_pem()])
    assert set(kinds(bundle, other)) == {"unknown-key", "unsealed"}


def replace(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return change


def without(pattern: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        for name in [name for name in members if re.fullmatch(pattern, name)]:
            del members[name]

    return change


def the_chain(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("chain/"))


def in_chain(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[dict[str, bytes]], None]:
    """A change of lines, with every digest of the bundle made to fit, as a forger would."""

    def apply(members: dict[str, bytes]) -> None:
        name = the_chain(members)
        kept = change(members[name].split(b"\n")[:-1])
        members[name] = b"".join(line + b"\n" for line in kept)
        resum(members)

    return apply


def resum(members: dict[str, bytes]) -> None:
    import hashlib

    manifest = json.loads(members[MANIFEST])
    for name in manifest["members"]:
        manifest["members"][name]["sha256"] = hashlib.sha256(members[name]).hexdigest()
    members[MANIFEST] = json.dumps(manifest).encode()
    names = sorted(name for name in members if name not in (SUMS, SEAL))
    members[SUMS] = "".join(
        f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in names
    ).encode()


def edit(at: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda rows: [*rows[:at], rows[at].replace(b"k-", b"j-"), *rows[at + 1 :]]


def drop_chosen(members: dict[str, bytes]) -> None:
    members[RECORDS] = b"".join(members[RECORDS].split(b"\n")[0:1]) + b"\n"
    resum(members)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (replace("VERIFY.txt", b"THIS", b"THAT"), "changed"),
        (replace(RECORDS, b"unix:bob", b"unix:eve"), "changed"),
        (replace(SUMS, b"  VERIFY", b"  verify"), "absent"),
        (replace(MANIFEST, b'"whole"', b'"inclusion"'), "changed"),
        (replace(SEAL, b"unix:olga", b"unix:eve"), "edited"),
        (without("VERIFY.txt"), "absent"),
        (without("chain/.*"), "absent"),
        (without(RECORDS), "absent"),
        (without(SUMS), "format"),
        (without(MANIFEST), "format"),
        (lambda members: members.update({"extra.txt": b"x"}), "extra"),
        (lambda members: members.update({"recordings/x.cast": b"x"}), "extra"),
        (in_chain(edit(3)), "edited"),
        (in_chain(lambda rows: rows[:4] + rows[5:]), "chain"),
        (in_chain(lambda rows: [*rows[:4], rows[5], rows[4], *rows[6:]]), "chain"),
        (in_chain(lambda rows: rows[1:]), "chain"),
        (in_chain(lambda rows: rows[:-1]), "chain"),
        (in_chain(lambda rows: [*rows, rows[-1]]), "chain"),
        (drop_chosen, "chosen"),
        (lambda members: resum(members), "seal"),
        (replace(MANIFEST, b'"filters": {', b'"filters": {"nonsense": "x", '), "format"),
        (replace(MANIFEST, b'"file": "chain/', b'"file": "../chain/'), "format"),
        (replace(MANIFEST, b'"settings": [', b'"settings": 7, "x": ['), "changed"),
        (lambda members: members.update({MANIFEST: b"[" * 100_000}), "format"),
    ],
)
def test_tampering_is_named(
    host: Host,
    bundle: Path,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], Any],
    expected: str,
) -> None:
    members = content(bundle)
    change(members)
    forged = tmp_path / "forged.tar.gz"
    pack(forged, members)
    found = verify(forged, host.keys).findings
    failed = [finding for finding in found if finding.fails]
    assert failed and failed[0].kind == expected, found


def test_a_bundle_of_another_hosts_records(host: Host, tmp_path: Path) -> None:
    """All of it made up, with a key of the forger's: only the key says so."""
    (tmp_path / "forger").mkdir()
    forger = Host(tmp_path / "forger")
    forger.bundle(tmp_path / "made-up", principal="unix:bob")
    assert kinds(tmp_path / "made-up", forger.keys) == []
    assert kinds(tmp_path / "made-up", None) == ["untrusted"]
    assert set(kinds(tmp_path / "made-up", host.keys)) == {"unknown-key", "unsealed"}


def test_an_unsealed_end_is_said(host: Host, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    other = Host(tmp_path / "open", every=1000, calls=4)
    other.writer.append_now({"event": "intent", "call_id": "k-last"})
    choice = other.bundle(tmp_path / "a", call_id="k-last")
    assert not choice.sealed
    assert kinds(tmp_path / "a", other.keys) == ["unsealed"]


def test_members_twice_and_no_bundle(host: Host, bundle: Path, tmp_path: Path) -> None:
    members = content(bundle)
    forged = tmp_path / "twice"
    pack(forged, iter([*members.items(), ("VERIFY.txt", b"other")]))
    assert kinds(forged, host.keys)[0] == "format"
    forged.write_bytes(b"")
    assert kinds(forged, host.keys) == ["format"]
    assert set(KINDS) >= {"format"}


# ---- with common tools -----------------------------------------------------------------------


def steps() -> list[str]:
    """The commands of VERIFY.txt: its indented lines, a script for each step."""
    text = VERIFY.partition("WITHOUT IT")[2]
    found = re.split(r"^[1-9]\. ", text, flags=re.MULTILINE)[1:]
    return [
        "\n".join(line[4:] for line in step.splitlines() if line.startswith("    ") or not line)
        for step in found
    ]


def by_hand(bundle: Path, key: Path, directory: Path) -> str:
    directory.mkdir()
    subprocess.run(["tar", "-xzf", bundle, "-C", directory], check=True)
    said = ""
    for step in steps():
        done = subprocess.run(
            ["sh", "-c", step],
            cwd=directory / "relay-shell-evidence",
            env={**os.environ, "KEY": str(key), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said += done.stdout + done.stderr
        if done.returncode:
            said += "BAD\n"
    return said


def test_sha256sum_python_and_openssl_suffice(host: Host, bundle: Path, tmp_path: Path) -> None:
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout
    if not version.startswith("OpenSSL 3"):
        pytest.skip("openssl before 3.0 cannot check Ed25519 from a file")
    key = host.path.parent / "evidence.pub"
    assert len(steps()) == 3
    said = by_hand(bundle, key, tmp_path / "good")
    report = verify(bundle, host.keys)
    assert "BAD" not in said and "FAILED" not in said, said
    assert f"{report.lines} records follow each other, 20 of them chosen" in said
    assert said.count("Signature Verified Successfully") == report.checkpoints
    forged = tmp_path / "forged.tar.gz"
    for number, change in enumerate(
        [
            replace("VERIFY.txt", b"THIS", b"THAT"),
            in_chain(edit(3)),
            in_chain(lambda rows: rows[:4] + rows[5:]),
            drop_chosen,
            lambda members: members.update({"extra.txt": b"x"}),
        ]
    ):
        members = content(bundle)
        change(members)
        pack(forged, members)
        said = by_hand(forged, key, tmp_path / f"bad{number}")
        assert "BAD" in said or "FAILED" in said or "differ" in said, (number, said)
    (tmp_path / "other").mkdir()
    other = Host(tmp_path / "other", calls=2)
    said = by_hand(bundle, other.path.parent / "evidence.pub", tmp_path / "wrong")
    assert "Verified Successfully" not in said and "BAD" in said
