"""Parse shell text into the tree of `syntax`, strictly (bash(1), SHELL GRAMMAR)."""

from __future__ import annotations

import re

from .limits import MAX_TEXT, Budget, OverBudget, Unresolvable
from .syntax import (
    AndOr,
    Assignment,
    Block,
    Bracket,
    Calculation,
    Case,
    Command,
    Conditional,
    Coprocess,
    Function,
    Group,
    Literal,
    Loop,
    Pipeline,
    Redirect,
    Simple,
    Word,
)
from .words import WordScanner

_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")
_REDIRECT = re.compile(
    r"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<>|<&|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_ELEMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\[")
_ELEMENT_ASSIGN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\[[^ \t\n\]]*\]?\+?=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = re.compile(r"[a-z]+|[{}!]|\[\[")
_TIME_OPTION = re.compile(r"-p(?=[ \t])")
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_:.+@%-]+")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_CLOSERS = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}"))
_DECLARING = frozenset(("declare", "typeset", "local", "export", "readonly"))
_EMPTY = Word("", ())


def check_characters(text: str) -> None:
    """Refuse characters that show a reader something else than the shell executes.

    Raises:
        Unresolvable: at a control, bidirectional-override, zero-width or unencodable one.
    """
    match = _UNPRINTABLE.search(text)
    if match:
        code = ord(match.group())
        raise Unresolvable(f"invisible or control character U+{code:04X}", match.start())


def parse(text: str, budget: Budget, depth: int = 0) -> Block:
    """Parse a whole script.

    Raises:
        Unresolvable: where the text is not understood exactly; `OverBudget` past a limit.
    """
    if len(text) > MAX_TEXT:
        raise OverBudget(f"longer than {MAX_TEXT} characters")
    return Parser(text, budget, depth).program()


