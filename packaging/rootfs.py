#!/usr/bin/env python3
"""Debian 13 file systems for building and testing, made once by mmdebstrap and kept under build/.

    packaging/rootfs.py build      chroot with debhelper, lintian and pip
    packaging/rootfs.py machine    what the test machines boot; apt can install the package offline
    packaging/rootfs.py vm         the same with a kernel, as a directory to make a disk image of
    packaging/rootfs.py docker     Debian's docker, extracted only: a layer to put below a machine's

Prints the directory. Its name carries a digest of everything that defines it, so that a changed
list makes a new file system and an unchanged one is taken as it is. Needs root, mmdebstrap and the
Debian archive. A mirror other than the default is taken from RELAY_SHELL_TEST_MIRROR.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("RELAY_SHELL_BUILD", TREE / "build")) / "rootfs"
SUITE = "trixie"
# Opens virtual machines to whoever may read build/; they listen on the loopback address alone.
VM_KEY = CACHE / "vm-key"

MACHINE_PACKAGES = """
    acl apt ca-certificates cron curl dbus e2fsprogs iproute2 iputils-ping less libpam-modules
    libpam-systemd login logrotate lsof man-db openssh-client openssh-server openssl passwd procps
    python3 strace stunnel4 sudo systemd systemd-journal-remote systemd-sysv util-linux
""".split()
BUILD_PACKAGES = """
    build-essential debhelper dh-python lintian python3 python3-docutils python3-pip
    python3-setuptools
