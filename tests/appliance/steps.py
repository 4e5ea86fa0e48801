"""Steps in a machine: run programs as some user, move files, read the journal."""

from __future__ import annotations

import json
import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from . import journal
from .process import poll

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "cat",
}
# $1 user, then the command.
BECOME = (
    'user=$1; shift; exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"'
)


class StepFailed(AssertionError):
    """A command in a machine ended with a status other than 0."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        command = shlex.join(done.args)
        super().__init__(f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}")


def prepared(argv: Sequence[str], user: str | None, env: Mapping[str, str] | None) -> list[str]:
    """The argv that, run as root in a machine, runs `argv` as the user in a clean environment."""
    home = "/root" if user in (None, "root") else "/"
    variables = {**ENVIRONMENT, "HOME": home, "USER": user or "root", **(env or {})}
    become = ["sh", "-euc", BECOME, "sh", user] if user else []
    assignments = [f"{name}={value}" for name, value in variables.items()]
    return ["env", "--ignore-environment", *assignments, *become, *argv]


class Steps(ABC):
    """What can be done in a machine once it runs, whatever it runs on."""

    # Patterns of warnings that machines of this kind give whatever is installed.
    baseline: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.name = ""
        self._declared = list(self.baseline)

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.destroy()

    @abstractmethod
    def boot(self) -> None:
        """Boots. Returns when systemd has started everything it was told to."""

    @abstractmethod
    def destroy(self) -> None:
        """Ends everything in the machine at once and removes what it had."""

    @abstractmethod
    def command(
        self, *argv: str, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """The argv that runs `argv` in the machine, for whoever starts programs by itself.

        It inherits the standard streams, so an MCP client can take it for its stdio server.
        """

    def popen(
        self,
        *argv: str,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Starts a program in the machine; `options` are Popen's."""
        return subprocess.Popen(self.command(*argv, user=user, env=env), **options)

    def run(
        self,
        *argv: str,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | bytes | IO[bytes] | None = None,
        check: bool = True,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program in the machine and returns what it printed, as text.

        Raises:
            StepFailed: its status is not 0 and `check` is set.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        if isinstance(input, str):
            input = input.encode()
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL}
        if isinstance(input, bytes):
            given = {"input": input}
        elif input is not None:
            given = {"stdin": input}
        raw = subprocess.run(
            self.command(*argv, user=user, env=env), capture_output=True, timeout=timeout, **given
        )
        done = subprocess.CompletedProcess(
            list(argv),
            raw.returncode,
            raw.stdout.decode(errors="replace"),
            raw.stderr.decode(errors="replace"),
        )
        if check and done.returncode:
            raise StepFailed(done)
        return done

    def out(self, *argv: str, user: str | None = None, **options: Any) -> str:
        """Standard output of a program that must succeed, without the last line feed."""
        return self.run(*argv, user=user, **options).stdout.rstrip("\n")

    def shell(self, script: str, *, user: str | None = None, **options: Any) -> str:
        """Standard output of a shell script, which ends at the first command that fails."""
        return self.out("sh", "-euc", script, user=user, **options)

    def unit(
        self, *argv: str, user: str | None = None, properties: Sequence[str] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program as a transient unit, so that journal and limits see it as a service."""
        extra = [f"--property={item}" for item in properties]
        if user:
            extra.append(f"--uid={user}")
        prefix = ("systemd-run", "--pipe", "--wait", "--quiet", "--collect")
        return self.run(*prefix, *extra, "--", *argv, **options)

    def wait(self, script: str, seconds: float = 120, user: str | None = None) -> None:
        """Repeats a shell script until it succeeds. Raises TimeoutError if it does not in time."""

        def holds() -> bool:
            return self.run("sh", "-euc", script, user=user, check=False).returncode == 0

        poll(holds, seconds, script, every=0.1)

    def add_user(self, name: str, *groups: str) -> None:
        self.run("useradd", "--create-home", "--user-group", "--shell", "/bin/bash", name)
        for group in groups:
            self.run("usermod", "--append", "--groups", group, name)

    # -- files -----------------------------------------------------------------------------------

    def read(self, path: str) -> str:
        return self.run("cat", "--", path).stdout

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        script = 'mkdir -p "${1%/*}"; cat > "$1"; chmod "$2" "$1"'
        self.run("sh", "-euc", script, "sh", path, f"{mode:o}", input=content)

    def put(self, local: Path, path: str) -> None:
        """Copies a host file, or a directory as a whole, to `path` in the machine, as root's."""
        with subprocess.Popen(
            ["tar", "-C", local.parent, "--owner=0", "--group=0", "-cf", "-", local.name],
            stdout=subprocess.PIPE,
        ) as tar:
            script = (
                'mkdir -p "${2%/*}"; t=$(mktemp -d "${2%/*}/.put-XXXXXX"); tar -C "$t" -xf -; '
                'mv -T "$t/$1" "$2"; rmdir "$t"'
            )
            self.run("sh", "-euc", script, "sh", local.name, path, input=tar.stdout)
        if tar.returncode:
            raise RuntimeError(f"tar of {local} failed")

    def get(self, path: str, local: Path) -> None:
        """Copies a file of the machine to a host path."""
        with open(local, "wb") as target:
            subprocess.run(self.command("cat", "--", path), check=True, stdout=target)

    # -- journal ---------------------------------------------------------------------------------

    def journal(self, *arguments: str) -> list[journal.Entry]:
        """Entries since boot; `arguments` are journalctl's, such as a match or `--unit`."""
        self.run("journalctl", "--sync")
        listing = self.run("journalctl", "--boot", "--output=json", "--all", "--quiet", *arguments)
        return list(journal.parse(listing.stdout.splitlines()))

    def cursor(self) -> str:
        """Where the journal ends now, for `--after-cursor=`."""
        last = json.loads(self.out("journalctl", "--lines=1", "--output=json", "--quiet"))
        return str(last["__CURSOR"])

    def expect(self, pattern: str) -> None:
        """Declares that warnings with this pattern in "unit: message" are part of the test."""
        self._declared.append(pattern)

    def check_journal(self) -> None:
        """Fails if there is a message of priority warning or worse that nobody declared."""
        found = journal.undeclared(self.journal("--priority=warning"), self._declared)
        if found:
            listing = "\n".join(map(str, found))
            raise AssertionError(f"{self.name}: undeclared journal messages:\n{listing}")
