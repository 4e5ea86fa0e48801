"""sed(1), awk(1) and jq(1): their scripts can write files and run commands."""

from __future__ import annotations

import pytest

from relay_shell.policy import classify_argv


@pytest.mark.parametrize(
    ("script", "tier"),
    [
        ("s/a/b/g", 0),
        ("s/[^/]*$//", 0),  # a delimiter inside brackets
        ("s|w /x|e|", 0),
        ("/w x/d", 0),
        ("y/abc/xyz/", 0),
        ("1,5p;$!d", 0),
        (":a;N;$!ba;s/\\n/ /g", 0),
        ("/a/,/b/{s/x/y/;p}", 0),
        ("a\\\nw not a command", 0),
        ("i some w text", 0),
        ("\\,x,d", 0),
        ("0~3d", 0),
        ("# w comment", 0),
        ("w out", 2),
        ("/x/w /etc/cron.d/x", 2),
        ("w /dev/stdout", 0),
        ("s/a/b/w out", 2),
        ("s/a/b/gpw out", 2),
        ("s/a/b/e", 2),
        ("1e id", 2),
        ("e", 2),
        ("1e rm -rf /", 3),
        ("w /dev/sda", 3),
        ("$!{w out\n}", 2),
        ("s/a/b/\nw out", 2),
        ("s/a", 2),
        ("k", 2),
        ("s/[\\/]/x/", 2),  # backslash and delimiter inside brackets differ between versions
        ("p;" * 3000, 2),
    ],
)
def test_sed_scripts(script: str, tier: int) -> None:
    assert int(classify_argv(["sed", "-n", script, "file"]).tier) == tier


@pytest.mark.parametrize(
    ("args", "tier"),
    [
        (["-n", "1p", "-i"], 2),
        (["-ni", "1p"], 2),
        (["--in-pl", "1p"], 2),
        (["-i.bak", "p"], 2),
        (["-f", "x.sed"], 2),
        (["-e", "p", "--expression=w x"], 2),
        (["--expr=w x"], 2),
        (["-s", "-E", "p"], 0),
        (["--debug", "-u", "p"], 0),
        (["--frob", "p"], 2),
    ],
)
def test_sed_options(args: list[str], tier: int) -> None:
    assert int(classify_argv(["sed", *args, "file"]).tier) == tier


@pytest.mark.parametrize(
    ("program", "tier"),
    [
        ("{print $1}", 0),
        ("$3 > 80 {print}", 0),
        ("{ if ($3 > 80) print $1 }", 0),
        ("{ print ($3 > 80) }", 0),
        ("{ x = $1 > 2 ? 3 : 4; print x }", 0),
        ("/a|b/ {n++} END {print n/2, n / 3}", 0),
        ("a || b", 0),
        ("{gsub(/\\//, \"-\"); print}", 0),
        ("/\"quoted\"/ {print}", 0),
        ("BEGIN{while ((getline line < \"f\") > 0) n++}", 0),
        ("{ print > \"/dev/stderr\" }", 0),
        ("{ print \"system(x)\" }", 0),
        ("# system(\"x\")\n{print}", 0),
        ("{ print > \"out\" }", 2),
        ("{ print $1, $2 >> FILENAME }", 2),
        ("{ printf(\"%s\", $1) > $2 }", 2),
        ("{ print a,\n b > \"out\" }", 2),
        ("{ print | \"sort\" }", 2),
        ("{ \"date\" | getline d }", 2),
        ("{ print |& \"x\" }", 2),
        ("{ system(\"id\") }", 2),
        ("{ system (\"rm -rf /\") }", 3),
        ("BEGIN { print \"x\" > \"/dev/sda\" }", 3),
        ("@load \"filefuncs\"", 2),
        ("{ @f() }", 2),
        ("BEGIN { getline < \"/inet/tcp/0/h/80\" }", 2),
        ("{ if (1) /\"/ ; system(\"id\") #\" }", 2),
        ("/[/\"]/; {system(\"id\")} #\"", 2),
        ("{ print \"unterminated }", 2),
        ("'", 2),
    ],
)  # fmt: skip
def test_awk_programs(program: str, tier: int) -> None:
    assert int(classify_argv(["awk", program, "file"]).tier) == tier


@pytest.mark.parametrize(
    ("args", "tier"),
    [
        (["-F:", "-v", "x=1", "{print x}"], 0),
        (["-f", "x.awk"], 2),
        (["-i", "inplace", "{print}"], 2),
        (["-l", "filefuncs", "BEGIN{}"], 2),
        (["--prof", "{print}"], 2),
        (["-W", "exec", "x"], 2),
        (["--", "{print}"], 0),
        (["--version"], 0),
        ([], 2),
    ],
)
def test_awk_options(args: list[str], tier: int) -> None:
    assert int(classify_argv(["gawk", *args]).tier) == tier
