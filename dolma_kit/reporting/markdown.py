"""Markdown of ours: texts of a corpus made harmless, tables, commands.

For CommonMark with GitHub's tables, which also read well as they are. No HTML: some renderers show
it. What a corpus or a config names goes into code spans, in which nothing acts, neither markup nor
what GitHub makes of `@name`, `#1` or `www.`; characters that would act unseen are named (U+202E).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from dolma_kit.reporting.redaction import redacted

MOST_OF_NAME = 80
MOST_OF_TEXT = 600
MOST_OF_COMMAND = 2000
NO_NAME = "(no name)"
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats, surrogates, line separators
_JOINERS = "\u200c\u200d"  # scripts and emoji are made with them
_FSI, _PDI = "\u2068", "\u2069"
_ESCAPED = re.compile(r"[\\`*_\[\]<>#~$&]|(?<=:)//|(?<=www)\.", re.IGNORECASE)


def visible(text: str, kept: str = "") -> str:
    """A text in which characters that act unseen, and line breaks, are named, but those `kept`.

    >>> visible("a\\n\\u202eb")
    'aU+000AU+202Eb'
    """
    return "".join(
        f"U+{ord(char):04X}"
        if unicodedata.category(char) in _ACTING and char not in _JOINERS + kept
        else char
        for char in text
    )


def text(value: str, most: int = MOST_OF_TEXT) -> str:
    """Words that are no Markdown: a title, a reason.

    >>> text("**a** | <b>"), text("see https://a.org")
    ('\\\\*\\\\*a\\\\*\\\\* &#124; \\\\<b\\\\>', 'see https:\\\\//a.org')
    """
    shown = visible(redacted(value))
    cut = shown if len(shown) <= most else shown[:most] + " …"
    escaped = _ESCAPED.sub(lambda match: "\\" + match[0], cut)
    # GitHub makes links and mentions of an @, escaped or not, but not of one in code.
    return _isolated(re.sub("@+", r"`\g<0>`", escaped.replace("|", "&#124;")), value)


def code(value: str, most: int = MOST_OF_NAME) -> str:
    """A name or a text of a corpus, as code.

    >>> code("a"), code("``"), code("")
    ('`a`', '``` `` ```', '(no name)')
    """
    shown = visible(redacted(value))
    if not shown.strip():
        return NO_NAME
    cut = shown if len(shown) <= most else shown[:most] + " …"
    fence = "`" * (max(map(len, re.findall("`+", cut)), default=0) + 1)
    # One space on each side is not shown, and parts the text's own backticks from the fence.
    pad = " " if cut[0] in "` " or cut[-1] in "` " else ""
    return f"{fence}{pad}{_isolated(cut, value)}{pad}{fence}"


def _isolated(shown: str, value: str) -> str:
    """Text written from the right, so that it does not turn what stands beside it."""
    if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in value):
        return f"{_FSI}{shown}{_PDI}"
    return shown


def codes(values: Iterable[str], most: int = 12) -> str:
    """Names one after the other, the first of many."""
    known = list(values)
    rest = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(map(code, known[:most])) + rest


def command(*commands: str | None) -> str:
    """A paragraph that says what asks for the numbers above again; "" without any."""
    known = [code(one, MOST_OF_COMMAND) for one in dict.fromkeys(commands) if one]
    return f"Asked by {', '.join(known)}." if known else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown. A head that begins with ">" is of a column of numbers."""
    known = [list(row) for row in rows]
    rules = ["---:" if head.startswith(">") else "---" for head in heads]
    titles = [head.lstrip(">") for head in heads]
    return "\n".join(_row(cells) for cells in (titles, rules, *known))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(markdown: str) -> str:
    """A pipe ends a cell, in code spans, too; renderers do not agree on one after a backslash."""
    return re.sub(r"(?<=\\)\|", "U+007C", markdown).replace("|", r"\|")


def filled(heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """A table without the columns in which each cell is `empty`."""
    kept = [i for i in range(len(heads)) if any(row[i] != empty for row in rows)]
    return table([heads[i] for i in kept], ([row[i] for i in kept] for row in rows))
