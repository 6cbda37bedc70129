"""What a run sees over its steps: tokens by source, and how many of them for the first time."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.order.asking.exposure import Exposure
from dolma_kit.reporting import figures
from dolma_kit.reporting.drawings.stacks import OTHERS, style
from dolma_kit.reporting.figures import INK, PAPER, SERIES, WIDTH, Key
from dolma_kit.reporting.numbers import count, number, percent, short


def exposure(name: str, title: str, seen: Sequence[Exposure], order: Sequence[str]) -> str:
    """To the left the shares of what was trained on up to a step, to the right tokens seen and
    different ones among them; `order` are sources, the last may be others."""
    steps = [one.step for one in seen]
    shares = [_shares(one, order) for one in seen]
    keys = [Key(figures.label(source, 24), *style(n, source)) for n, source in enumerate(order)]
    over = figures.KEY_LINE * len(figures.key_lines(keys, WIDTH - 0.55)) + 0.35
    height = over + 2.5
    with figures.settings():
        drawn = figures.blank(WIDTH, height)
        figures.draw_keys(drawn, keys, 0.55)
        axis = figures.axes(drawn, 0.55, 0.5, right=WIDTH - 4.35, top=over)
        xs = steps if len(steps) > 1 else [steps[0] - 0.5, steps[0] + 0.5]
        below = [0.0] * len(xs)
        for n, key in enumerate(keys):
            own = [row[n] for row in shares] if len(steps) > 1 else [shares[0][n]] * 2
            above = [a + b for a, b in zip(below, own, strict=True)]
            axis.fill_between(
                xs, below, above, facecolor=key.colour, hatch=key.hatch, edgecolor=PAPER,
                linewidth=0.8,
            )  # fmt: skip
            below = above
        axis.set_ylim(0, 1)
        axis.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axis.set_title("share of the tokens trained on", pad=6)
        lines = figures.axes(drawn, 5.15, 0.5, right=0.85, top=over)
        for words, values, colour, dashes, marker in (
            ("seen", [one.tokens for one in seen], SERIES[0], "-", "o"),
            ("different", [one.unique_tokens for one in seen], SERIES[1], (0, (4, 2)), "s"),
        ):
            lines.plot(
                steps,
                values,
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=4,
                clip_on=False,
            )
            others = seen[-1].unique_tokens if words == "seen" else seen[-1].tokens
            lift = 0.0 if abs(values[-1] - others) > 0.1 * seen[-1].tokens else (
                6 if words == "seen" else -6)  # fmt: skip
            lines.annotate(
                words, (steps[-1], values[-1]), xytext=(6, lift), textcoords="offset points",
                va="center", fontsize=figures.SMALL, color=INK, annotation_clip=False,
            )  # fmt: skip
        lines.axhline(seen[-1].available_tokens, color=figures.SOFT, linewidth=0.8, linestyle=":")
        lines.annotate(
            "all there are", (0, seen[-1].available_tokens), xycoords=("axes fraction", "data"),
            xytext=(3, 3), textcoords="offset points", fontsize=figures.SMALL, color=INK,
        )  # fmt: skip
        lines.set_ylim(0, max(seen[-1].tokens, seen[-1].available_tokens, 1) * 1.15)
        lines.yaxis.set_major_formatter(lambda value, _: short(value))
        lines.locator_params(axis="y", nbins=4)
        lines.set_title("tokens", pad=6)
        for one in (axis, lines):
            one.set_xlim(xs[0], xs[-1])
            one.locator_params(axis="x", nbins=5, integer=True)
            one.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            one.set_xlabel("step")
        last = seen[-1]
        told = (
            f"At step {count(last.step)}: {count(last.tokens)} tokens, "
            f"{count(last.unique_tokens)} different ones of {count(last.available_tokens)}, "
            f"{number(last.epochs)} epochs; "
            + ", ".join(
                f"{figures.label(source)} {percent(share)}"
                for source, share in zip(order, shares[-1], strict=True)
            )
        )
        return figures.svg(drawn, name, title, told)


def _shares(one: Exposure, order: Sequence[str]) -> list[float]:
    known = {source.source: source.share for source in one.sources}
    named = [known.get(source, 0.0) for source in order if source != OTHERS]
    return [*named, max(sum(known.values()) - sum(named), 0.0)] if OTHERS in order else named
