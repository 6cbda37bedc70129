"""Replacing spans: what no span covers stays, what one covers goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.replacing import Cuts, Replacement
from tests import naive
from tests.naive.replacing import replace as replaced_plainly

TEXT = "abcdefghij klmnop"


def replace_all(texts: list[str], cuts: list[list[Replacement]]) -> tuple[list[str], int]:
    """The texts after all cuts, and how many regions that were."""
    data, offsets = naive.as_arrays(texts)
    made = Cuts()
    for i, of_text in enumerate(cuts):
        numbers = [made.text(cut.text, cut.literal) for cut in of_text]
        starts, ends = [cut.start for cut in of_text], [cut.end for cut in of_text]
        made.add([i] * len(of_text), starts, ends, numbers)
    found = made.apply(data, offsets, np.array([len(text) for text in texts], np.int64))
    result = list(texts)
    for row, text, n_bytes in zip(found.rows, found.texts, found.n_bytes, strict=True):
        result[row] = text
        assert len(text.encode()) == n_bytes
    return result, found.n_regions


def replace(text: str, cuts: list[Replacement]) -> tuple[str, int]:
    (result,), n_regions = replace_all([text], [cuts])
    return result, n_regions


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], TEXT),
        ([(0, 5, "<E>")], "<E>fghij klmnop"),
        # The next two leave `fghij` in clear in Dolma's mixer.
        ([(0, 5, "<E>"), (3, 10, "<E>")], "<E> klmnop"),
        ([(0, 5, "<E>"), (0, 10, "<E>")], "<E> klmnop"),
        ([(2, 2, "<E>")], TEXT),
        ([(2, 2, "<E>"), (3, 5, "<P>")], "abc<P>fghij klmnop"),
        ([(0, 5, "<A>"), (5, 10, "<B>")], "<A><B> klmnop"),
        ([(0, 17, "")], ""),
        ([(0, 10, "[{}]")], "[abcdefghij] klmnop"),
        # A span that quotes never shows what another one masks.
        ([(0, 10, "[{}]"), (2, 4, "<E>")], "<E> klmnop"),
        ([(0, 4, "[{}]"), (2, 10, "({})")], "[abcdefghij] klmnop"),
    ],
)
def test_replace(spans: list[tuple[int, int, str]], expected: str) -> None:
    assert replace(TEXT, [Replacement(*span) for span in spans])[0] == expected


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted))


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_characters="#", codec="utf-8"), min_size=30, max_size=30), spans
)
def test_no_masked_character_survives_and_no_other_changes(
    text: str, pairs: list[list[int]]
) -> None:
    masked = {i for start, end in pairs for i in range(start, end)}
    result, n_regions = replace(text, [Replacement(a, b, "#") for a, b in pairs])
    assert result.replace("#", "") == "".join(c for i, c in enumerate(text) if i not in masked)
    assert result.count("#") == n_regions


texts = st.text(st.sampled_from("aé日😀{}\n"), max_size=12)
cuts = st.lists(
    st.builds(
        lambda ends, text, literal: Replacement(min(ends), max(ends), text, literal),
        st.tuples(st.integers(0, 12), st.integers(0, 12)),
        st.sampled_from(["", "#", "<{}>", "{}{}", "}{", "é{}", "{", "|||日|||"]),
        st.booleans(),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, cuts), max_size=5))
def test_many_texts_beside_a_plain_twin(batch: list[tuple[str, list[Replacement]]]) -> None:
    texts_of = [text for text, _ in batch]
    cuts_of = [
        [cut._replace(start=min(cut.start, len(text)), end=min(cut.end, len(text))) for cut in of]
        for text, of in batch
    ]
    expected = [replaced_plainly(text, of) for text, of in zip(texts_of, cuts_of, strict=True)]
    result, n_regions = replace_all(texts_of, cuts_of)
    assert result == [text for text, _ in expected]
    assert n_regions == sum(n for _, n in expected)
