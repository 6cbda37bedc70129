"""Filters and selectors in Dolma's form, over documents as Dolma's mixer sees them.

A document is its JSON with its attributes in it, under `attributes`, each a list of
`[start, end, score]`. It is kept if `include` is empty or one of it matches, and none of `exclude`
does. In JSONPath an expression matches if it leads anywhere (`jsonpath`); in jq, run by libjq,
where Dolma has jaq, an `include` matches if it gives something and all of it is true, an `exclude`
if any of what it gives is; 0, null and what is empty are false.

Attributes in JSONL are taken as they are written. In Parquet a score is `[[0, length, score]]`, and
a key without spans, or without a score, is not there, as in the JSONL that taggers write. The usual
rules, which ask for attributes and the score of their first span, are answered from columns.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attributes, jsonpath
from dolma_kit.attributes import Kind, Spans
from dolma_kit.config import DolmaRule
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.jsonpath import Condition, Operand

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch

_WORD = re.compile(r"[\w-]+")
#: `$.attributes.KEY`, `$@.attributes['KEY']`; in jq `.attributes.KEY`, `.attributes?["KEY"]?`
_SELECTORS = {
    "jsonpath": re.compile(r"(?:[$@]\.?)*\.?attributes(?:\.([\w/-]+)|\.?\['([^']+)'\])"),
    "jq": re.compile(r"\.attributes\??(?:\.(\w+)|\.?\[\"([^\"]+)\"\])\??"),
}
_KEYS_IN_JQ = re.compile(r"\.attributes\??(?:\.(\w+)|\.?\[\"([^\"]+)\"\])")
_COMPARISON_IN_JQ = re.compile(
    _KEYS_IN_JQ.pattern + r"\??\[0\]\??\[2\]\??\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
)
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])
_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


def selected(selector: str, syntax: str) -> str:
    """The attribute that a selector of spans names; a plain name is one itself.

    >>> selected("$.attributes.pii__t__EMAIL_ADDRESS", "jsonpath")
    'pii__t__EMAIL_ADDRESS'
    """
    if re.fullmatch(r"[\w-]+", selector):
        return selector
    match = _SELECTORS[syntax].fullmatch(selector.strip())
    if match is None:
        raise ConfigError(
            f"span_replacement {selector!r}: a span is a column, or a path to one attribute like "
            "$.attributes.KEY"
        )
    return str(match[1] or match[2])


def nearest(key: str, known: Sequence[str]) -> str:
    """A hint at the known key that comes nearest."""
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class DolmaFilter:
    """A compiled rule. ConfigError for an expression that cannot be read."""

    def __init__(self, rule: DolmaRule, known: Mapping[str, Kind]) -> None:
        self.rule = rule
        expressions = [*rule.include, *rule.exclude]
        if not expressions:
            raise ConfigError("filter: give include, exclude or both")
        self._matchers = {one: _matcher(one, rule.syntax) for one in expressions}
        words = {word for one in expressions for word in _WORD.findall(one)}
        is_wide = any(re.search(r"\*|\.\.|attributes\W*$|\[\]|\|", one) for one in expressions)
        #: the attribute columns that it may look at
        self.columns = {name: kind for name, kind in known.items() if is_wide or name in words}
        asked = dict.fromkeys(key for one in expressions for key in keys_in(one, rule.syntax))
        #: attributes that it names and nobody declares
        self.unknown = [key for key in asked if key not in known]
        self._columnar = {
            one: _columnar(one, self.columns) if rule.syntax == "jsonpath" else None
            for one in expressions
        }

    def evaluate(
        self, batch: Batch, columns: Mapping[str, pa.ChunkedArray], raw: Sequence[Any]
    ) -> dict[str, NDArray[np.bool_]]:
        """(n_docs,) bool by rule: which documents it removes. DataError where one fails.

        The rules are `include`, if there is one, and `exclude` with each expression.

        `columns` are those of Parquet, `raw` what JSONL has of each document: binary arrays.
        """
        import numpy as np

        documents = _Documents(batch, {k: columns[k] for k in self.columns if k in columns}, raw)
        found = {}
        for expression, matcher in self._matchers.items():
            columnar = self._columnar[expression]
            if columnar is not None and documents.are_columnar:
                found[expression] = columnar(documents.first_scores)
                continue
            is_include = expression in self.rule.include
            marks = np.zeros(len(batch), np.bool_)
            for i, document in enumerate(documents.whole()):
                try:
                    marks[i] = matcher(document, is_include)
                except ValueError as error:
                    reason = f"filter {expression!r}: {error}"
                    raise DataError(batch.path, int(batch.lines[i]), reason) from None
            found[expression] = marks
        removed = {}
        if self.rule.include:
            removed["include"] = ~np.logical_or.reduce([found[one] for one in self.rule.include])
        return removed | {f"exclude {one}": found[one] for one in self.rule.exclude}


class _Documents:
    """A batch's documents as Dolma's mixer sees them, made when they are asked for."""

    def __init__(
        self, batch: Batch, columns: Mapping[str, pa.ChunkedArray], raw: Sequence[Any]
    ) -> None:
        self._batch, self._columns, self._raw = batch, columns, raw
        self._made: list[dict[str, Any]] | None = None
        self._first: dict[str, NDArray[np.float64]] = {}

    @property
    def are_columnar(self) -> bool:
        """Whether all that is known of attributes is in columns, and nothing in the documents."""
        if self._raw:
            return False
        assert self._batch.raw is not None
        return b'"attributes"' not in b"".join(self._batch.raw)

    def first_scores(self, name: str) -> NDArray[np.float64]:
        """(n_docs,) the score of each one's first span, NaN where there is none."""
        import numpy as np

        if name not in self._first:
            column = self._columns[name]
            import pyarrow as pa

            kind: Kind = "spans" if pa.types.is_list(column.type) else "score"
            values = attributes.values_of(column, kind)
            if isinstance(values, Spans):
                scores = np.full(len(self._batch), np.nan)
                some = np.flatnonzero(np.diff(values.offsets))
                scores[some] = values.score[values.offsets[some]]
                values = scores
            self._first[name] = values
        return self._first[name]

    def whole(self) -> list[dict[str, Any]]:
        if self._made is None:
            self._made = list(self._whole())
        return self._made

    def _whole(self) -> Iterator[dict[str, Any]]:
        import pyarrow as pa

        lengths = self._batch.n_characters.tolist()
        columns = {}
        for name, column in self._columns.items():
            values = column.to_pylist()
            if pa.types.is_list(column.type):
                columns[name] = [
                    [[s["start"], s["end"], s["score"]] for s in spans or ()] for spans in values
                ]
            else:
                columns[name] = [
                    [] if score is None or score != score else [[0, n, score]]
                    for score, n in zip(values, lengths, strict=True)
                ]
        assert self._batch.raw is not None
        for i, raw in enumerate(self._batch.raw):
            document = _DOCUMENT.decode(raw)
            own = {name: values[i] for name, values in columns.items() if values[i]}
            for array in self._raw:
                own |= _ATTRIBUTES.decode(array[i].as_py())
            if own:
                there = document.get("attributes")
                document["attributes"] = (there if isinstance(there, dict) else {}) | own
            yield document


