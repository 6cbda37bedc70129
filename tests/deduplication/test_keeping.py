"""`--keep`: which of equal documents or paragraphs stays, by every method."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.execute.ray import RayEngine
from tests.conftest import WriteDocuments
from tests.deduplication import naive
from tests.deduplication.test_stage import (
    FILES,
    attribute_file,
    documents,
    in_order,
    outputs,
    read_texts,
    rows_of,
)

SOURCES = ["wiki", "web", "books", None]
KEEPS = ["longest", "source:books,wiki", "q__t__score", "-q__t__score"]


def score_of(i: int) -> float | None:
    return None if i % 7 == 0 else float(i * 37 % 11)


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    """Documents of some sources, with scores of which some are null, and others equal."""
    n = 0
    for name, rows in zip(FILES, documents(31), strict=True):
        for i, row in enumerate(rows, start=n):
            if source := SOURCES[i * 5 % 4]:
                row["source"] = source
            row["metadata"] = {"url": f"u{i * i % 30}"}
        write_documents(tmp_path / name, rows)
        path = attribute_file(tmp_path / name, "q", ".parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        scores = [score_of(i) for i in range(n, n + len(rows))]
        table = {"id": [row["id"] for row in rows], "q__t__score": pa.array(scores, pa.float64())}
        pq.write_table(pa.table(table), path)
        n += len(rows)
    return tmp_path


def settings_of(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"documents": [str(corpus)], "name": "dup", "workers": 1, "quiet": True, **more}


def places(texts: list[str], numbers: list[int], keep: str) -> list[int]:
    """The documents in the order in which they count; `numbers` are those of their ids."""

    def rank(i: int) -> float:
        if keep == "longest":
            return -len(texts[i])
        if keep.startswith("source:"):
            order = keep.removeprefix("source:").split(",")
            source = SOURCES[numbers[i] * 5 % 4]
            return order.index(source) if source in order else len(order)
        score = score_of(numbers[i])
        if score is None:
            return math.inf
        return score if keep.startswith("-") else -score

    return sorted(range(len(texts)), key=lambda i: (rank(i), i))


def read(corpus: Path) -> tuple[list[str], list[int]]:
    texts = [text for path in in_order(corpus) for text in read_texts(path)]
    return texts, [int(row["id"][1:]) for row in rows_of(corpus, "dup")]


@pytest.mark.parametrize("method", ["bloom", "exact"])
@pytest.mark.parametrize("keep", KEEPS)
def test_documents_against_a_plain_sort(corpus: Path, method: str, keep: str) -> None:
    """By their URLs, so that equal ones differ in length."""
    dedupe(**settings_of(corpus, method=method, keep=keep, key="metadata.url", fp_rate=1e-9))
    texts, numbers = read(corpus)
    seen: set[int] = set()
    expected = [0.0] * len(texts)
    for i in places(texts, numbers, keep):
        url = numbers[i] * numbers[i] % 30
        expected[i] = float(url in seen)
        seen.add(url)
    assert [row["dup"] for row in rows_of(corpus, "dup")] == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("method", ["bloom", "exact"])
@pytest.mark.parametrize("keep", KEEPS)
def test_paragraphs_against_a_plain_sort(corpus: Path, method: str, keep: str) -> None:
    dedupe(**settings_of(corpus, method=method, keep=keep, by="paragraph", fp_rate=1e-9))
    texts, numbers = read(corpus)
    seen: set[str] = set()
    expected: list[list[tuple[int, int]]] = [[] for _ in texts]
    for i in places(texts, numbers, keep):
        for paragraph, start, end in naive.paragraphs(texts[i], "\n"):
            if paragraph.strip() and paragraph in seen:
                expected[i].append((start, end))
            seen.add(paragraph)
    found = [[(s["start"], s["end"]) for s in row["dup"]] for row in rows_of(corpus, "dup")]
    assert found == expected


def test_clusters_keep_their_first_by_place(corpus: Path) -> None:
    """MinHash links as ever, only who stays is another."""
    for keep in ("first", "-q__t__score"):
        dedupe(**settings_of(corpus, method="minhash", keep=keep, overwrite=True, ngram_length=1))
        texts, numbers = read(corpus)
        rows = rows_of(corpus, "dup")
        if keep == "first":
            clusters = [row["dup_cluster"] for row in rows]
    order = places(texts, numbers, "-q__t__score")
    place = {i: p for p, i in enumerate(order)}
    for i, row in enumerate(rows):
        if clusters[i] is None:
            assert row["dup_cluster"] is None
            continue
        members = [j for j, cluster in enumerate(clusters) if cluster == clusters[i]]
        assert row["dup_cluster"] == min(members, key=place.__getitem__)
        assert row["dup"] == float(row["dup_cluster"] != i)
    assert sum(row["dup"] for row in rows) > 5


@pytest.mark.parametrize("method", ["bloom", "exact"])
def test_same_bytes_for_any_partitions_and_engine(
    corpus: Path, method: str, ray_cluster: RayEngine
) -> None:
    settings = settings_of(corpus, method=method, by="paragraph", keep="q__t__score")
    dedupe(**settings)
    expected = outputs(corpus, "dup")
    for more in ({"partitions": 20}, {"workers": 2}, {"engine": ray_cluster}):
        dedupe(**{**settings, "overwrite": True, **more})
        assert outputs(corpus, "dup") == expected


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("best", "has no attributes 'best'"),
        ("q__t__other", "has no scores of that name, but q__t__score"),
        ("", "is no rule"),
        ("-", "is no rule"),
        ("quality score", "is no rule"),
        ("source:", "name sources"),
        ("source:a,,b", "name sources"),
        ("source:a,a", "each once"),
    ],
)
def test_what_is_no_rule(corpus: Path, keep: str, message: str) -> None:
    with pytest.raises(DolmaKitError, match=message):
        dedupe(**settings_of(corpus, keep=keep))


def test_attributes_of_other_documents_are_refused(corpus: Path) -> None:
    path = attribute_file(in_order(corpus)[1], "q", ".parquet")
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 39), path)
    with pytest.raises(DolmaKitError, match="has 39 rows"):
        dedupe(**settings_of(corpus, keep="q__t__score"))
    pq.write_table(table.take([*range(38, -1, -1), 39]), path)
    with pytest.raises(DolmaKitError, match="row 1 is of document"):
        dedupe(**settings_of(corpus, name="other", keep="q__t__score"))


def test_more_attributes_than_documents_are_refused(corpus: Path) -> None:
    path = attribute_file(in_order(corpus)[1], "q", ".parquet")
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(DolmaKitError, match="more than the 40 rows"):
        dedupe(**settings_of(corpus, keep="q__t__score"))
    dedupe(**settings_of(corpus, name="some", keep="q__t__score", limit=60))


@pytest.mark.parametrize("method", ["bloom", "exact", "minhash"])
def test_a_file_that_is_set_aside_needs_no_scores(corpus: Path, method: str) -> None:
    """As `tag` leaves none of it. One that can be read does."""
    broken = corpus / "web/documents/z.jsonl.gz"
    broken.write_bytes(in_order(corpus)[0].read_bytes()[:-9])
    more = {"method": method, "keep": "q__t__score", "on_error": "quarantine"}
    assert dedupe(**settings_of(corpus, **more)).quarantined == 1
    broken.rename(corpus / "z")
    assert len(rows_of(corpus, "dup")) == 160
    (corpus / "z").rename(broken)
    attribute_file(in_order(corpus)[1], "q", ".parquet").unlink()
    with pytest.raises(DolmaKitError, match="has no attributes 'q'"):
        dedupe(**settings_of(corpus, name="other", **more))


def test_other_scores_are_another_config(corpus: Path) -> None:
    dedupe(**settings_of(corpus, keep="q__t__score"))
    path = attribute_file(in_order(corpus)[0], "q", ".parquet")
    table = pq.read_table(path)
    scores = pa.array([1.0] * len(table))
    pq.write_table(table.set_column(1, "q__t__score", scores), path)
    with pytest.raises(ConfigError, match="overwrite"):
        dedupe(**settings_of(corpus, keep="q__t__score"))


def test_substrings_keep_what_is_first(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="no --keep"):
        dedupe(**settings_of(corpus, method="substring", keep="longest"))
