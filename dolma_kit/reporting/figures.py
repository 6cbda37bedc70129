"""Figures that are part of a page: drawn by matplotlib, inline SVG, in the page's own colours.

What is drawn has placeholders for colours, which become the page's variables (`var(--c0)`), so that
one SVG is right in light and in dark. Text stays text, in the page's font. What would clash between
two figures of a page is taken out or renamed, and the same numbers give the same bytes: no date, no
version, no random ids.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dolma_kit.markup import attribute
from dolma_kit.reporting.redaction import redacted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A colour that nobody draws with stands for each variable of the page.
INK, PAPER, CARD, LINE, SOFT, MARK = (f"#0d17{n:02x}" for n in range(6))
SERIES = tuple(f"#0d18{n:02x}" for n in range(8))
_NAMES = ("ink", "paper", "card", "line", "soft", "mark")
_VARIABLES = {
    **{f"#0d17{n:02x}": f"var(--{name})" for n, name in enumerate(_NAMES)},
    **{colour: f"var(--c{n})" for n, colour in enumerate(SERIES)},
}
#: beside colours, so that what differs does so without them, too
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "||||")

FONT = 10.0  # points; shown at no less than 90 %
SMALL = 9.5
POINTS_PER_INCH = 72
PIXELS_PER_POINT = 4 / 3
LEAST_SCALE = 0.95  # below it a figure is scrolled in its box
COLUMN = 0.56 * FONT / POINTS_PER_INCH  # inches that a letter takes
KEY_LINE = 0.25  # inches
MOST_TICKS = 7
WIDTH = 8.6  # inches of a figure over the whole column
_GONE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # what acts and is not seen


@functools.cache
def _settings() -> Any:
    return {
        "svg.fonttype": "none", "svg.hashsalt": "dolma-kit", "text.parse_math": False,
        "axes.formatter.use_mathtext": False, "axes.unicode_minus": True, "path.simplify": False,
        "font.size": FONT, "axes.titlesize": FONT, "axes.labelsize": FONT,
        "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.fontsize": SMALL,
        "axes.titlelocation": "left", "axes.titleweight": "bold",
        "text.color": INK, "axes.labelcolor": SOFT, "axes.titlecolor": INK,
        "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": SOFT, "ytick.labelcolor": INK,
        "axes.edgecolor": LINE, "axes.facecolor": "none", "figure.facecolor": "none",
        "patch.edgecolor": PAPER, "hatch.color": PAPER, "grid.color": LINE, "grid.linewidth": 0.6,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "hatch.linewidth": 0.7, "lines.linewidth": 1.4, "legend.frameon": False,
    }  # fmt: skip


def settings() -> Any:
    """The context that everything of a figure is made in, its saving included.

    Letters that matplotlib's own font lacks are drawn by the reader's, so it need not warn.
    """
    import matplotlib

    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore", UserWarning)
    stack.enter_context(matplotlib.rc_context(_settings()))
    return stack


def blank(width: float, height: float) -> Figure:
    """An empty figure, in inches of the page; to be made and filled within `settings`."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure


def axes(figure: Figure, left: float, bottom: float, right: float = 0.1, top: float = 0.1) -> Axes:
    """Axes over all of a figure but margins in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width,
         (height - bottom - top) / height)
    )  # fmt: skip


def columns(text: str) -> int:
    """How wide a text is, in letters.

    >>> columns("abc"), columns("中文")
    (3, 4)
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def label(text: str, most: int = 26, *, tail: int = 0, empty: str = "(no name)") -> str:
    """A text of a corpus as a label: short, on one line, of nothing but what is seen, personal data
    masked. Of one that is too long `tail` letters of the end stay.

    >>> label("a\\x00b\\u202e\\n c"), label("x" * 30, 8), label("length >= 50", 9, tail=5)
    ('ab c', 'xxxxxxx…', 'len…>= 50')
    >>> label("")
    '(no name)'
    """
    head = text[: 8 * most]
    seen = "".join(" " if c in "\t\n\r" else c for c in head if _is_seen(c))
    seen = redacted(" ".join(seen.split()))
    if not seen:
        return empty
    if columns(seen) <= most and len(text) <= 8 * most:
        return seen
    end = seen[len(seen) - tail :]
    kept, wide = "", columns(end)
    for c in seen:
        wide += columns(c)
        if wide >= most:
            break
        kept += c
    return f"{kept}…{end}"


def _is_seen(c: str) -> bool:
    # Combining marks may be heaped up without end; a label can do without.
    category = unicodedata.category(c)
    return c in "\t\n\r" or (category not in _GONE and category != "Me")


