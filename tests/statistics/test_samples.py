"""Samples drawn by hash, and worksheets that are written, filled in by hand and read back."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.statistics import samples
from dolma_kit.statistics.samples import COLUMNS, Item, Samples, draw, item, merged, smallest

TEXT = "before " * 20 + "match" + " after" * 20


def hit(seed: int, kind: str, i: int, text: str = "x", file: int = 0) -> Item:
    one = item(draw(seed, kind, f"d{i}", 0, len(text)), i + 1, f"d{i}", text, 0, len(text), 1.0)
    return Item(one.draw, file, *(getattr(one, name) for name in Item.__struct_fields__[2:]))


# Which hits are drawn.


@pytest.mark.parametrize(("n", "size"), [(0, 5), (3, 5), (5, 5), (6, 5), (300, 100), (10, 1)])
def test_a_sample_is_as_large_as_it_was_asked_for(n: int, size: int) -> None:
    items = [hit(0, "a", i) for i in range(n)]
    drawn = smallest(items, size)
    assert len(drawn) == len(set(drawn)) == min(n, size)
    assert [one.draw for one in drawn] == sorted(one.draw for one in items)[:size]


@pytest.mark.parametrize("n_parts", [1, 2, 3, 10, 200])
def test_a_sample_is_the_same_whatever_the_split(n_parts: int) -> None:
    found: list[tuple[str, Item]] = [
        (kind, hit(7, kind, i, file=i // 50)) for kind in ("a", "b") for i in range(100)
    ]
    found += [("few", hit(7, "few", i)) for i in range(3)]
    random = np.random.default_rng(n_parts)
    parts: list[dict[str, list[Item]]] = [{} for _ in range(n_parts)]
    for at in random.permutation(len(found)).tolist():
        kind, one = found[at]
        parts[int(random.integers(n_parts))].setdefault(kind, []).append(one)
    expected = {
        kind: smallest([one for other, one in found if other == kind], 20)
        for kind in ("a", "b", "few")
    }
    drawn = [merged([part], 20) for part in parts]
    assert merged(parts, 20) == merged(drawn, 20) == expected
    assert list(merged(parts, 20)) == ["a", "b", "few"]
    one_by_one: Samples = {}
    for part in drawn:
        one_by_one = merged([one_by_one, part], 20)
    assert one_by_one == expected


def test_every_hit_is_equally_likely() -> None:
    """20 of 100 hits, by 1,500 seeds: how often each comes is what chance gives."""
    n, size, n_seeds = 100, 20, 1500
    counts: Counter[int] = Counter()
    for seed in range(n_seeds):
        numbers = [draw(seed, "EMAIL_ADDRESS", f"doc-{i // 3}", 5 * (i % 3), 9) for i in range(n)]
        counts.update(np.argsort(numbers)[:size].tolist())
    expected = n_seeds * size / n
    # Of sampling without replacement; by (1 - size / n) a chi-square with n - 1 degrees.
    chi_square = sum((counts[i] - expected) ** 2 / expected for i in range(n)) / (1 - size / n)
    assert 66.5 < chi_square < 139  # 99 degrees: 0.5 % on either side


def test_draws_are_even() -> None:
    draws = np.array([draw(0, "k", str(i), 0, 1) for i in range(20_000)])
    assert draws.min() >= 0
    assert draws.max() < 2**53
    cells = np.bincount(draws >> 47, minlength=64)
    assert ((cells - 312.5) ** 2 / 312.5).sum() < 103.4  # 63 degrees: 0.1 %


def test_draws_depend_on_all_that_a_hit_is() -> None:
    hits = [
        (0, "a", "x", 1, 2), (1, "a", "x", 1, 2), (0, "b", "x", 1, 2), (0, "a", "y", 1, 2),
        (0, "a", "x", 2, 2), (0, "a", "x", 1, 3), (0, "a", "x", 12, 2), (0, "a", "x1", 1, 2),
        (2**64 - 1, "a", "x", 1, 2), (0, "a", "", 1, 2), (0, "", "a", 1, 2),
    ]  # fmt: skip
    assert len({draw(*one) for one in hits}) == len(hits)


@pytest.mark.parametrize("id_", ["", "é", "😀", "\ud800", "a\0b", "x" * 10_000])
def test_any_id_can_be_drawn(id_: str) -> None:
    assert draw(3, "k", id_, 0, 1) == draw(3, "k", id_, 0, 1)


def test_draws_stay_as_they_are() -> None:
    """A seed is for ever."""
    assert draw(0, "EMAIL_ADDRESS", "doc", 3, 14) == 7563928136654859
    assert draw(42, "😀", "\ud800", 0, 1) == 8117411961660113


def test_equal_draws_go_by_file_line_and_place() -> None:
    same = [
        Item(5, file, line, "id", start, 9, 1.0, "", "m", "")
        for file, line, start in itertools.product((0, 1), (1, 2), (0, 4))
    ]
    for order in (same, same[::-1]):
        assert smallest(order, 3) == same[:3]


# What stands in a sheet.


@pytest.mark.parametrize(
    ("text", "start", "end", "shown"),
    [
        ("one two three", 4, 7, ("one ", "two", " three")),
        ("two", 0, 3, ("", "two", "")),
        ("", 0, 0, ("", "", "")),
        ("😀é😀", 1, 2, ("😀", "é", "😀")),  # code points
        ("a" * 100 + "M" + "b" * 100, 100, 101, ("a" * 60, "M", "b" * 60)),
        ("x" * 400, 0, 400, ("", "x" * 400, "")),
        ("x" * 401 + "y", 0, 401, ("", "x" * 397 + "...", "y")),
    ],
)
def test_a_hit_with_what_stands_around(
    text: str, start: int, end: int, shown: tuple[str, str, str]
) -> None:
    one = item(1, 2, "id", text, start, end, 0.5)
    assert (one.before, one.match, one.after) == shown
    assert (one.draw, one.file, one.line, one.id) == (1, 0, 2, "id")
    assert (one.start, one.end, one.score) == (start, end, 0.5)


def filled(sheet: bytes, words: list[str]) -> bytes:
    """A worksheet as a spreadsheet's program gives it back."""
    text = io.StringIO(sheet.decode("utf-8", "surrogatepass"), newline="")
    head, *rows = list(csv.reader(text))
    assert tuple(head) == COLUMNS
    assert len(rows) == len(words)
    out = io.StringIO()
    csv.writer(out).writerows(
        [head, *([*row[:-1], word] for row, word in zip(rows, words, strict=True))]
    )
    return out.getvalue().encode("utf-8", "surrogatepass")


