"""Judge a command tree: walk it in order with what is known of the shell's state."""

from __future__ import annotations

import re

from . import dialects, environment, portable
from .arithmetic import arithmetic_doubt
from .call import Call
from .compound import VISITORS
from .destinations import assigned_hosts, destinations
from .expand import Expander
from .knowledge import Knowledge
from .limits import MAX_DEPTH, MAX_VALUE, Budget, OverBudget, Unresolvable
from .model import UNKNOWN_HOST, Node, Tier, group
from .parser import Parser
from .redirection import redirect_all, writer_of
from .syntax import (
    Arithmetic,
    Assignment,
    Block,
    Command,
    Parameter,
    Part,
    Process,
    Simple,
    Substitution,
)
from .values import ANYTHING, INHERITED, NUMBER, Arg, Input, Scope, Value, known

TRUSTED_DIRECTORIES = frozenset(
    ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/games")
)
Result = tuple[Node, Value]
_TEXT_SHOWN = 400


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
        self.login = dialect if dialect == dialects.ANY else "sh"
        """Dialect of the shell that programs find in $SHELL."""
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
        if self.dialect == dialects.ANY:
            found = portable.doubt(text)
            if found is not None and not found.quoting:
                tier = max(Tier.STATEFUL, node.tier)
                shown = text[:_TEXT_SHOWN]
                return Node(shown, "dialect", tier, (found.reason,), (node,)), ANYTHING
            reason = found.reason if found is not None else ""
        else:
            reason = dialects.doubt(text, self.dialect)
        if reason:
            # What a reader of the other dialect may see is looked at word by word.
            children = (node, *self._salvage(text))
            tier = max([Tier.STATEFUL, *(child.tier for child in children)])
            return Node(text[:_TEXT_SHOWN], "unresolved", tier, (reason,), children), ANYTHING
        return node, output

    def inner(self, text: str, positional: list[Arg] | None, name: str = "") -> Result:
        """Judge text that a program hands to a new shell."""
        self.deeper()
        outer, self.scope = self.scope, Scope(dict(self.scope.variables))
        self.scope.positional = positional
        self.scope.name = name
        try:
            return self.text(text)
        finally:
            self.scope = outer
            self.depth -= 1

    def deeper(self) -> None:
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
                outer, self.scope = self.scope, self.fork()
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
        return group("list", block.source, nodes), value

    def fork(self) -> Scope:
        scope = self.scope
        self.budget.spend(1 + (len(scope.variables) + len(scope.functions)) // 16)
        return scope.fork()

    def command(self, command: Command, stdin: Input) -> Result:
        """Judge any command."""
        if isinstance(command, Simple):
            return self.simple(command, stdin)
        self.deeper()
        try:
            return VISITORS[type(command)](self, command, stdin)
        finally:
            self.depth -= 1

    # Words

    def expander(self, nodes: list[Node]) -> Expander:
        def doubt(reason: str) -> None:
            nodes.append(Node(reason, "expansion", Tier.STATEFUL, (reason,)))

        def run(part: Part) -> Value:
            if isinstance(part, Substitution):
                outer, self.scope = self.scope, self.fork()
                self.deeper()
                node, output = self.block(part.body, INHERITED)
                self.depth -= 1
                self.scope = outer
                if not part.body.commands:
                    return Value("")
                nodes.append(group("substitution", part.source, [node]))
                if output.text is not None:
                    return Value(output.text.rstrip("\n"))
                return output
            if isinstance(part, Process):
                outer, self.scope = self.scope, self.fork()
                self.deeper()
                node, _ = self.block(part.body, Input("pipe"))
                self.depth -= 1
                self.scope = outer
                nodes.append(group("process", part.source, [node]))
                return ANYTHING
            if isinstance(part, Arithmetic):
                self.arithmetic(part.expression, nodes)
                return NUMBER
            return ANYTHING

        return Expander(self.scope, self.budget, run, doubt)

    def arithmetic(self, expression: object, nodes: list[Node]) -> None:
        doubt = arithmetic_doubt(expression, self.expander(nodes), self.scope)
        if doubt:
            nodes.append(Node(doubt, "arithmetic", Tier.STATEFUL, (doubt,)))

    # Simple commands

    def simple(self, command: Simple, stdin: Input) -> Result:
        """Judge a simple command with its assignments and redirections."""
        self.budget.spend(2)
        nodes: list[Node] = []
        expander = self.expander(nodes)
        args = expander.words(command.words)
        writer = writer_of(args)
        redirects, stdin = redirect_all(self, command.redirects, stdin, writer=writer)
        nodes.extend(redirects)
        values = [(item, expander.single(item.value)) for item in command.assignments]
        if not args:
            for item, value in values:
                self._assign(item, value, nodes)
            # `$(<file)` is what the file holds.
            output = ANYTHING if command.redirects else Value("")
            if not nodes and not values:
                return Node(command.source[:_TEXT_SHOWN], "empty", Tier.READ_ONLY), output
            return group("assignment", command.source, nodes), output
        for item, value in values:
            tier, reason = environment.assigned(item.name, value, exported=True)
            hosts = assigned_hosts(item.name, value)
            if tier or hosts:
                nodes.append(Node(item.source, "assignment", tier, (reason,), (), hosts))
        node, output = self.argv(args, stdin)
        if redirects and any(r.op.startswith((">", "&>")) for r in command.redirects):
            output = ANYTHING
        elif any(r.op in (">", ">>", "&>", "&>>", ">|", ">&") for r in command.redirects):
            output = output if output.text is None else ANYTHING
        if not nodes:
            return node, output
        tier = max([node.tier, *(child.tier for child in nodes)])
        inside = (*node.children, *nodes)
        return Node(node.text, node.kind, tier, node.reasons, inside, node.hosts), output

    def _assign(self, item: Assignment, value: Arg, nodes: list[Node]) -> None:
        tier, reason = environment.changed(self.scope, item.name, value)
        hosts = assigned_hosts(item.name, value)
        if tier or hosts:
            nodes.append(Node(item.source, "assignment", tier, (reason,), (), hosts))
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
            return self.expander([]).lookup(parts[0].name)
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
        hosts = destinations(name.rpartition("/")[2], args[1:])
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
                return Node(shown, "command", Tier.STATEFUL, (reason,), (), hosts), ANYTHING
            name = bare
        spec = self.knowledge.get(name)
        if spec is None:
            reasons = [f"unknown program `{name}`"]
            tier = max([Tier.STATEFUL, *(c.tier for c in children)])
            verbs = [arg.text for arg in args[1:4] if arg.exact and arg.text in _DELETING]
            if verbs:
                tier = Tier.IRREVERSIBLE
                reasons.append(f"its word `{verbs[0]}` names a deletion")
            return Node(shown, "command", tier, tuple(reasons), tuple(children), hosts), ANYTHING
        call = Call(self, spec.name, args[1:], stdin, children=children)
        from .programs import judge_program

        self.deeper()
        judge_program(call, spec)
        self.depth -= 1
        tier = max([call.tier, *(c.tier for c in call.children)])
        hosts = (*hosts, *call.hosts)
        node = Node(shown, "command", tier, tuple(call.reasons), tuple(call.children), hosts)
        output = call.output
        if output.text is not None and len(output.text) > MAX_VALUE:
            output = ANYTHING
        return node, output

    def _unknown_program(self, args: list[Arg], shown: str, stdin: Input) -> Result:
        reason = f"the program is known only when it runs: {args[0].display or '(empty)'}"
        children: list[Node] = []
        if args[0].splits and len(args) > 1:
            # If the word expands to nothing, the next one is the program.
            self.deeper()
            children.append(self.argv(args[1:], stdin)[0])
            self.depth -= 1
        tier = max([Tier.STATEFUL, *(child.tier for child in children)])
        hosts = (UNKNOWN_HOST + args[0].display,)
        return Node(shown, "command", tier, (reason,), tuple(children), hosts), ANYTHING

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
_APART = re.compile(r"[ \t\n']")


def _quoted(arg: Arg) -> str:
    """A word as canonical forms show it; quoted only where it would fall apart."""
    text = arg.display
    if text and _APART.search(text) is None:
        return text
    return "'" + text.replace("'", "'\\''") + "'"
