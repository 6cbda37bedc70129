"""Rules of ad blockers against URLs: which rules can match by the words of a URL, and which do.

A URL is matched in lower case. Its words are runs of letters, digits and `%`, two bytes long or
more, of which the first 127 count (adblock-rust, utils.rs). Rules lie in buckets by the rarest of
their words; those without a word lie in bucket 0, which every URL looks into.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint64

from dolma_kit.kernels.interning import hash_bytes, slot_of
from dolma_kit.kernels.string_set import SLOTS, has, same
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

#: bits of what a rule asks for; the kernel does not decide OTHER rules but names them
AT_HOST, LEFT, RIGHT, WILD, WILD_HOST, OTHER = (1 << i for i in range(6))
#: bytes of a pattern that stand for `*`, for `^`, and for `^` at its end
ANY, SEPARATOR, SEPARATOR_OR_END = range(3)
MAX_WORDS = 127


class Index(NamedTuple):
    """Rules as arrays. Rule r has its host in `text` from `places[r, 0]` to `places[r, 1]` and its
    pattern from there to `places[r, 2]`; bucket b has rules `buckets[b]` to `buckets[b + 1]`;
    `slots` is a table of bucket numbers (0 where free), `keys[b]` the hash of the bucket's word."""

    text: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]  # (n_rules, 3)
    kinds: npt.NDArray[np.uint8]  # (n_rules,)
    buckets: npt.NDArray[np.int64]  # (n_buckets + 1,)
    keys: npt.NDArray[np.uint64]  # (n_buckets,)
    slots: npt.NDArray[np.int32]  # (a power of two,)


_PLACES = types.Array(types.int64, 2, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)
_INDEX = types.NamedTuple(  # type: ignore[no-untyped-call]
    (BYTES, _PLACES, BYTES, OFFSETS, _U64, _I32), Index
)
_Table = types.Tuple((types.uint64[::1], types.int32[::1]))  # type: ignore[no-untyped-call]


@njit(boolean(types.uint8), **LEAF)
def is_word_byte(byte: int) -> bool:
    """Part of a word; so are the bytes of all characters beyond ASCII."""
    return 97 <= byte | 32 <= 122 or 48 <= byte <= 57 or byte == 37 or byte >= 128


@njit(boolean(types.uint8), **LEAF)
def _is_separator(byte: int) -> bool:
    return not (is_word_byte(byte) or byte == 95 or byte == 46 or byte == 45)


