"""What every statistic must answer, by plain counting: dicts, sorted, Counter, and no kernels.

Documents are `Placed` in canonical order. Each function gives an answer as plain data, without
`about`. What a URL, a date or a list of licences stands for is written by hand in `corpus`; words
are those of the plain twin of UAX #29.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.naive.words import uax29_words

Answer = dict[str, Any]
MISSING = object()  # the attributes of a document of which there is no file


class Placed(NamedTuple):
    """A document, the name of its file as answers have it, and its line from 1."""

    file: str
    line: int
    row: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.row["text"])

    @property
    def source(self) -> str:
        return self.row.get("source") or ""


# Words


@functools.cache
def words(text: str) -> tuple[str, ...]:
    """Words by UAX #29 that are not white space."""
    # The twin is quadratic: the text is cut first where there is a boundary whatever stands around.
    pieces = re.split(r"(\r\n|\n|\r)|(?<=\w)( )(?=[A-Za-z0-9])|(?<=\?)(?=\?)", text)
    return tuple(w for piece in pieces if piece for w in uax29_words(piece) if not w.isspace())


def size(text: str) -> int:
    return len(text.encode())


def by_source(documents: Sequence[Placed]) -> dict[str, list[int]]:
    """Source -> the numbers of its documents, by name."""
    found: dict[str, list[int]] = {}
    for i, document in enumerate(documents):
        found.setdefault(document.source, []).append(i)
    return dict(sorted(found.items()))


def quantile(values: Sequence[Any], q: str) -> Any:
    """The least value that as large a share of them does not exceed."""
    rank = math.ceil(Fraction(q) * len(values))
    return sorted(values)[max(rank, 1) - 1]


def share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def wilson(n_found: int, n: int) -> tuple[float, float]:
    """Wilson 1927, as a quadratic in the share: (p - x)^2 = z^2 x (1 - x) / n."""
    z, p = 1.959963984540054, n_found / n
    a, b, c = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


# How much, how long


def units(documents: Sequence[Placed], n_tokens: Sequence[int | None] | None) -> dict[str, Any]:
    """Unit -> the length of each document by it, None where nobody knows."""
    texts = [document.text for document in documents]
    found: dict[str, Any] = {
        "bytes": [size(text) for text in texts],
        "characters": [len(text) for text in texts],
        "words": [len(words(text)) for text in texts],
    }
    if n_tokens is not None:
        found["tokens"] = list(n_tokens)
    return found


def summary(documents: Sequence[Placed], n_tokens: Sequence[int | None] | None = None) -> Answer:
    by_unit = units(documents, n_tokens)

    def of(rows: Sequence[int]) -> Answer:
        texts = [documents[i].text for i in rows]
        amount: dict[str, Any] = {
            "documents": len(rows),
            "empty": sum(text == "" for text in texts),
            "blank": sum(text.isspace() for text in texts),
            "tokens": None,
            "uncounted": None,
        }
        longest, shortest = {}, {}
        for unit, lengths in by_unit.items():
            known = [i for i in rows if lengths[i] is not None]
            amount[unit] = sum(lengths[i] for i in known)
            if unit == "tokens":
                amount["uncounted"] = len(rows) - len(known)
            if known:
                ends = max(known, key=lambda i: lengths[i]), min(known, key=lambda i: lengths[i])
                for found, i in zip((longest, shortest), ends, strict=True):
                    one = documents[i]
                    found[unit] = {
                        "length": lengths[i], "file": one.file, "line": one.line,
                        "id": one.row["id"],
                    }  # fmt: skip
        return {"amount": amount, "longest": longest, "shortest": shortest}

    return {
        "total": of(range(len(documents))),
        "sources": {name: of(rows) for name, rows in by_source(documents).items()},
    }


LENGTH_QUANTILES = ("0.0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1.0")


