"""The program behind `disk.Disk`: serves one file by the protocol of /dev/fuse (fuse(4), and
linux/fuse.h for the layouts), and keeps apart what was flushed and what was not.

Arguments: image, mount point, file to leave behind. On stdin, "cut SEED" cuts the power within
the next writes, or when there has been none for a second.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import select
import struct
import sys
import time

FILE, CUT = "disk", "cut"
SECTOR = 512

LOOKUP, FORGET, GETATTR, SETATTR = 1, 2, 3, 4
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, RELEASEDIR, DESTROY, BATCH_FORGET = 27, 29, 38, 42
DIRECT_IO = 1
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
PAGES = 64
LARGEST = PAGES * 4096


class Cache:
    """What the disk holds, and what of it a cut may take."""

    def __init__(self, data: bytes) -> None:
        self.now = bytearray(data)
        self.kept = bytearray(data)
        self.waiting: list[tuple[int, bytes]] = []
        self.flushes = 0

    def write(self, offset: int, data: bytes) -> None:
        self.now[offset : offset + len(data)] = data
        self.waiting.append((offset, data))

    def flush(self) -> None:
        for offset, data in self.waiting:
            self.kept[offset : offset + len(data)] = data
        self.waiting.clear()
        self.flushes += 1

    def cut(self, dice: random.Random) -> tuple[int, int]:
        """Let each sector that was not flushed survive or not; how many there were, and did."""
        chance = dice.choice((0.0, 0.5, dice.random(), 1.0))
        sectors = survived = 0
        for offset, data in self.waiting:
            for at in range(0, len(data), SECTOR):
                sectors += 1
                if dice.random() < chance:
                    survived += 1
                    piece = data[at : at + SECTOR]
                    self.kept[offset + at : offset + at + len(piece)] = piece
        return sectors, survived


def _mount(place: str) -> int:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={LARGEST}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"disk", place.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount fuse")
    return fd


def _attributes(node: int, size: int) -> bytes:
    mode, links = (0o040700, 2) if node == 1 else (0o100600, 1)
    now = int(time.time())
    return struct.pack(
        "<6Q10I", node, size, size // 512, now, now, now, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0
    )


def _serve(cache: Cache, opcode: int, node: int, body: bytes) -> bytes | int | None:
    """The answer to one request: its body, an errno, or None where none is wanted."""
    size = len(cache.now)
    if opcode == WRITE:
        _, offset, length = struct.unpack_from("<QQI", body)
        cache.write(offset, body[40 : 40 + length])
        return struct.pack("<II", length, 0)
    if opcode == READ:
        _, offset, length = struct.unpack_from("<QQI", body)
        return bytes(cache.now[offset : offset + length])
    if opcode == FSYNC:
        cache.flush()
        return b""
    if opcode == INIT:
        _, minor, ahead, flags = struct.unpack_from("<4I", body)
        out = (7, min(minor, 31), ahead, flags & (BIG_WRITES | MAX_PAGES), 16, 12, LARGEST, 1)
        return struct.pack("<4IHHIIHH7I", *out, PAGES, 0, *[0] * 7)
    if opcode == LOOKUP:
        if body.rstrip(b"\0").decode() != FILE:
            return errno.ENOENT
        return struct.pack("<4Q2I", 2, 0, 3600, 3600, 0, 0) + _attributes(2, size)
    if opcode in (GETATTR, SETATTR):
        return struct.pack("<Q2I", 3600, 0, 0) + _attributes(node, size if node == 2 else 0)
    if opcode in (OPEN, OPENDIR):
        # Nothing of the file may stay in the kernel: this program is the disk.
        return struct.pack("<Q2I", 0, DIRECT_IO, 0)
    if opcode == STATFS:
        return struct.pack("<5Q4I6I", size // 4096, 0, 0, 2, 0, 4096, 255, 4096, 0, *[0] * 6)
    if opcode in (FLUSH, RELEASE, RELEASEDIR, DESTROY):
        return b""
    if opcode in (FORGET, BATCH_FORGET):
        return None
    return errno.ENOSYS


def main(image: str, place: str, left: str) -> None:
    """Serve until the power is cut or the file system is unmounted."""
    with open(image, "rb") as file:
        cache = Cache(file.read())
    fd = _mount(place)
    print("ready", flush=True)
    dice, writes = None, 0
    while dice is None or writes > 0:
        ready, _, _ = select.select([fd, 0] if dice is None else [fd], [], [], 1)
        if 0 in ready:
            words = sys.stdin.readline().split()
            if not words:
                break
            # Power fails in the middle of a commit as well as between two.
            dice = random.Random(int(words[1]))
            writes = dice.randint(0, 12)
            continue
        if not ready:
            writes = 0
            continue
        try:
            request = os.read(fd, LARGEST + 65536)
        except OSError as error:
            if error.errno == errno.ENOENT:
                continue
            return
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        writes -= opcode == WRITE
        answer = _serve(cache, opcode, node, request[40:])
        if answer is None or (dice is not None and not writes):
            continue
        failure, out = (-answer, b"") if isinstance(answer, int) else (0, answer)
        os.write(fd, struct.pack("<IiQ", 16 + len(out), failure, unique) + out)
    # Whoever waits for an answer, and whoever asks from now on, gets an error.
    os.close(fd)
    if dice is None:
        return
    sectors, survived = cache.cut(dice)
    with open(left, "wb") as file:
        file.write(cache.kept)
    print(f"{cache.flushes} flushes; {survived} of {sectors} unflushed sectors kept", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
