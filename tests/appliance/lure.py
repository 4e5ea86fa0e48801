"""Sockets that a read-only command must not reach; who connects is written down.

Runs inside the machine as root:  python3 lure.py LOG
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys

PATHS = (
    *("/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"),
    *("/run/mysqld/mysqld.sock", "/run/postgresql/.s.PGSQL.5432", "/tmp/.X11-unix/X0"),
    "/run/user/0/bus",
)
ABSTRACT = ("/tmp/.X11-unix/X0", "lure")
PORTS = (21, 25, 53, 80, 443, 873, 2375, 3306, 5432, 6379, 6443, 8080, 9200, 27017)
DATAGRAMS = (53, 123, 514)
DATAGRAM_PATH = "/run/datagrams"


def listeners() -> dict[socket.socket, str]:
    made: dict[socket.socket, str] = {}
    for path in PATHS:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o666)
        made[listener] = path
    for name in ABSTRACT:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\0" + name)
        made[listener] = f"@{name}"
    for port in PORTS:
        listener = socket.socket()
        listener.bind(("127.0.0.1", port))
        made[listener] = f"tcp {port}"
    for listener in made:
        listener.listen(64)
    for port in DATAGRAMS:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", port))
        made[receiver] = f"udp {port}"
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(DATAGRAM_PATH)
    os.chmod(DATAGRAM_PATH, 0o666)
    made[receiver] = DATAGRAM_PATH
    return made


def main() -> int:
    made = listeners()
    with open(sys.argv[1], "a", buffering=1, encoding="utf-8") as log:
        log.write("ready\n")
        while True:
            for ready in select.select(list(made), [], [])[0]:
                log.write(f"{made[ready]}\n")
                with contextlib.suppress(OSError):
                    if ready.type == socket.SOCK_DGRAM:
                        ready.recv(65536)
                    else:
                        ready.accept()[0].close()


if __name__ == "__main__":
    sys.exit(main())
