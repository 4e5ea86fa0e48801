"""Commands run to their end: output, time, cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from expiry import expires_at
from processes import mark, processes_with
from relay_shell.shell import run as run_module
from relay_shell.wire.errors import RelayError
from shell.conftest import Call


def test_exit_status_and_both_streams(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run("echo out; echo err >&2; exit 3")
            assert (done.exit, done.signal) == (3, None)
            assert (done.stdout, done.stderr) == ("out\n", "err\n")
            assert done.bytes == 8
            assert not done.truncated
            assert (done.killed, done.survivors) == (0, 0)

    asyncio.run(main())


def test_streams_merged_in_order(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run("echo 1; echo 2 >&2; echo 3", merge_stderr=True)
            assert (done.stdout, done.stderr) == ("1\n2\n3\n", "")

    asyncio.run(main())


def test_signal_is_told_from_exit(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run("kill -TERM $$")
            assert (done.exit, done.signal, done.signal_number) == (None, "SIGTERM", 15)

    asyncio.run(main())


def test_hash_is_of_the_stream_or_of_both_digests(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            out, err = hashlib.sha256(b"a\n"), hashlib.sha256(b"b\n")
            assert (await r.run("echo a")).sha256 == out.hexdigest()
            assert (await r.run("echo b >&2")).sha256 == err.hexdigest()
            both = hashlib.sha256(out.digest() + err.digest()).hexdigest()
            assert (await r.run("echo a; echo b >&2")).sha256 == both

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 5, 65_536, 65_537, 3_000_000])
def test_stdin_of_any_size(rig: Any, size: int) -> None:
    async def main() -> None:
        async with rig() as r:
            data = os.urandom(size)
            done = await r.run("sha256sum", stdin=data)
            assert done.stdout.split()[0] == hashlib.sha256(data).hexdigest()

    asyncio.run(main())


def test_without_stdin_reading_ends_at_once(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            assert (await r.run("cat; echo end")).stdout == "end\n"

    asyncio.run(main())


def test_timeout_keeps_partial_output_and_kills_the_tree(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at(f"sleep\0{mark(98761)}", monkeypatch)

    async def main() -> None:
        async with rig() as r:
            done = await r.run(
                f"echo partial; sleep {mark(98761)} & sleep {mark(98761)}", timeout=600
            )
            assert done.timeout == 600
            assert done.stdout == "partial\n"
            assert done.signal == "SIGKILL"
            assert done.survivors == 0
            assert processes_with(mark(98761)) == []

    asyncio.run(main())


def test_background_child_with_stdout_does_not_block(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run(f"sleep {mark(98762)} & echo started", timeout=60)
            assert done.stdout == "started\n"
            assert (done.exit, done.timeout) == (0, None)
            assert (done.killed, done.survivors) == (1, 0)
            assert processes_with(mark(98762)) == []

    asyncio.run(main())


def test_background_child_may_write_its_last(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "DRAIN", 60.0)

    async def main() -> None:
        async with rig() as r:
            done = await r.run("exec > >(sed s/^/x/); echo a; exit 4")
            assert (done.exit, done.stdout) == (4, "xa\n")

    asyncio.run(main())


@pytest.mark.parametrize(
    "escape",
    [
        "setsid sleep {} >/dev/null 2>&1 </dev/null &",
        "(setsid sh -c '(setsid sleep {} &) ; exit' &) >/dev/null 2>&1",
        "nohup setsid -f sleep {} >/dev/null 2>&1; env -i setsid -f sleep {} >/dev/null 2>&1",
        "python3 -c 'import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork():"
        ' os._exit(0)\nos.closerange(0,99)\nos.execvp("sleep",["sleep","{}"])\'',
    ],
    ids=["setsid", "double", "clean-environment", "daemon"],
)
def test_escapees_die_with_the_call(rig: Any, escape: str) -> None:
    async def main() -> None:
        async with rig() as r:
            marker = mark(98760)
            # The sleep is there before the command ends, so that there is something to kill.
            wait = f"until pgrep -f '^sleep {marker}' >/dev/null; do sleep 0.01; done"
            done = await r.run(f"{escape.replace('{}', marker)}\n{wait}; echo done")
            assert done.stdout == "done\n"
            assert done.killed >= 1
            assert done.survivors == 0
            assert processes_with(f"sleep\0{marker}") == []

    asyncio.run(main())


def test_call_leaves_other_calls_alone(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            command = (
                f"(setsid sleep {mark(98763)} &) ; until [ -e go ]; do sleep 0.01; done; echo end"
            )
            long = asyncio.create_task(r.run(command, call=Call("k-long")))
            await r.until(lambda: processes_with(mark(98763)))
            done = await r.run(f"(setsid sleep {mark(98764)} &) >/dev/null 2>&1; echo short")
            assert processes_with(mark(98764)) == []
            assert processes_with(mark(98763))
            assert done.stdout == "short\n"
            Path(r.account.home, "go").touch()
            assert (await long).stdout == "end\n"
            assert processes_with(mark(98763)) == []

    asyncio.run(main())


def test_cancelled_run_kills_the_tree_and_keeps_what_it_had(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            call = Call()
            task = asyncio.create_task(
                r.run(f"echo begun; setsid sleep {mark(98765)} & sleep {mark(98765)}", call=call)
            )
            await r.until(lambda: len(processes_with(mark(98765))) >= 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert processes_with(mark(98765)) == []
            assert call.partial.stdout == "begun\n"
            assert call.partial.survivors == 0

    asyncio.run(main())


def test_cancelling_twice_still_ends_everything(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            task = asyncio.create_task(r.run(f"sleep {mark(98766)} & sleep {mark(98766)}"))
            await r.until(lambda: processes_with(mark(98766)))
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert processes_with(mark(98766)) == []

    asyncio.run(main())


def test_long_output_keeps_head_and_tail_and_a_handle(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run("seq 100000", max_output=1000)
            whole = "".join(f"{n}\n" for n in range(1, 100_001))
            assert done.truncated
            assert done.bytes == len(whole)
            assert done.sha256 == hashlib.sha256(whole.encode()).hexdigest()
            head, mark, tail = done.stdout.partition(f"[TRUNCATED - {len(whole)} bytes total, ")
            shown, _, tail = tail.partition(" shown]\n")
            assert mark
            assert whole.startswith(head.rstrip("\n"))
            assert whole.endswith(tail)
            assert int(shown) <= 1000
            page = r.outputs.get(done.output, None).page(0, 10_000_000)
            assert page["text"] == whole

    asyncio.run(main())


def test_both_streams_share_the_room(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            done = await r.run("seq 10000; echo short >&2", max_output=2000)
            assert done.stderr == "short\n"
            assert len(done.stdout) <= 2100
            done = await r.run("seq 200; seq 200 >&2", max_output=1000)
            assert done.truncated
            assert len(done.stdout) + len(done.stderr) <= 1100
            for stream in ("stdout", "stderr"):
                page = r.outputs.get(done.output, stream).page(0, 100_000)
                assert page["text"] == "".join(f"{n}\n" for n in range(1, 201))

    asyncio.run(main())


def test_invalid_utf8_and_escapes_become_valid_json(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            raw = b"\xff\xfe\x00\x1b[31mred\x1b[0m \xe2\x82"
            done = await r.run(["/bin/cat"], stdin=raw)
            assert done.sha256 == hashlib.sha256(raw).hexdigest()
            assert done.bytes == len(raw)
            json.dumps(done.stdout).encode("utf-8")
            assert done.stdout == "\ufffd\ufffd\0\x1b[31mred\x1b[0m \ufffd"

    asyncio.run(main())


@pytest.mark.slow
def test_a_gigabyte_in_bounded_memory(rig: Any) -> None:
    async def main() -> None:
        size = 1_000_000_000
        async with rig(limits__outputs_bytes=8 << 20) as r:
            tracemalloc.start()
            done = await r.run(f"head -c {size} /dev/zero; printf end", timeout=300)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert done.bytes == size + 3
            assert done.exit == 0
            assert peak < 4 << 20
            expected = hashlib.sha256()
            block = bytes(1_000_000)
            for _ in range(1000):
                expected.update(block)
            expected.update(b"end")
            assert done.sha256 == expected.hexdigest()
            pages = r.outputs.get(done.output, None)
            end = pages.page(size - 5, 100)
            assert end["text"] == "\0" * 5 + "end"
            middle = pages.page(size // 2, 100)
            assert middle["missing"]
            assert middle["text"] == ""
            assert pages.page(middle["resume"], 1 << 20)["text"].endswith("end")

    asyncio.run(main())


def test_script_is_sealed_and_gets_its_arguments(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            script = b'echo "$1-$2"; echo evil >> /proc/self/fd/3 || echo sealed\n'
            done = await r.run(["/bin/bash"], script=script, script_args=["a", "b c"])
            assert done.stdout == "a-b c\nsealed\n"
            python = b"import sys; print(sys.argv[1:])"
            done = await r.run(["/usr/bin/python3"], script=python, script_args=["x"])
            assert done.stdout == "['x']\n"

    asyncio.run(main())


def test_progress_tells_the_last_lines(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            call = Call()
            command = "seq 5; until [ -e go ]; do sleep 0.05; done"
            task = asyncio.create_task(r.run(command, call=call))
            await r.until(lambda: call.said)
            Path(r.account.home, "go").touch()
            await task
            assert call.said[0] == "3\n4\n5"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("argv", "options", "kind", "words"),
    [
        (["no-such-program"], {}, "Spawn", "not found in PATH"),
        (["/no/such/file"], {}, "Spawn", "No such file"),
        (["/etc/passwd"], {}, "Spawn", "Permission denied"),
        (["true"], {"cwd": "/no/such/dir"}, "Spawn", "is not a directory"),
        (["true"], {"cwd": "a\0b"}, "InvalidArguments", "NUL"),
        (["true"], {"env": {"A=B": "c"}}, "InvalidArguments", "variable name"),
        (["true"], {"env": {"RELAY_SHELL_CALL": "k-other"}}, "InvalidArguments", "reserved"),
        (["true", "x" * 200_000], {}, "Spawn", "shell_script"),
        (["true"], {"call": Call(enforcement="other")}, "Enforcement", "other"),
    ],
)
def test_what_cannot_start_says_why(
    rig: Any, argv: list[str], options: dict[str, Any], kind: str, words: str
) -> None:
    async def main() -> None:
        async with rig() as r:
            before = sorted(os.listdir("/proc/self/fd"))
            with pytest.raises(RelayError, match=words) as caught:
                await r.run(argv, **options)
            assert caught.value.kind == kind
            assert sorted(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


def test_nothing_of_ours_is_inherited(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leaked = (
        "NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES WATCHDOG_USEC WATCHDOG_PID "
        "CREDENTIALS_DIRECTORY INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID PYTHONPATH"
    ).split()
    for name in leaked:
        monkeypatch.setenv(name, "leak")

    async def main() -> None:
        async with rig() as r:
            fd = os.open("/etc/passwd", os.O_RDONLY)
            os.set_inheritable(fd, True)
            done = await r.run(["env"], env={"GIVEN": "yes"})
            found = dict(line.split("=", 1) for line in done.stdout.splitlines())
            assert set(found) & set(leaked) == set()
            assert found["GIVEN"] == "yes"
            assert found["RELAY_SHELL_CALL"] == "k-test"
            assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM"} <= set(found)
            done = await r.run(["ls", "/proc/self/fd"])
            # ls itself opens the directory as 3.
            assert done.stdout.split() == ["0", "1", "2", "3"]
            done = await r.run(["cat", "/proc/self/status"])
            status = dict(
                line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line
            )
            assert int(status["SigIgn"], 16) == 0
            assert int(status["SigBlk"], 16) == 0
            os.close(fd)

    asyncio.run(main())


def test_no_descriptor_is_left_after_many_calls(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            await r.run("true")
            before = len(os.listdir("/proc/self/fd"))
            await asyncio.gather(*(r.run(f"echo {n}", call=Call(f"k-{n}")) for n in range(40)))
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


def test_cpu_time_and_memory_are_the_commands(rig: Any) -> None:
    # A figure no larger than the worker's own peak would say nothing, and is left out.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    async def main() -> None:
        async with rig() as r:
            wanted = own + (100 << 20)
            done = await r.run(
                ["python3", "-c", f"x = bytearray({wanted})\nfor _ in range(10**6): 0"]
            )
            assert done.used.cpu_ms > 10
            assert wanted < done.used.mem_peak < wanted + (200 << 20)
            assert (await r.run("true")).used.mem_peak is None

    asyncio.run(main())