TEXTS = [
    "", 'say "y"', "a,b", "line\nline", "line\r\nline", "only\r", "\rfirst", "tab\t", "😀",
    "\ud800 half", "\u2028\x85\x0b\x0c", "\0", "=1+1", "'", "\ufeff", " spaces ", "y", '""',
    ",,,\n", "é" * 500,
]  # fmt: skip


ANY = st.characters(exclude_categories=())  # half surrogates too


@given(st.lists(st.one_of(st.sampled_from(TEXTS), st.text(ANY)), max_size=5))
def test_a_sheet_comes_back_whatever_is_in_it(texts: list[str]) -> None:
    made: Samples = {
        kind: [
            Item(9, i % 2, i, text, i, i + 1, 0.25, text, text, text)
            for i, text in enumerate(texts)
        ]
        for kind in ("a", 'kind, "b"')
    }
    sheet = samples.sheet(made, ["x.jsonl", "y, z.jsonl"])
    rows = list(csv.DictReader(io.StringIO(sheet.decode("utf-8", "surrogatepass"), newline="")))
    names = ["x.jsonl", "y, z.jsonl"]
    assert [tuple(row.values()) for row in rows] == [
        (kind, names[one.file], str(one.line), one.id, str(one.start), str(one.end), "0.25",
         one.before, one.match, one.after, "")
        for kind, items in made.items() for one in items
    ]  # fmt: skip


def test_a_sheet_that_was_filled_in_is_read_back(tmp_path: Path) -> None:
    """Carriage returns stood unquoted, and half surrogates were taken for another encoding."""
    made: Samples = {
        "a": [Item(9, 0, i, t, i, i + 1, 1.0, t, t, t) for i, t in enumerate(TEXTS)],
        "b": [Item(9, 0, 1, "x", 0, 1, 1.0, "", "m", "")],
        "none": [],
    }
    sheet = samples.sheet(made, ["x.jsonl"])
    path = tmp_path / "sheet.csv"
    path.write_bytes(sheet)
    assert samples.judgements([str(path)]) == {}
    words = ["y" if i % 4 else "n" for i in range(len(TEXTS))]
    path.write_bytes(filled(sheet, [*words, ""]))
    n = words.count("y")
    assert samples.judgements([str(path)]) == {"a": samples.precision(n, len(TEXTS))}


def written(tmp_path: Path, *rows: str, head: str = "kind,id,start,end,correct") -> str:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
    path.write_bytes("\n".join([head, *rows, ""]).encode("utf-8"))
    return str(path)


def judged(path: str | list[str]) -> dict[str, tuple[int, int]]:
    found = samples.judgements([path] if isinstance(path, str) else path)
    return {kind: (one.correct, one.judged) for kind, one in found.items()}