def keys_in(expression: str, syntax: str) -> list[str]:
    """The attributes that an expression names."""
    if syntax == "jq":
        return [a or b for a, b in _KEYS_IN_JQ.findall(expression)]
    parts = jsonpath.parse(expression).parts
    below = [part for part in parts if part not in ("$", "@")]
    if not below or below[0] != ("key", "attributes") or len(below) < 2:
        return []
    if isinstance(below[1], Condition):
        return list(_keys_of(below[1].tree))
    return [below[1][1]] if isinstance(below[1], tuple) and below[1][0] == "key" else []


def comparisons(expression: str, syntax: str) -> list[tuple[str, str, float]]:
    """(attribute, sign, number) of each score of a first span that an expression compares with a
    number, as `@.KEY[0][2] >= 0.5` or in jq `.attributes.KEY[0][2] >= 0.5`, in their order; within
    a `!` with the opposite sign.

    >>> comparisons("$.attributes[?(@.n[0][2] < 50 || @.m && @.m[0][2] > 3.5)]", "jsonpath")
    [('n', '<', 50.0), ('m', '>', 3.5)]
    """
    if syntax == "jq":
        if re.search(r"\bnot\b", expression):  # it may turn any of them into its opposite
            return []
        return [
            (a or b, sign, float(number))
            for a, b, sign, number in _COMPARISON_IN_JQ.findall(expression)
        ]
    conditions = [p for p in jsonpath.parse(expression).parts if isinstance(p, Condition)]
    return [found for one in conditions for found in _compared(one.tree, False)]


_OPPOSITE = {"<": ">=", ">": "<=", "<=": ">", ">=": "<"}


def _compared(tree: Any, negated: bool) -> Iterator[tuple[str, str, float]]:
    if tree[0] in ("and", "or", "not"):
        for part in tree[1:]:
            yield from _compared(part, negated != (tree[0] == "not"))
        return
    left, sign, right = tree
    steps = _steps(left)
    if sign in _COMPARISONS and steps is not None and len(steps) == 3:
        number = right.constant
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield steps[0][1], _OPPOSITE.get(sign, sign) if negated else sign, float(number)


