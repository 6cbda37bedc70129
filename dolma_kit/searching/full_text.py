"""`search text`: documents by their words, ranked by BM25 over all documents of the index.

BM25 is tantivy's: for a word in n of N documents, that a document of dl words has tf times,

    score = ln(1 + (N - n + 0.5) / (n + 0.5)) * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * dl / avgdl))

with dl in one byte (exact to 40, then the next lower of some 210 steps) and avgdl the mean length
of all documents. A phrase counts as one word whose ln(...) is the sum of its words'. Scores are
float32. Equal scores are in canonical order of the documents. Filters do not touch scores.

Queries are in tantivy's syntax: `word`, `"a phrase"`, `"words near"~2` (slop), `AND`, `OR`, `NOT`,
`+must`, `-not`, parentheses, `word^2` (weight), `/regex/` and `IN [a b]`, of which a word that says
nothing else is a must or with `any_word` may be there; and beside it `wor*`, `"a phr"*`, and
`word~` or `word~2` for words of so many edits at most. Words of these three kinds and of regexes
count 1 where they are. Fields are `text` (if none is named), `id`, `source`, `language` and `date`
(`date:2021-05`, `date:[2020-01 TO 2021-12]`); those decide, and do not score.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dolma_kit import files, ledger
from dolma_kit.documents import Fields
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.searching import text_files
from dolma_kit.searching.snippets import documents_at, snippet
from dolma_kit.searching.text_files import Description, FileDescription
from dolma_kit.searching.text_queries import all_of, date_query, parse, shortened, unscored

AGAIN = "index the documents again (dolma-kit search index-text)"


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A document: `date` is 2021-05 or 2021, `file` its path as indexed, `line` from 1; `snippet`
    about 200 characters of it with the words that were found between `**`."""

    score: float
    id: str
    source: str | None
    language: str | None
    date: str | None
    file: str
    line: int
    snippet: str | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`total` documents match; `hits` are the first of them, best first."""

    query: str
    total: int
    hits: list[Hit]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What documents have to be: of one of `sources`, in one of `languages`, not from before
    `since` nor after `until`, each a year or a month, 2021-05. A document dated by a year alone is
    in a range that has the whole year."""

    sources: Sequence[str] = ()
    languages: Sequence[str] = ()
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class TextIndex:
    """An open index: `segment_files` are the files of documents of its segments, in order."""

    folder: str
    about: Description
    schema: Any
    searcher: Any
    segment_files: list[FileDescription]


def open_index(folder: str) -> TextIndex:
    """MissingInput where there is none, VerificationError where it is not whole or older than its
    documents, DataError for what is no index."""
    import tantivy

    about = _description(folder)
    _require_same(folder, about)
    try:
        opened = tantivy.Index.open(os.path.join(folder, text_files.SEGMENTS))
        searcher = opened.searcher()
    except ValueError as error:
        raise VerificationError(
            f"{folder} was made with tantivy {about.tantivy}, which {text_files.tantivy_version()} "
            f"cannot read: {error}; {AGAIN}"
        ) from None
    segment_files = [one for one in about.files for _ in one.segments]
    if searcher.num_docs != about.documents or searcher.num_segments != len(segment_files):
        raise VerificationError(f"{folder} is not whole: {AGAIN}")
    return TextIndex(folder, about, opened.schema, searcher, segment_files)


def _description(folder: str) -> Description:
    path = os.path.join(folder, text_files.DESCRIPTION)
    try:
        with open(path, "rb") as stream:
            about = msgspec.json.decode(stream.read(), type=Description)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInput(
            f"no text index at {folder}: make one with dolma-kit search index-text DOCS --out DIR"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"is no text index: {error}") from None
    if about.tokenizer != text_files.TOKENIZER:
        raise VerificationError(
            f"{path} has words by {about.tokenizer!r}, this looks for {text_files.TOKENIZER!r}: "
            f"{AGAIN}"
        )
    return about


def _require_same(folder: str, about: Description) -> None:
    """VerificationError where files are not those that the index was made of, or its own.

    Sizes are looked at; of a file whose time is another, SHA-256.
    """
    seen = _seen(folder)
    meta = os.path.join(text_files.SEGMENTS, text_files.META)
    own: dict[str, tuple[int | None, str]] = {meta: (None, about.meta_sha256)}
    for one in about.files:
        own.update(text_files.segment_paths(one.segments))
    is_new = False
    for name, (size, sha256) in own.items():
        is_new |= _same(os.path.join(folder, name), name, size, sha256, seen, "is damaged")
    for one in about.files:
        path = document_path(folder, one)
        if about.store_text and not files.exists(path):
            continue
        is_new |= _same(path, one.path, one.bytes, one.sha256, seen, "has changed since then")
    if is_new:
        with contextlib.suppress(OSError):  # nobody has to be able to write here
            text_files.note_seen(folder, seen)


