"""The lists with digests: complete, of one mind, and about nothing that Debian ships."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Package -> (version, number of digests) of a requirements file."""
    text = (TREE / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = re.match(r"([a-z0-9-]+)==(\S+)", line)
            assert match, f"{name}: not pinned: {line}"
            found[match[1]] = (match[2], line.count("--hash=sha256:"))
    return found


def test_every_line_has_a_digest() -> None:
    for name in ("requirements-vendor.txt", "requirements-dev.txt"):
        for package, (_, digests) in pins(name).items():
            assert digests, f"{name}: {package} has no digest"


def test_what_is_bundled_is_what_is_tested() -> None:
    dev = pins("requirements-dev.txt")
    for package, (version, _) in pins("requirements-vendor.txt").items():
        assert dev[package][0] == version, package


def test_nothing_is_bundled_that_the_package_takes_from_debian() -> None:
    control = (TREE / "debian/control").read_text()
    depends = set(re.findall(r"^ +python3-([a-z0-9-]+),$", control, re.M))
    assert depends.isdisjoint(pins("requirements-vendor.txt"))
    assert {"systemd", "uvloop", "re2", "asyncssh", "pyte"} <= depends
