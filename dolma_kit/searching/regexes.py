"""Regular expressions over documents, by the words that every match has to hold.

The expression is one of the library `regex`, over the text of each document as its tokens hold it.
Where every match holds some literal text, the index says which documents have that, and only they
are decoded; else all are. A document that takes longer than `timeout` seconds is an error, since
its matches would be missing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dolma_kit.errors import ConfigError
from dolma_kit.searching.index import Index, Shard
from dolma_kit.searching.patterns import LONGEST
from dolma_kit.searching.queries import LIMIT, Searcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.order.documents import Document

SHORTEST = 2  # characters of a literal that is looked for
TIMEOUT = 20.0
AROUND = 80  # characters of a match's surroundings
SHOWN = 400
BLOCK_TOKENS = 1 << 20
#: letters whose other cases are no ASCII: the Kelvin sign, the long s, i with and without dot
_ODD_CASES = set("kKsSiI")


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One match: characters [start, end) of a document's text."""

    index: str
    part: str
    id: str
    source: str | None
    src: str
    line: int | None
    start: int
    end: int
    before: str
    match: str
    after: str


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """`count` matches in `documents`; `literal` is the text by which documents were chosen, null
    where all were read; `looked_at` is how many were."""

    query: str
    literal: str | None
    looked_at: int
    documents: int
    count: int
    shown: list[Match]


