"""JSONPath as Dolma's mixer has it: the language of the Rust crate jsonpath-rust, version 0.3.

    chain    one or more of  $  @  .name  ['name']  ..name  .*  [*]  ..*  .length()  [INDEX]
    INDEX    0   0,1   'a','b'   start:end:step   ?(LOGIC)
    LOGIC    AND || AND ...,  AND of  NOT && NOT ...,  NOT of  !ATOM  or ATOM,
             ATOM of  (LOGIC)  or  OPERAND  or  OPERAND SIGN OPERAND
    OPERAND  chain   'text'   1.5   true   false   null   ['a', 'b']   [1, 2]
    SIGN     == != < <= > >= ~= in nin size noneOf anyOf subsetOf

It is not that of RFC 9535, and has habits that published configs depend on; `tests/golden` holds
what Dolma itself keeps by hundreds of expressions:

- A filter on an array is about its elements, on anything else about that thing itself; and so is
  each part of a condition with `&&`, `||` or `!`, so that of an array none is true but by elements.
- A path that leads nowhere is not null: `==`, `<`, `<=`, `>` and `>=` are false of it beside a
  value, `!=`, `nin`, `size`, `anyOf` and `subsetOf` true.
- `>=` is `>` or `==`, and 1 is not equal to 1.0; numbers are compared by value only with < and >.
- A slice that ends beyond the array is empty; an end of 0 is the array's.
- Text is as it is written: escapes stay as they are. `size` counts the bytes of a text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dolma_kit.errors import ConfigError

#: a step: what it leads to from a value; the root comes along
Step = Callable[[Any, Any], list[Any]]
#: a condition on a value
Test = Callable[[Any, Any], bool]

_SPACE = re.compile(r"[ \t\n]*(?:\r\n[ \t\n]*)*")
_KEY = re.compile(r"(?!length\(\))[A-Za-z0-9_\-/\\#]+")
_TEXT = re.compile(r"'((?:[^\"'\\]|\\[\"'\\/bfnrt]|\\u[0-9A-Fa-f]{4})*)'")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_SIGN = re.compile(r"==|!=|~=|>=|>|<=|<|in|nin|size|noneOf|anyOf|subsetOf")


class Length(int):
    """What `.length()` leads to: a value that a condition does not see."""


class Operand(NamedTuple):
    """One side of a condition: `values` of a value, and what it was written as."""

    values: Callable[[Any, Any], list[Any]]
    constant: Any  # of no path
    path: Sequence[Any] | None  # of the path's steps, for `attribute_filter`


class Condition(NamedTuple):
    """A parsed LOGIC: its test, and its tree of ("and"|"or"|"not", ...) or (left, sign, right)."""

    test: Test
    tree: tuple[Any, ...]


class Path:
    """A parsed expression. ConfigError, with the place, for what is none.

    >>> Path("$.a[?(@.b > 1)]").find({"a": [{"b": 1}, {"b": 2}]})
    [{'b': 2}]
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        parser = _Parser(expression)
        self.steps, self.parts = parser.chain()
        parser.skip()
        if parser.at < len(expression):
            raise parser.error()

    def find(self, document: Any) -> list[Any]:
        """All values that it leads to."""
        return _follow(self.steps, document, document)

    def matches(self, document: Any) -> bool:
        """Whether it leads to any value, null and empty ones among them."""
        return bool(self.find(document))


@functools.lru_cache(maxsize=1024)
def parse(expression: str) -> Path:
    return Path(expression)


