"""Reddit: threads of submissions and comments that are spread over files."""

from __future__ import annotations

import bz2
import gzip
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dolma_kit.config import Extract
from dolma_kit.extraction import joining
from dolma_kit.extraction.records import Record, SourceFile
from dolma_kit.extraction.reddit import (
    INDENT,
    MOST_DEPTH,
    Comment,
    base36,
    is_reddit,
    members_of,
    read,
    tree,
)

SUBMISSION = {
    "id": "abc", "name": "t3_abc", "author": "someone", "title": "Eggs &amp; time",
    "selftext": "How *long*?\n\n&amp;#x200B;\n\n&gt; a quote\n\n    code", "score": 12,
    "created_utc": 1556668800, "subreddit": "AskCulinary", "over_18": False, "num_comments": 5,
    "permalink": "/r/AskCulinary/comments/abc/eggs/", "is_self": True,
    "url": "https://www.reddit.com/r/AskCulinary/comments/abc/eggs/",
}  # fmt: skip


def comment(id_: str, parent: str, body: str, score: int | None = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "link_id": "t3_abc", "parent_id": parent, "body": body, "score": score,
        "created_utc": 1556668900, "subreddit": "AskCulinary", "author": "another",
    } | more  # fmt: skip


COMMENTS = [
    comment("c1", "t3_abc", "Six\nminutes."),
    comment("c2", "t3_abc", "Seven.", 5),
    comment("c3", "t1_c1", "No, &lt;five&gt;\n\nor so.", 2, created_utc="1556669000"),
    comment("c4", "t1_c3", "[deleted]", None),
    comment("c5", "t1_c4", "Why?", 1),
    comment("c6", "t1_c1", "Older.", 2, created_utc=1556668000),
    comment("c7", "t1_gone", "Lost.", -3),
    comment("c8", "t3_abc", "[removed]", 9),
]
TEXT = """Eggs & time

How *long*?

> a quote

    code

Seven.

Six
minutes.

  Older.

  No, <five>

  or so.

      Why?

Lost."""


def lines(rows: list[dict[str, Any] | str]) -> bytes:
    return b"".join(
        (row if isinstance(row, str) else json.dumps(row)).encode("utf-8", "surrogatepass") + b"\n"
        for row in rows
    )


def dump(path: Path, rows: list[Any]) -> str:
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack.get(path.suffix, lambda given: given)(lines(rows)))
    return str(path)


def records(file: SourceFile, tmp_path: Path, **keys: Any) -> list[Record]:
    found = list(read(file, Extract(tmp_dir=str(tmp_path), **keys)))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    return found


def unit(tmp_path: Path, rows: list[Any], name: str = "a.ndjson") -> SourceFile:
    [file] = members_of([dump(tmp_path / name, rows)])
    return file


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_a_thread_is_a_document(tmp_path: Path, suffix: str) -> None:
    paths = [
        dump(tmp_path / "comments" / f"RC_2019-04{suffix}", COMMENTS[:4]),
        dump(tmp_path / "comments" / f"RC_2019-05{suffix}", COMMENTS[4:]),
        dump(tmp_path / "submissions" / f"RS_2019-04{suffix}", [SUBMISSION]),
    ]
    [file] = members_of(paths)
    [record] = records(file, tmp_path)
    assert record.name == "Eggs & time"
    assert record.notes == ("removed texts", "comments without the one they answer")
    assert record.document is not None
    assert record.document.id == "abc"
    assert record.document.text == TEXT
    assert record.document.created == "2019-05-01T00:00:00Z"
    assert record.document.metadata == {
        "title": "Eggs & time", "score": 12, "over_18": False, "num_comments": 5,
        "permalink": "/r/AskCulinary/comments/abc/eggs/", "subreddit": "AskCulinary",
        "removed": 2, "comments": 6,
    }  # fmt: skip
    assert "someone" not in str(record)


def test_comments_without_their_submission_are_a_thread(tmp_path: Path) -> None:
    [record] = records(unit(tmp_path, COMMENTS[:2]), tmp_path)
    assert record.document is not None
    assert (record.name, record.document.id) == ("abc", "abc")
    assert record.document.text == "Seven.\n\nSix\nminutes."
    assert record.document.created == "2019-05-01T00:01:40Z"
    assert record.document.metadata == {
        "subreddit": "AskCulinary", "removed": 0, "comments": 2,
    }  # fmt: skip
    assert record.notes == ("no submission",)


