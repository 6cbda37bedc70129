"""Solving: the rates at which a mix's streams give what was asked for.

What each stream gives is settled in this order (all in the unit of the mix's budget):

1. a `rate` gives that many times the stream; a `budget` of the stream's own gives that;
2. a `share` gives that part of the mix's budget;
3. the others divide what is left by size ** (1 / temperature); one that would have to be taken
   more than its greatest rate gives that, and the others divide the rest anew.

Without a budget of the mix, the others are taken once. A stream's greatest rate is its `max_rate`
(or the mix's), or what its upsampling can give.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from dolma_kit import files
from dolma_kit.errors import ConfigError
from dolma_kit.ledger import Result
from dolma_kit.shares import surveys
from dolma_kit.shares.sampling import Sample, Solved, solved_path
from dolma_kit.shares.surveys import Size

if TYPE_CHECKING:
    from dolma_kit.registry import Upsampler

RATES = pa.schema([("group", pa.string()), ("bin", pa.uint32()), ("rate", pa.float64())])


@dataclass(frozen=True)
class Wish:
    """What is asked of a stream.

    `rate`, `budget` (unit, amount) and `share` as in its config, at most one of them; `upsampler`
    is its policy of that kind.
    """

    name: str
    surveys: tuple[str, ...]
    has_tokens: bool
    rate: float | None
    budget: tuple[str, int] | None
    share: float | None
    max_rate: float
    upsampler: Upsampler | None


@dataclass(frozen=True)
class SolveTask:
    """The unit of the phase `solving`: all streams, in their order, and the mix's budget."""

    wishes: tuple[Wish, ...]
    budget: tuple[str, int] | None
    temperature: float
    folder: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a stream: what its rules leave, and what is taken of that.

    `groups` says the same of each group of an upsampled stream.
    """

    rate: float
    available: Size
    taken: Size
    groups: dict[str, Planned] = {}


def solve(task: SolveTask) -> Result:
    """Write the rates; what they are expected to give is in the counts, `planned`."""
    tables = [surveys.merged(map(surveys.read, wish.surveys)) for wish in task.wishes]
    sizes = [
        surveys.size_of(table, wish.has_tokens)
        for table, wish in zip(tables, task.wishes, strict=True)
    ]
    rates = stream_rates(task.wishes, sizes, task.budget, task.temperature)
    planned: dict[str, Planned] = {}
    found: dict[str, Solved] = {}
    outputs = [solved_path(task.folder)]
    for wish, table, size, rate in zip(task.wishes, tables, sizes, rates, strict=True):
        if wish.upsampler is None:
            unit = wish.budget[0] if wish.budget else task.budget[0] if task.budget else None
            exact = wish.rate is not None or unit is None
            sample = Sample.at(rate) if exact else sample_of(table, str(unit), rate)
            found[wish.name] = Solved(sample=sample)
            taken = _taken(table, _expected_of_draws(table, sample), wish.has_tokens)
            planned[wish.name] = Planned(rate=sample.rate, available=size, taken=taken)
        else:
            path = os.path.join(task.folder, f"{wish.name}.curves")
            of_group = _upsampled(wish, table, _unit_of(wish, task.budget), rate)
            surveys.write(path, pa.concat_tables(t for t, _ in of_group.values()))
            outputs.append(path)
            found[wish.name] = Solved(curves=path)
            groups = {name: one for name, (_, one) in of_group.items()}
            planned[wish.name] = Planned(
                rate=rate, available=size, taken=_sum(groups, wish.has_tokens), groups=groups
            )
    with files.write_atomically(solved_path(task.folder), synced=False) as stream:
        stream.write(msgspec.json.encode(found, order="deterministic"))
    outputs.append(planned_path(task.folder))
    with files.write_atomically(outputs[-1], synced=False) as stream:
        stream.write(msgspec.json.encode(planned, order="deterministic"))
    return Result(outputs=outputs, counts={"planned": msgspec.to_builtins(planned)})


def planned_path(folder: str) -> str:
    """Where that lies which is expected of all streams, `Planned` by name."""
    return os.path.join(folder, "planned.json")


def read_planned(path: str) -> dict[str, Planned]:
    with open(path, "rb") as stream:
        return msgspec.json.decode(stream.read(), type=dict[str, Planned])


def stream_rates(
    wishes: Sequence[Wish],
    sizes: Sequence[Size],
    budget: tuple[str, int] | None,
    temperature: float,
) -> list[float]:
    """How often each stream is taken, as a ratio of what is taken to what there is of it.

    Raises ConfigError for what cannot be had, with what would be needed.
    """
    rates: list[float | None] = []
    for wish, size in zip(wishes, sizes, strict=True):
        rate: float | None = wish.rate
        if rate is None and wish.budget is not None:
            rate = _rate_for(wish, size, wish.budget[0], wish.budget[1])
        elif rate is None and wish.share is not None:
            assert budget is not None, "a plan refuses shares without a budget"
            rate = _rate_for(wish, size, budget[0], wish.share * budget[1])
        rates.append(rate)
    free = [i for i, rate in enumerate(rates) if rate is None]
    if budget is None:
        for i in free:
            own = wishes[i].upsampler
            rates[i] = 1.0 if own is None or own.rate is None else own.rate
    else:
        unit, amount = budget
        given = sum(r * s.of(unit) for r, s in zip(rates, sizes, strict=True) if r is not None)
        rest = amount - given
        if rest < -1e-6 * amount:
            raise ConfigError(
                f"budget: the streams' own rates, budgets and shares give {given:,.0f} {unit}, "
                f"more than the {amount:,} of the mix"
            )
        if not free and rest > 1e-6 * amount + 1:
            raise ConfigError(
                f"budget: the streams' rates, budgets and shares give {given:,.0f} {unit}, less "
                f"than the {amount:,} of the mix; let one stream have none of them, or have the "
                "shares add up to 1"
            )
        for i, rate in zip(
            free, _divided(wishes, sizes, free, unit, max(rest, 0), temperature), strict=True
        ):
            rates[i] = rate
    for wish, size, rate in zip(wishes, sizes, rates, strict=True):
        if wish.upsampler is not None and rate is not None and rate > wish.max_rate * (1 + 1e-9):
            raise ConfigError(
                f"stream {wish.name!r}: a rate of {rate:.4g} on average is more than its "
                f"upsampling can give, {wish.max_rate:.4g} of {size.documents:,} documents"
            )
    return [rate for rate in rates if rate is not None]


def _rate_for(wish: Wish, size: Size, unit: str, amount: float) -> float:
    there = size.of(unit)
    most = there * wish.max_rate
    if amount > most * (1 + 1e-9):
        if not there:
            raise ConfigError(
                f"stream {wish.name!r}: {amount:,.0f} {unit} are asked for, and its rules leave "
                "none"
            )
        raise ConfigError(
            f"stream {wish.name!r}: {amount:,.0f} {unit} are asked for, and its rules leave "
            f"{there:,}; that takes each {amount / there:.3f} times, and max_rate is "
            f"{wish.max_rate:g}"
        )
    return amount / there if there else 0.0


def _divided(
    wishes: Sequence[Wish],
    sizes: Sequence[Size],
    free: Sequence[int],
    unit: str,
    rest: float,
    temperature: float,
) -> list[float]:
    """The rates at which streams divide a rest by size ** (1 / temperature), none above its own
    greatest one."""
    there = np.array([sizes[i].of(unit) for i in free], np.float64)
    most = there * np.array([wishes[i].max_rate for i in free])
    if rest > most.sum() * (1 + 1e-9):
        names = ", ".join(wishes[i].name for i in free)
        raise ConfigError(
            f"budget: {rest:,.0f} {unit} are left for {names or 'no stream'}, which have "
            f"{there.sum():,.0f}, and {most.sum():,.0f} at their greatest rates; a greater "
            "max_rate repeats more"
        )
    weights = np.where(there > 0, np.power(there, 1 / temperature, where=there > 0,
                                           out=np.zeros_like(there)), 0)  # fmt: skip
    given = np.zeros(len(free))
    is_full = most <= 0
    while not is_full.all():
        left = rest - given[is_full].sum()
        parts = left * weights / weights[~is_full].sum()
        over = ~is_full & (parts > most)
        if not over.any():
            given[~is_full] = parts[~is_full]
            break
        given[over] = most[over]
        is_full |= over
    return [float(g / t) if t else 0.0 for g, t in zip(given, there, strict=True)]


def sample_of(table: pa.Table, unit: str, rate: float) -> Sample:
    """The sample that gives `rate` times a survey's total: its draws say up to where to take."""
    sizes = table.column(unit).to_numpy().astype(np.float64)
    bins = table.column("bin").to_numpy().astype(np.int64)
    total = sizes.sum()
    whole = int(rate)
    wanted = (rate - whole) * total
    if wanted <= 0 or total <= 0:
        return Sample(whole, 0)
    sums = np.cumsum(sizes)
    i = int(np.searchsorted(sums, wanted, "left"))
    if i == len(sums):  # rounding
        return Sample(whole + 1, 0)
    inside = (wanted - (sums[i] - sizes[i])) / sizes[i]
    width = 2 ** (64 - surveys.DRAW_BITS)
    return Sample(whole, min(int(bins[i]) * width + int(inside * width), 2**64))


