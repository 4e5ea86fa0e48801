"""Plain commands: started directly only where the shell would execute just that."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relay_shell.policy.limits import Budget
from relay_shell.policy.parser import parse
from relay_shell.policy.syntax import Simple
from relay_shell.shell.direct import NO_PROGRAMS, VARIABLES, Program, direct
from shell.conftest import Call

BASH = "/bin/bash"
SHELLS = [BASH, "/bin/dash", "/bin/sh"]
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "TERM": "dumb"}
PROBE = "#!/bin/dash\ncat /proc/$$/cmdline - /proc/$$/environ <<'E'\n\1\nE\nexit 0\n"
"""Tells its words and variables as execve(2) gave them; the first two words are the kernel's."""

WORD = st.text("abzAZ059_./:=,+@%^-", min_size=1, max_size=8)
NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,7}", fullmatch=True)
OPERATORS = "$HOME ~ ~root a:~ * ? [a-z] {a,b} `ls` $(ls) | & ; < > 2> # #c ! !! ( ) @(a) +(a)"
SPECIAL = st.sampled_from(
    [
        *("", "\n", "\t", "\r", "\x0b", "\xa0", "ä", "''", '"a b"', "\\a"),
        *OPERATORS.split(),
        *("a=b", "a+=b", "x[0]=1", "-", "--", "%1", "+x", "^a^b"),
        *sorted(NO_PROGRAMS),
    ]
)


def told(program: str | None, argv: list[str], env: dict[str, str], cwd: str) -> Any:
    """Words and variables of the probe, where it ran."""
    try:
        done = subprocess.run(argv, executable=program, env=env, cwd=cwd, capture_output=True)
    except OSError:
        return "not started"
    words, mark, variables = done.stdout.partition(b"\1\n")
    if not mark:
        return "not started"
    return words.split(b"\0")[1:], sorted(variables.split(b"\0"))


def same(shell: str, command: str, env: dict[str, str], cwd: str) -> Program | None:
    """What is started directly, after a comparison with what the shell starts."""
    program = direct(shell, command, env, cwd)
    if program is not None:
        by_shell = told(None, [shell, "-c", command], env, cwd)
        directly = told(program.path, program.argv, program.env, cwd)
        assert directly == by_shell
        # The classifier saw the same words.
        (tree,) = parse(command, Budget()).commands
        assert isinstance(tree, Simple)
        assert not tree.assignments and not tree.redirects
        assert [word.plain for word in tree.words] == program.argv
    return program


