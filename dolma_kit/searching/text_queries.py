"""Queries of `search text`, read and made into tantivy's; the syntax is in `full_text`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dolma_kit.errors import ConfigError
from dolma_kit.searching.text_words import words_in

MAX_QUERY_BYTES = 1 << 16
MAX_NESTING = 100
_DATE = re.compile(r"(\d{4})(?:-?(\d\d))?")
_FUZZY = re.compile(r"(.+)~([012]?)")
_APOSTROPHE = "\ue000"  # stands for ' within a word, which the syntax has for a quote
FIELDS = ("text", "id", "source", "language", "date")


class Pattern(NamedTuple):
    """Words that stand one after the other: each a word, or what tells whether one is meant."""

    words: tuple[str | Callable[[str], bool], ...]


def parse(
    schema: Any, query: str, *, phrase: bool = False, any_word: bool = False
) -> tuple[Any, list[Pattern]]:
    """tantivy's query of a text, and what it looks for; ConfigError where that is no query."""
    import tantivy

    try:
        n_bytes = len(query.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"the query is no text: character {error.start} is a half") from None
    if n_bytes > MAX_QUERY_BYTES:
        raise ConfigError(f"the query has {n_bytes:,} bytes, at most {MAX_QUERY_BYTES:,}")
    reading = _Reading(schema, any_word)
    if phrase:
        made = reading.of_words(words_in(query))
    else:
        # What nests deeper than some thousand levels would end the process.
        if query.count("(") > MAX_NESTING or query.count("NOT") > MAX_NESTING:
            raise ConfigError(f"{shortened(query)}: more than {MAX_NESTING} parentheses or NOT")
        try:
            node = tantivy.parse_query(re.sub(r"(?<=\w)'(?=\w)", _APOSTROPHE, query))
        except ValueError:
            raise ConfigError(
                f"{shortened(query)} is no query: a quote or parenthesis that is open, or an "
                "operator without words; put what is no operator in double quotes, or give --phrase"
            ) from None
        try:
            made = reading.of(node)
        except ValueError as error:
            message = " ".join(str(error).split())
            raise ConfigError(f"{shortened(query)}: {message}") from None
    if made is None:
        raise ConfigError(f"{shortened(query)} has no word: words have a letter or a digit")
    return made, reading.patterns