def test_what_is_left_out(tmp_path: Path) -> None:
    rows = [
        SUBMISSION | {"id": "a1", "title": "[deleted by user]", "selftext": "[removed]"},
        SUBMISSION | {"id": "a2", "title": "Once", "selftext": ""},
        SUBMISSION | {"id": "a2", "title": "Twice"},
        SUBMISSION | {"id": "a3", "title": " ", "selftext": ""},
        comment("c1", "t3_a4", "first", link_id="t3_a4"),
        comment("c1", "t3_a4", "second", link_id="t3_a4"),
        SUBMISSION | {"id": "a5", "title": "A link", "selftext": "", "url": "https://e.org/"},
    ]
    found = records(unit(tmp_path, rows), tmp_path)
    assert [(one.name, one.reason) for one in found] == [
        ("a1", "removed"), ("Twice", "duplicate"), ("Once", None), ("a3", "empty"), ("a4", None),
        ("A link", None),
    ]  # fmt: skip
    assert found[4].document is not None
    assert found[4].document.text == "first"
    assert found[4].notes == ("no submission", "duplicate comments")
    assert found[5].document is not None
    assert found[5].document.metadata["link"] == "https://e.org/"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("{", "a.ndjson:2: no JSON object"),
        ("[1]", "no JSON object"),
        ("\0", "no JSON object"),
        ('{"id": "x", "title": "\udc80"}', "no JSON object"),  # invalid UTF-8
        ('{"id": "x", "other": "\udc80"}', "no JSON object"),
        ('{"id": "x", "title": "\\ud800"}', "no JSON object"),  # half a surrogate pair
        ("[" * 100_000, "no JSON object"),
        ({"title": "x"}, "a.ndjson:2: no id"),
        ({"id": 5, "title": "x"}, "id is 5, not an id"),
        ({"id": "x", "link_id": "t5_%%"}, 'link_id is "t5_%%", not an id'),
        ({"id": "x", "link_id": "t3_a", "parent_id": "?"}, 'parent_id is "?", not an id'),
        ({"id": "x", "title": "x", "score": "high"}, 'score is "high", not an integer'),
        ({"id": "x", "title": "x", "score": 10**20}, "score is "),
        ({"id": "x", "title": ["x"]}, "title is no string"),
        ({"id": "x", "body": "x"}, "neither a comment, with link_id, nor a submission"),
        (SUBMISSION | {"selftext": "x" * 3000}, "max_record_bytes is 2500"),
    ],
)
def test_a_bad_line_is_told_and_the_others_read(tmp_path: Path, bad: Any, fault: str) -> None:
    if isinstance(bad, str) and "\udc80" in bad:
        data = lines([SUBMISSION]) + bad.encode("utf-8", "surrogateescape") + b"\n"
        (tmp_path / "a.ndjson").write_bytes(data + lines(COMMENTS))
        [file] = members_of([str(tmp_path / "a.ndjson")])
    else:
        file = unit(tmp_path, [SUBMISSION, bad, *COMMENTS])
    keys = {} if isinstance(bad, str) else {"max_record_bytes": 2500}
    faulty, record = records(file, tmp_path, **keys)
    assert fault in (faulty.fault or "")
    assert record.document is not None
    assert record.document.text == TEXT


def test_truncated_files_give_what_is_before(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [SUBMISSION | {"id": f"b{i}", "title": str(rng.random())} for i in range(300)]
    for name in ("a.ndjson.gz", "a.ndjson.zst", "a.ndjson.bz2"):
        file = unit(tmp_path, rows, name)
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-20])
        *whole, last = records(file, tmp_path)
        assert all(one.document is not None for one in whole)
        assert f"{name}:{len(whole) + 1}: " in (last.fault or "")
        assert "truncated" in (last.fault or "")


def test_windows_of_two_gibibytes_are_read(tmp_path: Path) -> None:
    """As of dumps compressed with --long=31; by hand, for no encoder makes them small."""
    data = lines([SUBMISSION])
    block = struct.pack("<I", len(data) << 3 | 1)[:3] + data  # one raw block, the last
    path = tmp_path / "RS_2019-04.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3]) + block)
    [file] = members_of([str(path)])
    [record] = records(file, tmp_path)
    assert record.name == "Eggs & time"


def test_a_thread_that_is_too_large_is_told(tmp_path: Path) -> None:
    many = [comment(f"d{i}", "t3_abc", "x" * 900) for i in range(10)]
    other = SUBMISSION | {"id": "zz"}
    small, large = records(
        unit(tmp_path, [SUBMISSION, *many, other]), tmp_path, max_record_bytes=5000
    )
    assert "thread abc: " in (large.fault or "")
    assert small.document is not None


