"""Whether the value of a sensitive key is a secret, or a placeholder, a word of prose or code."""

from __future__ import annotations

import re

# All of these run on one value of at most a window's length, and none nests a repetition.
_PATH = re.compile(
    rb"(?:\.{0,2}|~|[A-Za-z]:)/(?:etc|run|var|tmp|home|usr|opt|root|srv|mnt|proc|dev|sys|bin|sbin"
    rb"|lib|boot|media|Users|secrets?|data|app|private|path|keys|certs|config|\.[a-z]+)(?:/|\Z)"
)
_RELATIVE = re.compile(rb"(?:\.{1,2}|~)/")
_FILE = re.compile(
    rb"[\w./@~+\-]+\.(?:pem|key|crt|cer|der|csr|pub|p12|pfx|jks|asc|gpg|json|ya?ml|toml|ini|conf|cfg"
    rb"|env|txt|html?|xml|py|js|ts|go|rb|php|sh|c|h|md|log|sock|service)\Z"
)
_HEX = re.compile(rb"0[xX][0-9A-Fa-f]{1,8}[uUlL]{0,2}\Z")
_MASKED = re.compile(rb"(?:[*\xe2\x80\xa2]+|[xX.\-_?#]{3,})\Z")
# What follows a quote that closed: ("Password: ").
_CLOSING = re.compile(rb"[\"'();,.}\]> \t]+\Z")
# A name of a variable alone; `${NAME:-default}` has a value.
_VARIABLE = re.compile(rb"\$(?:[A-Z][A-Z0-9_]*|\{[A-Za-z_]\w*\})\Z")
_NUMBER = re.compile(rb"-?[0-9]{1,5}\Z")
_FORMAT = re.compile(
    rb"%[sdvqrx]\Z|%\([a-z_]+\)?s?\Z|\{\}\Z|%[A-Za-z_]+%\Z|:[a-z_]+\Z|@[A-Z_]+@\Z|\?\Z"
)
_BRACKET = re.compile(rb"\[[A-Za-z _-]*\]\Z")
_ATTRIBUTE = re.compile(
    rb"(?:self|args|opts?|options|os|cfg|conf|config|settings|request|req|res|process|env|params"
    rb"|this|ctx|context|cls|kwargs|data|event|user|session|secrets|vars?|local|module|props|state"
    rb"|app|flask|django|form|row|obj|input)\.[A-Za-z_][\w.]*\Z"
)
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z_.]*\Z")
_NAME = re.compile(rb"[A-Za-z_][\w.]*\Z")
_INDEXED = re.compile(rb"[A-Za-z_][\w.]*\[")
# SSHKey, serverAuth, CertificateIssuerPrivateKeyTypes: names of things, not values.
_TYPE = re.compile(
    rb"[A-Za-z_][\w.]*(?:Key|Keys|Password|Token|Secret|Auth|Credentials?)(?:Types?)?\Z"
)
_DOTTED = re.compile(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z")
_DIGITS_DOTS = re.compile(rb"[0-9.]+\Z")
_COLOUR = re.compile(rb"#[0-9A-Fa-f]{3,8}\Z")
_TEMPLATE = re.compile(rb"<[^<>]*>\Z|\{\{|\$[A-Za-z_({]|\{[a-z_]*\}\Z")
_LETTER = re.compile(rb"[A-Za-z]")
_DIGIT = re.compile(rb"[0-9]")
_CAMEL = re.compile(rb"[a-z][A-Z]")

_NULL = frozenset(
    b"""none null nil true false undefined nan yes no on off empty unset void redacted hidden masked
    changeme_placeholder todo tbd n/a na""".split()
)
_STATUS = frozenset(
    b"""ok failed failure success invalid incorrect missing expired wrong valid unknown error denied
    accepted required optional enabled disabled default basic bearer digest oauth oauth2 ldap saml
    jwt kerberos ntlm trust ident peer""".split()
)
_STOP = _NULL | frozenset(
    b"""string str bytes bool boolean int integer number float double object any optional required
    text char varchar type list array dict map option options flag argument parameter param value
    values file field key name user username password passwd secret token auth apikey enabled
    disabled ok invalid incorrect missing expired wrong valid failed failure success unknown error
    denied accepted authentication authorization basic bearer digest oauth oauth2 ldap saml jwt
    kerberos ntlm md5 trust ident cert peer scram-sha-256 pam gssapi sspi reject default custom
    hash hashed encrypted plain plaintext hex base64 utf-8 utf8 the a an is and or to for with if in
    from of on by as it that this your you must should will can may not be has have are was were
    when where which use using see set get new old change changed reset updated required. prompt
    amd64 arm64 armhf armel i386 ppc64el riscv64 s390x mips64el loong64 all
    stdin inherit env environment keyring keychain vault const let var final static return self
    async await lambda def class public private protected""".split()
)
_WORDY = re.compile(rb"[a-z_]+[0-9]{0,3}\Z")
_WEAK = ("token", "auth", "secret")


def placeholder(value: bytes) -> bool:
    """Values that are visibly no secret in any context."""
    lower = value.lower()
    return (
        lower.rstrip(b",.;") in _NULL
        or _MASKED.match(value) is not None
        or _CLOSING.match(value) is not None
        or _VARIABLE.match(value) is not None
        or _FORMAT.match(value) is not None
        or _BRACKET.match(value) is not None
        or _PATH.match(value) is not None
        or _RELATIVE.match(value) is not None
        or _COLOUR.match(value) is not None
        or _HEX.match(value) is not None
        or _FILE.match(value) is not None
        or lower.startswith((b"your_", b"your-", b"yourpass", b"yourtoken", b"example_", b"file:"))
    )


def random_like(value: bytes) -> bool:
    """Letters mixed with digits or punctuation: no word, no identifier."""
    if len(value) < 6:
        return _DIGIT.search(value) is not None and _LETTER.search(value) is not None
    if _DIGIT.search(value) is not None:
        return _LETTER.search(value) is not None or len(value) >= 8
    stripped = value.strip(b".,:!?")
    if any(byte in b"!@#%^*+=/~?" for byte in stripped) and _LETTER.search(stripped) is not None:
        return True
    return len(value) >= 20 and _CAMEL.search(value) is not None and b"." not in value


def tight(key: bytes, value: bytes, after: bytes, cls: str, flag: bool) -> bool:
    """``key=value`` without blanks, or the argument of a long flag."""
    if placeholder(value):
        return False
    if cls in _WEAK and _NUMBER.match(value) is not None:
        return False
    if cls == "key" and len(value) < 4:
        # <a accesskey="n">
        return False
    if value.lower() == key.lower():
        return False
    if flag:
        return True
    if cls in _WEAK and value.lower() in _STATUS:
        return False
    if after[:1] == b"(" and _NAME.match(value) is not None:
        return False
    if _INDEXED.match(value) is not None or _ATTRIBUTE.match(value) is not None:
        return False
    # login(user, password=pw): an argument list, not an assignment.
    return not (after[:1] in (b")", b",") and _IDENTIFIER.match(value) is not None)


def argument(value: bytes, cls: str) -> bool:
    """``--flag value``."""
    if placeholder(value) or value.lower() in _STOP or value[:1] in (b"-", b"=", b"["):
        return False
    return not (cls in _WEAK and _NUMBER.match(value) is not None)


def quoted(value: bytes, cls: str, phrase: bool) -> bool:
    """``key: "value"`` and ``key = "value"``; ``phrase`` when more words follow in the quotes."""
    if placeholder(value) or value.lower() in _STOP or _TYPE.match(value) is not None:
        return False
    if (phrase and not random_like(value)) or _TEMPLATE.match(value) is not None:
        return False
    if b" " in value and not _STOP.isdisjoint(value.lower().split()):
        # "Enter your password": a label.
        return False
    if cls in _WEAK:
        if _NUMBER.match(value) is not None or _DIGITS_DOTS.match(value) is not None:
            return False
        return not (len(value) < 8 and value.isalpha() and value.islower())
    return True


def spaced(
    key: bytes, value: bytes, after: bytes, cls: str, colon: bool, ends: bool, first: bool
) -> bool:
    """``key = value`` and ``key: value`` without quotes.

    ``ends``: the value ends its line; ``first``: the key begins its line.
    """
    lower = value.lower()
    if placeholder(value) or lower in _STOP or lower.rstrip(b".,;:") in _STOP:
        return False
    if after[:1] in (b"(", b"{", b"<") or _code(value):
        return False
    if _IDENTIFIER.match(value) is not None and lower in key.lower():
        return False
    if cls != "password":
        if _DIGITS_DOTS.match(value) is not None or _dotted(value):
            return False
        if colon:
            return random_like(value) and not (value.isalpha() and len(value) < 20)
        # token = token2, key = sha256
        return random_like(value) and _WORDY.match(value) is None
    if value.isdigit() and len(value) < 4:
        return False
    if random_like(value):
        return True
    if not (ends and first) or after[:1] in (b",", b"."):
        return False
    if _DIGIT.search(value) is not None:
        return True
    return not (
        b"_" in value or b"." in value or _CAMEL.search(value) is not None or len(value) < 4
    )


def _dotted(value: bytes) -> bool:
    """``module.name``, but for digests and identifiers that a machine made: ``ed5e….91c0…``."""
    if _DOTTED.match(value) is None:
        return False
    made = (part for part in value.split(b".") if len(part) >= 20 and part.isalnum())
    return all(sum(byte in b"0123456789" for byte in part) < 3 for part in made)


def _code(value: bytes) -> bool:
    return any(pattern.match(value) is not None for pattern in (_INDEXED, _ATTRIBUTE, _TYPE))
