"""Tools that move bytes: curl, wget, browsers, netcat, socat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import judge_options
from ..spec import Spec, declarations
from ..values import known

if TYPE_CHECKING:
    from ..call import Call

_CURL = declarations(
    "-s,--silent -S,--show-error -L,--location -I,--head -i,--include,--show-headers -v,--verbose"
    " -f,--fail"
    " --fail-with-body -k,--insecure -g,--globoff -4,--ipv4 -6,--ipv6 -N,--no-buffer -q,--disable"
    " -#,--progress-bar --compressed --http1.0 -0 --http1.1 --http2 --http2-prior-knowledge --http3"
    " -m,--max-time: --connect-timeout: --retry: --retry-delay: --retry-max-time:"
    " --retry-connrefused"
    " --retry-all-errors -A,--user-agent: -e,--referer: -H,--header: -u,--user: -x,--proxy:=1"
    " --noproxy: --resolve: --connect-to: --interface: -r,--range: --max-redirs: --cacert:"
    " --capath:"
    " -E,--cert: --key: --cert-type: --key-type: --pass: --ciphers: --tls-max: --tlsv1 --tlsv1.0"
    " --tlsv1.1"
    " --tlsv1.2 --tlsv1.3 -1 -2 -3 --ssl --ssl-reqd --no-progress-meter --parallel -Z -n,--netrc"
    " --netrc-file: --anyauth --basic --digest --ntlm --negotiate --oauth2-bearer: --aws-sigv4:"
    " -w,--write-out:"
    " --url: -b,--cookie: --path-as-is --limit-rate: -y: -Y: --speed-limit: --speed-time:"
    " --tcp-nodelay"
    " --tcp-fastopen --keepalive-time: --no-keepalive --dns-servers: --doh-url: --local-port:"
    " --max-filesize:"
    " --location-trusted --post301 --post302 --post303 --raw --styled-output --no-styled-output"
    " --unix-socket:=1 --abstract-unix-socket:=1 --trace-time --trace-ids -G,--get"
    " --request-target: -l"
    " -V,--version!0 -h,--help?!0 -M,--manual!0 --next --fail-early --no-sessionid"
    " --haproxy-protocol"
    " --cert-status --crlfile: --pinnedpubkey: --proto: --proto-default: --proto-redir: --variable:"
    " -o,--output:@write -O,--remote-name --remote-name-all -J,--remote-header-name"
    " --output-dir:@create"
    " --create-dirs -R --remote-time -D,--dump-header:@write -c,--cookie-jar:@write --trace:@write"
    " --trace-ascii:@write --stderr:@write --etag-save:@write --hsts:@write --alt-svc:@write"
    " --libcurl:@write"
    " -C,--continue-at: -K,--config:=2 -T,--upload-file:=2 -a,--append=2 -Q,--quote:=2 --engine:=2"
    " -d,--data,--data-ascii: --data-raw: --data-binary: --data-urlencode: --json: -F,--form:"
    " --form-string:"
    " --url-query: -X,--request: -t,--telnet-option:=2 --mail-from:=2 --mail-rcpt:=2"
    " -p,--proxytunnel"
    " --socks5: --socks4: --socks5-hostname: --preproxy: -U,--proxy-user: --key-file: --curves:",
    "gnu",
)


def judge_curl(call: Call, spec: Spec) -> None:
    """`curl`: a request leaves the machine; what it uploads, saves or deletes counts more."""
    curl = Spec("curl", options=_CURL)
    parsed = parse_options(curl, call.args)
    modes = judge_options(call, curl, parsed, "curl")
    if modes and not parsed.operands:
        return
    call.add(1, "sends a request to another machine or service")
    method = parsed.get("-X", "--request")
    uploads = (
        "-d",
        "--data",
        "--data-raw",
        "--data-binary",
        "--data-urlencode",
        "--json",
        "-F",
        "--form",
        "--form-string",
    )
    if method is not None:
        verb = method.text.upper() if method.exact else ""
        if verb in ("DELETE", "PURGE"):
            call.add(3, f"`curl -X {verb}` deletes at the other end")
        elif verb not in ("GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"):
            call.add(2, f"`curl -X {method.display}` changes something at the other end")
    if parsed.has(*uploads):
        call.add(2, "uploads data to another machine or service")
        data = " ".join(v.text for v in parsed.all(*uploads))
        if re.search(r"delete_by_query|DROP\s+(?:TABLE|DATABASE)|TRUNCATE\s", data, re.IGNORECASE):
            call.add(3, "the data names a deletion")
    if parsed.has("-O", "--remote-name", "--remote-name-all", "-J"):
        call.add(2, "`curl -O` writes a file named by the other end")
    for url in parsed.operands:
        if url.text.startswith(("file:", "dict:", "gopher:", "telnet:", "smtp:", "ldap:")):
            call.add(2, f"uses another protocol: {url.display}")
        if re.search(r"_delete_by_query|/_shutdown", url.text):
            call.add(3, "the address names a deletion")


def judge_wget(call: Call, spec: Spec) -> None:
    """`wget`: writes what it fetches, unless to standard output or only looking."""
    words = [a.text for a in call.args]
    joined = " ".join(words)
    if words in (["-V"], ["-h"]):
        return
    call.add(1, "sends a request to another machine")
    if re.search(
        r"--(?:post|body|method|use-askpass|config|execute|input-file)|(?:^| )-\w*e", joined
    ):
        call.add(2, "sends data or takes settings from elsewhere")
    if re.search(r"--method[= ]DELETE", joined):
        call.add(3, "deletes at the other end")
    stdout = re.search(
        r"(?:^| )-\w*O ?-(?: |$)|--output-document[= ]-(?: |$)|(?:^| )-\w*O ?/dev/null", joined
    )
    looking = "--spider" in words
    logs = re.search(
        r"(?:^| )-[a-zA-Z]*[oa](?: |$)|--output-file|--append-output|--save-|--warc|--hsts-file",
        joined,
    )
    if logs or any(a.wild for a in call.args) or not (stdout or looking):
        for arg in call.args[1:]:
            previous = call.args[call.args.index(arg) - 1].text
            if previous in ("-O", "--output-document"):
                call.writes(arg)
        call.add(2, "writes what it fetches")


def judge_browser(call: Call, spec: Spec) -> None:
    """Text browsers and HTTP clients: a request leaves the machine."""
    if [a.text for a in call.args] in (["-version"], ["-help"]):
        return
    call.add(1, "sends a request to another machine")
    words = [a.text for a in call.args]
    if call.name in ("http", "https", "httpie", "xh"):
        if any(w in ("DELETE",) for w in words):
            call.add(3, "deletes at the other end")
        if any(w in ("POST", "PUT", "PATCH") or re.match(r"[\w-]+(?::=|=|@)", w) for w in words):
            call.add(2, "changes something at the other end")
        if any(re.match(r"(?:-d|--download|-o|--output|--session)", w) for w in words):
            call.add(2, "writes a file")
    elif not any(w in ("-dump", "-source", "-head", "-dump_source", "--version") for w in words):
        call.add(2, f"`{call.name}` is an interactive browser")
    if any(re.match(r"-(?:cmd_script|cfg|lss|editor|config)|-o$", w) for w in words):
        call.add(2, "takes settings or commands from elsewhere")


def judge_netcat(call: Call, spec: Spec) -> None:
    """`nc`: with -z it only connects; else it is a pipe to the network; -e runs a program."""
    letters = "".join(a.text[1:] for a in call.args if re.match(r"-[A-Za-z]", a.text))
    if letters == "h" and len(call.args) == 1:
        return
    longs = [a.text for a in call.args if a.text.startswith("--")]
    call.add(1, "connects to another machine")
    scanning = "z" in letters and not re.search(r"[eclk]", letters) and not longs
    if any(a.wild for a in call.args) or not scanning:
        call.add(2, "exchanges data with another machine or listens")
    for index, arg in enumerate(call.args):
        if re.fullmatch(r"-\w*[ec]|--(?:sh-exec|exec|lua-exec)", arg.text) and index + 1 < len(
            call.args
        ):
            call.shell(call.args[index + 1])
            call.add(2, "runs a program for whoever is at the other end")


def judge_socat(call: Call, spec: Spec) -> None:
    """`socat` connects any two things, files and programs among them."""
    call.add(2, "connects files, programs or network addresses")
    for arg in call.args:
        match = re.match(r"(?:EXEC|SYSTEM|SHELL):'?([^,']+)", arg.text, re.IGNORECASE)
        if match:
            call.shell(known(match.group(1)))
        match = re.match(r"(?:OPEN|CREATE|GOPEN|FILE):([^,]+)", arg.text, re.IGNORECASE)
        if match:
            call.writes(known(match.group(1)), "create")
