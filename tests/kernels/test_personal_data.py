"""Candidates for personal data against regular expressions on bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import personal_data, unicode
from taggers import account_numbers, phone_numbers
from tests import naive
from tests import personal_data as labelled
from tests.naive import personal_data as twin

LENGTHS = account_numbers.iban_lengths()
CUES = personal_data.cue_table(phone_numbers.CUES)
FORMS = labelled.forms()
DATA = [
    datum
    for family in ("EMAIL_ADDRESS", "IPv4", "IPv6", "PAYMENT_CARD", "IBAN", "PHONE_NUMBER")
    for datum in FORMS[family]
]
pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [*"@@::++..--((//)  \n_é中\u00a0\u2011＋０３٣۴५1", "1", "00", "011", "206", "555",
             "4111", "0100", "Tel ", "phone:", "电话", "cal", "x", "fe80", "a.b", "DE", "::", "1.",
             "+1 ", "1234567"]
        ),
        st.sampled_from(DATA),
        st.text(max_size=2),
    ),
    max_size=14,
).map("".join)  # fmt: skip


def check(texts: list[str]) -> None:
    lengths = personal_data.length_table(LENGTHS)
    found = personal_data.find_candidates(*naive.as_arrays(texts), lengths, CUES)
    assert found.docs.tolist() == sorted(found.docs.tolist())
    by_document: list[list[tuple[int, int]]] = [[] for _ in texts]
    columns = (found.docs, found.kinds, found.characters)
    for doc, kind, place in zip(*(column.tolist() for column in columns), strict=True):
        by_document[doc].append((kind, place))
    assert [sorted(places) for places in by_document] == [
        twin.candidates(text, LENGTHS, CUES) for text in texts
    ]


@settings(deadline=None, max_examples=200)
@given(st.lists(pieces, max_size=3))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


def test_equals_twin_on_the_labelled_set() -> None:
    check([document.text for document in labelled.documents()[::4]])


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a@b.c", "a@b.cc", "a@b..cc", "a@é.é", f"a@{'x' * 253}.cc", f"a@{'x' * 254}.cc",
        "1.2.3.4", "1.2.3.1234", "1234.1.2.3", ".1.2.3.4", "1.2.3.", "a1.2.3.4",
        "::1", ":::1", "std::b1", "addr:::1", "12345::1", "1:2:3:4:5:6:7", "1:2:3:4:5:6",
        "::" + "1" * 70, "4111 1111 1111 1111 12/27", "4111-1111 1111-1111", "0" * 16,
        "4111\u00a01111\u00a01111\u00a01111",
        "DE89370400440532013000", "xDE89370400440532013000", "DE89  370400440532013000", "DE893704",
        "206-555-0100", "206-5550100", "206-55501000", "1 206 555 0100", "１ 206 555 0100",
        "2065550100", "206    555 0100", "+1234567", "＋1234567", "\uf00b1234567",
        "0012345678 9", "0011234567",
        "tel 1234567", "intel 1234567", "inTel 1234567", "tel\n1234567", "电话1234567",
        "9 1234567 tel 1234567",
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["é1.2.3.4", text, "", "x " + text + " y", text])


def test_no_documents() -> None:
    check([])


def test_more_candidates_than_there_was_room_for() -> None:
    check(["a@b.cc " * 1_100])


def test_places_are_counted_in_code_points() -> None:
    texts = ["éé a@b.cc, 中中 a@b.cc", "", "a@b.cc"]
    text_bytes, offsets = naive.as_arrays(texts)
    found = personal_data.find_candidates(
        text_bytes, offsets, personal_data.length_table(LENGTHS), CUES
    )
    assert found.characters.tolist() == [4, 15, 1]
    assert unicode.code_point_counts(text_bytes, offsets).tolist() == [len(t) for t in texts]