def search(
    searcher: Searcher,
    pattern: str,
    *,
    ignore_case: bool = False,
    limit: int = LIMIT,
    timeout: float = TIMEOUT,
) -> Matches:
    """All matches of an expression, the first `limit` of them shown, in canonical order."""
    import regex

    if not pattern:
        raise ConfigError("an empty expression matches everywhere: give one")
    if len(pattern) > LONGEST:
        raise ConfigError(f"an expression of {len(pattern):,} characters: at most {LONGEST:,}")
    if any("\ud800" <= character <= "\udfff" for character in pattern):
        raise ConfigError("the expression is no valid UTF-8, which the documents' texts are")
    if not 0 < timeout < float("inf"):
        raise ConfigError(f"--timeout {timeout:g}: a number of seconds above 0")
    flags = regex.V0 | (regex.IGNORECASE if ignore_case else 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = regex.compile(pattern, flags)
    except RecursionError:
        raise ConfigError(f"the expression {_short(pattern)} is nested too deep") from None
    except (regex.error, ValueError, FutureWarning, DeprecationWarning) as error:
        raise ConfigError(f"the expression {_short(pattern)} cannot be read: {error}") from None
    literal, folded = literal_in(pattern, ignore_case)
    looked_at = n_documents = count = 0
    shown: list[Match] = []
    for index, shard in searcher.shards:
        for document, text in _candidates(searcher, shard, literal, folded):
            looked_at += 1
            n_before = count
            try:
                for found in compiled.finditer(text, timeout=timeout):
                    count += 1
                    if len(shown) < limit:
                        shown.append(_shown(index, shard, document, text, found))
            except TimeoutError:
                about = _document(shard, document)
                raise ConfigError(
                    f"the expression takes more than {timeout:g} s for {about.src}:{about.line}: "
                    "make it simpler, or raise --timeout"
                ) from None
            n_documents += count > n_before
    return Matches(
        query=pattern, literal=literal, looked_at=looked_at, documents=n_documents, count=count,
        shown=shown,
    )  # fmt: skip


def _candidates(
    searcher: Searcher, shard: Shard, literal: str | None, folded: bool
) -> Iterator[tuple[int, str]]:
    """(document, text) of those that may match."""
    n = len(shard.ends)
    chosen: NDArray[np.int64] = np.arange(n)
    if literal is not None:
        query = searcher.text(literal, ignore_case=folded)
        if query.phrase is not None and query.phrase.pattern.data == literal.encode():
            chosen = np.unique(shard.documents_at(searcher.places_in(shard, query).tokens))
    starts = np.concatenate(([0], shard.ends))
    at = 0
    while at < len(chosen):
        # Neighbours are decoded together.
        end = at + 1
        first = int(starts[chosen[at]])
        while (
            end < len(chosen)
            and chosen[end] == chosen[end - 1] + 1
            and int(shard.ends[chosen[end]]) - first <= BLOCK_TOKENS
        ):
            end += 1
        yield from _texts(searcher, shard, int(chosen[at]), int(chosen[end - 1]) + 1)
        at = end


def _texts(searcher: Searcher, shard: Shard, low: int, high: int) -> Iterator[tuple[int, str]]:
    """The texts of documents low to high."""
    first, last = shard.document_start(low), int(shard.ends[high - 1])
    ids = shard.tokens[first:last]
    ends = shard.ends[low:high] - first
    silent = np.zeros(len(ids), np.bool_)
    if shard.eos is not None:
        full = np.diff(ends, prepend=0) > 0
        silent[ends[full] - 1] = ids[ends[full] - 1] == shard.eos
    data, offsets = searcher.vocabulary.decode(ids, silent)
    bounds = offsets[np.concatenate(([0], ends))]
    for i in range(high - low):
        yield low + i, data[bounds[i] : bounds[i + 1]].decode("utf-8", "replace")


def _document(shard: Shard, number: int) -> Document:
    """By its row: one without tokens has no place."""
    return shard.lookup.row(shard.about.row + number).document


def _short(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 80 else pattern[:77] + "...")


def _shown(index: Index, shard: Shard, document: int, text: str, found: Any) -> Match:
    about = _document(shard, document)
    start, end = found.span()
    match = text[start:end]
    return Match(
        index=index.tokens.path, part=shard.about.part, id=about.id, source=about.source,
        src=about.src, line=about.line, start=start, end=end,
        before=text[max(start - AROUND, 0) : start],
        match=match if len(match) <= SHOWN else match[: SHOWN - 3] + "...",
        after=text[end : end + AROUND],
    )  # fmt: skip


def literal_in(pattern: str, ignore_case: bool) -> tuple[str | None, bool]:
    """The longest text that every match holds, None where none is known, and whether its case does
    not matter.

    >>> literal_in(r"\\bfoo(bar)+ba[rz]", False), literal_in("a|b", False)
    (('foobar', False), (None, False))
    >>> literal_in("(?i)Deb.ug", False)
    ('Deb', True)
    """
    if _is_of_regex_alone(pattern):
        return None, ignore_case
    parser: Any = re._parser  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):  # one that only `regex` reads
        return None, ignore_case
    folded = ignore_case or bool(parsed.state.flags & re.IGNORECASE)
    if parsed.state.flags & re.VERBOSE:
        return None, folded
    runs = [""]
    _collect(parsed, runs)
    # What is no UTF-8 is read as U+FFFD, which the index does not find.
    runs = [part for run in runs for part in run.split("\ufffd")]
    if folded:
        runs = [part for run in runs for part in _same_in_any_case(run)]
    best = max(runs, key=len)
    return (best if len(best) >= SHORTEST else None), folded


def _is_of_regex_alone(pattern: str) -> bool:
    """Whether `re` could take for literals what `regex` does not: [[:alpha:]], and {e<=1}."""
    without_escapes = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    return "[:" in without_escapes or bool(re.search(r"\{(?!\d*,?\d*\})", without_escapes))


def _collect(parsed: Any, runs: list[str]) -> None:
    """Add to `runs` the stretches of literals that a match of an expression has, in order; the
    last one may go on."""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            runs[-1] += chr(value)
        elif name in ("AT", "ASSERT", "ASSERT_NOT"):
            continue  # of no width
        elif name == "SUBPATTERN":
            _, added, removed, inner = value
            if added or removed:
                runs += [""]
            else:
                _collect(inner, runs)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = value
            if least:
                _collect(inner, runs)  # the first time goes on with what was before
            if (least, most) != (1, 1):
                runs += [""]
        elif name == "ATOMIC_GROUP":
            _collect(value, runs)
        else:
            runs += [""]


def _same_in_any_case(run: str) -> list[str]:
    """The stretches whose other cases are those of ASCII."""
    return re.split("[^\x00-\x7f]|[" + "".join(sorted(_ODD_CASES)) + "]", run)
