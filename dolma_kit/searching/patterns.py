"""What text is looked for, as bytes that tokens may spell in any way.

A pattern is a sequence of characters, each with the byte strings that may stand for it: its own
UTF-8, and with `ignore_case` that of its other cases. A *state* is how much of it has been spelt:
the number of characters, and what remains of one that a token has cut, as (index, rest). Of a
state, `Walks` knows which tokens go on with the pattern and which end it, for a vocabulary.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.asking.vocabulary import Vocabulary

LONGEST = 1 << 16  # bytes of a pattern
_LAST_CASED = 0x1FFFF  # the planes beyond have no letters with cases

State = tuple[int, bytes]


class Pattern:
    """The alternatives of each character. ConfigError for nothing, or more than LONGEST bytes."""

    def __init__(self, data: bytes, *, ignore_case: bool = False) -> None:
        if not data:
            raise ConfigError("an empty phrase is everywhere: give some text")
        if len(data) > LONGEST:
            raise ConfigError(f"a phrase of {len(data):,} bytes: at most {LONGEST:,} can be found")
        self.data = data
        if ignore_case:
            # What is no UTF-8 has no case: those bytes stand for themselves.
            text = data.decode("utf-8", "surrogateescape")
            self.alternatives = [_cases(character) for character in text]
        else:
            self.alternatives = [(data[i : i + 1],) for i in range(len(data))]
        self._firsts = [frozenset(one[0] for one in found) for found in self.alternatives]
        self.is_exact = all(len(found) == 1 for found in self.alternatives)
        sizes = (len(found[0]) for found in self.alternatives)
        self._bytes_before = [0, *itertools.accumulate(sizes)]

    def first_bytes(self, state: State) -> frozenset[int]:
        """The bytes that may come next; none where the pattern is complete."""
        index, rest = state
        if rest:
            return frozenset(rest[:1])
        return self._firsts[index] if index < len(self._firsts) else frozenset()

    def after(self, state: State, byte: int) -> Iterator[State]:
        """The states that a byte leads to."""
        index, rest = state
        options = (rest,) if rest else self.alternatives[index] if index < len(self._firsts) else ()
        for option in options:
            if option[0] == byte:
                left = option[1:]
                # `index` counts a character that is cut as spelt, once it has begun.
                yield (index + (0 if rest else 1), left)

    def state_after(self, n_bytes: int) -> State:
        """The state after so many bytes, of a pattern without alternatives."""
        index = bisect.bisect_left(self._bytes_before, n_bytes)
        return index, self.data[n_bytes : self._bytes_before[index]]

    def is_complete(self, state: State) -> bool:
        return state == (len(self.alternatives), b"")


def _cases(character: str) -> tuple[bytes, ...]:
    """The UTF-8 of all characters that are this one in another case, itself among them."""
    found = _families().get(character, (character,))
    return tuple(sorted(one.encode("utf-8", "surrogateescape") for one in found))


@functools.cache
def _families() -> dict[str, tuple[str, ...]]:
    """Characters that are one letter in different cases: those that Python's upper, lower, title
    and folded case lead to from one another, as far as they are one character (ß and ẞ, not ss)."""
    owner: dict[str, str] = {}

    def root(one: str) -> str:
        while owner.setdefault(one, one) != one:
            one = owner[one]
        return one

    for number in range(_LAST_CASED + 1):
        one = chr(number)
        for other in (one.lower(), one.upper(), one.title(), one.casefold()):
            if other != one and len(other) == 1:
                owner[root(one)] = root(other)
    families: dict[str, list[str]] = {}
    for one in sorted(owner):
        families.setdefault(root(one), []).append(one)
    return {one: tuple(family) for family in families.values() for one in family}


class Steps(NamedTuple):
    """From a state: tokens that are spelt as a whole, each with the state after it, and those that
    end the pattern, at their own end or before it."""

    on: list[tuple[int, State]]
    last: list[int]


class Starts(NamedTuple):
    """First tokens of occurrences that begin inside them: `tokens` (n,) int64, and `offsets` (n,)
    int64, the bytes before the occurrence's begin."""

    tokens: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Spelling:
    """A vocabulary by its bytes, for any number of patterns."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.table = vocabulary.table
        self.offsets = vocabulary.offsets
        data = vocabulary.table.tobytes()
        bounds = vocabulary.offsets.tolist()
        self.contents = [data[a:b] for a, b in itertools.pairwise(bounds)]
        self.order = sorted(
            (i for i, content in enumerate(self.contents) if content),
            key=self.contents.__getitem__,
        )
        self.sorted = [self.contents[i] for i in self.order]
        self._data = data

    @functools.cached_property
    def _token_of_byte(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.contents)), np.diff(self.offsets))

    @functools.cached_property
    def _inner_places(self) -> list[NDArray[np.int64]]:
        """By byte: where in the table it stands, but for the first of a token."""
        table = np.asarray(self.table)[: int(self.offsets[-1])]
        inner = np.ones(len(table), np.bool_)
        inner[self.offsets[:-1][np.diff(self.offsets) > 0]] = False
        return [np.flatnonzero((table == byte) & inner) for byte in range(256)]

    def steps(self, pattern: Pattern, state: State) -> Steps:
        """What tokens may follow where a state is reached at a token's end."""
        found = Steps([], [])
        self._walk(pattern, frozenset((state,)), b"", 0, len(self.sorted), found)
        return found

    def _walk(
        self,
        pattern: Pattern,
        states: frozenset[State],
        prefix: bytes,
        low: int,
        high: int,
        found: Steps,
    ) -> None:
        """Go on from tokens [low, high) of the order, which begin with `prefix`, spelt so far."""
        if any(map(pattern.is_complete, states)):
            found.last.extend(self.order[low:high])
            return
        at = low
        while at < high and self.sorted[at] == prefix:
            if prefix:
                found.on.extend((self.order[at], state) for state in states)
            at += 1
        for byte in sorted({b for state in states for b in pattern.first_bytes(state)}):
            longer = prefix + bytes((byte,))
            first = bisect.bisect_left(self.sorted, longer, at, high)
            if first == high or not self.sorted[first].startswith(longer):
                continue
            end = high
            if byte < 255:
                end = bisect.bisect_left(self.sorted, prefix + bytes((byte + 1,)), first, high)
            after = frozenset(new for state in states for new in pattern.after(state, byte))
            self._walk(pattern, after, longer, first, end, found)

    def starts(self, pattern: Pattern) -> dict[State | None, Starts]:
        """The first tokens of occurrences that begin inside a token, by the state after them; None
        where the pattern ends in the token."""
        begins = sorted(pattern.first_bytes((0, b"")))
        places = np.concatenate([self._inner_places[byte] for byte in begins])
        if pattern.is_exact:
            return self._exact_starts(pattern, places)
        found: dict[State | None, list[int]] = {}
        ends = self.offsets[self._token_of_byte[places] + 1]
        for place, end in zip(places.tolist(), ends.tolist(), strict=True):
            states = frozenset(((0, b""),))
            for byte in self._data[place:end]:
                states = frozenset(new for state in states for new in pattern.after(state, byte))
                if any(map(pattern.is_complete, states)):
                    found.setdefault(None, []).append(place)
                    break
                if not states:
                    break
            else:
                for state in states:
                    found.setdefault(state, []).append(place)
        return {state: self._starts_at(np.array(some)) for state, some in found.items()}

    def _exact_starts(
        self, pattern: Pattern, places: NDArray[np.int64]
    ) -> dict[State | None, Starts]:
        """The same where each byte is known: all places at once, byte by byte."""
        table = np.asarray(self.table)
        ends = self.offsets[self._token_of_byte[places] + 1]
        found: dict[State | None, Starts] = {}
        for n in range(1, len(pattern.data) + 1):
            if not len(places):
                break
            at_end = ends == places + n
            if n == len(pattern.data):
                found[None] = self._starts_at(places)
                break
            if at_end.any():
                found[pattern.state_after(n)] = self._starts_at(places[at_end])
                places, ends = places[~at_end], ends[~at_end]
            goes_on = table[places + n] == pattern.data[n]
            places, ends = places[goes_on], ends[goes_on]
        return found

    def _starts_at(self, places: NDArray[np.int64]) -> Starts:
        tokens = self._token_of_byte[places]
        return Starts(tokens, places - self.offsets[tokens])