def _follow(steps: Iterable[Step], value: Any, root: Any) -> list[Any]:
    values = [value]
    for step in steps:
        values = [found for one in values for found in step(one, root)]
        if not values:
            break
    return values


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self) -> ConfigError:
        rest = self.text[self.at : self.at + 20]
        where = f"at {rest!r}" if rest else "at its end"
        return ConfigError(f"cannot read the JSONPath {self.text!r} {where}")

    def skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def take(self, token: str) -> bool:
        """Whether a token comes next, after white space; it is passed if so."""
        before = self.at
        self.skip()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        self.at = before
        return False

    def need(self, token: str) -> None:
        if not self.take(token):
            self.skip()
            raise self.error()

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        before = self.at
        self.skip()
        match = pattern.match(self.text, self.at)
        self.at = before if match is None else match.end()
        return match

    def chain(self) -> tuple[list[Step], list[Any]]:
        """Steps, and what each was written as: a key, a number, `$`, `@`, or a Condition."""
        steps: list[Step] = []
        parts: list[Any] = []
        while (found := self._step()) is not None:
            steps.append(found[0])
            parts.append(found[1])
        if not steps:
            self.skip()
            raise self.error()
        return steps, parts

    def _step(self) -> tuple[Step, Any] | None:
        before = self.at
        if self.take("$"):
            return _root, "$"
        if self.take("@"):
            return _current, "@"
        if self.take(".."):
            if self.take("*"):
                return _everything, None
            key = self._key()
            if key is None:
                raise self.error()
            return functools.partial(_descend, key), None
        dotted = self.take(".")
        if dotted and self.take("*"):
            return _all, None
        if dotted and self.text.startswith("length()", self.at):
            self.at += len("length()")
            return _length, None
        key = self._key(is_dotted=dotted)
        if key is not None:
            return functools.partial(_field, key), ("key", key)
        if self.take("["):
            return self._index()
        self.at = before
        return None

    def _key(self, *, is_dotted: bool = True) -> str | None:
        """A name, or one in brackets and quotes; a name follows a dot at once."""
        if is_dotted and (match := _KEY.match(self.text, self.at)):
            self.at = match.end()
            return match[0]
        before = self.at
        if self.take("[") and (match := _TEXT.match(self.text, self.at)):
            self.at = match.end()
            if self.text.startswith("]", self.at):
                self.at += 1
                return match[1]
        self.at = before
        return None

    def _index(self) -> tuple[Step, Any]:
        if self.take("*"):
            self.need("]")
            return _all, None
        if self.take("?"):
            self.need("(")
            condition = self._logic()
            self.need(")")
            self.need("]")
            return functools.partial(_filter, condition.test), condition
        if (names := self._texts()) is not None:
            if len(names) < 2:
                raise self.error()
            self.need("]")
            return functools.partial(_fields, tuple(names)), None
        before = self.at
        if (sliced := self._slice()) is not None:
            return functools.partial(_slice, *sliced), None
        self.at = before
        numbers = [self._unsigned()]
        while self.take(","):
            numbers.append(self._unsigned())
        self.need("]")
        if len(numbers) == 1:
            return functools.partial(_element, numbers[0]), ("index", numbers[0])
        return functools.partial(_elements, tuple(numbers)), None

    def _unsigned(self) -> int:
        match = self.match(_WHOLE)
        if match is None or match[0].startswith("-"):
            raise self.error()
        return int(match[0])

    def _texts(self) -> list[str] | None:
        match = self.match(_TEXT)
        if match is None:
            return None
        found = [match[1]]
        while self.take(","):
            match = self.match(_TEXT)
            if match is None:
                raise self.error()
            found.append(match[1])
        return found

    def _slice(self) -> tuple[int, int, int] | None:
        start = self.match(_WHOLE)
        if not self.take(":"):
            return None
        end = self.match(_WHOLE)
        step = 1
        if self.take(":"):
            step = self._unsigned()
        self.need("]")
        if step < 1:
            raise self.error()
        return int(start[0]) if start else 0, int(end[0]) if end else 0, step

    def _logic(self) -> Condition:
        found = [self._and()]
        while self.take("||"):
            found.append(self._and())
        if len(found) == 1:
            return found[0]
        tests = [one.test for one in found]
        return Condition(
            lambda value, root: any(_holds(test, value, root) for test in tests),
            ("or", *(one.tree for one in found)),
        )

    def _and(self) -> Condition:
        found = [self._not()]
        while self.take("&&"):
            found.append(self._not())
        if len(found) == 1:
            return found[0]
        tests = [one.test for one in found]
        return Condition(
            lambda value, root: all(_holds(test, value, root) for test in tests),
            ("and", *(one.tree for one in found)),
        )

    def _not(self) -> Condition:
        if not self.take("!"):
            return self._atom()
        test, tree = self._atom()
        return Condition(lambda value, root: not _holds(test, value, root), ("not", tree))

    def _atom(self) -> Condition:
        if self.take("("):
            found = self._logic()
            self.need(")")
            return found
        left = self._operand()
        sign = self.match(_SIGN)
        if sign is None:
            return Condition(lambda value, root: bool(left.values(value, root)), (left, None, None))
        right = self._operand()
        holds = SIGNS[sign[0]]
        return Condition(
            lambda value, root: holds(left.values(value, root), right.values(value, root)),
            (left, sign[0], right),
        )

    def _operand(self) -> Operand:
        before = self.at
        self.skip()
        if self.text.startswith("[", self.at) and (found := self._list()) is not None:
            return Operand(lambda value, root: [found], found, None)
        self.at = before
        if match := self.match(_TEXT):
            text = match[1]
            return Operand(lambda value, root: [text], text, None)
        if match := self.match(_NUMBER):
            number = float(match[0]) if re.search("[.eE]", match[0]) else int(match[0])
            return Operand(lambda value, root: [number], number, None)
        for word, constant in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return Operand(lambda value, root, own=constant: [own], constant, None)  # type: ignore[misc]
        steps, parts = self.chain()
        return Operand(
            lambda value, root: [
                one for one in _follow(steps, value, root) if not isinstance(one, Length)
            ],
            None,
            parts,
        )

    def _list(self) -> list[Any] | None:
        """A list of texts, or of two numbers or more; one number in brackets is an index."""
        self.need("[")
        if (names := self._texts()) is not None:
            return names if self.take("]") else None
        numbers: list[Any] = []
        while match := self.match(_NUMBER):
            numbers.append(float(match[0]) if re.search("[.eE]", match[0]) else int(match[0]))
            if not self.take(","):
                break
        return numbers if len(numbers) > 1 and self.take("]") else None


