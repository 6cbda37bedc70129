"""The rules of C4 against C4's own patterns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import c4_v3, c4_words
from tests import naive
from tests.naive import c4_v3 as twin

WORDS = [
    "ass", "naughty", "longnaughtyword", "kk", "i", "a b", "ab i", "i kick it", "g-spot", "s&m",
    "🖕",
]  # fmt: skip
PACKED = c4_words.pack_words(WORDS)
LDNOOBW = Path(__file__).parents[2] / "taggers" / "data" / "naughty_words_en.txt"
SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
PIECES = [
    *SPACES, *"  \n\n\r.?!\"'{)]}”’»…_0k", *WORDS, *(word.upper() for word in WORDS),
    "\u0130", "\u212a", "\u0307", "x", "É", "é", "中", "٣", "\0", "[", "]", "[1]", "[٣]", "[]",
    "[edit]", "[citation needed]", "[citation", "java[1]script", "JavaScript ", "vascript",
    "terms of use", "Privacy Policy", "use  cookies", "lorem ipsum", "LOREM[2] ipsum", "y" * 1000,
    "one two three four five.", "Mr.", "J.", "St.", ".5.", "...", "e.g.",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=30)


def check(
    texts: list[str],
    words: list[str] = WORDS,
    packed: c4_words.WordList = PACKED,
    min_words: int = 3,
) -> None:
    found = c4_v3.find(*naive.as_arrays(texts), packed, min_words=min_words)
    for doc, text in enumerate(texts):
        counts, broken, citations = twin.find(text, words, min_words)
        assert found.counts[doc].tolist() == list(counts.values())
        rows = slice(found.line_offsets[doc], found.line_offsets[doc + 1])
        for i, rule in enumerate(c4_v3.RULES):
            holds = (found.rules[rows] >> i & 1).astype(np.bool_)
            assert found.lines[rows][holds].tolist() == list(map(list, broken[rule]))
        rows = slice(found.citation_offsets[doc], found.citation_offsets[doc + 1])
        assert found.citations[rows].tolist() == list(map(list, citations))


@settings(deadline=None, max_examples=250)
@given(st.lists(texts, max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\r\n", "\r\r\n\n", "a", "a\n", ".", " . \n", "one two three.",
        "one two three...",
        "one two three. [1]", "one two three.[1] \n[1]one two three.", "one two[1] three.", "[1]",
        "[1][2][edit][Edit][citation needed][citation needed", "[[1]]", "[12345678901234567890٣]",
        "[", "[e", "[edit", "[\n1]", "x" * 1000 + " a b.", "x" * 1001 + " a b.",
        "é" * 1001 + " a b.", "x" * 600 + " " + "x" * 600 + " b.", "x" * 998 + "[1] a b.",
        "see our Terms Of Use now.", "use cookies", "uses\u00a0cookies here now.",
        "java[1]script is on.", "JAVASCRIPTS\u2028are on here.", "a\u0130javascript is on.",
        "ass", "ASS.", "xass", "ass_", "_ass", "ass9", "éass", "ass中", "pain in the ass!", "-ass-",
        "g-spot", "g-spots", "a G-Spot.", "ag-spot", "s&m", "x s&m y", "ss&m", "🖕", "x🖕", "🖕x",
        "a🖕 b", "🖕🖕x", "a b", "xa b", "a bx", "a b c", "a\tb", "a[1] b", "na[1]ughty",
        "\u0130 a b.", "i\u0130 a b.", "\u212aK. a b.", "K\u212a it is.", "lorem ipsum",
        "LOREM Ipsum.",
        "Here lorem ipsum. javascript", "{", "One two three {four}. javascript.",
        "two three {four}.",
        'Mr. J. Doe (see "it." And) went. He left! "Why?" she asked. So… it ends. e.g. here.',
        "A.\u0085B.\u2029C.\x0bD.\x0cE.\x1cF.\x1fG.",
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["a b c [1].", text, "", text], min_words=1)


@pytest.mark.parametrize(
    ("line", "n_sentences"),
    [
        ("", 0),
        ("One.", 1),
        ("One. Two! Three?", 3),
        ("One... two. Three", 2),
        ("Dr. A. B. Smith of St. Ives came.", 1),
        ('He said "no." Then he left.', 2),
        ('He said "no!" and left.', 1),
        ("It is 3.5 m. (Not 4.) Is it?", 3),
        ("Wait… Now.", 2),
        ("Plan B. works, plan 9. Does too.", 2),
    ],
)
def test_sentences(line: str, n_sentences: int) -> None:
    assert twin.sentence_count(line) == n_sentences
    found = c4_v3.find(*naive.as_arrays([f"{line} The last one is here."]), PACKED, min_words=0)
    assert dict(zip(c4_v3.COUNTS, found.counts[0].tolist(), strict=True))["sentence_count"] == (
        twin.sentence_count(f"{line} The last one is here.")
    )


def test_no_documents() -> None:
    check([])


def test_offsets_need_not_begin_at_zero() -> None:
    text, offsets = naive.as_arrays(["skip [1] me.", "é [1] a b c.\nd", "x"])
    whole, part = c4_v3.find(text, offsets, PACKED), c4_v3.find(text, offsets[1:], PACKED)
    assert np.array_equal(part.counts, whole.counts[1:])
    assert np.array_equal(part.lines, whole.lines[1:])
    assert np.array_equal(part.citations, whole.citations[1:])


def test_every_entry_of_the_shipped_list_is_found() -> None:
    words = LDNOOBW.read_text("utf-8").splitlines()
    packed = c4_words.pack_words(words)
    texts = [f"so {word.upper()}, is it." for word in words] + [f"x{word}x" for word in words]
    check(texts, words, packed)
    naughty = c4_v3.COUNTS.index("has_naughty_word")
    assert c4_v3.find(*naive.as_arrays(texts), packed).counts[: len(words), naughty].all()


@pytest.mark.parametrize("word", ["", " a", "a ", "A", "é", "ς", "\u212a", "-a", "a-", "a中-é"])
def test_an_entry_that_cannot_be_found_exactly_is_an_error(word: str) -> None:
    with pytest.raises(ValueError, match="is no entry"):
        c4_words.pack_words([word])


@pytest.mark.parametrize(
    "text",
    [
        "a b " * 500_000, "\n" * 2_000_000, "x" * 3_000_000, "[" * 1_000_000, "[1" * 500_000,
        "[" + "1" * 2_000_000, "[1]" * 500_000, "{." * 500_000, '.")' * 500_000, "a." * 500_000,
        "Mr. " * 500_000, "🖕" * 300_000, "g-" * 500_000, "\u0130" * 500_000, "中" * 500_000,
    ],
    ids=[
        "words", "empty lines", "long word", "brackets", "open", "digits", "citations", "braces",
        "closing", "stops", "titles", "entry", "hyphens", "capitals", "wide",
    ],
)  # fmt: skip
def test_time_is_linear(text: str) -> None:
    found = c4_v3.find(*naive.as_arrays([text]), PACKED)
    assert found.lines[-1, 1] == len(text)
