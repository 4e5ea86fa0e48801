"""Expand words as bash(1) does, as far as the values are known."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from . import environment
from .characters import is_brace, is_glob
from .limits import MAX_WORDS, Budget, OverBudget, Unresolvable
from .syntax import Arithmetic, Literal, Parameter, Part, Process, Substitution, Word
from .values import ANYTHING, NUMBER, Arg, Scope, Value

Run = Callable[[Part], Value]
_MARK = 0xD800  # a lone surrogate stands for a part that braces cannot look into
_RANGE = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})(?:\.\.(-?\d{1,4}))?|([A-Za-z])\.\.([A-Za-z])")
_OFFSETS = re.compile(r" ?-?[0-9]{1,9}(?::-?[0-9]{1,9})?")
_NAME_TAIL = re.compile(r"[A-Za-z0-9_]*")
_SPLIT = re.compile(r"[ \t\n]+")


class Expander:
    """Expands words in one scope.

    `run` is called once for every substitution and arithmetic part, in order, and returns
    what is known of its output.
    """

    def __init__(
        self, scope: Scope, budget: Budget, run: Run, doubt: Callable[[str], None]
    ) -> None:
        self.scope = scope
        self.budget = budget
        self.run = run
        self.doubt = doubt

    def words(self, words: list[Word]) -> list[Arg]:
        """All words of a command, split and expanded."""
        args: list[Arg] = []
        for word in words:
            if word.plain is not None:
                args.append(Arg(word.plain))
            else:
                self._word(word, args)
        return args

    def single(self, word: Word) -> Arg:
        """A word that is neither split nor matched against files: an assigned value."""
        if word.plain is not None:
            return Arg(word.plain)
        field = _Field()
        for part in word.parts:
            if isinstance(part, Literal):
                field.literal(part.text, True)
            else:
                value = self._value(part)
                self.budget.spend(len(value.text or "") // 64)
                field.value(value, True, part.source)
        return field.arg()

    def _word(self, word: Word, args: list[Arg]) -> None:
        if any(isinstance(p, Literal) and not p.quoted and "{" in p.text for p in word.parts):
            active = "".join([p.text for p in word.parts if isinstance(p, Literal)])
            if is_brace(active):
                self._braced(word, args)
                return
        self._fields(word.parts, args)

    def _braced(self, word: Word, args: list[Arg]) -> None:
        parts: list[Part] = []
        flat: list[str] = []
        for part in word.parts:
            if isinstance(part, Literal) and not part.quoted:
                flat.append(part.text)
            else:
                flat.append(chr(_MARK + len(parts)))
                parts.append(part)
                if len(parts) > 0x700:
                    raise OverBudget("too many parts in one word")
        try:
            expanded = braces("".join(flat), self.budget)
        except OverBudget:
            raise
        except Unresolvable as error:
            self.doubt(f"`{word.source}`: {error.reason}")
            args.append(Arg("", exact=False, splits=True, shown=word.source))
            return
        for text in expanded:
            restored: list[Part] = []
            for piece in re.split("([\ud800-\udeff])", text):
                if len(piece) == 1 and 0xD800 <= ord(piece) < 0xDF00:
                    restored.append(parts[ord(piece) - _MARK])
                elif piece:
                    piece = _extend_name(restored, piece)
                    restored.append(Literal(piece, False))
            self._fields(restored, args)

    def _fields(self, parts: Sequence[Part], args: list[Arg]) -> None:
        field = _Field()
        started = False
        for part in parts:
            self.budget.spend()
            if isinstance(part, Literal):
                started = started or part.quoted or bool(part.text)
                field.literal(part.text, part.quoted)
                continue
            if isinstance(part, Process):
                self.run(part)
                field.value(Value(safe=True, prefix="/dev/fd/"), True, part.source)
                field.block = part
                started = True
                continue
            if isinstance(part, Parameter) and part.name in ("@", "*") and not part.op:
                positional = self.scope.positional
                if positional is not None and (part.name == "@" or not part.quoted):
                    for place, arg in enumerate(positional):
                        if place:
                            args.append(field.arg())
                            field = _Field()
                        field.copy(arg, part.quoted)
                    started = started or bool(positional)
                    continue
                field.value(ANYTHING, False, part.source)
                started = True
                continue
            value = self._value(part)
            if isinstance(part, Parameter) and part.op and "@" in part.source:
                # "x${array[@]}" is several words even in quotes, of which only the first begins
                # with x.
                field.value(ANYTHING, False, part.source)
                started = True
                continue
            if value.text is not None:
                self.budget.spend(len(value.text) // 64)
            if part.quoted:
                field.value(value, True, part.source)
                started = True
            elif value.text is None or "IFS" in self.scope.variables:
                field.value(
                    Value(None, value.numeric, value.safe, value.prefix, value.many),
                    False,
                    part.source,
                )
                started = True
            else:
                pieces = _SPLIT.split(value.text)
                for place, piece in enumerate(pieces):
                    if place and (started or piece):
                        if started:
                            args.append(field.arg())
                        field = _Field()
                        started = False
                    if piece:
                        field.literal(piece, False)
                        started = True
        if started:
            args.append(field.arg())

    def _value(self, part: Part) -> Value:
        if isinstance(part, Parameter):
            return self._parameter(part)
        if isinstance(part, Substitution | Arithmetic | Process):
            return self.run(part)
        return Value(part.text)

    def _parameter(self, part: Parameter) -> Value:
        name, op = part.name, part.op
        for word in part.words:
            self.single(word)
        # `${#x}` is a length, `${x#word}` the value without what matches.
        length = op == "#[]" or (op == "#" and not part.words)
        if length or (name in "#?$!" and not op):
            return NUMBER
        value = self.lookup(name)
        if not op:
            return value
        base = op.removeprefix("[]")
        if op.startswith("!"):
            self.doubt(f"`{part.source}` reads the variable that another names")
            return ANYTHING
        if base == "@":
            self.doubt(f"`{part.source}` transforms a value; @P executes it")
            return ANYTHING
        if base == ":" and not _OFFSETS.fullmatch(part.words[-1].plain or "$"):
            self.doubt(f"`{part.source}` evaluates an expression")
            return ANYTHING
        if op in (":-", "-", ":=", "=", ":?", "?") and value.text:
            return value
        if op in (":=", "="):
            tier, reason = environment.changed(self.scope, name)
            if tier:
                self.doubt(reason)
            self.scope.variables[name] = ANYTHING
        # With an operator the variable may also be set outside the text: left unknown.
        return NUMBER if value.numeric and base in (":", "#", "##", "%", "%%") else ANYTHING

    def lookup(self, name: str) -> Value:
        """What is known of a parameter."""
        return self.scope.lookup(name)


def _extend_name(restored: list[Part], piece: str) -> str:
    """Let text that braces put behind `$name` become part of the name, as in bash.

    Brace expansion is textual and comes first: `$a{b,c}` reads `$ab` and `$ac`.
    """
    last = restored[-1] if restored else None
    if not isinstance(last, Parameter) or last.quoted or last.source != "$" + last.name:
        return piece
    match = _NAME_TAIL.match(piece)
    if not match or not match.group() or not last.name.isidentifier():
        return piece
    name = last.name + match.group()
    restored[-1] = Parameter(name, False, source="$" + name)
    return piece[match.end() :]


class _Field:
    """A word under construction."""

    __slots__ = ("block", "exact", "many", "numeric", "safe", "shown", "splits", "text")

    def __init__(self) -> None:
        self.text = ""
        self.shown: list[str] = []
        self.exact = True
        self.splits = False
        self.many = False
        self.safe = False
        self.numeric = False
        self.block: Process | None = None

    def literal(self, text: str, verbatim: bool) -> None:
        """Add text; unless `verbatim`, an unquoted pattern character ends what is known."""
        self.shown.append(text)
        if not self.exact:
            if not verbatim and is_glob(text):
                self.many = True
            return
        if not verbatim and is_glob(text):
            for index, char in enumerate(text):
                if char in "*?[":
                    self.text += text[:index]
                    break
            self.exact = False
            self.many = True
            self.safe = bool(self.text) and self.text[0] != "-"
            return
        self.text += text

    def value(self, value: Value, quoted: bool, source: str) -> None:
        """Add an expanded value."""
        if value.text is not None and quoted:
            self.shown.append(value.text)
            if self.exact:
                self.text += value.text
            return
        self.numeric = value.numeric and not self.shown
        self.shown.append(source)
        if self.exact:
            if value.prefix:
                self.text += value.prefix
            begins = bool(self.text) and self.text[0] != "-"
            self.safe = value.safe if not self.text else begins
            self.exact = False
        if not quoted and value.many:
            self.many = True
        elif not quoted and not value.safe:
            self.splits = True
            self.safe = False

    def copy(self, arg: Arg, quoted: bool) -> None:
        """Add a positional parameter."""
        if arg.exact and quoted:
            self.literal(arg.text, True)
            return
        value = Value(arg.text) if arg.exact else Value(None, False, arg.safe, arg.text)
        if arg.exact and not any(char in " \t\n*?[" for char in arg.text):
            self.literal(arg.text, True)
        else:
            self.value(Value(None, False, value.safe, value.prefix), quoted, arg.display)
            self.splits = self.splits or arg.splits
            self.many = self.many or arg.many

    def arg(self) -> Arg:
        """The finished word."""
        block = self.block.body if self.block is not None else None
        if self.exact and block is None:
            return Arg(self.text)
        shown = "".join(self.shown)
        numeric = self.numeric and len(self.shown) == 1
        return Arg(self.text, self.exact, self.splits, self.many, self.safe, shown, block, numeric)


def braces(text: str, budget: Budget) -> list[str]:
    """Brace expansion of one word.

    Raises:
        OverBudget: beyond MAX_WORDS results.
    """
    done: list[str] = []
    todo = [text]
    while todo:
        current = todo.pop()
        budget.spend(1 + len(current) // 32)
        span = _first_braces(current)
        if span is None:
            done.append(current)
        else:
            start, end, choices = span
            head, tail = current[:start], current[end + 1 :]
            todo.extend(head + choice + tail for choice in reversed(choices))
        if len(done) + len(todo) > MAX_WORDS:
            raise OverBudget("brace expansion with too many words")
    return done


def _first_braces(text: str) -> tuple[int, int, list[str]] | None:
    """The first expandable braces: start, end and the texts to put there."""
    stack: list[tuple[int, list[int]]] = []
    found: tuple[int, int, list[int]] | None = None
    for index, char in enumerate(text):
        if char == "{":
            stack.append((index, []))
        elif char == "," and stack:
            stack[-1][1].append(index)
        elif char == "}" and stack:
            start, commas = stack.pop()
            ranged = not commas and _RANGE.fullmatch(text, start + 1, index) is not None
            if not commas and not ranged and ".." in text[start:index]:
                # `{..{a,b}}` loses its outer braces in bash 5.2, others do not.
                raise Unresolvable("braces with `..` that are no range")
            if (commas or ranged) and (found is None or start < found[0]):
                found = (start, index, commas)
                if not stack:
                    break
    if found is None:
        return None
    start, end, commas = found
    if commas:
        edges = [start, *commas, end]
        return start, end, [text[a + 1 : b] for a, b in itertools.pairwise(edges)]
    match = _RANGE.fullmatch(text, start + 1, end)
    assert match
    if match.group(4):
        first, last = ord(match.group(4)), ord(match.group(5))
        step = 1 if first <= last else -1
        return start, end, [chr(code) for code in range(first, last + step, step)]
    first, last = int(match.group(1)), int(match.group(2))
    pace = abs(int(match.group(3) or 1)) or 1
    if abs(last - first) // pace > MAX_WORDS:
        raise OverBudget("brace range with too many words")
    width = max(len(match.group(1)), len(match.group(2)))
    padded = re.match(r"-?0\d", match.group(1)) or re.match(r"-?0\d", match.group(2))
    numbers = range(first, last + (1 if first <= last else -1), pace if first <= last else -pace)
    return start, end, [str(n).zfill(width) if padded else str(n) for n in numbers]
