"""Throughput of the redaction engine, and whether its cost grows linearly.

Run: ``python bench/redaction.py``. Prints MB/s by kind of text (whole and streamed in 4 KiB
pieces), then the time for doubled inputs of hostile text: a factor near 2 is linear.
Times are CPU times of this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from relay_shell.secrets import default

MB = 1_000_000


def listing(rng: random.Random) -> str:
    """``ls -l``."""
    return "".join(
        f"-rw-r--r-- 1 root root {rng.randrange(10**7):8d} Mar {rng.randrange(1, 29):2d} "
        f"{rng.randrange(24):02d}:{rng.randrange(60):02d} {word(rng)}-{word(rng)}.conf\n"
        for _ in range(2000)
    )


def word(rng: random.Random) -> str:
    return "".join(rng.choice("etaoinshrdlucmfwypvbgk") for _ in range(rng.randrange(2, 10)))


def journal(rng: random.Random) -> str:
    """``journalctl``."""
    units = ("sshd", "systemd", "cron", "kernel", "nginx", "postgres", "dockerd")
    return "".join(
        f"Nov 21 {rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d} web01 "
        f"{rng.choice(units)}[{rng.randrange(65536)}]: {' '.join(word(rng) for _ in range(9))} "
        f"from 192.0.2.{rng.randrange(256)} port {rng.randrange(65536)}\n"
        for _ in range(2000)
    )


def access(rng: random.Random) -> str:
    """A web server's access log with a URL and a user agent a line."""
    return "".join(
        f'192.0.2.{rng.randrange(256)} - - [21/Nov/2026:10:00:00 +0000] "GET /{word(rng)}/'
        f'{word(rng)}?page={rng.randrange(99)} HTTP/1.1" 200 {rng.randrange(10**5)} '
        f'"https://www.example.org/{word(rng)}" "Mozilla/5.0 (X11; Linux x86_64)"\n'
        for _ in range(1500)
    )


def base64_text(rng: random.Random) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join("".join(rng.choices(alphabet, k=76)) + "\n" for _ in range(2500))


def source(_: random.Random) -> str:
    """Source code: the standard library's own, which speaks of keys, tokens and passwords."""
    import argparse as one
    import http.client as two
    import smtplib as three
    import tokenize as four

    return "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8") for module in (one, two, three, four)
    )


def prose(rng: random.Random) -> str:
    return "".join(" ".join(word(rng) for _ in range(12)).capitalize() + ".\n" for _ in range(3000))


ORDINARY: dict[str, Callable[[random.Random], str]] = {
    "ls -l": listing,
    "journal": journal,
    "access log": access,
    "prose": prose,
    "source code": source,
    "base64": base64_text,
}

HOSTILE = {
    "anchors only": "token",
    "keys with values": "token=abc123def ",
    "long key": "passwordpassword",
    "long value": "password=" + "x1" * 4000,
    "option flags": " -p -u -a",
    "mysql options": "mysql -p ",
    "url heads": "http://a:",
    "key block heads": "-----BEGIN RSA PRIVATE KEY-----\n",
    "half JWT": "eyJhbGciOi",
    "half cookies": "cookie: a=b; ",
    "colons and blanks": "password :                    ",
    "marks": "[REDACTED:jwt]",
    "open marks": "password=[REDACTED:",
    "backslashes": 'password\\\\\\\\"',
    "dollar hashes": "$6$abc$",
    "blanks": " ",
}


def repeat(text: str, size: int) -> bytes:
    data = text.encode()
    return (data * (size // len(data) + 1))[:size]


def seconds(function: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def streamed(data: bytes, piece: int = 4096) -> None:
    stream = default(False).stream()
    for index in range(0, len(data), piece):
        stream.feed(data[index : index + piece])
    stream.finish()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=4.0, help="MB of ordinary text (default 4)")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    redactor = default()
    redactor.text("warm up")
    size = int(args.size * MB)
    print(f"{len(redactor.rules)} rules, {args.size:g} MB of each kind")
    print(f"{'ordinary text':20} {'MB/s':>8} {'streamed':>9} {'marks':>6}")
    rates = []
    for name, make in ORDINARY.items():
        data = repeat(make(random.Random(1)), size)
        elapsed = seconds(lambda data=data: redactor.data(data), args.rounds)
        pieces = seconds(lambda data=data: streamed(data), args.rounds)
        counts = redactor.data(data).counts
        rates.append(size / MB / elapsed)
        print(f"{name:20} {rates[-1]:8.1f} {size / MB / pieces:9.1f} {sum(counts.values()):6d}")
    print(f"{'lowest':20} {min(rates):8.1f}   budget 20")
    command = "curl -sS -H 'Accept: application/json' https://www.example.org/v1/items | jq ."
    each = seconds(lambda: [redactor.text(command) for _ in range(1000)], args.rounds)
    print(f"{'one short command':20} {each * 1000:8.1f} µs")
    print(f"\n{'hostile text':20} {'MB/s':>8} {'250 KB ms':>10} {'500 KB ms':>10} {'slope':>6}")
    for name, text in HOSTILE.items():
        small, large = repeat(text, 250_000), repeat(text, 500_000)
        one = seconds(lambda data=small: redactor.data(data), args.rounds)
        two = seconds(lambda data=large: redactor.data(data), args.rounds)
        print(f"{name:20} {0.5 / two:8.2f} {one * 1e3:10.1f} {two * 1e3:10.1f} {two / one:6.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