def _same(
    path: str, name: str, size: int | None, sha256: str | None, seen: dict[str, Any], what: str
) -> bool:
    """Whether it took a look at the bytes to know that a file is the one it was."""
    if not files.exists(path):
        raise VerificationError(f"{path} is gone: {AGAIN}")
    now = files.fingerprint(path)
    if (size is None or now["bytes"] == size) and seen.get(name) == now:
        return False
    if (size is not None and now["bytes"] != size) or files.sha256(path) != sha256:
        raise VerificationError(f"{path} {what}: {AGAIN}")
    seen[name] = now
    return True


def _seen(folder: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, ledger.FOLDER, text_files.SEEN), "rb") as stream:
            found: dict[str, Any] = msgspec.json.decode(stream.read(), type=dict)
            return found
    except (OSError, msgspec.MsgspecError):
        return {}


def document_path(folder: str, one: FileDescription) -> str:
    """Where a file of documents is."""
    return one.path if files.is_remote(one.path) else os.path.normpath(f"{folder}/{one.path}")


def search(
    index: TextIndex,
    query: str,
    *,
    limit: int = 10,
    filters: Filters = Filters(),
    phrase: bool = False,
    any_word: bool = False,
    snippets: bool = True,
) -> Found:
    """The documents that a query finds; with `phrase` it is a phrase, and has no syntax.

    ConfigError for a query or filter that cannot be.
    """
    asked, patterns = parse(index.schema, query, phrase=phrase, any_word=any_word)
    if (filter_query := _filter(index, filters)) is not None:
        asked = all_of([asked, unscored(filter_query)])
    try:
        found = index.searcher.search(asked, max(limit, 1))
    except ValueError as error:
        raise ConfigError(f"{shortened(query)}: {error}") from None
    places = found.hits[:limit]
    addresses = [address for _, address in places]
    lines = index.searcher.fast_field_values("line", addresses) if addresses else []
    dates = index.searcher.fast_field_values("date", addresses) if addresses else []
    stored = [index.searcher.doc(address) for address in addresses]
    files_of = [index.segment_files[address.segment_ord] for address in addresses]
    ids = [document.get_first("id") for document in stored]
    texts: list[str | None] = [None] * len(places)
    if snippets:
        if index.about.store_text:
            texts = [bytes(document.get_first("original")).decode() for document in stored]
        else:
            texts = list(_texts(index, files_of, lines, ids))
    hits = [
        Hit(
            score=round(score, 6),
            id=ids[i],
            source=stored[i].get_first("source"),
            language=stored[i].get_first("language"),
            date=_shown_date(dates[i]),
            file=os.path.normpath(document_path(index.folder, files_of[i])),
            line=lines[i],
            snippet=None if (text := texts[i]) is None else snippet(text, patterns),
        )
        for i, (score, _) in enumerate(places)
    ]
    return Found(query=query, total=found.count, hits=hits)


def _shown_date(date: int | None) -> str | None:
    if date is None:
        return None
    year, month = divmod(date, 100)
    return f"{year:04d}-{month:02d}" if month else f"{year:04d}"


def _filter(index: TextIndex, filters: Filters) -> Any:
    """What documents have to be, as a query; None where nothing is asked for."""
    import tantivy

    wanted = []
    for name, values in (("source", filters.sources), ("language", filters.languages)):
        if values:
            _require_known(index, name, values)
            wanted.append(tantivy.Query.term_set_query(index.schema, name, list(values)))
    if filters.since is not None or filters.until is not None:
        made = date_query(index.schema, filters.since, filters.until)
        if index.about.documents and not index.about.with_date:
            keys = ", ".join(index.about.date_keys)
            raise ConfigError(f"no document of {index.folder} has a date at {keys}")
        wanted.append(made)
    return all_of(wanted) if wanted else None


def _require_known(index: TextIndex, name: str, values: Sequence[str]) -> None:
    """ConfigError for what no document has: a name that is misspelled would find nothing."""
    if name == "language" and not index.about.with_language:
        raise ConfigError(
            f"no document of {index.folder} has a language: tag the documents, or give search "
            "index-text --languages tag"
        )
    for value in values:
        try:
            n = index.searcher.doc_freq(name, value)
        except ValueError:  # no text
            n = 0
        if not n:
            terms = index.searcher.terms_with_prefix(name, "", limit=1000)
            there = [term for term, _ in sorted(terms, key=lambda one: (-one[1], one[0]))]
            raise ConfigError(
                f"no document of {index.folder} has {name} {value!r}: there are "
                f"{', '.join(there[:20]) or 'none'}{', ...' if len(there) > 20 else ''}"
            )


def _texts(
    index: TextIndex, files_of: Sequence[FileDescription], lines: Sequence[int], ids: Sequence[str]
) -> Iterator[str]:
    """The texts of documents, read from their files; each file once."""
    wanted: dict[str, set[int]] = {}
    paths = [document_path(index.folder, one) for one in files_of]
    for path, line in zip(paths, lines, strict=True):
        wanted.setdefault(path, set()).add(line)
    fields = Fields(index.about.text_key, index.about.id_key)
    found = {path: documents_at(path, fields, of_file) for path, of_file in wanted.items()}
    for path, line, document_id in zip(paths, lines, ids, strict=True):
        there = found[path].get(line)
        if there is None or there[0] != document_id:
            raise VerificationError(f"{path}:{line} is not {document_id!r}: {AGAIN}")
        yield there[1]
