"""Only questions reach the service manager from an enforced command."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from relay_shell.shell.hostqueries import HOST
from relay_shell.shell.queries import MAX_LENGTH, QUERIES, admit
from relay_shell.shell.querydesk import DIRECTORIES
from relay_shell.wire.errors import RelayError


@pytest.mark.parametrize(
    "command",
    [
        "systemctl",
        "systemctl status",
        "systemctl status ssh.service cron",
        "systemctl -l status -n 20 ssh",
        "systemctl -ln20 status ssh",
        "systemctl list-units --type=service --state failed --no-legend",
        "systemctl --failed",
        "systemctl show -p ActiveState --value ssh",
        "systemctl cat -- ssh.service",
        "systemctl is-active ssh",
        "loginctl list-sessions",
        "hostnamectl",
        "timedatectl show -p NTP --value",
        "networkctl status -a",
        "resolvectl status",
        "resolvectl dns eth0",
        "busctl list",
        "busctl tree org.freedesktop.systemd1",
        "busctl introspect org.freedesktop.login1 /org/freedesktop/login1",
        "busctl get-property a.b /a/b a.b.c Name",
        "systemd-analyze blame",
        "systemd-analyze dump",
        "lsof -nP -iTCP -sTCP:LISTEN",
        "lsof -i -P -n",
        "lsof -i :443",
        "lsof -p 1 /var/log/syslog",
        "lsof -u www-data,root -tUn",
        "ss -tulpn",
        "ss -tnp state established",
        "ss -o state established ( dport = :ssh or sport = :ssh )",
        "ss -Hltn --family inet6",
        "netstat -tulpn",
        "netstat -rn -A inet",
        "fuser -v /var/log/syslog /srv",
        "fuser -n tcp 443",
        "fuser 53/udp",
        "pmap -x 1",
        "pwdx 1 2",
        "prlimit --pid 1 --nofile",
        "prlimit -p 1 -n -o RESOURCE,SOFT",
        "mount",
        "mount -l -t ext4,xfs",
        "findmnt",
        "findmnt -T /var/lib -o SOURCE,OPTIONS",
        "findmnt --real -J --target=/srv",
        "findmnt /srv",
        "lsns -t net -o NS,PID,COMMAND",
        "lsns 4026531837",
        "lslocks -u",
        "crontab -l",
        "crontab -u www-data -l",
        "crontab -lu www-data",
        "passwd -S root",
        "passwd --status --all",
        "chage -l root",
        "docker",
        "docker --version",
        "docker ps -aq --no-trunc",
        "docker ps --filter status=running --format {{.Names}}",
        "docker ps -f name=exec -n 3",
        "docker images --digests",
        "docker logs --tail 50 -f -t web",
        "docker logs --since=1h web",
        "docker inspect -f {{.State.Status}} web",
        "docker stats --no-stream",
        "docker top web",
        "docker container ls -a",
        "docker image history web",
        "docker network inspect bridge",
        "docker system df -v",
        "docker info",
        "docker --help",
        "docker top web -eo pid,cmd",
        "docker container top web aux",
        "docker history --human=false --no-trunc=true web",
        "docker config inspect --pretty web",
        "docker plugin ls",
        "docker compose ls -a --format json",
        "docker compose version --short",
        "docker compose -p web ps -a --services",
        "docker compose --project-name web-1 logs -t --tail 5 db",
    ],
)
def test_question_is_admitted(command: str) -> None:
    """The words stay as they were, behind options that keep it quiet."""
    argv = command.split()
    admitted = admit(argv)
    always = QUERIES[argv[0]].always
    assert admitted == [argv[0], *always, *argv[1:]]


@pytest.mark.parametrize(
    "command",
    [
        "lsof -D r",
        "lsof -Dbfile",
        "lsof -r 1",
        "lsof relative",
        "lsof -p",
        "lsof +D relative",
        "netstat -c",
        "netstat x",
        "fuser -k /srv",
        "fuser -TERM -k /srv",
        "fuser -vki /srv",
        "fuser relative",
        "fuser ../srv",
        "pmap -n",
        "pmap -c 1",
        "pmap -N /root/.pmaprc",
        "pmap -C /root/x 1",
        "pwdx /proc/1",
        "prlimit touch /srv/x",
        "prlimit -- touch /srv/x",
        "prlimit --pid 1 touch",
        "prlimit --pid 1 --nofile=1:1",
        "prlimit --pid 1 -n1",
        "prlimit -p",
        "mount /dev/sda1 /mnt",
        "mount -a",
        "mount --all",
        "mount -o remount,rw /",
        "mount -t tmpfs tmpfs /mnt",
        "mount -l /mnt",
        "mount -T /tmp/fstab",
        "mount --bind /a /b",
        "findmnt -F /tmp/fstab",
        "findmnt --poll",
        "findmnt LABEL=data",
        "findmnt -S UUID=1",
        "findmnt -se",
        "findmnt --verify",
        "findmnt -N 1",
        "findmnt -T .",
        "findmnt --target=relative",
        "findmnt .",
        "lsns -Q x",
        "crontab",
        "crontab -u root",
        "crontab /tmp/x",
        "crontab -l /tmp/x",
        "crontab -r",
        "crontab -lr",
        "crontab -e -l",
        "crontab -T /tmp/x",
        "passwd",
        "passwd root",
        "passwd -a",
        "passwd -l root",
        "passwd -Sl root",
        "passwd -S -R /srv root",
        "passwd -S -- -d",
        "chage root",
        "chage -l -E 0 root",
        "chage -R /srv -l root",
        "ss -K dst 192.0.2.1",
        "ss -tK",
        "ss --kill",
        "ss -D /tmp/x",
        "ss --diag=/tmp/x",
        "ss -F /etc/shadow",
        "ss -N other",
        "ss --net=other",
        "ss -E",
        "systemctl start ssh",
        "systemctl stop ssh",
        "systemctl -- stop ssh",
        "systemctl -n stop ssh stop",
        "systemctl -q restart ssh",
        "systemctl --no-pager daemon-reload",
        "systemctl edit ssh",
        "systemctl set-property ssh CPUQuota=1",
        "systemctl kill ssh",
        "systemctl poweroff",
        "systemctl -H root@elsewhere status",
        "systemctl --host=elsewhere status",
        "systemctl -Mroot@.host status",
        "systemctl --ho elsewhere status",
        "systemctl --root=/tmp/x cat y",
        "systemctl --user status",
        "systemctl status --now",
        "systemctl -t",
        "systemctl --property",
        "systemctl --value=1 show",
        "systemctl import-environment",
        "systemctl log-level debug",
        "systemctl service-watchdogs no",
        "hostnamectl hostname elsewhere",
        "hostnamectl set-hostname elsewhere",
        "timedatectl set-ntp false",
        "timedatectl set-time 2001-01-01",
        "localectl set-locale C",
        "loginctl terminate-session 1",
        "loginctl enable-linger root",
        "networkctl down eth0",
        "resolvectl flush-caches",
        "resolvectl dns eth0 192.0.2.1",
        "resolvectl domain eth0 x y",
        "resolvectl query example.org",
        "busctl call a b c d",
        "busctl set-property a b c d e f",
        "systemd-analyze log-level debug",
        "systemd-analyze service-watchdogs no",
        "systemd-run true",
        "/usr/bin/systemctl status",
        "docker exec web id",
        "docker run web",
        "docker rm -f web",
        "docker start web",
        "docker pull web",
        "docker cp web:/x y",
        "docker save -o f web",
        "docker -l ps exec web id",
        "docker --log-level ps exec web id",
        "docker -c ps exec web id",
        "docker -H tcp://192.0.2.1 ps",
        "docker --host=tcp://192.0.2.1 ps",
        "docker --config /tmp ps",
        "docker --context x ps",
        "docker -D ps",
        "docker ps --host=tcp://192.0.2.1",
        "docker ps -H tcp://192.0.2.1",
        "docker compose ps",
        "docker compose -f /tmp/compose.yaml ps",
        "docker compose -p web -f /tmp/compose.yaml ps",
        "docker compose -p web exec db id",
        "docker compose -p web config",
        "docker compose -p -f ps",
        "docker compose -p",
        "docker compose --project-directory /tmp ps",
        "docker compose",
        "docker --version exec web id",
        "docker -v exec web id",
        "docker --help exec web id",
        "docker -v run -v /:/host image sh",
        "docker help exec",
        "docker top --host=x web",
        "docker container",
        "docker plugin install x",
        "docker secret create x y",
        "docker buildx ls",
        "docker image rm web",
        "docker image prune",
        "docker container exec web id",
        "docker network rm x",
        "docker system prune",
        "docker swarm join-token worker",
        "docker context use x",
        "docker login",
        "docker ps -n",
        "docker ps --all=maybe",
        "podman ps",
        "podman --version",
        "bash -c id",
    ],
)
def test_anything_else_is_refused(command: str) -> None:
    """Changes, other hosts, other roots, abbreviated options and other programs."""
    with pytest.raises(RelayError, match="Denied"):
        admit(command.split())


@pytest.mark.parametrize(
    "argv",
    [
        *([], [""], ["systemctl", "x" * MAX_LENGTH], ["systemctl", ""] * 999),
        ["docker", "", "exec", "web", "id"],
    ],
)
def test_odd_vectors(argv: list[str]) -> None:
    """No program, an empty one, too much."""
    with pytest.raises(RelayError, match="Denied"):
        admit(argv)


def test_the_package_puts_every_program_in_its_directory() -> None:
    root = Path(__file__).parents[2]
    links = (line.split() for line in (root / "debian/relay-shell.links").read_text().splitlines())
    shims = {f"/{link}" for target, link in links if target.endswith("relay-shell-query")}
    optional = {program: directory for directory, program in DIRECTORIES.items() if program}
    always = next(directory for directory, program in DIRECTORIES.items() if not program)
    assert shims == {f"{optional.get(name, always)}/{name}" for name in QUERIES}


def test_the_program_in_between_knows_what_it_may_leave_to_a_confined_one() -> None:
    source = (Path(__file__).parents[2] / "bin" / "relay-shell-query").read_text()
    assigned = next(
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CONFINED"
    )
    literals = {node.value for node in ast.walk(assigned) if isinstance(node, ast.Constant)}
    assert literals == set(HOST)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("docker exec web id", r"docker exec is not a question \(.*\bps\b.* are\)"),
        ("docker network rm x", r"docker network rm is not a question \(inspect, list, ls are\)"),
        ("docker -H tcp://192.0.2.1 ps", "docker -H in front of a verb"),
        ("docker compose -p \u00dc ps", "'\u00dc' is no project's name"),
        ("docker compose up", "`ls` and `-p PROJECT` with images, logs, ps, top are"),
        ("podman ps -a", "systemctl list-units 'libpod-\\*'"),
    ],
)
def test_refusal_says_what_may_be_asked(command: str, said: str) -> None:
    """Of docker and podman, whose verbs differ from what comes to mind."""
    with pytest.raises(RelayError, match=said):
        admit(command.split())
