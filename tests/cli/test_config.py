from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from broker.machine import tell_machine
from relay_shell.config import TABLE

from .desk import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configuration with a file and a drop-in, private to us."""
    path = tmp_path / "etc"
    (path / "relay-shell.d").mkdir(parents=True, mode=0o755)
    (path / "relay-shell.toml").write_text('[policy]\nmode = "guarded"\n')
    (path / "relay-shell.d/50-limits.toml").write_text("[limits]\ntimeout = 30\n\ncalls = 4\n")
    return path


def test_a_sound_configuration(cli, root):
    done = cli("config", "check", "--root", str(root))
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{root}: ok, 3 setting(s) changed",
        "systemctl reload relay-shell puts them in force",
    ]


def test_what_needs_a_restart_is_said(cli, root):
    with (root / "relay-shell.toml").open("a") as file:
        file.write('[worker]\nlandlock = "off"\n')
    done = cli("config", "check", "--root", str(root))
    assert done.out.splitlines()[-1] == "a restart is needed for: worker.landlock"


def test_every_problem_is_named_with_file_and_line(cli, root):
    (root / "relay-shell.toml").write_text('[policy]\nmode = "wild"\nmood = 1\n')
    done = cli("config", "check", "--root", str(root))
    assert (done.status, done.out) == (78, "")
    first, second, step = done.err.splitlines()
    assert first.startswith(f"relay-shell: {root}/relay-shell.toml:2: ")
    assert second.startswith(f"{root}/relay-shell.toml:3: ")
    assert step.startswith("Correct it;")


def test_a_variable_of_no_setting_is_named_with_what_to_do(cli, root):
    done = cli("config", "check", "--root", str(root), env={"RELAY_SHELL_DEBUG": "1"})
    assert (done.status, done.out) == (78, "")
    assert done.err.splitlines()[0] == (
        "relay-shell: RELAY_SHELL_DEBUG: unknown variable 'RELAY_SHELL_DEBUG'; "
        "no setting has this name: unset it"
    )


def test_problems_for_a_script(cli, root):
    (root / "relay-shell.toml").write_text("[limits]\ntimeout = -1\n")
    done = cli("config", "check", "--root", str(root), "--json")
    assert done.status == 78
    found = json.loads(done.out)
    assert found["ok"] is False
    assert [(p["where"], p["line"]) for p in found["problems"]] == [(f"{root}/relay-shell.toml", 2)]


def test_terminal_escapes_in_a_file_do_not_reach_the_terminal(cli, root):
    (root / "relay-shell.toml").write_text('[policy]\nmode = "\\u001b[2J"\n')
    done = cli("config", "check", "--root", str(root))
    assert done.status == 78
    assert "\x1b" not in done.err


def test_show_names_the_source_of_each_value(cli, root):
    env = {"RELAY_SHELL_LIMITS_CALLS": "5"}
    done = cli("config", "show", "--root", str(root), "--changed", env=env)
    rows = {line.split(" = ")[0]: line.split("  # ") for line in done.out.splitlines()}
    assert {name: row[1] for name, row in rows.items()} == {
        "policy.mode": f"{root}/relay-shell.toml:2",
        "limits.timeout": f"{root}/relay-shell.d/50-limits.toml:2",
        "limits.calls": "env RELAY_SHELL_LIMITS_CALLS",
    }
    assert rows["limits.calls"][0].rstrip() == "limits.calls = 5"


def test_show_prints_all_a_section_or_one(cli, root):
    assert len(cli("config", "show", "--root", str(root)).out.splitlines()) == len(TABLE)
    section = cli("config", "show", "--root", str(root), "policy").out
    assert {line.split(".")[0] for line in section.splitlines()} == {"policy"}
    one = json.loads(cli("config", "show", "--root", str(root), "limits.timeout", "--json").out)
    source = f"{root}/relay-shell.d/50-limits.toml:2"
    assert one == {"limits.timeout": {"value": 30, "source": source}}


def test_a_name_that_is_no_setting_is_an_error(cli, root):
    done = cli("config", "show", "--root", str(root), "policy.mod")
    assert done.status == 64
    assert "no setting 'policy.mod'; did you mean 'policy.mode'?" in done.err


def test_the_default_file_is_accepted_and_changes_nothing(cli, tmp_path):
    (tmp_path / "etc").mkdir(mode=0o755)
    default = cli("config", "default").out
    (tmp_path / "etc/relay-shell.toml").write_text(default)
    done = cli("config", "check", "--root", str(tmp_path / "etc"), "--json")
    found = {"ok": True, "problems": [], "changed": [], "access_rules": 0, "ssh_hosts": 0}
    assert json.loads(done.out) == found


def test_the_rules_by_identity_are_checked_as_well(cli, root):
    (root / "relay-shell.toml").write_text('[policy]\nmode = "opne"\n')
    (root / "access.toml").write_text('[[rule]]\nuser = "a"\nmod = "open"\n')
    done = cli("config", "check", "--root", str(root))
    assert done.status == 78
    assert f"{root}/relay-shell.toml:2: policy.mode must be one of" in done.err
    assert f"{root}/access.toml:3: unknown key 'mod'; did you mean 'mode'?" in done.err
    (root / "relay-shell.toml").write_text("")
    (root / "access.toml").write_text('[[rule]]\nuser = "a"\nmode = "open"\n')
    done = cli("config", "check", "--root", str(root))
    assert done.status == 0 and "1 access rule(s)" in done.out


def test_the_inventory_is_checked_as_well(cli, root, tmp_path):
    inventory = root / "inventory.toml"
    inventory.write_text('[host.a]\nuser = "u"\nprot = 22\n')
    done = cli("config", "check", "--root", str(root))
    assert done.status == 78
    assert f"{inventory}:3: unknown key 'prot'; did you mean 'port'?" in done.err
    inventory.write_text('[host.a]\nuser = "u"\nport = 22\n')
    done = cli("config", "check", "--root", str(root))
    assert done.status == 0 and ", 1 ssh host(s)" in done.out
    # The setting says where it is; a bad one elsewhere is no matter.
    elsewhere = tmp_path / "hosts.toml"
    elsewhere.write_text("[host.a]\n[host.b]\n")
    (root / "relay-shell.d").mkdir(exist_ok=True)
    (root / "relay-shell.d" / "ssh.toml").write_text(f'[paths]\ninventory = "{elsewhere}"\n')
    done = cli("config", "check", "--root", str(root), "--json")
    problems = json.loads(done.out)["problems"]
    assert [(p["where"], p["line"]) for p in problems] == [(str(elsewhere), 1), (str(elsewhere), 2)]


def test_the_schema_takes_what_the_loader_takes(cli, root):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(cli("config", "schema").out)
    jsonschema.validate(tomllib.loads((root / "relay-shell.toml").read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"policy": {"mode": "wild"}}, schema)


def test_a_reload_says_whether_it_was_accepted(tmp_path):
    async def tell(machine):
        toml = tmp_path / "etc" / "relay-shell.toml"
        toml.write_text('[policy]\nmode = "guarded"\n[worker]\nlandlock = "off"\n')
        done = await run(machine, "config", "reload")
        assert (done.status, done.err) == (0, "")
        assert done.out.splitlines() == ["in force: ok", "a restart is needed for: worker.landlock"]
        toml.write_text("[policy]\nmood = 1\nmode = 2\n")
        done = await run(machine, "config", "reload")
        assert (done.status, done.out) == (78, "")
        head, first, second, step = done.err.splitlines()
        assert head == "relay-shell: refused, what was in force stays:"
        assert f"{toml}:2: " in first and f"{toml}:3: " in second
        assert step == "Correct the file; 'relay-shell config check' tests it."
        done = await run(machine, "config", "reload", "--quiet")
        assert (done.status, done.out, done.err) == (78, "", "")
        toml.write_text("")
        done = await run(machine, "config", "reload", "--quiet")
        assert (done.status, done.out, done.err) == (0, "", "")

    tell_machine(tmp_path, tell)


def test_a_reload_without_a_broker_fails(cli, tmp_path):
    done = cli("config", "reload", "--quiet", "--socket", str(tmp_path / "none"))
    assert done.status == 69 and "no operator socket" in done.err


def test_nothing_changed_is_said(cli, root):
    (root / "relay-shell.toml").write_text("")
    (root / "relay-shell.d/50-limits.toml").unlink()
    done = cli("config", "show", "--changed", "--root", str(root))
    assert (done.status, done.out) == (0, "")
    assert done.err == "relay-shell: everything has its default\n"