class Parser(WordScanner):
    """Recursive descent over shell text, with one character of look-ahead.

    `done` holds the complete commands of the outermost list, so that what precedes an
    error (which bash would run) can still be judged.
    """

    def __init__(self, text: str, budget: Budget, depth: int = 0) -> None:
        super().__init__(text, budget, depth)
        self.documents: list[tuple[Redirect, str, bool, bool]] = []
        self.done = Block(source=text)

    def program(self) -> Block:
        """Parse to the end of the text."""
        check_characters(self.text)
        self._list(self.done, "")
        if self.at < self.size:
            raise self.fail(f"unexpected `{self.text[self.at]}`")
        self._bodies()
        return self.done

    def nested(self, text: str) -> Block:
        return parse(text, self.budget, self.depth)

    def parse_block(self, closer: str) -> Block:
        block = Block()
        start = self.at
        outer, self.documents = self.documents, []
        self._list(block, closer)
        if not self.text.startswith(closer, self.at):
            raise self.fail(f"expected `{closer}`")
        if self.documents:
            raise self.fail("here-document without its body")
        self.documents = outer
        block.source = self.text[start : self.at]
        if outer and "\n" in block.source:
            raise self.fail("newline in a substitution before a here-document body")
        return block

    # Lists

    def _blank(self) -> None:
        match = _BLANKS.match(self.text, self.at)
        if match:
            self.at = match.end()
        if self.at < self.size and self.text[self.at] == "#":
            comment = _COMMENT.match(self.text, self.at)
            if comment:
                self.at = comment.end()

    def _newlines(self) -> None:
        """Skip blanks, comments and newlines; a newline ends with its here-documents."""
        while True:
            self._blank()
            if self.at < self.size and self.text[self.at] == "\n":
                self.budget.spend()
                self.at += 1
                self._bodies()
            else:
                return

    def _bodies(self) -> None:
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
                scanner = Parser(body, self.budget, self.depth)
                redirect.target = scanner.scan_document()

    def _word_ahead(self) -> str:
        """The unquoted word that starts here, if it could be a reserved word."""
        match = _RESERVED.match(self.text, self.at)
        if not match:
            return ""
        end = match.end()
        if end < self.size and self.text[end] not in " \t\n;&|<>()":
            return ""
        return match.group()

    def _list(self, block: Block, closer: str) -> None:
        """Parse commands until the closer, a closing reserved word or the end."""
        self.enter()
        while True:
            self._newlines()
            if self.at >= self.size:
                break
            char = self.text[self.at]
            if char == ")" or self.text.startswith(";;", self.at):
                break
            if closer != ")" and closer and self._word_ahead() in _CLOSERS:
                break
            start = self.at
            command = self._and_or()
            self._blank()
            background = False
            if self.at < self.size:
                char = self.text[self.at]
                if char == "&" and not self.text.startswith("&&", self.at):
                    background = True
                    self.at += 1
                elif char == ";" and not self.text.startswith(";;", self.at):
                    self.at += 1
                elif char not in "\n);":
                    raise self.fail(f"unexpected `{char}`")
                elif char == ";" and closer != "esac":
                    raise self.fail("`;;` outside case")
            if self.at == start:
                raise self.fail("empty command")
            block.commands.append(command)
            block.background.append(background)
        self.depth -= 1

    def _operator(self, operator: str) -> bool:
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

    def _and_or(self) -> Command:
        start = self.at
        commands = [self._pipeline()]
        while True:
            self._blank()
            if not (self._operator("&&") or self._operator("||")):
                break
            self._newlines()
            commands.append(self._pipeline())
        if len(commands) == 1:
            return commands[0]
        return AndOr(commands, self.text[start : self.at].rstrip())

    def _pipeline(self) -> Command:
        start = self.at
        self._blank()
        while (ahead := self._word_ahead()) in ("!", "time"):
            self.at += len(ahead)
            self._blank()
            if ahead == "time" and _TIME_OPTION.match(self.text, self.at):
                self.at += 2
                self._blank()
            self.budget.spend()
            if self.at >= self.size or self.text[self.at] in "\n;&|)":
                return Simple(source=self.text[start : self.at])
        commands = [self._command()]
        while True:
            self._blank()
            if not self.text.startswith("|", self.at) or self._operator("||"):
                if self.text[self.at - 2 : self.at] == "||":
                    self.at -= 2
                break
            if self._operator("|&"):
                redirect = Redirect(">&", Word("1", (Literal("1", False),), "1"), "2", "2>&1")
                if isinstance(commands[-1], Simple):
                    commands[-1].redirects.append(redirect)
            else:
                self.at += 1
            self._newlines()
            commands.append(self._command())
        if len(commands) == 1:
            return commands[0]
        return Pipeline(commands, self.text[start : self.at].rstrip())

    # Commands

    def _command(self) -> Command:
        self.budget.spend()
        self._blank()
        if self.at >= self.size:
            raise self.fail("command expected")
        start = self.at
        char = self.text[start]
        if char == "(":
            return self._parenthesis(start)
        word = self._word_ahead() if char in "{[abcdefghijklmnopqrstuvwxyz}" else ""
        handler = _COMPOUND.get(word)
        if handler is not None:
            self.enter()
            command = handler(self, start)
            self.depth -= 1
            return command
        if word in _CLOSERS:
            raise self.fail(f"unexpected `{word}`")
        match = _FUNCTION_NAME.match(self.text, start)
        if match:
            paren = _BLANKS.match(self.text, match.end())
            after = paren.end() if paren else match.end()
            if self.text.startswith("(", after):
                return self._function(start, match.group(), after)
        return self._simple()

    def _parenthesis(self, start: int) -> Command:
        self.enter()
        if self.text.startswith("(\\\n", start):
            raise self.fail("line continuation behind `(`")
        if self.text.startswith("((", start):
            self.at = start + 2
            expression = self.scan_arithmetic()
            command: Command = Calculation(expression, self._redirects())
        else:
            self.at = start + 1
            body = self.parse_block(")")
            self.at += 1
            if not body.commands:
                raise self.fail("empty subshell")
            command = Group(body, True, self._redirects())
        command.source = self.text[start : self.at]
        self.depth -= 1
        return command

    def _take(self, word: str) -> None:
        self._newlines()
        if self._word_ahead() != word:
            raise self.fail(f"expected `{word}`")
        self.at += len(word)

    def _body(self, closer: str) -> Block:
        start = self.at
        block = Block()
        self._list(block, closer)
        block.source = self.text[start : self.at]
        if not block.commands:
            raise self.fail("empty body")
        return block

    def _finish(self, command: Command, start: int) -> Command:
        if not isinstance(command, Pipeline | AndOr | Block | Function | Coprocess | Simple):
            command.redirects = self._redirects()
        command.source = self.text[start : self.at]
        return command

    def _braces_group(self, start: int) -> Command:
        self._take("{")
        body = self._body("}")
        self._take("}")
        return self._finish(Group(body, False), start)

    def _if(self, start: int) -> Command:
        self._take("if")
        branches = []
        otherwise: Block | None = None
        while True:
            condition = self._body("then")
            self._take("then")
            branches.append((condition, self._body("fi")))
            ahead = self._word_ahead()
            if ahead == "elif":
                self._take("elif")
                continue
            if ahead == "else":
                self._take("else")
                otherwise = self._body("fi")
            self._take("fi")
            return self._finish(Conditional(branches, otherwise), start)

    def _while(self, start: int) -> Command:
        kind = self._word_ahead()
        self._take(kind)
        condition = self._body("do")
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop(kind, condition, body), start)

    def _for(self, start: int) -> Command:
        kind = self._word_ahead()
        self._take(kind)
        self._blank()
        if self.text.startswith("((", self.at):
            return self._counted(start)
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self.fail("loop variable")
        self.at = match.end()
        items: list[Word] | None = None
        self._newlines()
        if self._word_ahead() == "in":
            self.at += 2
            items = []
            while True:
                self._blank()
                if self.at >= self.size or self.text[self.at] in "\n;":
                    break
                items.append(self._require_word())
        self._blank()
        if self.text.startswith(";", self.at):
            self.at += 1
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop(kind, None, body, match.group(), items), start)

    def _counted(self, start: int) -> Command:
        self.at += 2
        expression = self.scan_arithmetic()
        self._blank()
        if self.text.startswith(";", self.at):
            self.at += 1
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop("for", None, body, expressions=(expression,)), start)

    def _case(self, start: int) -> Command:
        self._take("case")
        self._blank()
        subject = self._require_word()
        self._take("in")
        clauses: list[tuple[list[Word], Block]] = []
        while True:
            self._newlines()
            if self._word_ahead() == "esac":
                break
            if self.text.startswith("(", self.at):
                self.at += 1
            patterns = []
            while True:
                self._blank()
                patterns.append(self._require_word())
                self._blank()
                if self.text.startswith("|", self.at):
                    self.at += 1
                    continue
                if not self.text.startswith(")", self.at):
                    raise self.fail("expected `)`")
                self.at += 1
                break
            clause_start = self.at
            body = Block()
            self._list(body, "esac")
            body.source = self.text[clause_start : self.at]
            clauses.append((patterns, body))
            if self.text.startswith(";;", self.at):
                self.at += 2
                if self.text.startswith("&", self.at):
                    self.at += 1
            elif self._word_ahead() != "esac":
                raise self.fail("expected `;;`")
        self._take("esac")
        return self._finish(Case(subject, clauses), start)

    def _function(self, start: int, name: str, after: int) -> Command:
        self.at = after + 1
        self._blank()
        if not self.text.startswith(")", self.at):
            raise self.fail("function definition")
        self.at += 1
        return self._function_body(start, name)

    def _function_keyword(self, start: int) -> Command:
        self._take("function")
        self._blank()
        match = _FUNCTION_NAME.match(self.text, self.at)
        if not match:
            raise self.fail("function name")
        self.at = match.end()
        self._blank()
        if self.text.startswith("(", self.at):
            return self._function(start, match.group(), self.at)
        return self._function_body(start, match.group())

    def _function_body(self, start: int, name: str) -> Command:
        self._newlines()
        if not (self.text.startswith("(", self.at) or self._word_ahead() in _COMPOUND):
            raise self.fail("function body")
        body = self._command()
        return Function(name, body, self.text[start : self.at])

    def _test(self, start: int) -> Command:
        self._take("[[")
        words: list[Word] = []
        while True:
            self._newlines()
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
            words.append(self._require_word())
        return self._finish(Bracket(words), start)

    def _test_end(self) -> bool:
        end = self.at + 2
        return self.text.startswith("]]", self.at) and (
            end >= self.size or self.text[end] in " \t\n;&|<>()"
        )

    def _coprocess(self, start: int) -> Command:
        self._take("coproc")
        self._blank()
        return Coprocess(self._command(), self.text[start : self.at])

    def _require_word(self) -> Word:
        start = self.at
        word = self.scan_word()
        if self.at == start:
            raise self.fail("word expected")
        return word

    # Simple commands and redirections

    def _redirects(self) -> list[Redirect]:
        found: list[Redirect] = []
        while True:
            self._blank()
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
        self._blank()
        target = self._require_word()
        redirect = Redirect(op, target, fd, self.text[start : self.at])
        if op in ("<<", "<<-"):
            delimiter = target.plain
            if delimiter is None or "\n" in delimiter:
                raise self.fail("here-document delimiter")
            quoted = any(isinstance(part, Literal) and part.quoted for part in target.parts)
            redirect.target = _EMPTY
            self.documents.append((redirect, delimiter, op == "<<-", quoted))
        return redirect

    def _simple(self) -> Command:
        command = Simple()
        start = self.at
        while True:
            self._blank()
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
            command.words.append(self._require_word())
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
                self._newlines()
                if self.text.startswith(")", self.at):
                    self.at += 1
                    break
                if self.text.startswith("[", self.at):
                    raise self.fail("array element with a subscript")
                values.append(self._require_word())
            array = tuple(values)
            value = Word("", [part for word in values for part in word.parts])
        elif self.at < self.size and self.text[self.at] not in " \t\n;&|<>()":
            value = self.scan_word()
        else:
            value = Word("", (), "")
        source = self.text[start : self.at]
        return Assignment(match.group(1), value, bool(match.group(2)), array, source)


_CONTINUED = re.compile(r"(?:\\\n)+")
_COMPOUND = {
    "{": Parser._braces_group,
    "if": Parser._if,
    "while": Parser._while,
    "until": Parser._while,
    "for": Parser._for,
    "select": Parser._for,
    "case": Parser._case,
    "function": Parser._function_keyword,
    "[[": Parser._test,
    "coproc": Parser._coprocess,
}
