"""`--method exact`: beside a plain dict, and beside the Bloom filter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit.deduplication import bloom, exact
from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute.ray import RayEngine
from tests.conftest import WriteDocuments
from tests.deduplication import naive
from tests.deduplication.test_stage import FILES, documents, in_order, outputs, read_texts, rows_of


def settings_of(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"documents": [str(corpus)], "method": "exact", "name": "dup", "workers": 1,
            "quiet": True, **more}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    for name, rows in zip(FILES, documents(23), strict=True):
        write_documents(tmp_path / name, rows)
    return tmp_path


def test_clusters_of_documents_are_those_of_a_plain_dict(corpus: Path) -> None:
    summary = dedupe(**settings_of(corpus))
    texts = [text for path in in_order(corpus) for text in read_texts(path)]
    first: dict[str, int] = {}
    counts = Counter(texts)
    rows = rows_of(corpus, "dup")
    for i, (text, row) in enumerate(zip(texts, rows, strict=True)):
        takes_part = bool(text.strip())
        root = first.setdefault(text, i) if takes_part else i
        assert row["dup"] == float(root != i)
        assert row["dup_cluster"] == (root if takes_part else None)
        assert row["dup_cluster_size"] == (counts[text] if takes_part else None)
    listed = pq.read_table(next(corpus.glob("*/attributes/dup.duplicates.parquet"))).to_pylist()
    goes = [i for i, row in enumerate(rows) if row["dup"]]
    assert [row["id"] for row in listed] == [rows[i]["id"] for i in goes]
    assert [row["kept_id"] for row in listed] == [rows[first[texts[i]]]["id"] for i in goes]
    assert summary.counts == {
        "documents": len(texts),
        "without_key": sum(not text.strip() for text in texts),
        "duplicates": len(goes),
        "clusters": sum(counts[text] > 1 for text in first),
        "largest_cluster": max(counts[text] for text in first),
    }


@pytest.mark.parametrize("separator", ["\n", "||", "é"])
@pytest.mark.parametrize("rules", [{}, {"skip_empty": False, "min_words": 2}, {"min_length": 6}])
def test_paragraphs_are_those_of_a_plain_set(
    tmp_path: Path, write_documents: WriteDocuments, separator: str, rules: dict[str, Any]
) -> None:
    for name, rows in zip(FILES, documents(29, separator), strict=True):
        write_documents(tmp_path / name, rows)
    summary = dedupe(**settings_of(tmp_path, by="paragraph", separator=separator, **rules))
    rules = {"skip_empty": True, "min_length": 0, "min_words": 0, **rules}
    seen: Counter[str] = Counter()
    by_document = iter(rows_of(tmp_path, "dup"))
    for path in in_order(tmp_path):
        for text in read_texts(path):
            expected, covered = [], 0
            for paragraph, start, end in naive.paragraphs(text, separator):
                if not naive.takes_part(paragraph, **rules):
                    continue
                if paragraph in seen:
                    expected.append({"start": start, "end": end, "score": 1.0})
                    covered += end - start
                seen[paragraph] += 1
            row = next(by_document)
            assert row["dup"] == expected
            assert row["dup_fraction"] == (covered / len(text) if text else 0.0)
    assert summary.counts == {
        "keys": seen.total(),
        "distinct": len(seen),
        "duplicates": seen.total() - len(seen),
        "clusters": sum(n > 1 for n in seen.values()),
        "largest_cluster": max(seen.values()),
    }


@pytest.mark.parametrize("by", ["document", "paragraph"])
def test_same_bytes_for_any_partitions_and_engine(
    corpus: Path, by: str, ray_cluster: RayEngine
) -> None:
    dedupe(**settings_of(corpus, by=by))
    expected = outputs(corpus, "dup")
    assert len(expected) == len(FILES)
    for more in ({"partitions": 40}, {"workers": 2}, {"engine": ray_cluster}):
        dedupe(**settings_of(corpus, by=by, overwrite=True, **more))
        assert outputs(corpus, "dup") == expected


def test_taken_up_after_a_failure(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dedupe(**settings_of(corpus, by="paragraph"))
    calls = []

    def fails(task: exact.FindTask) -> Any:
        calls.append(task.partition)
        if task.partition == 9:
            raise OSError("no more")
        return find(task)

    find = exact.find
    monkeypatch.setattr(exact, "find", fails)
    settings = settings_of(corpus, by="paragraph", name="again")
    with pytest.raises(OSError, match="no more"):
        dedupe(**settings)
    assert not outputs(corpus, "again")
    monkeypatch.setattr(exact, "find", find)
    again = dedupe(**settings)
    assert again.units_skipped > 5
    both = zip(rows_of(corpus, "again"), rows_of(corpus, "dup"), strict=True)
    assert all(one["again"] == other["dup"] for one, other in both)


@pytest.mark.parametrize("value", [None, 3, ["a"], {"b": "c"}, True])
def test_a_key_that_is_no_string_is_named(
    tmp_path: Path, write_documents: WriteDocuments, value: Any
) -> None:
    rows = [{"id": "1", "text": "a", "metadata": {"url": "u"}},
            {"id": "2", "text": "a", "metadata": {"url": value}}]  # fmt: skip
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    with pytest.raises(DataError, match=r"a\.jsonl.*2.*metadata\.url"):
        dedupe(**settings_of(tmp_path, key="metadata.url"))


def test_too_many_keys_for_memory_name_the_partitions(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bloom, "available_memory", lambda: 200)
    with pytest.raises(ConfigError, match="give --partitions"):
        dedupe(**settings_of(corpus, by="paragraph"))


def test_ngrams_are_no_keys_of_it(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="take --method bloom"):
        dedupe(**settings_of(corpus, by="ngram"))