def _root(value: Any, root: Any) -> list[Any]:
    return [root]


def _current(value: Any, root: Any) -> list[Any]:
    return [value]


def _field(key: str, value: Any, root: Any) -> list[Any]:
    return [value[key]] if isinstance(value, dict) and key in value else []


def _fields(keys: tuple[str, ...], value: Any, root: Any) -> list[Any]:
    return [found for key in keys for found in _field(key, value, root)]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _all(value: Any, root: Any) -> list[Any]:
    return _children(value)


def _descend(key: str, value: Any, root: Any) -> list[Any]:
    found = _field(key, value, root)
    for child in _children(value):
        found += _descend(key, child, root)
    return found


def _everything(value: Any, root: Any) -> list[Any]:
    found = _children(value)
    return found + [one for child in found for one in _everything(child, root)]


def _length(value: Any, root: Any) -> list[Any]:
    return [Length(len(value))] if isinstance(value, list) else []


def _element(index: int, value: Any, root: Any) -> list[Any]:
    return [value[index]] if isinstance(value, list) and index < len(value) else []


def _elements(indexes: tuple[int, ...], value: Any, root: Any) -> list[Any]:
    return [found for index in indexes for found in _element(index, value, root)]


def _slice(start: int, end: int, step: int, value: Any, root: Any) -> list[Any]:
    if not isinstance(value, list):
        return []
    n = len(value)
    if not -n <= start <= n or not -n <= end <= n:
        return []
    start, end = (place + n if place < 0 else place for place in (start, end))
    return value[start : end or n : step]


def _filter(test: Test, value: Any, root: Any) -> list[Any]:
    return [one for one in (value if isinstance(value, list) else [value]) if test(one, root)]


def _holds(test: Test, value: Any, root: Any) -> bool:
    """What `&&`, `||` and `!` ask: each part is a filter of its own, on an array about elements."""
    return bool(_filter(test, value, root))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: of the same kind, whole numbers and others being two kinds."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def _equal(left: list[Any], right: list[Any]) -> bool:
    return same(left, right)


def _less(left: list[Any], right: list[Any]) -> bool:
    if len(left) != 1 or len(right) != 1 or not _is_number(left[0]) or not _is_number(right[0]):
        return False
    return bool(left[0] < right[0])


def _matches(left: list[Any], right: list[Any]) -> bool:
    if not left or not right or not isinstance(right[0], str):
        return False
    try:
        pattern = re.compile(right[0])
    except re.error:
        return False
    return any(isinstance(one, str) and pattern.search(one) is not None for one in left)


def _inside(left: list[Any], right: list[Any]) -> bool:
    among = _children(right[0]) if right else []
    return any(same(one, other) for one in left for other in among)


def _any_of(left: list[Any], right: list[Any]) -> bool:
    if not left:
        return True
    among = right[0] if right and isinstance(right[0], list) else []
    own = [one for value in left for one in (value if isinstance(value, list) else [value])]
    return any(same(one, other) for one in own for other in among)


def _subset(left: list[Any], right: list[Any]) -> bool:
    if not left:
        return True
    if not right or not isinstance(left[0], list) or not isinstance(right[0], list):
        return False
    return bool(right[0]) and all(any(same(a, b) for b in right[0]) for a in left[0])


def _size(left: list[Any], right: list[Any]) -> bool:
    if not right or not _is_number(right[0]):
        return False
    for value in left:
        if isinstance(value, str):
            n = len(value.encode())
        elif isinstance(value, list | dict):
            n = len(value)
        else:
            return False
        if n != int(right[0]):
            return False
    return True


SIGNS: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _less,
    "<=": lambda left, right: _less(left, right) or _equal(left, right),
    ">": lambda left, right: _less(right, left),
    ">=": lambda left, right: _less(right, left) or _equal(left, right),
    "~=": _matches,
    "in": _inside,
    "nin": lambda left, right: not _inside(left, right),
    "size": _size,
    "noneOf": lambda left, right: not _any_of(left, right),
    "anyOf": _any_of,
    "subsetOf": _subset,
}
