"""Command files: what is shipped compiles, what operators add wins, errors name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_shell.policy import classify_command
from relay_shell.policy.knowledge import (
    Knowledge,
    builtin_tables,
    current,
    load,
    operator_tables,
    read_tables,
)
from relay_shell.policy.lint import lint_file
from relay_shell.policy.programs import handler
from relay_shell.policy.spec import Spec, SpecError, compile_spec, declarations


def specs(spec: Spec) -> list[Spec]:
    found = [spec]
    for entry in [*spec.subs.values(), *spec.prefixes.values()]:
        if isinstance(entry, Spec):
            found.extend(specs(entry))
    return found


def test_everything_shipped_compiles_and_names_a_judge_that_exists() -> None:
    knowledge = Knowledge(builtin_tables())
    assert len(knowledge) >= 400
    for name in knowledge.names():
        spec = knowledge.get(name)
        assert spec is not None
        for inner in specs(spec):
            if inner.handler:
                handler(inner.handler)


def test_an_operator_file_adds_and_replaces_programs(tmp_path: Path) -> None:
    (tmp_path / "10-site.toml").write_text(
        '[sitectl]\nsub0 = "status"\nsub2 = "reload"\nsub3 = "wipe"\n[ls]\ntier = 2\n'
    )
    (tmp_path / "20-more.toml").write_text('["report report-all"]\nany = true\n')
    try:
        load(tmp_path)
        tiers = [
            int(classify_command(f"sitectl {verb}").tier)
            for verb in ("status", "reload", "wipe", "x")
        ]
        assert tiers == [0, 2, 3, 2]
        assert classify_command("report-all --deep").tier == 0
        assert classify_command("ls").tier == 2
    finally:
        load(Path("/nonexistent"))
    assert classify_command("sitectl status").tier == 2


def test_a_file_that_cannot_be_used_leaves_the_current_base(tmp_path: Path) -> None:
    before = current()
    (tmp_path / "x.toml").write_text("[a]\ntier = 9\n")
    with pytest.raises(SpecError, match="a: tier must be a tier from 0 to 3"):
        load(tmp_path)
    assert current() is before
    assert operator_tables(tmp_path / "absent") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a", "x.toml: "),
        ("a = 1", "a is not a table"),
        ('["a b"]\n[b]\n', "b is described twice"),
    ],
)
def test_files_that_cannot_be_read(text: str, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_tables(text, "x.toml")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"colour": 1}, "unknown entry 'colour'"),
        ({"tier": "2"}, "tier has the wrong type"),
        ({"tier": True}, "tier has the wrong type"),
        ({"style": "dos"}, "unknown style"),
        ({"opts": "x"}, "option declaration 'x'"),
        ({"opts": "-o@frob"}, "unknown kind 'frob'"),
        ({"opts": "-abc:"}, "takes no value"),
        ({"args": ["nothing"]}, "unknown operand kind"),
        ({"sub": {"x": 1}}, "a table is needed"),
    ],
)
def test_tables_that_cannot_be_compiled(table: dict[str, object], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        compile_spec("a", table)


def test_declarations_say_names_values_modes_tiers_and_kinds() -> None:
    options = declarations("-ab -o,--output:@write -c?=2 --list!0 -x!3=1", "gnu")
    assert set(options) == {"-a", "-b", "-o", "--output", "-c", "--list", "-x"}
    assert options["-o"] is options["--output"]
    assert (options["-o"].value, options["-o"].kind) == (":", "write")
    assert (options["-c"].value, options["-c"].tier) == ("?", 2)
    assert (options["--list"].mode, options["-x"].mode, options["-x"].tier) == (0, 3, 1)
    assert set(declarations("-noout", "long1")) == {"-noout"}


def test_subcommand_tables_of_a_group_belong_to_all_of_it() -> None:
    tables = read_tables('["a b"]\nsub0 = "x"\n[a.sub.y]\ntier = 3\n', "x.toml")
    for name in ("a", "b"):
        spec = compile_spec(name, tables[name])
        assert spec.subcommand("x") == 0
        assert isinstance(spec.subcommand("y"), Spec)


def test_lint_reports_each_fault_once(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text('[sitectl]\nsub0 = "status"\n')
    assert lint_file(good) == []
    bad = tmp_path / "bad.toml"
    bad.write_text(
        '[a]\nfoo = 1\n[b]\nhandler = "no.such"\n[c]\nsame = "absent-program"\n[d]\ntier = 1\n'
    )
    assert [line.split(": ", 1)[1] for line in lint_file(bad)] == [
        "a: unknown entry 'foo'",
        "b: unknown handler 'no.such'",
        "c: same as unknown program 'absent-program'",
    ]
    rules = tmp_path / "rules.toml"
    rules.write_text('[policy]\ndeny = ["(?=x)", "rm"]\nallow = ["ls", "^df$"]\n')
    found = lint_file(rules)
    assert len(found) == 2
    assert "deny: pattern 1" in found[0]
    assert "warning: not anchored" in found[1]
    assert lint_file(tmp_path / "absent")[0].endswith("No such file or directory")


def test_a_letter_of_its_own_holds_against_a_cluster() -> None:
    options = declarations("-e: -abe -version!0", "posix")
    assert options["-e"].value == ":"
    assert "-r" not in options
    assert options["-version"].mode == 0