def _keys_of(tree: Any) -> Iterator[str]:
    """The keys that the operands of a condition begin with."""
    if isinstance(tree, Operand):
        path = [part for part in tree.path or () if part != "@"]
        if path and isinstance(path[0], tuple) and path[0][0] == "key":
            yield path[0][1]
    elif isinstance(tree, tuple):
        for part in tree:
            yield from _keys_of(part)


def _matcher(expression: str, syntax: str) -> Callable[[dict[str, Any], bool], bool]:
    """Whether a document matches an expression of `include` (True) or of `exclude`."""
    if syntax == "jsonpath":
        path = jsonpath.parse(expression)
        return lambda document, is_include: path.matches(document)
    import jq

    try:
        program = jq.compile(expression)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read the jq filter {expression!r}: {reason}") from None

    def matches(document: dict[str, Any], is_include: bool) -> bool:
        found = [bool(one) for one in program.input_value(document).all()]
        return bool(found) and all(found) if is_include else any(found)

    return matches


def selection(expression: str) -> Callable[[dict[str, Any]], str]:
    """The text that a replacement with a leading `$` stands for: jq, into the document."""
    import jq

    try:
        program = jq.compile(expression.removeprefix("$"))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read the replacement {expression!r}: {reason}") from None

    def select(document: dict[str, Any]) -> str:
        found = program.input_value(document).all()
        if len(found) != 1 or not isinstance(found[0], str):
            shown = "nothing" if not found else f"{len(found)} values, the first no text"
            raise ValueError(f"the replacement {expression!r} gives {shown}: it has to give a text")
        return str(found[0])

    return select


#: by its name, the score of each document's first span of an attribute
FirstScores = Callable[[str], Any]


def _columnar(
    expression: str, known: Mapping[str, Kind]
) -> Callable[[FirstScores], NDArray[np.bool_]] | None:
    """The match of an expression over columns, if it is of the form `$.attributes[?(...)]` with
    `@.KEY`, `@.KEY[0]` and `@.KEY[0][2]` beside a number; else None."""
    below = [part for part in jsonpath.parse(expression).parts if part not in ("$", "@")]
    if len(below) != 2 or below[0] != ("key", "attributes") or not isinstance(below[1], Condition):
        return None
    tree = below[1].tree
    if any(key not in known for key in _keys_of(tree)):
        return None
    return (lambda scores: _tree_over(tree, scores)) if _is_columnar(tree) else None


def _is_columnar(tree: Any) -> bool:
    if tree[0] in ("and", "or", "not"):
        return all(_is_columnar(one) for one in tree[1:])
    left, sign, right = tree
    steps = _steps(left)
    if steps is None:
        return False
    if sign is None:
        return len(steps) <= 2
    number = right.constant
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return len(steps) == 3 and right.path is None and is_number and sign in _COMPARISONS


def _steps(operand: Operand) -> list[Any] | None:
    """The key, and the indexes 0 and then 2 after it, as far as they go; None of other paths."""
    path = list(operand.path or ())
    if path[:1] == ["@"]:
        path = path[1:]
    wanted = [("index", 0), ("index", 2)]
    if not path or not isinstance(path[0], tuple) or path[0][0] != "key" or len(path) > 3:
        return None
    return path if path[1:] == wanted[: len(path) - 1] else None


#: of scores, which are no whole numbers to JSON: `== 1` is never true of them, `== 1.0` may be
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: (a < b) | _is_equal(a, b),
    ">=": lambda a, b: (a > b) | _is_equal(a, b),
    "==": lambda a, b: _is_equal(a, b),
    "!=": lambda a, b: ~_is_equal(a, b),
}


def _is_equal(a: Any, b: Any) -> Any:
    return (a == b) & isinstance(b, float)


def _tree_over(tree: Any, first_scores: FirstScores) -> Any:
    import numpy as np

    if tree[0] == "not":
        return ~_tree_over(tree[1], first_scores)
    if tree[0] in ("and", "or"):
        parts = [_tree_over(one, first_scores) for one in tree[1:]]
        return (np.logical_and if tree[0] == "and" else np.logical_or).reduce(parts)
    left, sign, right = tree
    steps = _steps(left)
    assert steps is not None
    scores = first_scores(steps[0][1])
    if sign is None:
        return ~np.isnan(scores)
    return _COMPARISONS[sign](scores, right.constant)
