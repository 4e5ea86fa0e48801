"""Clients of stores without SQL: Redis, MongoDB, InfluxDB, RabbitMQ, Kafka, Hadoop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..values import Arg
from .sql import MAX_SQL, statements

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_REDIS_READ = frozenset(
    (
        "get mget getrange strlen exists ttl pttl type keys scan hget hgetall hmget hkeys hvals"
        " hlen hexists hscan"
        " hstrlen hrandfield lrange llen lindex lpos smembers scard sismember smismember"
        " srandmember sscan sinter"
        " sunion sdiff sintercard zrange zrangebyscore zrevrange zrevrangebyscore zrangebylex"
        " zcard zscore zmscore"
        " zrank zrevrank zcount zlexcount zscan zinter zunion zdiff info ping dbsize time"
        " lastsave role echo"
        " randomkey object dump bitcount bitpos getbit xlen xrange xrevrange xinfo xpending"
        " pfcount geopos geodist"
        " geohash geosearch memory command touch_ expiretime pexpiretime substr lcs ft.info"
        " ft.search ft._list"
        " json.get json.type json.mget ts.get ts.range ts.info hello getex_ bitfield_ro sort_ro"
        " georadius_ro"
    ).split()
)
_REDIS_SUB = {
    "config": {"get"},
    "client": {"list", "info", "id", "getname", "trackinginfo"},
    "cluster": {
        "info",
        "nodes",
        "slots",
        "shards",
        "keyslot",
        "myid",
        "countkeysinslot",
        "links",
        "replicas",
        "slaves",
    },
    "slowlog": {"get", "len", "help"},
    "latency": {"latest", "history", "doctor", "graph", "histogram", "help"},
    "acl": {"list", "users", "whoami", "cat", "getuser", "log", "dryrun"},
    "memory": {"usage", "stats", "doctor", "malloc-stats", "help"},
    "object": {"encoding", "idletime", "freq", "refcount", "help"},
    "pubsub": {"channels", "numsub", "numpat", "shardchannels"},
    "script": {"exists"},
    "module": {"list"},
    "function": {"list", "stats", "dump"},
    "sentinel": {
        "masters",
        "master",
        "replicas",
        "slaves",
        "sentinels",
        "ckquorum",
        "get-master-addr-by-name",
        "myid",
    },
    "debug": set(),
    "command": {"count", "info", "docs", "list", "getkeys", ""},
    "xinfo": {"stream", "groups", "consumers", "help"},
}
_REDIS_DESTROYS = frozenset(
    "flushall flushdb del unlink shutdown swapdb ltrim spop lpop rpop blpop zpopmin zpopmax hdel"
    " srem zrem lrem xdel"
    " xtrim getdel zremrangebyscore zremrangebyrank zremrangebylex json.del ft.drop ft.dropindex"
    " slaveof replicaof"
    " failover".split()
)
_REDIS_VALUED = frozenset(
    "-h -p -s -a -u -r -i -n -d -t -X --user --pass --sni --cacert --cacertdir --cert --key"
    " --tls-ciphers"
    " --tls-ciphersuites --show-pushes -D --quoted-pattern --pattern --count"
    " --memkeys-samples".split()
)
_REDIS_FLAGS = frozenset(
    "-c -3 -2 -4 -6 -e -x_ --tls --insecure --raw --no-raw --csv --json --quoted-json"
    " --no-auth-warning --stat --latency"
    " --latency-history --latency-dist --bigkeys --memkeys --hotkeys --scan --version --help"
    " --askpass --verbose".split()
)


def judge_redis(call: Call, spec: Spec) -> None:
    """`redis-cli`: options, then one command."""
    words = list(call.args)
    modes = 0
    while words and words[0].text.startswith("-"):
        option = words.pop(0).text
        if option in _REDIS_VALUED:
            if words:
                words.pop(0)
        elif option in _REDIS_FLAGS:
            modes += option in (
                "--stat",
                "--latency",
                "--latency-history",
                "--latency-dist",
                "--bigkeys",
                "--memkeys",
                "--hotkeys",
                "--scan",
                "--version",
                "--help",
            )
        else:
            call.add(2, f"option `{option}` of redis-cli writes a file or runs a script")
    if not words:
        if modes == 0:
            _redis_input(call)
        return
    _redis_command(call, [word.text if word.exact else "" for word in words])


def _redis_input(call: Call) -> None:
    if call.stdin.text is None:
        call.add(2, "reads commands from standard input")
        return
    for line in call.stdin.text.split("\n"):
        if line.split():
            _redis_command(call, line.split())


def _redis_command(call: Call, words: list[str]) -> None:
    verb = words[0].lower()
    second = words[1].lower() if len(words) > 1 else ""
    if verb in _REDIS_DESTROYS or (
        verb == "cluster" and second in ("reset", "forget", "flushslots")
    ):
        call.add(3, f"`{verb}` removes data or stops the server")
    elif verb in ("script", "function", "acl") and second in ("flush", "delete", "deluser"):
        call.add(3, f"`{verb} {second}` removes data")
    elif verb in _REDIS_SUB:
        if second not in _REDIS_SUB[verb] or [word.lower() for word in words[2:]] == ["reset"]:
            call.add(2, f"`{verb} {second}` changes the server")
    elif verb not in _REDIS_READ:
        call.add(2, f"`{verb}` is not known to only read")


_MONGO_DESTROYS = re.compile(
    r"\.(?:drop\w*|remove|deleteMany|deleteOne|findOneAndDelete|findAndModify|shutdownServer"
    r"|compact|repairDatabase)\s*\("
    r"|\b(?:dropDatabase|fsyncLock)\b"
)
_MONGO_READS = re.compile(
    r"\s*(?:(?:db|rs|sh)(?:\.getSiblingDB\(['\"]\w+['\"]\))?(?:\.\w+|\[['\"]\w+['\"]\]"
    r"|\.getCollection\(['\"][\w.-]+['\"]\))*?"
    r"\.(?:stats|serverStatus|currentOp|version|getCollectionNames|getCollectionInfos|getName"
    r"|getMongo|hello|isMaster"
    r"|hostInfo|status|conf|config|printReplicationInfo|printSecondaryReplicationInfo|find"
    r"|findOne|count"
    r"|countDocuments|estimatedDocumentCount|distinct|getIndexes|totalSize|dataSize|storageSize"
    r"|totalIndexSize"
    r"|getUsers|getRoles|getProfilingStatus|isCapped|printShardingStatus|getBalancerState|explain"
    r"|dbStats|connectionStatus"
    r"|buildInfo|serverBuildInfo|serverCmdLineOpts|getReplicationInfo)\((?P<args>[^()]*)\)"
    r"(?:\.(?:pretty|count|limit|sort|toArray|size|skip|length|explain|ok|hasNext|next)\([^()]*\)"
    r"|\.\w+(?!\())*"
    r"|show\s+(?:dbs|databases|collections|users|roles|profile|logs?)|db|use\s+\w+|db\.version\(\)"
    r"|db\.adminCommand\(\s*\{?\s*['\"]?(?:listDatabases|ping|serverStatus|replSetGetStatus"
    r"|getParameter|hostInfo|buildInfo|top|connPoolStats|getLog)['\"]?[^()]*\)"
    r"|db\.runCommand\(\s*\{\s*['\"]?(?:ping|serverStatus|dbStats|collStats|listCollections|hello"
    r"|connectionStatus)['\"]?[^()]*\))\s*;?\s*"
)
_MONGO_WRAPPED = re.compile(
    r"\s*(?:printjson|JSON\.stringify|print|EJSON\.stringify|tojson)\((.*)\)\s*;?\s*", re.DOTALL
)


def judge_mongo(call: Call, spec: Spec) -> None:
    """`mongosh --eval`: JavaScript; only plain reading calls are recognised."""
    texts: list[Arg] = []
    index = 0
    args = call.args
    files = 0
    while index < len(args):
        arg = args[index]
        index += 1
        name, equals, text = arg.text.partition("=")
        if name in ("--eval",):
            texts.append(
                Arg(text, arg.exact)
                if equals
                else (args[index] if index < len(args) else Arg("", exact=False))
            )
            index += 0 if equals else 1
        elif name in ("-f", "--file", "--shell", "--nodb") or arg.text.endswith(".js"):
            files += 1
        elif (
            name
            in (
                "--host",
                "--port",
                "-u",
                "-p",
                "--username",
                "--password",
                "--authenticationDatabase",
                "--tlsCAFile",
                "--tlsCertificateKeyFile",
                "--authenticationMechanism",
            )
            and not equals
        ):
            index += 1
        elif arg.exact and arg.text in ("--version", "--help"):
            return
    if files or not texts:
        call.add(2, "runs a script or reads statements from standard input")
    for value in texts:
        if len(value.text) > MAX_SQL:
            call.add(3, "a script that is too long to judge")
            continue
        if _MONGO_DESTROYS.search(value.text):
            call.add(3, "the script removes data or stops the server")
            continue
        inner = value.text
        wrapped = _MONGO_WRAPPED.fullmatch(inner)
        if wrapped:
            inner = wrapped.group(1)
        statements = [part for part in inner.split(";") if part.strip()]
        if not value.exact or not all(_MONGO_READS.fullmatch(part) for part in statements):
            call.add(2, "the script is not known to only read")
        elif re.search(r"\$(?:out|merge|where|function|accumulator)\b|`", inner):
            call.add(2, "the query runs code or writes a collection")


def judge_influx(call: Call, spec: Spec) -> None:
    """`influx`: InfluxQL with -execute, or verbs in version 2."""
    words = [a.text for a in call.args]
    for index, word in enumerate(words):
        if word in ("-execute", "--execute") and index + 1 < len(words):
            statements(call, [call.args[index + 1]])
            return
    verbs = [word for word in words if not word.startswith("-")]
    pair = " ".join(verbs[:2])
    if words == ["-version"] or verbs[:1] in (["version"], ["ping"]) or verbs[1:2] == ["list"]:
        return
    flux = verbs[1] if verbs[:1] == ["query"] and len(verbs) > 1 else "delete"
    if not re.search(r"\bto\s*\(|http\.|sql\.to|delete", flux):
        return
    if verbs[:1] == ["delete"] or verbs[1:2] == ["delete"]:
        call.add(3, f"`influx {pair}` removes data")
        return
    call.add(2, "changes the database or reads statements from standard input")


def judge_pg_ctlcluster(call: Call, spec: Spec) -> None:
    """`pg_ctlcluster VERSION NAME ACTION`."""
    if len(call.args) == 3 and call.args[2].exact and call.args[2].text == "status":
        return
    call.add(2, "starts or stops a database server")


def judge_pg_conftool(call: Call, spec: Spec) -> None:
    """`pg_conftool [VERSION NAME] [FILE] show|set|remove|edit ...`."""
    words = [a.text for a in call.args if a.exact and not a.text.startswith("-")]
    others = {"set", "remove", "edit"}
    if len(words) < len(call.args) - 1 or "show" not in words or others & set(words):
        call.add(2, "changes the configuration of a database server")


def judge_rabbit(call: Call, spec: Spec) -> None:
    """`rabbitmqctl`: list, status and check read; delete, purge and reset lose data."""
    words = [a.text for a in call.args if not a.text.startswith("-")]
    while words and ("@" in words[0] or words[0].startswith("/")):
        words.pop(0)
    verb = words[0] if words else ""
    clear = all(a.exact for a in call.args)
    if call.name == "rabbitmqadmin" and verb == "delete":
        call.add(3, "`rabbitmqadmin delete` removes queues or exchanges")
    elif re.match(r"(?:delete_|purge_|forget_|reset|force_reset|clear_|close_all|stop$)", verb):
        call.add(3, f"`{call.name} {verb}` loses data or stops the server")
    elif clear and re.fullmatch(
        r"list\w*|status|cluster_status|report|environment|ping|check_\w+|node_health_check"
        r"|version|help|listeners|list"
        r"|memory_breakdown|alarms|observer_|log_location|show|is_enabled|directories"
        r"|server_version|runtime_thread_stats",
        verb,
    ):
        return
    else:
        call.add(2, f"`{call.name} {verb}` changes the server")


def judge_kafka(call: Call, spec: Spec) -> None:
    """Kafka tools: --list and --describe read; --delete removes."""
    words = {a.text for a in call.args}
    if "--delete" in words or "delete-records" in call.name or "--delete-offsets" in words:
        call.add(3, f"`{call.name}` deletes topics, records or groups")
    elif (
        (call.name in ("kcat", "kafkacat") and words & {"-L"} and not words & {"-P"})
        or (
            words & {"--list", "--describe", "--version"}
            and not words & {"--alter", "--create", "--execute", "--add"}
        )
        or "broker-api-versions" in call.name
        or "get-offsets" in call.name
    ):
        return
    elif "console-consumer" in call.name and not any(
        w.startswith(("--formatter", "--consumer-property")) for w in words
    ):
        call.add(1, "commits the position of a consumer group")
    else:
        call.add(2, f"`{call.name}` changes the cluster or sends data")


def judge_hadoop(call: Call, spec: Spec) -> None:
    """`hdfs dfs -VERB`: ls, cat, du and stat read."""
    words = [a.text for a in call.args]
    if words[:1] in (["dfs"], ["fs"], ["dfsadmin"]) and len(words) > 1:
        if words[1] in (
            "-ls",
            "-cat",
            "-du",
            "-df",
            "-stat",
            "-count",
            "-tail",
            "-text",
            "-test",
            "-checksum",
            "-find",
            "-report",
            "-help",
            "-head",
            "-getfacl",
        ):
            return
        if words[1] in ("-rm", "-rmr", "-rmdir", "-expunge", "-deleteSnapshot", "-truncate"):
            call.add(3, f"`{call.name} {words[0]} {words[1]}` removes files")
            return
    if words[:1] in (["version"], ["classpath"], ["getconf"]):
        return
    if words[:1] == ["namenode"] and "-format" in words:
        call.add(3, "formats the name node")
        return
    call.add(2, f"`{call.name} {' '.join(words[:2])}` changes the file system")
