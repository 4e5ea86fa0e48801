"""The entry points: text, argument vector or script in, verdict out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .characters import check_characters
from .core import TRUSTED_DIRECTORIES, Judge
from .destinations import assigned_hosts
from .environment import assigned
from .knowledge import Knowledge, current
from .limits import MAX_REASONS, MAX_TEXT, Budget, OverBudget, Unresolvable
from .model import Node, Tier, Verdict
from .values import Arg, Input, Scope, Value, known

_SHELLS = frozenset(("bash", "sh", "dash", "ash", "ksh", "mksh", "zsh", "rbash"))
_STRICT = re.compile(r"-[efuvx]+")
INTERNAL = "the classifier failed"
READS = "every command in it only reads"


def classify_command(
    text: str,
    *,
    shell: str = "bash",
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    knowledge: Knowledge | None = None,
) -> Verdict:
    """Judge text that a shell is to run. Never raises.

    Text that is too large or deep to judge is Tier 3: it may hold anything.
    """
    if len(text) > MAX_TEXT:
        return _refused(text, f"longer than {MAX_TEXT} characters, so it is not judged")
    judge = _judge(env, knowledge, shell)
    return _guarded(text, env, lambda: judge.text(text, Input("inherited", stdin))[0])


def classify_argv(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    knowledge: Knowledge | None = None,
) -> Verdict:
    """Judge an argument vector that is executed without a shell. Never raises."""
    if not argv:
        return Verdict(Tier.STATEFUL, ("no program is named",))
    if sum(map(len, argv)) > MAX_TEXT:
        return _refused(argv[0], f"longer than {MAX_TEXT} characters, so it is not judged")
    judge = _judge(env, knowledge, "bash")
    text = " ".join(argv)

    def judged() -> Node:
        args: list[Arg] = [known(word) for word in argv]
        node, _ = judge.argv(args, Input("inherited", stdin))
        try:
            check_characters(text)
        except Unresolvable as error:
            tier = max(node.tier, Tier.STATEFUL)
            node = Node(text[:400], "unresolved", tier, (error.reason,), (node,))
        return node

    return _guarded(text, env, judged)


def classify_script(
    text: str,
    interpreter: str,
    *,
    env: Mapping[str, str] | None = None,
    knowledge: Knowledge | None = None,
) -> Verdict:
    """Judge a script handed to an interpreter; a `#!` line decides if none is named, else bash."""
    name, doubt = (interpreter.rpartition("/")[2], "") if interpreter else _shebang(text)
    if name in _SHELLS:
        found = classify_command(text, shell=name, env=env, knowledge=knowledge)
        if not doubt or found.tree is None:
            return found
        tier = max(found.tier, Tier.STATEFUL)
        return verdict(Node(text[:400], "script", tier, (doubt,), (found.tree,)))
    from .judges.code import language_of, scan

    if len(text) > MAX_TEXT:
        return _refused(text, f"longer than {MAX_TEXT} characters, so it is not judged")
    tier, reasons = scan(language_of(name), text)
    tier = max(tier, Tier.STATEFUL)
    reasons = reasons or (f"a script for `{name[:80] or 'an unknown interpreter'}` is not judged",)
    return verdict(Node(text[:400], "script", tier, reasons), env=env)


def _shebang(text: str) -> tuple[str, str]:
    """The bare name of the interpreter that a script names, and why its text may not be all."""
    if not text.startswith("#!"):
        return "bash", ""
    words = text[2:].partition("\n")[0].split()
    directory, _, name = (words[0] if words else "").rpartition("/")
    if directory not in TRUSTED_DIRECTORIES:
        return name, f"the interpreter is not in a system directory: {words[0] if words else ''}"
    rest = words[1:]
    if name == "env":
        name = next((word for word in rest if word[0] != "-" and "=" not in word), "env")
        if "/" not in name and rest == [name]:
            return name, ""
        name = name.rpartition("/")[2]
    elif not rest or (len(rest) == 1 and name in _SHELLS and _STRICT.fullmatch(rest[0])):
        return name, ""
    return name, f"the interpreter is given arguments: {' '.join(rest)[:80]}"


def _guarded(text: str, env: Mapping[str, str] | None, judged: Callable[[], Node]) -> Verdict:
    """Run a judgement so that whatever goes wrong in it ends in a refusal."""
    try:
        return verdict(judged(), env=env)
    except OverBudget as error:
        return _refused(text, error.reason)
    except Unresolvable as error:
        return _refused(text, error.reason, Tier.STATEFUL)
    except RecursionError:
        return _refused(text, "nested too deeply to judge")
    except Exception as error:  # fail closed: a defect here must not admit a command
        return _refused(text, f"{INTERNAL}: {type(error).__name__}: {error}")


def _judge(env: Mapping[str, str] | None, knowledge: Knowledge | None, shell: str) -> Judge:
    scope = Scope(name=shell)
    for name, text in (env or {}).items():
        scope.variables[name] = Value(text)
    return Judge(knowledge or current(), Budget(), scope, dialect=shell.rpartition("/")[2])


def verdict(node: Node, *, env: Mapping[str, str] | None = None) -> Verdict:
    """A verdict from the tree, with the environment that the call itself sets."""
    tree = node
    extra: list[Node] = []
    for name, text in (env or {}).items():
        tier, reason = assigned(name, known(text), exported=True)
        hosts = assigned_hosts(name, known(text))
        if tier or hosts:
            shown = f"{name}={text}"[:400]
            extra.append(Node(shown, "assignment", tier, (reason,), (), hosts))
    if extra:
        tier = max([node.tier, *(n.tier for n in extra)])
        tree = Node(node.text, "call", tier, (), (node, *extra))
    return Verdict(tree.tier, _reasons(tree), tree)


def _reasons(tree: Node) -> tuple[str, ...]:
    """Reasons of the nodes that decided the tier, in source order."""
    if tree.tier == Tier.READ_ONLY:
        return (READS,)
    found: dict[str, None] = {}
    for node in tree.walk():
        inner = max((child.tier for child in node.children), default=Tier.READ_ONLY)
        if node.tier < tree.tier or not node.reasons or inner > node.tier:
            continue
        for reason in node.reasons:
            found[reason] = None
    return tuple(list(found)[:MAX_REASONS])


def _refused(text: str, reason: str, tier: Tier = Tier.IRREVERSIBLE) -> Verdict:
    node = Node(text[:400], "unresolved", tier, (reason,))
    return Verdict(tier, (reason,), node)
