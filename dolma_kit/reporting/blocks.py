"""The pieces that sections are made of: tables, texts of a corpus, notes, commands.

A cell is HTML. What comes from a corpus comes in by `text` or `name`, which make it harmless, and
mask what looks like personal data.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dolma_kit.markup import attribute, counted, escaped
from dolma_kit.reporting import numbers
from dolma_kit.reporting.answers import Missing
from dolma_kit.reporting.redaction import redacted

MOST_CHARACTERS = 160
MOST_OF_NAME = 60
MOST_OF_PLACE = 44
MOST_OF_COMMAND = 2000
MOST_OF_JSON = 6000
NO_NAME = "(no name)"


class Head(NamedTuple):
    """A column: `kind` n for numbers, text for texts of a corpus."""

    title: str
    kind: str = ""


def n(title: str) -> Head:
    return Head(title, "n")


def texts(title: str) -> Head:
    return Head(title, "text")


def table(
    caption: str,
    heads: Sequence[Sequence[str]],
    rows: Iterable[Sequence[str]],
    *,
    sum_row: Sequence[str] | None = None,
    kind: str = "",
    named: str | None = None,
) -> str:
    """Rows of cells, HTML; the first of a row is its head. `caption` is HTML, `named` what the
    table is called where it is scrolled, if the caption says too much."""
    known = [one if isinstance(one, Head) else Head(str(one)) for one in heads]
    head = "".join(f"<th scope=col{_class(one.kind)}>{escaped(one.title)}</th>" for one in known)
    body = "".join(_row(known, row, "") for row in rows)
    if sum_row is not None:
        body += _row(known, sum_row, " class=sum")
    name = attribute(named or _plain(caption))
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{name}"><table{_class(kind)}>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(heads: Sequence[Head], row: Sequence[str], more: str) -> str:
    cells = []
    for i, (head, cell) in enumerate(zip(heads, row, strict=True)):
        if i == 0:
            cells.append(f"<th scope=row{_class(head.kind)}>{cell}</th>")
        elif cell.startswith("<td"):  # a cell that has its own colour
            cells.append(cell)
        else:
            cells.append(f"<td{_class(head.kind)}>{cell}</td>")
    return f"<tr{more}>{''.join(cells)}</tr>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _plain(caption: str) -> str:
    """The words of a caption without its marks."""
    out, inside = [], False
    for c in caption:
        inside = (inside or c == "<") and c != ">"
        if not inside and c != ">":
            out.append(c)
    return html.unescape("".join(out))[:120]


def percent(share: float | None) -> str:
    """As `numbers.percent`, in HTML: it may say `<`."""
    return escaped(numbers.percent(share))


def part(n: float | None, of: float | None) -> str:
    return escaped(numbers.part(n, of))


def probability(p: float) -> str:
    return escaped(numbers.probability(p))


def text(value: str, most: int = MOST_CHARACTERS, *, mono: bool = False) -> str:
    """A text of a corpus, cut after some characters, with how many are left out."""
    # What is masked may be longer or shorter, so that it is cut before and after.
    shown = redacted(value[: 4 * most])
    left = max(len(shown) - most, 0) + max(len(value) - 4 * most, 0)
    kind = "text mono" if mono else "text"
    rest = f"<span class=more> … {counted(left, 'character')} more</span>" if left else ""
    return f'<bdi class="{kind}">{escaped(shown[:most])}</bdi>{rest}'


def name(value: str, most: int = MOST_OF_NAME, *, tail: int = 0) -> str:
    """A name that a corpus gives: of a source, a file, a language, a rule. Of one that is too long
    `tail` characters of the end stay; more of it is there where one points at it."""
    if not value:
        return f"<span class=soft>{NO_NAME}</span>"
    shown = redacted(value[: 4 * MOST_CHARACTERS])
    if len(shown) <= most:
        return f"<bdi>{escaped(shown)}</bdi>"
    cut = f"{shown[: most - tail - 1]}…{shown[len(shown) - tail :]}"
    return f'<bdi title="{attribute(shown)}">{escaped(cut)}</bdi>'


def place(file: str, line: int | None) -> str:
    """Where a document stands."""
    where = "" if line is None else f":{line}"
    # Every file of documents is in a folder of that name, which tells nothing.
    shown = f"/{file}".replace("/documents/", "/")[1:]
    cut = shown if len(shown) <= MOST_OF_PLACE else "…" + shown[1 - MOST_OF_PLACE :]
    return f'<span class=when title="{attribute(file)}"><bdi>{escaped(cut)}</bdi>{where}</span>'


def command(*commands: str | None) -> str:
    """What asks for the numbers above again."""
    shown = [
        f"<code>{escaped(one[:MOST_OF_COMMAND])}</code>" for one in dict.fromkeys(commands) if one
    ]
    return f"<p class=command>Asked by {' '.join(shown)}</p>" if shown else ""


def badge(exact: bool, how: str = "") -> str:
    word = "exact" if exact else "estimated"
    return f'<span class="badge {word}">{word}{escaped(how)}</span>'


def note(html_: str) -> str:
    return f"<p class=note>{html_}</p>"


def soft(html_: str) -> str:
    return f"<p class='soft small'>{html_}</p>"


def folded(title: str, inside: str, *, is_open: bool = False) -> str:
    """What is there for those who want it; `title` is HTML."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>{inside}</details>"


def json_of(value: Any) -> str:
    """Data as it is, for eyes."""
    written = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    cut = written[:MOST_OF_JSON]
    left = len(written) - len(cut)
    rest = f"\n… {counted(left, 'character')} more" if left else ""
    return f"<pre tabindex=0>{escaped(cut)}{rest}</pre>"


def digest(sha256: str) -> str:
    """A digest in short; whole where one points at it."""
    return f'<code title="{attribute(sha256)}">{escaped(sha256[:12])}</code>'


def not_measured(missing: Sequence[Missing]) -> str:
    """Why a section shows nothing, and what to do about it."""
    if not missing:
        return "<p class=soft>Not measured.</p>"
    return "".join(
        f"<p class=soft>Not measured: {escaped(one.what)}: {escaped(one.why)}.</p>"
        f"{command_for(one)}"
        for one in missing
    )


def command_for(missing: Missing) -> str:
    if not missing.cure:
        return ""
    return f"<p class=command>To get it: <code>{escaped(missing.cure[:MOST_OF_COMMAND])}</code></p>"


def unreadable(what: str) -> str:
    return note(
        f"{escaped(what)}: what is saved is of another form than this version reads; ask again."
    )


def heat(share: float | None, html_: str) -> str:
    """A cell as dark as a share is great, in five steps; none for 0."""
    level = 0 if not share or share <= 0 else min(int(share * 5) + 1, 5)
    return f'<td class="h{level}">{html_}</td>' if level else f"<td>{html_}</td>"


def others(n_left: int, what: str) -> str:
    """Says that a table does not show all."""
    if n_left <= 0:
        return ""
    return soft(f"and {counted(n_left, what)} more, in the JSON beside this page")


def slug(text: str) -> str:
    """A text as a part of an id.

    >>> slug("a b/ü")
    'a-b--'
    """
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text[:40])
