"""How much of a source file is for people: its comments, and what a browser shows of HTML.

After StarCoder's preprocessing (Li et al. 2023), as Dolma took it over.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dolma_kit import kernels
from dolma_kit.documents import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: where a docstring may be, and what Dolma sorts it by
_KINDS = {ast.ClassDef: "Class", ast.FunctionDef: "Function/Method", ast.Module: "Module"}
_BODIES = ("body", "handlers", "orelse", "finalbody", "cases")  # in the order of `ast`'s fields
#: what `ast.parse` ends with where it cannot parse a text
_PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_C_LIKE = ("java", "javascript")  # in which comments are `//` and `/* */`


def shares(
    batch: Batch, languages: Sequence[str | None], wanted: Collection[str] | None
) -> NDArray[np.float64]:
    """Comments of each document by its characters, (n_docs,), for the languages that are wanted.

    NaN where there is no language, or pygments knows none of its name, and for an empty text.
    """
    values = np.full(len(batch), np.nan)
    python = [i for i, language in enumerate(languages) if language == "python"]
    lengths = batch.once("comments of Python", lambda batch: _python(batch, python))
    for i, (text, language) in enumerate(zip(batch.texts, languages, strict=True)):
        if not text or language is None or (wanted is not None and language not in wanted):
            continue
        length = lengths[i] if language == "python" else _lexed(batch, i, language)
        values[i] = length / len(text) if length is not None else np.nan
    return values


def _python(batch: Batch, rows: Sequence[int]) -> dict[int, int]:
    """Characters of docstrings and comments of documents in Python."""
    starts, ends = batch.offsets[:-1][rows], batch.offsets[1:][rows]
    found = kernels.python_comments.find(batch.text_bytes, starts, ends)
    bounds = found.offsets.tolist()
    lengths = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is written in the source
        for n, i in enumerate(rows):
            comments = str(found.text[bounds[n] : bounds[n + 1]].data, "utf-8")
            text = docstrings(batch.texts[i]) if found.may_have_docstrings[n] else ""
            lengths[i] = len(f"{text}\n{comments}".strip())
    return lengths


def docstrings(source: str) -> str:
    """The docstrings of a source file, by kind and name; none where it cannot be parsed."""
    try:
        nodes = [node for node in _scopes(ast.parse(source)) if type(node) in _KINDS]
        nodes.sort(key=lambda node: (_KINDS[type(node)], getattr(node, "name", None)))
        return "\n".join(filter(None, map(ast.get_docstring, nodes)))
    except _PARSE_ERRORS:
        return ""


def _scopes(tree: ast.Module) -> Iterator[Any]:
    """Statements and what holds statements, in the order of `ast.walk`."""
    level: list[Any] = [tree]
    while level:
        yield from level
        level = [
            child
            for node in level
            for body in _BODIES
            if isinstance(children := getattr(node, body, None), list)
            for child in children
        ]


def _lexed(batch: Batch, i: int, language: str) -> int | None:
    """Characters of comments, as a lexer of pygments finds them; None where it has none."""
    key = f"comments of document {i} by pygments"
    return batch.once(key, lambda batch: comment_length(batch.texts[i], language))


def comment_length(text: str, language: str) -> int | None:
    """Characters in comments of one line or several, by pygments; None without a lexer."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment
    from pygments.util import ClassNotFound

    if language in _C_LIKE and "//" not in text and "/*" not in text:
        return 0
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return None
    wanted = (Comment.Multiline, Comment.Single)
    return sum(len(token) for kind, token in lexer.get_tokens(text) if kind in wanted)


def visible_share(batch: Batch, i: int) -> float:
    """What a browser shows of a document by its characters; see `shown`."""
    return batch.once(f"what document {i} shows", lambda batch: shown(batch.texts[i]))


def shown(html: str) -> float:
    """What a browser shows of HTML by its characters: 0 for up to 100, -1 if it is not parsed."""
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    if not html:
        return -1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it looks like a file's name, or like XML
        try:
            soup = BeautifulSoup(html, features="html.parser")
        except (ParserRejectedMarkup, RecursionError):
            return -1.0
        except (TypeError, UnboundLocalError):
            return 0.0
    for element in soup(["script", "style"]):
        element.extract()
    length = len(soup.get_text())
    return length / len(html) if length > 100 else 0.0
