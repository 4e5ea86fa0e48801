"""Two network namespaces with a wire between them, and certificates of a CA of their own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

ADDRESSES = ("10.211.0.1", "10.211.0.2")


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextlib.contextmanager
def wire(name: str) -> Iterator[tuple[str, str]]:
    """Names of two namespaces that reach each other under `ADDRESSES` and nothing else."""
    spaces = (f"{name}-a", f"{name}-b")
    try:
        for space in spaces:
            ip("netns", "add", space)
        peer = ("type", "veth", "peer", "name", "host0", "netns", spaces[1])
        ip("-n", spaces[0], "link", "add", "host0", *peer)
        for space, address in zip(spaces, ADDRESSES, strict=True):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "host0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "host0", "up")
        yield spaces
    finally:
        for space in spaces:
            ip("netns", "del", space, check=False)


def authority(directory: Path, *names: str) -> None:
    """ca.pem, and NAME.pem with NAME.key for each name, as docs/off-host.md makes them."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    out = ("-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-x509", *curve, "-days", "30", "-subj", "/CN=journal-ca", *usage, *out)
    for name in names:
        text = f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n"
        (directory / "ext").write_text(text)
        out = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *curve, "-subj", f"/CN={name}", *out)
        ca = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30")
        out = ("-extfile", "ext", "-out", f"{name}.pem")
        openssl("x509", "-req", "-in", f"{name}.csr", *ca, *out)
