"""The inventory and known_hosts of an installed machine, with OpenSSH's own server and client."""

from __future__ import annotations

import pytest

from appliance.machine import Machine

INVENTORY = "/etc/relay-shell/inventory.toml"
KNOWN_HOSTS = "/etc/relay-shell/known_hosts"
HOSTS = """
[defaults]
user = "agent"

[host.plain]
address = "127.0.0.1"

[host.other]
address = "::1"
port = 2222
groups = ["odd"]

[host.alias]
address = "127.0.0.1"
port = 2222
groups = ["odd"]
host_key = "Renamed"
"""
PUBLIC = "/etc/ssh/ssh_host_ed25519_key.pub"


@pytest.fixture
def served(appliance: Machine) -> Machine:
    """The appliance with sshd on its own loopback, which lets root in as `agent`."""
    appliance.shell(
        """
        ssh-keygen -A
        # Each look at a host's keys counts as a client that did not log in.
        printf 'Port 22\\nPort 2222\\nPerSourcePenalties no\\n' > /etc/ssh/sshd_config.d/ours.conf
        systemctl start ssh.service
        ssh-keygen -q -t ed25519 -N '' -f /root/key
        install -d -m 700 -o agent -g agent /home/agent/.ssh
        install -m 600 -o agent -g agent /root/key.pub /home/agent/.ssh/authorized_keys
        """
    )
    appliance.write(INVENTORY, HOSTS)
    return appliance


def ssh(machine: Machine, *words: str) -> str:
    """What ssh(1) prints that knows the hosts of our file and no others."""
    known = f"-oUserKnownHostsFile={KNOWN_HOSTS} -oGlobalKnownHostsFile=/dev/null".split()
    strict = "-oStrictHostKeyChecking=yes -oBatchMode=yes -oIdentityFile=/root/key".split()
    done = machine.run("ssh", "-F", "none", *known, *strict, *words, "id -un", check=False)
    return done.stdout + done.stderr


def test_the_package_names_no_host(appliance: Machine) -> None:
    assert INVENTORY in appliance.out(
        "dpkg-query", "--show", "--showformat=${Conffiles}", "relay-shell"
    )
    assert appliance.out("stat", "-c", "%U:%G %a", INVENTORY).strip() == "root:root 644"
    appliance.run("cat", INVENTORY, user="relay-shell")
    assert "names none" in appliance.out("relay-shell", "ssh", "hosts")
    checked = appliance.out("relay-shell", "config", "check")
    assert "ok" in checked and "ssh host" not in checked


def test_ssh_knows_the_hosts_that_are_trusted(served: Machine) -> None:
    right = served.out("ssh-keygen", "-lf", PUBLIC).split()[1]
    wrong = "SHA256:" + "A" * 43
    done = served.run("relay-shell", "ssh", "trust", "*", "--fingerprint", wrong, check=False)
    assert done.returncode == 65 and "has that fingerprint" in done.stderr
    assert "Host key verification failed" in ssh(served, "agent@127.0.0.1")
    served.run("relay-shell", "ssh", "trust", "plain", "--fingerprint", right)
    assert served.out("stat", "-c", "%U:%G %a", KNOWN_HOSTS).strip() == "root:root 644"
    assert ssh(served, "agent@127.0.0.1") == "agent\n"
    assert "Host key verification failed" in ssh(served, "-p2222", "agent@::1")
    served.run("relay-shell", "ssh", "trust", "@odd", "--yes")
    assert ssh(served, "-p2222", "agent@::1") == "agent\n"
    assert ssh(served, "-p2222", "-oHostKeyAlias=Renamed", "agent@127.0.0.1") == "agent\n"
    assert "1 without" not in served.out("relay-shell", "ssh", "hosts")
    assert ", 3 ssh host(s)" in served.out("relay-shell", "config", "check")
    # Nothing of it takes an operator's account; changing it takes root.
    assert "known" in served.out("relay-shell", "ssh", "hosts", user="outsider")
    done = served.run("relay-shell", "ssh", "trust", "plain", "--yes", user="olga", check=False)
    assert done.returncode == 77 and "Run the command as root" in done.stderr


def test_a_host_that_was_installed_anew_is_trusted_by_hand_alone(served: Machine) -> None:
    served.run("relay-shell", "ssh", "trust", "plain", "--yes")
    before = served.read(KNOWN_HOSTS)
    served.shell("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh.service")
    right = served.out("ssh-keygen", "-lf", PUBLIC).split()[1]
    for option in (["--yes"], ["--fingerprint", right]):
        done = served.run("relay-shell", "ssh", "trust", "plain", *option, check=False)
        assert done.returncode == 65 and "plain shows another key" in done.stderr
    assert served.read(KNOWN_HOSTS) == before
    served.run("ssh-keygen", "-R", "127.0.0.1", "-f", KNOWN_HOSTS)
    served.run("relay-shell", "ssh", "trust", "plain", "--fingerprint", right)
    assert ssh(served, "agent@127.0.0.1") == "agent\n"


def test_a_configuration_of_ssh_is_taken_over(served: Machine) -> None:
    served.shell(
        """
        mkdir -p -m 700 /root/.ssh
        printf 'Host web\\n HostName 127.0.0.1\\n Port 2222\\n User agent\\n' > /root/.ssh/config
        printf '' > /etc/relay-shell/inventory.toml
        relay-shell ssh import >> /etc/relay-shell/inventory.toml
        relay-shell config check
        """
    )
    assert "127.0.0.1:2222" in served.out("relay-shell", "ssh", "hosts", "web")
    served.write(INVENTORY, "[host.web]\nuser = 'agent'\nadress = 'x'\n")
    done = served.run("relay-shell", "config", "check", check=False)
    assert done.returncode == 78 and f"{INVENTORY}:3: unknown key 'adress'" in done.stderr
    # The broker goes on with what is none of its files.
    served.run("systemctl", "start", "relay-shell.service")
    served.run("systemctl", "reload", "relay-shell")
