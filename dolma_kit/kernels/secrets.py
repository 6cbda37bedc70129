"""Lines that may hold a secret which the library detect-secrets (1.4.0) would find.

Its 22 plugins are regular expressions, run one after the other on each line; nearly all lines
match none. A kernel sees that in the bytes: it gives the lines that meet a condition which some
plugin's match cannot do without (a test compares with the plugins). What is written small here is
the condition, not the rule; the plugins decide.

Most secrets are long rows of letters, digits, `_` and `-`: such a *run* is looked at when it ends.
Of what is not ASCII, digits count as digits, and four characters (U+0130, U+0131, U+017F, U+212A)
as i, s or k where case does not matter: a line with one of these is always given.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64, njit, uint8

from dolma_kit.kernels.secret_forms import (
    BREAK,
    EDGE,
    HIGH,
    IN_RUN,
    LETTER,
    NAMED,
    QUOTED,
    TOKEN,
    has_at,
    in_quotes,
    is_at,
    may_be_name,
    may_be_token,
)
from dolma_kit.kernels.unicode import BYTES, LEAF, space_length

_MIN_QUOTED = 9  # characters; hexadecimal strings need more than 3 bits of entropy
_ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def _actions() -> npt.NDArray[np.uint8]:
    table = np.full(256, EDGE, np.uint8)
    table[list(_ALPHABET)] = IN_RUN
    table[list(b"pPcCkKxXqJ")] = LETTER
    table[list(b"\n\v\f\r\x1c\x1d\x1e")] = BREAK
    table[0x80:] = HIGH
    return table


ACTIONS = _actions()
IN_BASE64 = np.isin(np.arange(256), list(_ALPHABET + b"+/\\=")).astype(np.uint8)


class Candidates(NamedTuple):
    """Lines that may hold a secret, in order."""

    docs: npt.NDArray[np.int64]  # (n_candidates,) document of each line
    lines: npt.NDArray[np.int64]  # (n_candidates,) its index in `text.splitlines()`
    kinds: npt.NDArray[np.uint8]  # (n_candidates,) QUOTED + NAMED + TOKEN


@njit(int64(BYTES, int64, int64, BYTES, BYTES, int64[::1], uint8[::1]), **LEAF)
def scan_document(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    actions: npt.NDArray[np.uint8],
    in_base64: npt.NDArray[np.uint8],
    lines: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
) -> int:
    """Note the candidates of one document in `lines` and `kinds`; returns how many there are."""
    n_lines = n_found = 0
    line = run = i = start
    quote = last_other = start - 1  # where the last quote is, and what can be in no secret
    kind = 0
    has_sign = has_address = False
    while i <= end:
        b = text[i] if i < end else uint8(0x0A)
        action = actions[b]
        if action == 0:
            i += 1
            continue
        if action == LETTER:
            if b == 0x4A:
                if is_at(text, i - 2, end, b"eyJ") and i - 2 >= line:
                    kind |= TOKEN
            elif b == 0x71:
                if is_at(text, i - 1, end, b"sq0csp-") and i > line:
                    kind |= TOKEN
            elif b | 0x20 == 0x78:
                if has_at(text, i, end, b"xox"):
                    kind |= TOKEN
            elif may_be_name(text, line, i, end):
                kind |= NAMED
            i += 1
            continue
        size = 1
        if action == HIGH:
            last_other = i
            if b == 0xC4 or b == 0xC5 or b == 0xE2:
                after = text[i + 1]
                if (
                    (b == 0xC4 and (after == 0xB0 or after == 0xB1))
                    or (b == 0xC5 and after == 0xBF)
                    or (b == 0xE2 and after == 0x84 and text[i + 2] == 0xAA)
                ):
                    kind = QUOTED | NAMED | TOKEN
                    has_sign = True
            if b < 0xC2 or b > 0xE3:
                i += 1
                continue
            size = space_length(text, i)
            if size == 0:
                i += 1
                continue
            is_break = b == 0xC2 and text[i + 1] == 0x85
            is_break |= b == 0xE2 and text[i + 1] == 0x80 and text[i + 2] in (0xA8, 0xA9)
            action = BREAK if is_break else EDGE
        if i > run and kind & TOKEN == 0 and may_be_token(text, line, run, i, end, actions):
            kind |= TOKEN
        if action == BREAK:
            if kind & NAMED and not has_sign:
                kind ^= NAMED
            if kind:
                lines[n_found] = n_lines
                kinds[n_found] = kind
                n_found += 1
            n_lines += 1
            if b == 0x0D and i + 1 < end and text[i + 1] == 0x0A:
                size = 2
            i += size
            line = run = i
            quote = last_other = i - 1
            kind = 0
            has_sign = has_address = False
            continue
        if b == 0x22 or b == 0x27:
            has_sign = True
            if last_other < quote and i - quote > _MIN_QUOTED:
                found = in_quotes(text, line, quote + 1, i)
                kind |= found if text[quote] == b else found & TOKEN
            quote = i
        elif b == 0x3A:
            has_sign = True
            last_other = i
            if is_at(text, i, end, b"://"):
                has_address = True
                if has_at(text, i + 3, end, b"hoo"):
                    kind |= TOKEN
            elif is_at(text, i, end, b":_authToken="):
                kind |= TOKEN
        else:
            has_sign |= b == 0x3D or b == 0x60
            if b == 0x40 and has_address:
                kind |= TOKEN
            if in_base64[b] == 0:
                last_other = i
        i += size
        run = i
    return n_found


def find_candidates(
    text_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> Candidates:
    """The lines of each document, those of `str.splitlines`, that may hold a secret.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64.
    """
    # One call a document: in a loop of its own, numba would compile the scan a second time.
    longest = int(np.diff(offsets).max(initial=0))
    lines, kinds = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.uint8)
    docs: list[int] = []
    found = [(lines[:0], kinds[:0])]
    bounds = offsets.tolist()
    for doc, (start, end) in enumerate(itertools.pairwise(bounds)):
        n = scan_document(text_bytes, start, end, ACTIONS, IN_BASE64, lines, kinds)
        if n:
            docs += [doc] * n
            found.append((lines[:n].copy(), kinds[:n].copy()))
    all_lines, all_kinds = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Candidates(np.array(docs, np.int64), all_lines, all_kinds)
