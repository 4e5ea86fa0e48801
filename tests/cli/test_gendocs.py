from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relay_shell.cli import gendocs

TREE = Path(__file__).resolve().parents[2]


def test_the_documentation_says_what_the_code_does(capsys):
    status = gendocs.main(["--check"])
    assert status == 0, capsys.readouterr().err + "run 'python -m relay_shell.cli.gendocs'"


def test_check_names_what_is_stale_and_leaves_it(tmp_path, capsys):
    page = tmp_path / "docs/man/relay-shell.7.rst"
    page.parent.mkdir(parents=True)
    page.write_text("x\n\n.. generated: groups\n\nold\n\n.. end generated\n\ny\n")
    assert gendocs.main(["--check", "--root", str(tmp_path)]) == 1
    assert "docs/man/relay-shell.7.rst: is out of date" in capsys.readouterr().err
    assert "old" in page.read_text()
    assert gendocs.main(["--root", str(tmp_path)]) == 0
    assert page.read_text().startswith("x\n\n.. generated: groups\n\nshell\n    shell\\_read")
    assert page.read_text().endswith("\n\n.. end generated\n\ny\n")
    assert gendocs.main(["--check", "--root", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "text", [".. generated: groups\n", ".. generated: nothing\n.. end generated\n"]
)
def test_a_part_without_end_or_generator_is_an_error(text):
    with pytest.raises((ValueError, KeyError)):
        gendocs.fill(text)


@pytest.mark.parametrize("page", sorted((TREE / "docs/man").glob("*.rst")), ids=lambda p: p.stem)
def test_a_manual_page_is_sound(page, tmp_path):
    core = pytest.importorskip("docutils.core")
    # As rst2man --strict, which builds the package.
    text = core.publish_string(
        page.read_text(), writer="manpage", settings_overrides={"halt_level": 2}
    )
    assert text.startswith(b".")
    if shutil.which("man"):
        import subprocess

        (tmp_path / page.stem).write_bytes(text)
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(tmp_path / page.stem)],
            capture_output=True,
            text=True,
            env={"MANROFFSEQ": "", "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        assert (done.returncode, done.stderr) == (0, "")