""".split()
DOCKER_PACKAGES = "busybox-static docker-cli docker-compose docker.io".split()
VM_PACKAGES = ["linux-image-cloud-amd64", "initramfs-tools", "lz4"]


@dataclass(frozen=True)
class Definition:
    """One file system: the packages in it and the shell hooks run on it, "$1" being its root.

    `extracted` packages, and what they depend on, are not configured: their /usr, nothing else.
    """

    packages: tuple[str, ...]
    hooks: tuple[str, ...]
    keep_docs: bool = False
    extracted: bool = False

    def key(self) -> str:
        text = repr((SUITE, sorted(self.packages), self.hooks, self.keep_docs))
        text += " extracted" * self.extracted
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def package_relations() -> list[str]:
    """Names in Depends and Recommends of debian/control, without versions and substitutions."""
    control = (TREE / "debian/control").read_text()
    names: list[str] = []
    for field in re.findall(r"^(?:Depends|Recommends):((?:.*\n)(?:[ \t].*\n)*)", control, re.M):
        for clause in field.replace("\n", " ").split(","):
            first = clause.split("|")[0].strip()
            if first and not first.startswith("${"):
                names.append(re.split(r"[\s(:\[]", first)[0])
    return sorted(set(names))


# Two machines must not share an identity or host keys, and none may wait for a network.
ANONYMOUS = (
    ': > "$1/etc/machine-id"; rm -f "$1/var/lib/dbus/machine-id" "$1"/etc/ssh/ssh_host_* '
    '"$1/etc/hostname" "$1/etc/resolv.conf"',
    # A test that wants sshd makes host keys and starts it.
    'chroot "$1" systemctl disable ssh.service ssh.socket',
    'chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer man-db.timer '
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer logrotate.timer "
    "systemd-tmpfiles-clean.timer",
    # What a machine says must not depend on the time of day: no jobs of Debian's own crontabs. The
    # file that pam_env asks for at each of them is there on every machine the installer made.
    'sed -i "/^[0-9]/d" "$1/etc/crontab"; rm -f "$1"/etc/cron.d/*; touch "$1/etc/default/locale"',
)


def definition(name: str) -> Definition:
    if name == "build":
        return Definition(tuple(BUILD_PACKAGES), (), keep_docs=True)
    if name == "docker":
        return Definition(tuple(DOCKER_PACKAGES), (), extracted=True)
    # Downloaded, not installed: `apt install ./relay-shell_*.deb` then resolves and installs the
    # package's own dependencies, with neither a network nor a repository.
    download = (
        'chroot "$1" apt-get install --yes --download-only -o APT::Keep-Downloaded-Packages=true '
        + " ".join(package_relations())
    )
    if name == "machine":
        return Definition(tuple(MACHINE_PACKAGES), (download, *ANONYMOUS))
    if name == "vm":
        return Definition((*MACHINE_PACKAGES, *VM_PACKAGES), (download, *ANONYMOUS, *vm_hooks()))
    raise SystemExit(f"no file system named {name!r}: build, machine, vm or docker")


def vm_hooks() -> tuple[str, ...]:
    """What an emulated guest needs: virtio root disk, network by DHCP, ssh, and no slow extras."""
    return (
        f'mkdir -m 700 "$1/root/.ssh"; cp "{VM_KEY}.pub" "$1/root/.ssh/authorized_keys"; '
        'chroot "$1" ssh-keygen -A',
        'printf "[Match]\\nName=en* eth*\\n[Network]\\nDHCP=ipv4\\n" '
        '> "$1/etc/systemd/network/10-all.network"',
        'chroot "$1" systemctl enable systemd-networkd.service ssh.service',
        'chroot "$1" systemctl mask systemd-networkd-wait-online.service ldconfig.service '
        "systemd-binfmt.service modprobe@efi_pstore.service modprobe@drm.service "
        "serial-getty@ttyS0.service getty@tty1.service",
        'echo "/dev/vda / ext4 errors=remount-ro 0 1" > "$1/etc/fstab"',
        # Loading a hundred AppArmor profiles takes half a minute under emulation.
        'rm -rf "$1"/etc/apparmor.d/*',
        'printf "MODULES=list\\nCOMPRESS=lz4\\n" > "$1/etc/initramfs-tools/conf.d/vm"',
        'printf "virtio_pci\\nvirtio_blk\\next4\\n" > "$1/etc/initramfs-tools/modules"',
        'chroot "$1" update-initramfs -u',
    )


def make(name: str) -> Path:
    """The directory of the named file system, built first if need be."""
    wanted = definition(name)
    root = CACHE / f"{SUITE}-{name}-{wanted.key()}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.is_dir():
            return root
        if name == "vm" and not VM_KEY.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", VM_KEY], check=True
            )
        unfinished = CACHE / f".new-{name}"
        remove(unfinished)
        argv = [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--format=directory",
            f"--variant={'extract' if wanted.extracted else 'minbase'}",
            f"--include={','.join(wanted.packages)}",
            '--aptopt=Acquire::Languages "none"',
            "--aptopt=APT::Install-Recommends false",
            '--aptopt=Acquire::Retries "5"',
        ]
        if not wanted.extracted:
            argv.append("--skip=cleanup/apt,cleanup/reproducible")
        if not wanted.keep_docs:
            argv.append("--dpkgopt=path-exclude=/usr/share/locale/*")
        argv += [f"--customize-hook={hook}" for hook in wanted.hooks]
        argv += [SUITE, str(unfinished)]
        if mirror := os.environ.get("RELAY_SHELL_TEST_MIRROR"):
            argv.append(mirror)
        bootstrap(argv, unfinished)
        if wanted.extracted:
            for part in unfinished.iterdir():
                if part.is_symlink() or not part.is_dir():
                    part.unlink()
                elif part.name != "usr":
                    shutil.rmtree(part)
        unfinished.rename(root)
        for old in CACHE.glob(f"{SUITE}-{name}-*"):
            if old != root and not in_use(old):
                remove(old)
        return root


def bootstrap(argv: list[str], root: Path) -> None:
    """Runs mmdebstrap, again after a while if it fails: a mirror may be in the midst of an update.

    Raises:
        subprocess.CalledProcessError: it failed each time.
    """
    for pause in (10, 60, None):
        # The caller of this program reads the directory from stdout.
        done = subprocess.run(argv, check=pause is None, stdout=sys.stderr)
        if not done.returncode:
            return
        print(f"rootfs: mmdebstrap failed; again in {pause} s", file=sys.stderr)
        remove(root)
        time.sleep(pause or 0)


def in_use(directory: Path) -> bool:
    """Whether some process's mounts name the directory as an overlay's layer."""
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if str(directory) in mounts.read_text():
                return True
        except OSError:
            continue
    return False


def remove(directory: Path) -> None:
    if directory.exists():
        # A build that was killed leaves the mounts that it made in there, /proc among them.
        text = Path("/proc/self/mountinfo").read_text()
        mounted = [Path(line.split()[4]) for line in text.splitlines()]
        for place in reversed(mounted):
            if place.is_relative_to(directory.resolve()):
                subprocess.run(["umount", place], check=True)
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", directory], check=False)
        shutil.rmtree(directory)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(make(sys.argv[1]))