def test_depth_is_shown_to_a_limit(tmp_path: Path) -> None:
    chain = [comment("d0", "t3_abc", "0")]
    chain += [comment(f"d{i}", f"t1_d{i - 1}", str(i)) for i in range(1, 3000)]
    [record] = records(unit(tmp_path, chain), tmp_path)
    assert record.document is not None
    assert record.document.text.split("\n\n") == [
        INDENT * min(i, MOST_DEPTH) + str(i) for i in range(3000)
    ]


def naive_tree(comments: list[Comment]) -> list[tuple[int, int]]:
    """Depths and ids in reading order, by recursion; for comments without circles."""
    ids = {one.id for one in comments}

    def below(parent: int | None, depth: int) -> list[tuple[int, int]]:
        answers = [one for one in comments if (one.parent if one.parent in ids else None) == parent]
        answers.sort(key=lambda one: (-one.score, one.created or "", one.id))
        found = []
        for one in answers:
            found.append((depth, one.id))
            found += below(one.id, depth + 1)
        return found

    return below(None, 0)


def test_comments_are_in_the_order_of_a_tree() -> None:
    rng = random.Random(3)
    for _ in range(100):
        comments = [
            Comment(
                id=i, parent=rng.choice([None, 99, *range(i)]), text="", subreddit=None,
                created=rng.choice([None, "2019", "2020"]), score=rng.randrange(3),
            )
            for i in range(rng.randrange(30))
        ]  # fmt: skip
        rng.shuffle(comments)
        assert [(depth, one.id) for depth, one in tree(comments)] == naive_tree(comments)


def test_comments_in_a_circle_are_kept() -> None:
    parents = {1: 2, 2: 1, 3: 3, 4: None, 5: 2}
    comments = [Comment(i, parent, "", None, 0, None) for i, parent in parents.items()]
    assert [(depth, one.id) for depth, one in tree(comments)] == [
        (0, 4), (0, 1), (1, 2), (2, 5), (0, 3),
    ]  # fmt: skip


def test_the_order_of_lines_and_the_size_of_runs_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(5)
    rows = [SUBMISSION | {"id": base36(i), "title": f"t{i}"} for i in range(40, 140, 3)]
    for i in range(300):
        link, parent = f"t3_{base36(rng.randrange(40, 140))}", f"t1_{base36(rng.randrange(300))}"
        parent = rng.choice([link, parent])
        rows.append(comment(base36(i), parent, f"b{i}", rng.randrange(4), link_id=link))
    expected = records(unit(tmp_path, rows), tmp_path)
    assert len(expected) > 80
    for most_bytes, most_runs in ((1, 3), (3000, 2), (100_000, 64)):
        monkeypatch.setattr(
            joining, "Spill",
            lambda folder, b=most_bytes, r=most_runs: real(folder, most_bytes=b, most_runs=r),
        )  # fmt: skip
        rng.shuffle(rows)
        assert records(unit(tmp_path, rows), tmp_path) == expected


real = joining.Spill


def test_files_whose_threads_cross_are_a_unit() -> None:
    paths = [
        "/d/submissions/RS_2019-04.zst", "/d/comments/RC_2019-04.zst", "/d/comments/RC_2019-05.zst",
        "/d/subreddits/eggs_comments.zst", "/d/subreddits/eggs_submissions.zst", "/d/all.ndjson.gz",
    ]  # fmt: skip
    assert members_of(paths) == [
        SourceFile("reddit", "/d", "all", ("all.ndjson.gz",)),
        SourceFile(
            "reddit", "/d", "threads",
            ("comments/RC_2019-04.zst", "comments/RC_2019-05.zst", "submissions/RS_2019-04.zst"),
        ),
        SourceFile(
            "reddit", "/d/subreddits", "eggs", ("eggs_comments.zst", "eggs_submissions.zst")
        ),
    ]  # fmt: skip
    assert members_of(["a.ndjson"]) == [SourceFile("reddit", ".", "a", ("a.ndjson",))]
    assert members_of(["s3://b/x/RC_2019-04", "s3://b/y/RS_2019-04"]) == [
        SourceFile("reddit", "s3://b", "threads", ("x/RC_2019-04", "y/RS_2019-04"))
    ]


@pytest.mark.parametrize(
    ("path", "head", "is_one"),
    [
        ("d/RC_2019-04.zst", lines(COMMENTS[:1]), True),
        ("d/RS_v2_2010-12", lines([SUBMISSION | {"subreddit_id": "t5_x"}]), True),
        ("d/eggs_submissions.ndjson", lines([SUBMISSION]), True),
        ("d/RC_2019-04.zst", b'{"text": "a"}', False),
        ("d/documents.jsonl.gz", lines([SUBMISSION]), False),
    ],
)
def test_a_dump_is_known_by_name_and_first_bytes(path: str, head: bytes, is_one: bool) -> None:
    assert is_reddit(path, head) == is_one
