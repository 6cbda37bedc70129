"""Gopher's statistics of quality and repetition as the paper describes them.

Rae et al. 2021 (arXiv:2112.11446), appendix A.1.1 and table A1; where the paper leaves a choice,
`taggers.gopher.GopherV3` says what it is. Built as `gopher` is, by which Dolma's definitions are
computed: words, lines and paragraphs get dense ids (`interning`), n-grams are pairs of ids
(`ngrams`), so that time and memory are linear in the document. A line is compared from its first
to its last character that is not white space, a paragraph likewise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, njit, types, uint8, uint64

from dolma_kit.kernels import whitespace
from dolma_kit.kernels.interning import (
    I32,
    I64,
    MULTIPLIER,
    SMALLEST_TABLE,
    U64,
    find_or_add,
    hash_bytes,
    resize,
)
from dolma_kit.kernels.ngrams import measure_covering_ngrams
from dolma_kit.kernels.unicode import (
    BYTES,
    LEAF,
    OFFSETS,
    alphabetic_table,
    char_length,
    count_code_points,
    decode,
    has_bit,
    punctuation_table,
    space_length,
)

KEYS = (
    "character_count",
    "word_count",
    "mean_word_length",
    "symbol_to_word_ratio",
    "fraction_of_words_with_alpha_character",
    "required_word_count",
    "fraction_of_lines_starting_with_bullet_point",
    "fraction_of_lines_ending_with_ellipsis",
    "fraction_of_duplicate_lines",
    "fraction_of_characters_in_duplicate_lines",
    "fraction_of_duplicate_paragraphs",
    "fraction_of_characters_in_duplicate_paragraphs",
    *(f"fraction_of_characters_in_most_common_{n}grams" for n in range(2, 5)),
    *(f"fraction_of_characters_in_duplicate_{n}grams" for n in range(5, 11)),
)
REQUIRED = ("the", "be", "to", "of", "and", "that", "have", "with")
#: `*`, `-`, the en dash, bullets by Unicode's names, and shapes that stand for bullets
BULLETS = "*-–•‣⁃⁌⁍∙◘◦☙❥❧⦾⦿·▪▫■□▶▸►◀●○"

_THE, _BE, _TO, _OF = 0x746865, 0x6265, 0x746F, 0x6F66
_AND, _THAT, _HAVE, _WITH = 0x616E64, 0x74686174, 0x68617665, 0x77697468
_1 = np.uint64(1)
_MAX_BYTES = 2**31 - 2  # of one document: ids and positions are int32


@njit(int64(BYTES, int64, int64), **LEAF)
def count_characters(text: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """Code points in bytes `start` to `end` that are not white space."""
    n = 0
    for i in range(start, end):
        if (text[i] & 0xC0) != 0x80:
            n += space_length(text, i) == 0
    return n


_Described = types.UniTuple(int64, 4)  # type: ignore[no-untyped-call]


@njit(_Described(BYTES, BYTES, int64, int64), **LEAF)
def describe_word(
    text: npt.NDArray[np.uint8], alphabetic: npt.NDArray[np.uint8], start: int, end: int
) -> tuple[int, int, int, int]:
    """Of one word: code points, hash signs, ellipses (U+2026, each three full stops), 1 if it has
    a letter."""
    n_characters = n_hashes = n_ellipses = n_stops = has_letter = 0
    i = start
    while i < end:
        b = text[i]
        n_characters += 1
        if b < 0x80:
            n_hashes += b == 0x23
            if b == 0x2E:
                n_stops += 1
                n_ellipses += n_stops % 3 == 0
            else:
                n_stops = 0
            if uint8((b | 0x20) - 0x61) < 26:
                has_letter = 1
            i += 1
        else:
            n_stops = 0
            code_point = decode(text, i)
            if code_point == 0x2026:
                n_ellipses += 1
            elif has_letter == 0 and has_bit(alphabetic, code_point):
                has_letter = 1
            i += char_length(text, i)
    return n_characters, n_hashes, n_ellipses, has_letter


@njit(int64(BYTES, BYTES, int64, int64), **LEAF)
def required_word(
    text: npt.NDArray[np.uint8], punctuation: npt.NDArray[np.uint8], start: int, end: int
) -> int:
    """Which of REQUIRED a word is, as one bit, or 0; case and outer punctuation do not matter."""
    is_bare = uint8((text[start] | 0x20) - 0x61) < 26 and uint8((text[end - 1] | 0x20) - 0x61) < 26
    if is_bare and end - start > 4:
        return 0  # as most words
    while start < end and has_bit(punctuation, decode(text, start)):
        start += char_length(text, start)
    while start < end:
        last = end - 1
        while (text[last] & 0xC0) == 0x80:
            last -= 1
        if not has_bit(punctuation, decode(text, last)):
            break
        end = last
    if not 2 <= end - start <= 4:
        return 0
    key = 0
    for i in range(start, end):
        if uint8((text[i] | 0x20) - 0x61) >= 26:
            return 0
        key = key << 8 | int64(text[i] | 0x20)
    for k, word in enumerate((_THE, _BE, _TO, _OF, _AND, _THAT, _HAVE, _WITH)):
        if key == word:
            return 1 << k
    return 0


_Scanned = types.UniTuple(int64, 10)  # type: ignore[no-untyped-call]


@njit(
    _Scanned(BYTES, int64, int64, BYTES, I32, I32, U64, I64, I32, I32,
             I32, U64, I64, I32, I32, I32, U64, I64, I32, I32),
    **LEAF,
)  # fmt: skip
def scan_document(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    bullets: npt.NDArray[np.uint8],
    word_ids: npt.NDArray[np.int32],
    word_slots: npt.NDArray[np.int32],
    word_keys: npt.NDArray[np.uint64],
    word_starts: npt.NDArray[np.int64],
    word_sizes: npt.NDArray[np.int32],
    word_counts: npt.NDArray[np.int32],
    line_slots: npt.NDArray[np.int32],
    line_keys: npt.NDArray[np.uint64],
    line_starts: npt.NDArray[np.int64],
    line_sizes: npt.NDArray[np.int32],
    line_counts: npt.NDArray[np.int32],
    paragraph_slots: npt.NDArray[np.int32],
    paragraph_keys: npt.NDArray[np.uint64],
    paragraph_starts: npt.NDArray[np.int64],
    paragraph_sizes: npt.NDArray[np.int32],
    paragraph_counts: npt.NDArray[np.int32],
) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    """Split one document into words, lines and paragraphs and number the distinct ones in order.

    Returns words; distinct words; lines; those that begin with a bullet; those that end in an
    ellipsis; repeated lines and the characters in them; paragraphs; repeated ones and the
    characters in them.
    """
    n_words = n_distinct_words = n_lines = n_bullets = n_ellipses = 0
    n_distinct_lines = n_repeated_lines = n_line_characters = 0
    n_paragraphs = n_distinct_paragraphs = n_repeated_paragraphs = n_paragraph_characters = 0
    word_mask = resize(word_slots, SMALLEST_TABLE, 0, word_keys)
    line_mask = resize(line_slots, SMALLEST_TABLE, 0, line_keys)
    paragraph_mask = resize(paragraph_slots, SMALLEST_TABLE, 0, paragraph_keys)
    # From the first to behind the last word; negative where there is none yet.
    line_start = paragraph_start = -1
    last_end = start
    # Words enter a line's hash with their place, lines a paragraph's; and so that texts which
    # differ in nothing else may not all collide, white space that is no plain space.
    line_key = paragraph_key = space_key = uint64(0)
    i = start
    while True:
        if i == end or text[i] == 0x0A:
            if line_start >= 0:
                n_lines += 1
                n_bullets += has_bit(bullets, decode(text, line_start))
                if last_end - line_start >= 3:
                    b = text[last_end - 1]
                    if b == 0x2E:
                        n_ellipses += text[last_end - 2] == 0x2E and text[last_end - 3] == 0x2E
                    elif b == 0xA6:
                        n_ellipses += text[last_end - 2] == 0x80 and text[last_end - 3] == 0xE2
                line = find_or_add(
                    text, line_start, last_end, line_key, False, n_distinct_lines,
                    line_slots, line_mask, line_keys, line_starts, line_sizes, line_counts,
                )  # fmt: skip
                if line < n_distinct_lines:
                    n_repeated_lines += 1
                    n_line_characters += count_characters(text, line_start, last_end)
                else:
                    n_distinct_lines += 1
                    if 2 * n_distinct_lines > line_mask:
                        n_slots = 2 * (line_mask + 1)
                        line_mask = resize(line_slots, n_slots, n_distinct_lines, line_keys)
                if paragraph_start < 0:
                    paragraph_start = line_start
                place = uint64(line_start - paragraph_start) << uint64(32)
                paragraph_key = (paragraph_key ^ line_key ^ place) * MULTIPLIER
                paragraph_key ^= paragraph_key >> uint64(31)
            if paragraph_start >= 0 and (line_start < 0 or i == end):
                n_paragraphs += 1
                paragraph = find_or_add(
                    text, paragraph_start, last_end, paragraph_key, False, n_distinct_paragraphs,
                    paragraph_slots, paragraph_mask, paragraph_keys,
                    paragraph_starts, paragraph_sizes, paragraph_counts,
                )  # fmt: skip
                if paragraph < n_distinct_paragraphs:
                    n_repeated_paragraphs += 1
                    n_paragraph_characters += count_characters(text, paragraph_start, last_end)
                else:
                    n_distinct_paragraphs += 1
                    if 2 * n_distinct_paragraphs > paragraph_mask:
                        paragraph_mask = resize(
                            paragraph_slots, 2 * (paragraph_mask + 1),
                            n_distinct_paragraphs, paragraph_keys,
                        )  # fmt: skip
                paragraph_start = -1
                paragraph_key = uint64(0)
            if i == end:
                break
            space_key = (space_key ^ uint64(i - last_end) << uint64(8) ^ uint64(0x0A)) * MULTIPLIER
            i += 1
            line_start = -1
            line_key = uint64(0)
            continue
        space = space_length(text, i)
        if space > 0:
            if text[i] != 0x20:
                b = text[i + space - 1]
                space_key = (space_key ^ uint64(i - last_end) << uint64(8) ^ uint64(b)) * MULTIPLIER
            i += space
            continue
        word_start = i
        key = uint64(0)
        at, last = uint64(i), uint64(end)  # a signed index would be tested for negative ones
        while at < last:
            b = text[at]
            if (b <= 0x20 or 0xC2 <= b <= 0xE3) and space_length(text, int(int64(at))) > 0:
                break
            key = key << uint64(8) | uint64(b)
            at += _1
        i = int(int64(at))
        if i - word_start > 8:
            key = hash_bytes(text, word_start, i)
        if line_start < 0:
            line_start = word_start
            if paragraph_start >= 0:
                paragraph_key ^= space_key
        else:
            line_key ^= space_key
        space_key = uint64(0)
        line_key = (line_key ^ key ^ uint64(word_start - line_start) << uint64(32)) * MULTIPLIER
        line_key ^= line_key >> uint64(31)
        last_end = i
        word = find_or_add(
            text, word_start, i, key, True, n_distinct_words,
            word_slots, word_mask, word_keys, word_starts, word_sizes, word_counts,
        )  # fmt: skip
        if word == n_distinct_words:
            n_distinct_words += 1
            if 2 * n_distinct_words > word_mask:
                n_slots = 2 * (word_mask + 1)
                word_mask = resize(word_slots, n_slots, n_distinct_words, word_keys)
        word_ids[n_words] = word
        n_words += 1
    return (
        n_words, n_distinct_words, n_lines, n_bullets, n_ellipses, n_repeated_lines,
        n_line_characters, n_paragraphs, n_repeated_paragraphs, n_paragraph_characters,
    )  # fmt: skip


@njit(float64[:, ::1](BYTES, OFFSETS, BYTES, BYTES, BYTES), cache=True, nogil=True)
def _measure(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    alphabetic: npt.NDArray[np.uint8],
    punctuation: npt.NDArray[np.uint8],
    bullets: npt.NDArray[np.uint8],
) -> npt.NDArray[np.float64]:
    n_docs = len(offsets) - 1
    values = np.zeros((n_docs, 21))
    longest = 0
    for doc in range(n_docs):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    # Words are at least one byte and one space; so are lines, and paragraphs.
    n_most = longest // 2 + 2
    n_slots = 2 * SMALLEST_TABLE + 4 * n_most
    word_ids = np.empty(n_most, np.int32)
    places, grams = np.empty(n_most, np.int32), np.empty(n_most, np.int32)
    slots, keys = np.empty(n_slots, np.int32), np.empty(n_most, np.uint64)
    starts, sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    counts, lengths = np.empty(n_most, np.int32), np.empty(n_most, np.int32)
    line_slots, line_keys = np.empty(n_slots, np.int32), np.empty(n_most, np.uint64)
    line_starts, line_sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    line_counts = np.empty(n_most, np.int32)
    paragraph_slots, paragraph_keys = np.empty(n_slots, np.int32), np.empty(n_most, np.uint64)
    paragraph_starts, paragraph_sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    paragraph_counts = np.empty(n_most, np.int32)
    for doc in range(n_docs):
        start, end = offsets[doc], offsets[doc + 1]
        (
            n_words, n_distinct_words, n_lines, n_bullets, n_ellipses_at_end, n_repeated_lines,
            n_line_characters, n_paragraphs, n_repeated_paragraphs, n_paragraph_characters,
        ) = scan_document(
            text, start, end, bullets,
            word_ids, slots, keys, starts, sizes, counts,
            line_slots, line_keys, line_starts, line_sizes, line_counts,
            paragraph_slots, paragraph_keys, paragraph_starts, paragraph_sizes, paragraph_counts,
        )  # fmt: skip
        n_characters = n_hashes = n_ellipses = n_letter = required = 0
        for u in range(n_distinct_words):
            count = int64(counts[u])
            word_end = starts[u] + sizes[u]
            length, hashes, ellipses, has_letter = describe_word(
                text, alphabetic, starts[u], word_end
            )
            lengths[u] = length
            n_characters += count * length
            n_hashes += count * hashes
            n_ellipses += count * ellipses
            n_letter += count * has_letter
            if has_letter:
                required |= required_word(text, punctuation, starts[u], word_end)
        n_required = 0
        while required:
            n_required += required & 1
            required >>= 1
        row = values[doc]
        row[0] = count_code_points(text, start, end)
        row[1] = n_words
        row[2] = n_characters / max(n_words, 1)
        row[3] = max(n_hashes, n_ellipses) / max(n_words, 1)
        row[4] = n_letter / max(n_words, 1)
        row[5] = n_required
        row[6] = n_bullets / max(n_lines, 1)
        row[7] = n_ellipses_at_end / max(n_lines, 1)
        row[8] = n_repeated_lines / max(n_lines, 1)
        row[9] = n_line_characters / max(n_characters, 1)
        row[10] = n_repeated_paragraphs / max(n_paragraphs, 1)
        row[11] = n_paragraph_characters / max(n_characters, 1)
        # The tables of distinct words are not needed any more, but for counts and lengths; those
        # of the lines are free.
        measure_covering_ngrams(
            n_words, n_characters, word_ids, lengths, counts,
            slots, keys, line_counts, line_sizes, places, grams, row[12:],
        )  # fmt: skip
    return values


def measure(
    text_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The statistics of each document, not rounded, in the order of `KEYS`.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64 -> (n_docs, len(KEYS)) float64.
    Raises ValueError for a document of 2 GiB or more.
    """
    longest = int(np.diff(offsets).max(initial=0))
    if longest > _MAX_BYTES:
        raise ValueError(f"a document has {longest} bytes, the kernel takes {_MAX_BYTES}: split it")
    bullets = whitespace.table_of(BULLETS)
    return np.asarray(
        _measure(text_bytes, offsets, alphabetic_table(), punctuation_table(), bullets)
    )