def lengths(documents: Sequence[Placed], n_tokens: Sequence[int | None] | None = None) -> Answer:
    """Without spikes."""
    found = {}
    for unit, values in units(documents, n_tokens).items():
        if unit == "bytes" or not documents:
            continue
        known = [value for value in values if value is not None]
        counts = sorted(Counter(known).items())
        found[unit] = {
            "documents": len(known),
            "uncounted": len(values) - len(known),
            "mean": sum(known) / len(known) if known else None,
            "quantiles": _quantiles(known, LENGTH_QUANTILES),
            "sources": {
                name: _quantiles([values[i] for i in rows if values[i] is not None],
                                 LENGTH_QUANTILES)
                for name, rows in by_source(documents).items()
            },
            "histogram": {
                "lengths": [length for length, _ in counts],
                "documents": [n for _, n in counts],
            },
        }  # fmt: skip
    return {"units": found}


def _quantiles(values: Sequence[Any], at: Sequence[str]) -> dict[str, Any]:
    return {q: quantile(values, q) for q in at} if values else {}


def of_length(
    documents: Sequence[Placed], unit: str, length: int, source: str | None
) -> list[Placed]:
    """The documents of one length, of one source or of all."""
    values = units(documents, None)[unit]
    return [
        document
        for document, value in zip(documents, values, strict=True)
        if value == length and source in (None, document.source)
    ]


# Where from


class Url(NamedTuple):
    """What stands where the URL of a document should be, and what that is."""

    value: Any
    state: str = "missing"
    scheme: str = ""
    host: str = ""
    domain: str = ""
    suffix: str = ""


def urls(
    documents: Sequence[Placed],
    given: Sequence[Url],
    top: int,
    n_tokens: Sequence[int] | None = None,
) -> Answer:
    """Without the keys and the version of the list of suffixes."""
    amounts: dict[str, dict[str, list[int]]] = {
        level: {} for level in ("scheme", "host", "domain", "suffix")
    }
    examples = []
    for i, (document, url) in enumerate(zip(documents, given, strict=True)):
        if url.state in ("not a URL", "not a string"):
            examples.append(
                {"value": str(url.value)[:200], "file": document.file, "line": document.line}
            )
        if url.state != "url":
            continue
        for level, known in amounts.items():
            sums = known.setdefault(getattr(url, level) or "(none)", [0, 0, 0])
            own = (1, len(words(document.text)), n_tokens[i] if n_tokens else 0)
            sums[:] = [a + b for a, b in zip(sums, own, strict=True)]
    names = ["documents", "words", "tokens"][: 3 if n_tokens else 2]

    def shares(known: dict[str, list[int]], unit: int) -> list[Answer]:
        best = sorted(known.items(), key=lambda item: (-item[1][unit], item[0]))[:top]
        return [
            {"name": name, "documents": n, "words": w, "tokens": t if n_tokens else None}
            for name, (n, w, t) in best
        ]

    n_with = sum(url.state == "url" for url in given)
    return {
        "documents": len(documents),
        "missing_rate": 1 - share(n_with, len(documents)) if documents else 0.0,
        "states": {"url": 0, **Counter(url.state for url in given)},
        "sources": {
            source: {"url": 0, **Counter(given[i].state for i in rows)}
            for source, rows in by_source(documents).items()
        },
        "levels": {
            level: {
                "distinct": len(known),
                "by_documents": shares(known, 0),
                "by_words": shares(known, 1),
                "spread": {
                    name: spread([sums[unit] for sums in known.values()])
                    for unit, name in enumerate(names)
                },
            }
            for level, known in amounts.items()
        },
        "not_urls": examples[:10],
    }


def spread(amounts: Sequence[int]) -> Answer:
    """Gini's coefficient as the mean difference of two, by twice the mean."""
    total, n = sum(amounts), len(amounts)
    if not total:
        return {"quantiles": {}, "top": {}, "gini": 0.0}
    differences = sum(abs(a - b) for a in amounts for b in amounts)
    ordered = sorted(amounts, reverse=True)
    return {
        "quantiles": _quantiles(amounts, ("0.01", "0.25", "0.5", "0.75", "0.99")),
        "top": {str(k): sum(ordered[:k]) / total for k in (1, 10, 100, 1000)},
        "gini": differences / (2 * n * total),
    }


