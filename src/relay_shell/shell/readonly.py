"""What an enforced command may do: a Landlock domain, two seccomp filters, and for root more.

The command may read what its user may read, and write only below a private scratch directory.
A root worker's command also gets a mount namespace in which every mount is read-only, and an
account of its own that keeps only capabilities to read. Its Landlock domain is no less needed: by
/proc/PID/root a command that may look at other processes reaches mounts that are not read-only.

Landlock has no rights for metadata (mode, owner, times, extended attributes), for connecting to
a path-name unix socket, or for ioctl(2) on directories; seccomp refuses those.

Two filters, because each of seccomp's argument rules is the exception to a default: the first
lists the calls that exist for the command and gives everything else ENOSYS or EPERM, the second
allows by default and refuses argument values. The kernel takes the stricter answer.
"""

from __future__ import annotations

import errno
import os
import resource

from .landlock import READ, WRITE, Domain, Fs, Net, Place, Rule, Scope
from .plan import Mounts
from .readable import paths
from .seccomp import ALLOW, Compare, Filter, equal, known_calls, masked, not_equal, refuse

METADATA = frozenset(
    """chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat chown32 fchown32 lchown32
    utime utimes futimesat utimensat setxattr lsetxattr fsetxattr setxattrat
    removexattr lremovexattr fremovexattr removexattrat file_setattr""".split()
)
"""Refused under Landlock; read-only mounts refuse them by themselves, and allow them in scratch."""

REFUSED = frozenset(
    """mount umount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig
    fsmount fspick mount_setattr setns unshare open_by_handle_at quotactl quotactl_fd swapon swapoff
    acct vhangup
    reboot kexec_load kexec_file_load init_module finit_module delete_module create_module iopl
    ioperm sethostname setdomainname settimeofday stime clock_settime clock_settime64 adjtimex
    clock_adjtime clock_adjtime64 _sysctl nfsservctl pciconfig_write uselib
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd
    pidfd_send_signal kcmp move_pages migrate_pages
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key
    request_key fanotify_init lookup_dcookie
    setuid setgid setreuid setregid setresuid setresgid setgroups setuid32 setgid32 setreuid32
    setregid32 setresuid32 setresgid32 setgroups32
    shmget shmat semget semop semtimedop semtimedop_time64 msgget msgsnd msgrcv mq_open mq_unlink
    ipc""".split()
)
"""Mounts, the machine, other processes, ways round the filter, identity, and objects that outlive
the command."""

ABSENT = frozenset({"clone3"})
"""glibc falls back to clone(2), whose flags a filter can see."""

_NAMESPACES = (
    0x00000080, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
"""CLONE_NEWTIME and the CLONE_NEW* of clone(2)."""

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_MAX = 1, 2, 10, 16, 46
_SOCK_TYPE_MASK, _SOCK_CONNECTED = 0xF, (1, 5)
"""SOCK_STREAM and SOCK_SEQPACKET. A datagram socket sends to any path that sendto(2) or connect(2)
names, also one of a socketpair(2): to journald, syslog and the service manager. SOCK_RAW is the
same here (net/unix/af_unix.c, unix_create)."""

_SYSLOG_READS = (3, 9, 10)
"""syslog(2): READ_ALL, SIZE_UNREAD, SIZE_BUFFER. READ takes messages away from who logs them; the
others clear or switch the console."""

_IOCTL_GROUPS = (0x5400, 0x8900, 0xB700)
"""ioctl(2) numbers by their high octets: terminals and descriptors, sockets, namespace queries.
What these can set of a network interface takes a capability that an enforced command lacks."""

_IOCTL_READS = (
    0x80086601, 0x80046601, 0x801C581F, 0xC020660B, 0x81009431, 0x80111500,
    0x80081272, 0x1260, 0x1268, 0x1269, 0x127B, 0x1278, 0x1279, 0x127A, 0x127C, 0x127E, 0x0301,
    0x8400941F, 0xC0109414, 0x80247009,
)  # fmt: skip
"""Attributes, extents, labels and UUIDs of files; sizes of block devices; btrfs and RTC queries."""

_IOCTL_REFUSED = (0x5412, 0x541C, 0x541D, 0x540E, 0x540C, 0x541F, 0x5423, 0x5437)
"""TIOCSTI (CVE-2016-7545 and kin), TIOCLINUX (CVE-2023-1523), TIOCCONS, TIOCSCTTY, TIOCEXCL,
TIOCSSERIAL, TIOCSETD (loads line disciplines) and TIOCVHANGUP: they reach past the command."""

_FCNTL_REFUSED = (1024, 1026)
"""F_SETLEASE and F_NOTIFY: a lease on a file that may only be read still stalls its writers."""

_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
"""Who 0 is every process of the account then, of other calls and other agents too."""

LIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 1024),
    (resource.RLIMIT_FSIZE, 64 * 1024 * 1024),
    (resource.RLIMIT_MEMLOCK, 64 * 1024),
    (resource.RLIMIT_MSGQUEUE, 0),
)
"""Bounds inside scratch; processes and memory are bounded by the unit's cgroup. A hard limit that
is lower already stays."""

