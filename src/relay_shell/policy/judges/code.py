"""Code of general languages given on a command line or as a script.

The code is not understood: it is Tier 2 at least, and Tier 3 where a call that removes,
overwrites or stops something is visible. A visible name is friction, not proof.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..limits import MAX_TEXT
from ..model import Tier
from ..options import parse_options
from ..programs import judge_options
from ..values import Arg

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec

_REMOVES = {
    "python": r"\brmtree\b|\bos\s*\.\s*(?:remove|unlink|rmdir|removedirs|truncate)\b|\.unlink\s*\("
    r"|\.rmdir\s*\(|\bremovedirs\b|\.truncate\s*\(|\bos\.kill\b",
    "perl": r"\bunlink\b|\brmdir\b|\brmtree\b|\bremove_tree\b|\btruncate\b",
    "ruby": r"\brm_rf?\b|\bremove_(?:dir|entry|file)\w*\b|\b(?:File|Dir|FileUtils|IO)\s*\.\s*"
    r"(?:delete|unlink|rm\w*|rmdir|remove\w*|truncate)\b|\brmtree\b",
    "php": r"\bunlink\b|\brmdir\s*\(|\bftruncate\s*\(",
    "node": r"\b(?:rm|rmdir|unlink|truncate|rimraf)(?:Sync)?\s*\(",
    "lua": r"\bos\s*\.\s*remove\b",
    "tcl": r"\bfile\s+delete\b",
}
_COMMON = re.compile(
    r"['\"](?:/bin/)?rm['\"]\s*,|\brm\s+-\w*[rRf]|\bmkfs|\bdd\s+if=|\bshutdown\b|\breboot\b|\bpoweroff\b|\bwipefs\b"
    r"|\bshred\b|>\s*/dev/(?:sd|nvme|vd|mapper|mmcblk)|['\"]/dev/(?:sd|nvme|vd|xvd|hd|mmcblk"
    r"|mapper|dm-)"
    r"|\b(?:DROP|TRUNCATE)\s+(?:TABLE|DATABASE|SCHEMA)\b|\bdropDatabase\b|\bflushall\b",
    re.IGNORECASE,
)
_LANGUAGES = (
    ("python", re.compile(r"(?:python|pypy|ipython)[0-9.]*")),
    ("perl", re.compile(r"perl[0-9.]*")),
    ("ruby", re.compile(r"ruby[0-9.]*|irb")),
    ("php", re.compile(r"php[0-9.]*")),
    ("node", re.compile(r"node(?:js)?|deno|bun")),
    ("lua", re.compile(r"lua(?:jit)?[0-9.]*")),
    ("tcl", re.compile(r"tclsh[0-9.]*|expect|wish")),
)
_PY_SAFE = re.compile(
    r"\s*(?:import\s+(?:sys|platform|math|time|datetime|socket|os|json|ssl|sysconfig|site|locale)"
    r"(?:\s*,\s*(?:sys|platform|math|time|datetime|os|json|ssl|sysconfig|site|locale"
    r"|socket))*\s*;\s*)?"
    r"print\(\s*(?P<expression>[\w\s.+\-*/%,()\[\]:'\"<>=]*)\)\s*;?\s*"
)
_PY_NAMES = frozenset(
    (
        "print sys platform math time datetime socket os json ssl sysconfig site locale version"
        " version_info executable path prefix byteorder maxsize modules argv flags hexversion"
        " implementation name system node release machine processor architecture python_version"
        " python_implementation uname cpu_count getpid getuid geteuid getcwd getloadavg sep linesep"
        " pi e tau sqrt floor ceil log log10 log2 sin cos pow factorial gcd now today utcnow"
        " isoformat strftime gethostname getfqdn OPENSSL_VERSION len str int float round sum min"
        " max abs hex bin oct chr ord sorted range list tuple set repr bool divmod True False None"
        " getsitepackages join for in if else not and or is getdefaultlocale getpreferredencoding"
        " get_paths get_python_version major minor micro sep timezone tzname ctime timestamp"
        " platform"
        " getfilesystemencoding getrecursionlimit api_version date upper lower title strip split"
    ).split()
)
# Reading a document from standard input. Without `modules`, a way to any module that is loaded.
_PY_JSON = frozenset("load loads dumps stdin read get keys values items indent sort_keys".split())


def language_of(name: str) -> str:
    """The language that a program's name stands for, empty if unknown."""
    for language, pattern in _LANGUAGES:
        if pattern.fullmatch(name):
            return language
    return ""


