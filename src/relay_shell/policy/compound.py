"""Judge compound commands: each with what its branches and repetitions can leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import environment
from .assigns import assigned_in
from .model import Node, Tier, group
from .redirection import redirect_all
from .syntax import (
    AndOr,
    Block,
    Bracket,
    Calculation,
    Case,
    Conditional,
    Coprocess,
    Function,
    Group,
    Loop,
    Pipeline,
)
from .values import ANYTHING, NUMBER, Arg, Input, Value, join

if TYPE_CHECKING:
    from .core import Judge

Result = tuple[Node, Value]
_TEXT_SHOWN = 400


def _pipeline(judge: Judge, command: Pipeline, stdin: Input) -> Result:
    nodes = []
    output = ANYTHING
    outer = judge.scope
    judge.concurrent += 1
    for index, part in enumerate(command.commands):
        judge.scope = outer
        judge.scope = judge.fork()
        source = stdin if index == 0 else Input("pipe", output.text, output.safe)
        node, output = judge.command(part, source)
        nodes.append(node)
    judge.concurrent -= 1
    judge.scope = outer
    return group("pipeline", command.source, nodes), output


def _and_or(judge: Judge, command: AndOr, stdin: Input) -> Result:
    nodes = [judge.command(command.commands[0], stdin)[0]]
    outer = judge.scope
    branch = judge.fork()
    judge.scope = branch
    for part in command.commands[1:]:
        nodes.append(judge.command(part, stdin)[0])
    judge.scope = outer
    outer.merge([branch])
    return group("list", command.source, nodes), ANYTHING


def _sequence(judge: Judge, command: Block, stdin: Input) -> Result:
    return judge.block(command, stdin)


def _grouped(judge: Judge, command: Group, stdin: Input) -> Result:
    outer = judge.scope
    if command.subshell:
        judge.scope = judge.fork()
    redirects, stdin = redirect_all(judge, command.redirects, stdin)
    node, output = judge.block(command.body, stdin)
    judge.scope = outer
    kind = "subshell" if command.subshell else "group"
    if redirects:
        output = ANYTHING
    return group(kind, command.source, [node, *redirects]), output


def _conditional(judge: Judge, command: Conditional, stdin: Input) -> Result:
    redirects, stdin = redirect_all(judge, command.redirects, stdin)
    nodes = []
    outer = judge.scope
    branches = []
    for condition, body in command.branches:
        nodes.append(judge.block(condition, stdin)[0])
        branch = judge.fork()
        judge.scope = branch
        nodes.append(judge.block(body, stdin)[0])
        branches.append(branch)
        judge.scope = outer
    if command.otherwise:
        judge.scope = judge.fork()
        branches.append(judge.scope)
        nodes.append(judge.block(command.otherwise, stdin)[0])
        judge.scope = outer
    outer.merge(branches)
    return group("if", command.source, nodes + redirects), ANYTHING


def _loop(judge: Judge, command: Loop, stdin: Input) -> Result:
    redirects, stdin = redirect_all(judge, command.redirects, stdin)
    nodes: list[Node] = []
    for expression in command.expressions:
        judge.arithmetic(expression, nodes)
    value = ANYTHING
    if command.items is not None:
        args = judge.expander(nodes).words(command.items)
        value = _item_value(args)
    judge.budget.spend(4)
    for name, number in assigned_in(command, judge.budget).items():
        before = judge.scope.lookup(name)
        judge.scope.variables[name] = NUMBER if number and _numeric(before) else ANYTHING
    if command.name:
        tier, reason = environment.changed(judge.scope, command.name)
        if tier:
            nodes.append(Node(command.name, "assignment", tier, (reason,)))
        judge.scope.variables[command.name] = value
    outer = judge.scope
    branch = judge.fork()
    judge.scope = branch
    if command.condition:
        nodes.append(judge.block(command.condition, stdin)[0])
    nodes.append(judge.block(command.body, stdin)[0])
    judge.scope = outer
    outer.merge([branch])
    return group("loop", command.source, nodes + redirects), ANYTHING


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


def _case(judge: Judge, command: Case, stdin: Input) -> Result:
    redirects, stdin = redirect_all(judge, command.redirects, stdin)
    nodes: list[Node] = []
    expander = judge.expander(nodes)
    expander.single(command.subject)
    outer = judge.scope
    branches = []
    for patterns, body in command.clauses:
        for pattern in patterns:
            expander.single(pattern)
        judge.scope = judge.fork()
        branches.append(judge.scope)
        nodes.append(judge.block(body, stdin)[0])
        judge.scope = outer
    outer.merge(branches)
    return group("case", command.source, nodes + redirects), ANYTHING


def _function(judge: Judge, command: Function, stdin: Input) -> Result:
    outer = judge.scope
    outer.functions[command.name] = command.body
    judge.scope = judge.fork()
    judge.scope.positional = None
    judge.active.append(command.name)
    node, _ = judge.command(command.body, Input("unknown"))
    judge.active.pop()
    judge.scope = outer
    tier, reasons = node.tier, tuple[str, ...]()
    if judge.knowledge.get(command.name) is not None:
        tier = max(tier, Tier.STATEFUL)
        reasons = (f"redefines `{command.name}`",)
    shown = command.source[:_TEXT_SHOWN]
    return Node(shown, "function", tier, reasons, (node,)), Value("")


def _test(judge: Judge, command: Bracket, stdin: Input) -> Result:
    from .judges.tests import judge_conditional

    redirects, _ = redirect_all(judge, command.redirects, stdin)
    children: list[Node] = []
    args = []
    expander = judge.expander(children)
    for word in command.words:
        arg = expander.single(word)
        args.append(arg)
    tier, reasons = judge_conditional(judge, args)
    tier = max([tier, *(n.tier for n in children + redirects)])
    shown = command.source[:_TEXT_SHOWN]
    return Node(shown, "test", tier, reasons, tuple(children + redirects)), Value("")


def _calculation(judge: Judge, command: Calculation, stdin: Input) -> Result:
    redirects, _ = redirect_all(judge, command.redirects, stdin)
    nodes: list[Node] = []
    judge.arithmetic(command.expression, nodes)
    return group("arithmetic", command.source, nodes + redirects), Value("")


def _coprocess(judge: Judge, command: Coprocess, stdin: Input) -> Result:
    outer, judge.scope = judge.scope, judge.fork()
    node, _ = judge.command(command.command, Input("unknown"))
    judge.scope = outer
    return group("coprocess", command.source, [node]), Value("")


def _numeric(value: Value) -> bool:
    return value.numeric or (value.text is not None and value.text.isdecimal())


VISITORS: dict[type, Callable[[Judge, Any, Input], Result]] = {
    Pipeline: _pipeline,
    AndOr: _and_or,
    Block: _sequence,
    Group: _grouped,
    Conditional: _conditional,
    Loop: _loop,
    Case: _case,
    Function: _function,
    Bracket: _test,
    Calculation: _calculation,
    Coprocess: _coprocess,
}
