"""Figures for Prometheus, against a real broker."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from broker.office import story
from relay_shell import __version__
from relay_shell.broker.tally import BOUNDS
from relay_shell.cli import metrics
from relay_shell.wire.errors import RelayError

from .desk import run

SERIES = re.compile(
    r'(relay_shell_[a-z0-9_]+)((?:\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="[^"]*")*\})?)'
    r" (-?[0-9.]+(?:e[+-][0-9]+)?)"
)


def parse(text: str) -> dict[str, float]:
    """A text in the exposition format 0.0.4, strictly; the values by series."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    family = ""
    helped = set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family, _, said = line[7:].partition(" ")
            assert said and family not in helped, line
            helped.add(family)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == family and kind in ("gauge", "counter", "histogram")
            assert name not in kinds
            assert (kind == "counter") == name.endswith("_total"), line
            kinds[name] = kind
        else:
            match = SERIES.fullmatch(line)
            assert match, line
            # The samples of a family stand together, after its HELP and TYPE.
            suffix = match[1].removeprefix(family)
            histogram = kinds[family] == "histogram"
            assert suffix in (("_bucket", "_sum", "_count") if histogram else ("",)), line
            assert match[1] + match[2] not in found, line
            found[match[1] + match[2]] = float(match[3])
    return found


def test_metrics_count_what_the_broker_did(tmp_path):
    async def tell(office):
        _, worker = await office.at_work()
        await worker.begin("k-1", "sleep 60")
        await worker.begin("k-2", "df")
        await worker.end("k-2", "ok")
        await run(office, "freeze", "--tier", "3", "--reason", "quiet hours")
        with pytest.raises(RelayError, match="Frozen"):
            await worker.begin("k-3", "rm -rf /srv/x")
        done = await run(office, "metrics")
        assert (done.status, done.err) == (0, "")
        found = parse(done.out)
        expected = {
            "up": 1,
            f'build_info{{version="{__version__}"}}': 1,
            'mode{mode="open"}': 1,
            'mode{mode="readonly"}': 0,
            "connections": 1,
            "connections_total": 1,
            "workers": 1,
            "calls": 1,
            "calls_total": 2,
            "denials_total": 1,
            'verdicts_total{tool="shell_exec",tier="0",verdict="allow"}': 2,
            'verdicts_total{tool="shell_exec",tier="3",verdict="Frozen"}': None,
            'verdicts_total{tool="shell_exec",tier="-1",verdict="Frozen"}': 1,
            'verdicts_total{tool="other",tier="-1",verdict="Denied"}': None,
            'verdict_seconds_bucket{le="+Inf"}': 3,
            "verdict_seconds_count": 3,
            'ended_calls_total{status="ok"}': 1,
            "recordings": 0,
            "recordings_ok": 1,
            "needs_restart": 0,
            'freezes{scope="tier"}': 1,
            'freezes{scope="all"}': 0,
            'evidence_state{state="ok"}': 1,
            'evidence_state{state="no_space"}': 0,
            'records_total{event="outcome"}': 1,
            "record_torn_total": 0,
            "journal_lost_total": None,
            "verify_whole": None,
        }
        assert {name: found.get(f"relay_shell_{name}") for name in expected} == expected
        assert found["relay_shell_record_last_seq"] > 5
        counts = [n for name, n in found.items() if "verdict_seconds_bucket" in name]
        assert len(counts) == len(BOUNDS) + 1 and counts == sorted(counts)
        assert 0 < found["relay_shell_verdict_seconds_sum"] < 60
        # One table: the same series in the answer for scripts.
        status = json.loads((await run(office, "status", "--json")).out)
        assert set(status["metrics"]) == set(found)
        assert status["metrics"]["relay_shell_calls_total"] == 2

    story(tmp_path, tell)


def test_the_textfile_is_replaced_as_a_whole(tmp_path):
    place = tmp_path / "node-exporter"
    place.mkdir()
    (place / "relay-shell.prom").write_text("old")

    async def tell(office):
        done = await run(office, "metrics", "--textfile", str(place))
        assert (done.status, done.out, done.err) == (0, "", "")

    story(tmp_path, tell)
    (file,) = place.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert parse(file.read_text())["relay_shell_up"] == 1


def test_a_broker_that_does_not_answer_is_a_figure_too(cli, tmp_path):
    socket = str(tmp_path / "none.sock")
    done = cli("metrics", "--socket", socket)
    assert done.status == 69 and "no operator socket" in done.err
    assert parse(done.out) == {"relay_shell_up": 0}
    done = cli("metrics", "--socket", socket, "--textfile", str(tmp_path))
    assert done.status == 69 and done.out == ""
    assert parse((tmp_path / "relay-shell.prom").read_text()) == {"relay_shell_up": 0}


def test_a_directory_that_is_not_there_is_not_made(cli, tmp_path):
    socket, place = str(tmp_path / "none.sock"), tmp_path / "node-exportr"
    done = cli("metrics", "--socket", socket, "--textfile", str(place))
    assert (done.status, done.out) == (66, "")
    assert done.err.splitlines()[0] == f"relay-shell: {place} is no directory"
    assert not place.exists()


def test_where_the_textfile_goes(tmp_path):
    there = tmp_path / "textfile"
    assert metrics.directory((str(there),)) == metrics.OWN
    there.mkdir()
    assert metrics.directory((str(tmp_path / "none"), str(there))) == str(there)


def test_every_metric_has_a_name_that_prometheus_takes():
    names = [row.name for row in metrics.METRICS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    full = json.loads((Path(__file__).parent / "status.json").read_text())
    found = parse(metrics.exposition(full))
    present = {re.match(r"relay_shell_([a-z0-9_]+)", name)[1] for name in found}
    buckets = {f"verdict_seconds_{part}" for part in ("bucket", "sum", "count")}
    assert present == set(names) - {"verdict_seconds"} | buckets
    assert found["relay_shell_verify_whole"] == 0
    assert found["relay_shell_verify_duration_seconds"] == 1.5


def test_labels_are_escaped():
    assert metrics._labels({"version": 'a"b\\c\nd'}) == r'{version="a\"b\\c\nd"}'
