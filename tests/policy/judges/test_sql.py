"""Statements and commands that database clients send."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_argv
from relay_shell.policy.judges.sql import sql_verdict


@pytest.mark.parametrize(
    ("statement", "tier"),
    [
        ("SELECT 1", 0),
        ("select * from t where a = 'DROP TABLE x'", 0),
        ("SELECT * FROM \"drop table\"", 0),
        ("SHOW TABLES; DESCRIBE t; EXPLAIN SELECT 1", 0),
        ("SELECT 1 -- a comment", 2),
        ("SELECT a::jsonb #> x", 2),
        ("WITH x AS (SELECT 1) SELECT * FROM x;", 0),
        ("SHOW CREATE TABLE t\\G", 0),
        ("PRAGMA table_info(t)", 0),
        ("", 0),
        ("PRAGMA journal_mode = WAL", 2),
        ("SELECT 1 /*! INTO OUTFILE '/x' */", 2),
        ("SELECT * INTO t2 FROM t", 2),
        ("SELECT * FROM t FOR UPDATE", 2),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", 2),
        ("EXPLAIN ANALYZE UPDATE t SET a = 1 WHERE b", 2),
        ("SELECT pg_terminate_backend(1)", 2),
        ("SELECT pg_read_file('/etc/passwd')", 2),
        ("SELECT load_file('/etc/passwd')", 2),
        ("SELECT nextval('s')", 2),
        ("INSERT INTO t VALUES (1)", 2),
        ("UPDATE t SET a = 1 WHERE b = 2", 2),
        ("CREATE TABLE t (a int)", 2),
        ("COPY t TO PROGRAM 'x'", 2),
        ("CALL p()", 2),
        ("SELECT 1 \\gexec", 2),
        ("frobnicate", 2),
        ("SELECT 1; " * 4000, 2),
        ("DROP TABLE t", 3),
        ("drop\n database\tx", 3),
        ("SELECT 1; TRUNCATE t", 3),
        ("DELETE FROM t WHERE a = 1", 3),
        ("UPDATE t SET a = 1", 3),
        ("ALTER TABLE t DROP COLUMN a", 3),
        ("/*! DROP TABLE t */", 3),
        ("SELECT '\\'; DROP TABLE x; --'", 3),  # a whole string to PostgreSQL, not to MySQL
        ("SELECT 1 #1; DROP TABLE x", 3),  # a comment to MySQL alone
        ("SELECT 1--1; DROP TABLE x", 3),  # no comment to MySQL
        ("SELECT $$'$$; DROP TABLE x; SELECT '", 3),
        ("/* /* */ SELECT '*/; DROP TABLE x; --'", 3),
        ("SELECT ['], 1; DROP TABLE x; SELECT [']", 3),
        ("SELECT `'`; DROP TABLE x; SELECT '", 3),
        ("SELECT 'a; DROP TABLE x", 3),
        ("SELECT 1;" * 1000 + "DROP TABLE x", 3),
    ],
)  # fmt: skip
def test_statements(statement: str, tier: int) -> None:
    assert sql_verdict(statement)[0] == tier


@pytest.mark.parametrize(
    ("argv", "tier"),
    [
        (["mysql", "-e", "SELECT 1"], 0),
        (["mysql", "-eDROP TABLE x"], 3),
        (["mysql", "--exec=DROP TABLE x"], 3),
        (["mysql", "-e", "\\! rm x"], 3),
        (["mysql", "-e", "system id"], 2),
        (["mysql", "--tee=x", "-e", "SELECT 1"], 1),
        (["mysql", "--init-command=DROP TABLE x", "-e", "SELECT 1"], 2),
        (["mysql"], 2),
        (["psql", "-c", "\\dt+"], 0),
        (["psql", "-c", "\\! rm x"], 3),
        (["psql", "-c", "\\copy t to x"], 2),
        (["psql", "-c", "\\dt `rm x`"], 2),
        (["psql", "-o", "/etc/x", "-c", "SELECT 1"], 2),
        (["psql", "-f", "x.sql"], 2),
        (["psql", "-l"], 0),
        (["sqlite3", "x.db", ".schema t"], 0),
        (["sqlite3", "x.db", ".shell rm x"], 3),
        (["sqlite3", "x.db", ".output /etc/x"], 2),
        (["sqlite3", "x.db", ".import |x t"], 2),
        (["sqlite3", "x.db"], 2),
        (["redis-cli", "-n", "1", "GET", "a"], 0),
        (["redis-cli", "get", "a"], 0),
        (["redis-cli", "CONFIG", "SET", "dir", "/"], 2),
        (["redis-cli", "--rdb", "x"], 2),
        (["redis-cli", "-h", "x", "FLUSHALL"], 3),
        (["redis-cli"], 2),
        (["mongosh", "--eval", "db.t.find({a: 1}).limit(3)"], 0),
        (["mongosh", "--eval", "db.t.find(); db.t.drop()"], 3),
        (["mongosh", "--eval", "db.t.aggregate([{$out: 'x'}])"], 2),
        (["mongosh", "--eval=db.stats()"], 0),
        (["mongosh", "x.js"], 2),
        (["clickhouse-client", "-q", "SELECT * FROM url('http://x')"], 2),
    ],
)
def test_clients(argv: list[str], tier: int) -> None:
    assert int(classify_argv(argv).tier) == tier
