"""What an enforced command is told of the host by the worker, having no sight of it by itself."""

from __future__ import annotations

from appliance.batch import Batch
from appliance.machine import Machine

SETTINGS = """
[worker]
spare = 0
"""
CRONTAB = "0 0 1 1 * true\n"

OF_THE_HOST = (
    "mount; findmnt --real -no TARGET,OPTIONS; findmnt -no OPTIONS -T /var/lib",
    "lsns -no NS,TYPE -p 1; lslocks -no PATH,MODE | grep cron",
    "pmap 1 | head -1; pwdx 1; prlimit --pid 1",
    "crontab -l; crontab -u agent -l",
    "passwd -S root; chage -l agent; ssh -G host | grep -i userknownhosts",
    "lsof -p 1 | wc -l",
)
ACTS = (
    "mount -o remount,ro /srv",
    "mount -t tmpfs tmpfs /srv",
    "prlimit --pid 1 --nofile=1000:1000",
    "prlimit touch /srv/made",
    "echo | crontab -",
    "crontab -r",
    "passwd -d root",
    "chage -E 0 agent",
)


def test_a_root_workers_reader_is_told_of_the_host_not_of_its_confinement(
    appliance: Machine,
) -> None:
    """Its mounts are all read-only, and it sees no other process: nobody may conclude from that."""
    machine = appliance
    # What acts is tried too, and says so to syslog.
    machine.expect(r"^<\d> (?:crontab|passwd|chage)")
    machine.write("/etc/relay-shell/relay-shell.d/50-test.toml", SETTINGS)
    machine.run("relay-shell", "posture", "set", "privileged")
    machine.run("systemctl", "restart", "relay-shell.service")
    machine.write("/root/crontab", CRONTAB)
    machine.run("crontab", "/root/crontab")
    machine.run("crontab", "-u", "agent", "/root/crontab")
    with Batch(machine) as agent:
        for command in OF_THE_HOST:
            plain, enforced = (
                agent.facts(tool, command=command) for tool in ("shell_exec", "shell_read")
            )
            assert enforced["enforced"] and plain["stdout"], (command, plain)
            assert enforced["stdout"] == plain["stdout"], command
            assert enforced["exit"] == plain["exit"], command
            assert enforced.get("stderr") == plain.get("stderr"), command
        before = agent.facts("shell_exec", command="cat /etc/shadow; mount; prlimit --pid 1")
        for command in ACTS:
            assert agent.facts("shell_read", command=command)["exit"] != 0, command
        after = agent.facts("shell_exec", command="cat /etc/shadow; mount; prlimit --pid 1")
        assert before["stdout"] == after["stdout"]
        assert agent.facts("shell_exec", command="crontab -l")["stdout"] == CRONTAB
