"""Clients of SQL databases: what a statement, command or script asks of the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import Parsed, parse_options
from ..programs import judge_options
from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

MAX_SQL = 4096
# Databases end strings, comments and names differently behind these, so what is text to one is
# a statement to another: backslashes, comments, dollar quotes, brackets or backticks with quotes.
_AMBIGUOUS = re.compile(r"\\|--|/\*|\#|\$\w*\$|`[^`'\"]*['\"]")
_CLOSED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_DESTROYS = re.compile(
    r"\b(?:DROP|TRUNCATE|PURGE|ERASE|SHUTDOWN|FLUSHALL|FLUSHDB)\b|\bREINIT\b|\bDELETE\s*;"
    r"|\bRESET\s+(?:MASTER|SLAVE|REPLICA|BINARY)\b|\bDETACH\s+DELETE\b"
    r"|\bDELETE\s+(?:FROM|MEASUREMENT|SERIES)\b|\bDELETE\s+\w+\s+FROM\b",
    re.IGNORECASE,
)
_ALTER = re.compile(r"\bALTER\s+TABLE\b", re.IGNORECASE)
_ALTER_LOSES = re.compile(r"\b(?:DROP|DELETE|TRUNCATE)\b", re.IGNORECASE)
_UPDATE = re.compile(r"\bUPDATE\s+\S+\s+SET\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_READS = re.compile(
    r"\s*(?:SELECT|SHOW|DESCRIBE|DESC|EXPLAIN(?!\s+ANALYZE|\s*\([^)]*ANALYZE)|WITH|TABLE|VALUES"
    r"|USE|HELP|EXISTS"
    r"|STATUS|LIST|PRAGMA|SET\s+(?:NAMES|TIME_ZONE)\b|CONSISTENCY|CHECK\s+TABLE"
    r"|ANALYZE_)\b",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"\b(?:INTO\s+(?:OUTFILE|DUMPFILE|TEMP|TABLE)?|INSERT|UPDATE|DELETE|REPLACE\s+INTO|MERGE"
    r"|CREATE|ALTER|GRANT"
    r"|REVOKE|CALL|EXECUTE|COPY|LOAD|LOCK|VACUUM|REINDEX|CLUSTER|REFRESH|NOTIFY|LISTEN|ATTACH"
    r"|DETACH|KILL|IMPORT"
    r"|INSTALL|UNINSTALL|RENAME|OPTIMIZE|REPAIR|HANDLER|DO|PREPARE|SYSTEM|BACKUP|RESTORE"
    r"|FOR\s+UPDATE|FOR\s+SHARE"
    r"|EXEC|XP_CMDSHELL|SET|COMMIT|SECURITY\s+LABEL|COMMENT\s+ON|DISCARD|ANALYZE|FLUSH|START|STOP"
    r"|CHANGE|EXPORT)\b",
    re.IGNORECASE,
)
_PRAGMA = re.compile(
    r"PRAGMA\s+(?:\w+\.)?(?:(?:table_x?info|table_list|index_x?info|index_list|integrity_check"
    r"|quick_check"
    r"|foreign_key_list|foreign_key_check)(?:\s*\(\s*[\w.' ]*\))?|database_list|page_count"
    r"|page_size|user_version"
    r"|journal_mode|schema_version|encoding|compile_options|freelist_count|cache_size"
    r"|foreign_keys|synchronous"
    r"|auto_vacuum|collation_list|function_list|module_list|pragma_list|application_id"
    r"|data_version)",
    re.IGNORECASE,
)
# A function of the database's own makers may do anything, so only known ones count as reading.
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\s*\(")
_FUNCTIONS = frozenset(
    (
        "count sum avg min max now version database schema user current_user session_user"
        " current_database current_schema current_setting current_timestamp current_date"
        " coalesce nullif ifnull if iif nvl greatest least concat concat_ws format to_char"
        " to_timestamp to_date to_number date_trunc date_part extract age interval date time"
        " timestamp datetime year month day hour minute second curdate curtime utc_timestamp"
        " unix_timestamp from_unixtime date_format date_add date_sub datediff timestampdiff"
        " timediff strftime julianday round floor ceil ceiling abs mod power sqrt ln log sign"
        " trunc truncate_ random rand lower upper length char_length octet_length substr substring"
        " left right trim ltrim rtrim replace position instr locate split_part regexp_replace"
        " regexp_matches reverse repeat lpad rpad ascii hex unhex md5 sha1 sha2 cast convert"
        " group_concat string_agg array_agg json_agg jsonb_agg json_build_object json_extract"
        " json_object json_array json_each json_array_length jsonb_array_elements to_json to_jsonb"
        " row_to_json unnest array_length array_to_string string_to_array generate_series"
        " row_number rank dense_rank ntile lag lead first_value last_value percentile_cont"
        " percentile_disc grouping typeof quote total changes_ printf sqlite_version last_insert_id"
        " found_rows row_count connection_id inet_ntoa inet_aton host masklen uniq any topk"
        " quantile"
        " tostring toint32 toint64 todate todatetime tostartofhour tostartofminute tostartofday"
        " toyyyymm formatreadablesize arrayjoin tables_ databases_ token writetime ttl_ mean median"
        " percentile spread stddev difference derivative last first top bottom fill"
        " formatbytes format_bytes sys.format_bytes obj_description col_description"
        " has_table_privilege has_database_privilege has_schema_privilege to_regclass"
        " txid_current_if_assigned inet_server_addr inet_server_port inet_client_addr"
        # words of the grammar that stand before a parenthesis
        " in as values and or not exists from join on using where over partition select with like"
        " all some any_ by when then else case between is union except intersect lateral filter"
        " within array row distinct having limit offset explain table set recursive materialized"
        " int integer bigint smallint numeric decimal varchar char text float double real bool"
        " primary key references index unique desc asc costs verbose"
    ).split()
)
_PG_READS = re.compile(
    r"(?:pg_catalog\.)?pg_(?:size_pretty|size_bytes|(?:database|table|indexes|relation|total_relation"
    r"|tablespace|column)_size|stat_get_\w+|stat_file_|is_in_recovery|is_wal_replay_paused"
    r"|last_(?:wal|xact|xlog)_\w+|current_(?:wal|xlog|xact)_\w+|wal_lsn_diff|xlog_location_diff"
    r"|postmaster_start_time|conf_load_time|get_\w+def|get_expr|get_userbyid|get_keywords|encoding_to_char"
    r"|blocking_pids|backend_pid|table_is_visible|tablespace_location|typeof|relation_filepath"
    r"|has_role|describe_object|lock_status|walfile_name|show_all_settings|control_\w+)"
)


def _unknown_function(statement: str) -> str:
    for name in _CALLED.findall(statement):
        if name.lower() not in _FUNCTIONS and not _PG_READS.fullmatch(name.lower()):
            return str(name)
    return ""


def _loses(text: str) -> bool:
    """Whether a deletion is named; each part is one pass over the text."""
    if _DESTROYS.search(text):
        return True
    alter = _ALTER.search(text)
    if alter and _ALTER_LOSES.search(text, alter.end()):
        return True
    return any(
        _UPDATE.search(statement) and not _WHERE.search(statement) for statement in text.split(";")
    )


def _ambiguous(text: str) -> bool:
    bracket = text.find("[")
    quoted = bracket >= 0 and any(quote in text[bracket:] for quote in "'\"`")
    return quoted or _AMBIGUOUS.search(text) is not None


_LOST = (3, "the statement removes or overwrites data")


def sql_verdict(text: str) -> tuple[int, str]:
    """Tier and reason of SQL text: reading statements only are Tier 0.

    Text that databases may take apart in different ways is Tier 2 at least, and Tier 3 if a
    deletion is named anywhere in it.
    """
    text = re.sub(r"\\[gG]\s*(?=;|$)", ";", text)
    if len(text) > MAX_SQL or _ambiguous(text):
        if _loses(text):
            return _LOST
        return 2, "SQL that is too long, or that databases read in different ways"
    bare = _CLOSED.sub(" '' ", text)
    if "'" in bare.replace("''", "") or '"' in bare or "`" in bare:
        return _LOST if _loses(text) else (2, "SQL with an open quote")
    if _loses(bare):
        return _LOST
    for statement in bare.split(";"):
        reason = _statement(statement.strip())
        if reason:
            return 2, reason
    return 0, ""


def _statement(statement: str) -> str:
    """Why one statement, its strings taken out, may do more than read; or nothing."""
    if not statement:
        return ""
    if not _READS.match(statement):
        return f"the statement `{statement.split()[0][:24]}` is not known to only read"
    if re.match(r"PRAGMA\b", statement, re.IGNORECASE):
        return "" if _PRAGMA.fullmatch(statement) else "the pragma is not known to only read"
    unknown = _unknown_function(statement)
    if unknown:
        return f"the statement calls `{unknown[:40]}`, which is not known to only read"
    if not _LISTS.match(statement) and _WRITES.search(statement):
        return "the statement writes, locks or runs something"
    return ""


_LISTS = re.compile(
    r"(?:SHOW|DESC|DESCRIBE|HELP|USE|LIST|SET|EXISTS|STATUS|CONSISTENCY|CHECK)\b", re.IGNORECASE
)


def statements(call: Call, values: list[Arg]) -> None:
    """Judge each text as SQL."""
    for value in values:
        if not value.exact:
            call.add(2, f"SQL that is known only when it runs: {value.display}")
            tier, reason = sql_verdict(value.display)
            call.add(tier, reason)
            continue
        call.add(*sql_verdict(value.text))


def _pieces(value: Arg, mark: str) -> list[str]:
    """Lines that begin with the mark of client commands, and the text between them."""
    found: list[str] = []
    statement: list[str] = []
    for line in (value.text if value.exact else value.display).split("\n"):
        if line.strip().startswith(mark):
            found.extend(["\n".join(statement), line])
            statement = []
        else:
            statement.append(line)
    return [piece for piece in [*found, "\n".join(statement)] if piece.strip()]


def _input(call: Call) -> None:
    """Statements from standard input."""
    if call.stdin.text is not None:
        statements(call, [Arg(call.stdin.text)])
    else:
        call.add(2, "reads statements from standard input")


def _parse(call: Call, spec: Spec) -> tuple[Parsed, bool]:
    parsed = parse_options(spec, call.args)
    modes = judge_options(call, spec, parsed, call.name)
    return parsed, bool(modes) and max(modes) == 0


def judge_mysql(call: Call, spec: Spec) -> None:
    """`mysql -e`; backslash commands and `system` run programs."""
    parsed, informing = _parse(call, spec)
    if informing:
        return
    values = parsed.all("-e", "--execute")
    if not values:
        _input(call)
    for value in values:
        match = re.search(r"\\!\s*([^;\n]*)|^\s*system\s+([^;\n]*)", value.text, re.IGNORECASE)
        if match:
            call.shell(Arg(match.group(1) or match.group(2)))
            call.add(2, "the client runs a command")
        elif re.search(
            r"\\[^gGnrtN'\"\\%_]|^\s*(?:source|tee|pager|edit|delimiter)\b",
            value.text,
            re.IGNORECASE,
        ):
            call.add(2, "the statement holds a command of the client")
    statements(call, values)


_PSQL_META = re.compile(
    r"\\(?:l|d[A-Za-z]*|conninfo|x|timing|a|t|pset|dt|du|dn|dx|df|z|sf|sv|encoding|q|h|help|echo"
    r"|set|\?|di|dp|db|dd"
    r"|copyright|errverbose|lo_list|drds|dRp|dRs|crosstabview|gx|H)[S+x]*(?:\s+[\w.*\"'?$ -]*)?"
)


def judge_psql(call: Call, spec: Spec) -> None:
    """`psql -c`; of the backslash commands only those that describe read."""
    parsed, informing = _parse(call, spec)
    if informing or (parsed.has("-l", "--list") and not parsed.has("-c", "-f")):
        return
    for value in parsed.all("-v", "--set", "--variable"):
        if re.match(r"(?:PROMPT\d|HISTFILE)=", value.text):
            call.add(2, f"`psql -v {value.display}` writes a file or runs a command")
    values = parsed.all("-c", "--command")
    if not values and not parsed.has("-f", "--file"):
        if call.stdin.text is None:
            call.add(2, "reads statements from standard input")
            return
        values = [Arg(call.stdin.text)]
        if parsed.has("-v", "--set", "--variable") and ":" in call.stdin.text:
            call.add(2, "a variable may become part of a statement")
    for value in values:
        for line in _pieces(value, "\\"):
            stripped = line.strip()
            if not stripped.startswith("\\"):
                statements(call, [Arg(line, value.exact)])
                continue
            match = re.match(r"\\!\s*(.*)", stripped)
            if match:
                call.shell(Arg(match.group(1)))
                call.add(2, "the client runs a command")
            elif not value.exact or not _PSQL_META.fullmatch(stripped) or "`" in stripped:
                call.add(2, f"`{stripped[:40]}` is not known to only read")


_SQLITE_META = re.compile(
    r"\.(?:tables|schema|indexes|indices|databases|dump|show|stats|headers?|mode|width|nullvalue"
    r"|separator|timer|help"
    r"|echo|bail|changes|dbinfo|fullschema|limit|lint|sha3sum|eqp|explain|print|quit|exit|version"
    r"|vfsinfo|vfslist"
    r"|vfsname|dbconfig)\b[^|]*"
)


def judge_sqlite(call: Call, spec: Spec) -> None:
    """`sqlite3 FILE SQL`: opening a file may create it; dot commands can run programs."""
    parsed, informing = _parse(call, spec)
    if informing:
        return
    texts = [*parsed.operands[1:], *parsed.all("-cmd")]
    if not parsed.operands[1:]:
        if call.stdin.text is None:
            call.add(2, "reads statements from standard input")
            return
        texts.append(Arg(call.stdin.text))
    for value in texts:
        for line in _pieces(value, "."):
            stripped = line.strip()
            if not stripped.startswith("."):
                statements(call, [Arg(line, value.exact)])
                continue
            match = re.match(
                r"\.(?:output|once|excel|save|backup|clone|log|trace|iotrace|cd)\s+'?([^'\s]+)",
                stripped,
            )
            shell = re.match(r"\.(?:shell|system)\s+(.*)", stripped)
            if match:
                call.writes(Arg(match.group(1)))
                call.add(2, f"`{stripped[:40]}` writes a file")
            elif shell:
                call.shell(Arg(shell.group(1)))
                call.add(2, "the client runs a command")
            elif not _SQLITE_META.fullmatch(stripped):
                call.add(2, f"`{stripped[:40]}` is not known to only read")


def judge_statements(call: Call, spec: Spec) -> None:
    """Clients that take statements in options or from standard input."""
    parsed, informing = _parse(call, spec)
    if informing:
        return
    values = [
        used.value
        for used in parsed.used
        if used.option and used.option.kind == "sql" and used.value
    ]
    if values:
        statements(call, values)
    elif call.name == "duckdb" and len(parsed.operands) > 1:
        statements(call, parsed.operands[1:])
    else:
        _input(call)
