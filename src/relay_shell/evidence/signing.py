"""Signatures over the record: Ed25519 (RFC 8032), by a key that the writer alone can read.

What is signed is the statement `relay-shell checkpoint v1`, the key's id, and number, chain value
and count of the records it covers, each on a line of its own. Private keys are PKCS #8 PEM, public
ones SubjectPublicKeyInfo PEM, so openssl(1) can make and check all of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\s.*?-----END PUBLIC KEY-----", re.DOTALL)


class KeyFault(ValueError):
    """A key that cannot be used."""


def statement(key: str, seq: int, chain: str, count: int) -> bytes:
    """What a checkpoint signs.

    Args:
        key: id of the signing key.
        seq: number of the last record covered.
        chain: its chain value, which covers all records before it.
        count: records since the checkpoint before, as the writer counted them.
    """
    return f"relay-shell checkpoint v1\n{key}\n{seq}\n{chain}\n{count}\n".encode("ascii")


def key_id(public: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over the 32 bytes of a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


class Signer:
    """A private key; the library for it is loaded at the first use.

    Args:
        pem: gives it as PKCS #8, unencrypted; called at the first use. May raise KeyFault.
    """

    def __init__(self, pem: Callable[[], bytes]) -> None:
        self._pem = pem
        self._private: Ed25519PrivateKey | None = None
        self._id = ""
        self._lock = threading.Lock()

    @property
    def known(self) -> str:
        """The key's id if it was loaded, else empty."""
        return self._id

    def load(self) -> None:
        """Take the key; takes some 50 ms the first time in a process.

        Raises:
            KeyFault: it is no Ed25519 key, or the library is missing.
        """
        # Warmed in a thread, wanted by the loop: of a key that is missing, one of them makes it.
        with self._lock:
            if self._private is None:
                private = self._loaded()
                self._id = key_id(private.public_key().public_bytes_raw())
                self._private = private

    def _loaded(self) -> Ed25519PrivateKey:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            private = load_pem_private_key(self._pem(), None)
        except ImportError as error:
            raise KeyFault(f"python3-cryptography is not installed: {error}") from None
        except KeyFault:
            raise
        except (ValueError, TypeError) as error:
            raise KeyFault(f"the signing key cannot be read: {error}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFault("the signing key is not an Ed25519 key")
        return private

    @property
    def key(self) -> str:
        """The key's id."""
        self.load()
        return self._id

    def public_pem(self) -> bytes:
        """The public key, for verifiers."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self.load()
        assert self._private is not None
        return self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def checkpoint(self, seq: int, chain: str, count: int) -> dict[str, Any]:
        """The facts of a checkpoint record.

        Raises:
            KeyFault: the key cannot be used.
        """
        self.load()
        assert self._private is not None
        signature = self._private.sign(statement(self._id, seq, chain, count))
        return {
            "seq": seq,
            "chain": chain,
            "count": count,
            "key": self._id,
            "signature": base64.b64encode(signature).decode("ascii"),
        }


class Keys:
    """The public keys that a verifier trusts.

    Args:
        pems: files' contents, each with any number of public keys.

    Raises:
        KeyFault: a content without a key, or with one that is not Ed25519.
    """

    def __init__(self, pems: Iterable[bytes] = ()) -> None:
        self._keys: dict[str, Ed25519PublicKey] = {}
        for content in pems:
            found = _PEM.findall(content)
            if not found:
                raise KeyFault("there is no public key (PEM) in it")
            for pem in found:
                self._add(pem)

    def _add(self, pem: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            public = load_pem_public_key(pem)
        except ImportError as error:
            raise KeyFault(f"python3-cryptography is not installed: {error}") from None
        except (ValueError, TypeError) as error:
            raise KeyFault(f"a public key cannot be read: {error}") from None
        if not isinstance(public, Ed25519PublicKey):
            raise KeyFault("a public key is not an Ed25519 key")
        self._keys[key_id(public.public_bytes_raw())] = public

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._keys

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether the signature in a checkpoint's facts is of the key that they name."""
        from cryptography.exceptions import InvalidSignature

        public = self._keys.get(str(facts.get("key")))
        seq, chain, count = facts.get("seq"), facts.get("chain"), facts.get("count")
        if public is None or type(seq) is not int or type(count) is not int:
            return False
        try:
            signature = base64.b64decode(str(facts.get("signature")), validate=True)
            public.verify(signature, statement(str(facts["key"]), seq, str(chain), count))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def generate() -> bytes:
    """A new private key, as PKCS #8 PEM.

    Raises:
        KeyFault: the library is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError as error:
        raise KeyFault(f"python3-cryptography is not installed: {error}") from None
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
