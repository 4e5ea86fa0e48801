"""What the documents name exists: commands and their options, settings, files, units, targets."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_shell.cli.docgen import commands
from relay_shell.cli.parser import Parser
from relay_shell.config import TABLE, env_name, load
from relay_shell.config.table import RESERVED, SECTIONS
from relay_shell.wire.errors import KINDS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "debian/README.Debian", "docs/*.md", "docs/adr/*.md", "docs/man/*.rst")
    for path in ROOT.glob(pattern)
)
PARSERS: dict[tuple[str, ...], argparse.ArgumentParser] = dict(commands.parsers())

CODE = re.compile(r"``([^`]+)``|`([^`\n]+(?:\n[^`\n]+)?)`|'(relay-shell [^'\n]+)'")
"""Code within a sentence; it may go on in the next line."""

START = re.compile(r"(?:^|[|;&] *|\$ |sudo |ExecStart=/usr/bin/)relay-shell (?=[a-z-])")
END = re.compile(r"\s(?:[|;<>]|&&|# )|;")
SETTING = re.compile(rf"(?<![\w./-])(?:{'|'.join(SECTIONS)})\.[a-z_]+(?![\w/.-]*/|\w)")
FILES = ("pub", "sock", "py", "md", "json", "jsonl", "toml", "service")
"""Endings of files whose names look like a setting's."""

SIGNED = "relay-shell checkpoint v1"
"""The first line of what a checkpoint's signature is over."""

documents = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)).removeprefix("docs/")
)


def plain(path: Path) -> str:
    """A document without the escapes of reStructuredText."""
    text = path.read_text()
    return re.sub(r"\\([*`|_\\(])", r"\1", text) if path.suffix == ".rst" else text


def blocks(text: str) -> Iterator[str]:
    """Lines of code: fenced or indented ones, with those that a backslash joins as one."""
    fenced = False
    joined = re.sub(r" \\\n\s*", " ", text)
    for line in joined.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith(("    ", "  ")):
            yield line.strip()


def called(code: str) -> Iterator[list[str]]:
    """The words after `relay-shell` wherever the code calls it."""
    for start in START.finditer(code):
        rest = code[start.end() :]
        end = END.search(re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "x" * len(quoted[0]), rest))
        yield shlex.split(rest[: end.start()] if end else rest)


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser that these words reach, and the words that are left for it."""
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in PARSERS:
        path, words = (*path, words[0]), words[1:]
    assert path, f"no verb {words[:1]}"
    return PARSERS[path], words


def refused(words: list[str]) -> str:
    """Why the command does not take these words, "" if it does."""
    parser, left = parser_of(words)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args(left)
        except SystemExit as ended:
            return said.getvalue() if ended.code else ""
    return ""


@documents
def test_a_command_in_a_block_of_code_is_accepted(path: Path) -> None:
    for line in blocks(plain(path)):
        if "[options]" not in line and line != SIGNED:
            for words in called(line):
                assert not refused(words), line


@documents
def test_a_command_in_a_sentence_has_such_actions_and_options(path: Path) -> None:
    for found in CODE.finditer(plain(path)):
        code = " ".join(next(filter(None, found.groups())).split())
        if code.startswith("relay-shell ") and "VERB" not in code:
            check(code)


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy/systemd").glob("*.service")), ids=lambda path: path.stem
)
def test_a_command_of_a_unit_has_such_actions_and_options(unit: Path) -> None:
    text = re.sub(r" \\\n\s*", " ", unit.read_text())
    for command in re.findall(r"^Exec\w+=/usr/bin/(relay-shell .*)$", text, re.M):
        check(command)


@pytest.mark.parametrize("kind", KINDS)
def test_a_next_step_names_commands_that_exist(kind: str) -> None:
    for code in re.findall(r"'(relay-shell [^']+)'", KINDS[kind].next_step):
        check(code)


def check(code: str) -> None:
    """Words that are no whole command: each action and option is one."""
    words = [word for word in code.split()[1:] if word not in ("[options]", "...")]
    parser, left = parser_of(re.split(r"[|]", words[0])[:1] + words[1:])
    known = {name for action in commands.options(parser) for name in action.option_strings}
    for word in left:
        if word == "--":
            break
        if word.startswith("-"):
            assert word.partition("=")[0] in known | {"--help"}, code
    if commands.subparsers(parser) and left and not left[0].startswith("-"):
        assert set(left[0].split("|")) <= set(commands.subparsers(parser)), code


def test_a_misspelt_command_is_found() -> None:
    """The reader of commands finds what it looks for."""
    text = "Try\n\n    relay-shell audit tail --sinc 1h | less\n    x && relay-shell adit\n"
    assert [words for line in blocks(text) for words in called(line)] == [
        ["audit", "tail", "--sinc", "1h"],
        ["adit"],
    ]
    assert "--sinc" in refused(["audit", "tail", "--sinc", "1h"])
    with pytest.raises(AssertionError):
        refused(["adit"])
    with pytest.raises(AssertionError):
        check("relay-shell audit tail --sinc")
    with pytest.raises(AssertionError):
        check("relay-shell audit tial")
    assert isinstance(PARSERS["audit", "tail"], Parser)


@documents
def test_a_setting_that_is_named_exists(path: Path) -> None:
    text = plain(path)
    named = {name for name in SETTING.findall(text) if name.rpartition(".")[2] not in FILES}
    assert named <= set(TABLE)
    variables = set(re.findall(r"RELAY_SHELL_[A-Z][A-Z_]+[A-Z]", text))
    assert variables <= {env_name(name) for name in TABLE} | RESERVED


@documents
def test_settings_in_a_block_of_code_are_accepted(path: Path, tmp_path: Path) -> None:
    for block in re.findall(r"(?:^(?: {2,}.*)?\n)+|^```toml\n(?:.*\n)*?^```$", plain(path), re.M):
        text = "\n".join(line.removeprefix("    ") for line in block.strip("`").splitlines())
        text = text.removeprefix("toml\n")
        if re.search(rf"^ *\[(?:{'|'.join(SECTIONS)})\]", text, re.M):
            tomllib.loads(text)
            (tmp_path / "relay-shell.toml").write_text(text)
            load(tmp_path, {})


@documents
def test_a_file_that_is_named_exists(path: Path) -> None:
    text = plain(path)
    tops = "deploy|docs|src|tests|bench|demo|etc|packaging|debian"
    for name in re.findall(rf"(?<![\w/.@-])(?:{tops})/[\w./@-]*[\w@]", text):
        assert list(ROOT.glob(f"{name}*")) if "*" not in name else True, name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), target


@documents
def test_a_unit_a_page_or_a_target_that_is_named_exists(path: Path) -> None:
    text = plain(path)
    units = {unit.name for unit in (ROOT / "deploy/systemd").iterdir()}
    for name, ending in re.findall(
        r"(?<![\w/.-])(relay-shell[\w-]*@?)[\w*.-]*\.(service|socket|timer|slice)\b", text
    ):
        assert f"{name}.{ending}" in units, f"{name}.{ending}"
    for name, section in re.findall(
        r"\*\*((?:relay-shell|access|inventory)[\w.-]*)\*\*\((\d)\)", text
    ):
        assert (ROOT / f"docs/man/{name}.{section}.rst").exists(), name
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    for name in re.findall(r"python -m (bench\.\w+|relay_shell[\w.]+)", text):
        module = ROOT / ("src" if name.startswith("relay") else "") / name.replace(".", "/")
        assert module.with_suffix(".py").exists() or module.is_dir(), name
