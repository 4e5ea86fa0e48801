"""What one program may be asked by an enforced command (see `queries`)."""

from __future__ import annotations

from typing import NamedTuple


class Query(NamedTuple):
    """One program's questions.

    Attributes:
        verbs: words that may come first; "" stands for no word at all; None where words are not
            verbs but what is asked about.
        first: the verb is the first word, and may be of two ("image ls"): options in front of it
            could take it for their value.
        flags: options without a value; values: options that take one.
        always: options that are put in front whatever was asked.
        optional: options whose value, if any, may be attached.
        needs: options of which one must be given, where the program would do other things without.
        located: options whose value is a path; to the worker a relative one means another file.
        words: what words must look like (a pattern for all of a word), None for anything.
        daemon: path of the socket that the program asks at.
        never: why the program cannot be asked at all, and what to ask instead.
    """

    verbs: frozenset[str] | None
    flags: frozenset[str]
    values: frozenset[str]
    always: tuple[str, ...]
    optional: frozenset[str] = frozenset()
    first: bool = False
    needs: frozenset[str] = frozenset()
    located: frozenset[str] = frozenset()
    words: str | None = None
    daemon: str = ""
    never: str = ""


def words(text: str) -> frozenset[str]:
    """The words of a text, for a row of a table."""
    return frozenset(text.split())