class Dated(NamedTuple):
    """What stands where the date of a document should be, at which key, and what that is."""

    value: Any
    key: str = ""
    state: str = "missing"
    year: int = 0
    month: int = 0


def dates(documents: Sequence[Placed], given: Sequence[Dated]) -> Answer:
    """Without the keys."""
    pairs = list(zip(documents, given, strict=True))
    dated = [(one, date) for one, date in pairs if date.state == "dated"]

    def counted(name_of: Callable[[Dated], str | None]) -> Answer:
        found: Answer = {}
        for one, date in dated:
            if (name := name_of(date)) is not None:
                known = found.setdefault(name, {"documents": 0, "words": 0})
                known["documents"] += 1
                known["words"] += len(words(one.text))
        return dict(sorted(found.items()))

    unreadable = [
        {"value": str(date.value)[:200], "key": date.key, "file": one.file, "line": one.line}
        for one, date in pairs
        if date.state == "unreadable"
    ]
    return {
        "documents": len(documents),
        "missing_rate": 1 - share(len(dated), len(documents)) if documents else 0.0,
        "states": {"dated": 0, **Counter(date.state for date in given)},
        "sources": {
            source: {"dated": 0, **Counter(given[i].state for i in rows)}
            for source, rows in by_source(documents).items()
        },
        "by_key": dict(Counter(date.key for _, date in dated)),
        "years": counted(lambda date: f"{date.year:04d}"),
        "months": counted(lambda date: f"{date.year:04d}-{date.month:02d}" if date.month else None),
        "unreadable": unreadable[:10],
    }


def languages(documents: Sequence[Placed], scores: Sequence[Any]) -> Answer:
    """`scores`: of each document its scores by language, or MISSING."""
    together: Answer = {}
    sources: Answer = {}
    n_none = n_missing = 0
    for document, own in zip(documents, scores, strict=True):
        if own is MISSING:
            n_missing += 1
            continue
        known = {name: score for name, score in own.items() if score is not None}
        if not known:
            n_none += 1
            continue
        best = min(known, key=lambda name: (-known[name], name))
        for place in (together, sources.setdefault(document.source, {})):
            sums = place.setdefault(best, dict.fromkeys(("documents", "bytes", "words"), 0))
            sums["documents"] += 1
            sums["bytes"] += size(document.text)
            sums["words"] += len(words(document.text))
            sums["unsure"] = sums.get("unsure", 0) + (known[best] < 0.5)
    return {
        "documents": len(documents),
        "none": n_none,
        "missing": n_missing,
        "missing_rate": share(n_missing, len(documents)),
        "languages": together,
        "sources": sources,
    }


class Licensed(NamedTuple):
    """What stands where the licence of a document should be, at which key, and what it names."""

    value: Any
    key: str = ""
    names: tuple[str, ...] = ()
    readable: bool = True


def licenses(documents: Sequence[Placed], given: Sequence[Licensed]) -> Answer:
    """Without the keys and attributes."""
    sums: dict[tuple[str, str], list[int]] = {}
    for document, one in zip(documents, given, strict=True):
        for name in one.names:
            known = sums.setdefault((name, one.key), [0, 0, 0])
            own = (1, size(document.text), len(words(document.text)))
            known[:] = [a + b for a, b in zip(known, own, strict=True)]

    def of(rows: Iterable[int]) -> Answer:
        own = [given[i] for i in rows]
        return {
            "documents": len(own),
            "without": sum(not one.names for one in own),
            "several": sum(len(one.names) > 1 for one in own),
            "unreadable": sum(not one.readable for one in own),
        }

    total = of(range(len(documents)))
    ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return {
        "missing_rate": share(total["without"], total["documents"]),
        "total": total,
        "sources": {source: of(rows) for source, rows in by_source(documents).items()},
        "licenses": [
            {"license": name, "from_": key, "documents": n, "bytes": b, "words": w}
            for (name, key), (n, b, w) in ordered
        ],
    }


