"""docker(1) under enforcement: its daemon's socket is the whole host, so it may only be asked.

Debian's own docker and daemon, with one image and one container that was made and never started:
that asks nothing of the kernel that the machine lacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from appliance.batch import Batch
from appliance.conftest import ready
from appliance.machine import Machine, rootfs

SETTINGS = '[policy]\nmode = "readonly"\n'
DAEMON = json.dumps(
    {"iptables": False, "ip6tables": False, "ip-forward": False, "bridge": "none",
     "storage-driver": "vfs"}
)  # fmt: skip
CONTAINER = """
mkdir /opt/image && cp /usr/bin/busybox /opt/image && tar -C /opt/image -c . | docker import - image
docker volume create kept
docker create --name web --network none --env TOLD=all image /busybox sleep 600
# The daemon chooses the log of a container that never ran when it is first asked for.
docker logs web
"""
ANSWERS = {
    "docker ps -a --format '{{.Names}} {{.State}}' | cat": "web created\n",
    "docker ps -a --filter name=web --format json | grep -c Names": "1\n",
    "docker ps -aq | xargs docker inspect --format '{{.Path}} {{.Config.Env}}'": (
        "/busybox [TOLD=all]\n"
    ),
    "docker images --format '{{.Repository}}:{{.Tag}}'": "image:latest\n",
    "docker image inspect -f '{{.RepoTags}}' image": "[image:latest]\n",
    "docker history -q image | wc -l": "1\n",
    "docker logs --tail 5 -t web": "",
    "docker info --format '{{.Driver}} {{.Containers}}'": "vfs 1\n",
    "docker version --format '{{.Server.Os}}'": "linux\n",
    "docker network ls --format '{{.Name}}' | sort": "host\nnone\n",
    "docker network inspect -f '{{.Driver}}' none": "null\n",
    "docker volume ls -q": "kept\n",
    "docker system df --format '{{.Type}} {{.TotalCount}}' | head -n 1": "Images 1\n",
    "docker stats --no-stream --format '{{.Name}}' web": "web\n",
    "docker port web": "",
    "docker diff web": "",
    "docker compose ls -a -q": "",
    "docker compose -p web ps -a -q": "",
    "docker ps --help | grep -c Usage": "1\n",
    "docker --help | grep -c ^Usage": "1\n",
    "docker --version | grep -c version": "1\n",
}
REFUSED = (
    *("docker exec web id", "docker run --rm image /busybox id", "docker rm -f web"),
    *("docker cp web:/busybox .", "docker cp /etc/passwd web:/", "docker kill web"),
    *("docker start web", "docker rmi -f image", "docker tag image other", "docker commit web x"),
    *("docker volume rm kept", "docker system prune -af --volumes", "docker swarm init"),
    *("docker -v exec web id", "docker --version rm -f web", "docker --help rm -f web"),
    *("docker -l ps exec web id", "docker -H unix:///run/docker.sock ps", "docker -D ps"),
    *("docker --context default ps", "docker --config /tmp ps", "docker ps --config /tmp"),
    *("docker compose ps", "docker compose -p web up", "docker compose -f /etc/x -p web ps"),
    *("docker buildx ls", "DOCKER_HOST=tcp://192.0.2.1 docker ps"),
)
AROUND = (
    "/usr/bin/docker ps -a",
    "/usr/bin/docker rm -f web",
    "env PATH=/usr/bin docker rm -f web",
    "curl -sS --unix-socket /run/docker.sock http://docker/containers/json",
    "curl -sS --unix-socket /run/docker.sock -X DELETE http://docker/containers/web",
    "sudo docker rm -f web",
)
STATE = (
    "docker inspect web; docker images -aq --no-trunc; docker volume ls -q; docker network ls -q"
)
GROUP = "[Service]\nSupplementaryGroups=docker\n"


@pytest.fixture
def docked(boot: Callable[..., Machine]) -> Machine:
    """A machine in mode readonly with docker's programs, its daemon not yet started."""
    machine = ready(boot(below=(rootfs("docker"),)))
    machine.expect(r"^<\d> relay-shell-worker")
    machine.expect(r"docker.service: Referenced but unset environment variable .*: DOCKER_OPTS")
    machine.write("/etc/relay-shell/relay-shell.d/50-test.toml", SETTINGS)
    machine.write("/etc/docker/daemon.json", DAEMON)
    machine.run("groupadd", "--system", "docker")
    return machine


def told(agent: Batch, commands: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each command with the structured content of its result."""
    given = list(commands)
    results = agent.many([("shell_exec", {"command": command}) for command in given], at_once=4)
    return [(c, r["structuredContent"]) for c, r in zip(given, results, strict=True)]


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_it_is_asked_and_does_nothing_else(docked: Machine, posture: str) -> None:
    docked.run("relay-shell", "posture", "set", posture)
    docked.run("systemctl", "start", "docker.service")
    docked.shell(CONTAINER)
    with Batch(docked) as agent:
        # Where it is not installed nothing pretends to be it.
        docked.run("mv", "/usr/bin/docker", "/opt/docker")
        assert agent.facts("shell_exec", command="command -v docker")["exit"] == 1
        docked.run("mv", "/opt/docker", "/usr/bin/docker")
        if posture == "scoped":
            facts = agent.facts("shell_exec", command="docker ps")
            assert (facts["exit"], facts["stdout"]) == (1, "")
            assert "SupplementaryGroups=docker in a drop-in" in facts["stderr"]
    if posture == "scoped":
        docked.write("/etc/systemd/system/relay-shell-worker@.service.d/60-docker.conf", GROUP)
        docked.run("systemctl", "daemon-reload")
    before = docked.shell(STATE)
    with Batch(docked) as agent:
        for command, facts in told(agent, ANSWERS):
            answer = ANSWERS[command]
            assert (facts["exit"], facts["stdout"]) == (0, answer), (command, facts)
            assert facts["enforced"]
        # What the daemon answers is the answer.
        facts = agent.facts("shell_exec", command="docker top web -eo pid,cmd")
        assert (facts["exit"], facts["stdout"]) == (1, "")
        assert "is not running" in facts["stderr"]
        for command, facts in told(agent, REFUSED):
            assert (facts["exit"], facts["stdout"]) == (77, ""), (command, facts)
            assert facts["stderr"].startswith("docker: "), facts
        for command, facts in told(agent, AROUND):
            assert facts["exit"] not in (0, None) and facts["stdout"] == "", (command, facts)
    assert docked.shell(STATE) == before
