"""SSH keys in a booted machine: an agent of their own, which workers have and commands have not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from appliance.agent import Agent
from appliance.machine import Machine
from appliance.units import agents

DIRECTORY = "/etc/relay-shell/keys"
SOCKET = "/run/relay-shell-keys/agent.sock"
SERVICE = "relay-shell-keys.service"

# Asks for the identities on one connection, once for each line that it reads.
HOLD = f"""
import socket, sys
agent = socket.socket(socket.AF_UNIX)
agent.connect({SOCKET!r})
for line in sys.stdin:
    agent.sendall(b"\\0\\0\\0\\1\\x0b")
    data = agent.recv(65536)
    print(int.from_bytes(data[5:9]) if data else "closed", flush=True)
"""


def key(machine: Machine, name: str, phrase: str = "") -> None:
    """Makes a key of that name in the key directory."""
    options = f"-q -t ed25519 -C {name} -N '{phrase}'"
    machine.shell(f"ssh-keygen {options} -f {DIRECTORY}/{name}; rm {DIRECTORY}/{name}.pub")


def held(machine: Machine) -> set[str]:
    """Comments of the keys that root sees in the agent."""
    environment = {"SSH_AUTH_SOCK": SOCKET}
    done = machine.run("ssh-add", "-L", env=environment, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {line.split()[2] for line in done.stdout.splitlines() if done.returncode == 0}


def main_pid(machine: Machine, unit: str) -> str:
    return machine.out("systemctl", "show", "--property=MainPID", "--value", unit)


@pytest.fixture
def keyed(appliance: Machine) -> Machine:
    """A machine with the keys `one` and `two`, which are loaded."""
    key(appliance, "one")
    key(appliance, "two")
    appliance.run("systemctl", "start", SERVICE)
    return appliance


def test_a_reload_adds_and_drops_and_cuts_no_connection(keyed: Machine) -> None:
    machine = keyed
    assert held(machine) == {"one", "two"}
    pid = main_pid(machine, SERVICE)
    holder = machine.popen(
        *("python3", "-c", HOLD), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin and holder.stdout

    def seen() -> str:
        holder.stdin.write("\n")
        holder.stdin.flush()
        return str(holder.stdout.readline().strip())

    try:
        assert seen() == "2"
        machine.run("rm", f"{DIRECTORY}/one")
        key(machine, "three")
        key(machine, "four")
        machine.run("systemctl", "reload", SERVICE)
        assert held(machine) == {"two", "three", "four"}
        assert seen() == "3"
        machine.shell(f"rm {DIRECTORY}/*")
        machine.run("systemctl", "reload", SERVICE)
        assert seen() == "0"
        assert main_pid(machine, SERVICE) == pid
    finally:
        holder.kill()
        holder.communicate()


def test_what_is_not_used_is_named_and_keeps_nothing_else_out(keyed: Machine) -> None:
    machine = keyed
    machine.expect(r"<[34]> relay-shell-keys\.service: ")
    key(machine, "locked", phrase="a phrase")
    machine.run("chmod", "644", f"{DIRECTORY}/one")
    machine.shell(f"ln -s /etc/shadow {DIRECTORY}/link")
    key(machine, "three")
    cursor = machine.cursor()
    assert machine.run("systemctl", "reload", SERVICE, check=False).returncode
    said = [e.message for e in machine.journal(f"--after-cursor={cursor}", f"--unit={SERVICE}")]
    command = f"SSH_AUTH_SOCK={SOCKET} ssh-add {DIRECTORY}/locked"
    for line in (
        f"not used: {DIRECTORY}/link: is a symbolic link; put the file itself there",
        f"not used: {DIRECTORY}/one: has mode 0644, so that others can use it",
        f"{DIRECTORY}/locked has a passphrase; to use it, as root: {command}",
        "2 of 5 keys in use, 1 dropped",
    ):
        assert line in said
    assert machine.out("systemctl", "is-active", SERVICE) == "active"
    assert held(machine) == {"two", "three"}
    found = machine.run("relay-shell", "doctor", check=False).stdout
    assert f"fail  keys       {DIRECTORY}/one: has mode 0644" in found
    assert f"warn  keys       {DIRECTORY}/locked: has a passphrase, and is not in use" in found

    # By hand, as the line says; the next reload leaves it.
    machine.write("/root/ask", "#!/bin/sh\necho a phrase\n", mode=0o755)
    machine.shell(f"SSH_ASKPASS=/root/ask SSH_ASKPASS_REQUIRE=force {command}")
    machine.shell(f"chmod 600 {DIRECTORY}/one; rm {DIRECTORY}/link")
    machine.run("systemctl", "reload", SERVICE)
    assert held(machine) == {"one", "two", "three", "locked"}
    # They are there again after a crash, but for what was added by hand.
    pid = main_pid(machine, SERVICE)
    machine.run("kill", "-KILL", pid)
    machine.wait(
        f"test $(systemctl show --property=MainPID --value {SERVICE}) != {pid} &&"
        f" systemctl --quiet is-active {SERVICE}"
    )
    assert held(machine) == {"one", "two", "three"}


def test_the_agent_sees_nothing_of_the_host_but_its_keys(keyed: Machine) -> None:
    machine = keyed
    pid = main_pid(machine, SERVICE)
    assert machine.out("stat", "-c", "%U", f"/proc/{pid}") == "relay-shell-keys"
    root = f"/proc/{pid}/root"
    assert set(machine.out("ls", f"{root}/etc").split()) == {"ld.so.cache", "passwd", "relay-shell"}
    assert machine.shell(f"ls {root}/var/lib {root}/root/. {root}/home/. 2>/dev/null || true") in (
        *("", f"{root}/home/.:\n\n{root}/root/.:"),
    )
    assert machine.out("nsenter", "-t", pid, "-n", "ls", "/proc/self/fd")
    assert machine.out("nsenter", "-t", pid, "-n", "ip", "-br", "link").split()[0] == "lo"
    # Of another account, nobody comes in: neither by the file nor by the connection.
    for user in ("relay-shell", "relay-shell-reader", "relay-shell-front", "agent", "nobody"):
        done = machine.run("ssh-add", "-l", user=user, env={"SSH_AUTH_SOCK": SOCKET}, check=False)
        assert (done.returncode, "Permission denied" in done.stderr) == (2, True), user
    for user in ("relay-shell-keys", "relay-shell"):
        assert machine.run("ls", DIRECTORY, user=user, check=False).returncode, user


CONNECT = (
    "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX);"
    f' s.connect("{SOCKET}"); print("con" + "nected")\''
)
ATTEMPTS = (
    f"SSH_AUTH_SOCK={SOCKET} ssh-add -l",
    f"cat {DIRECTORY}/one",
    f"test -e {SOCKET}",
    f"test -e {DIRECTORY}/one",
    CONNECT,
)


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_a_worker_has_the_agent_and_its_commands_have_not(keyed: Machine, posture: str) -> None:
    machine = keyed
    machine.run("relay-shell", "posture", "set", posture)
    with Agent(machine) as agent:
        agent.sh("true")
        (unit,) = agents(machine)
        pid = main_pid(machine, unit)
        names = machine.shell(
            f"tr '\\0' '\\n' < /proc/{pid}/environ | sed -n s/^LISTEN_FDNAMES=//p"
        )
        assert names == "connection:ssh-agent"
        socket = machine.out("readlink", f"/proc/{pid}/fd/4")
        # An ssh-agent has the other end.
        inode = socket.removeprefix("socket:[").removesuffix("]")
        connected = f"ss -xp | grep -q '{SOCKET} .* {inode} .*\"ssh-agent\"'"
        machine.wait(connected)
        session = agent.facts("shell_spawn")["session"]
        for tool in ("shell_exec", "shell_read"):
            shown = agent.call(tool, command="ls -l /proc/self/fd | cat")
            assert shown.startswith("[exit 0]") and socket not in shown, tool
            shown = agent.call(tool, command="env")
            assert "SSH_AUTH_SOCK" not in shown and "LISTEN" not in shown, tool
            for attempt in ATTEMPTS:
                shown = agent.call(tool, command=attempt)
                assert not shown.startswith("[exit 0]"), (tool, attempt, shown)
                assert "PRIVATE" not in shown and "connected" not in shown, (tool, attempt, shown)
        said = agent.facts(
            "session_send", session=session, text=f"ls -l /proc/self/fd; {CONNECT}; echo $((6*7))",
            submit=True, wait="(?m:^42)", timeout=60,
        )["output"]  # fmt: skip
        assert "0 -> " in said and socket not in said
        assert "connected" not in said
        # A reload ends no worker's connection.
        key(machine, "three")
        machine.run("systemctl", "reload", SERVICE)
        assert machine.out("readlink", f"/proc/{pid}/fd/4") == socket
        machine.wait(connected)


def test_workers_start_without_an_agent_that_does_not(appliance: Machine) -> None:
    machine = appliance
    machine.expect(r"relay-shell-keys\.(service|socket): ")
    machine.expect(r"relay-shell-worker@\S+: Failed to get OpenFile= file descriptor")
    drop_in = f"/run/systemd/system/{SERVICE}.d/broken.conf"
    machine.write(drop_in, "[Service]\nExecStart=\nExecStart=/usr/bin/ssh-agent -D -P\n")
    machine.run("systemctl", "daemon-reload")
    key(machine, "one")
    with Agent(machine) as agent:
        assert agent.sh("echo one").endswith("one")
    machine.wait("systemctl --quiet is-failed relay-shell-keys.socket")
    with Agent(machine) as agent:
        assert agent.sh("echo two").endswith("two")
    machine.run("rm", drop_in)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed", SERVICE, "relay-shell-keys.socket")
    # The next worker's start mends it.
    with Agent(machine) as agent:
        assert agent.sh("echo three").endswith("three")
        assert held(machine) == {"one"}


def test_nothing_of_it_runs_before_the_operator_says_so(boot: Callable[..., Machine]) -> None:
    machine = boot()
    units = ("relay-shell-keys.socket", SERVICE)
    done = machine.run("systemctl", "is-active", *units, check=False)
    assert set(done.stdout.split()) == {"inactive"}
    for path in (DIRECTORY, "/run/relay-shell-keys"):
        assert machine.out("stat", "-c", "%U:%G %a", path) == "root:root 700"
    key(machine, "one")
    machine.run("systemctl", "enable", "--now", "relay-shell.socket")
    assert machine.out("stat", "-c", "%U:%G %a", SOCKET) == "root:root 600"
    machine.run("systemctl", "start", SERVICE)
    assert held(machine) == {"one"}
    machine.run("apt-get", "remove", "--yes", "relay-shell")
    done = machine.run("systemctl", "is-active", *units, check=False)
    assert set(done.stdout.split()) == {"inactive"}
    done = machine.run("apt-get", "purge", "--yes", "relay-shell")
    assert f"the SSH keys in {DIRECTORY} are kept" in done.stdout + done.stderr
    assert machine.out("ls", DIRECTORY) == "one"
