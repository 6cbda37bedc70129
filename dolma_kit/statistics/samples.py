"""Samples for judging by hand: drawn by hash, the same whatever the order of work; worksheets.

An item is drawn by a keyed hash of what it is (BLAKE2b of kind, document id and place, with the
seed as key); the smallest `size` hashes of each kind are the sample. So every item has the same
chance, samples of parts put together are that of all, and a sample is as large as it was asked for,
if there is as much.

A worksheet is CSV, a line an item, with an empty last column `correct`: y for a hit that is one, n
for one that is not. Filled in, it is given back with --judged, and what is found becomes a
precision with Wilson's interval. What is filled in is not written over.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dolma_kit import files
from dolma_kit.decontamination.intervals import wilson
from dolma_kit.errors import ConfigError, DataError

COLUMNS = (
    "kind", "file", "line", "id", "start", "end", "score", "before", "match", "after", "correct",
)  # fmt: skip
AROUND = 60  # characters before and after
LONGEST_MATCH = 400
YES, NO = ("y", "yes", "true", "1"), ("n", "no", "false", "0")


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A hit: code points `start` to `end` of a document's text. `draw` is its hash."""

    draw: int
    file: int
    line: int
    id: str
    start: int
    end: int
    score: float
    before: str
    match: str
    after: str


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """Of `judged` hits, `correct` are such; `share` with Wilson's 95 % interval."""

    judged: int
    correct: int
    share: float
    low: float
    high: float


Samples = dict[str, list[Item]]


def draw(seed: int, kind: str, id_: str, start: int, end: int) -> int:
    """The number, below 2^53, by which an item is drawn."""
    key = seed.to_bytes(8, "little")
    what = f"{kind}\0{id_}\0{start}\0{end}".encode("utf-8", "surrogatepass")
    # JSON's readers keep integers of 53 bits exact.
    return int.from_bytes(hashlib.blake2b(what, digest_size=8, key=key).digest(), "little") >> 11


def item(drawn: int, line: int, id_: str, text: str, start: int, end: int, score: float) -> Item:
    """The hit on code points start to end of a text, with what stands around."""
    match = text[start:end]
    if len(match) > LONGEST_MATCH:
        match = match[: LONGEST_MATCH - 3] + "..."
    return Item(
        drawn, 0, line, id_, start, end, score, text[max(start - AROUND, 0) : start], match,
        text[end : end + AROUND],
    )  # fmt: skip


def smallest(items: Iterable[Item], size: int) -> list[Item]:
    """The sample of items, by their draw; of equal draws those that come first."""
    return sorted(items, key=lambda one: (one.draw, one.file, one.line, one.start))[:size]


def merged(samples: Sequence[Samples], size: int) -> Samples:
    kinds = sorted({kind for sample in samples for kind in sample})
    return {
        kind: smallest((one for sample in samples for one in sample.get(kind, ())), size)
        for kind in kinds
    }


def sheet(samples: Samples, names: Sequence[str]) -> bytes:
    """The worksheet; `names` are those of the files. The items of a kind are in the order of
    their draws, which tells nothing of them."""
    text = io.StringIO()
    writer = csv.writer(text)  # ends lines in \r\n, so Python 3.11 quotes a \r too
    writer.writerow(COLUMNS)
    for kind, items in samples.items():
        for one in items:
            writer.writerow(
                [kind, names[one.file], one.line, one.id, one.start, one.end, one.score,
                 one.before, one.match, one.after, ""]
            )  # fmt: skip
    return text.getvalue().encode("utf-8", "surrogatepass")


def judgements(paths: Sequence[str]) -> dict[str, Precision]:
    """What filled-in worksheets say, by kind; rows that are not judged do not count.

    A hit that is judged twice counts once; ConfigError where a sheet says y and another n of it.
    DataError, with the line, for another word.
    """
    said: dict[tuple[str, ...], bool] = {}
    for path in paths:
        for number, row in _rows(path):
            word = (row.get("correct") or "").strip().lower()
            if not word:
                continue
            if word not in (*YES, *NO):
                raise DataError(path, number, f"`correct` is {word!r}: write y or n, or nothing")
            what = tuple(row.get(name) or "" for name in ("kind", "id", "line", "start", "end"))
            if said.setdefault(what, word in YES) != (word in YES):
                raise ConfigError(f"{path}:{number}: {what[0]} of {what[1]} is judged y and n")
    found: dict[str, list[bool]] = {}
    for what, is_correct in said.items():
        found.setdefault(what[0], []).append(is_correct)
    return {kind: precision(sum(words), len(words)) for kind, words in sorted(found.items())}


def is_filled_in(path: str) -> bool:
    """Whether somebody has judged hits in a worksheet, or made something else of the file."""
    if not files.exists(path):
        return False
    try:
        return any((row.get("correct") or "").strip() for _, row in _rows(path))
    except DataError:
        return True


def precision(n_correct: int, n_judged: int) -> Precision:
    low, high = wilson(n_correct, n_judged)
    share = n_correct / n_judged if n_judged else 0.0
    return Precision(judged=n_judged, correct=n_correct, share=share, low=low, high=high)


def _rows(path: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    with files.open_raw(path) as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig", "surrogatepass")  # as `sheet` encodes
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"is not UTF-8: {error.reason}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    needed = {"kind", "id", "start", "end", "correct"}
    try:
        if missing := needed - set(reader.fieldnames or ()):
            columns = ", ".join(sorted(missing))
            raise DataError(path, 1, f"is no worksheet: it has no column {columns}")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(path, reader.line_num, str(error)) from None
