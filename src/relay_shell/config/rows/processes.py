"""The processes: how long they stay, what they run, and where they meet."""

from __future__ import annotations

from ..setting import BROKER, FRONT, WORKER, Setting, choice, integer, path

ROWS: tuple[Setting, ...] = (
    integer(
        "front.idle_exit",
        300,
        0,
        30 * 86400,
        "s",
        (FRONT,),
        "The front ends after this long without a client, and starts at the next; 0 never.",
    ),
    integer(
        "worker.idle",
        1800,
        0,
        30 * 86400,
        "s",
        (WORKER,),
        "A worker whose client is gone keeps its sessions for this long.",
    ),
    integer(
        "worker.spare",
        1,
        0,
        8,
        "",
        (FRONT,),
        "Workers kept started for the next connections while there are clients (11 MB each), so "
        "that their first call waits for none; 0 starts each at need.",
    ),
    integer(
        "worker.broker_wait",
        10,
        0,
        300,
        "s",
        (WORKER,),
        "How long a new call waits for a broker that is restarting before it is refused.",
    ),
    choice(
        "worker.landlock",
        ("require", "off"),
        (WORKER,),
        False,
        "require: a worker of the scoped posture that cannot confine itself with Landlock does "
        "not start.",
    ),
    choice(
        "worker.readonly_network",
        ("off", "on"),
        (WORKER,),
        True,
        "on: enforced commands (shell_read, and all in mode readonly) may use TCP and UDP, to read "
        "from the network, and so also to send.",
    ),
    Setting(
        "worker.path",
        "str",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        1,
        4096,
        "",
        (WORKER,),
        True,
        "PATH of commands.",
    ),
    Setting(
        "worker.shell",
        "path",
        "/bin/bash",
        2,
        4095,
        "",
        (WORKER,),
        True,
        "Shell that runs 'command' and sessions.",
    ),
    path("paths.socket", "/run/relay-shell/relay-shell.sock", (FRONT,), "Where agents connect."),
    path(
        "paths.broker",
        "/run/relay-shell/broker.sock",
        (BROKER, FRONT, WORKER),
        "Where front and workers meet the broker.",
    ),
    path(
        "paths.operator",
        "/run/relay-shell/operator.sock",
        (BROKER,),
        "Where operators meet the broker.",
    ),
    path(
        "paths.worker", "/run/relay-shell/worker.sock", (FRONT,), "Where systemd starts a worker."
    ),
    path("paths.audit", "/var/log/relay-shell/audit.jsonl", (BROKER,), "The record."),
    path(
        "paths.recordings",
        "/var/log/relay-shell/recordings",
        (BROKER,),
        "Recordings of sessions.",
    ),
    path(
        "paths.state",
        "/var/lib/relay-shell-broker",
        (BROKER,),
        "What the broker keeps over restarts.",
    ),
    path(
        "paths.runtime",
        "/run/relay-shell-broker",
        (BROKER,),
        "What the broker keeps until the host restarts.",
    ),
    path(
        "paths.acknowledged",
        "/run/relay-shell-ack/acknowledged",
        (BROKER,),
        "Which record the collector holds; relay-shell-ack.service writes it.",
    ),
)
