"""Syntax tree of shell text, as bash(1) reads it.

Only what the parser understands exactly has a node here; everything else ends in
`Unresolvable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Literal:
    """Text that stands for itself; unquoted text may still hold globs, braces and a tilde."""

    text: str
    quoted: bool


@dataclass(slots=True)
class Parameter:
    """`$name` or `${name...}`.

    `op` is the operator (empty for a plain value), `words` the operands after it.
    """

    name: str
    quoted: bool
    op: str = ""
    words: tuple[Word, ...] = ()
    source: str = ""


@dataclass(slots=True)
class Substitution:
    """`$(...)` or a backquoted command."""

    body: Block
    quoted: bool
    source: str = ""


@dataclass(slots=True)
class Process:
    """`<(...)` or `>(...)`."""

    body: Block
    direction: str
    source: str = ""


@dataclass(slots=True)
class Arithmetic:
    """`$((...))`; the expression as a word whose literals are arithmetic text."""

    expression: Word
    quoted: bool
    source: str = ""


Part = Literal | Parameter | Substitution | Process | Arithmetic


@dataclass(slots=True)
class Word:
    """One shell word. `plain` is its value where nothing in it is expanded."""

    source: str
    parts: Sequence[Part]
    plain: str | None = None


@dataclass(slots=True)
class Redirect:
    """One redirection; for a here-document the target is its body."""

    op: str
    target: Word
    fd: str = ""
    source: str = ""


@dataclass(slots=True)
class Assignment:
    """`name=value`, `name+=value` or `name=(words)`."""

    name: str
    value: Word
    append: bool = False
    array: tuple[Word, ...] | None = None
    source: str = ""


@dataclass(slots=True)
class Simple:
    """A simple command."""

    assignments: list[Assignment] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Pipeline:
    """Commands joined by pipes; a single command is not wrapped."""

    commands: list[Command]
    source: str = ""


@dataclass(slots=True)
class AndOr:
    """Pipelines joined by `&&` and `||`."""

    commands: list[Command]
    source: str = ""


@dataclass(slots=True)
class Block:
    """A list of commands, in order. `background` marks those followed by `&`."""

    commands: list[Command] = field(default_factory=list)
    background: list[bool] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Group:
    """`{ ...; }` or `( ... )`."""

    body: Block
    subshell: bool
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Conditional:
    """`if` with its branches; each is (condition, body)."""

    branches: list[tuple[Block, Block]]
    otherwise: Block | None
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Loop:
    """`while`, `until`, `for` and `select`; `items` is None for `for name`."""

    kind: str
    condition: Block | None
    body: Block
    name: str = ""
    items: list[Word] | None = None
    expressions: tuple[Word, ...] = ()
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Case:
    """`case word in ... esac`; each clause is (patterns, body)."""

    subject: Word
    clauses: list[tuple[list[Word], Block]]
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Function:
    """A function definition."""

    name: str
    body: Command
    source: str = ""


@dataclass(slots=True)
class Bracket:
    """`[[ ... ]]`, as words and operators in order."""

    words: list[Word]
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Calculation:
    """`(( ... ))`."""

    expression: Word
    redirects: list[Redirect] = field(default_factory=list)
    source: str = ""


@dataclass(slots=True)
class Coprocess:
    """`coproc command`."""

    command: Command
    source: str = ""


Command = (
    Simple
    | Pipeline
    | AndOr
    | Block
    | Group
    | Conditional
    | Loop
    | Case
    | Function
    | Bracket
    | Calculation
    | Coprocess
)