def scan(language: str, text: str) -> tuple[Tier, tuple[str, ...]]:
    """The tier of code by what is visible in it, and why."""
    pattern = _REMOVES.get(language)
    match = re.search(pattern, text[:MAX_TEXT]) if pattern else None
    match = match or _COMMON.search(text[:MAX_TEXT])
    if match:
        shown = match.group().strip()[:40]
        return Tier.IRREVERSIBLE, (f"the code names `{shown}`",)
    return Tier.STATEFUL, (f"{language or 'program'} code is not judged",)


def prints_facts(text: str) -> bool:
    """Whether Python code is one `print` of plain facts about the interpreter."""
    match = _PY_SAFE.fullmatch(text)
    if not match:
        return False
    bare = re.sub(r"'[^'\\{}]*'|\"[^\"\\{}]*\"", " ", match.group("expression"))
    if "'" in bare or '"' in bare:
        return False
    names = set(re.findall(r"[A-Za-z_]\w*", bare))
    document = bool(names & _PY_JSON) and "modules" not in names
    return all(
        name in _PY_NAMES or (document and (name in _PY_JSON or re.fullmatch(r"[a-z]", name)))
        for name in names
    )


_FACTS = {
    "node": re.compile(
        r"(?:console\.log\()?(?:process\.(?:version|versions(?:\.\w+)?|platform|arch|execPath|pid"
        r"|argv|uptime\(\)"
        r"|cwd\(\)|memoryUsage\(\))|[\d\s+*/.()-]+)\)?;?"
    ),
    "perl": re.compile(
        r"print\s+(?:\"?\$\](?:\\n)?\"?|\$\^[VOX]|\"[\w\s.,:\\-]*\"|[\d\s+*/.()-]+)\s*;?"
    ),
    "php": re.compile(
        r"(?:echo|print)\s+(?:PHP_\w+|phpversion\(\)|php_uname\(\)|php_sapi_name\(\)"
        r"|ini_get\('[\w.]+'\))"
        r"(?:\s*\.\s*(?:PHP_EOL|\"\\n\"))?\s*;?|phpinfo\(\);?"
    ),
    "ruby": re.compile(r"(?:puts|print|p)\s+(?:RUBY_\w+|[\d\s+*/.()-]+)"),
}


