"""Clients that mean harm, inside the machine, straight on the socket. Prints JSON.

python3 hostile.py crowd COUNT       connections at once, held until standard input ends
python3 hostile.py malformed COUNT   lines that are no messages, then a good one
python3 hostile.py long MEGABYTES    one line
python3 hostile.py silent SECONDS    asks for long outputs and never reads
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time

PATH = "/run/relay-shell/relay-shell.sock"
INFO = {"name": "hostile", "version": "1"}


class Client:
    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(PATH)
        self._read = b""

    def send(self, ident: int, method: str, **params: object) -> None:
        message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hello(self) -> dict[str, object]:
        self.send(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=INFO)
        return self.answer(0)

    def answer(self, ident: int | None) -> dict[str, object]:
        while True:
            message = self.message()
            if message.get("id") == ident:
                return message

    def message(self) -> dict[str, object]:
        while b"\n" not in self._read:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        message: dict[str, object] = json.loads(line)
        return message


def crowd(count: int) -> object:
    clients = [Client() for _ in range(count)]
    greeted = sum("result" in client.hello() for client in clients)
    for client in clients:
        client.send(1, "tools/list")
    listed = sum("result" in client.answer(1) for client in clients)
    print(json.dumps({"greeted": greeted, "listed": listed}), flush=True)
    sys.stdin.read()
    return None


def malformed(count: int) -> object:
    dice = random.Random(20261122)
    client = Client()
    good = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}).encode()
    errors = 0
    for _ in range(count):
        line = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            line[dice.randrange(len(line))] = dice.randrange(256)
        # One line each, and none that is well-formed by chance: the last brace is gone.
        client.socket.sendall(bytes(line).replace(b"\n", b" ")[:-1] + b"\n")
        errors += "error" in client.message()
    return {"errors": errors, "then": "result" in client.hello()}


def long(megabytes: int) -> object:
    client = Client()
    client.socket.sendall(b'{"jsonrpc":"2.0","id":1,"method":"')
    for _ in range(megabytes):
        client.socket.sendall(b"x" * 1_000_000)
    client.socket.sendall(b'"}\n')
    return {"answer": client.message(), "then": "result" in client.hello()}


def silent(seconds: int) -> object:
    client = Client()
    client.hello()
    client.socket.settimeout(seconds)
    sent = 0
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            sent += 1
            client.send(sent, "tools/list")
    except TimeoutError:
        return {"sent": sent, "ended": "nobody reads what it sends"}
    except OSError:
        return {"sent": sent, "ended": "dropped"}
    return {"sent": sent, "ended": "served"}


if __name__ == "__main__":
    made = {"crowd": crowd, "malformed": malformed, "long": long, "silent": silent}
    print(json.dumps(made[sys.argv[1]](int(sys.argv[2]))))
