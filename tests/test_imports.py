"""The import rules between packages: a trust boundary is a module boundary too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "relay_shell"
PURE = {"policy", "secrets", "evidence", "wire", "config"}
FORBIDDEN: dict[str, set[str]] = {
    **{name: {"broker", "front", "worker", "tools", "shell", "ssh", "diag", "cli", "mcp"}
       | (PURE - {name, "wire"}) for name in PURE},
    "broker": {"front", "worker", "tools", "shell", "ssh", "diag", "cli", "mcp", "asyncssh",
               "observer"},
    **{name: {"broker", "policy", "evidence", "secrets", "config", "front", "cli", "mcp"}
       for name in ("worker", "tools", "diag")},
    # The inventory is a file of the operator's, which config/trust.py judges.
    "ssh": {"broker", "policy", "evidence", "secrets", "front", "cli", "mcp"},
    # Output is redacted where it arrives.
    "shell": {"broker", "policy", "evidence", "config", "front", "cli", "mcp"},
    "observer": PURE - {"wire"} | {"broker", "front", "worker", "tools", "shell", "cli", "mcp"},
    "keys": PURE | {"broker", "front", "worker", "tools", "shell", "ssh", "cli", "mcp", "asyncssh"},
    "front": {"shell", "ssh", "diag", "policy", "evidence", "broker", "worker", "cli", "asyncssh"},
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Names that a module imports, ours by package, others by top level; also inside functions."""
    package = path.relative_to(ROOT.parent).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            found.add(parts[1] if parts[0] == "relay_shell" and len(parts) > 1 else parts[0])
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_package_keeps_its_side(package: str) -> None:
    """No module of the package imports what its trust boundary forbids."""
    for path in sorted((ROOT / package).rglob("*.py")):
        crossed = imports(path) & FORBIDDEN[package]
        assert not crossed, f"{path.relative_to(ROOT)} imports {sorted(crossed)}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("relay_shell.broker.__main__", ["mcp", "asyncssh", "relay_shell.worker"]),
        ("relay_shell.worker.__main__", ["mcp", "asyncssh", "pydantic", "relay_shell.broker"]),
        ("relay_shell.worker.__main__", ["relay_shell.secrets", "re2"]),
        ("relay_shell.front.__main__", ["relay_shell.shell", "relay_shell.policy", "asyncssh"]),
        ("relay_shell.ssh.document", ["relay_shell.config.loader", "asyncio", "asyncssh"]),
        ("relay_shell.cli.connect", ["asyncio", "argparse", "json", "mcp"]),
    ],
)
def test_process_does_not_load_the_other_side(module: str, absent: list[str]) -> None:
    """What a program has in memory once it is imported, indirect imports included."""
    program = f"import sys, {module}\nprint(*(m for m in {absent!r} if m in sys.modules))"
    loaded = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})\n{program}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert loaded == []