def judge_code(call: Call, spec: Spec) -> None:
    """An interpreter: options that hold code, a script file, or standard input."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, call.name)
    language = language_of(call.name)
    texts = [used for used in parsed.used if used.option is not None and used.name in _CODE]
    for used in texts:
        value = used.value or Arg("", exact=False)
        if language == "python" and value.exact and prints_facts(value.text):
            continue
        facts = _FACTS.get(language)
        if facts and value.exact and facts.fullmatch(value.text.strip()):
            continue
        tier, reasons = scan(language, value.text)
        call.add(tier, reasons[0])
    if texts:
        return
    if modes and max(modes) == 0 and not parsed.operands:
        return
    module = parsed.get("-m") if language == "python" else None
    if module is not None:
        _module(call, module, parsed.operands)
    elif parsed.operands and not (parsed.operands[0].exact and parsed.operands[0].text == "-"):
        call.add(2, f"runs the script {parsed.operands[0].display}, which is not judged")
    elif call.stdin.text is not None:
        tier, reasons = scan(language, call.stdin.text)
        call.add(tier, reasons[0])
    else:
        call.add(2, "runs code read from standard input")


_CODE = frozenset(("-c", "-e", "-E", "-r", "-p", "--eval", "--print", "-pe", "-R", "-B"))


def _module(call: Call, module: Arg, operands: list[Arg]) -> None:
    """`python -m`: a few modules are programs that are known."""
    name = module.text if module.exact else ""
    if name == "json.tool" and len(operands) < 2 and not any(a.wild for a in operands):
        return
    if name in ("site", "sysconfig", "platform", "this", "calendar") and not operands:
        return
    if name in ("pip", "ansible", "pytest") and call.judge.knowledge.get(name):
        call.run([Arg(name), *operands])
        return
    call.add(2, f"runs the module {module.display}")


def judge_perl(call: Call, spec: Spec) -> None:
    """`perl`: -e code; -i edits files in place; -n and -p loop over input."""
    judge_code(call, spec)


def judge_php(call: Call, spec: Spec) -> None:
    """`php`: -i, -m, -l and -v inform; -r holds code."""
    parsed = parse_options(spec, call.args, stop=True)
    if [used.name for used in parsed.used] in (["-l"], ["--syntax-check"]) and not parsed.doubts:
        return
    judge_code(call, spec)


def judge_jar(call: Call, spec: Spec) -> None:
    """`jar` and compilers: only listing reads."""
    words = [arg.text for arg in call.args]
    if call.name == "jar" and words and re.fullmatch(r"-?t[vf0]*|--list", words[0]):
        return
    if call.name == "jarsigner" and "-verify" in words:
        return
    if words in (["-version"], ["--version"]):
        return
    call.add(2, f"`{call.name}` writes files")


def judge_calculator(call: Call, spec: Spec) -> None:
    """`bc`, `dc`: arithmetic from standard input; `dc` has a shell escape."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    texts = [value.text for value in parsed.all("-e", "--expression", "-x") if value.exact]
    if any(not value.exact for value in parsed.all("-e", "--expression", "-x")):
        call.add(2, "an expression that is known only when it runs")
    if parsed.operands:
        call.add(2, "runs the script of a file")
    if call.stdin.text is not None:
        texts.append(call.stdin.text)
    elif not texts and not parsed.has("-h", "--help") and call.name == "dc":
        call.add(2, "runs commands read from standard input")
    if call.name == "dc" and any("!" in text for text in texts):
        call.add(2, "`dc` runs a command with `!`")


def judge_linter(call: Call, spec: Spec) -> None:
    """Linters and formatters: they may rewrite files or load plugins of the project."""
    words = [arg.text for arg in call.args]
    if words in (["--version"], ["-V"], ["version"]):
        return
    if (
        call.name in ("gofmt", "shfmt", "clang-format", "goimports")
        and all(arg.exact for arg in call.args)
        and not any(re.match(r"-\w*[wi]\b|--write|--in-place|-cpuprofile", word) for word in words)
    ):
        return
    if re.search(r"--(?:fix|write|in-place|autofix|apply)|(?:^| )-[iw](?: |$)", " ".join(words)):
        call.add(2, f"`{call.name}` rewrites files")
        return
    call.add(
        1 if call.name in ("mypy", "bandit", "pyright", "tfsec", "checkov") else 2,
        f"`{call.name}` writes caches or runs plugins of the project",
    )


def judge_miller(call: Call, spec: Spec) -> None:
    """`mlr` and similar: verbs that write (tee, split) or run commands do not only read."""
    parsed = parse_options(spec, call.args, stop=True)
    judge_options(call, spec, parsed, call.name)
    text = " ".join(arg.display for arg in parsed.operands)
    if (
        re.search(r"\b(?:tee|split|put|filter|system|exec|emit|dump|print)\b", text)
        and call.name in ("mlr", "miller")
        and re.search(r"\b(?:tee|split|system|exec)\b|[>|]", text)
    ):
        call.add(2, "the expression writes a file or runs a command")
    if not all(arg.exact or arg.safe for arg in parsed.operands):
        call.add(2, "an expression that is known only when it runs")
