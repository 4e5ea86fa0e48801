"""A directory of settings to write to, and what loading it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relay_shell.config import ConfigError, load


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "etc"
    (directory / "relay-shell.d").mkdir(parents=True, mode=0o755)
    return directory


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    def file(text: str, name: str = "relay-shell.toml") -> Path:
        path = root / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    return file


@pytest.fixture
def problems(root: Path) -> Callable[..., list[str]]:
    """The problems of loading, with the directory's name left out."""

    def run(**environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(root, environ)
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return [str(problem).removeprefix(f"{root}/") for problem in caught.value.problems]

    return run
