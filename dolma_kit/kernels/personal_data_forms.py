"""Forms of personal data, tested in bytes: what has to hold where a datum stands.

The necessary conditions of `personal_data`, each a function of a place in the text that looks at a
bounded number of bytes. Digits are those of ASCII, full width, Arabic, Persian and Devanagari,
where it is not said that they are of ASCII.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, uint8

from dolma_kit.kernels.unicode import BYTES, LEAF

MAX_DOMAIN_BYTES = 255  # RFC 1035, section 2.3.4
MAX_IPV6_BYTES = 64  # an address and some colons around it
CUE_BYTES = 40  # how far before a number its cue may stand
MAX_NUMBER_BYTES = 48  # of a phone number or a card, separators included

_PLUS, _SPACE, _HYPHEN, _DOT = 0x2B, 0x20, 0x2D, 0x2E


@njit(boolean(uint8), **LEAF)
def is_alnum(b: int) -> bool:
    """Whether a byte is an ASCII letter or digit."""
    return bool(uint8((b | 0x20) - 0x61) < 26 or uint8(b - 0x30) < 10)


@njit(boolean(uint8), **LEAF)
def is_hex(b: int) -> bool:
    return bool(uint8((b | 0x20) - 0x61) < 6 or uint8(b - 0x30) < 10)


@njit(int64(BYTES, int64, int64), **LEAF)
def digit_length(text: npt.NDArray[np.uint8], i: int, end: int) -> int:
    """Bytes of the digit at byte `i`, 0 if there is none."""
    if i >= end:
        return 0
    b = text[i]
    if b < 0x80:
        return 1 if uint8(b - 0x30) < 10 else 0
    if b == 0xD9:
        return 2 if uint8(text[i + 1] - 0xA0) < 10 else 0
    if b == 0xDB:
        return 2 if uint8(text[i + 1] - 0xB0) < 10 else 0
    if b == 0xE0:
        return 3 if text[i + 1] == 0xA5 and uint8(text[i + 2] - 0xA6) < 10 else 0
    if b == 0xEF:
        return 3 if text[i + 1] == 0xBC and uint8(text[i + 2] - 0x90) < 10 else 0
    return 0


@njit(int64(BYTES, int64, int64), **LEAF)
def separator_length(text: npt.NDArray[np.uint8], i: int, end: int) -> int:
    """Bytes of what may stand between the groups of a phone number, 0 if it may not.

    Space, `-`, `.`, `/`, brackets; no-break and thin spaces, hyphens and dashes; the full-width
    forms of `-`, `(` and `)`.
    """
    if i >= end:
        return 0
    b = text[i]
    if b < 0x80:
        return 1 if b == _SPACE or b == 0x28 or b == 0x29 or 0x2D <= b <= 0x2F else 0
    if b == 0xC2:
        return 2 if text[i + 1] == 0xA0 else 0
    if b == 0xE2:
        last = text[i + 2]
        if text[i + 1] == 0x80:
            return 3 if 0x87 <= last <= 0x94 or last == 0xAF else 0
        return 3 if text[i + 1] == 0x88 and last == 0x92 else 0
    if b == 0xEF and text[i + 1] == 0xBC:
        last = text[i + 2]
        return 3 if last == 0x8D or last == 0x88 or last == 0x89 else 0
    return 0


@njit(int64(BYTES, int64, int64), **LEAF)
def run_end(text: npt.NDArray[np.uint8], i: int, end: int) -> int:
    """The byte after the row of digits that begins at byte `i`."""
    while True:
        n = digit_length(text, i, end)
        if n == 0:
            return i
        i += n


@njit(int64(BYTES, int64, int64), **LEAF)
def digits_of_number(text: npt.NDArray[np.uint8], i: int, end: int) -> int:
    """Digits of the number at byte `i`, separators allowed for, within MAX_NUMBER_BYTES."""
    stop = min(end, i + MAX_NUMBER_BYTES)
    n_digits = n_separators = 0
    while i < stop:
        n = digit_length(text, i, end)
        if n:
            n_digits += 1
            n_separators = 0
        else:
            n = separator_length(text, i, end)
            n_separators += 1
            if n == 0 or n_separators > 3:
                break
        i += n
    return n_digits


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def may_be_email_at(text: npt.NDArray[np.uint8], start: int, at: int, end: int) -> bool:
    """Whether the `@` at byte `at` has an end of a local part before it and a domain after it."""
    if at == start or at + 4 >= end:
        return False
    before, first = text[at - 1], text[at + 1]
    if not (
        is_alnum(before) or before >= 0x80 or before == 0x5F or before == 0x2D or before == _PLUS
    ):
        return False
    if not (is_alnum(first) or first >= 0x80):
        return False
    i, stop = at + 2, min(end, at + 1 + MAX_DOMAIN_BYTES)
    while i < stop:
        b = text[i]
        if b == _DOT:
            # A top-level domain begins with a letter; another script's takes two bytes or more.
            if i + 2 < end and (uint8((text[i + 1] | 0x20) - 0x61) < 26 or text[i + 1] >= 0x80):
                return True
        elif not (is_alnum(b) or b >= 0x80 or b == _HYPHEN):
            return False
        i += 1
    return False


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def may_be_ipv4_at(text: npt.NDArray[np.uint8], first: int, stop: int, end: int) -> bool:
    """Whether d.d.d.d begins with the ASCII digits at bytes `first` to `stop`."""
    i = stop
    if i - first > 3:
        return False
    for _ in range(3):
        if i >= end or text[i] != _DOT:
            return False
        i += 1
        group = i
        while i < end and i - group < 4 and uint8(text[i] - 0x30) < 10:
            i += 1
        if i == group or i - group > 3:
            return False
    return True


@njit(int64(BYTES, int64, int64, int64), **LEAF)
def ipv6_start(text: npt.NDArray[np.uint8], start: int, colon: int, end: int) -> int:
    """Where an IPv6 address may begin whose first colon is at byte `colon`; -1 for nowhere.

    What stands directly before the colon and is no group of hexadecimal digits, as in
    `addr:2001:db8::1`, is left out together with the colon.
    """
    first = colon
    while first > start and colon - first < 5 and is_hex(text[first - 1]):
        first -= 1
    is_word = first > start and (is_alnum(text[first - 1]) or text[first - 1] == 0x5F)
    if first > start and text[first - 1] == 0x3A and not is_word:
        return -1  # an earlier colon has been asked about this one
    if is_word or colon - first == 5:
        first = colon + 1
        if first + 1 < end and text[first] == 0x3A and text[first + 1] != 0x3A:
            return -1  # std::begin
    i, n_colons, has_double, has_digit = first, 0, False, False
    stop = min(end, first + MAX_IPV6_BYTES)
    while i < stop:
        b = text[i]
        if b == 0x3A:
            n_colons += 1
            has_double |= i + 1 < end and text[i + 1] == 0x3A
        elif uint8(b - 0x30) < 10:
            has_digit = True
        elif not (is_hex(b) or b == _DOT):
            break
        i += 1
    return first if has_digit and (n_colons >= 6 or has_double) else -1


@njit(boolean(int64, int64, int64), **LEAF)
def is_luhn(odd: int, even: int, n_digits: int) -> bool:
    """Luhn's test of 13 to 19 digits: `odd` is their sum with the first, third, ... doubled."""
    return 13 <= n_digits <= 19 and (even if n_digits & 1 else odd) % 10 == 0


