"""Where tokens stand, by their bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import alignment
from tests import naive
from tests.naive import repetition

Place = tuple[int, int]


def align(
    texts: list[str], tokens: list[list[bytes]], trim: tuple[int, int] = (0, 0)
) -> list[list[Place] | None]:
    known = sorted({token for one in tokens for token in one})
    ids = np.array([known.index(token) for one in tokens for token in one], np.uint32)
    id_offsets = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
    token_offsets = np.cumsum([0, *map(len, known)], dtype=np.int64)
    lengths: list[Any] = [np.full(len(known), n) for n in trim]
    starts, ends, is_aligned = alignment.align(
        ids, id_offsets, *naive.as_arrays(texts),
        np.frombuffer(b"".join(known), np.uint8), token_offsets, *lengths,
    )  # fmt: skip
    places = list(zip(starts.tolist(), ends.tolist(), strict=True))
    return [
        places[id_offsets[i] : id_offsets[i + 1]] if is_aligned[i] else None
        for i in range(len(texts))
    ]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.text("aé中😀 ", max_size=8), st.sets(st.integers(1, 20))), max_size=4))
def test_equals_twin(cut: list[tuple[str, set[int]]]) -> None:
    texts, tokens = [], []
    for text, cuts in cut:
        data = text.encode()
        bounds = sorted({0, len(data), *(c for c in cuts if c < len(data))})
        texts.append(text)
        tokens.append([data[a:b] for a, b in pairwise(bounds)])
    assert align(texts, tokens) == [
        repetition.aligned(text, one) for text, one in zip(texts, tokens, strict=True)
    ]


def test_a_text_that_its_tokens_do_not_make_up_is_not_aligned() -> None:
    texts = ["abc", "abc", "abc", "abc", "", ""]
    tokens = [[b"ab"], [b"ab", b"d"], [b"ab", b"c", b"c"], [b"ab", b"", b"c"], [], [b"a"]]
    assert align(texts, tokens) == [None, None, None, None, [], None]


def test_trimming_leaves_no_token_inside_out() -> None:
    assert align([" a ", "ab"], [[b" ", b"a", b" "], [b"ab"]], trim=(1, 1)) == [
        [(1, 1), (2, 2), (3, 3)],
        [(1, 1)],
    ]