def _expected_of_draws(table: pa.Table, sample: Sample) -> Any:
    """(n_rows,) float64: how often a document of each bin is expected to be taken."""
    bins = table.column("bin").to_numpy().astype(np.float64)
    place = sample.threshold / 2 ** (64 - surveys.DRAW_BITS)
    return sample.whole + np.clip(place - bins, 0, 1)


def _taken(table: pa.Table, rates: Any, has_tokens: bool) -> Size:
    totals = [round(float((table.column(u).to_numpy() * rates).sum())) for u in surveys.UNITS]
    return Size(totals[0], totals[1], totals[2] if has_tokens else None)


def _unit_of(wish: Wish, budget: tuple[str, int] | None) -> str:
    """The unit in which an upsampled stream is graded."""
    if wish.budget is not None:
        return wish.budget[0]
    if budget is not None:
        return budget[0]
    return "tokens" if wish.has_tokens else "bytes"


def _upsampled(
    wish: Wish, table: pa.Table, unit: str, rate: float
) -> dict[str, tuple[pa.Table, Planned]]:
    """Group -> its rates by bin, and what they are expected to give."""
    upsampler = wish.upsampler
    assert upsampler is not None
    names = np.asarray(table.column("group").to_pylist(), object)
    parts = {str(name): table.filter(pa.array(names == name)) for name in dict.fromkeys(names)}
    if not parts:
        nothing = Size(0, 0, 0 if wish.has_tokens else None)
        return {"": (RATES.empty_table(), Planned(rate=0.0, available=nothing, taken=nothing))}
    sizes = {name: surveys.size_of(part, wish.has_tokens) for name, part in parts.items()}
    amounts = {name: size.of(unit) for name, size in sizes.items()}
    try:
        group_rates = upsampler.group_rates(amounts, rate)
        found = {}
        for name, part in parts.items():
            graded = part.column(unit).to_numpy()
            rates = np.asarray(upsampler.rates(graded, group_rates[name]), np.float64)
            own = pa.table([part.column("group"), part.column("bin"), rates], schema=RATES)
            taken = _taken(part, rates, wish.has_tokens)
            plan = Planned(rate=group_rates[name], available=sizes[name], taken=taken)
            found[name] = (own, plan)
    except ConfigError as error:
        raise ConfigError(f"stream {wish.name!r}: {error}") from None
    return found


def _sum(groups: Mapping[str, Planned], has_tokens: bool) -> Size:
    total = Size(0, 0, 0 if has_tokens else None)
    for one in groups.values():
        total += one.taken
    return total
