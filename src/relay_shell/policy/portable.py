"""Text that every usual login shell reads alike: bash, dash, busybox, ksh, zsh, fish, csh, tcsh.

Which shell reads a command on another machine is not known, and each has ways of its own: csh ends
no string at a newline, takes `!` for its history even between quotes, and writes `ls 2>&1` into a
file named 1; fish lets a backslash quote the quote, and runs what is in parentheses; zsh makes a
path of `=rm`. So nothing is looked for that is wrong: what is not known to be the same in all of
them is doubted. POSIX.1-2024 sh, csh(1), tcsh(1), zshmisc(1), zshexpn(1), fish-language(1), ksh(1).
"""

from __future__ import annotations

import re
from typing import NamedTuple

WAY_OUT = "; `sh -c '...'` makes it sh"
"""What a reason ends with where a shell that is named would settle it."""

_BLANK = " \t"
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=~-]")
_CLASS = re.compile(r"\[[A-Za-z0-9_.:-]+\]")
_ESCAPED = ";()*?.|[]&<>$'\"!{}"
"""After a backslash outside of quotes each of these stands for itself."""

_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*(?=[/\s\";|]|$)")
_ALWAYS = frozenset(("$HOME", "$USER", "$LOGNAME", "$PWD", "$SHELL"))
"""Variables of one word that are always set: of any other, fish may leave out the whole word."""

_SINK = re.compile(r">>?[ \t]*/dev/null(?=[\s;|]|$)")
_SOURCE = re.compile(r"<[ \t]*(?=[A-Za-z_./~])")
_JOINT = re.compile(r"&&|\|\|(?!\|)|\|(?![|&])|;(?![;&|])")
_OPERANDS = re.compile(r"[A-Za-z0-9_./:@%+,\\ *?-]*|=")

OWN = frozenset(
    """! . @ [[ ]] - _ abbr alias alloc and argparse array autoload begin bg bind bindkey block
    break breaksw builtin builtins bye caller case chdir coproc command commandline compadd
    comparguments compcall compctl compgen complete compopt contains continue count declare default
    dirs disable disown do done echotc echoti elif else emit emulate enable end endif endsw enum
    esac eval exec exit export fc fg fi filetest float for foreach function functions funced
    funcsave getln getopts glob global goto hash hashstat help hist history hup if in integer jobs
    let limit local log login logout ls-F mapfile math nameref newgrp nice nocorrect noglob nohup
    not notify onintr open or path popd prevd nextd cdh print private psub pushd pushln r random
    read readarray readonly redirect rehash rename repeat return sched select set set_color setenv
    setopt settc setty shift shopt source status stop string suspend switch telltc termname then
    time times trap ttyctl typeset unalias uncomplete unfunction unhash unlimit unset unsetenv
    unsetopt until vared wait whence where while zcompile zformat zle zmodload zparseopts zstyle
    { }""".split()
)
"""Words that begin something else, or mean something else, in one of the shells."""

_CALCULATING = frozenset(("test", "[", "printf", "kill", "sleep", "ulimit", "umask", "wait"))
"""Built in everywhere, and where zsh or ksh calculate with an operand, `x[$(cmd)]` runs cmd."""


class Doubt(NamedTuple):
    """Why text is not read alike."""

    reason: str
    quoting: bool
    """Whether it is not even known which of its words are quoted."""


def doubt(text: str) -> Doubt | None:
    """Why the verdict for POSIX sh may not hold for whatever shell reads the text, or None."""
    try:
        _Reader(text).read()
    except _Doubted as found:
        return found.doubt
    return None


def variant(text: str) -> str:
    """The text as csh reads its redirections of errors: the number is a word; "" if it has none.

    For text that `doubt` has nothing against.
    """
    reader = _Reader(text)
    try:
        reader.read()
    except _Doubted:
        return ""
    if not reader.numbers:
        return ""
    pieces, start = [], 0
    for position in reader.numbers:
        pieces.append(text[start : position + 1] + " ")
        start = position + 1
    return "".join(pieces) + text[start:]


class _Doubted(Exception):
    def __init__(self, reason: str, quoting: bool = False) -> None:
        super().__init__(reason)
        self.doubt = Doubt(reason + ("" if quoting else WAY_OUT), quoting)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.strip(_BLANK + "\n")
        self._start = text.find(self._text)
        self._at = 0
        self.numbers: list[int] = []
        """Places of numbers before a redirection, in the text as it was given."""
        self._words: list[str] = []
        self._patterns: list[bool] = []
        """Whether the words of the command, and the one that is read, may match files."""
        self._pattern = False

    def read(self) -> None:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            joint = _JOINT.match(text, self._at)
            if char in _BLANK:
                self._at += 1
            elif joint:
                self._at = joint.end()
                self._command()
            elif char in "<>" or (char in "12" and text[self._at + 1 : self._at + 2] == ">"):
                self._redirection(char)
            elif char in ";|":
                raise _Doubted(f"`{text[self._at : self._at + 2]}` is no operator everywhere")
            else:
                self._words.append(self._word())
                self._patterns.append(self._pattern)
        self._command()

    def _redirection(self, char: str) -> None:
        text = self._text
        if self._at and text[self._at - 1] not in _BLANK + ";|&":
            raise _Doubted("a redirection that touches a word")
        if char in "12":
            self.numbers.append(self._start + self._at)
            self._at += 1
        match = (_SOURCE if char == "<" else _SINK).match(text, self._at)
        if match is None:
            what = text[self._at - (char in "12") :][:6]
            raise _Doubted(f"`{what}` redirects otherwise in csh, zsh or fish")
        self._at = match.end()
        if char == "<":
            self._word()
            if self._pattern:
                raise _Doubted("a pattern in a redirection is all that it matches to zsh")

    def _word(self) -> str:
        text, start, found = self._text, self._at, ""
        before, empty, self._pattern = "", False, False
        while self._at < len(text) and text[self._at] not in " \t;|<>":
            char = text[self._at]
            if char == "'":
                if before == "'":
                    raise _Doubted("a quote directly after one", True)
                inside = self._single()
                found, empty = found + inside, empty or not inside
            elif char == '"':
                inside = self._double()
                found, empty = found + inside, empty or not inside
            elif char == "\\":
                following = text[self._at + 1 : self._at + 2]
                if not following or following not in _ESCAPED:
                    raise _Doubted("a backslash that fish or csh reads otherwise", True)
                found += following
                self._at += 2
            elif char == "$":
                name = self._variable()
                if name not in _ALWAYS:
                    raise _Doubted(f"a word with `{name}` may be none, or several, to fish")
                found += name
            elif char == "{":
                if text[self._at : self._at + 2] != "{}" or not self._alone(start, 2):
                    raise _Doubted("braces are read otherwise by csh or fish")
                found += "{}"
                self._at += 2
            elif char == "[":
                found += self._class(start)
            elif _PLAIN.match(char) or char in "*?]":
                self._pattern = self._pattern or char in "*?"
                equals = char == "=" and not self._alone(start, 1)
                if self._at == start and (equals or text.startswith("%self", start)):
                    raise _Doubted(f"a word that begins with `{char}` is another in zsh or fish")
                if char == "~" and self._at == start:
                    self._home()
                elif char == "~" and before in ("=", ":"):
                    raise _Doubted("`~` is a home here to ksh")
                found += char
                self._at += 1
            else:
                raise _Doubted(_named(char), char in "!\n" or not char.isascii())
            before = char
        if empty and found:
            # `''~` is a home to csh and zsh.
            raise _Doubted("an empty quotation within a word", True)
        if text[self._at : self._at + 1] in ("<", ">"):
            raise _Doubted("a redirection that touches a word")
        return found

    def _alone(self, start: int, length: int) -> bool:
        """Whether so many characters are the whole word."""
        end = start + length
        return self._at == start and (self._text[end : end + 1] or " ") in " \t;|"

    def _class(self, start: int) -> str:
        """`[` as a command, or `[a-z]` in a pattern; fish lets blanks be within."""
        match = _CLASS.match(self._text, self._at)
        if match is None and not self._alone(start, 1):
            raise _Doubted("a bracket that fish or csh reads otherwise", True)
        self._pattern = self._pattern or match is not None
        self._at = match.end() if match else self._at + 1
        return match.group() if match else "["

    def _home(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if following and not re.match(r"[A-Za-z/\s;|]", following):
            raise _Doubted("`~` is read otherwise by zsh or csh")

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        inside = self._text[self._at + 1 : end if end >= 0 else None]
        if end < 0 or re.search(r"[!\n]|\\\\|\\$", inside):
            raise _Doubted("a quoted text that csh or fish ends elsewhere", True)
        self._at = end + 1
        return inside

    def _double(self) -> str:
        self._at += 1
        found = ""
        while (char := self._text[self._at : self._at + 1]) != '"':
            if not char or char in "`\\!\n":
                raise _Doubted("a quoted text that csh or fish ends elsewhere", True)
            if char == "$":
                found += self._variable()
                continue
            found += char
            self._at += 1
        self._at += 1
        return found

    def _variable(self) -> str:
        match = _VARIABLE.match(self._text, self._at)
        if match is None:
            quoting = self._text[self._at + 1 : self._at + 2] in ("'", '"')
            raise _Doubted("an expansion that csh or fish reads otherwise", quoting)
        self._at = match.end()
        return match.group()

    def _command(self) -> None:
        """Check the command that ends here."""
        words, self._words = self._words, []
        patterns, self._patterns = self._patterns, []
        if not words:
            return
        if patterns.count(True) > 1:
            # One that matches nothing csh leaves out if another does: what follows moves up.
            rest = list(zip(words, patterns, strict=True))[patterns.index(True) :]
            if not all(pattern and word[0] not in "-+" for word, pattern in rest):
                raise _Doubted("of several patterns csh leaves out those that match nothing")
        name, *operands = words
        if re.match(r"[A-Za-z_][A-Za-z0-9_]*\+?=", name):
            raise _Doubted("csh and fish assign otherwise")
        if name in OWN and not (name == "command" and operands[:1] in (["-v"], ["-V"])):
            raise _Doubted(f"`{name}` is another command in csh, zsh or fish")
        if name in _CALCULATING:
            last = operands[:-1] if name == "[" and operands[-1:] == ["]"] else operands
            if not all(_OPERANDS.fullmatch(word) for word in last):
                raise _Doubted(f"zsh or ksh may calculate with an operand of `{name}`")


def _named(char: str) -> str:
    names = {"\n": "a line end", "`": "a backquote", "(": "a parenthesis", ")": "a parenthesis"}
    shown = names.get(char, f"`{char}`" if char.isascii() and char.isprintable() else "a character")
    return f"{shown} is read otherwise by csh, zsh or fish"
