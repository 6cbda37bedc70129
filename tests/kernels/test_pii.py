"""Personal data against Dolma's patterns themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import pii, unicode
from tests import naive

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
mails = st.lists(
    st.sampled_from([*"@@@@.  ,?!;:)((\nab", "é", "x.y", "a@b.c ", "(@", "\u3000", "\x85", "\x1f"]),
    max_size=40,
).map("".join)
phones = st.lists(
    st.sampled_from(
        [*SPACES, *" -.()\n ", "1", "23", "123", "4567", "٣٤٥", "𝟗", " (555) 123-4567"]
    ),
    max_size=30,
).map("".join)
ips = st.lists(
    st.sampled_from([*"....", "0", "1", "25", "255", "256", "99", "1.2.3.4", " ", "\n", "٣", "a"]),
    max_size=30,
).map("".join)
mixed = st.lists(st.one_of(mails, phones, ips, st.text(max_size=5)), max_size=5).map("".join)


def check(texts: list[str]) -> None:
    spans = pii.find(*naive.as_arrays(texts))
    found: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    for doc, kind, start, end in zip(*(column.tolist() for column in spans), strict=True):
        found[doc].append((pii.TYPES[kind], start, end))
    assert found == [naive.pii(text) for text in texts]


@settings(deadline=None, max_examples=1500)
@given(mails)
def test_emails_are_those_of_the_pattern(paragraph: str) -> None:
    assert list(pii.find_emails(paragraph)) == naive.emails(paragraph)


@settings(deadline=None, max_examples=500)
@given(phones)
def test_phones_are_those_of_the_pattern(paragraph: str) -> None:
    assert list(pii.find_phones(paragraph)) == naive.phones(paragraph)


@settings(deadline=None, max_examples=500)
@given(st.lists(mixed | phones | ips, max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "@", "@\n", "a@b.c", "a@b.c ", "a@b.c\n", "a@b\n", "(@b.c ", "((@b.c ", "é(@b.c ",
        "mail joe@x.org.\nor ann@y.org, ", "a@b@c.d ", "x@@c.d ", "@a.b ", "a@.. ", "a@. ",
        "!@a.b !",
        "..(.@a.b (@c.d x@e.f ", "a@b.c  d@e.f ", "a@b.c@ d", "a@b.c.. ", "中@x.cn\u3000",
        "a\0@b.c\x1f",
        "555-123-4567", " 555-123-4567", "\n555-123-4567", "x\n 555-123-4567", "\t(555)123 4567",
        " 5551234567", " 55512345678", " (555 - . 123.4567", " ٥٥٥-١٢٣-٤٥٦٧",
        "\u2003555 123 4567 555",
        "1.2.3.4", "1234.1.1.1", "999.1.1.1", "1.2.3.256", "1.2.3", "1.2.3.", "1.2.3.4.5.6.7.8",
        "a1.1.1.1b",
        "01.002.255.256", "300.1.1.1", "1.2.3.\u0664", "1.2\n.3.4", "中1.2.3.4 a@b.c 555 123 4567",
        "1.1.1.1" + "\n?" * 10_000, "1.1.1.1" + "\n?" * 10_001,
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["a@b.c \n", text, "", "é\n" + text, text])


def test_no_documents() -> None:
    check([])


@pytest.mark.parametrize(
    "unit", ["x", "(", "@", ".", " ", "a@", "(@", "a@b.c", "a@b.c ", "555 ", "- ", "1.", "a@b.c!(("]
)
def test_time_is_linear(unit: str) -> None:
    # The patterns themselves would take from minutes to years.
    n = 300_000 // len(unit)
    text = f"{unit * n}a@b.cc {unit * n} 555 {unit * n}\n"
    for search in (pii.find_emails, pii.find_phones, pii.find_ips):
        assert all(0 <= start < end <= len(text) for start, end in search(text))
    assert len(pii.find(*naive.as_arrays([text])).docs) > 0


def test_scores_count_dolmas_own_span() -> None:
    texts = ["mail a@b.c now", "", "nothing"]
    arrays = naive.as_arrays(texts)
    counts, fractions = pii.score_documents(pii.find(*arrays), unicode.code_point_counts(*arrays))
    assert counts.tolist() == [1.0, 0.0, 0.0]
    assert fractions.tolist() == [(7 + 14) / 14, -1.0, 1.0]
    assert counts.dtype == fractions.dtype == np.float64
