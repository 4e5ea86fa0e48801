from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SHIPPED = Path(__file__).resolve().parents[2] / "deploy/systemd/postures"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with the package's postures and none chosen."""
    shutil.copytree(SHIPPED, tmp_path / "usr/share/relay-shell/postures")
    return tmp_path


def drop_in(root: Path) -> Path:
    return root / "etc/systemd/system/relay-shell-worker@.service.d/50-posture.conf"


def test_scoped_is_what_a_worker_is_without_a_choice(cli, root):
    shown = json.loads(cli("posture", "show", "--root", str(root), "--json").out)
    assert shown["posture"] == "scoped"
    assert shown["postures"] == ["privileged", "scoped"]


def test_a_posture_is_installed_as_it_was_shipped(cli, root):
    done = cli("posture", "set", "privileged", "--root", str(root))
    assert (done.status, done.err) == (0, "")
    assert drop_in(root).read_bytes() == (SHIPPED / "privileged.conf").read_bytes()
    assert "posture of new workers: privileged" in cli("posture", "show", "--root", str(root)).out


def test_an_unknown_posture_is_refused_with_the_choices(cli, root):
    done = cli("posture", "set", "../../etc/passwd", "--root", str(root))
    assert done.status == 64
    assert done.err.splitlines() == [
        "relay-shell: no posture named '../../etc/passwd'",
        "Choose one of: privileged, scoped.",
    ]
    assert not drop_in(root).exists()


def test_an_edited_drop_in_is_found_and_shown(cli, root):
    cli("posture", "set", "privileged", "--root", str(root))
    with drop_in(root).open("a") as file:
        file.write("CapabilityBoundingSet=CAP_LINUX_IMMUTABLE\n")
    assert "posture of new workers: edited" in cli("posture", "show", "--root", str(root)).out
    done = cli("posture", "diff", "--root", str(root))
    assert done.status == 1
    assert done.out.splitlines()[-1] == "+CapabilityBoundingSet=CAP_LINUX_IMMUTABLE"
    assert done.out.startswith(f"--- {root}/usr/share/relay-shell/postures/privileged.conf")


def test_no_difference_is_status_0(cli, root):
    assert cli("posture", "diff", "--root", str(root)).status == 0
    cli("posture", "set", "scoped", "--root", str(root))
    done = cli("posture", "diff", "--root", str(root))
    assert (done.status, done.out) == (0, "")


def test_a_system_without_the_package_says_so(cli, tmp_path):
    done = cli("posture", "set", "scoped", "--root", str(tmp_path))
    assert done.status == 66
    assert f"no postures in {tmp_path}/usr/share/relay-shell/postures" in done.err
