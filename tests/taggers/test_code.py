"""The taggers of source code and licences, where Dolma's answers do not say it all."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

from dolma_kit import registry
from dolma_kit.attributes import Spans
from dolma_kit.errors import ConfigError
from taggers import code, code_comments, code_composition, license, secrets

from . import settings
from .settings import GOLDEN
from .test_taggers import batch_of, spans, tag

BY = '<a href="https://creativecommons.org/licenses/by'


def test_a_secret_is_where_its_line_first_stands() -> None:
    """A known bug of Dolma's: the second copy stays, and the first may be within another line."""
    line = "x = 'q7Zk2LxV9bTnR4wYcJ8mHdF3sPgA6uEo'"
    text = f"# pragma: allowlist secret: {line}\n{line}\n{line}\n"
    found = spans(tag("code_secrets_v1", [text]), "SECRET_Base64_High_Entropy_String", 0)
    assert [text[a:b] for a, b in found] == [line[5:-1]]
    assert found[0][0] == text.index("q7")


def test_a_token_that_python_cannot_read_gives_no_values() -> None:
    import base64

    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 200_000).decode().rstrip("=")
    deep += "A" * (-len(deep) % 4)
    columns = tag("code_secrets_v1", [f"{deep}.{deep}", "pwd: zq9"])
    doc = columns["doc"]
    assert not isinstance(doc, Spans)
    assert np.isnan(doc[0])
    assert doc[1] == 0.5


def test_needles_are_found_alike_one_by_one_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ab" * 40 + "xyz" + "é" * 30 + "abx" + "b" * 30
    needles = {text[i:j] for i in range(0, 140, 3) for j in range(i + 1, len(text), 7)}
    expected = {needle: text.index(needle) for needle in needles}
    assert secrets.first_places(text, needles) == expected
    monkeypatch.setattr(secrets, "_MANY", 0)
    assert secrets.first_places(text, needles) == expected


@pytest.mark.parametrize(
    "source",
    [
        inspect.getsource(ast),
        inspect.getsource(code),
        "class B:\n 'b'\n def f(): 'f'\ndef a():\n 'a'\n class C: 'c'\nif 1:\n def z(): 'z'\n"
        "else:\n def z(): 'y'\ntry:\n def z(): 'x'\nexcept A:\n def z(): 'w'\n"
        "else:\n def z(): 'v'\n"
        "finally:\n def z(): 'u'\nmatch a:\n case 1:\n  def z(): 't'\n",
        "x = (",
        "\0",
    ],
)
def test_docstrings_are_those_of_a_walk_over_the_tree(source: str) -> None:
    kinds = {ast.ClassDef: 0, ast.FunctionDef: 1, ast.Module: 2}
    try:
        nodes = [node for node in ast.walk(ast.parse(source)) if type(node) in kinds]
    except (SyntaxError, ValueError):
        nodes = []
    nodes.sort(key=lambda node: (kinds[type(node)], getattr(node, "name", "")))
    found = [ast.get_docstring(node) for node in nodes]  # type: ignore[arg-type]
    assert code_comments.docstrings(source) == "\n".join(filter(None, found))


def test_a_tree_too_deep_for_python_has_no_docstrings() -> None:
    assert code_comments.docstrings("'a'\n" + "-" * 100_000 + "1") == ""


@pytest.mark.parametrize("language", ["java", "javascript"])
@pytest.mark.parametrize("text", ["x = 1;", "<!-- a", "#! /b", '"/"', "a / b"])
def test_texts_without_slashes_have_no_comments(language: str, text: str) -> None:
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment

    kinds = {kind for kind, _ in get_lexer_by_name(language).get_tokens(text)}
    assert not kinds & {Comment.Single, Comment.Multiline}
    assert code_comments.comment_length(text, language) == 0


def test_stars_that_are_not_finite_have_no_value() -> None:
    columns = code.CodeStarCoderTaggersV2().tag(
        batch_of(["x"] * 3, [{"max_stars_count": s} for s in ("nan", "inf", True)])
    )
    np.testing.assert_array_equal(columns["num_github_stars_doc"], [np.nan, np.nan, 1])


@pytest.mark.parametrize("part_id", ["code_starcoder_taggers_v1", "code_starcoder_taggers_v2"])
@pytest.mark.parametrize("unit", ["(", "'", "x ", '"""', "# a\n"])
def test_time_of_python_is_linear(part_id: str, unit: str) -> None:
    made = settings.made(part_id)
    batch = batch_of([unit * (200_000 // len(unit))], [{"ext": "py"}])
    assert all(np.isfinite(np.asarray(value)).all() for value in made.tag(batch).values())


def licences(html: str, part_id: str = "cc_re") -> dict[str, list[float]]:
    columns = settings.made(part_id).tag(batch_of(["é"], [{"html": html}]))
    return {
        key: value.score.tolist()
        for key, value in columns.items()
        if isinstance(value, Spans) and len(value.start)
    }


def test_licences_that_are_not_to_be_expected_are_told() -> None:
    html = f'{BY}/4.0/"> {BY}/7.5/"> {BY}/4.0/qq"> {BY}/3.0/de">'
    assert licences(html) == {
        "cc_by_4.0": [1.0],
        "cc_other": [0.75, 0.66667],
        "cc_by_3.0_de": [0.625],
    }
    made = registry.tagger({"id": "cc_re", "languages": "qq"})
    columns = made.tag(batch_of(["é"], [{"html": html}]))
    found = {key for key, value in columns.items() if isinstance(value, Spans) and len(value.start)}
    assert found == {"cc_by_4.0", "cc_other", "cc_by_4.0_qq"}


@pytest.mark.parametrize(
    "html",
    [
        "<a " * 10**5, "<a href=http://creativecommons.org/licenses/by/4.0 " * 10**4 + ">",
        "<a " + "href=http://creativecommons.org/licenses/by/4.0 " * 10**4,
        "<a " + "\n" * 10**5 + BY, "creativecommons.org/" * 10**4, BY + '"' * 10**6,
    ],
)  # fmt: skip
def test_time_of_licences_is_linear(html: str) -> None:
    assert list(license.licences(html + "creativecommons.org/licenses")) == []


def test_a_model_with_other_labels_is_refused() -> None:
    model = str(GOLDEN / "dolma_models" / "nsfw.bin")
    made = registry.tagger({"id": "code_composition", "model": model})
    with pytest.raises(ConfigError, match="missing: code, other, prose; unknown: non-nsfw, nsfw"):
        made.models()


def test_dolmas_way_to_strip_labels_leaves_these() -> None:
    """It strips the letters of `__label__`, which would eat the start of a label like `latex`."""
    for label in code_composition.LABELS:
        assert f"__label__{label}".lstrip("__label__") == label  # noqa: B005