@njit(int64(BYTES, int64, int64, BYTES, int64, int64), **LEAF)
def _find(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    word: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> int:
    """Where `word[first:last]` stands first in `text[start:end]`, -1 if it does not."""
    size = last - first
    for i in range(start, end - size + 1):
        k = 0
        while k < size and text[i + k] == word[first + k]:
            k += 1
        if k == size:
            return i
    return -1


@njit(boolean(BYTES, int64, int64, BYTES, int64, int64, boolean, boolean), **LEAF)
def _fits(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    pattern: npt.NDArray[np.uint8],
    first: int,
    last: int,
    from_start: bool,
    to_end: bool,
) -> bool:
    """Whether a pattern with wildcards fits `text[start:end]`, or (unless it is tied) a part.

    In time of the product of both lengths at most: after a mismatch only the last `*` moves on.
    """
    i, k = start, first
    star = -1 if from_start else first
    resume = start
    while True:
        if k == last:
            if not to_end or i == end:
                return True
        elif pattern[k] == 0:
            k += 1
            star, resume = k, i
            continue
        elif pattern[k] == 2 and i == end:
            return True  # it is the last of its pattern
        elif i < end and (
            _is_separator(text[i]) if pattern[k] == 1 or pattern[k] == 2 else pattern[k] == text[i]
        ):
            i += 1
            k += 1
            continue
        if star < 0 or resume >= end:
            return False
        resume += 1
        i, k = resume, star


@njit(int64(BYTES, int64, int64, int64, BYTES, int64, int64, boolean, boolean), **LEAF)
def _at_labels(
    url: npt.NDArray[np.uint8],
    start: int,
    end: int,
    resume: int,
    text: npt.NDArray[np.uint8],
    first: int,
    last: int,
    may_go_on: bool,
    anywhere: bool,
) -> int:
    """Where a rule's host begins in the host `url[start:end]`, in whole labels, from `resume` on.

    -1 if it does not. Only its first place counts, as in adblock-rust, unless `anywhere`.
    """
    size = last - first
    if size == 0:
        return start if resume == start else -1
    if size == end - start and resume == start:
        return start if _find(url, start, end, text, first, last) == start else -1
    at = _find(url, resume, end, text, first, last)
    while at >= 0:
        begins = at == start or text[first] == 46 or url[at - 1] == 46
        after = (at if anywhere else start) + size  # adblock-rust looks there wherever it is
        ends = may_go_on or at + size == end or text[last - 1] == 46 or url[after] == 46
        if begins and ends:
            return at
        at = _find(url, at + 1, end, text, first, last) if anywhere else -1
    return -1


@njit(boolean(BYTES, int64, int64, BYTES, int64, int64, types.uint8), **LEAF)
def _fits_plainly(
    url: npt.NDArray[np.uint8],
    begin: int,
    end: int,
    text: npt.NDArray[np.uint8],
    first: int,
    last: int,
    kind: int,
) -> bool:
    """Whether a rule's pattern fits `url[begin:end]`; an empty one does."""
    size = last - first
    left, right = kind & 2 != 0, kind & 4 != 0
    if size == 0:
        return True
    if kind & 8:
        return _fits(url, begin, end, text, first, last, left, right)
    if not left and not right:
        return _find(url, begin, end, text, first, last) >= 0
    if size > end - begin or (left and right and size != end - begin):
        return False
    return same(url, begin if left else end - size, text, first, size)


@njit(boolean(_INDEX, int64, BYTES, int64, int64, int64, int64, boolean), **LEAF)
def _matches(
    index: Index,
    rule: int,
    url: npt.NDArray[np.uint8],
    start: int,
    host: int,
    host_end: int,
    end: int,
    anywhere: bool,
) -> bool:
    """Whether a rule matches the URL `url[start:end]`."""
    kind = index.kinds[rule]
    name, pattern, last = index.places[rule, 0], index.places[rule, 1], index.places[rule, 2]
    if not kind & 1:
        return _fits_plainly(url, start, end, index.text, pattern, last, kind)
    n_host = pattern - name
    at = host - 1
    while True:
        at = _at_labels(
            url, host, host_end, at + 1, index.text, name, pattern, kind & 16 != 0, anywhere
        )
        if at < 0:
            return False
        begin = at + n_host
        if not anywhere:
            begin = _find(url, start, end, index.text, name, pattern) + n_host
        if kind & 4 and not kind & 2:
            if pattern == last:  # `||host^`
                if same(url, host_end - n_host, index.text, name, n_host):
                    return True
                if anywhere:
                    continue
                return False
            if not kind & 8:  # the end of the URL alone counts
                begin = start
        if _fits_plainly(url, begin, end, index.text, pattern, last, kind):
            return True
        if not anywhere:
            return False


@njit(_Table(BYTES, OFFSETS), cache=True, nogil=True)
def table_of(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """`keys` and `slots` for buckets 1, 2, ... of the words `text[offsets[b - 1]:offsets[b]]`."""
    n = len(offsets) - 1
    n_slots = 4
    while n_slots < 2 * n:
        n_slots *= 2
    keys = np.zeros(n + 1, np.uint64)
    slots = np.zeros(n_slots, np.int32)
    for bucket in range(1, n + 1):
        keys[bucket] = hash_bytes(text, offsets[bucket - 1], offsets[bucket])
        slot = slot_of(keys[bucket], n_slots - 1)
        while slots[slot] != 0:
            slot = (slot + 1) & (n_slots - 1)
        slots[slot] = bucket
    return keys, slots


@njit(int64(_INDEX, uint64), **LEAF)
def _bucket_of(index: Index, key: np.uint64) -> int:
    """The bucket of a word by its hash, 0 if it has none."""
    mask = len(index.slots) - 1
    slot = slot_of(key, mask)
    while index.slots[slot] != 0:
        bucket = int(index.slots[slot])
        if index.keys[bucket] == key:
            return bucket
        slot = (slot + 1) & mask
    return 0


@njit(
    int64(
        _INDEX,
        BYTES,
        _PLACES,
        boolean,
        types.boolean[::1],
        types.boolean[::1],
        types.int64[:, ::1],
    ),
    cache=True,
    nogil=True,
)
def find(
    index: Index,
    url: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    anywhere: bool,
    wanted: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
    pairs: npt.NDArray[np.int64],
) -> int:
    """Which URLs some rule matches: `found` (n,) bool, for those that are `wanted`.

    URL i has in `url` its start, the start and end of its host, its end: `places` (n, 4). Where
    no rule matches that the kernel can decide, (i, rule) of each OTHER rule that may goes into
    `pairs` (room, 2); returns how many there are, which may be more than there is room for.
    """
    n_pairs = 0
    words = np.empty(MAX_WORDS + 1, np.int64)
    for i in range(len(places)):
        if not wanted[i]:
            continue
        start, host, host_end, end = places[i, 0], places[i, 1], places[i, 2], places[i, 3]
        n_words = 1
        words[0] = 0
        k = start
        while k < end and n_words <= MAX_WORDS:
            if not is_word_byte(url[k]):
                k += 1
                continue
            first = k
            while k < end and is_word_byte(url[k]):
                k += 1
            if k - first > 1:
                words[n_words] = _bucket_of(index, hash_bytes(url, first, k))
                n_words += 1
        before = n_pairs
        for w in range(n_words):
            bucket = words[w]
            if found[i] or (bucket == 0 and w > 0):
                continue
            for rule in range(index.buckets[bucket], index.buckets[bucket + 1]):
                if index.kinds[rule] & 32:
                    if n_pairs < len(pairs):
                        pairs[n_pairs, 0], pairs[n_pairs, 1] = i, rule
                    n_pairs += 1
                elif _matches(index, rule, url, start, host, host_end, end, anywhere):
                    found[i] = True
                    break
        if found[i]:
            n_pairs = before
    return n_pairs


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def _is_first(url: npt.NDArray[np.uint8], start: int, end: int, at: int) -> bool:
    """Whether adblock-rust finds the end `url[at:end]` of a host in whole labels: it looks at the
    first place where that stands, and for the dot after it as far from the host's start."""
    first = _find(url, start, end, url, at, end)
    if first == at:
        return at == start or url[at - 1] == 46
    return bool((first == start or url[first - 1] == 46) and url[start + end - at] == 46)


@njit(
    types.boolean[::1](BYTES, OFFSETS, SLOTS, int64, BYTES, _PLACES, boolean),
    cache=True,
    nogil=True,
)
def find_hosts(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    longest: int,
    url: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    anywhere: bool,
) -> npt.NDArray[np.bool_]:
    """Which URLs a rule `||host^` matches, (n,) bool; the hosts of those rules are a StringSet.

    A host matches itself and those below it; unless `anywhere`, where adblock-rust finds it.
    """
    found = np.zeros(len(places), np.bool_)
    for i in range(len(places)):
        start, end = places[i, 1], places[i, 2]
        for at in range(max(start, end - longest), end):
            if at == start or url[at - 1] == 46:
                may_match = True
            else:  # the same may stand earlier, in whole labels
                may_match = False
                for k in range(start, end if not anywhere else start):
                    if k < at and (k == start or url[k - 1] == 46) and url[k] == url[at]:
                        may_match = True
                        break
            if (
                may_match
                and (anywhere or _is_first(url, start, end, at))
                and has(data, offsets, slots, url, at, end)
            ):
                found[i] = True
                break
    return found
