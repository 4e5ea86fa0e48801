"""Parse simple commands: words, assignments, redirections and here-documents (bash(1))."""

from __future__ import annotations

import re

from .limits import Budget
from .syntax import Assignment, Command, Literal, Redirect, Simple, Word
from .words import WordScanner

BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")
_REDIRECT = re.compile(
    r"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<>|<&|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_ELEMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\[")
_ELEMENT_ASSIGN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\[[^ \t\n\]]*\]?\+?=")
_RESERVED = re.compile(r"[a-z]+|[{}!]|\[\[")
_EMPTY = Word("", ())
_DECLARING = frozenset(("declare", "typeset", "local", "export", "readonly"))


_CONTINUED = re.compile(r"(?:\\\n)+")


class CommandScanner(WordScanner):
    """Takes one simple command, or a part of one, from the text.

    `documents` holds the here-documents whose bodies follow at the next newline.
    """

    def __init__(self, text: str, budget: Budget, depth: int = 0) -> None:
        super().__init__(text, budget, depth)
        self.documents: list[tuple[Redirect, str, bool, bool]] = []

    def blank(self) -> None:
        at = self.at
        # Most often there is none.
        if at >= self.size or (char := self.text[at]) not in " \t\\#":
            return
        text = self.text
        if char != "#":
            match = BLANKS.match(text, at)
            if match:
                self.at = at = match.end()
        if at < self.size and text[at] == "#":
            comment = _COMMENT.match(text, at)
            if comment:
                self.at = comment.end()

    def newlines(self) -> None:
        """Skip blanks, comments and newlines; a newline ends with its here-documents."""
        while True:
            self.blank()
            if self.at < self.size and self.text[self.at] == "\n":
                self.budget.spend()
                self.at += 1
                self.bodies()
            else:
                return

    def bodies(self) -> None:
        if not self.documents:
            return
        pending, self.documents = self.documents, []
        for redirect, delimiter, strip, quoted in pending:
            lines: list[str] = []
            while self.at < self.size:
                self.budget.spend()
                end = self.text.find("\n", self.at)
                end = self.size if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, self.size)
                if strip:
                    line = line.lstrip("\t")
                if line == delimiter:
                    break
                if not quoted and line.endswith("\\"):
                    raise self.fail("line continuation in a here-document")
                lines.append(line + "\n")
            body = "".join(lines)
            if quoted:
                redirect.target = Word(body, (Literal(body, True),), body)
            else:
                scanner = type(self)(body, self.budget, self.depth)
                redirect.target = scanner.scan_document()

    def word_ahead(self) -> str:
        """The unquoted word that starts here, if it could be a reserved word."""
        match = _RESERVED.match(self.text, self.at)
        if not match:
            return ""
        end = match.end()
        if end < self.size and self.text[end] not in " \t\n;&|<>()":
            return ""
        return match.group()

    def operator(self, operator: str) -> bool:
        """Take a two-character operator, which a line continuation may split."""
        if self.text.startswith(operator, self.at):
            self.at += 2
            return True
        if self.text.startswith(operator[0] + "\\\n", self.at):
            match = _CONTINUED.match(self.text, self.at + 1)
            end = match.end() if match else self.at
            if self.text.startswith(operator[1], end):
                raise self.fail("operator split by a line continuation")
        return False

    def require_word(self) -> Word:
        start = self.at
        word = self.scan_word()
        if self.at == start:
            raise self.fail("word expected")
        return word

    def bracket_words(self) -> list[Word]:
        """The words up to `]]`, operators among them."""
        words: list[Word] = []
        while True:
            self.newlines()
            if self.at >= self.size:
                raise self.fail("unterminated [[")
            if self._test_end():
                self.at += 2
                break
            char = self.text[self.at]
            if char in "()<>" or self.text.startswith(("&&", "||"), self.at):
                length = 2 if char in "&|" else 1
                operator = self.text[self.at : self.at + length]
                self.at += length
                words.append(Word(operator, (Literal(operator, False),), operator))
                continue
            if words and words[-1].plain == "=~":
                raise self.fail("regular expression in [[")
            words.append(self.require_word())
        return words

    def _test_end(self) -> bool:
        end = self.at + 2
        return self.text.startswith("]]", self.at) and (
            end >= self.size or self.text[end] in " \t\n;&|<>()"
        )

    def redirects(self) -> list[Redirect]:
        found: list[Redirect] = []
        while True:
            self.blank()
            redirect = self._redirect()
            if redirect is None:
                return found
            found.append(redirect)

    def _redirect(self) -> Redirect | None:
        match = _REDIRECT.match(self.text, self.at)
        if not match:
            return None
        start = self.at
        fd, op = match.group(1) or "", match.group(2)
        self.at = match.end()
        if self.text.startswith("\\\n", self.at):
            raise self.fail("line continuation after a redirection operator")
        self.blank()
        target = self.require_word()
        redirect = Redirect(op, target, fd, self.text[start : self.at])
        if op in ("<<", "<<-"):
            delimiter = target.plain
            if delimiter is None or "\n" in delimiter:
                raise self.fail("here-document delimiter")
            quoted = any(isinstance(part, Literal) and part.quoted for part in target.parts)
            redirect.target = _EMPTY
            self.documents.append((redirect, delimiter, op == "<<-", quoted))
        return redirect

    def simple(self) -> Command:
        command = Simple()
        start = self.at
        while True:
            self.blank()
            if self.at >= self.size:
                break
            char = self.text[self.at]
            if char in "0123456789{<>&":
                redirect = self._redirect()
                if redirect is not None:
                    command.redirects.append(redirect)
                    continue
            if char in "\n;&|()" or (char in "<>" and self.text[self.at + 1 : self.at + 2] != "("):
                break
            if not command.words:
                match = _ASSIGN.match(self.text, self.at)
                if match:
                    command.assignments.append(self._assignment(match))
                    continue
                if _ELEMENT.match(self.text, self.at):
                    self._refuse_element()
            elif command.words[0].plain in _DECLARING:
                match = _ASSIGN.match(self.text, self.at)
                if match and self.text.startswith("(", match.end()):
                    assignment = self._assignment(match)
                    command.words.append(Word(assignment.source, assignment.value.parts))
                    continue
            command.words.append(self.require_word())
        if not (command.words or command.assignments or command.redirects):
            raise self.fail("command expected")
        command.source = self.text[start : self.at].rstrip(" \t")
        return command

    def _refuse_element(self) -> None:
        """An assignment to an array element evaluates its subscript."""
        match = _ELEMENT_ASSIGN.match(self.text, self.at)
        if match:
            raise self.fail("assignment to an array element")

    def _assignment(self, match: re.Match[str]) -> Assignment:
        start = self.at
        self.at = match.end()
        array: tuple[Word, ...] | None = None
        if self.text.startswith("(", self.at):
            self.at += 1
            values: list[Word] = []
            while True:
                self.newlines()
                if self.text.startswith(")", self.at):
                    self.at += 1
                    break
                if self.text.startswith("[", self.at):
                    raise self.fail("array element with a subscript")
                values.append(self.require_word())
            array = tuple(values)
            value = Word("", [part for word in values for part in word.parts])
        elif self.at < self.size and self.text[self.at] not in " \t\n;&|<>()":
            value = self.scan_word()
        else:
            value = Word("", (), "")
        source = self.text[start : self.at]
        return Assignment(match.group(1), value, bool(match.group(2)), array, source)
