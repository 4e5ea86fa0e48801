"""Read-only, enforced: the whole corpus of changes on a real machine, which is then compared with
itself; and the corpus of readers, whose output must not suffer."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from appliance.batch import Batch
from appliance.machine import Machine

HERE = Path(__file__).parent
CORPUS = HERE.parent / "corpus"
LURES = "/var/log/lures"
# A worker that keeps outputs would stay for half an hour; a corpus is no matter of budgets. What is
# compared is a machine in which no worker is left, a spare neither.
SETTINGS = """
[policy]
mode = "{mode}"
[worker]
idle = 1
spare = 0
[budgets]
calls_per_minute = 0
sensitive_per_minute = 0
"""

# What takes all processes or memory it can get is the unit's limits' matter, which need a kernel
# with cgroup controllers: test_limits.
GREEDY = (":(){ :|:& };:",)

# What commands ask of PAM, the kernel and the service manager, and are refused: anything but a
# message of the broker or the front, or about them.
ASKED_FOR = r"^<\d> (?!relay-shell(?:-front|-http)?\.service: )"

# One end of a pair, which still sends to any path.
DATAGRAM = "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]"

# Ways that the corpus of shell commands does not take, in the same terms: none may succeed.
DIRECT = (
    "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('/run/docker.sock')\"",
    "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('\\0lure')\"",
    "python3 -c \"import socket; socket.create_connection(('127.0.0.1', 80), 2)\"",
    "python3 -c \"import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 53))\"",
    "exec 3<>/dev/tcp/127.0.0.1/443; echo x >&3",
    f"python3 -c \"{DATAGRAM}.sendto(b'x', '/run/datagrams')\"",
    f"python3 -c \"{DATAGRAM}.sendto(b'MESSAGE=forged', '/run/systemd/journal/socket')\"",
    f"python3 -c \"{DATAGRAM}.connect('/dev/log')\"",
    "stty -F /dev/console -echo; head -c1 /dev/console; cat /dev/watchdog",
    "curl -s --unix-socket /run/docker.sock http://x/",
    "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1"
    " org.freedesktop.systemd1.Manager StopUnit ss cron.service replace",
    "systemctl stop cron.service",
    "systemctl --version; systemctl mask --now cron.service",
    "/usr/bin/systemctl stop cron.service",
    "RELAY_SHELL_DESK=3 /usr/lib/relay-shell/query/systemctl restart cron.service",
    "setsid sh -c 'sleep 7111' & disown; true",
    "python3 -c \"import os; os.fork() or (os.setsid(), os.fork() or os.execlp('sleep', 'sleep',"
    " '7112'))\"",
    "kill -STOP $(pgrep -o cron); kill -9 $(pgrep -o cron)",
    "python3 -c \"import os; os.setxattr('/etc/passwd', 'user.x', b'1')\"",
    "python3 -c \"import os; os.utime('/etc/passwd', (1, 1))\"",
    "python3 -c \"import os; os.chmod('/etc/shadow', 0o666)\"",
    "chmod 777 /etc /tmp; chown nobody /etc/passwd; touch -d 2000-01-01 /etc/passwd",
    "ln /etc/passwd /tmp/hard; ln -s /etc /tmp/soft; mkfifo /tmp/fifo; mknod /tmp/null c 1 3",
    "rm -rf /var/lib/dpkg; mv /etc/passwd /etc/passwd.x; truncate -s 0 /etc/fstab",
    "for p in /proc/[0-9]*; do echo x > $p/root/var/tmp/through; touch $p/root/dev/shm/x; done",
    "for p in /proc/[0-9]*; do for f in $p/fd/*; do echo x > $f; done; done",
    "unshare -Ur sh -c 'mount -t tmpfs x /mnt'",
    "mount -o remount,rw /; mount --bind /tmp /etc; umount /tmp",
    "hostname changed; sysctl -w kernel.hostname=changed; date -s 2000-01-01",
    "ip link add d0 type dummy; ip address add 192.0.2.1/32 dev lo",
    "ip route add 192.0.2.0/24 dev lo; ip neigh flush all; tc qdisc add dev lo root netem",
    "ipcmk -M 4096; ipcmk -Q; ipcmk -S 1",
    "echo x > /dev/shm/x; echo x > /dev/mqueue/x; echo x > /run/x; echo x > /var/tmp/x",
    "echo 1 > /proc/self/oom_score_adj; echo 0 > /proc/sys/vm/drop_caches",
    "logger -p user.err forged; echo forged > /dev/kmsg; wall forged; printf x > /dev/console",
    "crontab -r; echo '* * * * * root touch /etc/late' > /etc/cron.d/late; at now <<< 'touch /x'",
)


class Given:
    """A machine in one posture and mode, with an agent's way to it."""

    def __init__(self, machine: Machine, posture: str, mode: str) -> None:
        self.machine = machine
        self.posture = posture
        machine.write("/etc/relay-shell/relay-shell.d/50-test.toml", SETTINGS.format(mode=mode))
        machine.run("relay-shell", "posture", "set", posture)
        machine.run("systemctl", "restart", "relay-shell.service")
        machine.put(HERE / "snapshot.py", "/opt/snapshot.py")
        machine.put(HERE / "lure.py", "/opt/lure.py")
        machine.run("systemd-run", "--unit=lure", "python3", "/opt/lure.py", LURES)
        machine.wait(f"grep -q ready {LURES}")

    def state(self) -> dict[str, Any]:
        """The machine's state once no worker is left."""
        self.machine.wait("! systemctl --quiet is-active 'relay-shell-worker@*'", 60)
        # What was started by asking (dbus activation) ends by itself after half a minute.
        self.machine.wait("! systemctl --quiet is-active systemd-hostnamed systemd-localed "
                          "systemd-timedated", 90)  # fmt: skip
        text = self.machine.out("python3", "-I", "/opt/snapshot.py", timeout=300)
        state: dict[str, Any] = json.loads(text)
        return state

    def reached(self) -> list[str]:
        """Which lures somebody connected to."""
        return self.machine.read(LURES).split("\n")[1:-1]


