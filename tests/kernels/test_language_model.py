"""Scores of language models and the numbers of their files, against a plain twin."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import arpa, language_model
from dolma_kit.language_models import text
from dolma_kit.language_models.models import Model
from tests import naive
from tests.naive import language_models as twin

#: what KenLM's util::MurmurHash64A gives for "", "a", "<unk>" and "longer than eight"
GOLDEN = [0, 0x071717D2D36B6B11, 0xEA91E7561F5B392B, 0x7F304419D23DD4A7]
WORDS = ["a", "b", "é", "longer-than-eight", "<unk>", "x"]
lines = st.lists(st.sampled_from([*WORDS, "out", "\t", "\u00a0", "a\0b", "\u3000c", "\x1c"])).map(
    " ".join
)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_hash_word(data: bytes) -> None:
    array = np.frombuffer(data, np.uint8)
    assert language_model.hash_word(array, 0, len(data)) == twin.murmur_hash(data)


def test_hash_word_is_the_same_for_ever() -> None:
    """KenLM's files hold these values: see tests/language_models/test_kenlm_files.py."""
    found = [twin.murmur_hash(word) for word in (b"", b"a", b"<unk>", b"longer than eight")]
    assert found == GOLDEN


def number(data: str) -> float:
    array = np.frombuffer(data.encode(), np.uint8)
    return float(arpa.number(array, 0, len(array)))


@settings(deadline=None)
@given(st.floats(-1e30, 1e30) | st.integers(-(10**25), 10**25).map(float))
def test_number(value: float) -> None:
    for written in (repr(value), f"{value:.6e}", f"{value:.7f}", f"{value:+.3E}"):
        assert np.float32(number(written)) == pytest.approx(float(written), rel=2e-7, abs=1e-45)


@given(st.integers(-(10**9), 10**9), st.integers(0, 9))
def test_numbers_of_arpa_files_are_exact(digits: int, places: int) -> None:
    written = f"{digits * 10.0**-places:.{places}f}"
    assert number(written) == float(written)


@pytest.mark.parametrize(
    "written",
    ["", "-", ".", "-.", "1e", "e5", "1e+", "nan", "inf", "-inf", "1,5", "0x1", "1 ", "--1"],
)
def test_what_is_no_number(written: str) -> None:
    assert math.isnan(number(written))


@st.composite
def arpa_files(draw: st.DrawFn) -> str:
    """A model of any order whose n-grams end and begin in whatever they do."""
    order = draw(st.integers(1, 4))
    log10 = st.integers(-400, 0).map(lambda n: n / 100)
    words = [*WORDS, "<s>", "</s>"]
    sections = [[(word,) for word in words if word != "<unk>" or draw(st.booleans())]]
    for n in range(2, order + 1):
        ngrams = st.tuples(*[st.sampled_from(words)] * n)
        sections.append(draw(st.lists(ngrams, unique=True, min_size=int(n == order), max_size=12)))
    parts = ["\\data\\", *(f"ngram {n}={len(found)}" for n, found in enumerate(sections, 1)), ""]
    for n, found in enumerate(sections, 1):
        parts.append(f"\\{n}-grams:")
        for ngram in found:
            backoff = f"\t{draw(log10)}" if n < order and draw(st.booleans()) else ""
            parts.append(f"{draw(log10)}\t{' '.join(ngram)}{backoff}")
        parts.append("")
    return "\n".join([*parts, "\\end\\", ""])


@settings(deadline=None, max_examples=60)
@given(arpa_files(), st.lists(lines, min_size=1, max_size=5))
def test_scores_equal_the_twin(
    tmp_path_factory: pytest.TempPathFactory, written: str, documents: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "model.arpa"
    path.write_text(written, encoding="utf-8", newline="\n")
    made = Model(str(path))
    scores = made.score(text.split(*naive.as_arrays(documents)))
    model = twin.read_arpa(written)
    for found, document in zip(scores, documents, strict=True):
        pieces = [twin.score_line(model, line) for line in document.split("\n") if document]
        expected = np.sum(pieces, axis=0) if pieces else np.zeros(3)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_probability_is_that_of_the_longest_ngram_and_backoffs(tmp_path: Path) -> None:
    """By hand: p(b | a) is there; c after `a b` backs off twice, after `<s>` once."""
    path = tmp_path / "by-hand.arpa"
    path.write_text(
        "\\data\\\nngram 1=6\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-2\t<unk>\n-99\t<s>\t-0.5\n"
        "-1\t</s>\n-0.75\ta\t-0.25\n-1.5\tb\t-0.125\n-3\tc\t0\n\n\\2-grams:\n-0.5\t<s> a\t-0.0625\n"
        "-0.25\ta b\t-0.03125\n-4\tc </s>\n\n\\3-grams:\n-0.1\t<s> a b\n\n\\end\\\n",
        encoding="utf-8",
    )
    found = Model(str(path)).score(text.split(*naive.as_arrays(["a b c", "c", "zebra", "", "\n"])))
    words_1 = [-0.5, -0.1, -0.03125 - 0.125 - 3, -4]
    words_2 = [-0.5 - 3, -4]
    words_3 = [-0.5 - 2, -1]
    end = -0.5 - 1
    np.testing.assert_allclose(
        found,
        [
            [sum(words_1), 4, 0],
            [sum(words_2), 2, 0],
            [sum(words_3), 2, 1],
            [0, 0, 0],
            [2 * end, 2, 0],
        ],
    )
