"""De-duplication in plain Python: what the kernels and the stage must give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

MASK = 2**64 - 1


def paragraphs(text: str, separator: str) -> list[tuple[str, int, int]]:
    """(paragraph, start, end) in code points; the span covers the separator that follows."""
    pieces = text.split(separator)
    if not pieces[-1]:
        pieces.pop()
    found, at = [], 0
    for piece in pieces:
        end = min(at + len(piece) + len(separator), len(text))
        found.append((piece, at, end))
        at = end
    return found


def takes_part(key: str, *, skip_empty: bool, min_length: int, min_words: int) -> bool:
    if skip_empty and not key.strip():
        return False
    return len(key) >= min_length and len(key.split()) >= min_words


def repeats(keys: Iterable[str]) -> list[bool]:
    """Which keys occurred before."""
    seen: set[str] = set()
    found = []
    for key in keys:
        found.append(key in seen)
        seen.add(key)
    return found


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def block_of(h: int, n_blocks: int) -> int:
    return h * n_blocks >> 64


def positions_of(h: int, k: int) -> list[int]:
    found = []
    for p in range(k):
        draw = mix(h + (p // 7 + 1) * 0x9E3779B97F4A7C15 & MASK)
        found.append(draw >> 9 * (p % 7) & 511)
    return found


@dataclass
class Filter:
    """The blocked filter as a set of (block, bit)."""

    n_blocks: int
    k: int
    bits: set[tuple[int, int]] = field(default_factory=set)

    def check_and_insert(self, h: int) -> bool:
        block = block_of(h, self.n_blocks)
        needed = {(block, position) for position in positions_of(h, self.k)}
        known = needed <= self.bits
        self.bits |= needed
        return known

    def words(self) -> list[list[int]]:
        rows = [[0] * 8 for _ in range(self.n_blocks)]
        for block, bit in self.bits:
            rows[block][bit // 64] |= 1 << bit % 64
        return rows
