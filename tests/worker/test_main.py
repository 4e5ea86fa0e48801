"""The program as systemd starts it: descriptor 3, notifications, signals, its own domain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import relay_shell
from processes import mark, processes_with
from relay_shell.shell import landlock
from relay_shell.wire.errors import RelayError
from relay_shell.wire.sockets import pair
from relay_shell.worker import __main__ as program
from worker.conftest import BrokerEnd, FrontEnd

SOURCE = str(Path(relay_shell.__file__).parent.parent)
PROGRAM = (
    "import os, sys\n"
    "os.environ['LISTEN_PID'] = str(os.getpid())\n"
    f"sys.path.insert(0, {SOURCE!r})\n"
    "from relay_shell.worker.__main__ import main\n"
    "sys.exit(main())\n"
)


class Unit:
    """A worker process, its manager's notification socket, and its two peers.

    `agent` is a connection to an ssh-agent, passed as by systemd, but before the front's.
    """

    def __init__(self, tmp: Path, posture: str, agent: socket.socket | None = None) -> None:
        self.tmp = tmp
        self.broker = BrokerEnd()
        self.broker.posture = posture
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(tmp / "broker.sock"))
        self.listener.listen()
        self.listener.setblocking(False)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(tmp / "notify.sock"))
        self.manager.setblocking(False)
        self.said: list[str] = []
        ours, theirs = pair()
        self.front = FrontEnd(ours)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp / "home"),
            "TMPDIR": str(tmp),
            "LISTEN_FDS": "2" if agent else "1",
            "LISTEN_FDNAMES": "ssh-agent:connection" if agent else "connection",
            "NOTIFY_SOCKET": str(tmp / "notify.sock"),
            "RELAY_SHELL_PATHS_BROKER": str(tmp / "broker.sock"),
        }
        launcher = (
            "import fcntl,os,sys\n"
            "passed=[fcntl.fcntl(int(fd),fcntl.F_DUPFD_CLOEXEC,16) for fd in sys.argv[1:]]\n"
            "for n,fd in enumerate(passed,3): os.dup2(fd,n)\n"
            f"os.execve(sys.executable,[sys.executable,'-I','-c',{PROGRAM!r}],dict(os.environ))"
        )
        passed = [sock.fileno() for sock in (agent, theirs) if sock is not None]
        self.process = subprocess.Popen(
            [sys.executable, "-c", launcher, *map(str, passed)],
            env=environment,
            pass_fds=passed,
            stderr=subprocess.PIPE,
        )
        theirs.close()

    async def serve(self) -> None:
        """Accept the worker's connections for the broker, collect its notifications."""
        loop = asyncio.get_running_loop()

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(self.listener)
                theirs = await self.broker.dial()
                await bridge(sock, theirs)

        async def bridge(left: socket.socket, right: socket.socket) -> None:
            for source, target in ((left, right), (right, left)):
                source.setblocking(False)
                loop.add_reader(source, forward, source, target)

        def forward(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                data = source.recv(70_000)
                if data:
                    target.send(data)
                    return
            loop.remove_reader(source)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

        async def listen() -> None:
            while True:
                self.said.append((await loop.sock_recv(self.manager, 4096)).decode())

        await asyncio.gather(accept(), listen())

    async def ended(self) -> int:
        async with asyncio.timeout(60):
            while self.process.poll() is None:
                await asyncio.sleep(0.02)
        return self.process.returncode

    async def close(self) -> None:
        """End the worker as systemd does, so that its commands end too."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            await self.ended()
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.front.link.close()
            self.listener.close()
            self.manager.close()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():
                assert self.process.poll() is None, self.process.stderr.read()  # type: ignore[union-attr]
                await asyncio.sleep(0.02)


@pytest.fixture
def unit(tmp_path: Path) -> Any:
    @contextlib.asynccontextmanager
    async def make(
        posture: str = "privileged", agent: socket.socket | None = None
    ) -> AsyncIterator[Unit]:
        made = Unit(tmp_path, posture, agent)
        serving = asyncio.create_task(made.serve())
        try:
            yield made
        finally:
            await made.close()
            serving.cancel()

    return make


def test_life_of_a_unit(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            await u.until(lambda: any("READY=1" in said for said in u.said))
            started = await u.front.start()
            assert started["pid"] == u.process.pid
            assert (await u.front.result("shell_exec", command="echo hi"))["stdout"] == "hi\n"
            assert (await u.front.result("shell_exec", command="pwd"))["stdout"] == (
                f"{u.tmp}/home\n"
            )
            await u.until(lambda: any("STATUS=unix:alice: 0 calls" in said for said in u.said))
            u.front.link.notify("detach", {"conn": "c-1", "reason": "EOF"})
            assert await u.ended() == 0
            assert any("STOPPING=1" in said for said in u.said)

    asyncio.run(main())


def test_spare_says_what_it_is(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            await u.until(lambda: any("STATUS=spare: waits" in said for said in u.said))
            assert any("READY=1" in said for said in u.said)
            await u.front.start()
            assert (await u.front.result("shell_exec", command="echo hi"))["stdout"] == "hi\n"
            await u.until(lambda: any("STATUS=unix:alice" in said for said in u.said))

    asyncio.run(main())


def test_spare_ends_with_the_front(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            await u.until(lambda: any("STATUS=spare: waits" in said for said in u.said))
            u.front.link.close("the front ended")
            assert await u.ended() == 0
            assert u.broker.links == []

    asyncio.run(main())


def test_sigterm_ends_everything_quickly(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            await u.front.start()
            await u.front.result("shell_spawn", command=f"trap '' HUP TERM; sleep {mark(98801)}")
            call = u.front.call(
                "shell_exec", {"command": f"setsid sleep {mark(98801)}"}, ident="k-1"
            )
            await u.until(lambda: len(processes_with(f"sleep\0{mark(98801)}")) == 2)
            u.process.send_signal(signal.SIGTERM)
            assert await u.ended() == 0
            assert processes_with(mark(98801)) == []
            assert u.broker.all("end")[-1]["status"] == "killed"
            assert u.broker.all("note")[-1]["facts"]["reason"] == "worker stopped"
            call.cancel()

    asyncio.run(main())


def test_worker_cannot_be_traced_by_its_own_account(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            await u.front.start()
            # Not dumpable: its /proc entries belong to root, whatever its own account.
            command = f"stat -c %U /proc/{u.process.pid}/mem; ls -l /proc/$PPID/exe"
            assert (await u.front.result("shell_exec", command=command))["stdout"].startswith(
                "root\n"
            )
            with open(f"/proc/{u.process.pid}/status") as file:
                assert "CoreDumping:\t0" in file.read()

    asyncio.run(main())


@pytest.mark.skipif(landlock.abi() < landlock.ABI_SCOPES, reason="kernel without Landlock scopes")
def test_scoped_worker_is_confined(unit: Any) -> None:
    async def main() -> None:
        outsider = subprocess.Popen(["sleep", mark(98802)])
        try:
            async with unit("scoped") as u:
                await u.front.start()
                info = await u.front.result("server_info")
                assert "Landlock domain of this worker" in info["containment"]
                reply = await u.front.result("shell_exec", command=f"kill -0 {outsider.pid}")
                assert reply["exit"] != 0
                assert "not permitted" in reply["stderr"]
                reply = await u.front.result("shell_exec", command=f"kill -0 {os.getpid()}")
                assert reply["exit"] != 0
                reply = await u.front.result("shell_exec", command="echo x > /sys/kernel/profiling")
                assert re.search("Permission denied|Read-only", reply["stderr"])
                if "cgroup for each call" in info["containment"]:
                    own = "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)"
                    command = f"cat /proc/self/cgroup; echo $$ > {own}/../cgroup.procs"
                    reply = await u.front.result("shell_exec", command=command)
                    assert "/call-k-" in reply["stdout"]
                    assert "Permission denied" in reply["stderr"]
                reply = await u.front.result(
                    "shell_exec",
                    command="mkdir a b; echo x > a/f; mv a/f b/g; cat b/g; ps -e | wc -l",
                )
                shown = reply["stdout"].split()
                assert shown[0] == "x"
                assert int(shown[1]) > 3
                session = (await u.front.result("shell_spawn"))["session"]
                reply = await u.front.result(
                    "session_send",
                    session=session,
                    text="tty; echo $((6*7))",
                    submit=True,
                    wait="(?m:^42)",
                    timeout=20,
                )
                assert "/dev/pts/" in reply["output"]
                reply = await u.front.result("session_kill", session=session)
                assert reply["killed"] >= 1
                # Its own children it may end.
                reply = await u.front.result("shell_exec", command="sleep 9 & kill $!; echo ok")
                assert reply["stdout"] == "ok\n"
        finally:
            outsider.kill()
            outsider.wait()

    asyncio.run(main())


@pytest.mark.skipif(landlock.abi() < landlock.ABI_SCOPES, reason="kernel without Landlock scopes")
def test_agents_cannot_signal_or_trace_each_other(unit: Any, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "other").mkdir()
        other = Unit(tmp_path / "other", "scoped")
        serving = asyncio.create_task(other.serve())
        try:
            async with unit("scoped") as u:
                await u.front.start()
                await other.front.start()
                call = other.front.call("shell_exec", {"command": f"sleep {mark(98803)}"})
                await u.until(lambda: processes_with(mark(98803)))
                victims = [
                    *processes_with(f"sleep\0{mark(98803)}"),
                    other.process.pid,
                    u.process.pid,
                ]
                for pid in victims[:2]:
                    for attempt in (f"kill -TERM {pid}", f"head -c1 /proc/{pid}/mem"):
                        reply = await u.front.result("shell_exec", command=attempt)
                        assert reply["exit"] != 0, attempt
                assert processes_with(mark(98803))
                call.cancel()
        finally:
            await other.close()
            serving.cancel()

    asyncio.run(main())


def test_no_command_has_the_connection_to_the_keys(unit: Any) -> None:
    async def main() -> None:
        keys, theirs = socket.socketpair()
        keys.setblocking(False)
        with keys, theirs:
            name = f"socket:[{os.fstat(theirs.fileno()).st_ino}]"
            async with unit(agent=theirs) as u:
                theirs.close()
                await u.front.start()
                # Directly, by a shell, and in a terminal.
                for command in ("ls -l /proc/self/fd", "ls -l /proc/self/fd | cat; env"):
                    reply = await u.front.result("shell_exec", command=command)
                    assert "0 -> " in reply["stdout"]
                    assert name not in reply["stdout"]
                    assert "LISTEN" not in reply["stdout"]
                session = (await u.front.result("shell_spawn"))["session"]
                text = "ls -l /proc/self/fd; echo $((6*7))"
                reply = await u.front.result(
                    "session_send",
                    session=session,
                    text=text,
                    submit=True,
                    wait="(?m:^42)",
                    timeout=60,
                )
                assert "0 -> " in reply["output"]
                assert name not in reply["output"]
                # The worker has it still.
                with pytest.raises(BlockingIOError):
                    keys.recv(1)
            assert keys.recv(1) == b""

    asyncio.run(main())


def test_a_connection_to_the_keys_is_no_front() -> None:
    keys, theirs = socket.socketpair()
    with keys, theirs:
        os.set_inheritable(theirs.fileno(), True)
        names = f"import os; os.dup2({theirs.fileno()}, 3); os.environ.update("
        names += "LISTEN_FDS='1', LISTEN_FDNAMES='ssh-agent')\n"
        ran = subprocess.run(
            [sys.executable, "-I", "-c", names + PROGRAM],
            env={},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 64


def test_without_a_descriptor_it_says_how_it_is_started() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM], env={}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 64
    assert "systemd" in ran.stderr


def test_worker_does_not_start_where_it_cannot_enter(unit: Any) -> None:
    async def main() -> None:
        async with unit() as u:
            u.broker.refuse = RelayError("PermissionDenied", reason="the ticket was used")
            with pytest.raises(RelayError, match="ticket was used"):
                await u.front.start()
            assert await u.ended() == 0

    asyncio.run(main())


def test_it_waits_for_nothing_that_other_agents_could_use_up() -> None:
    """epoll(7)'s watches are counted by account, which all Scoped workers share."""

    def epolls() -> int:
        fds = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
        return sum(os.path.islink(fd) and "eventpoll" in os.readlink(fd) for fd in fds)

    before = epolls()
    with asyncio.Runner(loop_factory=program.new_loop) as runner:
        runner.run(asyncio.sleep(0))
        assert epolls() == before