CAPABILITIES = (2, 34)
"""CAP_DAC_READ_SEARCH and CAP_SYSLOG: what a root worker's commands keep. Not CAP_SYS_PTRACE, which
is the way to other processes' mounts and memory files."""

_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2


def calls_filter(*, metadata: bool) -> bytes:
    """The first filter: which system calls there are.

    Args:
        metadata: allow changing modes, owners and times (safe below read-only mounts only).
    """
    built = Filter(refuse(errno.ENOSYS))
    built.optimise()
    refused = REFUSED if metadata else REFUSED | METADATA
    for call in known_calls():
        if call in ABSENT or call == "ioctl":
            continue
        built.add(refuse(errno.EPERM) if call in refused else ALLOW, call)
    for group in _IOCTL_GROUPS:
        built.add(ALLOW, "ioctl", masked(1, 0xFFFFFF00, group))
    for number in _IOCTL_READS:
        built.add(ALLOW, "ioctl", equal(1, number))
    return built.build()


def arguments_filter(*, network: bool) -> bytes:
    """The second filter: which argument values are refused.

    Args:
        network: allow AF_INET and AF_INET6 sockets; AF_NETLINK stays for ip(8) and ss(8).
    """
    built = Filter(ALLOW)

    def deny(call: str, *compare: Compare, error: int = errno.EPERM) -> None:
        built.add(refuse(error), call, *compare)

    families = {_AF_NETLINK} | ({_AF_INET, _AF_INET6} if network else set())
    for family in range(_AF_MAX):
        if family not in families:
            deny("socket", equal(0, family), error=errno.EACCES)
    for family in range(_AF_MAX):
        if family != _AF_UNIX:
            deny("socketpair", equal(0, family), error=errno.EACCES)
    for kind in range(_SOCK_TYPE_MASK + 1):
        if kind not in _SOCK_CONNECTED:
            deny("socketpair", masked(1, _SOCK_TYPE_MASK, kind), error=errno.EACCES)
    for flag in _NAMESPACES:
        deny("clone", masked(0, flag, flag))
    for number in _IOCTL_REFUSED:
        deny("ioctl", equal(1, number))
    for number in _FCNTL_REFUSED:
        deny("fcntl", equal(1, number))
    for kind in range(11):
        if kind not in _SYSLOG_READS:
            deny("syslog", equal(0, kind))
    for call, user in (("setpriority", _PRIO_USER), ("ioprio_set", _IOPRIO_WHO_USER)):
        deny(call, not_equal(1, 0))
        deny(call, equal(0, user))
    for call in (
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
    ):
        deny(call, not_equal(0, 0))
    deny("prlimit64", not_equal(0, 0), not_equal(2, 0))
    for call in ("shmctl", "semctl", "msgctl"):
        for command in (0, 1, 11, 12, 16, 17):
            deny(call, equal(2 if call == "semctl" else 1, command))
    return built.build()


def programs(*, network: bool, metadata: bool) -> tuple[bytes, bytes]:
    """Both filters in the order to enter them: the one that names seccomp's own calls is last."""
    return arguments_filter(network=network), calls_filter(metadata=metadata)


def domain(scratch: str, *, network: bool, devices: bool, terminal: str | None = None) -> Domain:
    """The Landlock domain: read anywhere, write in scratch and to the bit buckets.

    Args:
        devices: the command may open what root may, so devices must be chosen (see `readable`);
            what the filters allow of ioctl(2) is allowed on them (sizes of disks and the like).
        terminal: path of the call's own terminal.
    """
    bucket = Fs.READ_FILE | Fs.WRITE_FILE | Fs.IOCTL_DEV
    buckets = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
    if devices:
        handled = WRITE | Fs.READ_FILE
        readable = [Rule(path, Fs.READ_FILE, Place.OPTIONAL) for path in paths(terminal=terminal)]
    else:
        handled = WRITE | READ | Fs.IOCTL_DEV
        readable = [Rule("/", READ)]
    return Domain(
        fs=handled,
        net=Net(0) if network else Net.BIND_TCP | Net.CONNECT_TCP,
        scope=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET,
        rules=(
            *readable,
            *(Rule(device, bucket & handled, Place.OPTIONAL) for device in buckets),
            Rule(
                scratch,
                (READ | WRITE) & ~(Fs.MAKE_CHAR | Fs.MAKE_BLOCK) & handled,
                Place.SCRATCH,
            ),
        ),
    )


def mounts(scratch: str, size: str = "64m") -> Mounts:
    """The mounts of a root worker's command: all read-only, a tmpfs on scratch."""
    attributes = _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID
    return Mounts(attributes, scratch, f"size={size},mode=1777")


def environment(scratch: str) -> dict[str, str]:
    """Variables that keep readers from paging, locking and caching outside scratch."""
    return {
        "TMPDIR": scratch,
        "XDG_CACHE_HOME": os.path.join(scratch, "cache"),
        "PAGER": "cat",
        "SYSTEMD_PAGER": "cat",
        "GIT_PAGER": "cat",
        "MANPAGER": "cat",
        "LESSHISTFILE": "-",
        "GIT_OPTIONAL_LOCKS": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEBIAN_FRONTEND": "noninteractive",
    }
