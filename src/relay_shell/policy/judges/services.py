"""Servers and their control programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import by_spec, judge_options

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


def _words(call: Call) -> list[str] | None:
    if not all(arg.exact for arg in call.args):
        call.add(2, f"arguments of `{call.name}` are known only when it runs")
        return None
    return [arg.text for arg in call.args]


def judge_apache(call: Call, spec: Spec) -> None:
    """`apachectl`: version, module and virtual-host listings and the test read."""
    words = _words(call)
    if words is None:
        return
    reading = {
        "-v",
        "-V",
        "-l",
        "-L",
        "-M",
        "-S",
        "-t",
        "-h",
        "configtest",
        "-D",
        "DUMP_VHOSTS",
        "DUMP_MODULES",
        "DUMP_RUN_CFG",
        "DUMP_INCLUDES",
    }
    if words and set(words) <= reading:
        if words[0] in ("-t", "configtest") and len(words) == 1:
            call.add(1, "checks the configuration, which may create log files")
        return
    if words in (["status"], ["fullstatus"]):
        call.add(1, "sends a request to the server")
        return
    call.add(2, f"`{call.name} {' '.join(words)}` starts, stops or reloads the server")


def judge_daemon(call: Call, spec: Spec) -> None:
    """Daemons: version and configuration tests read, the rest starts or controls them."""
    words = _words(call)
    if words is None:
        return
    tests = {
        "squid": r"-k parse|-k check|-v",
        "dnsmasq": r"--test|-v",
        "dovecot": r"-n|-a|--version",
        "caddy": r"version|list-modules.*|environ|fmt --diff [^-]\S*|build-info"
        r"|(?:validate|adapt)(?: --config /etc/(?!\S*\.\.)\S+| --adapter \w+| --pretty)+",
        "named": r"-[vV]",
        "php-fpm": r"-t|-v|-i|-m|-tt",
        "varnishadm": r"(?:status|ping|backend\.list|vcl\.list|ban\.list|panic\.show|banner)",
        "knotc": r"(?:status|zone-status|zone-check|conf-check|conf-read|stats|zone-stats).*",
        "nsd-control": r"(?:status|stats_noreset|zonestatus.*|serverpid)",
        "pdnsutil": r"(?:check-zone|check-all-zones|list-zone|list-all-zones|show-zone|list-keys"
        r"|list-tsig-keys).*",
        "pdns_control": r"(?:ping|rping|status|version|uptime|list|show|ccounts|list-zones).*",
        "proftpd": r"-t|-v|-vv|-l",
        "lighttpd": r"-tt? -f /etc/(?!\S*\.\.)\S+|-v|-V",
        "traefik": r"version|healthcheck",
        "envoy": r"--version",
        "prometheus": r"--version",
        "icinga2": r"daemon -C|--version|feature list|object list.*",
        "nagios": r"-v \S+",
        "smbd": r"-b|-V",
        "Xorg": r"-version",
        "tomcat": r"version",
        "catalina.sh": r"version|configtest",
        "nginx": r"-t",
        "influxd": r"version",
        "telegraf": r"version|--version"
        r"|--test(?: --config /etc/(?!\S*\.\.)\S+| --input-filter \S+)*",
        "apache": r"-t",
    }
    if call.name == "pdnsutil" and words[:1] in (["delete-zone"], ["delete-rrset"]):
        call.add(3, f"`pdnsutil {words[0]}` removes records")
    if re.fullmatch(tests.get(call.name, r"(?!)"), " ".join(words)):
        return
    by_spec(call, spec)


def judge_prometheus(call: Call, spec: Spec) -> None:
    """`promtool check` and `test` read; queries ask a server."""
    words = _words(call)
    if words is None:
        return
    if words[:1] in (["check"], ["test"], ["--version"], ["config"], ["check-config"]):
        return
    if words[:1] in (["query"], ["alert"], ["silence"]) and words[1:2] not in (
        ["add"],
        ["expire"],
        ["import"],
        ["update"],
    ):
        call.add(1, "asks a server")
        return
    call.add(2, f"`{call.name}` writes files or changes a server")


def judge_postconf(call: Call, spec: Spec) -> None:
    """`postconf`: names are shown, `name=value` is written."""
    parsed = by_spec(call, spec)
    if any("=" in arg.display or arg.wild for arg in parsed.operands):
        call.add(2, "`postconf` sets a parameter")


def judge_mail(call: Call, spec: Spec) -> None:
    """Mail programs: queue listings and address tests read; the rest sends or changes."""
    words = _words(call)
    if words is None:
        return
    text = " ".join(words)
    if call.name == "postfix" and text in ("status", "check"):
        call.add(0 if text == "status" else 1, "creates missing directories of the queue")
        return
    if re.fullmatch(r"-bp\w*|-bV|-bP(?: \w+)*|-bt(?: [^-]\S*)+|-d0\.\d+", text) and call.name in (
        "sendmail",
        "exim",
        "exim4",
    ):
        return
    if re.search(r"-Mrm|-Mg\b|-qGmrm", text):
        call.add(3, "removes messages from the queue")
        return
    if call.name in ("mail", "mailx", "s-nail", "bsd-mailx") and text in ("-H", "-e"):
        return
    by_spec(call, spec)


def judge_supervisor(call: Call, spec: Spec) -> None:
    """`sv status`, `initctl list` and their kind read."""
    words = _words(call)
    if words is None:
        return
    if words[:1] in (["status"], ["list"], ["version"], ["show-config"], ["check"]):
        return
    if call.name == "s6-rc" and words in (["-a", "list"], ["listall"]):
        return
    call.add(2, f"`{call.name}` starts or stops services")


def judge_application(call: Call, spec: Spec) -> None:
    """Command lines of web applications: a few listings read, dropping destroys."""
    words = _words(call)
    if words is None:
        return
    text = " ".join(words)
    if re.search(
        r"\b(?:db[ :](?:drop|reset|wipe|clean)|migrate:(?:fresh|reset|refresh)|db:wipe|site["
        r" :-](?:empty|delete)"
        r"|sql[-:]drop|flush\b(?! cache)|reset_db|db:schema:drop|doctrine:database:drop|delete"
        r"|uninstall)",
        text,
    ):
        call.add(3, f"`{call.name} {' '.join(words[:2])}` removes data")
        return
    if (
        call.name == "wp"
        and len(words) > 1
        and words[1]
        in (
            "list",
            "get",
            "version",
            "info",
            "status",
            "verify-checksums",
            "check",
            "is-installed",
            "path",
            "size",
            "tables",
        )
    ):
        call.add(1, "runs code of the application")
        return
    by_spec(call, spec)


def judge_gitlab(call: Call, spec: Spec) -> None:
    """Service tools of a forge: status and listings read."""
    words = _words(call)
    if words is None:
        return
    if words[:1] in (
        ["status"],
        ["tail"],
        ["list"],
        ["--version"],
        ["show-config"],
        ["service-list"],
        ["version"],
    ):
        return
    if {"cleanse", "uninstall", "unregister", "remove-accounts"} & set(words[:2]):
        call.add(3, f"`{call.name} {words[0]}` removes data")
        return
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    call.add(2, f"`{call.name} {' '.join(words[:2])}` changes the service")


def judge_samba(call: Call, spec: Spec) -> None:
    """`samba-tool GROUP VERB`: list, show and info read, delete removes."""
    words = _words(call)
    if words is None:
        return
    if words[1:2] in (["list"], ["show"], ["info"], ["listmembers"], ["level"], ["showrepl"]) and (
        words[1] != "level" or words[2:] == ["show"]
    ):
        return
    deleting = words[1:2] in (["delete"], ["remove"], ["demote"])
    call.add(3 if deleting else 2, f"`samba-tool {' '.join(words[:2])}` changes the domain")
