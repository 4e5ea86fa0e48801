"""What is generated from the table says what the loader does."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import jsonschema
import pytest

from relay_shell.config import TABLE, ConfigError, generate, load

TREE = Path(__file__).parents[2]


def test_the_tree_is_up_to_date(capsys) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_is_noticed_and_written(tmp_path, capsys) -> None:
    assert generate.main(["--root", str(tmp_path), "--check"]) == 1
    assert not any(tmp_path.iterdir())
    assert generate.main(["--root", str(tmp_path)]) == 0
    assert generate.main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "etc/relay-shell/relay-shell.toml").write_text("")
    capsys.readouterr()
    assert generate.main(["--root", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err == "etc/relay-shell/relay-shell.toml: is out of date\n"


def test_the_default_file_with_every_line_in_force_is_the_defaults(root, write) -> None:
    text = generate.default_file()
    assert tomllib.loads(text) == {row.section: {} for row in TABLE.values()}
    write("".join(line.removeprefix("#") if "# " not in line[:2] else line
                  for line in text.splitlines(keepends=True)))  # fmt: skip
    settings = load(root, {})
    assert dict(settings) == {name: row.default for name, row in TABLE.items()}
    assert all(settings.source(name) != "default" for name in TABLE)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (generate.default_file(), True),
        ('[policy]\nmode = "guarded"\ndeny = ["x"]\n[limits]\ncalls = 1\n', True),
        ("[policy]\nmood = 1\n", False),
        ("[mode]\n", False),
        ("[limits]\ncalls = 0\n", False),
        ("[limits]\ncalls = true\n", False),
        ('[policy]\nmode = "closed"\n', False),
        ('[policy]\ndeny = [""]\n', False),
        ('[tools]\ndisabled = ["A"]\n', False),
        ('[worker]\nshell = "sh"\n', False),
    ],
)
def test_the_schema_agrees_with_the_loader(root, write, text, valid) -> None:
    schema = generate.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(tomllib.loads(text)) == valid
    write(text)
    try:
        load(root, {})
    except ConfigError:
        assert not valid
    else:
        assert valid


def test_the_manual_page_is_sound_and_names_every_setting() -> None:
    core = pytest.importorskip("docutils.core")
    trouble = io.StringIO()
    page = core.publish_string(
        generate.man_page(),
        writer="manpage",
        settings_overrides={"warning_stream": trouble, "report_level": 1},
    ).decode()
    assert not trouble.getvalue()
    for row in TABLE.values():
        assert generate.env_name(row.name) in page.replace("\\_", "_")
