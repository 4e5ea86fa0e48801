"""Keys, certificates and security policy tools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..programs import by_spec
from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_GPG_READ = re.compile(
    r"--(?:list-(?:public-)?keys|list-secret-keys|list-sigs|list-signatures|check-sigs|fingerprint"
    r"|list-packets|show-keys|version|list-config|print-mds?|verify|export|with-.*|no-.*|batch"
    r"|armor"
    r"|keyid-format(?:=.*)?|quiet|verbose|homedir(?:=.*)?|keyring(?:=.*)?|dry-run"
    r"|import-options(?:=.*)?"
    r"|show-keys|list-options(?:=.*)?|fixed-list-mode|status-fd(?:=.*)?|help|warranty|dump-options)"
    r"|-[kKavq]+|-k"
)
_GPG_ASKS = re.compile(
    r"--(?:list-.*|check-sigs|fingerprint|show-keys|version|print-mds?|verify|export|help|warranty"
    r"|dump-options)|-[kKav]*[kK][kKav]*"
)


def judge_gpg(call: Call, spec: Spec) -> None:
    """`gpg`: even listing creates its home and trust database; secrets and changes count more."""
    options = [arg.text for arg in call.args if arg.text.startswith("-")]
    if any(re.match(r"--(?:delete-|gen-revoke|generate-revocation)", o) for o in options):
        call.add(3, "`gpg` deletes or revokes a key")
        return
    unclear = any(arg.wild for arg in call.args)
    reading = not unclear and all(_GPG_READ.fullmatch(o) for o in options)
    if reading and any(_GPG_ASKS.fullmatch(o) for o in options):
        call.add(1, "`gpg` may create its home directory and trust database")
        return
    call.add(2, "`gpg` changes keys or writes files")


def judge_keygen(call: Call, spec: Spec) -> None:
    """`ssh-keygen`: -l, -B, -F, -y, -Q, -L read; others write or remove."""
    letters = "".join(a.text[1:2] for a in call.args if re.match(r"-[A-Za-z]", a.text))
    clear = not any(arg.wild for arg in call.args)
    if "R" in letters:
        call.add(2, "`ssh-keygen -R` removes a host key")
    elif clear and letters and set(letters) <= set("lBFQLvfEH") and set(letters) & set("lBFQL"):
        if "H" in letters and "F" not in letters:
            call.add(2, "`ssh-keygen -H` rewrites known_hosts")
    elif clear and "y" in letters and set(letters) <= set("yfv"):
        call.add(1, "reads a credential")
    else:
        call.add(2, "`ssh-keygen` creates or changes keys")


# Subcommand -> options without a value, options with one; anything else is unknown.
_X509_FLAGS = (
    "text noout serial subject issuer dates startdate enddate fingerprint hash subject_hash"
    " issuer_hash ocsp_uri ocspid pubkey modulus alias email purpose certopt sha1 sha256 sha384"
    " sha512 md5 subject_hash_old issuer_hash_old nocert C nameopt"
)
_OPENSSL: dict[str, tuple[str, str]] = {
    "x509": (
        _X509_FLAGS,
        "in inform outform nameopt certopt checkend checkhost checkemail checkip ext passin",
    ),
    "req": (
        "text noout subject pubkey modulus verify nocert reqopt",
        "in inform outform nameopt reqopt passin",
    ),
    "crl": (
        "text noout issuer lastupdate nextupdate crlnumber hash fingerprint verify",
        "in inform outform nameopt CAfile CApath",
    ),
    "rsa": ("text noout modulus check pubin pubout", "in inform outform passin"),
    "ec": ("text noout check pubin pubout param_out", "in inform outform passin conv_form"),
    "dsa": ("text noout modulus pubin pubout", "in inform outform passin"),
    "pkey": ("text noout check pubin pubout text_pub pubcheck", "in inform outform passin"),
    "pkcs12": (
        "info noout nokeys nocerts clcerts cacerts nodes noenc legacy",
        "in passin password",
    ),
    "pkcs7": ("text noout print_certs print", "in inform outform"),
    "dhparam": ("text noout check", "in inform outform"),
    "ecparam": ("text noout list_curves check", "in inform outform name"),
    "asn1parse": ("i dump noout", "in inform offset length strparse item oid"),
    "verify": (
        "verbose crl_check crl_check_all policy_check partial_chain x509_strict show_chain"
        " trusted_first"
        " no-CAfile no-CApath",
        "CAfile CApath untrusted trusted purpose verify_hostname verify_ip verify_depth"
        " verify_name attime CRLfile",
    ),
    "dgst": (
        "sha1 sha224 sha256 sha384 sha512 md5 sha3-256 sha3-512 blake2b512 blake2s256 hex c r"
        " binary list",
        "hmac verify signature prverify",
    ),
    "version": ("a v b o f p d e m r c", ""),
    "ciphers": ("v V s tls1 tls1_1 tls1_2 tls1_3 stdname psk srp", "ciphersuites convert"),
    "list": (
        "1 commands digest-commands digest-algorithms cipher-commands cipher-algorithms"
        " public-key-algorithms"
        " providers disabled options curves verbose select kdf-algorithms mac-algorithms",
        "",
    ),
    "errstr": ("", ""),
    "crl2pkcs7": ("nocrl", "in certfile inform outform"),
    "storeutl": ("noout text certs keys crls r", "passin"),
    "speed": ("elapsed", "evp seconds bytes"),
    "prime": ("hex", "checks"),
    "passwd": ("1 5 6 apr1 stdin noverify quiet table reverse aixmd5", "salt in"),
    "rand": ("hex base64", ""),
    "ocsp": ("text", "respin reqin"),
    "base64": ("d a A e", "in"),
    "enc": ("d a A e base64 p P nosalt salt pbkdf2 nopad", "in"),
    "sha256": ("hex c r", ""),
    "sha1": ("hex c r", ""),
    "sha512": ("hex c r", ""),
    "md5": ("hex c r", ""),
    "help": ("", ""),
}
_ARITY_OPTIONAL = frozenset(("nameopt", "certopt", "reqopt"))
_PRIVATE = frozenset(("rsa", "ec", "dsa", "pkey", "pkcs12"))


def judge_openssl(call: Call, spec: Spec) -> None:
    """`openssl`: the subcommands and options that only read and print."""
    if not call.args:
        call.add(2, "`openssl` reads commands from its input")
        return
    first = call.args[0]
    entry = _OPENSSL.get(first.text) if first.exact else None
    if entry is None:
        if first.text in ("s_client", "s_time"):
            call.add(1, "connects to another machine")
            if call.stdin.source in ("file", "here") or any(
                a.text
                in ("-keylogfile", "-sess_out", "-engine", "-provider", "-msgfile", "-keymatexport")
                for a in call.args
            ):
                call.add(2, "sends data, or writes a file")
            return
        call.add(2, f"`openssl {first.display}` writes or runs something")
        return
    flags, valued = (set(text.split()) for text in entry)
    index = 1
    private = False
    while index < len(call.args):
        arg = call.args[index]
        index += 1
        if not arg.text.startswith("-") and not arg.wild:
            continue
        name = arg.text.lstrip("-") if arg.exact else ""
        if name in flags and name not in _ARITY_OPTIONAL:
            private = private or name == "text"
            continue
        if name in valued:
            index += 1
            continue
        if name in ("out", "signature", "writerand"):
            target = call.args[index] if index < len(call.args) else Arg("", exact=False)
            index += 1
            call.writes(target)
            call.add(2, f"`openssl {first.text} -{name}` writes a file")
            continue
        call.add(2, f"option `{arg.display}` of `openssl {first.text}` is not known to only read")
    if first.text in _PRIVATE and not any(
        a.text in ("-pubin", "-noout", "-nokeys") for a in call.args
    ):
        call.add(1, "prints a private key")


def judge_semanage(call: Call, spec: Spec) -> None:
    """`semanage OBJECT -l` lists; the rest changes the policy."""
    words = [arg.text for arg in call.args if arg.exact]
    listing = any(
        word in ("-l", "--list", "-E", "--extract", "-C", "--locallist") for word in words
    )
    known = all(
        re.fullmatch(r"[a-z]+|-[lCEn]+|--(?:list|extract|locallist|noheading)", w) for w in words
    )
    if listing and known and len(words) == len(call.args):
        return
    if "-D" in words or "--deleteall" in words:
        call.add(3, "`semanage` deletes all local changes")
    call.add(2, "`semanage` changes the security policy")


def judge_capsh(call: Call, spec: Spec) -> None:
    """`capsh`: `--` and `==` start a shell after what was asked."""
    parsed = by_spec(call, spec)
    starts = any(arg.text in ("--", "==", "+", "-+") or not arg.exact for arg in call.args)
    if starts or parsed.operands:
        call.add(2, "`capsh` starts a shell")
