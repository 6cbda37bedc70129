"""What remembers n keys: bytes of each structure, and how often each takes a fresh key for known.

    blocked Bloom      one cache line a key
    classic Bloom      --classic: k positions anywhere in the array
    64-bit hashes      --fingerprints 64: 8 bytes a key in a table that is 0.8 full; rate n / 2^64
    128-bit hashes     --fingerprints 128: 16 bytes a key likewise; rate n / 2^128

A Bloom filter grows with log(1 / p), a set of hashes does not: from some rate on it is the smaller.
And as Bloom filters are given 64-bit hashes here, none errs less than a set of those.
"""

from __future__ import annotations

import math

import msgspec

from dolma_kit.deduplication import structures
from dolma_kit.errors import ConfigError

TOLERANCE = 1.1  # what equal hashes may add to the rate of a filter
#: each with the flag of `dedupe` that takes it
STRUCTURES = (
    ("blocked Bloom", "", structures.Blocked()),
    ("classic Bloom", "--classic", structures.Classic()),
    ("64-bit hashes", "--fingerprints 64", structures.Fingerprints(64)),
    ("128-bit hashes", "--fingerprints 128", structures.Fingerprints(128)),
)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One structure: bytes in all and a key, positions of a Bloom filter, its false-positive rate,
    and in how many partitions it has to be cut for the memory that was given."""

    structure: str
    flag: str  # of dedupe
    n_bytes: int
    bytes_per_key: float
    k: int | None
    fp_rate: float
    partitions: int


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """All structures; `smallest` is the name of the one that takes fewest bytes among those that
    keep to the rate that was asked for, `advice` what to take."""

    n_items: int
    fp_rate: float
    memory: int
    sizes: list[Size]
    smallest: str
    advice: str


def sizes(n_items: int, fp_rate: float, memory: int) -> Sizes:
    """What `n_items` distinct keys take at `fp_rate`, in partitions of at most `memory` bytes.

    >>> found = sizes(1_000_000_000, 1e-6, 2**40)
    >>> found.smallest, found.sizes[0].n_bytes, found.sizes[1].n_bytes
    ('classic Bloom', 4853099200, 3594409856)
    >>> sizes(1_000_000_000, 1e-12, 2**40).smallest  # two keys have one hash of 64 bits too often
    '128-bit hashes'
    """
    if n_items < 1 or memory < 1:
        what = f"{n_items} items" if n_items < 1 else f"{memory} bytes of memory"
        raise ConfigError(f"no size for {what}: the number is at least 1")
    found = []
    for name, flag, structure in STRUCTURES:
        geometry = structure.size_for(n_items, fp_rate)
        rate = structure.false_positive_rate(n_items, geometry) + structure.by_hash(n_items)
        found.append((name, flag, geometry, structure.keeps_keys, rate))
    made = [
        Size(
            structure=name,
            flag=flag,
            n_bytes=geometry.n_bytes,
            bytes_per_key=round(geometry.n_bytes / n_items, 3),
            k=None if keeps_keys else geometry.k,
            fp_rate=float(f"{rate:.3g}"),
            partitions=math.ceil(geometry.n_bytes / memory),
        )
        for name, flag, geometry, keeps_keys, rate in found
    ]
    good = [size for size in made if size.fp_rate <= fp_rate * TOLERANCE]
    smallest = min(good or made[-1:], key=lambda size: size.n_bytes)
    return Sizes(
        n_items=n_items,
        fp_rate=fp_rate,
        memory=memory,
        sizes=made,
        smallest=smallest.structure,
        advice=_advice(made, good, smallest, n_items, fp_rate),
    )


def _advice(
    made: list[Size], good: list[Size], smallest: Size, n_items: int, fp_rate: float
) -> str:
    """What to take, in a line."""
    default = made[0]
    if default not in good:
        why = f"a filter of {n_items:,} keys errs more than {fp_rate:g}, as 64-bit hashes meet"
        return f"take dedupe {smallest.flag}: {why}"
    saved = 1 - smallest.n_bytes / default.n_bytes
    if smallest is default:
        return "take dedupe as it is: the blocked filter is the smallest, and the fastest"
    return (
        f"take dedupe as it is, which is the fastest; {smallest.flag} takes {saved:.0%} less memory"
    )


def table(found: Sizes) -> str:
    """The sizes as text, a line each, and what they come to."""
    lines = [f"{'structure':16} {'bytes':>20} {'a key':>8} {'k':>4} {'fp rate':>10} "
             f"{'partitions':>10}"]  # fmt: skip
    for one in found.sizes:
        k = "" if one.k is None else str(one.k)
        lines.append(
            f"{one.structure:16} {one.n_bytes:20,} {one.bytes_per_key:8.3f} {k:>4} "
            f"{one.fp_rate:10.3g} {one.partitions:10,}"
        )
    lines.append(f"{found.n_items:,} keys at {found.fp_rate:g}, {found.memory:,} bytes of memory: "
                 f"{found.smallest} takes least")  # fmt: skip
    lines.append(found.advice)
    return "\n".join(lines)
