"""docker(1) under enforcement: its daemon's socket is the whole host, so it may only be asked."""

from __future__ import annotations

import pytest

from appliance.batch import Batch
from appliance.machine import Machine

SOCKET = "/run/docker.sock"
# Debian's docker and its daemon are 100 MB: these stand for the two ends of the socket.
DAEMON = f"""
import http.server, socketserver
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"asked {{self.path}}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return "-"
socketserver.UnixStreamServer({SOCKET!r}, Answer).serve_forever()
"""
CLIENT = f"""#!/bin/sh
exec curl -sS --unix-socket {SOCKET} "http://docker/$(echo "$@" | tr ' ' /)"
"""
SETTINGS = '[policy]\nmode = "readonly"\n'


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_it_is_asked_and_does_nothing_else(appliance: Machine, posture: str) -> None:
    appliance.expect(r"^<\d> relay-shell-worker")
    appliance.write("/etc/relay-shell/relay-shell.d/50-test.toml", SETTINGS)
    appliance.run("relay-shell", "posture", "set", posture)
    appliance.run("systemctl", "restart", "relay-shell.service")
    with Batch(appliance) as agent:
        assert agent.facts("shell_exec", command="command -v docker")["exit"] == 1

    appliance.write("/opt/daemon.py", DAEMON)
    appliance.run("systemd-run", "--unit=dockerd", "python3", "/opt/daemon.py")
    appliance.wait(f"curl -s --unix-socket {SOCKET} http://docker/")
    # As an administrator would who gave the account of the agents the group docker.
    appliance.run("chmod", "666", SOCKET)
    appliance.write("/usr/bin/docker", CLIENT)
    appliance.run("chmod", "755", "/usr/bin/docker")
    with Batch(appliance) as agent:
        asked = agent.facts("shell_exec", command="docker ps -a | cat")
        assert asked["stdout"] == "asked /--config//usr/lib/relay-shell/query/ps/-a\n"
        assert asked["enforced"]
        for refused in ("docker exec web id", "docker -l ps exec web id", "docker rm -f web"):
            facts = agent.facts("shell_exec", command=refused)
            assert (facts["exit"], facts["stdout"]) == (77, "")
            assert "not a question" in facts["stderr"]
        for around in (
            "/usr/bin/docker ps",
            f"curl -sS --unix-socket {SOCKET} http://docker/exec",
        ):
            facts = agent.facts("shell_exec", command=around)
            assert (facts["exit"], facts["stdout"]) == (7, ""), facts
