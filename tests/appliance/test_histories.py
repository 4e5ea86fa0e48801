"""What a collector holds of a host that was restored from a snapshot, and of one that was cloned
from the same template: told apart by `relay-shell audit verify --against`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from appliance.agent import Agent
from appliance.machine import Machine

RECORD = "/var/log/relay-shell"
AUDIT = f"{RECORD}/audit.jsonl"
RECEIVER = "/usr/lib/systemd/systemd-journal-remote"
SOCKETS = ("relay-shell.socket", "relay-shell-broker.socket", "relay-shell-operator.socket")


def work(machine: Machine, word: str) -> None:
    machine.run("systemctl", "start", *SOCKETS)
    with Agent(machine) as agent:
        assert agent.sh(f"echo {word}").startswith("[exit 0]")
    machine.run("systemctl", "stop", *SOCKETS, "relay-shell*.service")


def state(machine: Machine, command: str) -> None:
    """Do to the files of the record what only root can."""
    machine.shell(f"chattr -R -a -i {RECORD}; cd {RECORD}; {command}")


def journal(machine: Machine) -> bytes:
    """The entries of the broker, in the form in which a sender uploads them."""
    select = ("_SYSTEMD_UNIT=relay-shell.service", "SYSLOG_IDENTIFIER=relay-shell")
    command = machine.command("journalctl", "--sync")
    subprocess.run(command, check=True)
    command = machine.command("journalctl", "-q", "-o", "export", *select)
    return subprocess.run(command, check=True, capture_output=True).stdout


def receive(machine: Machine, name: str, *streams: bytes) -> str:
    """A directory with a journal file of these entries, as a collector writes it."""
    directory = f"/root/{name}"
    machine.run("mkdir", directory)
    for number, stream in enumerate(streams):
        argv = machine.command(RECEIVER, f"--output={directory}/remote-{number}.journal", "-")
        subprocess.run(argv, check=True, capture_output=True, input=stream)
    return directory


def verify(machine: Machine, path: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    argv = ("relay-shell", "audit", "verify", "--json", "--audit-path", path, *options)
    done = machine.run(*argv, check=False)
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, [f for f in findings if f["fails"]]


def test_histories_are_told_apart(appliance: Machine) -> None:
    machine = appliance
    keys = ("--key", f"{RECORD}/evidence.pub")
    work(machine, "before")
    state(machine, "mkdir /root/snapshot; cp -a . /root/snapshot")
    work(machine, "lost")
    state(machine, "cp -a . /root/lost")
    # The host is restored: its record goes on from an earlier state.
    state(machine, "rm -r audit.jsonl*; cp -a /root/snapshot/audit.jsonl* .")
    parted = json.loads(machine.read(AUDIT).splitlines()[-1])["seq"]
    work(machine, "restored")
    state(machine, "cp -a . /root/restored")
    whole = journal(machine)
    both = ("--against", receive(machine, "remote", whole))

    for name in ("lost", "restored"):
        code, (found,) = verify(machine, f"/root/{name}/audit.jsonl", *keys, *both)
        assert (code, found["kind"], found["seq"]) == (25, "forked", parted + 1)
        here = [part for part in found["detail"].split("; ") if "(this is here)" in part]
        assert found["detail"].startswith(f"after record {parted} it goes on in 2 ways")
        last = json.loads(machine.read(f"/root/{name}/audit.jsonl").splitlines()[-1])["seq"]
        assert len(here) == 1 and f"record {parted + 1} to {last} of" in here[0]
    # The journal of this host is a copy as well.
    assert verify(machine, AUDIT, *keys, "--journal")[1][0]["kind"] == "forked"

    # A second host, made of the same template: one machine-id, a name and a record of its own.
    state(machine, "mkdir /root/empty; mv audit.jsonl* /root/empty")
    state(machine, "install -o relay-shell-broker -g adm -m 640 /dev/null audit.jsonl")
    assert journal(machine) == whole
    work(machine, "clone")
    state(machine, "cp -a . /root/clone")
    later = journal(machine).removeprefix(whole)
    name = machine.out("hostname")
    second = later.replace(f"\n_HOSTNAME={name}\n".encode(), b"\n_HOSTNAME=web2\n")
    assert second.count(b"_HOSTNAME=web2\n") == second.count(b"__CURSOR=") > 3
    mixed = ("--against", receive(machine, "mixed", whole, second))
    code, findings = verify(machine, "/root/clone/audit.jsonl", *keys, *mixed)
    assert code == 25 and findings[0]["detail"].startswith("from the beginning it goes on in 2")
    assert "host web2" in findings[0]["detail"]
    assert verify(machine, "/root/clone/audit.jsonl", *keys, *mixed, "--machine", "web2")[0] == 0
    # Nobody signs for a host without its key, neither here nor in the copy.
    machine.shell("openssl genpkey -algorithm ed25519 | openssl pkey -pubout > /root/other.pub")
    other = ("--key", "/root/other.pub", "--machine", "web2")
    _, findings = verify(machine, "/root/clone/audit.jsonl", *other, *mixed)
    assert {"unknown-key", "unsigned"} == {f["kind"] for f in findings}
    assert any("of the copy" in f["detail"] for f in findings)

    # Two hosts with ids of their own are told apart by what they wrote.
    ident = machine.read("/etc/machine-id").strip()
    assert ident.encode() in second
    third = second.replace(ident.encode(), b"0123456789abcdef0123456789abcdef")
    apart = ("--against", receive(machine, "apart", whole, third))
    assert verify(machine, "/root/clone/audit.jsonl", *keys, *apart)[0] == 0
    assert verify(machine, "/root/lost/audit.jsonl", *keys, *apart)[0] == 25
