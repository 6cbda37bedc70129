"""The comments of Python source, as the module tokenize of Python 3.11 finds them.

That module goes by lines and regular expressions and takes nearly any text. Where it fails there
are no comments: for a string in three quotes that is not closed, a statement that is not ended (an
open bracket, a bracket too many, a `\\` before the end), a line that is indented less than the one
before but like none. The tokenizer of later Pythons is another. It takes time quadratic in a row of
spaces before a character that begins no token; this does not.

What matters to comments is little: quotes, brackets, `\\` at the end of a line, and indentation.
A string whose quote is not closed in its line is none, and what comes after the quote is code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8

from dolma_kit.kernels.unicode import BYTES, LEAF

_NEWLINE, _RETURN, _HASH, _BACKSLASH = 0x0A, 0x0D, 0x23, 0x5C
_UNCLOSED, _CONTINUED = -1, -2
_TAB = 8


class Comments(NamedTuple):
    """Comments of each document, and whether it may have docstrings."""

    #: (n_bytes,) uint8: the comments of all documents one after the other, without `#`
    text: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]  # (n_docs + 1,): where each document's begin in it
    may_have_docstrings: npt.NDArray[np.bool_]  # (n_docs,)


@njit(int64(BYTES, int64, int64, int64, int64, boolean), **LEAF)
def string_end(
    text: npt.NDArray[np.uint8], i: int, end: int, quote: int, n_quotes: int, opened_here: bool
) -> int:
    """The byte after a string whose inside begins at byte `i` of a line that ends at `end`.

    _UNCLOSED where it is not closed in the line; _CONTINUED where, in one quote and on the line on
    which it was opened, a backslash ends the line.
    """
    while i < end:
        b = text[i]
        if b == _BACKSLASH:
            if i + 1 < end and text[i + 1] != _NEWLINE:
                is_break = text[i + 1] == _RETURN and i + 2 < end and text[i + 2] == _NEWLINE
                if not (is_break and opened_here and n_quotes == 1):
                    i += 2
                    continue
            elif i + 1 == end:
                return _UNCLOSED
            return _CONTINUED if opened_here and n_quotes == 1 else _UNCLOSED
        if b == quote:
            if n_quotes == 1:
                return i + 1
            if i + 2 < end and text[i + 1] == quote and text[i + 2] == quote:
                return i + 3
        elif b == _NEWLINE and opened_here and n_quotes == 1:
            return _UNCLOSED
        i += 1
    return _UNCLOSED


@njit(int64(BYTES, int64, int64, uint8[::1], int64), **LEAF)
def append_comment(
    text: npt.NDArray[np.uint8],
    i: int,
    end: int,
    out: npt.NDArray[np.uint8],
    n_out: int,
) -> int:
    """Append bytes `i` to `end` without `#`; returns how many bytes there are by then."""
    for b in text[i:end]:
        if b != _HASH:
            out[n_out] = b
            n_out += 1
    return n_out


@njit(
    types.Tuple((int64, boolean))(  # type: ignore[no-untyped-call]
        BYTES, int64, int64, int64[::1], uint8[::1], int64
    ),
    **LEAF,
)
def scan_document(
    text: npt.NDArray[np.uint8],
    i: int,
    text_end: int,
    indents: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
    n_before: int,
) -> tuple[int, bool]:
    """Append one document's comments; returns bytes by then, and whether it may have docstrings."""
    n_out = n_before
    n_open = 0  # brackets
    is_continued = may_have_docstrings = False
    quote = n_quotes = 0  # of the string that we are in
    # Lines of the string have to end in a backslash. The module forgets to take that back when a
    # line does not, and so it holds for the next string over several lines, too.
    needs_backslash = False
    n_indents = 0
    indents[0] = 0
    at_start = False  # of a statement, but for a bracket or the prefix of a string
    while True:
        line_end = i
        while line_end < text_end and text[line_end] != _NEWLINE:
            line_end += 1
        end = line_end + 1 if line_end < text_end else text_end
        if quote != 0:
            if i == text_end:
                return n_before, may_have_docstrings
            after = string_end(text, i, end, quote, n_quotes, False)
            if after < 0:
                ends_in_backslash = (
                    end - i >= 2 and text[end - 1] == _NEWLINE and text[end - 2] == _BACKSLASH
                ) or (
                    end - i >= 3
                    and text[end - 1] == _NEWLINE
                    and text[end - 2] == _RETURN
                    and text[end - 3] == _BACKSLASH
                )
                if needs_backslash and not ends_in_backslash:
                    quote = 0
                i = end
                continue
            quote = 0
            needs_backslash = False
            i = after
        elif n_open == 0 and not is_continued:
            if i == text_end:
                break
            column = 0
            while i < end:
                b = text[i]
                if b == 0x20:
                    column += 1
                elif b == 0x09:
                    column = (column // _TAB + 1) * _TAB
                elif b == 0x0C:
                    column = 0
                else:
                    break
                i += 1
            if i == end:
                break
            if text[i] == _HASH:
                last = line_end
                while text[last - 1] == _RETURN:
                    last -= 1
                n_out = append_comment(text, i, last, out, n_out)
                i = end
                continue
            if text[i] == _NEWLINE or text[i] == _RETURN:
                i = end
                continue
            if column > indents[n_indents]:
                n_indents += 1
                indents[n_indents] = column
            while column < indents[n_indents]:
                n_indents -= 1
            if column != indents[n_indents]:
                return n_before, may_have_docstrings
            at_start = True
        else:
            if i == text_end:
                return n_before, may_have_docstrings
            is_continued = False
        unclosed = 0  # the quotes that are known not to be closed in this line
        while i < end:
            b = text[i]
            if b == 32 or b == 9 or b == 12 or b in (_NEWLINE, _RETURN):
                i += 1
            elif b == _HASH:
                last = i
                while last < end and text[last] != _NEWLINE and text[last] != _RETURN:
                    last += 1
                n_out = append_comment(text, i, last, out, n_out)
                i = last
            elif b == _BACKSLASH:
                i += 1
                is_continued |= i < end and text[i] == _NEWLINE
                is_continued |= i + 1 < end and text[i] == _RETURN and text[i + 1] == _NEWLINE
            elif b == 0x22 or b == 0x27:
                n_quotes = 1
                if i + 2 < end and text[i + 1] == b and text[i + 2] == b:
                    n_quotes = 3
                bit = 1 if b == 0x22 else 2
                # A later quote of this line, once one is not closed, was escaped to that one.
                after = _UNCLOSED
                if n_quotes == 3 or unclosed & bit == 0:
                    after = string_end(text, i + n_quotes, end, b, n_quotes, True)
                if n_quotes == 1 and after == _UNCLOSED:
                    unclosed |= bit
                    i += 1
                    at_start = False
                    continue
                may_have_docstrings |= at_start
                at_start = False
                if after < 0:
                    quote = int64(b)
                    needs_backslash |= n_quotes == 1
                    i = end
                else:
                    i = after
            else:
                if b == 0x28 or b == 0x5B or b == 0x7B:
                    n_open += 1
                    at_start &= b == 0x28
                elif b == 0x29 or b == 0x5D or b == 0x7D:
                    n_open -= 1
                    at_start = False
                elif b == 0x3A or b == 0x3B:
                    at_start = n_open == 0
                elif b | 0x20 != 0x72 and b | 0x20 != 0x75:
                    at_start = False
                i += 1
    return n_out, may_have_docstrings


def find(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> Comments:
    """The comments of documents, which are bytes `starts` to `ends`, (n_docs,) int64 each.

    A document that is marked as one without docstrings has none; others may have some.
    """
    # One call a document: in a loop of its own, numba would compile the scan a second time.
    sizes = ends - starts
    indents = np.empty(int(sizes.max(initial=0)) + 2, np.int64)
    out = np.empty(int(sizes.sum()), np.uint8)
    offsets = np.zeros(len(starts) + 1, np.int64)
    may_have_docstrings = np.zeros(len(starts), np.bool_)
    n = 0
    for doc, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        n, may_have_docstrings[doc] = scan_document(text_bytes, start, end, indents, out, n)
        offsets[doc + 1] = n
    return Comments(out[:n], offsets, may_have_docstrings)
