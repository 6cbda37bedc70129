"""Replacing spans: what no span covers stays, what one covers goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.replacing import Replacement, replace

TEXT = "abcdefghij klmnop"


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


@given(st.text(st.characters(exclude_characters="#"), min_size=30, max_size=30), spans)
def test_no_masked_character_survives_and_no_other_changes(
    text: str, pairs: list[list[int]]
) -> None:
    masked = {i for start, end in pairs for i in range(start, end)}
    result, n_regions = replace(text, [Replacement(a, b, "#") for a, b in pairs])
    assert result.replace("#", "") == "".join(c for i, c in enumerate(text) if i not in masked)
    assert result.count("#") == n_regions