@njit(boolean(BYTES, int64, int64), **LEAF)
def may_be_card_at(text: npt.NDArray[np.uint8], i: int, end: int) -> bool:
    """Whether a row or groups of 13 to 19 ASCII digits that pass Luhn's test begin at byte `i`.

    Groups have one separator of one kind between them; some may follow that are not the card's.
    Source: ISO/IEC 7812-1, annex B.
    """
    if uint8(text[i] - 0x32) > 7:
        return False  # no issuer of cards begins with 0 or 1, but airlines
    even = odd = n_digits = group = 0
    width = 0
    separator = i
    stop = min(end, i + MAX_NUMBER_BYTES)
    while i < stop:
        digit = int64(text[i]) - 0x30
        if 0 <= digit <= 9:
            doubled = 2 * digit - 9 if digit > 4 else 2 * digit
            if n_digits & 1:
                odd, even = odd + digit, even + doubled
            else:
                odd, even = odd + doubled, even + digit
            n_digits += 1
            group += 1
            i += 1
            continue
        if is_luhn(odd, even, n_digits):
            return True
        n = separator_length(text, i, end)
        if n == 0 or group < 4 or digit_length(text, i + n, end) != 1:
            return False
        if width == 0:
            if n_digits != 4:
                return False
            width, separator = n, i
        elif n != width or text[i] != text[separator] or text[i + n - 1] != text[separator + n - 1]:
            return False
        group = 0
        i += n
    return is_luhn(odd, even, n_digits)


