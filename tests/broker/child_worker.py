"""A worker process for tests: says hello with a ticket, begins calls, then waits to be killed.

Arguments: socket path, ticket, connection, call ids. Prints its worker id and each verdict.
"""

from __future__ import annotations

import json
import socket
import sys

from relay_shell.wire.frame import Decoder, encode
from relay_shell.wire.messages import VERSION


def main() -> None:
    """Speak, then hold the link until standard input ends."""
    path, ticket, conn, *calls = sys.argv[1:]
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    decoder = Decoder()

    def ask(ident: int, name: str, body: dict[str, object]) -> dict[str, object]:
        for packet in encode({"m": name, "i": ident, "b": body}):
            sock.send(packet)
        while True:
            frame = decoder.feed(sock.recv(70_000))
            if frame is not None and frame.get("r") == ident:
                return frame

    hello = ask(1, "hello_worker", {"version": VERSION, "ticket": ticket})
    print(json.dumps(hello.get("b") or hello["e"]), flush=True)
    for n, call in enumerate(calls, 2):
        body = {"call": call, "conn": conn, "tool": "shell_exec", "args": {"command": "sleep 9"}}
        print(json.dumps(ask(n, "begin", body)["b"]), flush=True)
    for line in sys.stdin:
        end = {"call": line.strip(), "status": "ok", "duration_ms": 5, "exit": 3}
        for packet in encode({"m": "end", "i": 99, "b": end}):
            sock.send(packet)
        break


main()
