"""cc_net's normalisation, against the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import ccnet_text
from dolma_kit.language_models import text
from tests import naive
from tests.naive import language_models as twin

EVERY = [chr(c) for c in (*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200))]
# Sigmas, marks that stay and those that go, Hangul, what grows, control characters and spaces.
PIECES = [
    *"aZ .\t\r\n\x00\x1c\x7f\x85\xa0", "Σ", "ΑΣ", "Σα", "\u0301", "\u0130", "\u1e9e", "É", "Ж",
    "중", "\u302e", "\u302f", "\U0001d15e", "\U0001d165", "\U0001d16d", "\u1b44", "\ua953", "٣",
    "７", "１", "—", "…", "．", "►", "「", "中", "😀", "\u3000", "\u2028", "\u0344", "\ufb1d", "Ǆ",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=15).map("".join) | st.text(max_size=20)


def check(documents: list[str]) -> None:
    text_bytes, offsets = naive.as_arrays(documents)
    made = text.normalized(text.split(text_bytes, offsets, "document"))
    found = iter(zip(made.starts, made.ends, strict=True))
    for document in documents:
        if document:
            start, end = next(found)
            assert made.text[start:end].tobytes().decode() == twin.ccnet_normalized(document)


def test_every_character() -> None:
    asked = {chr(c) for c in np.flatnonzero(ccnet_text.table()[0] < 0).tolist()}
    assert len(asked) < 50
    check(["a" + "a".join(c for c in EVERY if c not in asked)])
    check([f"a{c}b" for c in [*asked, *EVERY[:0x500]]])


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, max_size=4))
def test_equals_twin(documents: list[str]) -> None:
    check(documents)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (" Crème BRÛLÉE, 2019\n", "creme brulee, 0000"),
        ("“a”—b…", '"a" - b...'),
        ("１２３ ٤٥", "000 00"),
        ("ΟΔΟΣ Σ", "οδος σ"),
        ("a\tb\nc\x7fd\x9fe", "abcde"),
        ("İstanbul", "istanbul"),
        ("\u00a0 \n", ""),
    ],
)
def test_by_hand(document: str, expected: str) -> None:
    assert twin.ccnet_normalized(document) == expected
    check([document])


@settings(deadline=None)
@given(st.lists(st.text(alphabet="a\n\r é", max_size=8)))
def test_lines(documents: list[str]) -> None:
    text_bytes, offsets = naive.as_arrays(documents)
    made = text.split(text_bytes, offsets)
    for i, document in enumerate(documents):
        lines = slice(made.first_lines[i], made.first_lines[i + 1])
        bounds = zip(made.starts[lines], made.ends[lines], strict=True)
        found = [text_bytes[a:b].tobytes().decode() for a, b in bounds]
        assert found == (document.split("\n") if document else [])
