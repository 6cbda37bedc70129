"""Stack Exchange: threads of posts that are spread over a file."""

from __future__ import annotations

import bz2
import gzip
import random
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
import zstandard

from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError
from dolma_kit.extraction import joining
from dolma_kit.extraction.records import Record, SourceFile
from dolma_kit.extraction.stack_exchange import is_stack_exchange, read, site_of, text_of

SITE = "cooking.stackexchange.com"
QUESTION = """<p>How long should I boil <em>eggs</em> &amp; why? See <a href="https://e.org/x">this
page</a>.</p>

<pre><code>for egg in eggs:
    if egg.size &lt; 50:

        boil(egg)
</code></pre>

<ul>
<li>soft</li>
<li>hard</li>
</ul>
"""
ANSWERS = {
    11: (3, "<p>Six minutes.</p>"),
    12: (9, "<p>It depends:</p><ol><li>size</li><li>height</li></ol>"),
    13: (3, "<p>Seven.</p>"),
    9: (-1, "<blockquote><p>never</p></blockquote>"),
}
TEXT = """How long to boil eggs?

How long should I boil eggs & why? See this page.

for egg in eggs:
    if egg.size < 50:

        boil(egg)

  • soft
  • hard

---

It depends:

  1. size
  2. height

---

Six minutes.

---

Seven.

---

never"""


def row(**attributes: Any) -> str:
    written = [f"{key}={quoteattr(str(value))}" for key, value in attributes.items()]
    return f"  <row {' '.join(written)} />\n"


def posts() -> list[str]:
    question = row(
        Id=5, PostTypeId=1, AcceptedAnswerId=12, CreationDate="2010-07-09T19:10:24.893", Score=20,
        ViewCount=1234, Body=QUESTION, Title="How long to\n boil eggs?", Tags="<eggs><boiling>",
        AnswerCount=4, CommentCount=2, ContentLicense="CC BY-SA 2.5",
        ClosedDate="2012-01-02T00:00:00.000",
    )  # fmt: skip
    answers = [
        row(Id=id_, PostTypeId=2, ParentId=5, Score=score, Body=body, CommentCount=1,
            CreationDate="2011-01-01T00:00:00.000", ContentLicense="CC BY-SA 4.0")
        for id_, (score, body) in ANSWERS.items()
    ]  # fmt: skip
    other = row(Id=3, PostTypeId=1, Score=0, Body="<p>b</p>", Title="t", Tags="|a|b-c|",
                CreationDate="2010-07-09T19:10:24.893")  # fmt: skip
    return [*answers[:2], question, *answers[2:], other]


def dump(path: Path, rows: list[str], *, end: str = "</posts>\n") -> SourceFile:
    data = ('<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "".join(rows) + end).encode()
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack.get(path.suffix, lambda given: given)(data))
    return SourceFile("stackexchange", str(path), "posts")


def records(file: SourceFile, tmp_path: Path, **keys: Any) -> list[Record]:
    found = list(read(file, Extract(tmp_dir=str(tmp_path), **keys)))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    return found


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_a_thread_is_a_document(tmp_path: Path, suffix: str) -> None:
    file = dump(tmp_path / SITE / f"Posts.xml{suffix}", posts())
    first, second = records(file, tmp_path)
    assert first.document is not None
    assert (first.document.id, first.document.text) == (f"{SITE}/3", "t\n\nb")
    assert first.document.metadata["tags"] == ["a", "b-c"]
    assert second.document is not None
    assert second.document.text == TEXT
    assert second.name == "How long to boil eggs?"
    assert second.document.id == f"{SITE}/5"
    assert second.document.created == "2010-07-09T19:10:24Z"
    assert second.document.metadata == {
        "title": "How long to boil eggs?", "url": f"https://{SITE}/questions/5", "site": SITE,
        "tags": ["eggs", "boiling"], "score": 20, "view_count": 1234, "answer_count": 4,
        "accepted_answer_id": 12, "comments": 6, "licences": ["CC BY-SA 2.5", "CC BY-SA 4.0"],
        "closed": "2012-01-02T00:00:00Z",
    }  # fmt: skip


def test_without_a_site_an_id_is_the_questions(tmp_path: Path) -> None:
    first, _ = records(dump(tmp_path / "dump" / "Posts.xml", posts()), tmp_path, source="cooks")
    assert first.document is not None
    assert first.document.id == "3"
    assert first.document.metadata["site"] == "cooks"
    assert "url" not in first.document.metadata


@pytest.mark.parametrize(
    ("path", "site"),
    [
        ("d/cooking.stackexchange.com/Posts.xml", "cooking.stackexchange.com"),
        ("d/stackoverflow.com-Posts.7z", "stackoverflow.com"),
        ("d/meta.mathoverflow.net.7z", "meta.mathoverflow.net"),
        ("d/pt.stackoverflow.com_Posts.xml.zst", "pt.stackoverflow.com"),
        ("d/Posts.xml", None),
    ],
)
def test_a_site_is_known_by_its_name(path: str, site: str | None) -> None:
    assert site_of(path) == site


