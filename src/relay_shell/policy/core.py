"""Judge a command tree: walk it in order with what is known of the shell's state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import dialects, environment, paths
from .arithmetic import arithmetic_doubt
from .assigns import assigned_in
from .expand import Expander
from .knowledge import Knowledge
from .limits import MAX_DEPTH, MAX_VALUE, Budget, OverBudget, Unresolvable
from .model import Node, Tier
from .parser import Parser
from .syntax import (
    AndOr,
    Arithmetic,
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
    Loop,
    Parameter,
    Part,
    Pipeline,
    Process,
    Redirect,
    Simple,
    Substitution,
)
from .values import ANYTHING, INHERITED, NUMBER, Arg, Input, Scope, Value, join, known

TRUSTED_DIRECTORIES = frozenset(
    ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/games")
)
Result = tuple[Node, Value]
_TEXT_SHOWN = 400


@dataclass(slots=True)
class Call:
    """One program call under judgement; judges add to it.

    Attributes:
        args: The words after the program's name.
        name: The program's bare name.
        stdin: What it finds on standard input.
        output: What is known of what it prints.
    """

    judge: Judge
    name: str
    args: list[Arg]
    stdin: Input
    tier: Tier = Tier.READ_ONLY
    reasons: list[str] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    output: Value = field(default_factory=Value)

    def add(self, tier: int, reason: str) -> None:
        """Raise the tier to at least `tier`, with the reason if it is above 0."""
        if tier > self.tier:
            self.tier = Tier(tier)
        if tier > 0 and reason and reason not in self.reasons:
            self.reasons.append(reason)

    def run(self, args: Sequence[Arg], stdin: Input | None = None) -> Value:
        """Judge another command that this one runs."""
        node, output = self.judge.argv(list(args), stdin or Input("unknown"))
        self.children.append(node)
        return output

    def shell(
        self,
        text: Arg,
        positional: list[Arg] | None = None,
        name: str = "",
        dialect: str = "sh",
    ) -> Value:
        """Judge text that this call hands to a shell."""
        outer, self.judge.dialect = self.judge.dialect, dialect
        try:
            return self._shell(text, positional, name)
        finally:
            self.judge.dialect = outer

    def _shell(self, text: Arg, positional: list[Arg] | None, name: str) -> Value:
        if not text.exact:
            # What is visible of it still tells how bad it can be.
            self.add(2, f"runs shell text that is known only when it runs: {text.display}")
            self.children.append(self.judge.inner(text.display, positional, name)[0])
            return ANYTHING
        node, output = self.judge.inner(text.text, positional, name)
        self.children.append(node)
        return output

    def writes(self, path: Arg, how: str = "truncate") -> None:
        """Account for writing to a path."""
        self.add(*paths.written(path, how))


class Judge:
    """Walks a command tree and returns nodes with tiers."""

    def __init__(
        self,
        knowledge: Knowledge,
        budget: Budget,
        scope: Scope | None = None,
        *,
        dialect: str = "bash",
        depth: int = 0,
    ) -> None:
        self.knowledge = knowledge
        self.budget = budget
        self.scope = scope or Scope()
        self.dialect = dialect
        self.depth = depth
        self.active: list[str] = []
        self.concurrent = 0

    # Text

    def text(self, text: str, stdin: Input = INHERITED) -> Result:
        """Judge shell text in the current scope; errors of syntax become part of the tree."""
        parser = Parser(text, self.budget, self.depth)
        try:
            parse_result = parser.program()
        except OverBudget:
            raise
        except Unresolvable as error:
            return self._broken(text, parser.done, error)
        node, output = self.block(parse_result, stdin)
        reason = dialects.doubt(text, self.dialect)
        if reason:
            # What a reader of the other dialect may see is looked at word by word.
            children = (node, *self._salvage(text))
            tier = max([Tier.STATEFUL, *(child.tier for child in children)])
            return Node(text[:_TEXT_SHOWN], "unresolved", tier, (reason,), children), ANYTHING
        return node, output

    def inner(self, text: str, positional: list[Arg] | None, name: str = "") -> Result:
        """Judge text that a program hands to a new shell."""
        self._deeper()
        outer, self.scope = self.scope, Scope(dict(self.scope.variables))
        self.scope.positional = positional
        self.scope.name = name
        try:
            return self.text(text)
        finally:
            self.scope = outer
            self.depth -= 1

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OverBudget("nested too deeply to judge")

    def _broken(self, text: str, done: Block, error: Unresolvable) -> Result:
        """What precedes a syntax error runs; what follows is looked at word by word."""
        reason = f"not understood as shell text: {error.reason}"
        children: list[Node] = []
        if done.commands:
            children.append(self.block(done)[0])
        children.extend(self._salvage(text))
        tier = max([Tier.STATEFUL, *(child.tier for child in children)])
        shown = text[:_TEXT_SHOWN]
        return Node(shown, "unresolved", tier, (reason,), tuple(children)), ANYTHING

    def _salvage(self, text: str) -> list[Node]:
        """Commands that a reader would see in text that cannot be parsed."""
        table = str.maketrans(dict.fromkeys("\"'`\\", None) | dict.fromkeys(";&|(){}\n$", "\n"))
        found = []
        for line in text.translate(table).split("\n"):
            words = line.split()
            if not words:
                continue
            self.budget.spend(1 + len(words) // 8)
            if (
                self.knowledge.get(words[0].rpartition("/")[2]) is None
                and words[0] not in _PREFIXES
            ):
                continue
            node, _ = self.argv([known(word) for word in words], INHERITED)
            if node.tier > Tier.READ_ONLY:
                found.append(node)
        return found

    # Compound commands

    def block(self, block: Block, stdin: Input = INHERITED) -> Result:
        """Judge a list of commands."""
        nodes: list[Node] = []
        texts: list[str] | None = []
        last = ANYTHING
        for command, background in zip(block.commands, block.background, strict=True):
            if background:
                outer, self.scope = self.scope, self._fork()
                self.concurrent += 1
                node, output = self.command(command, stdin)
                self.concurrent -= 1
                self.scope = outer
            else:
                node, output = self.command(command, stdin)
            nodes.append(node)
            if output.text is None:
                texts = None
            elif texts is not None:
                texts.append(output.text)
            last = output
        value = Value("".join(texts)) if texts is not None else ANYTHING
        if len(nodes) == 1:
            return nodes[0], last
        return self._group("list", block.source, nodes), value

    def _group(self, kind: str, source: str, nodes: list[Node], *reasons: str) -> Node:
        tier = max([node.tier for node in nodes], default=Tier.READ_ONLY)
        return Node(source[:_TEXT_SHOWN].strip(), kind, tier, reasons, tuple(nodes))

    def _fork(self) -> Scope:
        scope = self.scope
        self.budget.spend(1 + (len(scope.variables) + len(scope.functions)) // 16)
        return scope.fork()

    def command(self, command: Command, stdin: Input) -> Result:
        """Judge any command."""
        if isinstance(command, Simple):
            return self.simple(command, stdin)
        self._deeper()
        try:
            return _VISITORS[type(command)](self, command, stdin)
        finally:
            self.depth -= 1

    def _pipeline(self, command: Pipeline, stdin: Input) -> Result:
        nodes = []
        output = ANYTHING
        outer = self.scope
        self.concurrent += 1
        for index, part in enumerate(command.commands):
            self.scope = outer
            self.scope = self._fork()
            source = stdin if index == 0 else Input("pipe", output.text, output.safe)
            node, output = self.command(part, source)
            nodes.append(node)
        self.concurrent -= 1
        self.scope = outer
        return self._group("pipeline", command.source, nodes), output

    def _and_or(self, command: AndOr, stdin: Input) -> Result:
        nodes = [self.command(command.commands[0], stdin)[0]]
        outer = self.scope
        branch = self._fork()
        self.scope = branch
        for part in command.commands[1:]:
            nodes.append(self.command(part, stdin)[0])
        self.scope = outer
        outer.merge([branch])
        return self._group("list", command.source, nodes), ANYTHING

    def _sequence(self, command: Block, stdin: Input) -> Result:
        return self.block(command, stdin)

    def _group_command(self, command: Group, stdin: Input) -> Result:
        outer = self.scope
        if command.subshell:
            self.scope = self._fork()
        redirects, stdin = self._redirect_all(command.redirects, stdin)
        node, output = self.block(command.body, stdin)
        self.scope = outer
        kind = "subshell" if command.subshell else "group"
        if redirects:
            output = ANYTHING
        return self._group(kind, command.source, [node, *redirects]), output

    def _conditional(self, command: Conditional, stdin: Input) -> Result:
        redirects, stdin = self._redirect_all(command.redirects, stdin)
        nodes = []
        outer = self.scope
        branches = []
        for condition, body in command.branches:
            nodes.append(self.block(condition, stdin)[0])
            branch = self._fork()
            self.scope = branch
            nodes.append(self.block(body, stdin)[0])
            branches.append(branch)
            self.scope = outer
        if command.otherwise:
            self.scope = self._fork()
            branches.append(self.scope)
            nodes.append(self.block(command.otherwise, stdin)[0])
            self.scope = outer
        outer.merge(branches)
        return self._group("if", command.source, nodes + redirects), ANYTHING

    def _loop(self, command: Loop, stdin: Input) -> Result:
        redirects, stdin = self._redirect_all(command.redirects, stdin)
        nodes: list[Node] = []
        for expression in command.expressions:
            self._arithmetic(expression, nodes)
        value = ANYTHING
        if command.items is not None:
            args = self._expander(nodes).words(command.items)
            value = self._item_value(args)
        self.budget.spend(4)
        for name, number in assigned_in(command, self.budget).items():
            before = self.scope.lookup(name)
            self.scope.variables[name] = NUMBER if number and _numeric(before) else ANYTHING
        if command.name:
            self.scope.variables[command.name] = value
        outer = self.scope
        branch = self._fork()
        self.scope = branch
        if command.condition:
            nodes.append(self.block(command.condition, stdin)[0])
        nodes.append(self.block(command.body, stdin)[0])
        self.scope = outer
        outer.merge([branch])
        return self._group("loop", command.source, nodes + redirects), ANYTHING

    @staticmethod
    def _item_value(args: list[Arg]) -> Value:
        """What is known of a loop variable."""
        values = [
            Value(arg.text)
            if arg.exact
            else Value(None, arg.numeric, arg.safe and not (arg.many and arg.text), arg.text)
            for arg in args
        ]
        for arg, value in zip(args, values, strict=True):
            # A file name matched by a pattern may hold blanks, so only quoted uses are safe;
            # its beginning is known.
            if arg.many and not arg.splits:
                value.prefix = arg.text
        if not values:
            return ANYTHING
        result = values[0]
        for value in values[1:]:
            same = value.prefix if value.text is None and value.prefix == result.prefix else ""
            if result.text is not None and result == value:
                continue
            result = join(result, value)
            result = Value(None, result.numeric, result.safe, same)
        return result

    def _case(self, command: Case, stdin: Input) -> Result:
        redirects, stdin = self._redirect_all(command.redirects, stdin)
        nodes: list[Node] = []
        expander = self._expander(nodes)
        expander.single(command.subject)
        outer = self.scope
        branches = []
        for patterns, body in command.clauses:
            for pattern in patterns:
                expander.single(pattern)
            self.scope = self._fork()
            branches.append(self.scope)
            nodes.append(self.block(body, stdin)[0])
            self.scope = outer
        outer.merge(branches)
        return self._group("case", command.source, nodes + redirects), ANYTHING

    def _function(self, command: Function, stdin: Input) -> Result:
        outer = self.scope
        outer.functions[command.name] = command.body
        self.scope = self._fork()
        self.scope.positional = None
        self.active.append(command.name)
        node, _ = self.command(command.body, Input("unknown"))
        self.active.pop()
        self.scope = outer
        tier, reasons = node.tier, tuple[str, ...]()
        if self.knowledge.get(command.name) is not None:
            tier = max(tier, Tier.STATEFUL)
            reasons = (f"redefines `{command.name}`",)
        shown = command.source[:_TEXT_SHOWN]
        return Node(shown, "function", tier, reasons, (node,)), Value("")

    def _test(self, command: Bracket, stdin: Input) -> Result:
        from .judges.tests import judge_conditional

        redirects, _ = self._redirect_all(command.redirects, stdin)
        children: list[Node] = []
        args = []
        expander = self._expander(children)
        for word in command.words:
            arg = expander.single(word)
            args.append(arg)
        tier, reasons = judge_conditional(self, args)
        tier = max([tier, *(n.tier for n in children + redirects)])
        shown = command.source[:_TEXT_SHOWN]
        return Node(shown, "test", tier, reasons, tuple(children + redirects)), Value("")

    def _calculation(self, command: Calculation, stdin: Input) -> Result:
        redirects, _ = self._redirect_all(command.redirects, stdin)
        nodes: list[Node] = []
        self._arithmetic(command.expression, nodes)
        return self._group("arithmetic", command.source, nodes + redirects), Value("")

    def _coprocess(self, command: Coprocess, stdin: Input) -> Result:
        outer, self.scope = self.scope, self._fork()
        node, _ = self.command(command.command, Input("unknown"))
        self.scope = outer
        return self._group("coprocess", command.source, [node]), Value("")

    # Words

    def _expander(self, nodes: list[Node]) -> Expander:
        def doubt(reason: str) -> None:
            nodes.append(Node(reason, "expansion", Tier.STATEFUL, (reason,)))

        def run(part: Part) -> Value:
            if isinstance(part, Substitution):
                outer, self.scope = self.scope, self._fork()
                self._deeper()
                node, output = self.block(part.body, INHERITED)
                self.depth -= 1
                self.scope = outer
                if not part.body.commands:
                    return Value("")
                nodes.append(self._group("substitution", part.source, [node]))
                if output.text is not None:
                    return Value(output.text.rstrip("\n"))
                return output
            if isinstance(part, Process):
                outer, self.scope = self.scope, self._fork()
                self._deeper()
                node, _ = self.block(part.body, Input("pipe"))
                self.depth -= 1
                self.scope = outer
                nodes.append(self._group("process", part.source, [node]))
                return ANYTHING
            if isinstance(part, Arithmetic):
                self._arithmetic(part.expression, nodes)
                return NUMBER
            return ANYTHING

        return Expander(self.scope, self.budget, run, doubt)

    def _arithmetic(self, expression: object, nodes: list[Node]) -> None:
        doubt = arithmetic_doubt(expression, self._expander(nodes), self.scope)
        if doubt:
            nodes.append(Node(doubt, "arithmetic", Tier.STATEFUL, (doubt,)))

    # Redirections

    def _redirect_all(
        self, redirects: list[Redirect], stdin: Input, *, writer: str = ""
    ) -> tuple[list[Node], Input]:
        """Nodes of redirections that matter, and the standard input after them."""
        nodes: list[Node] = []
        for redirect in redirects:
            self.budget.spend()
            if redirect.op in ("<<", "<<-"):
                value = self._expander(nodes).single(redirect.target)
                if redirect.fd in ("", "0"):
                    stdin = Input("here", value.text if value.exact else None)
                continue
            if redirect.op == "<<<":
                value = self._expander(nodes).single(redirect.target)
                if redirect.fd in ("", "0"):
                    stdin = Input("here", value.text + "\n" if value.exact else None)
                continue
            args = self._expander(nodes).words([redirect.target])
            if len(args) != 1 or args[0].splits:
                reason = f"redirection to {redirect.target.source}, known only when it runs"
                nodes.append(Node(redirect.source, "redirection", Tier.STATEFUL, (reason,)))
                continue
            target = args[0]
            tier, reason, stdin = self._redirect(redirect, target, stdin, writer)
            if tier:
                nodes.append(Node(redirect.source, "redirection", tier, (reason,)))
        return nodes, stdin

    def _redirect(
        self, redirect: Redirect, target: Arg, stdin: Input, writer: str
    ) -> tuple[Tier, str, Input]:
        op = redirect.op
        if op in ("<&", ">&"):
            text = target.text.removesuffix("-")
            if target.exact and (text.isdecimal() or target.text == "-"):
                if op == "<&" and redirect.fd in ("", "0"):
                    stdin = Input("unknown")
                return Tier.READ_ONLY, "", stdin
            if op == "<&" or redirect.fd:
                return Tier.STATEFUL, f"duplicates descriptor {target.display}", stdin
        if op == "<":
            path = paths.normal(target.text)
            if redirect.fd in ("", "0"):
                # `target.block` is the only input whose commands are known.
                stdin = Input("file")
            if path.startswith(("/dev/tcp/", "/dev/udp/")):
                return Tier.STATEFUL, f"opens a network connection to {target.display}", stdin
            if paths.is_secret(path):
                return Tier.REVERSIBLE, f"reads a credential: {target.display}", stdin
            return Tier.READ_ONLY, "", stdin
        how = "append" if op in (">>", "&>>") else "create" if op == "<>" else "truncate"
        if how == "truncate" and writer == "nothing":
            how = "empty"
        tier, reason = paths.written(target, how)
        return tier, reason, stdin

    # Simple commands

    def simple(self, command: Simple, stdin: Input) -> Result:
        """Judge a simple command with its assignments and redirections."""
        self.budget.spend(2)
        nodes: list[Node] = []
        expander = self._expander(nodes)
        args = expander.words(command.words)
        writer = _writer(args)
        redirects, stdin = self._redirect_all(command.redirects, stdin, writer=writer)
        nodes.extend(redirects)
        values = [(item, expander.single(item.value)) for item in command.assignments]
        if not args:
            for item, value in values:
                self._assign(item, value, nodes)
            if not nodes and not values:
                return Node(command.source[:_TEXT_SHOWN], "empty", Tier.READ_ONLY), Value("")
            return self._group("assignment", command.source, nodes), Value("")
        for item, value in values:
            tier, reason = environment.assigned(item.name, value, exported=True)
            if tier:
                nodes.append(Node(item.source, "assignment", tier, (reason,)))
        node, output = self.argv(args, stdin)
        if redirects and any(r.op.startswith((">", "&>")) for r in command.redirects):
            output = ANYTHING
        elif any(r.op in (">", ">>", "&>", "&>>", ">|", ">&") for r in command.redirects):
            output = output if output.text is None else ANYTHING
        if not nodes:
            return node, output
        tier = max([node.tier, *(child.tier for child in nodes)])
        return Node(node.text, node.kind, tier, node.reasons, (*node.children, *nodes)), output

    def _assign(self, item: Assignment, value: Arg, nodes: list[Node]) -> None:
        tier, reason = environment.assigned(item.name, value, exported=False)
        if tier:
            nodes.append(Node(item.source, "assignment", tier, (reason,)))
        if item.array is not None:
            result = ANYTHING
        elif value.exact:
            before = self.scope.lookup(item.name).text if item.append else ""
            result = Value(before + value.text) if before is not None else ANYTHING
            if len(value.text) + len(before or "") > MAX_VALUE:
                result = ANYTHING
        else:
            result = NUMBER if value.numeric else self._single_value(item, value)
        self.scope.variables[item.name] = result

    def _single_value(self, item: Assignment, value: Arg) -> Value:
        """What is known of `name=$(...)` or `name=$other`."""
        parts = item.value.parts
        if item.append:
            return ANYTHING
        if len(parts) == 1 and isinstance(parts[0], Parameter) and not parts[0].op:
            return self._expander([]).lookup(parts[0].name)
        if len(parts) == 1 and isinstance(parts[0], Substitution):
            return Value(None, value.numeric, value.safe and value.numeric)
        return Value(None, False, False, value.text)

    def argv(self, args: list[Arg], stdin: Input) -> Result:
        """Judge an argument vector, the first word being the program."""
        self.budget.spend(1 + len(args) // 8)
        shown = " ".join([_quoted(arg) for arg in args])[:4096]
        if not args:
            return Node("", "empty", Tier.READ_ONLY), Value("")
        program = args[0]
        if not program.exact or not program.text:
            return self._unknown_program(args, shown, stdin)
        name = program.text
        body = self.scope.functions.get(name)
        if body is not None:
            return self._call_function(name, body, args, shown, stdin)
        children: list[Node] = []
        alias = self.scope.aliases.get(name)
        if alias is not None and name not in self.active:
            self.active.append(name)
            text = " ".join([alias, *(_quoted(arg) for arg in args[1:])])
            children.append(self.inner(text, None)[0])
            self.active.pop()
        if "/" in name:
            directory, _, bare = name.rpartition("/")
            if directory not in TRUSTED_DIRECTORIES:
                reason = f"`{name}` is not in a system directory"
                return Node(shown, "command", Tier.STATEFUL, (reason,)), ANYTHING
            name = bare
        spec = self.knowledge.get(name)
        if spec is None:
            reasons = [f"unknown program `{name}`"]
            tier = max([Tier.STATEFUL, *(c.tier for c in children)])
            verbs = [arg.text for arg in args[1:4] if arg.exact and arg.text in _DELETING]
            if verbs:
                tier = Tier.IRREVERSIBLE
                reasons.append(f"its word `{verbs[0]}` names a deletion")
            return Node(shown, "command", tier, tuple(reasons), tuple(children)), ANYTHING
        call = Call(self, name, args[1:], stdin, children=children)
        from .programs import judge_program

        self._deeper()
        judge_program(call, spec)
        self.depth -= 1
        tier = max([call.tier, *(c.tier for c in call.children)])
        node = Node(shown, "command", tier, tuple(call.reasons), tuple(call.children))
        output = call.output
        if output.text is not None and len(output.text) > MAX_VALUE:
            output = ANYTHING
        return node, output

    def _unknown_program(self, args: list[Arg], shown: str, stdin: Input) -> Result:
        reason = f"the program is known only when it runs: {args[0].display or '(empty)'}"
        children: list[Node] = []
        if args[0].splits and len(args) > 1:
            # If the word expands to nothing, the next one is the program.
            self._deeper()
            children.append(self.argv(args[1:], stdin)[0])
            self.depth -= 1
        tier = max([Tier.STATEFUL, *(child.tier for child in children)])
        return Node(shown, "command", tier, (reason,), tuple(children)), ANYTHING

    def _call_function(
        self, name: str, body: Command, args: list[Arg], shown: str, stdin: Input
    ) -> Result:
        if name in self.active:
            bomb = self.concurrent > 0
            reason = f"`{name}` calls itself" + (" in parallel: a fork bomb" if bomb else "")
            tier = Tier.IRREVERSIBLE if bomb else Tier.STATEFUL
            return Node(shown, "command", tier, (reason,)), ANYTHING
        self.active.append(name)
        scope = self.scope
        outer = scope.positional
        scope.positional = args[1:]
        node, output = self.command(body, stdin)
        scope.positional = outer
        self.active.pop()
        return Node(shown, "command", node.tier, (), (node,)), output


_DELETING = frozenset(
    "rm delete destroy purge drop remove wipe erase truncate nuke terminate deleteall"
    " format".split()
)
_PREFIXES = frozenset(("sudo", "env", "rm"))
_SILENT = frozenset((":", "true", "false"))


def _writer(args: list[Arg]) -> str:
    """`nothing` for a command that prints nothing, so that its redirection empties a file."""
    if not args:
        return "nothing"
    words = [arg.text for arg in args if arg.exact]
    if len(words) == len(args) and (
        words[0] in _SILENT
        or words in (["cat", "/dev/null"], ["echo", "-n"], ["echo", "-n", ""], ["printf", ""])
        or words in (["echo"], ["echo", ""])
    ):
        return "nothing"
    return ""


def _numeric(value: Value) -> bool:
    return value.numeric or (value.text is not None and value.text.isdecimal())


def _quoted(arg: Arg) -> str:
    """A word as canonical forms show it; quoted only where it would fall apart."""
    text = arg.display
    if text and not any(char in " \t\n'" for char in text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


_VISITORS: dict[type, Callable[[Judge, Any, Input], Result]] = {
    Pipeline: Judge._pipeline,
    AndOr: Judge._and_or,
    Block: Judge._sequence,
    Group: Judge._group_command,
    Conditional: Judge._conditional,
    Loop: Judge._loop,
    Case: Judge._case,
    Function: Judge._function,
    Bracket: Judge._test,
    Calculation: Judge._calculation,
    Coprocess: Judge._coprocess,
}
