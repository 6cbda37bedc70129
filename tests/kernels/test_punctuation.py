"""Slices of characters of a set alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import punctuation, whitespace
from tests import naive

SET = "!…😀 \u3000\x00"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("!…😀 \u3000\x00aé\U0010ffff", max_size=6), max_size=5))
def test_equals_twin(texts: list[str]) -> None:
    data, offsets = naive.as_arrays(texts)
    starts, ends = offsets[:-1], offsets[1:]
    found = punctuation.only_of(data, starts, ends, whitespace.table_of(SET))
    assert found.tolist() == [set(text) <= set(SET) for text in texts]
    assert found.dtype == np.bool_
