"""What is known of a word after expansion, and of the shell's state."""

from __future__ import annotations

from dataclasses import dataclass, field

from .syntax import Block, Command


@dataclass(slots=True)
class Arg:
    """One word as a program would receive it.

    Attributes:
        text: The value if `exact`, else the known beginning of it.
        exact: Whether the whole value is known.
        splits: Whether the unknown part may become several words, or none.
        many: Whether file names may be matched, so that one word becomes several operands.
        safe: Whether no word that it becomes can begin with `-`.
        shown: The word for canonical forms; unknown parts appear as in the source.
        block: Commands of a process substitution that this word names.
        numeric: Whether it is one expansion that yields only digits.
    """

    text: str
    exact: bool = True
    splits: bool = False
    many: bool = False
    safe: bool = False
    shown: str = ""
    block: Block | None = None
    numeric: bool = False

    @property
    def wild(self) -> bool:
        """Whether it may turn out to be an option."""
        if self.exact or self.safe:
            return False
        return self.splits or self.text in ("", "-", "--")

    @property
    def display(self) -> str:
        """The word as canonical forms show it."""
        return self.shown or self.text


def known(text: str) -> Arg:
    """A word whose value is known."""
    return Arg(text)


UNKNOWN = Arg("", exact=False, splits=True)


@dataclass(slots=True)
class Value:
    """What is known of a variable or of a command's output.

    `text` is the value if known; otherwise `numeric` says that it holds only digits and
    blanks, `safe` that no word of it begins with `-` and none is a pattern, `many` that it
    may be several such words, and `prefix` what it begins with.
    """

    text: str | None = None
    numeric: bool = False
    safe: bool = False
    prefix: str = ""
    many: bool = False


NUMBER = Value(numeric=True, safe=True, many=True)
WORDS = Value(safe=True, many=True)
SAFE = Value(safe=True)
ANYTHING = Value()


def join(first: Value, second: Value) -> Value:
    """What is known when either value may hold."""
    if first == second:
        return first
    numeric = is_number(first) and is_number(second)
    safe = is_safe(first) and is_safe(second)
    return Value(None, numeric, safe)


def is_number(value: Value) -> bool:
    """Whether the value is certainly an integer or empty."""
    if value.text is None:
        return value.numeric
    return not value.text or value.text.lstrip("+-").isdecimal()


def is_safe(value: Value) -> bool:
    """Whether the value stays one word that is no option and no pattern."""
    if value.text is None:
        return value.safe
    text = value.text
    return bool(text) and text[0] != "-" and not any(char in " \t\n*?[\\" for char in text)


@dataclass(slots=True)
class Scope:
    """State of the shell at one point: variables, functions, aliases, positionals.

    `exported` are variables that programs started later receive; `*` is all that are assigned.
    """

    variables: dict[str, Value] = field(default_factory=dict)
    functions: dict[str, Command] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    positional: list[Arg] | None = None
    name: str = ""
    exported: set[str] = field(default_factory=set)

    def lookup(self, name: str) -> Value:
        """What is known of a parameter."""
        if not name.isdecimal():
            return self.variables.get(name) or INITIAL.get(name, ANYTHING)
        if name == "0":
            return Value(self.name) if self.name else ANYTHING
        positional = self.positional
        if positional is None or any(arg.splits or arg.many for arg in positional):
            return ANYTHING
        index = int(name) - 1
        if index >= len(positional):
            return Value("")
        arg = positional[index]
        return Value(arg.text) if arg.exact else Value(None, False, arg.safe, arg.text)

    def fork(self) -> Scope:
        """A copy, for a subshell or a branch."""
        return Scope(
            dict(self.variables),
            dict(self.functions),
            dict(self.aliases),
            self.positional,
            self.name,
            set(self.exported),
        )

    def merge(self, branches: list[Scope]) -> None:
        """Take over what holds after any one of the branches."""
        for branch in branches:
            for name, value in branch.variables.items():
                before = self.variables.get(name, ANYTHING)
                self.variables[name] = value if before is value else join(before, value)
            self.exported |= branch.exported
            self.functions.update(branch.functions)
            self.aliases.update(branch.aliases)
            if branch.positional is not self.positional:
                self.positional = None


@dataclass(slots=True)
class Input:
    """What a command finds on its standard input.

    `text` is set where it is known, `safe` where no word of it begins with `-`; `source` is
    `inherited` (the call's own stdin), `pipe`, `file` or `here`.
    """

    source: str = "inherited"
    text: str | None = None
    safe: bool = False


INHERITED = Input()

# Set by login and kept by the shell; none can begin with a dash unless reassigned, and
# reassigning one is judged where it happens.
INITIAL: dict[str, Value] = {
    name: SAFE
    for name in (
        "HOME",
        "PWD",
        "OLDPWD",
        "USER",
        "LOGNAME",
        "SHELL",
        "HOSTNAME",
        "HOSTTYPE",
        "OSTYPE",
        "MACHTYPE",
        "BASH_VERSION",
        "XDG_RUNTIME_DIR",
        "XDG_SESSION_ID",
        "TMPDIR",
        "LANG",
        "TERM",
    )
} | {
    name: NUMBER
    for name in (
        "UID",
        "EUID",
        "PPID",
        "RANDOM",
        "SRANDOM",
        "SECONDS",
        "LINENO",
        "EPOCHSECONDS",
        "COLUMNS",
        "LINES",
        "SHLVL",
        "BASHPID",
    )
}
INITIAL["IFS"] = Value(" \t\n")
