"""ARPA files, plain, .gz or .zst, as KenLM, SRILM and others write them, into a model's tables.

    # lines before \\data\\ are comments (SRILM: any, KenLM: those that begin with #)
    \\data\\
    ngram 1=37
    ngram 2=47

    \\1-grams:
    -1.38<tab>word<tab>-0.30      log10 probability, n words, log10 backoff (left out: 0)

    \\2-grams:
    ...
    \\end\\

What KenLM refuses is refused: probabilities above 1, sections longer or shorter than announced,
n-grams of words that are no 1-grams, a model without `<s>` or `</s>`. Without `<unk>` an unknown
word has KenLM's log10 probability of -100; an n-gram whose end is missing (SRILM prunes such) gets
a blank for it. Other than KenLM, fields may be parted by spaces, and an n-gram may stand in the
file without its context.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dolma_kit import files, kernels
from dolma_kit.errors import BrokenFile, DataError
from dolma_kit.language_models.tables import (
    NO_UNKNOWN,
    SLOTS_PER_NGRAM,
    Tables,
    lay_out,
    word_id,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"mmap lm http://kheafield.com/code"  # how KenLM's binary files begin
NOTE = b"# dolma-kit: "  # the comment in which we say how the text was prepared
_LEAST_BYTES = 4  # of an n-gram's line
_MOST_INFLATION = 1100  # of gzip, by its format; what is beyond that is a lie


def read(path: str) -> Tables:
    """The tables of an ARPA file; what is wrong with it is a DataError that names the line."""
    try:
        return _Reading(path, with_blanks=False).tables()
    except _FullError:  # rare, so that starting again costs nothing
        return _Reading(path, with_blanks=True).tables()


class _FullError(Exception):
    """A table has no free slot left for blanks."""


class _Reading:
    """One pass over a file: blocks of bytes, and where in them the next line begins."""

    def __init__(self, path: str, *, with_blanks: bool) -> None:
        self.path = path
        self.with_blanks = with_blanks  # whether to make room for a blank of each n-gram's ends
        self.block = b""
        self.position = 0
        self.lines = 0  # that were passed
        self.is_at_end = False
        self.stream = files.Reader(path)

    def tables(self) -> Tables:
        try:
            return self._tables()
        except BrokenFile as error:
            raise DataError(self.path, self.lines + 1, error.reason) from None
        finally:
            self.stream.close()

    def _tables(self) -> Tables:
        import numpy as np

        note = self._head()
        counts = self._counts()
        rooms = counts
        if self.with_blanks:
            rooms = [counts[0], *(sum(counts[n:]) for n in range(1, len(counts)))]
        layout, n_bytes = lay_out(rooms, SLOTS_PER_NGRAM)
        entries = np.zeros(n_bytes // 4, np.uint32)
        made = Tables(entries, entries.view(np.float32), layout, note)
        unigrams = layout[kernels.language_model.UNIGRAMS]
        made.values[unigrams] = np.nan
        progress = np.zeros(kernels.arpa.FIRST_TAKEN + len(counts), np.int64)
        progress[kernels.arpa.NEXT_ID] = 1
        for n, count in enumerate(counts, 1):
            self._title(f"\\{n}-grams:", counts, n - 1)
            self._section(n, count, made, progress)
        self._title("\\end\\", counts, len(counts))
        while (line := self._line()) is not None:
            if line:
                raise self._fault(f"{_shown(line)} stands after \\end\\")
        if made.values[unigrams] != made.values[unigrams]:
            made.values[unigrams], made.values[unigrams + 1] = NO_UNKNOWN, 0.0
        names = kernels.language_model
        for place, word in ((names.BOS, "<s>"), (names.EOS, "</s>")):
            layout[place] = word_id(made, word)
            if layout[place] < 0:
                raise DataError(self.path, None, f"has no 1-gram {word}: a sentence needs one")
        return made

    def _head(self) -> str | None:
        """Pass the lines up to `\\data\\`; what one of ours says of the text."""
        note = None
        first = self._line()
        line = first
        while line != b"\\data\\":
            if line is None:
                raise self._fault(f"no line \\data\\: no ARPA file ({self._looks_like(first)})")
            if line.startswith(NOTE):
                note = line[len(NOTE) :].decode(errors="replace")
            elif self.lines == 1 and (line.startswith(MAGIC) or line[:2] == b"\x1f\x8b"):
                raise self._fault(self._looks_like(line))
            line = self._line()
        return note

    def _looks_like(self, first: bytes | None) -> str:
        """What a file is that is no ARPA file, and what to do about it."""
        if first and first.startswith(MAGIC):
            return "this is KenLM's binary form, compressed or cut short: give the ARPA file"
        if first and first[:2] == b"\x1f\x8b":
            return "this is gzip: let its name end in .gz"
        return f"it begins with {_shown(first)}" if first else "it is empty"

    def _counts(self) -> list[int]:
        counts: list[int] = []
        while line := self._line():
            match = re.fullmatch(rb"ngram\s+(\d+)\s*=\s*(\d+)", line)
            if match is None:
                raise self._fault(f"{_shown(line)} where `ngram N=COUNT` or an empty line is due")
            if int(match[1]) != len(counts) + 1:
                raise self._fault(f"{_shown(line)}: `ngram {len(counts) + 1}=` is due")
            counts.append(int(match[2]))
        if not counts:
            raise self._fault("\\data\\ announces no n-grams: `ngram 1=COUNT` is due")
        if len(counts) > kernels.language_model.MAX_ORDER:
            most = kernels.language_model.MAX_ORDER
            raise self._fault(f"is of order {len(counts)}: {most} is the highest that is read")
        stored = files.size(self.path)
        inflation = _MOST_INFLATION if files.compression_of(self.path) else 1
        if sum(counts) * _LEAST_BYTES > stored * inflation:
            raise self._fault(
                f"\\data\\ announces {sum(counts):,} n-grams, more than {stored:,} bytes can hold"
            )
        return counts

    def _title(self, title: str, counts: list[int], n: int) -> None:
        """Pass empty lines and the title that is due; `n` is the order of the section before it."""
        while (line := self._line()) == b"":
            pass
        if line == title.encode():
            return
        if line is None:
            raise self._fault(f"ends where {title} is due: is it cut short?")
        if n and not line.startswith(b"\\"):
            raise self._fault(
                f"{_shown(line)} where {title} is due: \\data\\ announces {counts[n - 1]:,} "
                f"{n}-grams, and these have been"
            )
        raise self._fault(f"{_shown(line)} where {title} is due")

    def _section(self, n: int, count: int, made: Tables, progress: NDArray[np.int64]) -> None:
        """Read `count` n-grams."""
        import numpy as np

        arpa = kernels.arpa
        progress[arpa.LEFT] = count
        while progress[arpa.LEFT]:
            progress[arpa.POSITION], progress[arpa.LINES] = self.position, 0
            text = np.frombuffer(self.block, np.uint8)
            code = arpa.read_lines(
                text, len(text), n, made.entries, made.values, made.layout, progress
            )
            self.position = int(progress[arpa.POSITION])
            self.lines += int(progress[arpa.LINES])
            if code == arpa.FULL:
                raise _FullError
            if code != arpa.READ:
                raise self._line_fault(code, n, count, int(progress[arpa.LEFT]))
            if progress[arpa.LEFT] and not self._more():
                raise self._fault(
                    f"ends after {count - int(progress[arpa.LEFT]):,} of the {count:,} {n}-grams "
                    "that \\data\\ announces: is it cut short?"
                )

    def _line_fault(self, code: int, n: int, count: int, left: int) -> DataError:
        """What is wrong with the line that is next."""
        arpa = kernels.arpa
        line = self._line()
        assert line is not None
        fields = line.split()
        what: dict[int, Any] = {
            arpa.NEXT_SECTION: f"comes after {count - left:,} {n}-grams; \\data\\ announces "
            f"{count:,}",
            arpa.FIELDS: f"has {len(fields)} fields; a probability, {n} "
            f"{'words' if n > 1 else 'word'} and perhaps a backoff are due",
            arpa.NUMBER: "has a probability or backoff that is no finite number",
            arpa.POSITIVE: "has a probability above 1, a log10 above 0",
            arpa.TWICE: f"is the second line of that {n}-gram",
            arpa.UNKNOWN_WORD: "has a word that is no 1-gram",
            arpa.LAST_BACKOFF: "has a backoff, but no longer n-grams are announced",
        }
        return self._fault(f"{_shown(line)} {what[code]}")

    def _line(self) -> bytes | None:
        """The next line without white space at its ends; None at the end of the file."""
        while (stop := self.block.find(b"\n", self.position)) < 0:
            if not self._more():
                if self.position == len(self.block):
                    return None
                stop = len(self.block)
                break
        line = self.block[self.position : stop].strip(b" \t\r")
        self.position = min(stop + 1, len(self.block))
        self.lines += 1
        return line

    def _more(self) -> bool:
        """Read on; what is left of the block stays. False at the end of the file.

        A last line without a line feed gets one.
        """
        if self.is_at_end:
            return False
        rest = self.block[self.position :]
        read = self.stream.read()
        if not read:
            self.is_at_end = True
            if not rest:
                return False
            read = b"\n"
        self.block, self.position = rest + read, 0
        return True

    def _fault(self, reason: str) -> DataError:
        return DataError(self.path, max(self.lines, 1), reason)


def _shown(line: bytes | None) -> str:
    """A line for a message: not all of a long one."""
    text = (line or b"").decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:60] + "...")
