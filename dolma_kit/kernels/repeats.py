"""Strings that stand four times or more in a row, as Dolma's pattern finds them.

The rule reproduced exactly is that of `repetitions_v1` in Dolma 1.2.1, the matches of

    (.+?)(\\s?\\1){3,}

from left to right: a unit within a line, the shortest that will do, and three or more copies of it,
each with or without one white space character in front. Its score is how often the unit is found
in the match. The pattern takes time quadratic in a line's length.

How it is fast and still exact: for each line and length of a unit, from short to long, every
`length`-th character is an anchor, so that a unit of that length holds one, wherever it begins.
Only where the anchor's character comes back at the distances that three copies can have are the
copies compared. This makes n / 1 + n / 2 + n / 3 + ... = O(n log n) anchors in a line of n
characters. Each place keeps the shortest unit that begins there, and is not looked at again; places
without one yet are found through links that skip the others, and are the anchors themselves where
they are fewer. So what repeats is cheap too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int32, int64, njit

from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS, char_length, decode

I32, I64 = int32[::1], int64[::1]
_PADDING = 4  # code points beyond a text's end that are looked at: none is a character
_COPIES = 4


class Repeats(NamedTuple):
    """Matches by document and place, all arrays (n_matches,) int64."""

    docs: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]  # code points of the document
    ends: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]  # how often the unit stands in the match


@njit(boolean(int64), **LEAF)
def is_space(code_point: int) -> bool:
    """`str.isspace`, which is the `\\s` of `re`; see `unicode.space_length`."""
    if code_point < 0x85:
        return 0x09 <= code_point <= 0x0D or 0x1C <= code_point <= 0x20
    if code_point < 0x1680:
        return code_point == 0x85 or code_point == 0xA0
    return (
        code_point == 0x1680
        or 0x2000 <= code_point <= 0x200A
        or code_point == 0x2028
        or code_point == 0x2029
        or code_point == 0x202F
        or code_point == 0x205F
        or code_point == 0x3000
    )


@njit(int64(BYTES, int64, int64, I32), **LEAF)
def decode_document(
    text: npt.NDArray[np.uint8], start: int, end: int, characters: npt.NDArray[np.int32]
) -> int:
    """The code points of bytes `start` to `end`, and some -1 after them; returns how many."""
    n = 0
    i = start
    while i < end:
        if text[i] < 0x80:
            characters[n] = text[i]
            i += 1
        else:
            characters[n] = decode(text, i)
            i += char_length(text, i)
        n += 1
    for k in range(_PADDING):
        characters[n + k] = -1
    return n


@njit(int64(I32, int64, int64), **LEAF)
def last_free(links: npt.NDArray[np.int32], place: int, start: int) -> int:
    """The last place at or before `place` that has no unit yet; `start - 1` if there is none.

    `links[i]` is i while place i is free, then some place before it.
    """
    found = place
    while found >= start and links[found] != found:
        found = int(links[found])
    while place > found and links[place] != found:
        following = int(links[place])
        links[place] = found
        place = following
    return found


@njit(int64(I32, I32, I32, int64, int64, int64, int64, int64, int64, int64), **LEAF)
def try_anchor(
    characters: npt.NDArray[np.int32],
    units: npt.NDArray[np.int32],
    links: npt.NDArray[np.int32],
    start: int,
    end: int,
    limit: int,
    length: int,
    anchor: int,
    free: int,
    n_ways: int,
) -> int:
    """Note units of `length` that hold the anchor, at free places; returns how many.

    The line is `start` to `end`, copies end by `limit`, `free` is the last free place before the
    anchor or at it. Of the 8 ways in which white space may part the four, the first `n_ways` are
    tried; the first is without any.
    """
    n_found = 0
    c, f = characters[anchor], characters[free]
    for gaps in range(n_ways):
        to_2 = length + (gaps & 1)
        to_3 = to_2 + length + (gaps >> 1 & 1)
        to_4 = to_3 + length + (gaps >> 2 & 1)
        if (
            free < start
            or anchor + to_4 >= limit
            or characters[anchor + to_2] != c
            or characters[anchor + to_3] != c
            or characters[anchor + to_4] != c
            or characters[free + to_2] != f
            or characters[free + to_3] != f
            or characters[free + to_4] != f
        ):
            continue
        # From a free place on mismatches are near: where all repeats, places are not free.
        high = free + 1
        highest = min(end, free + length, limit - to_4)
        while high < highest:
            c_high = characters[high]
            if (
                characters[high + to_2] != c_high
                or characters[high + to_3] != c_high
                or characters[high + to_4] != c_high
            ):
                break
            high += 1
        if high <= anchor:
            continue
        low = free
        lowest = max(start, anchor - length + 1)
        place = last_free(links, min(free, high - length), start)
        while place >= lowest:
            while low > place:
                c_low = characters[low - 1]
                if (
                    characters[low - 1 + to_2] != c_low
                    or characters[low - 1 + to_3] != c_low
                    or characters[low - 1 + to_4] != c_low
                ):
                    break
                low -= 1
            if low > place:
                break
            if (
                (gaps & 1 == 0 or is_space(characters[place + length]))
                and (gaps & 2 == 0 or is_space(characters[place + to_2 + length]))
                and (gaps & 4 == 0 or is_space(characters[place + to_3 + length]))
            ):
                units[place] = length
                links[place] = place - 1
                n_found += 1
            place = last_free(links, place - 1, start)
        free = last_free(links, free, start)
        if free <= anchor - length:
            break
        if free >= start:
            f = characters[free]
    return n_found


@njit(int64(I32, I32, I32, int64, int64, int64), **LEAF)
def find_units(
    characters: npt.NDArray[np.int32],
    units: npt.NDArray[np.int32],
    links: npt.NDArray[np.int32],
    start: int,
    end: int,
    limit: int,
) -> int:
    """The length of the shortest unit with three copies at each place of a line, 0 for none.

    The line is `start` to `end`, copies end by `limit`; sets `units[start:end]`. Returns at how
    many places there is one.
    """
    for i in range(start, end):
        units[i] = 0
        links[i] = i
    n_found = 0
    has_space = False
    for i in range(start, end):
        has_space |= is_space(characters[i])
    for length in range(1, min(end - start, (limit - start) // _COPIES) + 1):
        after = min(end, limit - 3 * length)  # where the first of four copies may end at most
        free = after - length
        if n_found > 0:
            free = last_free(links, free, start)
            if free < start:
                break
        if (end - start - n_found) * length < end - start:  # few are left: these are the anchors
            while free >= start:
                n_ways = 8 if has_space or free + 3 * length >= end else 1
                n_found += try_anchor(
                    characters, units, links, start, end, limit, length, free, free, n_ways
                )  # fmt: skip
                free = last_free(links, free - 1, start)
            continue
        for anchor in range(start + length - 1, after, length):
            c = characters[anchor]
            i, k = anchor + length, anchor + 2 * length
            n_ways = 8 if has_space or k + length >= end else 1
            if n_ways == 1:
                if characters[i] != c or characters[k] != c or characters[k + length] != c:
                    continue
            elif (characters[i] != c and characters[i + 1] != c) or (
                characters[k] != c and characters[k + 1] != c and characters[k + 2] != c
            ):
                continue
            free = anchor
            if n_found > 0:
                free = last_free(links, anchor, start)
                if free <= anchor - length or free < start:
                    continue
            n_found += try_anchor(
                characters, units, links, start, end, limit, length, anchor, free, n_ways
            )  # fmt: skip
    return n_found


@njit(boolean(I32, int64, int64, int64, int64), **LEAF)
def is_copy(
    characters: npt.NDArray[np.int32], unit: int, length: int, place: int, limit: int
) -> bool:
    """Whether the `length` characters at `unit` stand at `place` too, and end by `limit`."""
    k = 0
    if place + length <= limit:
        while k < length and characters[place + k] == characters[unit + k]:
            k += 1
    return k == length


@njit(int64(I32, int64, int64, int64, int64), **LEAF)
def next_copy(
    characters: npt.NDArray[np.int32], unit: int, length: int, place: int, limit: int
) -> int:
    """Where one more copy ends that follows `place`, after white space if possible; else -1."""
    if (
        place < limit
        and is_space(characters[place])
        and is_copy(characters, unit, length, place + 1, limit)
    ):
        return place + 1 + length
    if is_copy(characters, unit, length, place, limit):
        return place + length
    return -1


@njit(int64(I32, int64, int64, int64), **LEAF)
def first_copies(characters: npt.NDArray[np.int32], unit: int, length: int, limit: int) -> int:
    """Where the third copy ends, white space in front preferred to none, the first copy's first."""
    for without in range(8):
        place = unit + length
        for k in range(3):
            has_gap = without >> (2 - k) & 1 == 0
            if has_gap and (place >= limit or not is_space(characters[place])):
                place = -1
                break
            place += has_gap
            if not is_copy(characters, unit, length, place, limit):
                place = -1
                break
            place += length
        if place >= 0:
            return place
    return -1


