"""Answers for eyes: aligned columns, and figures as people write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

LONGEST = 72  # characters of a cell


def aligned(heads: Sequence[str], rows: Iterable[Sequence[Any]], indent: str = "") -> str:
    """A table with a line for the heads; what is text stands left, figures stand right.

    >>> print(aligned(["what", "n"], [["a", 1200], ["bb", None]]))
    what      n
    a     1,200
    bb        -
    """
    body = list(rows)
    cells = [[cell(value) for value in row] for row in body]
    columns = list(zip(heads, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_text = [_is_text(column[1:], [row[i] for row in body]) for i, column in enumerate(columns)]
    lines = []
    for line in (list(heads), *cells):
        parts = [
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(line, widths, is_text, strict=True)
        ]
        lines.append(indent + "  ".join(parts).rstrip())
    return "\n".join(lines)


def _is_text(cells: Sequence[str], values: Sequence[Any]) -> bool:
    """Whether a column stands left: it has strings, and not just shares."""
    strings = [text for text, value in zip(cells, values, strict=True) if isinstance(value, str)]
    return not values or any(not text.endswith(("%", "-")) for text in strings)


def cell(value: Any) -> str:
    """A value as a cell: integers with commas, shares as they come, nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e15 else f"{value:,.4g}"
    return shown(str(value))


def shown(text: str, longest: int = LONGEST) -> str:
    """A text in one line: what does not print is escaped, the end is cut off where it is long."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: longest + 1])
    return line if len(text) <= longest and len(line) <= longest else line[: longest - 3] + "..."


def share(part: float, whole: float) -> str:
    """
    >>> share(1, 8), share(0, 0), share(1, 300000)
    ('12.50 %', '-', '< 0.01 %')
    """
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.2f} %" if percent >= 0.005 or part == 0 else "< 0.01 %"


def place(file: str, line: int) -> str:
    return f"{file}:{line}"
