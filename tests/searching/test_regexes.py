"""`search regex` against the library over every document's text, and the literals it looks for."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.searching import regexes
from dolma_kit.searching.patterns import LONGEST
from dolma_kit.searching.queries import open_searcher
from dolma_kit.searching.regexes import AROUND, SHOWN, literal_in
from tests.conftest import RunCommand
from tests.searching.test_index import Doc, build, write_tokens
from tests.searching.test_queries import (
    EOS,
    EOS_ID,
    HUGE,
    Corpus,
    make,
    searcher_of,
    train,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("tokenizer") / "tiny.json")


@pytest.fixture(scope="module")
def odd(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("odd"), tokenizer, "odd", 3, shard_tokens=200)


# (expression, the literal by which documents are chosen); each matches something in the corpus
# unless it says so
EXPRESSIONS: list[tuple[str, str | None]] = [
    ("fox", "fox"),
    ("the fox|lazy dog", None),
    (r"\bthe\b", "the"),
    (r"^the", "the"),
    (r"(?m)^line", "line"),
    (r"\Aaaa", "aaa"),
    (r"day\Z", "day"),
    (r"x$", None),  # one character is too few
    (r"^$", None),
    (r"a*", None),
    (r"a{3,5}", None),
    (r"a{3,5}?b?", None),
    (r"a++", None),
    (r"(?>aa|a)a a", "a a"),
    (r"[a-f]ox|qu[^a]ck", None),
    (r"qu[^a]ck brown", "ck brown"),
    (r"(?i)THE", "THE"),
    (r"(?i)THEN the", "THEN the"),
    (r"(?i)kelvin", "elv"),
    (r"(?i)STRASSE", "TRA"),
    (r"(?i)straße", "tra"),
    (r"(?i)ΣΊΣΥΦΟΣ", None),
    (r"(?i)привет", None),
    (r"(?i)K", None),
    (r"(?i)[k]elv", "elv"),
    (r"(?i:FOX) jumps", " jumps"),
    (r"(?<=quick )brown", "brown"),
    (r"(?<!quick )fox", "fox"),
    (r"quick(?= brown)", "quick"),
    (r"the (?!fox)", "the "),
    (r"(\w)\1", None),
    (r"(the) \1 \1", "the "),
    (r"(?P<word>the) (?P=word)", "the "),
    (r"(?<word>the) (?&word)", None),
    (r"(?x) the \s fox  # a comment", None),
    (r"\p{Lu}\p{Ll}+", None),
    (r"\p{Han}+", None),
    (r"\X", None),
    (r"[[:alpha:]]og", None),
    (r"[[:alpha:]]+ jumps", None),
    (r"(?:jumps over|sleeps all) (?:the|day)", None),
    (r"(the (quick|lazy) )(brown )?(fox|dog)", "the "),
    (r"(?:quick )?brown", "brown"),
    (r"(?:naïve)? café", " café"),
    (r"(?:the ){2,}", "the "),
    (r"(?:the )+?The", "the "),
    (r"((a)|(b))+c?", None),
    (r"(quick|lazy)(?(1) )", None),
    ("日本語", "日本語"),
    ("日.語", None),
    ("日本+", "日本"),
    ("🦊{2}", None),
    ("👩\u200d👩", "👩\u200d👩"),
    ("e\u0301", "e\u0301"),
    ("\r\n", "\r\n"),
    (r"\r\n", "\r\n"),
    (r"line\R", None),
    (r"nul\x00", "nul\0"),
    (r"\0+byte", "byte"),
    (re.escape(EOS), EOS),
    (r"one <\|[^|]+\|> two", "one <|"),
    ("\ufffd", None),
    ("caf\ufffd", "caf"),
    ("a\ufffda", None),
    (r"(?:quikc){e<=2}", None),
    (r"(?:quick brown fox){s<=3}", None),
    (r"(?:foq){e}", None),
    (r"lazy(?#a comment) dog", "lazy dog"),
    (r"(?s)quick.*lazy", "quick"),
    (r"\N{LATIN SMALL LETTER X}", None),
    (r"\bsleeps\b.{,20}$", "sleeps"),
    (r"(?r)fox", None),
    (r"not in there", "not in there"),
    (r"a\{2\}", "a{2}"),
    (r"a{,}b", None),
    (r"{}", "{}"),
]
NOWHERE = {r"not in there", r"a\{2\}", r"{}"}


def matches_of(corpus: Corpus, pattern: str, flags: int = 0) -> list[tuple[str, int, int, str]]:
    """(document, start, end, what) of all matches in the decoded documents."""
    compiled = regex.compile(pattern, flags | regex.V0)
    return [
        (one.doc.id, *found.span(), found[0])
        for one in corpus.documents
        for found in compiled.finditer(one.data.decode("utf-8", "replace"))
    ]


@pytest.mark.parametrize(("pattern", "literal"), EXPRESSIONS, ids=[p for p, _ in EXPRESSIONS])
def test_the_same_as_the_library(odd: Corpus, pattern: str, literal: str | None) -> None:
    for ignore_case in (False, True):
        expected = matches_of(odd, pattern, regex.IGNORECASE if ignore_case else 0)
        answer = regexes.search(searcher_of(odd.folder), pattern, ignore_case=ignore_case, limit=40)
        assert [(one.id, one.start, one.end, one.match) for one in answer.shown] == expected[:40]
        assert answer.count == len(expected)
        assert answer.documents == len({one[0] for one in expected})
        assert (answer.query, answer.literal) == (pattern, literal_in(pattern, ignore_case)[0])
        if answer.literal is None:
            assert answer.looked_at == len(odd.documents)
        else:
            assert answer.documents <= answer.looked_at < len(odd.documents)
        assert bool(expected) == (pattern not in NOWHERE) or ignore_case
    assert literal_in(pattern, False)[0] == literal


def test_what_is_shown(odd: Corpus) -> None:
    by_id = {one.doc.id: one for one in odd.documents}
    answer = regexes.search(searcher_of(odd.folder), r"fox|日本|a+|^\Z", limit=HUGE)
    assert any(not by_id[one.id].doc.ids for one in answer.shown), "of no tokens, and yet a match"
    for one in answer.shown:
        document = by_id[one.id]
        text = document.data.decode("utf-8", "replace")
        assert one.match == text[one.start : one.end]
        assert one.before == text[max(one.start - AROUND, 0) : one.start]
        assert one.after == text[one.end : one.end + AROUND]
        assert (one.part, one.line) == (document.part, document.line)
        assert (one.source, one.src) == (document.doc.source, f"{document.doc.source}.jsonl.gz")
    for limit in (0, 1, 3, len(answer.shown)):
        few = regexes.search(searcher_of(odd.folder), r"fox|日本|a+|^\Z", limit=limit)
        assert (few.count, few.documents) == (answer.count, answer.documents)
        assert few.shown == answer.shown[:limit]


def test_a_long_match_is_cut(tokenizer: Path, tmp_path: Path) -> None:
    ids = [i for i in range(500) if i]
    documents = [Doc("a", [*ids[:255], *ids[:255], EOS_ID])]
    build(write_tokens(tmp_path / "t", [documents], tokenizer=tokenizer, eos=EOS_ID))
    answer = regexes.search(open_searcher([str(tmp_path / "t")]), r"(?s).+")
    (one,) = answer.shown
    assert one.end - one.start > SHOWN == len(one.match)
    assert one.match.endswith("...")


@pytest.mark.parametrize("block_tokens", [1, 7, 1 << 20])
def test_documents_are_decoded_in_blocks(
    odd: Corpus, monkeypatch: pytest.MonkeyPatch, block_tokens: int
) -> None:
    monkeypatch.setattr(regexes, "BLOCK_TOKENS", block_tokens)
    for pattern in ("a|e", "the"):
        answer = regexes.search(searcher_of(odd.folder), pattern, limit=HUGE)
        found = [(one.id, one.start, one.end, one.match) for one in answer.shown]
        assert found == matches_of(odd, pattern)


# Literals

MATCHED = [
    "abc", "ab|cd", "abc|abd", "a?bcd", "ab?cd", "abc?", "(ab)+cd", "(ab)*cd", "x(ab){2}cd",
    "x(ab){1}cd", "(?:ab|cd)ef", "(ab(cd)?ef){2}gh", "(?:ab(?:cd|ef)){2,3}", "ab[cd]ef", "ab.ef",
    r"ab\d+ef", r"\bab\b cd", "^ab$", r"ab\ncd", "(?=abc)abcd", "(?!x)abcd", "(?<=^)abcd",
    "(?P<n>ab)c(?P=n)", r"(ab)\1cd", "(?:a(?:b(?:c(?:d))))", "a{2}bcd", "a{2,}bcd", "a{0,2}bcd",
    "ab{1,3}?cd", "(?i)ab1cd", "(?i)straßen", "(?i)kiss me", "(?i)ab[c]de", "(?i:ab)cdé", "é+à",
    "(?i)épée", "日本[語人]", "(?s)ab.cd", "(?m)^ab$\ncd", "a(?#b)cd", r"\(ab\)\{cd\}", "a|b|cde",
    "(?:)ab()cd", "ab(?:)*cd", "[a]bc", "a[^b]cd", "(a)(b)?(?(2)cd|ef)gh", "(?a)ab\\wcd", "a++bc",
    "(?>ab)cd", "(?-i:ab)cd", "ab{,2}cd",
]  # fmt: skip


@pytest.mark.parametrize("pattern", MATCHED)
@pytest.mark.parametrize("ignore_case", [False, True])
def test_a_literal_is_in_every_match(pattern: str, ignore_case: bool) -> None:
    literal, folded = literal_in(pattern, ignore_case)
    assert folded == (ignore_case or pattern.startswith("(?i)"))
    if literal is None:
        return
    flags = re.IGNORECASE if ignore_case else 0
    again = regex.compile(pattern, regex.V0 | (regex.IGNORECASE if ignore_case else 0))
    seen: list[str] = []

    @settings(
        deadline=None, max_examples=8, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(text=st.from_regex(re.compile(pattern, flags)))
    def check(text: str) -> None:
        for found in again.finditer(text):
            seen.append(found[0])
            if folded:
                assert literal.lower() in found[0].lower()
                # As the index looks for it: by the cases of ASCII alone.
                assert re.search(re.escape(literal), found[0], re.IGNORECASE | re.ASCII)
            else:
                assert literal in found[0]

    check()
    assert seen


@pytest.mark.parametrize(
    ("pattern", "ignore_case", "expected"),
    [
        ("foobar", False, ("foobar", False)),
        ("foobar", True, ("foobar", True)),
        ("(?i)kiss", False, (None, True)),
        ("(?i)debug", False, ("debug", True)),
        ("Debug", True, ("Debug", True)),
        ("(?i)über allem", False, ("ber allem", True)),
        ("foo[bar]bazqux", False, ("bazqux", False)),
        ("(?:foo)?bar", False, ("bar", False)),
        ("(foo)?", False, (None, False)),
        ("(?:foo|bar)", False, (None, False)),
        ("fooa|foob", False, ("foo", False)),  # `re` reads foo[ab]
        ("f", False, (None, False)),
        ("fo", False, ("fo", False)),
        ("", False, (None, False)),
        ("(", False, (None, False)),
        ("(?x)foo bar", False, (None, False)),
        ("(?x:foo bar)baz", False, ("baz", False)),
        (r"\p{L}foo", False, (None, False)),
        ("[[:alpha:]]foo", False, (None, False)),
        ("[^[:space:]]foo", False, (None, False)),
        (r"\[:foo", False, ("[:foo", False)),
        ("(?:foobar){e<=1}", False, (None, False)),
        ("foobar{i,d<2}baz", False, (None, False)),
        ("foo{1<=e<=2}", False, (None, False)),
        ("foo{1,2}bar", False, ("foo", False)),
        (r"foo\{bar", False, ("foo{bar", False)),
        (r"foo\\{e}", False, (None, False)),
        ("foo{}bar", False, ("foo{}bar", False)),
        ("ab\ufffdcde", False, ("cde", False)),
        ("a" * 1000, False, ("a" * 1000, False)),
        ("(" * 5000 + "abc" + ")" * 5000, False, (None, False)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fixed_literals(pattern: str, ignore_case: bool, expected: tuple[str | None, bool]) -> None:
    assert literal_in(pattern, ignore_case) == expected


def test_letters_whose_other_cases_are_no_ascii() -> None:
    """Those that `literal_in` passes over are all for which the library knows such."""
    others = "".join(map(chr, [*range(128, 0xD800), *range(0xE000, 0x20000)]))
    odd = {
        character
        for character in map(chr, range(128))
        if regex.search(regex.escape(character), others, regex.IGNORECASE | regex.V0)
    }
    assert odd == regexes._ODD_CASES


# What is refused


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "an empty expression matches everywhere: give one"),
        ("(", "the expression '(' cannot be read: missing )"),
        ("a)", "cannot be read"),
        ("[a", "cannot be read"),
        ("*a", "cannot be read: nothing to repeat"),
        (r"\p{Nothing}", "cannot be read: unknown property"),
        (r"(a)\2", "cannot be read"),
        ("(?P<a>x)(?P=b)", "cannot be read"),
        ("a{99999999999999999999}", "cannot be read"),
        ("(?V1)a", "cannot be read: VERSION0 and VERSION1"),
        ("(" * 5000 + "a" + ")" * 5000, "is nested too deep"),
        ("a" * (LONGEST + 1), "an expression of 65,537 characters: at most 65,536"),
        ("caf\udcc3", "the expression is no valid UTF-8"),
        ("\ud800", "the expression is no valid UTF-8"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_expression(odd: Corpus, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        regexes.search(searcher_of(odd.folder), pattern)
    assert len(str(raised.value)) < 300


def test_a_wrong_expression_is_one_line(odd: Corpus, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("search", "regex", "(\n(", "--index", odd.folder)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "cannot be read: missing )" in answer.err


@pytest.fixture(scope="module")
def many_a(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "t"
    byte = id_of_a(tokenizer)
    documents = [Doc("few", [byte] * 3 + [EOS_ID]), Doc("many", [byte] * 4000 + [EOS_ID], "code")]
    build(write_tokens(folder, [documents], tokenizer=tokenizer, eos=EOS_ID))
    return folder


def id_of_a(tokenizer: Path) -> int:
    from tokenizers import Tokenizer

    found: Any = Tokenizer.from_file(str(tokenizer)).token_to_id("a")
    return int(found)


def test_an_expression_that_takes_too_long_names_the_document(
    many_a: Path, dolma_kit: RunCommand
) -> None:
    command = ["search", "regex", "(a|aa)+$b", "--index", many_a]
    answer = dolma_kit(*command, "--timeout", 0.05)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert (
        "the expression takes more than 0.05 s for code.jsonl.gz:2: make it simpler, or raise "
        "--timeout" in answer.err
    )


@pytest.mark.parametrize("timeout", [0, -1, -0.5, float("nan"), float("inf")])
def test_a_timeout_that_is_none(odd: Corpus, timeout: float) -> None:
    """-1 and nan would be none, and inf would be over at once."""
    with pytest.raises(ConfigError, match="a number of seconds above 0"):
        regexes.search(searcher_of(odd.folder), "fox", timeout=timeout)


def test_warnings_of_the_library_are_refusals(odd: Corpus) -> None:
    """What it may read otherwise in a later version is not read at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pattern in ("[[a-z]--[b]]c", "[a||b]", "[a&&b]", "[a~~b]"):
            try:
                expected = matches_of(odd, pattern)
            except (FutureWarning, regex.error):
                with pytest.raises(ConfigError, match="cannot be read"):
                    regexes.search(searcher_of(odd.folder), pattern)
                continue
            answer = regexes.search(searcher_of(odd.folder), pattern, limit=HUGE)
            assert [(m.id, m.start, m.end, m.match) for m in answer.shown] == expected