class _Reading:
    """Makes tantivy's queries of its syntax tree, with our words; None of what has no words."""

    def __init__(self, schema: Any, any_word: bool) -> None:
        import tantivy

        self._tantivy: Any = tantivy
        self._schema = schema
        occur = tantivy.Occur
        self._occurs = {
            "must": occur.Must, "should": occur.Should, "must_not": occur.MustNot,
            None: occur.Should if any_word else occur.Must,
        }  # fmt: skip
        self.patterns: list[Pattern] = []

    def of(self, node: Any) -> Any:
        kind = node["type"]
        if kind == "bool":
            return self._of_clauses(node["clauses"])
        if kind == "boost":
            made = self.of(node["underlying"])
            return made and self._tantivy.Query.boost_query(made, node["boost"])
        if kind == "all":
            return self._all()
        if kind == "literal":
            return self._of_literal(node)
        name = self._field(node["field"])
        if kind == "exists":
            return self._all() if name in ("text", "id") else unscored(
                self._tantivy.Query.exists_query(name)
            )  # fmt: skip
        if kind == "range" and name == "date":
            return unscored(self._of_range(node))
        if kind == "regex" and name == "text":
            made = self._tantivy.Query.regex_query(self._schema, "text", node["pattern"])
            with contextlib.suppress(re.error):  # the two have not quite the same syntax
                self.patterns.append(Pattern((re.compile(node["pattern"]).fullmatch,)))  # type: ignore[arg-type]
            return made
        if kind == "set" and name in ("id", "source", "language"):
            terms = self._tantivy.Query.term_set_query(self._schema, name, node["elements"])
            return unscored(terms)
        if kind == "set" and name == "text":
            found = [self.of_words(words_in(_plain(one))) for one in node["elements"]]
            return any_of([one for one in found if one is not None])
        raise ConfigError(f"{kind} of {name} cannot be asked for")

    def _all(self) -> Any:
        return unscored(self._tantivy.Query.all_query())

    def _field(self, name: str | None) -> str:
        if name is None:
            return "text"
        if name not in FIELDS:
            raise ConfigError(
                f"no field {name!r}: there are {', '.join(FIELDS)}; put what has a colon in "
                "double quotes"
            )
        return name

    def _of_clauses(self, clauses: Sequence[tuple[str | None, Any]]) -> Any:
        made = []
        for occur, node in clauses:
            before = len(self.patterns)
            if (query := self.of(node)) is not None:
                made.append((self._occurs[occur], query))
            if occur == "must_not":
                del self.patterns[before:]
        if made and all(occur == self._occurs["must_not"] for occur, _ in made):
            made.append((self._occurs["must"], self._all()))
        return self._tantivy.Query.boolean_query(made) if made else None

    def _of_literal(self, node: Any) -> Any:
        text, name = _plain(node["phrase"]), self._field(node["field_name"])
        if name == "date":
            return unscored(date_query(self._schema, text, text))
        if name != "text":
            return unscored(self._tantivy.Query.term_query(self._schema, name, text))
        if node["delimiter"] == "none":
            if text.endswith("*"):
                return self._of_prefix(words_in(text))
            if (fuzzy := _FUZZY.fullmatch(text)) and len(words := words_in(fuzzy[1])) == 1:
                return self._of_fuzzy(words[0], int(fuzzy[2] or 1))
        words = words_in(text)
        return self._of_prefix(words) if node["prefix"] else self.of_words(words, node["slop"])

    def of_words(self, words: Sequence[str], slop: int = 0) -> Any:
        """A word, or a phrase of them."""
        query = self._tantivy.Query
        if not words:
            return None
        if slop:
            self.patterns += [Pattern((word,)) for word in words]
        else:
            self.patterns.append(Pattern(tuple(words)))
        if len(words) == 1:
            return query.term_query(self._schema, "text", words[0])
        return query.phrase_query(self._schema, "text", list(words), slop=slop)

    def _of_prefix(self, words: Sequence[str]) -> Any:
        """Words of which the last may go on."""
        query = self._tantivy.Query
        if not words:
            return None
        *before, last = words
        self.patterns.append(Pattern((*before, lambda word: word.startswith(last))))
        if not before:
            return query.fuzzy_term_query(self._schema, "text", last, distance=0, prefix=True)
        regexes = [*(re.escape(word) for word in before), f"{re.escape(last)}.*"]
        return query.regex_phrase_query(self._schema, "text", regexes)

    def _of_fuzzy(self, word: str, distance: int) -> Any:
        self.patterns.append(Pattern((lambda other: edits(word, other) <= distance,)))
        return self._tantivy.Query.fuzzy_term_query(self._schema, "text", word, distance=distance)

    def _of_range(self, node: Any) -> Any:
        lower, upper = node["lower"], node["upper"]
        if "exclusive" in (lower["type"], upper["type"]):
            raise ConfigError("date: ranges have [ and ], with their ends, or >= and <=")
        return date_query(self._schema, lower.get("value"), upper.get("value"))


def _plain(text: str) -> str:
    return text.replace(_APOSTROPHE, "'")


def edits(a: str, b: str) -> int:
    """How many characters to put in, leave out, change or swap with the next to get b of a, each
    part edited once at most.

    >>> edits("color", "colour"), edits("form", "from"), edits("a", "abc")
    (1, 1, 2)
    """
    if abs(len(a) - len(b)) > 2:
        return 3  # more than anyone asks for
    two: list[int] = []
    one = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i]
        for j, y in enumerate(b, 1):
            now.append(min(one[j] + 1, now[-1] + 1, one[j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                now[-1] = min(now[-1], two[j - 2] + 1)
        two, one = one, now
    return one[-1]


def all_of(queries: Sequence[Any]) -> Any:
    import tantivy

    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def any_of(queries: Sequence[Any]) -> Any:
    import tantivy

    if not queries:
        return None
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def unscored(query: Any) -> Any:
    import tantivy

    return tantivy.Query.const_score_query(query, 0.0)


def date_query(schema: Any, since: str | None, until: str | None) -> Any:
    """Documents from within two months or years, both inclusive; None: no bound."""
    import tantivy

    first_year, first_month = (0, 1) if since is None else _date(since, 1)
    last_year, last_month = (9999, 12) if until is None else _date(until, 12)
    lower = first_year * 100 + (first_month if first_month > 1 else 0)
    upper = last_year * 100 + last_month
    kind = tantivy.FieldType.Unsigned
    made = tantivy.Query.range_query(schema, "date", kind, lower, upper)
    if last_month == 12:
        return made
    only_year = tantivy.Query.term_query(schema, "date", last_year * 100)
    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Must, made), (tantivy.Occur.MustNot, only_year)]
    )


def _date(text: str, month: int) -> tuple[int, int]:
    found = _DATE.fullmatch(text)
    if found is None or not 1 <= int(found[2] or month) <= 12:
        raise ConfigError(f"{text!r} is no date: give a year or a month, as 2021 or 2021-05")
    return int(found[1]), int(found[2] or month)


def shortened(query: str) -> str:
    return repr(query if len(query) <= 80 else f"{query[:60]}...")