# What occurs how often


def exactly(n: int) -> Answer:
    return {"value": float(n), "low": float(n), "high": float(n), "exact": True}


def ngrams(
    sequences: Sequence[Sequence[Hashable]],
    places: Sequence[tuple[str, int]],
    n: int,
    top: int,
    text_of: Callable[[Sequence[Any]], str] = " ".join,
    *,
    by_ids: bool = False,
) -> Answer:
    """N-grams of one n of the tokens of documents, which are at `places`: file and line.

    Of equally common ones that which came in first is first; with `by_ids` that of lesser ids.
    """
    counts: Counter[Any] = Counter()
    first: dict[Any, int] = {}
    for row, tokens in enumerate(sequences):
        for i in range(len(tokens) - n + 1):
            gram = tuple(tokens[i : i + n])
            counts[gram] += 1
            first.setdefault(gram, row)
    order = {gram: i for i, gram in enumerate(sorted(first) if by_ids else first)}
    total = sum(counts.values())
    entropy = math.fsum(-c / total * math.log2(c / total) for c in counts.values())

    def shown(gram: Any) -> Answer:
        file, line = places[first[gram]]
        return {"text": text_of(gram), "count": counts[gram], "at_most": counts[gram],
                "file": file, "line": line}  # fmt: skip

    return {
        "n": n,
        "exact": True,
        "total": total,
        "distinct": exactly(len(counts)),
        "error": 0.0,
        "once": exactly(sum(c == 1 for c in counts.values())),
        "entropy": entropy if counts and not by_ids else None,
        "floor": 0,
        "most": [shown(g) for g in sorted(counts, key=lambda g: (-counts[g], order[g]))[:top]],
        "least": [shown(g) for g in sorted(counts, key=lambda g: (counts[g], order[g]))[:top]],
    }


def paragraphs(text: str, separator: str) -> list[str]:
    """What a separator ends, and what is left at the end, if anything is."""
    found = text.split(separator)
    return found if found[-1] else found[:-1]


class Key(NamedTuple):
    value: str
    row: int


def keys(
    documents: Sequence[Placed], urls: Sequence[Any], separator: str = "\n"
) -> dict[str, tuple[list[Key], int]]:
    """Kind -> its keys in order, and how many documents or paragraphs have none."""
    candidates: dict[str, list[tuple[Any, int]]] = {
        "text": [(document.text, i) for i, document in enumerate(documents)],
        "url": [(url, i) for i, url in enumerate(urls)],
        "paragraph": [
            (paragraph, i)
            for i, document in enumerate(documents)
            for paragraph in paragraphs(document.text, separator)
        ],
    }
    found = {}
    for kind, values in candidates.items():
        own = [Key(v, i) for v, i in values if isinstance(v, str) and v.strip()]
        found[kind] = (own, len(values) - len(own))
    return found


def duplicates(
    documents: Sequence[Placed], urls: Sequence[Any], top: int, separator: str = "\n"
) -> Answer:
    """Of the largest clusters, `keys` are those that an excerpt may be of: of one size and in one
    document, their order is not told."""
    kinds = {}
    for kind, (own, without) in keys(documents, urls, separator).items():
        counts = Counter(key.value for key in own)
        first: dict[str, int] = {}
        for key in own:
            first.setdefault(key.value, key.row)
        clusters = {value: n for value, n in counts.items() if n > 1}
        largest = sorted(clusters, key=lambda value: (-clusters[value], first[value]))[:top]
        n_distinct = len(counts)
        kinds[kind] = {
            "keys": len(own),
            "without": without,
            "distinct": exactly(n_distinct),
            "clusters": exactly(len(clusters)),
            "in_clusters": exactly(sum(clusters.values())),
            "removable": exactly(len(own) - n_distinct),
            "rate": share(len(own) - n_distinct, len(own)),
            "sizes": dict(Counter(_size_class(n) for n in clusters.values())),
            "largest": [
                {
                    "count": clusters[value], "file": documents[first[value]].file,
                    "line": documents[first[value]].line,
                    "keys": [v for v in clusters
                             if (clusters[v], first[v]) == (clusters[value], first[value])],
                }
                for value in largest
            ],
            "expected_collisions": n_distinct * (n_distinct - 1) / 2 / 2**64,
        }  # fmt: skip
    return {"kinds": kinds}


