"""Parse shell text into the tree of `syntax`, strictly (bash(1), SHELL GRAMMAR)."""

from __future__ import annotations

import re

from .characters import check_characters
from .commands import BLANKS, CommandScanner
from .limits import MAX_TEXT, Budget, OverBudget
from .syntax import (
    AndOr,
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

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME_OPTION = re.compile(r"-p(?=[ \t])")
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_:.+@%-]+")
_CLOSERS = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}"))


def parse(text: str, budget: Budget, depth: int = 0) -> Block:
    """Parse a whole script.

    Raises:
        Unresolvable: where the text is not understood exactly; `OverBudget` past a limit.
    """
    if len(text) > MAX_TEXT:
        raise OverBudget(f"longer than {MAX_TEXT} characters")
    return Parser(text, budget, depth).program()


class Parser(CommandScanner):
    """Recursive descent over shell text, with one character of look-ahead.

    `done` holds the complete commands of the outermost list, so that what precedes an
    error (which bash would run) can still be judged.
    """

    def __init__(self, text: str, budget: Budget, depth: int = 0) -> None:
        super().__init__(text, budget, depth)
        self.done = Block(source=text)

    def program(self) -> Block:
        """Parse to the end of the text."""
        check_characters(self.text)
        self._list(self.done, "")
        if self.at < self.size:
            raise self.fail(f"unexpected `{self.text[self.at]}`")
        self.bodies()
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

    def _list(self, block: Block, closer: str) -> None:
        """Parse commands until the closer, a closing reserved word or the end."""
        self.enter()
        while True:
            self.newlines()
            if self.at >= self.size:
                break
            char = self.text[self.at]
            if char == ")" or self.text.startswith(";;", self.at):
                break
            if closer != ")" and closer and self.word_ahead() in _CLOSERS:
                break
            start = self.at
            command = self._and_or()
            self.blank()
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

    def _and_or(self) -> Command:
        start = self.at
        commands = [self._pipeline()]
        while True:
            self.blank()
            if not (self.operator("&&") or self.operator("||")):
                break
            self.newlines()
            commands.append(self._pipeline())
        if len(commands) == 1:
            return commands[0]
        return AndOr(commands, self.text[start : self.at].rstrip())

    def _pipeline(self) -> Command:
        start = self.at
        self.blank()
        while (ahead := self.word_ahead()) in ("!", "time"):
            self.at += len(ahead)
            self.blank()
            if ahead == "time" and _TIME_OPTION.match(self.text, self.at):
                self.at += 2
                self.blank()
            self.budget.spend()
            if self.at >= self.size or self.text[self.at] in "\n;&|)":
                return Simple(source=self.text[start : self.at])
        commands = [self._command()]
        while True:
            self.blank()
            if not self.text.startswith("|", self.at) or self.operator("||"):
                if self.text[self.at - 2 : self.at] == "||":
                    self.at -= 2
                break
            if self.operator("|&"):
                redirect = Redirect(">&", Word("1", (Literal("1", False),), "1"), "2", "2>&1")
                if isinstance(commands[-1], Simple):
                    commands[-1].redirects.append(redirect)
            else:
                self.at += 1
            self.newlines()
            commands.append(self._command())
        if len(commands) == 1:
            return commands[0]
        return Pipeline(commands, self.text[start : self.at].rstrip())

    # Commands

    def _command(self) -> Command:
        self.budget.spend()
        self.blank()
        if self.at >= self.size:
            raise self.fail("command expected")
        start = self.at
        char = self.text[start]
        if char == "(":
            return self._parenthesis(start)
        word = self.word_ahead() if char in "{[abcdefghijklmnopqrstuvwxyz}" else ""
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
            paren = BLANKS.match(self.text, match.end())
            after = paren.end() if paren else match.end()
            if self.text.startswith("(", after):
                return self._function(start, match.group(), after)
        return self.simple()

    def _parenthesis(self, start: int) -> Command:
        self.enter()
        if self.text.startswith("(\\\n", start):
            raise self.fail("line continuation behind `(`")
        if self.text.startswith("((", start):
            self.at = start + 2
            expression = self.scan_arithmetic()
            command: Command = Calculation(expression, self.redirects())
        else:
            self.at = start + 1
            body = self.parse_block(")")
            self.at += 1
            if not body.commands:
                raise self.fail("empty subshell")
            command = Group(body, True, self.redirects())
        command.source = self.text[start : self.at]
        self.depth -= 1
        return command

    def _take(self, word: str) -> None:
        self.newlines()
        if self.word_ahead() != word:
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
            command.redirects = self.redirects()
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
            ahead = self.word_ahead()
            if ahead == "elif":
                self._take("elif")
                continue
            if ahead == "else":
                self._take("else")
                otherwise = self._body("fi")
            self._take("fi")
            return self._finish(Conditional(branches, otherwise), start)

    def _while(self, start: int) -> Command:
        kind = self.word_ahead()
        self._take(kind)
        condition = self._body("do")
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop(kind, condition, body), start)

    def _for(self, start: int) -> Command:
        kind = self.word_ahead()
        self._take(kind)
        self.blank()
        if self.text.startswith("((", self.at):
            return self._counted(start)
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self.fail("loop variable")
        self.at = match.end()
        items: list[Word] | None = None
        self.newlines()
        if self.word_ahead() == "in":
            self.at += 2
            items = []
            while True:
                self.blank()
                if self.at >= self.size or self.text[self.at] in "\n;":
                    break
                items.append(self.require_word())
        self.blank()
        if self.text.startswith(";", self.at):
            self.at += 1
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop(kind, None, body, match.group(), items), start)

    def _counted(self, start: int) -> Command:
        self.at += 2
        expression = self.scan_arithmetic()
        self.blank()
        if self.text.startswith(";", self.at):
            self.at += 1
        self._take("do")
        body = self._body("done")
        self._take("done")
        return self._finish(Loop("for", None, body, expressions=(expression,)), start)

    def _case(self, start: int) -> Command:
        self._take("case")
        self.blank()
        subject = self.require_word()
        self._take("in")
        clauses: list[tuple[list[Word], Block]] = []
        while True:
            self.newlines()
            if self.word_ahead() == "esac":
                break
            if self.text.startswith("(", self.at):
                self.at += 1
            patterns = []
            while True:
                self.blank()
                patterns.append(self.require_word())
                self.blank()
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
            elif self.word_ahead() != "esac":
                raise self.fail("expected `;;`")
        self._take("esac")
        return self._finish(Case(subject, clauses), start)

    def _function(self, start: int, name: str, after: int) -> Command:
        self.at = after + 1
        self.blank()
        if not self.text.startswith(")", self.at):
            raise self.fail("function definition")
        self.at += 1
        return self._function_body(start, name)

    def _function_keyword(self, start: int) -> Command:
        self._take("function")
        self.blank()
        match = _FUNCTION_NAME.match(self.text, self.at)
        if not match:
            raise self.fail("function name")
        self.at = match.end()
        self.blank()
        if self.text.startswith("(", self.at):
            return self._function(start, match.group(), self.at)
        return self._function_body(start, match.group())

    def _function_body(self, start: int, name: str) -> Command:
        self.newlines()
        if not (self.text.startswith("(", self.at) or self.word_ahead() in _COMPOUND):
            raise self.fail("function body")
        body = self._command()
        return Function(name, body, self.text[start : self.at])

    def _test(self, start: int) -> Command:
        self._take("[[")
        return self._finish(Bracket(self.bracket_words()), start)

    def _coprocess(self, start: int) -> Command:
        self._take("coproc")
        self.blank()
        return Coprocess(self._command(), self.text[start : self.at])


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
