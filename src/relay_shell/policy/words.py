"""Scan words of shell text: quoting, parameters, substitutions (bash(1), QUOTING, EXPANSION)."""

from __future__ import annotations

import re

from .characters import decode_ansi, is_brace, is_glob
from .limits import MAX_DEPTH, Budget, OverBudget, Unresolvable
from .syntax import Arithmetic, Block, Literal, Parameter, Part, Process, Substitution, Word

_PLAIN = re.compile(r"[^ \t\n'\"\\$`;&|<>()*?\[\]{}~]+")
_RUN = re.compile(r"[^ \t\n'\"\\$`;&|<>()]+")
_DOUBLE = re.compile(r"[^\"\\$`]+")
_DOCUMENT = re.compile(r"[^\\$`]+")
_ARITH = re.compile(r"[^'\"\\$`()]+")
_BRACED = re.compile(r"[^'\"\\$`}]+")
# A single quote quotes inside "${x#...}" but not inside "${x:-...}": left unresolved.
_BRACED_DOUBLE = re.compile(r"[^'\"\\$`}]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POSITIONAL = re.compile(r"[0-9]+|[@*#?$!-]")
_SPECIAL = frozenset("@*#?-$!0123456789")
_BLANK_OR_META = frozenset(" \t\n;&|<>()")
_OPERATORS = tuple(":- := :? :+ ## %% // /# /% ^^ ,, - = ? + # % / ^ , : @".split())


class WordScanner:
    """Position in the text and the scanning of words from it.

    The command parser derives from it and supplies `parse_block`.
    """

    def __init__(self, text: str, budget: Budget, depth: int = 0) -> None:
        self.text = text
        self.size = len(text)
        self.at = 0
        self.budget = budget
        self.depth = depth
        self.lone_dollar = False

    def fail(self, reason: str) -> Unresolvable:
        """An error at the current position."""
        return Unresolvable(reason, self.at)

    def parse_block(self, closer: str) -> Block:
        """Parse commands up to `closer`; the command parser implements it."""
        raise NotImplementedError

    def nested(self, text: str) -> Block:
        """Parse `text` on its own, one level deeper."""
        raise NotImplementedError

    def enter(self) -> None:
        """Go one level of nesting deeper.

        Raises:
            OverBudget: beyond MAX_DEPTH.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OverBudget("nested too deeply to judge")

    def scan_word(self) -> Word:
        """Scan the word that starts here."""
        self.budget.spend()
        start = self.at
        match = _PLAIN.match(self.text, start)
        if match:
            end = match.end()
            if end == self.size or self.text[end] in _BLANK_OR_META:
                if end < self.size and self.text[end] == "(" and self.text[end - 1] in "?*+@!":
                    raise self.fail("extended pattern")
                self.at = end
                plain = match.group()
                return Word(plain, (Literal(plain, False),), plain)
        parts: list[Part] = []
        self.lone_dollar = False
        while self.at < self.size:
            char = self.text[self.at]
            if char in "<>" and self.text.startswith("(", self.at + 1):
                parts.append(self._process())
                continue
            if char in _BLANK_OR_META:
                break
            self._part(parts, _RUN)
        if self.at < self.size and self.text[self.at] == "(":
            raise self.fail("`(` inside a word")
        if self.lone_dollar and any(not isinstance(part, Literal) for part in parts):
            # bash 5.2 then leaves the expanded values unsplit.
            raise self.fail("lone `$` in a word with an expansion")
        return self._word(start, parts)

    def _word(self, start: int, parts: list[Part]) -> Word:
        source = self.text[start : self.at]
        literals = [part for part in parts if isinstance(part, Literal)]
        if len(literals) < len(parts):
            return Word(source, parts)
        active = "".join([part.text for part in literals if not part.quoted])
        if active and (source[0] == "~" or is_glob(active) or is_brace(active)):
            return Word(source, parts)
        return Word(source, parts, "".join([part.text for part in literals]))

    def _part(self, parts: list[Part], run: re.Pattern[str]) -> None:
        """Scan one part outside double quotes."""
        self.budget.spend()
        text, at = self.text, self.at
        match = run.match(text, at)
        if match:
            self.at = match.end()
            parts.append(Literal(match.group(), False))
            return
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise self.fail("unterminated single quote")
            parts.append(Literal(text[at + 1 : end], True))
            self.at = end + 1
        elif char == '"':
            self.at += 1
            self._double(parts)
        elif char == "\\":
            if at + 1 >= self.size:
                raise self.fail("backslash at the end")
            if text[at + 1] != "\n":
                parts.append(Literal(text[at + 1], True))
            self.at = at + 2
        elif char == "$":
            self._dollar(parts, quoted=False)
        elif char == "`":
            parts.append(self._backquote(quoted=False))
        else:
            raise self.fail(f"unexpected `{char}`")

    def _double(self, parts: list[Part]) -> None:
        """Scan the rest of a double-quoted string."""
        before = len(parts)
        while True:
            self.budget.spend()
            if self.at >= self.size:
                raise self.fail("unterminated double quote")
            match = _DOUBLE.match(self.text, self.at)
            if match:
                parts.append(Literal(match.group(), True))
                self.at = match.end()
                continue
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                break
            self._inside_double(parts, '$`"\\')
        if len(parts) == before:
            parts.append(Literal("", True))

    def _inside_double(self, parts: list[Part], escapable: str) -> None:
        char = self.text[self.at]
        if char == "\\":
            if self.at + 1 >= self.size:
                raise self.fail("backslash at the end")
            following = self.text[self.at + 1]
            if following in escapable:
                parts.append(Literal(following, True))
            elif following != "\n":
                parts.append(Literal("\\" + following, True))
            self.at += 2
        elif char == "$":
            self._dollar(parts, quoted=True)
        else:
            parts.append(self._backquote(quoted=True))

    def scan_document(self) -> Word:
        """Scan the whole text as the body of an unquoted here-document."""
        parts: list[Part] = []
        while self.at < self.size:
            self.budget.spend()
            match = _DOCUMENT.match(self.text, self.at)
            if match:
                parts.append(Literal(match.group(), True))
                self.at = match.end()
            else:
                self._inside_double(parts, "$`\\")
        return self._word(0, parts)

    def _dollar(self, parts: list[Part], *, quoted: bool) -> None:
        text, start = self.text, self.at
        following = text[start + 1] if start + 1 < self.size else ""
        if following == "(":
            parts.append(self._paren(quoted))
        elif following == "{":
            parts.append(self._braces(quoted))
        elif following in _SPECIAL and following:
            self.at += 2
            parts.append(Parameter(following, quoted, source=text[start : self.at]))
        elif match := _NAME.match(text, start + 1):
            self.at = match.end()
            if text.startswith("\\\n", self.at):
                # bash joins the lines first, so the name goes on behind the continuation.
                raise self.fail("line continuation behind a parameter name")
            parts.append(Parameter(match.group(), quoted, source=text[start : self.at]))
        elif following == "'" and not quoted:
            end = start + 2
            while end < self.size and text[end] != "'":
                end += 2 if text[end] == "\\" else 1
            if end >= self.size:
                raise self.fail("unterminated $'...'")
            parts.append(Literal(decode_ansi(text[start + 2 : end], start), True))
            self.at = end + 1
        elif (following == '"' and not quoted) or following == "[":
            # $"..." is translated by a catalogue; $[...] is old arithmetic.
            raise self.fail(f"`${following}`")
        else:
            if text.startswith("\\\n", start + 1):
                raise self.fail("line continuation after `$`")
            parts.append(Literal("$", True))
            self.lone_dollar = not quoted
            self.at += 1

    def _paren(self, quoted: bool) -> Part:
        start = self.at
        self.enter()
        if self.text.startswith("(\\\n", start + 1):
            raise self.fail("line continuation behind `$(`")
        if self.text.startswith("((", start + 1):
            self.at = start + 3
            expression = self.scan_arithmetic()
            part: Part = Arithmetic(expression, quoted, self.text[start : self.at])
        else:
            self.at = start + 2
            body = self.parse_block(")")
            self.at += 1
            part = Substitution(body, quoted, self.text[start : self.at])
        self.depth -= 1
        return part

    def _process(self) -> Part:
        start = self.at
        self.enter()
        self.at += 2
        body = self.parse_block(")")
        self.at += 1
        self.depth -= 1
        return Process(body, self.text[start], self.text[start : self.at])

    def _backquote(self, quoted: bool) -> Part:
        start = self.at
        end = start + 1
        pieces: list[str] = []
        while True:
            if end >= self.size:
                raise self.fail("unterminated backquote")
            char = self.text[end]
            if char == "`":
                break
            if char == "\\" and end + 1 < self.size:
                following = self.text[end + 1]
                pieces.append(
                    following
                    if following in ("$", "`", "\\") or (quoted and following == '"')
                    else char + following
                )
                end += 2
            else:
                pieces.append(char)
                end += 1
        self.budget.spend(1 + (end - start) // 64)
        self.enter()
        body = self.nested("".join(pieces))
        self.depth -= 1
        self.at = end + 1
        return Substitution(body, quoted, self.text[start : self.at])

    def scan_arithmetic(self) -> Word:
        """Scan an arithmetic expression up to and over its closing `))`."""
        start = self.at
        return self._balanced(start, "))")

    def _balanced(self, start: int, closer: str) -> Word:
        parts: list[Part] = []
        level = 0
        while True:
            self.budget.spend()
            if self.at >= self.size:
                raise self.fail("unterminated arithmetic")
            match = _ARITH.match(self.text, self.at)
            if match:
                parts.append(Literal(match.group(), False))
                self.at = match.end()
                continue
            char = self.text[self.at]
            if char == "(":
                level += 1
                parts.append(Literal(char, False))
                self.at += 1
            elif char == ")":
                if level == 0:
                    if not self.text.startswith(closer, self.at):
                        raise self.fail("unbalanced arithmetic")
                    word = Word(self.text[start : self.at], parts)
                    self.at += len(closer)
                    return word
                level -= 1
                parts.append(Literal(char, False))
                self.at += 1
            elif char == '"':
                self.at += 1
                self._double(parts)
            elif char == "$":
                self._dollar(parts, quoted=True)
            elif char == "`":
                parts.append(self._backquote(quoted=True))
            else:
                raise self.fail(f"`{char}` in arithmetic")

    def _braces(self, quoted: bool) -> Part:
        """Scan `${...}`."""
        start = self.at
        self.at += 2
        text = self.text
        prefix = ""
        if text.startswith("#", self.at) and not text.startswith("#}", self.at):
            prefix = "#"
            self.at += 1
        elif text.startswith("!", self.at) and not text.startswith("!}", self.at):
            prefix = "!"
            self.at += 1
        match = _NAME.match(text, self.at) or _POSITIONAL.match(text, self.at)
        if not match:
            raise self.fail("parameter expansion")
        name = match.group()
        self.at = match.end()
        words: list[Word] = []
        op = prefix
        if text.startswith("[", self.at):
            op += "[]"
            self.at += 1
            end = text.find("]", self.at)
            subscript = text[self.at : end] if end > 0 else ""
            if subscript not in ("@", "*") and not re.fullmatch(r"-?[0-9]{1,9}", subscript):
                raise self.fail("array subscript that is not a number")
            words.append(Word(subscript, (Literal(subscript, True),), subscript))
            self.at = end + 1
        if text.startswith("}", self.at):
            self.at += 1
            return Parameter(name, quoted, op, tuple(words), text[start : self.at])
        if prefix:
            raise self.fail("indirect or length expansion with an operator")
        for operator in _OPERATORS:
            if text.startswith(operator, self.at):
                break
        else:
            raise self.fail("parameter expansion operator")
        self.at += len(operator)
        words.append(self._operand(quoted))
        return Parameter(name, quoted, op + operator, tuple(words), text[start : self.at])

    def _operand(self, quoted: bool) -> Word:
        """Scan the operand of `${name<op>...}` up to and over its `}`."""
        self.enter()
        start = self.at
        parts: list[Part] = []
        run = _BRACED_DOUBLE if quoted else _BRACED
        while True:
            self.budget.spend()
            if self.at >= self.size:
                raise self.fail("unterminated ${...}")
            if self.text[self.at] == "}":
                break
            if quoted:
                match = run.match(self.text, self.at)
                if match:
                    parts.append(Literal(match.group(), True))
                    self.at = match.end()
                elif self.text[self.at] == '"':
                    self.at += 1
                    self._double(parts)
                elif self.text[self.at] == "'":
                    raise self.fail("single quote inside a quoted ${...}")
                elif self.text[self.at] == "\\" and self.text.startswith("}", self.at + 1):
                    parts.append(Literal("}", True))
                    self.at += 2
                else:
                    self._inside_double(parts, '$`"\\')
            else:
                self._part(parts, run)
        word = self._word(start, parts)
        self.at += 1
        self.depth -= 1
        return word