def _size_class(n: int) -> str:
    high = 2
    while high < n:
        high *= 2
    return "2" if high == 2 else f"{high // 2 + 1}-{high}"


def overlap(
    a: tuple[Sequence[Placed], Sequence[Any]], b: tuple[Sequence[Placed], Sequence[Any]]
) -> list[Answer]:
    """Of two corpora, each documents and their URLs."""
    found = []
    of_a, of_b = (keys(*one) for one in (a, b))
    for kind in of_a:
        x, y = ({key.value for key in one[kind][0]} for one in (of_a, of_b))
        both, either = len(x & y), len(x | y)
        figures = {
            "of_a": len(x), "of_b": len(y), "both": both, "either": either,
            "jaccard": share(both, either) if either else 1.0,
            "a_in_b": share(both, len(x)), "b_in_a": share(both, len(y)),
        }  # fmt: skip
        found.append({"kind": kind, **{name: exactly_share(v) for name, v in figures.items()}})
    return found


def exactly_share(value: float) -> Answer:
    return {"value": value, "low": value, "high": value, "exact": True}


# What attributes say

Span = tuple[int, int, float]


def findings(
    documents: Sequence[Placed],
    kinds: Mapping[str, Sequence[Any]],
    sample: int,
    not_searched: Sequence[bool] | None = None,
) -> Answer:
    """`kinds`: of each kind the spans of each document, or MISSING. Without `by` and `seed`."""
    n = len(documents)
    skipped = list(not_searched or [False] * n)
    is_missing = [all(spans[i] is MISSING for spans in kinds.values()) for i in range(n)]
    n_words = [
        0 if is_missing[i] or skipped[i] else len(words(documents[i].text)) for i in range(n)
    ]

    def of(rows: Iterable[int]) -> Answer:
        own = list(rows)
        return {
            "documents": len(own),
            "missing": sum(is_missing[i] for i in own),
            "words": sum(n_words[i] for i in own),
            "not_searched": sum(skipped[i] and not is_missing[i] for i in own),
        }

    found = {}
    for kind, spans in kinds.items():
        hits = [(i, span) for i in range(n) if spans[i] is not MISSING for span in spans[i]]
        with_hit = sorted({i for i, _ in hits})
        searched = [i for i in range(n) if spans[i] is not MISSING and not skipped[i]]
        own_words = sum(len(words(documents[i].text)) for i in searched)
        found[kind] = {
            "documents": len(with_hit),
            "searched": len(searched),
            "hits": len(hits),
            "characters": sum(end - start for _, (start, end, _) in hits),
            "per_million_words": 1e6 * share(len(hits), own_words),
            "sources": dict(Counter(documents[i].source for i in with_hit)),
            "sampled": min(sample, len(hits)),
            "precision": None,
            "true_hits": None,
        }
    total = of(range(n))
    return {
        "missing_rate": share(total["missing"], n),
        "total": total,
        "sources": {source: of(rows) for source, rows in by_source(documents).items()},
        "kinds": found,
    }


def contamination(
    documents: Sequence[Placed], rules: Mapping[str, tuple[Sequence[Any], Sequence[Any]]]
) -> Answer:
    """`rules`: of each rule the verdict and the spans of each document, or MISSING."""
    found = {}
    n_missing = sum(
        all(verdicts[i] is MISSING for verdicts, _ in rules.values()) for i in range(len(documents))
    )
    for rule, (verdicts, spans) in rules.items():
        there = [i for i in range(len(documents)) if verdicts[i] is not MISSING]
        contaminated = [i for i in there if verdicts[i]]
        all_spans = [span for i in there for span in spans[i]]
        found[rule] = {
            "documents": len(there),
            "contaminated": len(contaminated),
            "spans": len(all_spans),
            "characters": sum(end - start for start, end, _ in all_spans),
            "sources": {
                source: sum(i in contaminated for i in rows)
                for source, rows in by_source(documents).items()
                if set(rows) & set(there)
            },
        }
    return {
        "documents": len(documents),
        "missing": n_missing,
        "missing_rate": share(n_missing, len(documents)),
        "rules": found,
    }


