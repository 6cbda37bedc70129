"""Notices, counts, lines and comments of source code against plain Python."""

from __future__ import annotations

import io
import itertools
import sys
import tokenize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import code, python_comments
from tests.naive import as_arrays
from tests.naive import code as naive

PIECES = [
    "/*", "*/", "*", "/", "//", "#", "--", "-", "\n", "\n", "\r\n", "\r", "x", "copyright", "t",
    "COPYR\u0130GHT", "copyr\u0131ght", "copyrigh", "é", "e\u0301", "\u0301", "\x1c", "\x1f", "_",
    "\u200d", "²", "٣", "中", "\u2028", "\x85", " ", "\u3000", "$", "Ⓐ", "😀", "\0", "\x0b",
]  # fmt: skip
SOURCE = [
    "#", "# c", "#é", '"', "'", '"""', "'''", "\\", "\\\n", "\n", "\n", "\r\n", "\r", "\\\r\n",
    " ", "  ", "\t", "\f", "x", "a = 1", "(", ")", "[", "]", "{", "}", ":", ";", 'r"', "b'", 'f"',
    "don't", "$", "\0", "\u2028", "0x", "def f():\n", "  pass\n", '""', '\\"', "\\'", "\\\\",
]  # fmt: skip


def pieces(of: list[str], n: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(of), max_size=n).map("".join)


def check_code(texts: list[str]) -> None:
    arrays = as_arrays(texts)
    assert code.find_notices(*arrays).tolist() == [list(naive.notice(text)) for text in texts]
    assert code.count(*arrays).tolist() == [naive.counts(text) for text in texts]
    docs, starts, ends, lengths = (column.tolist() for column in code.stripped_lines(*arrays))
    lines = [arrays[0][a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)]
    expected = [(i, line) for i, text in enumerate(texts) for line in naive.stripped_lines(text)]
    assert list(zip(docs, lines, strict=True)) == expected
    assert lengths == [len(line) for line in lines]


@settings(deadline=None, max_examples=100)
@given(st.lists(pieces(PIECES, 25) | st.text(max_size=20), max_size=4))
def test_code_equals_twin(texts: list[str]) -> None:
    check_code(texts)


def test_edges_of_code() -> None:
    check_code([])
    check_code(
        ["", "\n", "\n\n", "/*/", "/*/*/copyright", "/* copyrigh", "# a", "\r\n", "a\r", "é"]
    )


@pytest.mark.parametrize("text", ["/*" * 10**6, "#" * 10**6, "\n" * 10**6, "/**" * 10**6 + "c" * 9])
def test_time_of_code_is_linear(text: str) -> None:
    arrays = as_arrays([text])
    assert code.find_notices(*arrays)[0, 2] in (0, len(text), len(text) + 1)
    assert code.count(*arrays)[0, 0] == len(text)


def comments(texts: list[str]) -> list[str]:
    text_bytes, offsets = as_arrays(texts)
    found = python_comments.find(text_bytes, offsets[:-1], offsets[1:])
    bounds = found.offsets.tolist()
    return [found.text[a:b].tobytes().decode() for a, b in itertools.pairwise(bounds)]


def of_tokenize(text: str) -> str:
    """What the module gives, in Python 3.11; later ones have another."""
    if sys.version_info >= (3, 12):
        return naive.python_comments(text)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError):
        return ""
    return "".join(t.string for t in tokens if t.type == tokenize.COMMENT).replace("#", "")


@settings(deadline=None, max_examples=300)
@given(st.lists(pieces(SOURCE, 25), max_size=3))
def test_comments_equal_twin_and_tokenize(texts: list[str]) -> None:
    expected = [naive.python_comments(text) for text in texts]
    assert comments(texts) == expected == [of_tokenize(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "#", "#a\r\r\n", "x = '#' # a\n", "(\n# a\n", ")\n# a\n", "# a\nif x:\n  y\n z\n",
        "x\\\n# a\n", "'\\\n# a'# b\n", "'''\n# a\n''' # b\n", "'a\\\n b\n''''c\n# d\n", "\f # a\n",
        "\t# a\n  x\n", "don't # a\n", "# a\n\tx\n        y\n", "x\n  ", "'\\\r\n # a\n# b\n",
    ],
)  # fmt: skip
def test_edges_of_comments(text: str) -> None:
    assert comments([text, "#\n"]) == [of_tokenize(text), ""]
    assert naive.python_comments(text) == of_tokenize(text)


@pytest.mark.parametrize(
    "unit", ["(", " ", "'", "'\\'", '"""', "\\\n", "x\n y\n", "#", "x" + " " * 999 + "$"]
)
def test_time_of_comments_is_linear(unit: str) -> None:
    assert len(comments([unit * (10**6 // len(unit)) + "\n# a\n"])[0]) in (0, 2)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("'a'", True), ("# b\n\n  ('a')", True), ("def f(): 'a'", True), ("class A:\n r'a'", True),
        ("x = 'a'", False), ("f('a')", False), ("{1: 'a'}", False), ("[x,\n'a']", False),
    ],
)  # fmt: skip
def test_texts_without_docstrings_are_known(text: str, marked: bool) -> None:
    text_bytes, offsets = as_arrays([text])
    found = python_comments.find(text_bytes, offsets[:-1], offsets[1:])
    assert found.may_have_docstrings.tolist() == [marked]


def test_no_documents() -> None:
    nothing = np.zeros(0, np.int64)
    assert len(python_comments.find(np.zeros(0, np.uint8), nothing, nothing).text) == 0
