"""The tables of facts and events."""

from __future__ import annotations

import re
import subprocess
from uuid import UUID

import jsonschema
import pytest

from relay_shell.evidence import generate
from relay_shell.evidence.events import ERROR, EVENTS, NOTICE
from relay_shell.evidence.reader import iter_records
from relay_shell.evidence.record import FIELDS, check, journal_name
from relay_shell.evidence.writer import Writer


def test_message_ids_are_random_uuids_and_distinct() -> None:
    ids = [event.message_id for event in EVENTS.values()]
    assert len(set(ids)) == len(ids)
    assert all(UUID(ident).version == 4 and UUID(ident).hex == ident for ident in ids)


def test_an_agent_cannot_raise_an_alarm() -> None:
    beyond = [name for name, event in EVENTS.items() if event.priority < NOTICE]
    assert beyond == ["budgets", "verify-failed", "trouble", "journal-lost"]
    assert EVENTS["trouble"].priority == ERROR


def test_what_the_catalog_names_exists() -> None:
    fields = {journal_name(name) for name in FIELDS}
    for event in EVENTS.values():
        assert set(re.findall(r"@(RELAY_\w+)@", event.subject + event.text)) <= fields
        assert set(re.findall(r"RELAY_[A-Z0-9_]+", event.text)) <= fields


def test_journal_names_are_valid() -> None:
    # journal-fields: upper case, digits, underscores, at most 64, no leading underscore.
    for name in FIELDS:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", journal_name(name))


def test_every_event_and_fact_can_be_recorded(tmp_path) -> None:
    values = {"string": "0" * 64, "integer": 1, "boolean": True, "array": ["a"], "object": {"a": 1}}
    values["object|string"] = values["object"]
    facts = {
        name: values[row.type]
        for name, row in FIELDS.items()
        if name not in ("v", "seq", "ts", "boot_id", "prev", "chain", "event")
    }
    writer = Writer(tmp_path / "audit.jsonl")
    schema = jsonschema.Draft202012Validator(generate.json_schema())
    for event in EVENTS:
        writer.append_now({"event": event, **facts})
    writer.close()
    records = list(iter_records(tmp_path / "audit.jsonl"))
    assert [record["event"] for record in records] == list(EVENTS)
    for record in records:
        schema.validate(record)
        assert list(record) == list(FIELDS)
    assert not schema.is_valid({**records[0], "colour": "red"})
    assert not schema.is_valid({**records[0], "chain": "x"})


@pytest.mark.parametrize("value", ["x", 1, True, [1], {"a": 1}, None, 1.5, b"x"])
@pytest.mark.parametrize("name", ["principal", "exit", "truncated", "hosts", "facts", "args"])
def test_the_check_is_that_of_json_types(name, value) -> None:
    schema = jsonschema.Draft202012Validator(generate.json_schema()["properties"][name])
    try:
        check({"event": "note", name: value})
    except ValueError:
        # bytes are no JSON at all.
        assert isinstance(value, bytes) or not schema.is_valid(value)
    else:
        assert schema.is_valid(value)


def test_the_tree_is_up_to_date(capsys) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_the_chain_as_the_reference_tells_it(tmp_path) -> None:
    writer = Writer(tmp_path / "audit.jsonl")
    writer.append_now({"event": "start"})
    record = writer.append_now({"event": "note", "detail": 'a "quoted" word'})
    writer.close()
    line = (tmp_path / "audit.jsonl").read_text().splitlines()[1]
    text = record["prev"] + re.sub(r',"chain":"\w+"\}$', "}", line)
    digest = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True).stdout
    assert digest.split()[0] == record["chain"]
