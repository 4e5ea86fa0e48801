"""The operator socket's client against a broker that is absent, silent or hostile."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_shell.cli.operator import Operator
from relay_shell.wire.errors import RelayError
from relay_shell.wire.frame import encode

Serve = Callable[[socket.socket], None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "operator.sock")


@pytest.fixture
def serve(path: str) -> Iterator[Callable[[Serve], str]]:
    """Listen at `path` and let a function answer the one connection."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    listener.settimeout(60)
    threads: list[threading.Thread] = []

    def start(answer: Serve) -> str:
        def run() -> None:
            sock, _ = listener.accept()
            sock.settimeout(60)
            with sock:
                answer(sock)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return path

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    listener.close()


def refused(path: str, timeout: float = 10.0) -> RelayError:
    with pytest.raises(RelayError) as caught:
        Operator(path, timeout)
    return caught.value


def test_no_socket(path):
    assert refused(path).kind == "Unavailable"


def test_a_socket_that_nobody_listens_on(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(path)
        error = refused(path)
    assert (error.kind, error.exit_status) == ("BrokerUnavailable", 69)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_stranger_is_told_which_group_to_join(path, tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    os.chmod(path, 0o660)
    tmp_path.chmod(0o711)
    directory = os.open(tmp_path, os.O_PATH)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        # The magic link needs no way through the parents.
        error = refused(f"/proc/self/fd/{directory}/operator.sock")
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.close(directory)
        listener.close()
    assert (error.kind, error.exit_status) == ("PermissionDenied", 77)
    assert "relay-shell-operators" in error.message


def test_silence_is_bounded(serve):
    release = threading.Event()

    def silent(sock: socket.socket) -> None:
        release.wait(60)

    try:
        error = refused(serve(silent), timeout=0.2)
    finally:
        release.set()
    assert error.message.startswith("the broker cannot be reached (no answer to hello_operator")


def test_a_broker_that_hangs_up(serve):
    error = refused(serve(lambda sock: None))
    assert error.kind == "BrokerUnavailable"


@pytest.mark.parametrize(
    "packet",
    [
        b"\x03not json",
        b"\x03[]",
        b"\xffoops",
        b'\x03{"r":1,"b":{"instance":1,"program":"x"}}',
        b'\x03{"r":1,"b":{}}',
        b'\x03{"r":1,"e":{"kind":"Nonsense","message":"x"}}',
        b'\x03{"r":1,"e":"x"}',
    ],
)
def test_an_answer_outside_the_table_is_refused(serve, packet):
    def hostile(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.send(packet)

    assert refused(serve(hostile)).kind == "Protocol"


def test_an_error_of_the_broker_keeps_its_kind(serve):
    def refusing(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.send(b'\x03{"r":1,"e":{"kind":"VersionMismatch","message":"peer speaks 2"}}')

    error = refused(serve(refusing))
    assert (error.kind, error.message, error.exit_status) == (
        "VersionMismatch",
        "peer speaks 2",
        76,
    )


def test_an_answer_to_another_question_is_passed_over_and_a_long_one_joined(serve):
    records = [{"seq": n, "detail": "x" * 1000} for n in range(500)]

    def answer(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.send(b'\x03{"r":99,"b":{"records":[]}}')
        sock.send(b'\x03{"r":1,"b":{"instance":"i","program":"p"}}')
        sock.recv(65536)
        for packet in encode({"r": 2, "b": {"records": records}}):
            sock.send(packet)

    with Operator(serve(answer)) as broker:
        assert broker.broker["program"] == "p"
        assert broker.request("records", {"count": 1, "filters": {}})["records"] == records


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_broker_that_turns_a_stranger_away_without_a_word(tmp_path, serve):
    path = serve(lambda sock: None)
    os.chmod(path, 0o666)
    tmp_path.chmod(0o711)
    directory = os.open(tmp_path, os.O_PATH)
    os.seteuid(65534)
    try:
        error = refused(f"/proc/self/fd/{directory}/operator.sock")
    finally:
        os.seteuid(0)
        os.close(directory)
    assert error.kind == "PermissionDenied"