def commands(name: str) -> list[str]:
    rows = (CORPUS / f"commands-{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(row)["cmd"] for row in rows]
    return [command for command in found if command not in GREEDY]


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is different, a line each."""
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_nothing_of_the_changing_corpus_changes_the_machine(
    appliance: Machine, posture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    appliance.expect(ASKED_FOR)
    given = Given(appliance, posture, "readonly")
    with Batch(appliance) as agent:
        assert agent.facts("shell_exec", command="systemctl is-active cron")["enforced"]
    before = given.state()
    every = [*commands("changing"), *commands("irreversible"), *DIRECT]
    with Batch(appliance) as agent:
        calls = [("shell_exec", {"command": text, "timeout": 3}) for text in every]
        results = agent.many(calls)
    ran: Counter[str] = Counter()
    refused = []
    for command, result in zip(every, results, strict=True):
        facts = result.get("structuredContent", {})
        if facts.get("enforced"):
            ran[
                "exit 0" if facts["exit"] == 0 else "timeout" if "timeout" in facts else "exit"
            ] += 1
            ran["not installed"] += facts["exit"] == 127
        else:
            ran["refused"] += 1
            refused.append(f"{command!r}: {result}")
    with capsys.disabled():
        print(f"\n{posture}: {len(every)} commands enforced: {dict(ran)}")
        print(*refused, sep="\n")
    found = changes(before, given.state())
    assert found == [], f"{len(found)} changes:\n" + "\n".join(found[:100])
    assert given.reached() == []


def test_the_comparison_sees_changes_and_the_lures_see_visitors(appliance: Machine) -> None:
    given = Given(appliance, "privileged", "open")
    with Batch(appliance) as agent:
        agent.sh("true")
    before = given.state()
    with Batch(appliance) as agent:
        for command in (
            "touch /etc/made; chmod 600 /etc/debian_version",
            "touch -d 2000-01-01 /etc/group; echo x >> /etc/motd; ln /etc/issue /opt/linked",
            "systemd-run --unit=left sleep 7113; systemctl stop cron",
            "ip address add 192.0.2.1/32 dev lo; ipcmk -Q",
            *DIRECT[:6],
        ):
            agent.sh(command)
    found = " ".join(changes(before, given.state()))
    for sign in (
        *("/etc/made", "/etc/debian_version", "/etc/group", "/etc/motd", "/opt/linked"),
        *("cron.service", "sleep 7113", "192.0.2.1", "queues"),
    ):
        assert sign in found, sign
    lured = {"/run/docker.sock", "/run/datagrams", "@lure", "tcp 80", "tcp 443", "udp 53"}
    assert lured <= set(given.reached())


# What of a reader's output is not its subject: times, process numbers, counters, addresses that the
# kernel hands out, names that this product gives to each call, and the account of a root worker's
# reader as ps(1) shortens it.
VARYING = re.compile(
    r"call-k-[0-9a-f]+|k-[0-9a-f]{16}|0x[0-9a-f]+|\b[0-9a-f]{8,}\b|[0-9]+(?:[.:,][0-9]+)*"
    r"|shell_(?:exec|read)| \(readonly\)|\b(?:root|relay-s\+)"
)
OWN = re.compile(r"\breadonly-|[├└]─.* status$")
"""Lines of the call's own: its scratch directory, and itself in the tree of systemctl status."""
SHARE = 0.97
"""Of the readers that must say the same enforced as not."""


def status(result: dict[str, Any]) -> object:
    facts = result.get("structuredContent", {})
    return "timeout" if "timeout" in facts else facts.get("exit", "refused")


def lines(result: dict[str, Any]) -> list[str]:
    """A result's lines without what varies, and without the call's own."""
    facts = result.get("structuredContent", {})
    text = facts.get("stdout", "") + facts.get("stderr", "")
    kept = [line for line in text.splitlines() if OWN.search(line) is None]
    return [" ".join(VARYING.sub("#", line).replace(",", ", ").split()) for line in kept]


def same(enforced: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether an enforced run told what an open one before or after it did, in whatever order.

    Where two open runs differ from each other, the enforced one may not lack what both have. Of a
    program that is not installed it is enough to say so.
    """
    if status(enforced) not in (status(before), status(after)):
        return False
    told, first, second = (set(lines(result)) for result in (enforced, before, after))
    if status(enforced) == 127 or told in (first, second):
        return True
    return first != second and told >= first & second


@pytest.mark.parametrize("posture", ["scoped", "privileged"])
def test_readers_tell_the_same_enforced_as_not(
    appliance: Machine, posture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    appliance.expect(ASKED_FOR)
    # What was executed is recorded after the call: a reader of the journal would meet it or not.
    appliance.write(
        "/etc/relay-shell/relay-shell.d/50-observe.toml", '[evidence]\nobserve = "off"\n'
    )
    Given(appliance, posture, "open")
    every = commands("readonly")
    tools = ("shell_exec", "shell_read", "shell_exec")
    with Batch(appliance) as agent:
        calls = [(tool, {"command": text, "timeout": 2}) for text in every for tool in tools]
        # One at a time: a reader of the process table must not see another reader.
        results = agent.many(calls, at_once=1)
    misses = []
    absent = 0
    for index, command in enumerate(every):
        before, enforced, after = results[3 * index : 3 * index + 3]
        assert "enforced" in enforced["structuredContent"], (command, enforced)
        absent += status(before) == 127
        if not same(enforced, before, after):
            mine, theirs = set(lines(enforced)), set(lines(before))
            misses.append(
                f"{command}: {status(before)} -> {status(enforced)};"
                f" lacks {sorted(theirs - mine)[:3]}, adds {sorted(mine - theirs)[:3]}"[:400]
            )
    share = 1 - len(misses) / len(every)
    present = 1 - len(misses) / (len(every) - absent)
    with capsys.disabled():
        print(f"\n{posture}: {len(every)} readers, {share:.1%} the same; of the", end=" ")
        print(f"{len(every) - absent} that are installed {present:.1%}")
        print(*misses, sep="\n")
    assert share >= SHARE
