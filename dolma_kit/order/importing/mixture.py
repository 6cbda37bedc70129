"""Which part of which file a source mixture of OLMo-core takes.

As `SourceMixtureDatasetConfig.build` (olmo_core/data/source_mixture.py) has it:

Of R requested tokens a source gets int(R * ratio), over its P tokens the share `take`; of each of
its files ceil(tokens * take) are wanted, and where take is above 1, whole repeats of all its files
first. Wanted tokens are cut to instances; what R, rounded up to whole batches, lacks then is spread
evenly over files that have more, and the rest goes to those with the largest remainders, the last
of equal ones first (Hamilton's method). Instances are taken from the start of a file, in each of
its repeats; the sample that OLMo-core draws besides is not read by its loader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dolma_kit.errors import ConfigError


@dataclass(frozen=True)
class Source:
    """A source of a mixture, as its config names it."""

    name: str
    ratio: float
    paths: Sequence[str]
    max_repetition: float = 1.0
    max_fraction: float = 1.0


@dataclass(frozen=True)
class Taken:
    """A file in the order of the mixture, and how many of its tokens instances are made of."""

    path: str
    source: str
    tokens: int


def taken_of(
    sources: Sequence[Source],
    n_tokens: Mapping[str, int],
    *,
    requested_tokens: int,
    batch_tokens: int,
    sequence_length: int,
) -> list[Taken]:
    """The files of a mixture in its order; `n_tokens` by path.

    ConfigError for a source that has too few, as OLMo-core refuses it.
    """
    wanted: list[tuple[str, str, int, int]] = []  # path, source, tokens wanted, tokens there
    for source in sources:
        population = sum(n_tokens[path] for path in source.paths)
        needed = int(requested_tokens * source.ratio)
        most = int(population * source.max_fraction * source.max_repetition)
        if most < needed:
            raise ConfigError(
                f"mixture: source {source.name} is to give {needed} tokens, it has {most} "
                f"({population} x {source.max_fraction} x {source.max_repetition})"
            )
        for share in _shares(needed / population):
            for path in source.paths:
                there = n_tokens[path]
                wanted.append((path, source.name, math.ceil(there * share), there))
    batches = math.ceil(requested_tokens / batch_tokens)
    counts = _instances(wanted, batches * (batch_tokens // sequence_length), sequence_length)
    return [
        Taken(path, source, count * sequence_length)
        for (path, source, _, _), count in zip(wanted, counts, strict=True)
    ]


def _shares(take: float) -> list[float]:
    """Whole repeats, then what is left."""
    if take <= 1:
        return [take]
    shares = []
    while take > 0:
        shares.append(min(1.0, take))
        take -= shares[-1]
    return shares


def _instances(
    wanted: Sequence[tuple[str, str, int, int]], requested: int, sequence_length: int
) -> list[int]:
    """How many instances each file gives, of `requested` in all."""
    most = [there // sequence_length for _, _, _, there in wanted]
    counts = [
        min(tokens // sequence_length, limit)
        for (_, _, tokens, _), limit in zip(wanted, most, strict=True)
    ]
    remainders = [
        (tokens % sequence_length) / sequence_length if count < limit else 0.0
        for (_, _, tokens, _), count, limit in zip(wanted, counts, most, strict=True)
    ]
    lacking = requested - sum(counts)
    if lacking <= 0:
        return counts
    open_files = [i for i, limit in enumerate(most) if counts[i] < limit]
    if not open_files:
        return counts
    for i in open_files:
        counts[i] += min(lacking // len(open_files), most[i] - counts[i])
    lacking = requested - sum(counts)
    if lacking > 0:
        candidates = [(remainders[i], i) for i in open_files if counts[i] < most[i]]
        for _, i in sorted(candidates, reverse=True)[:lacking]:
            counts[i] += 1
    return counts