@pytest.mark.parametrize(
    ("path", "head", "is_one"),
    [
        ("a/Posts.xml", b"<?xml?>\n<posts>\n", True),
        ("a/Posts.xml.gz", b"\xef\xbb\xbf<posts>", True),
        ("a/ai.stackexchange.com.7z", b"7z\xbc\xaf", True),
        ("a/stackoverflow.com-Users.7z", b"7z\xbc\xaf", False),
        ("a/Comments.xml", b"<comments>", False),
        ("a/Posts.xml", b"<mediawiki>", False),
    ],
)
def test_a_dump_is_known_by_name_and_first_bytes(path: str, head: bytes, is_one: bool) -> None:
    assert is_stack_exchange(path, head) == is_one


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (row(PostTypeId=1, Title="x"), "row 2: no Id"),
        (row(Id="x1", PostTypeId=1), "row 2: Id is 'x1', not an integer"),
        (row(Id=2), "row 2: no PostTypeId"),
        (row(Id=2, PostTypeId=2), "row 2: no ParentId"),
        (row(Id=2, PostTypeId=1, Score="many"), "row 2: Score is 'many', not an integer"),
        (row(Id=9**30, PostTypeId=1), "not an integer"),
        (row(Id=2, PostTypeId=1, Body="\x01"), "row 2: not XML: not well-formed"),
        ('<row Id="2" PostTypeId="1" Body="&#x0;"/>', "row 2: not XML: reference to invalid"),
        (row(Id=2, PostTypeId=1, Body="x" * 5000), "larger than max_record_bytes (4,000)"),
        ("<other/>", "row 2: <other> where a <row> was expected"),
    ],
)
def test_a_bad_row_is_told_and_the_others_read(tmp_path: Path, bad: str, fault: str) -> None:
    file = dump(tmp_path / SITE / "Posts.xml", [posts()[0], bad, *posts()[1:]])
    faulty, *others = records(file, tmp_path, max_record_bytes=4000)
    assert fault in (faulty.fault or "")
    assert (faulty.raw or b"").startswith(bad.strip()[:20].encode())
    assert [one.document.id for one in others if one.document] == [f"{SITE}/3", f"{SITE}/5"]
    assert others[1].document is not None
    assert others[1].document.text == TEXT


def test_what_is_no_question_or_answer_is_left_out(tmp_path: Path) -> None:
    odd = [
        row(Id=70, PostTypeId=5, Body="<p>a wiki of a tag</p>"),
        row(Id=71, PostTypeId=2, ParentId=404, Body="<p>lost</p>"),
        row(Id=3, PostTypeId=1, Title="again", Body="<p>x</p>"),
        row(Id=12, PostTypeId=2, ParentId=5, Score=9, Body="<p>again</p>"),
        row(Id=72, PostTypeId=1, Title="", Body="<p> </p>"),
    ]
    found = records(dump(tmp_path / SITE / "Posts.xml", [*posts(), *odd]), tmp_path)
    assert [(one.name, one.reason, one.detail) for one in found] == [
        ("post 70", "post type", "PostTypeId 5"),
        ("again", "duplicate", "of question 3"),
        ("t", None, ""),
        ("How long to boil eggs?", None, ""),
        ("question 72", "empty", ""),
        ("answer 71", "orphan", "question 404 is not there"),
    ]
    assert found[3].document is not None
    assert found[3].document.text == TEXT
    assert found[3].notes == ("duplicate answers",)


@pytest.mark.parametrize("end", ["", "  <row Id="])
def test_a_truncated_dump_gives_what_is_before(tmp_path: Path, end: str) -> None:
    found = records(dump(tmp_path / SITE / "Posts.xml", posts(), end=end), tmp_path)
    assert [one.document is not None for one in found] == [True, True, False]
    assert "row 7: truncated XML" in (found[2].fault or "")


def test_a_thread_that_is_too_large_is_told(tmp_path: Path) -> None:
    many = [row(Id=100 + i, PostTypeId=2, ParentId=5, Body="x" * 900) for i in range(10)]
    file = dump(tmp_path / SITE / "Posts.xml", [*posts(), *many])
    small, large = records(file, tmp_path, max_record_bytes=5000)
    assert small.document is not None
    assert "question 5 with its answers: " in (large.fault or "")
    assert "max_record_bytes is 5000" in (large.fault or "")


def test_the_order_of_rows_and_the_size_of_runs_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(7)
    rows = [row(Id=i, PostTypeId=1, Title=f"q{i}", Body="b") for i in range(0, 400, 4)]
    rows += [
        row(
            Id=i,
            PostTypeId=2,
            ParentId=4 * rng.randrange(100),
            Score=rng.randrange(3),
            Body=f"a{i}",
        )
        for i in range(1, 400, 2)
    ]
    expected = records(dump(tmp_path / SITE / "Posts.xml", rows), tmp_path)
    assert [one.name for one in expected] == [f"q{i}" for i in range(0, 400, 4)]
    for most_bytes, most_runs in ((1, 3), (3000, 2), (100_000, 64)):
        monkeypatch.setattr(
            joining, "Spill",
            lambda folder, b=most_bytes, r=most_runs: real(folder, most_bytes=b, most_runs=r),
        )  # fmt: skip
        rng.shuffle(rows)
        assert records(dump(tmp_path / SITE / "Posts.xml", rows), tmp_path) == expected


real = joining.Spill


def test_an_archive_needs_py7zr_or_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"{SITE}.7z"
    path.write_bytes(b"7z\xbc\xaf\x27\x1c")
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(ConfigError, match=r"pip install py7zr, or unpack it \(7z x "):
        records(SourceFile("stackexchange", str(path), "posts"), tmp_path)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("a < b", "a < b"),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<pre><code>\tx  y\n\n\n z</code></pre>", "\tx  y\n\n\n z"),
        ("<p>a <code>b  c</code> d</p>", "a b c d"),
        ("<div hidden>spoiler</div>", "spoiler"),
        ("<p>x<script>alert(1)</script></p>", "x"),
        ("<p>&lt;b&gt; &amp;amp; &eacute;</p>", "<b> &amp; é"),
    ],
)
def test_bodies_are_text(html: str, text: str) -> None:
    assert text_of(html) == text