@pytest.mark.parametrize(
    ("word", "n_correct", "n_judged"),
    [
        ("y", 1, 1), ("Y", 1, 1), ("yes", 1, 1), ("Yes", 1, 1), ("true", 1, 1), ("TRUE", 1, 1),
        ("1", 1, 1), (" y ", 1, 1), ("n", 0, 1), ("N", 0, 1), ("no", 0, 1), ("NO", 0, 1),
        ("false", 0, 1), ("0", 0, 1), ("\tn", 0, 1), ("", 0, 0), ("  ", 0, 0),
    ],
)  # fmt: skip
def test_words(tmp_path: Path, word: str, n_correct: int, n_judged: int) -> None:
    path = written(tmp_path, f"a,d1,0,1,{word}")
    assert judged(path) == ({"a": (n_correct, n_judged)} if n_judged else {})


@pytest.mark.parametrize("word", ["x", "maybe", "yn", "2", "oui", "y.", "ｙ", "-"])
def test_another_word_is_refused_with_its_line(tmp_path: Path, word: str) -> None:
    path = written(tmp_path, "a,d1,0,1,y", "a,d2,0,1,", f"a,d3,0,1,{word}", "a,d4,0,1,n")
    with pytest.raises(DataError, match="write y or n") as raised:
        samples.judgements([path])
    assert (raised.value.path, raised.value.line) == (path, 4)
    assert repr(word) in str(raised.value)


def test_kinds_are_counted_apart_and_blank_rows_not_at_all(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "b,d1,0,1,y",
        "a,d1,0,1,n",
        "a,d1,0,2,y",
        "a,d1,1,2,y",
        "",
        "a,d2,0,1,",
        "c,d,0,1,",
    )
    assert judged(path) == {"a": (2, 3), "b": (1, 1)}
    assert list(judged(path)) == ["a", "b"]


def test_columns_may_be_in_any_order_and_there_may_be_others(tmp_path: Path) -> None:
    head = "correct,note,end,start,id,kind"
    path = written(tmp_path, "y,note,1,0,d1,a", "n,,1,0,d2,a,more", "y", head=head)
    assert judged(path) == {"": (1, 1), "a": (1, 2)}


def test_what_is_judged_twice_counts_once(tmp_path: Path) -> None:
    first = written(tmp_path, "a,d1,0,1,y", "a,d2,0,1,n", "a,d1,0,1,yes")
    second = written(tmp_path, "a,d2,0,1,0", "a,d3,0,1,y", "b,d1,0,1,n")
    assert judged(first) == {"a": (1, 2)}
    assert judged([first, second]) == judged([second, first]) == {"a": (2, 3), "b": (0, 1)}
    assert judged([first, first]) == judged(first)


def test_what_is_judged_y_and_n_is_refused(tmp_path: Path) -> None:
    first = written(tmp_path, "a,d1,0,1,y", "a,d1,0,2,n")
    second = written(tmp_path, "a,d9,0,1,y", "a,d1,0,1,n")
    with pytest.raises(ConfigError, match="a of d1 is judged y and n") as raised:
        samples.judgements([first, second])
    assert str(raised.value).startswith(f"{second}:3: ")


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"", "no column correct, end, id, kind, start", 1),
        (b"kind,id,start,end\na,d,0,1\n", "no column correct", 1),
        (b"kind;id;start;end;correct\na;d;0;1;y\n", "no column", 1),
        (b'{"id": "a"}\n', "no column", 1),
        ("kind,id,start,end,correct\na,é,0,1,y\n".encode("latin-1"), "is not UTF-8", None),
        ("kind,id,start,end,correct\n".encode("utf-16"), "is not UTF-8", None),
        (b'{"text": "' + b"x" * 200_000 + b'"}\n', "field larger than field limit", None),
        (b"kind,id,start,end,correct\na," + b"x" * 200_000 + b",0,1,y\n", "field larger", None),
    ],
)  # fmt: skip
def test_what_is_no_worksheet(tmp_path: Path, data: bytes, reason: str, line: int | None) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason) as raised:
        samples.judgements([str(path)])
    assert raised.value.path == str(path)
    if line is not None:
        assert raised.value.line == line


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes("\ufeffkind,id,start,end,correct\r\na,d,0,1,Y\r\n".encode())
    assert judged(str(path)) == {"a": (1, 1)}


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # WIMBD's precisions of personal data, of 100 hits each, to which the paper has no bounds
        (92, 100, 0.850, 0.959), (66, 100, 0.563, 0.745), (7, 100, 0.034, 0.137),
        (0, 0, 0, 1), (0, 10, 0, 0.278), (10, 10, 0.722, 1), (1, 1, 0.207, 1),
    ],
)  # fmt: skip
def test_precision_with_its_interval(correct: int, n: int, low: float, high: float) -> None:
    found = samples.precision(correct, n)
    assert (found.correct, found.judged) == (correct, n)
    assert found.share == (correct / n if n else 0)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)
