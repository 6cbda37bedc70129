"""Upsampling by quality: better documents more often, the worst ones not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from dolma_kit.errors import ConfigError
from dolma_kit.mixing import Decision
from dolma_kit.registry import Upsampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.attributes import Columns
    from dolma_kit.documents import Batch


class Upsample(Upsampler, frozen=True, kw_only=True):
    """Take each group's documents by a curve that rises with the quantile of their score.

    Of a group whose documents lie in [0, 1] by quantile, weighed by tokens (or the budget's unit),
    the lowest `discard` are dropped; above, one at x is taken `C (x - discard) ** p` times. Both
    C and p follow from what the group has to give: the best document is taken `cap` times, unless
    that made p greater than `steepest`, which then is p. Documents of one score are taken alike.

    `score` and `group` are expressions in SQL over attributes and document, as in `keep`: a
    column's name, `span_max(...)`, `metadata->>'topic'`. What is asked of the stream (`budget`,
    `share`, or here `rate`, on average) is divided between groups by `shares`; groups without one
    divide the rest by their sizes. A document without a score is the lowest. Source: OLMo 3's
    report, 3.4.4 and A.2.4, where the curve has a factor exp(l (x - discard)) more, the cap is
    that of the best twentieth's mean, and topic, quality and shares come from their classifiers
    and small models.
    """

    id: ClassVar[str] = "upsample_v1"

    score: str
    group: str | None = None
    rate: Annotated[float, Meta(ge=0)] | None = None
    shares: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    cap: Annotated[float, Meta(gt=0, le=1000)] = 7.0
    discard: Annotated[float, Meta(ge=0, lt=1)] = 0.4
    steepest: Annotated[float, Meta(ge=0, le=100)] = 8.0

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self, order="deterministic"))  # shares are a dict

    @property
    def max_rate(self) -> float:
        return self.cap * (1 - self.discard)

    @property
    def max_copies(self) -> int:
        return math.ceil(self.cap)

    def decide(self, batch: Batch, columns: Columns) -> Decision:
        return Decision.keep_all(len(batch))  # how often is another question

    def group_rates(self, amounts: Mapping[str, int], rate: float) -> dict[str, float]:
        if unknown := [name for name in self.shares if not amounts.get(name)]:
            raise ConfigError(
                f"{self.id}: there is nothing of the group {unknown[0]!r} of shares; there is "
                f"{', '.join(map(repr, amounts)) or 'none'}"
            )
        total = rate * sum(amounts.values())
        given = sum(self.shares.values())
        others = sum(n for name, n in amounts.items() if name not in self.shares)
        if given > 1 + 1e-9 or (given < 1 - 1e-9 and not others):
            raise ConfigError(
                f"{self.id}: the shares add up to {given:g}"
                + ("" if others else ", and every group has one: have them add up to 1")
            )
        found = {}
        for name, amount in amounts.items():
            share = self.shares.get(name)
            wanted = total * (
                share if share is not None else max(0.0, 1 - given) * amount / max(others, 1)
            )
            found[name] = wanted / amount if amount else 0.0
            if found[name] > self.max_rate * (1 + 1e-9):
                raise ConfigError(
                    f"{self.id}: the group {name!r} would have to be taken {found[name]:.4g} times "
                    f"on average, and cap {self.cap:g} with discard {self.discard:g} gives at most "
                    f"{self.max_rate:.4g}"
                )
        return found

    def rates(self, amounts: NDArray[np.int64], rate: float) -> Any:
        total = amounts.sum()
        if not total or rate <= 0:
            return np.zeros(len(amounts))
        # The best is taken cap times where p + 1 = cap (1 - discard) / rate.
        power = min(max(self.max_rate / rate, 1.0), self.steepest + 1)
        edges = np.concatenate(([0], np.cumsum(amounts))) / total
        below = (np.maximum(edges - self.discard, 0) / (1 - self.discard)) ** power
        widths = amounts / total
        # of bins without any of the unit the curve is taken where they lie
        at = (np.maximum(edges[1:] - self.discard, 0) / (1 - self.discard)) ** (power - 1)
        at *= rate * power / (1 - self.discard) * (edges[1:] > self.discard)
        return np.where(widths > 0, rate * np.diff(below) / np.where(widths > 0, widths, 1), at)
