"""Passwords, keys and tokens in source code, as the library detect-secrets finds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from taggers import secret_plugins

KEYS = {name: f"SECRET_{name.replace(' ', '_')}" for name in secret_plugins.TYPES}

# Comments that make detect-secrets leave out their line, or the one after them. Those of the second
# kind have to be closed at the end of the line.
_LINE_COMMENT, _CLOSED_COMMENT = r"(?:#|//|'|--) *+", r"(?:/\* *+|<!--[# \t]*+)"
_PRAGMA = r"pragma: ?(?:allow|white)list[ -]secret"
_NEXT_PRAGMA = r"pragma: ?allowlist[ -]nextline[ -]secret"
_ALLOWED = (re.compile(_LINE_COMMENT + _PRAGMA), re.compile(_CLOSED_COMMENT + _PRAGMA))
_NEXT_ALLOWED = tuple(
    re.compile(r"^[ \t]*+" + comment + _NEXT_PRAGMA) for comment in (_LINE_COMMENT, _CLOSED_COMMENT)
)
_CLOSING = {"/": "*/", "<": "-->"}
_CALL = re.compile(r"[:!=]\s*+[\w.-]++[\[(]")
_MAX_CALL_LINE = 1000
_IDENTIFIER = re.compile(r"(?:^(?:id|myid|userid)|_id)s?[^a-z0-9]", re.IGNORECASE)

_MANY = 1 << 26  # characters to be searched, over all needles
_WINDOW = 24


class Secret(NamedTuple):
    """A secret of a document: what it is called, its span in code points, its line from 0."""

    type: str
    start: int
    end: int


class CodeSecretsV1(Tagger, frozen=True):
    """Passwords, keys and tokens, by type (`SECRET_...`), and `doc`, their number by words.

    What detect-secrets 1.4.0, with all its plugins and filters, finds in the lines of a YAML file.
    Each secret is given once for each type, at its first line; the span is where that line's text
    first stands in the document, which may be within an earlier line, as Dolma has it. `doc` is -1
    for a text without words. Differs from Dolma: a text with a token whose JSON is nested too
    deeply for Python, where it fails, has no values. Source: Dolma's taggers/code/code_taggers.py,
    CodeSecretsTagger.
    """

    id: ClassVar[str] = "code_secrets_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        spans: dict[str, Kind] = dict.fromkeys(KEYS.values(), "spans")
        return spans | {"doc": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("paragraphs", "rounding", "secrets", "secret_names")

    def tag(self, batch: Batch) -> Columns:
        candidates = kernels.secrets.find_candidates(batch.text_bytes, batch.offsets)
        docs, first = np.unique(candidates.docs, return_index=True)
        last = np.append(first, len(candidates.docs))[1:]
        n_words = kernels.paragraphs.words(batch.text_bytes, batch.offsets[:-1], batch.offsets[1:])
        counts = np.zeros(len(batch))
        found: list[list[Secret]] = [[] for _ in range(len(batch))]
        for doc, a, b in zip(docs.tolist(), first.tolist(), last.tolist(), strict=True):
            lines, kinds = candidates.lines[a:b].tolist(), candidates.kinds[a:b].tolist()
            try:
                found[doc] = secrets_of(batch.texts[doc], lines, kinds)
                counts[doc] = len(found[doc])
            except RecursionError:
                counts[doc] = np.nan
        shares = np.where(n_words > 0, counts / np.maximum(n_words, 1), -1.0)
        columns = spans_by_type(found)
        columns["doc"] = kernels.rounding.round5(shares)
        return columns


def spans_by_type(found: Sequence[Sequence[Secret]]) -> Columns:
    """The secrets of each document as columns, all of score 1."""
    rows = [
        (KEYS[s.type], doc, s.start, s.end) for doc, secrets in enumerate(found) for s in secrets
    ]
    columns: Columns = {}
    for key in KEYS.values():
        docs, starts, ends = (
            np.array([row[1:] for row in rows if row[0] == key], np.int64).reshape(-1, 3).T
        )
        offsets = np.zeros(len(found) + 1, np.int64)
        np.cumsum(np.bincount(docs, minlength=len(found)), out=offsets[1:])
        columns[key] = Spans(offsets, starts.copy(), ends.copy(), np.ones(len(docs)))
    return columns


def secrets_of(text: str, numbers: Iterable[int], kinds: Iterable[int]) -> list[Secret]:
    """The secrets of a text in Dolma's order; its lines `numbers` may hold some, of these kinds."""
    lines = text.splitlines()
    first: dict[tuple[str, str], int] = {}
    for number, kind in zip(numbers, kinds, strict=True):
        line = lines[number].rstrip()
        previous = lines[number - 1] if number else ""
        for name, secret in strings_in(line, previous, kind):
            first.setdefault((name, secret), number)
    ordered = sorted(
        first, key=lambda key: (first[key], hashlib.sha1(key[1].encode()).hexdigest(), key[0])
    )
    line_starts = first_places(text, {lines[number] for number in first.values()})
    wanted: dict[str, set[str]] = {}
    for key, number in first.items():
        wanted.setdefault(lines[number], set()).add(key[1])
    places = {line: first_places(line, secrets) for line, secrets in wanted.items()}
    found = []
    for name, secret in ordered:
        line = lines[first[name, secret]]
        start = line_starts[line] + places[line][secret]
        found.append(Secret(name, start, start + len(secret)))
    return found


