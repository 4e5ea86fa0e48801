"""The hosts that agents reach through SSH: how connections live, how many, and the files."""

from __future__ import annotations

from ..setting import WORKER, Setting, integer, path

ROWS: tuple[Setting, ...] = (
    integer(
        "ssh.connect_timeout",
        10,
        1,
        120,
        "s",
        (WORKER,),
        "Time to reach one host and to log in there; each jump host has as much.",
    ),
    integer(
        "ssh.keepalive",
        15,
        0,
        3600,
        "s",
        (WORKER,),
        "A connection that was silent for this long is asked whether it lives, and ends if three "
        "such questions have no answer; 0 asks nothing.",
    ),
    integer(
        "ssh.idle",
        300,
        0,
        86400,
        "s",
        (WORKER,),
        "A connection that no call uses stays open for this long, for the next call; 0 closes it "
        "at once.",
    ),
    integer("limits.ssh_connections", 256, 1, 4096, "", (WORKER,), "SSH connections open at once."),
    integer("limits.fanout", 100, 1, 1000, "", (WORKER,), "Hosts that one ssh_fanout may name."),
    integer(
        "limits.fanout_at_once",
        32,
        1,
        256,
        "",
        (WORKER,),
        "Hosts that one ssh_fanout works on at once.",
    ),
    path(
        "paths.inventory",
        "/etc/relay-shell/inventory.toml",
        (WORKER,),
        "The hosts that the ssh tools reach, see inventory.toml(5).",
    ),
    path(
        "paths.known_hosts",
        "/etc/relay-shell/known_hosts",
        (WORKER,),
        "The keys of those hosts, in the format of sshd(8).",
    ),
)
