"""How many tokens each suffix of a text shares with the one before it in the suffix array.

By way of the text's order, Phi: Kärkkäinen, Manzini and Puglisi (2009, "Permuted Longest-Common-
Prefix Array"). If the suffix at place i shares h tokens with the one before it in the array, that
at place i + 1 shares h - 1 or more with its own. So, from place to place, only what is beyond is
compared; with h cut at a most, too: linear in the tokens.

Memory: the result, 1 or 2 bytes a token, as much again, and 4 for Phi.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types, void

from dolma_kit.kernels.unicode import LEAF

MOST_LENGTH = (1 << 16) - 1
Lengths = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
_SUFFIXES = types.Array(types.int32, 1, "C", readonly=True)
_KINDS = [
    (types.Array(token, 1, "C", readonly=True), length[::1])
    for token in (types.uint16, types.uint32)
    for length in (types.uint8, types.uint16)
]


@njit(
    [void(tokens, _SUFFIXES, types.int32[::1], out, out, types.int64) for tokens, out in _KINDS],
    **LEAF,
)
def _share(
    tokens: npt.NDArray[np.uint16] | npt.NDArray[np.uint32],
    suffixes: npt.NDArray[np.int32],
    before: npt.NDArray[np.int32],
    by_place: Lengths,
    out: Lengths,
    max_length: int,
) -> None:
    n = len(tokens)
    for i in range(n):
        before[suffixes[i]] = suffixes[i - 1] if i > 0 else -1
    shared = 0
    for place in range(n):
        other = before[place]
        if other < 0:
            shared = 0
        else:
            most = min(max_length, n - max(other, place))
            while shared < most and tokens[place + shared] == tokens[other + shared]:
                shared += 1
        by_place[place] = shared
        shared = max(shared - 1, 0)
    for i in range(n):
        out[i] = by_place[suffixes[i]]


def between_neighbours(
    tokens: npt.NDArray[np.uint16] | npt.NDArray[np.uint32],
    suffixes: npt.NDArray[np.int32],
    max_length: int,
) -> Lengths:
    """Of each suffix, the tokens shared with the one before in `suffixes`, at most `max_length`.

    `tokens` (n_tokens,) uint16 or uint32 and their suffix array (n_tokens,) int32 -> (n_tokens,)
    uint8, or uint16 if `max_length` is more than 255. The first suffix shares none.
    """
    if not 0 < max_length <= MOST_LENGTH:
        raise ValueError(f"max_length is {max_length}: it has to be from 1 to {MOST_LENGTH}")
    row: npt.NDArray[Any] = np.ascontiguousarray(tokens)
    out: npt.NDArray[Any] = np.empty(len(row), np.uint8 if max_length <= 255 else np.uint16)
    _share(row, suffixes, np.empty(len(row), np.int32), np.empty_like(out), out, max_length)
    return out