def strings_in(line: str, previous: str, kinds: int) -> Iterator[tuple[str, str]]:
    """Type and text of the secrets in a line that the filters leave, with repetitions."""
    found = []
    if kinds & kernels.secret_forms.QUOTED:
        found += secret_plugins.high_entropy(line)
    if kinds & kernels.secret_forms.NAMED:
        found += [("Secret Keyword", s) for s in kernels.secret_names.find(line)]
    n_of_rules = len(found)  # those that the filter for identifiers is for
    if kinds & kernels.secret_forms.TOKEN:
        found += secret_plugins.tokens(line)
    if not found or is_allowed(line, previous) or is_call(line):
        return
    match = _IDENTIFIER.search(line)
    after_identifier = match.end() if match else len(line) + 1
    places = first_places(line, {s for _, s in found[:n_of_rules]})
    for i, (name, secret) in enumerate(found):
        if i < n_of_rules and places[secret] >= after_identifier:
            continue
        if not any(is_filtered(secret) for is_filtered in secret_plugins.filters()):
            yield name, secret


def is_allowed(line: str, previous: str) -> bool:
    """Whether a comment in the line, or alone in the one before, tells detect-secrets to pass."""
    for text, (to_the_end, closed) in ((line, _ALLOWED), (previous, _NEXT_ALLOWED)):
        if "pragma" not in text:
            continue
        if to_the_end.search(text):
            return True
        for match in closed.finditer(text):
            closing = _CLOSING[match[0].lstrip()[0]]
            if text.rstrip(" \t").endswith(closing, match.end()):
                return True
    return False


def is_call(line: str) -> bool:
    """Whether a value looks like `f(...)` or `a[...]`; in long lines it does not matter."""
    if len(line) > _MAX_CALL_LINE:
        return False
    last = max(line.rfind(")"), line.rfind("]"))
    return last > 0 and _CALL.search(line, 0, last) is not None


def first_places(text: str, needles: Iterable[str]) -> dict[str, int]:
    """Where each needle, all of which are in the text, first stands in it.

    Each is searched for, unless that would take long: then the text is gone through once, and the
    last characters of each needle are looked up at each place.
    """
    needles = set(needles)
    if len(needles) * len(text) <= _MANY:
        return {needle: text.find(needle) for needle in needles}
    places: dict[str, int] = {}
    by_size: dict[int, dict[str, list[str]]] = {}
    for needle in needles:
        tail = needle[-_WINDOW:]
        by_size.setdefault(len(tail), {}).setdefault(tail, []).append(needle)
    for size, waiting in by_size.items():
        for end in range(size, len(text) + 1):
            if text[end - size : end] in waiting:
                tail = text[end - size : end]
                left = []
                for needle in waiting[tail]:
                    start = end - len(needle)
                    if start >= 0 and text.startswith(needle, start):
                        places[needle] = start
                    else:
                        left.append(needle)
                waiting[tail] = left
                if not left:
                    del waiting[tail]
    return places