def installed(directory: Path, name: str) -> Path:
    """The probe under another name."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    if not path.exists():
        path.write_text(PROBE)
        path.chmod(0o755)
    return path


@pytest.mark.parametrize("shell", SHELLS)
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=NAME,
    words=st.lists(WORD, max_size=4),
    gap=st.sampled_from([" ", "   "]),
    how=st.sampled_from(["{}", "./bin/{}", "bin/{}", "{tmp}/bin/{}", "{tmp}//bin/../bin/{}"]),
    values=st.dictionaries(
        st.sampled_from(sorted(VARIABLES - {"PATH", "LC_ALL"})),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    ),
)
@example(name="x", words=["="], gap=" ", how="{}", values={"LANG": "none", "TZ": "() { :; }"})
@example(name="2", words=["-c", "%1", "^a^b"], gap=" ", how="{}", values={})
def test_a_plain_command_is_what_the_shell_starts(
    shell: str,
    name: str,
    words: list[str],
    gap: str,
    how: str,
    values: dict[str, str],
    tmp_path: Path,
) -> None:
    installed(tmp_path / "bin", name)
    env = {**ENV, **values, "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    typed = how.format(name, tmp=tmp_path)
    program = same(shell, gap.join([typed, *words]), env, str(tmp_path))
    wanted = typed != name or name not in NO_PROGRAMS
    assert (program is not None) == wanted


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(st.one_of(WORD, SPECIAL, st.just("probe")), min_size=1, max_size=5),
    glue=st.sampled_from([" ", "", "  "]),
    shell=st.sampled_from(SHELLS),
)
def test_a_command_that_is_not_plain_is_the_shells(
    parts: list[str], glue: str, shell: str, tmp_path: Path
) -> None:
    for name in ("probe", "a", "z", "A", "0", "a.b", "a+"):
        installed(tmp_path / "bin", name)
    env = {**ENV, "PATH": f"{tmp_path}/bin"}
    command = glue.join(parts)
    same(shell, command, env, str(tmp_path))


@pytest.mark.parametrize(
    "command",
    ["id $HOME", "id ~", "id *", "id ?", "id [a]", "id {a,b}", "id 'a'", 'id "a"', "id \\a"]
    + ["id `id`", "id $(id)", "id|id", "id&", "id;id", "id<x", "id>x", "id 2>x", "id #c", "id #"]
    + ["! id", "id\nid", "id\n", "\nid", "id\ta", "id\ra", "id\x0b", "id\xa0", "id ä", "a=b id"]
    + ["a=b", "a+=b", "%1", "+x", "-x", "~/x", "id()", "(id)", "", " ", "id \0", "id !!"]
    + ["." * n for n in (1, 2)]
    + ["nosuch-program", "/", "./", "/etc/passwd ", "true a", "false --help", "x" * 5000]
    + ["id " + "a" * 5000],
)
def test_what_is_not_plain(command: str) -> None:
    assert direct(BASH, "id -u", ENV, "/") is not None
    assert direct(BASH, command, ENV, "/") is None or command.strip() in ("/", "./", "/etc/passwd")


@pytest.mark.parametrize("name", sorted(NO_PROGRAMS - {"true", "false"}))
def test_builtins_and_reserved_words_are_the_shells(name: str, tmp_path: Path) -> None:
    if name not in (".", "!", ":"):
        installed(tmp_path, name)
    for shell in SHELLS:
        assert direct(shell, name, {**ENV, "PATH": str(tmp_path)}, "/") is None


def test_true_and_false_are_the_systems_or_the_shells(tmp_path: Path) -> None:
    for name in ("true", "false"):
        assert direct(BASH, name, ENV, "/") is not None
        assert direct(BASH, f"{name} x", ENV, "/") is None
        installed(tmp_path, name)
        assert direct(BASH, name, {**ENV, "PATH": f"{tmp_path}:/usr/bin"}, "/") is None


def test_no_builtin_of_the_shells_is_missing() -> None:
    listed = subprocess.run(
        [BASH, "-c", "compgen -b; compgen -k"], capture_output=True, text=True, check=True
    )
    assert not set(listed.stdout.split()) - NO_PROGRAMS
    # Those of dash have no list: ask it for each program there is, and for each word in itself.
    inside = re.findall(rb"[a-z]{2,12}", Path("/bin/dash").read_bytes())
    names = {name for path in ("/usr/bin", "/usr/sbin") for name in os.listdir(path)}
    names |= {word.decode() for word in inside}
    for shell in SHELLS:
        asked = subprocess.run(
            [shell, "-c", 'type "$@"', "ask", *sorted(names)], capture_output=True, text=True
        )
        own = re.findall(r"^(.*) is a (?:special )?shell (?:builtin|keyword)$", asked.stdout, re.M)
        assert len(own) > 20
        assert not set(own) - NO_PROGRAMS


@pytest.mark.parametrize(
    "name",
    "BASH_ENV ENV SHELLOPTS BASHOPTS BASH_FUNC_id%% POSIXLY_CORRECT SHLVL PWD OLDPWD _ IFS PS4"
    " SSH_CLIENT BASH_XTRACEFD EXECIGNORE any".split(),
)
def test_another_variable_is_for_the_shell_to_read(name: str) -> None:
    assert direct(BASH, "id", {**ENV, name: ""}, "/") is None


def test_a_locale_of_which_bash_would_warn_is_for_bash() -> None:
    assert direct(BASH, "id", {**ENV, "LC_ALL": "xx_YY"}, "/") is None
    assert direct(BASH, "id", {**ENV, "LC_ALL": "C.UTF-8"}, "/") is not None


@pytest.mark.parametrize("path", ["", ":/usr/bin", "/usr/bin:", "/usr/bin::/bin", ".", "bin"])
def test_a_path_that_depends_on_the_directory_is_the_shells(path: str) -> None:
    assert direct(BASH, "id", {**ENV, "PATH": path}, "/usr") is None
    assert direct(BASH, "id", {**ENV, "PATH": f"/opt/none:{path}"}, "/usr") is None


@pytest.mark.parametrize("path", ["~/bin:/usr/bin", "/usr/bin/", "/usr//bin", "/a b:/usr/bin"])
def test_a_path_that_is_not_in_normal_form_is_the_shells(path: str) -> None:
    assert direct(BASH, "id", {**ENV, "PATH": path}, "/") is None


def test_the_first_file_of_the_name_decides(tmp_path: Path) -> None:
    first = tmp_path / "first"
    installed(first, "a").chmod(0o644)
    installed(tmp_path / "second", "a")
    env = {**ENV, "PATH": f"{first}:{tmp_path}/second"}
    assert direct(BASH, "a", env, "/") is None
    (first / "a").unlink()
    program = direct(BASH, "a", env, "/")
    assert program is not None and program.path == f"{tmp_path}/second/a"
    (first / "a").mkdir()
    assert direct(BASH, "a", env, "/") is None


def test_other_shells_start_their_commands_themselves(tmp_path: Path) -> None:
    copy = tmp_path / "bash"
    shutil.copy(BASH, copy)
    (tmp_path / "sh").symlink_to("dash")
    for shell in ("/bin/zsh", "/usr/bin/fish", "bash", "/bin/rbash", str(copy), f"{tmp_path}/sh"):
        assert direct(shell, "id", ENV, "/") is None


def test_a_directory_is_named_as_the_shell_names_it(tmp_path: Path) -> None:
    installed(tmp_path / "bin", "probe")
    env = {**ENV, "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for shell in SHELLS:
        program = same(shell, "probe", env, f"{tmp_path}/link")
        assert program is not None and program.env["PWD"] == f"{tmp_path}/real"
        # There the path is another one for each process.
        assert direct(shell, "probe", env, "/proc/self") is None
    removed = tmp_path / "removed"
    removed.mkdir()
    fd = os.open(removed, os.O_RDONLY)
    removed.rmdir()
    assert direct(BASH, "probe", env, f"/proc/self/fd/{fd}") is None
    os.close(fd)


def test_argv_0_is_as_typed(tmp_path: Path, rig: Any) -> None:
    shutil.copy("/bin/cat", tmp_path / "words")

    async def main() -> None:
        async with rig(worker__path=f"{tmp_path}:/usr/bin") as r:
            for typed in ("words", "./words", str(tmp_path / "words")):
                command = f"{typed} /proc/self/cmdline"
                done = await r.shell.run(
                    [BASH, "-c", command], command=command, call=Call(), **BOUNDS
                )
                assert done.stdout == f"{typed}\0/proc/self/cmdline\0"

    asyncio.run(main())


BOUNDS: dict[str, Any] = {"timeout": 60, "max_output": 65_536}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("nosuch-program", 127),
        ("./nosuch", 127),
        ("./directory", 126),
        ("./closed", 126),
        ("./script a", 0),
        ("./broken", 126),
        ("./empty", 0),
        ("ls nosuch-file", 2),
        ("false", 1),
        ("true", 0),
        ("id -u", 0),
        ("pwd -P", 0),
    ],
)
def test_result_is_the_shells_also_where_nothing_starts(
    command: str, status: int, rig: Any, tmp_path: Path
) -> None:
    (tmp_path / "directory").mkdir()
    for name, mode, text in (
        ("closed", 0o644, "#!/bin/sh\n"),
        ("script", 0o755, "echo $1 without a first line\n"),
        ("broken", 0o755, "#!/nosuch/interpreter\n"),
        ("empty", 0o755, ""),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)

    async def main() -> None:
        async with rig() as r:
            argv = [BASH, "-c", command]
            by_shell = await r.shell.run(argv, call=Call(), **BOUNDS)
            done = await r.shell.run(argv, call=Call(), command=command, **BOUNDS)
            for name in ("exit", "signal", "stdout", "stderr", "bytes", "sha256", "truncated"):
                assert getattr(done, name) == getattr(by_shell, name)
            assert done.exit == status or (command == "./broken" and done.exit in (126, 127))

    asyncio.run(main())


def test_a_shell_is_started_where_the_kernel_refuses_the_program(tmp_path: Path, rig: Any) -> None:
    (tmp_path / "parent").write_text("cat /proc/$$/comm\n")
    (tmp_path / "parent").chmod(0o755)

    async def main() -> None:
        async with rig() as r:
            command = "./parent"
            done = await r.shell.run([BASH, "-c", command], command=command, call=Call(), **BOUNDS)
            assert (done.exit, done.stdout) == (0, "bash\n")

    asyncio.run(main())


def test_only_the_command_of_a_call_is_started_directly(tmp_path: Path, rig: Any) -> None:
    """`argv` stands as it is, also where it names a shell; so does what is enforced."""
    installed(tmp_path, "probe")

    async def main() -> None:
        async with rig(worker__path=f"{tmp_path}:/usr/bin") as r:
            argv = [BASH, "-c", "tail -c 100 /proc/self/environ"]
            plain = await r.shell.run(argv, command=argv[2], call=Call(), **BOUNDS)
            shell = await r.shell.run(argv, call=Call(), **BOUNDS)
            assert plain.stdout.endswith("SHLVL=0\0_=/usr/bin/tail\0")
            assert not shell.stdout.endswith("SHLVL=0\0_=/usr/bin/tail\0")

    asyncio.run(main())