ATTRIBUTE_QUANTILES = ("0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99")


def column(documents: Sequence[Placed], kind: str, values: Sequence[Any]) -> Answer:
    """Of one column: `values` are scores or spans, None where a document has no score."""
    there = [value is not MISSING and value is not None for value in values]
    rows = [i for i in range(len(documents)) if there[i]]

    def scores_of(chosen: Iterable[int]) -> list[float]:
        if kind == "score":
            return [values[i] for i in chosen if there[i]]
        return [score for i in chosen if there[i] for _, _, score in values[i]]

    def of(scores: list[float]) -> Answer:
        return {
            "n": len(scores),
            "least": min(scores, default=None),
            "greatest": max(scores, default=None),
            "mean": math.fsum(scores) / len(scores) if scores else None,
            "quantiles": _quantiles(scores, ATTRIBUTE_QUANTILES),
        }

    is_spans = kind == "spans"
    n_missing = len(documents) - len(rows)
    return {
        "kind": kind,
        "documents": len(documents),
        "missing": n_missing,
        "missing_rate": share(n_missing, len(documents)),
        "with_spans": sum(bool(values[i]) for i in rows) if is_spans else None,
        "characters": sum(e - s for i in rows for s, e, _ in values[i]) if is_spans else None,
        "values": of(scores_of(range(len(documents)))),
        "sources": {source: of(scores_of(mine)) for source, mine in by_source(documents).items()},
    }


# Dolma's rules for personal data, on each line with its end

PII = {
    "EMAIL_ADDRESS": r"[.\s@,?!;:)(]*([^\s@]+@[^\s@,?!;:)(]+?)[.\s@,?!;:)(]?[\s\n\r]",
    "PHONE_NUMBER": r"\s+\(?(\d{3})\)?[-\. ]*(\d{3})[-. ]?(\d{4})",
    "IP_ADDRESS": (
        r"(?:(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}"
        r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
    ),
}


def pii(text: str) -> dict[str, list[Span]]:
    """What Dolma's fast rule finds; nothing in a text with too many question marks."""
    found: dict[str, list[Span]] = {kind: [] for kind in PII}
    if text.count("?") > 10_000:
        return found
    start = 0
    for paragraph in text.split("\n"):
        line = text[start : start + len(paragraph) + 1]
        for kind, pattern in PII.items():
            found[kind] += [
                (start + m.start(), start + m.end(), 1.0) for m in re.finditer(pattern, line)
            ]
        start += len(paragraph) + 1
    return found


def phrases(text: str, lexicon: Sequence[str]) -> list[Span]:
    """Where the words of a lexicon stand, in lower case, as whole words of UAX #29."""
    places = []
    at = 0
    for word in words(text):
        at = text.index(word, at)
        places.append((at, at + len(word)))
        at += len(word)
    own = [word.lower() for word in words(text)]
    found = []
    for phrase in lexicon:
        wanted = [word.lower() for word in words(phrase)]
        for i in range(len(own) - len(wanted) + 1):
            if own[i : i + len(wanted)] == wanted:
                found.append((places[i][0], places[i + len(wanted) - 1][1], 1.0))
    return sorted(found)


def jensen_shannon(p: Sequence[Fraction], q: Sequence[Fraction]) -> float:
    """The root of half the divergences from the middle, with logarithms to base 2."""
    divergence = 0.0
    for a, b in zip(p, q, strict=True):
        for one in (a, b):
            if one:
                divergence += float(one) * math.log2(2 * one / (a + b)) / 2
    return math.sqrt(max(divergence, 0.0))