def margin(labels: Sequence[str], least: float = 0.3) -> float:
    """The inches that labels beside an axis take."""
    return max((columns(one) for one in labels), default=0) * COLUMN + least


class Key(NamedTuple):
    """What a colour and a hatch stand for."""

    label: str
    colour: str
    hatch: str = ""


def key_lines(keys: Sequence[Key], width: float) -> list[list[Key]]:
    """Keys in lines of some inches."""
    lines: list[list[Key]] = [[]]
    used = 0.0
    for key in keys:
        wide = key_width(key)
        if used + wide > width and lines[-1]:
            lines.append([])
            used = 0.0
        lines[-1].append(key)
        used += wide
    return lines


def key_width(key: Key) -> float:
    """Inches."""
    return 0.5 + columns(key.label) * COLUMN


def draw_keys(figure: Figure, keys: Sequence[Key], left: float) -> None:
    """The keys of a figure over its top; `KEY_LINE` inches for each line of them."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    for row, line in enumerate(key_lines(keys, width - left)):
        x, y = left, height - KEY_LINE * (row + 0.7)
        for key in line:
            figure.add_artist(
                Rectangle(
                    (x / width, y / height), 0.24 / width, 0.13 / height, facecolor=key.colour,
                    hatch=key.hatch, edgecolor=PAPER, linewidth=0.5, transform=figure.transFigure,
                )
            )  # fmt: skip
            figure.text(
                (x + 0.3) / width, (y + 0.065) / height, key.label, fontsize=SMALL, va="center",
                color=INK,
            )  # fmt: skip
            x += key_width(key)


def log_axis(axis: Any, low: float, high: float, words: Callable[[float], str]) -> None:
    """Make the logarithmic x or y axis (`axes.xaxis`) one of few and readable ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / MOST_TICKS))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [s * 10.0**e for e in range(first, last + 1, every) for s in steps]
    axis.set_major_locator(FixedLocator([one for one in ticks if low <= one <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    # Else matplotlib would label these by formulas of its own.
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as SVG for a page; `name` is one that no other figure of the page has. What it
    shows is told in words, by `title` and `description`."""
    buffer = io.StringIO()
    # By matplotlib's own hand a date and its version would stand here.
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for pattern in (r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style.*?</style>"):
        drawn = re.sub(pattern, "", drawn, flags=re.DOTALL)
    body = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", body))
    # Texts are left alone: their `<` and `>` are escaped, so that no tag begins within them.
    body = re.sub(r"<[^>]*>", lambda tag: _ours(tag[0], used, name), body)
    body = re.sub(r">\s+<", "><", body.strip())
    body = re.sub(r"<defs></defs>|<g></g>", "", body)
    width, height = (POINTS_PER_INCH * inches for inches in figure.get_size_inches())
    return framed(body, name, title, description, width=width, height=height)


def _ours(tag: str, used: set[str], name: str) -> str:
    """A tag with ids that are the figure's own, or none, and the page's colours."""
    tag = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", tag)
    tag = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', tag)
    tag = re.sub(r' fill="(#0d1[78][0-9a-f]{2})"', r' style="fill: \1"', tag)
    tag = re.sub(r"#0d1[78][0-9a-f]{2}", lambda m: _VARIABLES[m[0]], tag)
    tag = re.sub(r"font-family: [^;\"]*(?:; )?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    tag = re.sub(r"(?<=\d)\.(\d\d)\d+", r".\1", tag)
    return re.sub(r"\s*\n\s*", " ", tag)


def framed(
    body: str, name: str, title: str, description: str, *, width: float, height: float
) -> str:
    """SVG of some points as a picture in a box of its own, with its name and what it shows, which
    are masked once more."""
    title, description = redacted(title), redacted(description)
    shown = width * PIXELS_PER_POINT
    return (
        f'<div class=drawn tabindex=0 role=region aria-label="{attribute(title)}">'
        f'<svg viewBox="0 0 {width:g} {height:g}" role=img '
        f'aria-labelledby="{name}-title {name}-desc" '
        f'style="max-width:{shown:.0f}px;min-width:{shown * LEAST_SCALE:.0f}px">'
        f'<title id="{name}-title">{attribute(title)}</title>'
        f'<desc id="{name}-desc">{attribute(description)}</desc>{body}</svg></div>'
    )


def figure_of(drawn: str, caption: str) -> str:
    """A drawn figure with its caption, HTML both."""
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"