@njit(boolean(BYTES, int64, int64, BYTES), **LEAF)
def may_be_iban_at(
    text: npt.NDArray[np.uint8], i: int, end: int, lengths: npt.NDArray[np.uint8]
) -> bool:
    """Whether an IBAN begins at byte `i`: its country's length, the remainder 1 by 97.

    Single spaces, no-break spaces or hyphens may stand between groups. Source: ISO 13616-1, 5 and
    6, and ISO/IEC 7064, MOD 97-10.
    """
    a, b = uint8((text[i] | 0x20) - 0x61), uint8((text[i + 1] | 0x20) - 0x61)
    if a > 25 or b > 25:
        return False
    length = int64(lengths[int64(a) * 26 + int64(b)])
    if length == 0:
        return False
    head = remainder = 0
    n_characters = 0
    while n_characters < length:
        if i >= end:
            return False
        c = text[i]
        if uint8(c - 0x30) < 10:
            value, factor = int64(c) - 0x30, 10
        elif uint8((c | 0x20) - 0x61) < 26:
            value, factor = int64(c | 0x20) - 0x61 + 10, 100
        else:
            n = separator_length(text, i, end)
            if n == 0 or n_characters < 4 or i + n >= end or not is_alnum(text[i + n]):
                return False
            i += n
            continue
        if n_characters < 4:
            head = head * factor + value
        else:
            remainder = (remainder * factor + value) % 97
        n_characters += 1
        i += 1
    # The country and the check digits go to the end: 2 letters of 2 digits each, and 2 digits.
    return (remainder * 1_000_000 + head) % 97 == 1


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def may_be_north_american_at(text: npt.NDArray[np.uint8], first: int, stop: int, end: int) -> bool:
    """Whether 3, 3 and 4 digits begin with the row at bytes `first` to `stop`, or 1 and those."""
    i, n_digits = first, 0
    while i < stop:
        i += digit_length(text, i, end)
        n_digits += 1
        if n_digits > 3:
            return False
    n_groups = 0
    if n_digits == 1:
        if text[first] != 0x31 and text[stop - 1] != 0x91:  # 1, plain or in full width
            return False
    elif n_digits == 3:
        n_groups = 1
    else:
        return False
    while n_groups < 2:
        n_separators = 0
        while n_separators < 4:
            n = separator_length(text, i, end)
            if n == 0:
                break
            n_separators += 1
            i += n
        n_digits = 0
        while n_digits < 8:
            n = digit_length(text, i, end)
            if n == 0:
                break
            n_digits += 1
            i += n
        if n_separators == 0 or n_separators > 3:
            return False
        if n_groups == 1 and n_digits == 7:
            return True
        if n_digits != 3:
            return False
        n_groups += 1
    n_separators = 0
    while n_separators < 3 and separator_length(text, i, end):
        i += separator_length(text, i, end)
        n_separators += 1
    for _ in range(4):
        n = digit_length(text, i, end)
        if n == 0:
            return False
        i += n
    return digit_length(text, i, end) == 0


@njit(boolean(BYTES, int64, int64, BYTES), **LEAF)
def has_cue_before(
    text: npt.NDArray[np.uint8], start: int, i: int, cues: npt.NDArray[np.uint8]
) -> bool:
    """Whether a word that begins as a cue stands in the same line before byte `i`.

    Words begin where no ASCII letter is before, or with a capital, as in `homePhone`.
    """
    least = max(start, i - CUE_BYTES)
    a = b = 0
    while i > least:
        i -= 1
        c = int64(text[i])
        if c == 0x0A:
            return False
        is_capital = 0x41 <= c <= 0x5A
        if is_capital:
            c |= 0x20
        # `a` and `b` are the two bytes after this one.
        key = (c * 961 + a * 31 + b) & 0xFFFF
        begins_word = is_capital or i == start or uint8((text[i - 1] | 0x20) - 0x61) > 25
        if begins_word and cues[key >> 3] >> uint8(key & 7) & 1:
            return True
        a, b = c, a
    return False


@njit(boolean(BYTES, int64, int64, int64, int64, BYTES), **LEAF)
def may_be_phone_at(
    text: npt.NDArray[np.uint8],
    start: int,
    first: int,
    stop: int,
    end: int,
    cues: npt.NDArray[np.uint8],
) -> bool:
    """Whether a phone number may begin with the row of digits at bytes `first` to `stop`."""
    before = text[first - 1] if first > start else uint8(0)
    is_wide_plus = (
        before == 0x8B
        and first - start >= 3
        and text[first - 2] == 0xBC
        and text[first - 3] == 0xEF
    )
    if before == _PLUS or is_wide_plus:
        return digits_of_number(text, first, end) >= 7
    if may_be_north_american_at(text, first, stop, end):
        return True
    # Not inside a number: its first row has been asked.
    is_after_separator = before in (_HYPHEN, _DOT, _SPACE)
    if is_after_separator and first - 2 >= start and uint8(text[first - 2] - 0x30) < 10:
        return False
    n_digits = digits_of_number(text, first, end)
    if n_digits < 7:
        return False
    if n_digits >= 9 and text[first] == 0x30:
        if text[first + 1] == 0x30:
            return True
        if text[first + 1] == 0x31 and text[first + 2] == 0x31 and stop - first == 3:
            return True
    if stop - first > 15:
        return False
    return has_cue_before(text, start, first, cues)
