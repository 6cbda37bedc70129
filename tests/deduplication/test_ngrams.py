"""`--by ngram`: shares of n-grams that occur before, against plain sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError
from dolma_kit.execute.ray import RayEngine
from tests.conftest import WriteDocuments
from tests.deduplication import naive
from tests.deduplication.test_stage import FILES, documents, in_order, outputs, read_texts, rows_of
from tests.kernels.test_word_ngrams import words_of
from tests.naive import word_ngrams as twin

GOLDEN = Path(__file__).parent.parent / "golden"


def settings_of(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"documents": [str(corpus)], "by": "ngram", "name": "dup", "workers": 1,
            "quiet": True, "fp_rate": 1e-9, "ngram_length": 3, **more}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    for name, rows in zip(FILES, documents(11), strict=True):
        write_documents(tmp_path / name, rows)
    return tmp_path


def expected_rows(
    corpus: Path, separator: str, n: int, stride: int, threshold: float, skip_short: bool
) -> list[tuple[list[dict[str, Any]], float]]:
    seen: set[object] = set()
    rows = []
    for path in in_order(corpus):
        for text in read_texts(path):
            spans, covered = [], 0
            for paragraph, start, end in naive.paragraphs(text, separator):
                if not paragraph.strip():
                    continue
                keys, n_counting = twin.keys(paragraph, words_of(paragraph), n, stride, skip_short)
                if not keys:
                    continue
                share = sum(key in seen for key in keys[-n_counting:]) / n_counting
                seen.update(keys)
                if share >= threshold:
                    spans.append({"start": start, "end": end, "score": round(share, 5)})
                    covered += end - start
            rows.append((spans, covered / len(text) if text else 0.0))
    return rows


@pytest.mark.parametrize(
    ("threshold", "stride", "skip_short", "separator"),
    [(1.0, 1, False, "\n"), (0.0, 1, False, "\n"), (0.5, 2, True, "\n"), (0.3, 1, False, "||"),
     (0.5, 1, False, "é")],
)  # fmt: skip
def test_against_plain_sets(
    tmp_path: Path, write_documents: WriteDocuments, threshold: float, stride: int,
    skip_short: bool, separator: str,
) -> None:  # fmt: skip
    for name, rows in zip(FILES, documents(5, separator), strict=True):
        write_documents(tmp_path / name, rows)
    summary = dedupe(
        **settings_of(
            tmp_path, overlap_threshold=threshold, stride=stride, separator=separator,
            skip_short_paragraphs=skip_short,
        )
    )  # fmt: skip
    expected = expected_rows(tmp_path, separator, 3, stride, threshold, skip_short)
    assert [(row["dup"], row["dup_fraction"]) for row in rows_of(tmp_path, "dup")] == expected
    assert sum(len(spans) for spans, _ in expected) > 20
    assert summary.counts["keys"] > 100


@pytest.mark.parametrize(("skip_short", "key"), [(False, "shares"), (True, "without_short")])
def test_shares_are_dolmas(
    tmp_path: Path, write_documents: WriteDocuments, skip_short: bool, key: str
) -> None:
    """Where its defects do not show: `tests/golden/make_dedupe_ngrams.py`."""
    golden = json.loads((GOLDEN / "dedupe_ngrams.json").read_text(encoding="utf-8"))
    rows = [{"id": f"d{i}", "text": text} for i, text in enumerate(golden["texts"])]
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    dedupe(
        **settings_of(tmp_path, overlap_threshold=0.0, stride=0, skip_short_paragraphs=skip_short)
    )
    scores = [[span["score"] for span in row["dup"]] for row in rows_of(tmp_path, "dup")]
    assert scores == [pytest.approx(row, abs=2e-5) for row in golden[key]]
    assert len({score for row in scores for score in row}) > 10


def test_partitions_workers_and_engine_change_no_byte(corpus: Path, ray_cluster: RayEngine) -> None:
    """Shares are of all n-grams: in Dolma's partitions a full duplicate scores a part of 1."""
    dedupe(**settings_of(corpus, overlap_threshold=0.2))
    expected = outputs(corpus, "dup")
    for more in ({"partitions": 3}, {"workers": 2}, {"partitions": 2, "engine": ray_cluster}):
        dedupe(**settings_of(corpus, overlap_threshold=0.2, overwrite=True, **more))
        assert outputs(corpus, "dup") == expected


def test_repeats_within_a_paragraph_are_no_overlap(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    texts = ["a b c a b c a b c\na b c d", "x y z\nx y z", "a b c a b c"]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    dedupe(**settings_of(tmp_path, overlap_threshold=0.0))
    scores = [[span["score"] for span in row["dup"]] for row in rows_of(tmp_path, "dup")]
    assert scores == [[0.0, 0.5], [0.0, 1.0], [1.0]]


def test_a_list_on_disk_of_what_is_to_go(corpus: Path) -> None:
    """Read-only, nothing is added: every n-gram of what made the filter is known."""
    path = str(corpus / "filter")
    dedupe(**settings_of(corpus, filter=path))
    dedupe(**settings_of(corpus, name="again", filter=path, read_only=True, overlap_threshold=0.0))
    found = [span["score"] for row in rows_of(corpus, "again") for span in row["again"]]
    assert found
    assert set(found) == {1.0}
    with pytest.raises(ConfigError, match="ngram_length"):
        dedupe(**settings_of(corpus, name="other", filter=path, read_only=True, ngram_length=4))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"method": "minhash"}, "compares the texts of documents"),
        ({"key": "id"}, "no key 'id'"),
        ({"overlap_threshold": 1.5}, "overlap_threshold"),
        ({"ngram_length": 0}, "ngram_length"),
        ({"stride": -1}, "stride"),
        ({"by": "paragraph", "stride": 2}, "--stride is for --by ngram"),
        ({"by": "document", "overlap_threshold": 0.5}, "is for --by ngram"),
    ],
)
def test_settings_that_make_no_sense(corpus: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dedupe(**settings_of(corpus, **keys))