@njit(int64(BYTES, OFFSETS, boolean, I32, I32, I32, I64), **LEAF)
def find_into(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    by_paragraph: bool,
    characters: npt.NDArray[np.int32],
    units: npt.NDArray[np.int32],
    links: npt.NDArray[np.int32],
    found: npt.NDArray[np.int64],
) -> int:
    """Write document, start, end, count of each match to `found`; returns how many numbers.

    The other arrays are scratch space for the longest document.
    """
    n = 0
    for doc in range(len(offsets) - 1):
        n_characters = decode_document(text, offsets[doc], offsets[doc + 1], characters)
        i = 0
        while i < n_characters:
            end = i
            while end < n_characters and characters[end] != 0x0A:
                end += 1
            limit = min(end + 1, n_characters) if by_paragraph else n_characters
            if find_units(characters, units, links, i, end, limit) == 0:
                i = end + 1
                continue
            while i < end:
                length = int64(units[i])
                if length == 0:
                    i += 1
                    continue
                place = first_copies(characters, i, length, limit)
                count = _COPIES
                while True:
                    following = next_copy(characters, i, length, place, limit)
                    if following < 0:
                        break
                    place = following
                    count += 1
                if length == 1:  # white space may itself be repeated, and stand in front of copies
                    count = 0
                    for k in range(i, place):
                        count += characters[k] == characters[i]
                found[n] = doc
                found[n + 1] = i
                found[n + 2] = place
                found[n + 3] = count
                n += 4
                i = place
            i += i == end  # the line break; a match may have gone beyond it
    return n


def find(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    *,
    by_paragraph: bool = False,
) -> Repeats:
    """All matches in each document, or in each of its paragraphs: lines with their line breaks.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64.
    """
    longest = int(np.diff(offsets).max(initial=0))
    characters = np.empty(longest + _PADDING, np.int32)
    units, links = np.empty(longest, np.int32), np.empty(longest, np.int32)
    found = np.empty(int(offsets[-1] - offsets[0]), np.int64)  # touched as far as it is filled
    n = find_into(text_bytes, offsets, by_paragraph, characters, units, links, found)
    return Repeats(*np.ascontiguousarray(found[:n].reshape(-1, 4).T))
