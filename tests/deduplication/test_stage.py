"""The stage: against a plain set, the same bytes however it is run, and bad input."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit.config import Dedupe
from dolma_kit.deduplication import bloom, filtered, marking, stage
from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute.local import LocalEngine
from tests.conftest import WriteDocuments
from tests.deduplication import naive

PARAGRAPHS = ["", " ", "\u3000\x85", "a", "short", "é" * 12, "日本語 の 段落", "😀", "e\u0301 ü",
              "İstanbul", "\u2028", "x|y", "|", "a longer line of some words", "\x00",
              "tail\r"]  # fmt: skip
FILES = ["web/documents/a.jsonl.gz", "web/documents/sub/b.jsonl", "books/documents/a.jsonl.gz",
         "books/documents/c.jsonl"]  # fmt: skip


def documents(seed: int, separator: str = "\n") -> list[list[dict[str, Any]]]:
    """Documents for each of FILES; many repeat paragraphs or whole texts, some are empty."""
    rng = random.Random(seed)
    texts = ["", "\n", "  "] + [
        separator.join(
            rng.choice(PARAGRAPHS) if rng.random() < 0.7 else f"line {rng.randrange(100_000)}"
            for _ in range(rng.randrange(1, 12))
        )
        for _ in range(60)
    ]
    made, n = [], 0
    for _ in FILES:
        made.append([{"id": f"d{n + i}", "text": rng.choice(texts)} for i in range(40)])
        n += 40
    return made


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    for name, rows in zip(FILES, documents(6198), strict=True):
        write_documents(tmp_path / name, rows)
    return tmp_path


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.close()


def in_order(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.glob("*/documents/**/*") if path.is_file())


def read_texts(path: Path) -> list[str]:
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line)["text"] for line in data.decode().split("\n") if line]


def outputs(corpus: Path, name: str) -> dict[str, bytes]:
    found = sorted(corpus.glob(f"*/attributes/{name}/**/*"))
    return {
        str(p.relative_to(corpus)): p.read_bytes()
        for p in found
        if p.is_file() and ".dolma-kit" not in p.parts
    }


def attribute_file(documents: Path, name: str, suffix: str) -> Path:
    path = str(documents).replace("/documents/", f"/attributes/{name}/")
    return Path(path[: path.index(".jsonl")] + suffix)


def rows_of(corpus: Path, name: str) -> list[dict[str, Any]]:
    """The attribute rows of all files in canonical order."""
    return [
        row
        for path in in_order(corpus)
        for row in pq.read_table(attribute_file(path, name, ".parquet")).to_pylist()
    ]


@pytest.mark.parametrize("separator", ["\n", "\n\n", "||", "é"])
@pytest.mark.parametrize(
    "rules", [{}, {"skip_empty": False}, {"min_length": 6}, {"min_words": 2, "min_length": 3}]
)
def test_paragraphs_against_a_plain_set(
    tmp_path: Path, write_documents: WriteDocuments, separator: str, rules: dict[str, Any]
) -> None:
    for name, rows in zip(FILES, documents(7, separator), strict=True):
        write_documents(tmp_path / name, rows)
    summary = dedupe(
        documents=[str(tmp_path)], by="paragraph", name="dup", separator=separator,
        fp_rate=1e-9, workers=1, quiet=True, **rules,
    )  # fmt: skip
    rules = {"skip_empty": True, "min_length": 0, "min_words": 0, **rules}
    seen: set[str] = set()
    n_keys = n_duplicates = 0
    by_document = iter(rows_of(tmp_path, "dup"))
    for path in in_order(tmp_path):
        for text in read_texts(path):
            row = next(by_document)
            expected, covered = [], 0
            for paragraph, start, end in naive.paragraphs(text, separator):
                if not naive.takes_part(paragraph, **rules):
                    continue
                n_keys += 1
                if paragraph in seen:
                    expected.append({"start": start, "end": end, "score": 1.0})
                    covered += end - start
                    n_duplicates += 1
                seen.add(paragraph)
            assert row["dup"] == expected
            assert row["dup_fraction"] == (covered / len(text) if text else 0.0)
    assert next(by_document, None) is None
    assert (summary.counts["keys"], summary.counts["duplicates"]) == (n_keys, n_duplicates)
    assert summary.documents == 40 * len(FILES)
    assert n_duplicates > 50


@pytest.mark.parametrize("rules", [{}, {"skip_empty": False}, {"min_words": 3}, {"min_length": 30}])
def test_documents_against_a_plain_set(corpus: Path, rules: dict[str, Any]) -> None:
    """min_words marks fewer, not none as Dolma's does."""
    dedupe(documents=[str(corpus)], name="dup", fp_rate=1e-9, workers=1, quiet=True, **rules)
    rules = {"skip_empty": True, "min_length": 0, "min_words": 0, **rules}
    texts = [text for path in in_order(corpus) for text in read_texts(path)]
    chosen = [text for text in texts if naive.takes_part(text, **rules)]
    repeated = iter(naive.repeats(chosen))
    expected = [float(naive.takes_part(t, **rules) and next(repeated)) for t in texts]
    assert [row["dup"] for row in rows_of(corpus, "dup")] == expected
    assert sum(expected) > 10


@pytest.mark.parametrize("by", ["document", "paragraph"])
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_same_bytes_for_any_number_of_workers(
    corpus: Path, pool: LocalEngine, by: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, Any] = {
        "documents": [str(corpus)], "by": by, "format": format, "name": "dup", "quiet": True,
        "overwrite": True,
    }  # fmt: skip
    first = dedupe(workers=1, **keys)
    expected = outputs(corpus, "dup")
    assert len(expected) == len(FILES)
    monkeypatch.setattr(marking, "KEYS_AT_ONCE", 64)  # the marks in several pieces
    for workers in (2, 8):
        for path in expected:
            (corpus / path).unlink()
        again = dedupe(workers=workers, engine=pool, **keys)
        assert outputs(corpus, "dup") == expected
        assert (again.counts, again.documents, again.bytes_in, again.bytes_out) == (
            first.counts, first.documents, first.bytes_in, first.bytes_out,
        )  # fmt: skip


def test_both_formats_say_the_same(corpus: Path) -> None:
    keys: dict[str, Any] = {
        "documents": [str(corpus)], "by": "paragraph", "workers": 1, "quiet": True
    }  # fmt: skip
    dedupe(name="dup", experiment="p", **keys)
    dedupe(name="dup", experiment="j", format="jsonl", **keys)
    for path in in_order(corpus):
        native = pq.read_table(attribute_file(path, "p", ".parquet")).to_pylist()
        lines = gzip.decompress(attribute_file(path, "j", ".jsonl.gz").read_bytes()).splitlines()
        texts = read_texts(path)
        for row, line, text in zip(native, lines, texts, strict=True):
            spans = [[s["start"], s["end"], s["score"]] for s in row["dup"]]
            expected = {"dup_fraction": [[0, len(text), row["dup_fraction"]]]}
            if spans:
                expected["dup"] = spans
            assert json.loads(line) == {"id": row["id"], "attributes": expected, "source": ""}


def test_finished_runs_are_not_done_again_and_still_say_what_came_out(corpus: Path) -> None:
    keys: dict[str, Any] = {"documents": [str(corpus)], "name": "dup", "workers": 1, "quiet": True}
    first = dedupe(**keys)
    again = dedupe(**keys)
    assert again.units_skipped == len(FILES)
    assert (again.counts, again.documents, again.bytes_in) == (
        first.counts, first.documents, first.bytes_in,
    )  # fmt: skip
    assert not list(corpus.rglob("tmp/*"))


@pytest.mark.parametrize("phase", ["Hasher", "mark", "write_file"])
def test_taken_up_after_a_failure_gives_the_same_bytes(
    corpus: Path,
    phase: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    keys: dict[str, Any] = {
        "documents": [str(corpus)], "by": "paragraph", "name": "dup", "workers": 1, "quiet": True,
    }  # fmt: skip
    whole = shutil.copytree(corpus, tmp_path_factory.mktemp("whole"), dirs_exist_ok=True)
    dedupe(**(keys | {"documents": [str(whole)]}))
    n_calls = 0
    module = marking if phase == "mark" else filtered
    work = getattr(module, phase)

    def fails_at_the_second(task: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2 or phase == "mark":
            raise OSError("the power went")
        return work(task)

    with monkeypatch.context() as patched:
        patched.setattr(module, phase, fails_at_the_second)
        with pytest.raises(OSError, match="the power went"):
            dedupe(**keys)
    summary = dedupe(**keys)
    assert summary.units_skipped == {"Hasher": 1, "mark": 4, "write_file": 7}[phase]
    assert outputs(corpus, "dup") == outputs(whole, "dup")
    assert not list(corpus.rglob("tmp/*"))


def test_other_inputs_or_settings_are_refused(corpus: Path) -> None:
    keys: dict[str, Any] = {"name": "dup", "workers": 1, "quiet": True}
    dedupe(documents=[str(corpus)], **keys)
    with pytest.raises(ConfigError, match="inputs was"):
        dedupe(documents=[str(corpus / "books")], **keys)
    with pytest.raises(ConfigError, match="min_words was 0, is 2"):
        dedupe(documents=[str(corpus)], min_words=2, **keys)
    dedupe(documents=[str(corpus)], min_words=2, overwrite=True, **keys)


def test_changed_input_makes_all_files_again(corpus: Path, write_documents: WriteDocuments) -> None:
    keys: dict[str, Any] = {"documents": [str(corpus)], "name": "dup", "workers": 1, "quiet": True}
    dedupe(**keys)
    write_documents(corpus / FILES[0], [{"id": "new", "text": "and nothing else"}])
    assert dedupe(**keys).units_skipped == 0
    assert rows_of(corpus, "dup")[80:81] == [{"id": "new", "dup": 0.0}]


def test_first_in_the_order_of_the_arguments_is_kept(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    rows = [{"id": "1", "text": "the same"}]
    a = write_documents(tmp_path / "a/documents/x.jsonl", rows)
    b = write_documents(tmp_path / "b/documents/x.jsonl", rows)
    dedupe(documents=[str(b), str(a)], name="dup", workers=1, quiet=True)
    scores = [
        pq.read_table(attribute_file(p, "dup", ".parquet"))["dup"].to_pylist() for p in (a, b)
    ]
    assert scores == [[1.0], [0.0]]


def test_limit_takes_the_first_documents(corpus: Path) -> None:
    summary = dedupe(documents=[str(corpus)], name="dup", limit=50, workers=1, quiet=True)
    assert (summary.documents, summary.partial) == (50, True)
    assert len(outputs(corpus, "dup")) == 2


def test_nothing_in_a_file_nothing_in_a_text(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    path = write_documents(tmp_path / "documents/a.jsonl", [])
    other = write_documents(
        tmp_path / "documents/b.jsonl", [{"id": "1", "text": ""}, {"id": "2", "text": ""}]
    )
    cases: list[tuple[str, dict[str, Any]]] = [
        ("paragraph", {"by_paragraph": [], "by_paragraph_fraction": 0.0}),
        ("document", {"by_document": 0.0}),
    ]
    for by, expected in cases:
        summary = dedupe(documents=[str(tmp_path)], by=by, name=f"by_{by}", workers=1, quiet=True)
        assert (summary.documents, summary.counts["keys"]) == (2, 0)
        assert pq.read_table(attribute_file(path, f"by_{by}", ".parquet")).num_rows == 0
        rows = pq.read_table(attribute_file(other, f"by_{by}", ".parquet")).to_pylist()
        assert rows == [{"id": "1", **expected}, {"id": "2", **expected}]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b'{"id": "1", "text": "x"}\n' * 999)[:-20], "truncated"),
        (gzip.compress(b'{"id": "1", "text": "x"}\n{"id": "2"}\n'), r"a\.jsonl\.gz:2: .*text"),
    ],
)
def test_bad_input_stops_before_anything_is_written(corpus: Path, data: bytes, reason: str) -> None:
    (corpus / FILES[0]).write_bytes(data)
    with pytest.raises(DataError, match=reason):
        dedupe(documents=[str(corpus)], name="dup", workers=1, quiet=True)
    assert not outputs(corpus, "dup")


def test_missing_key_names_file_and_line(tmp_path: Path, write_documents: WriteDocuments) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "text": "a", "metadata": {"url": "u"}},
        {"id": "2", "text": "b"},
    ]
    path = write_documents(tmp_path / "documents/a.jsonl", rows)
    with pytest.raises(DataError, match=f"{path}:2: the key metadata.url is missing"):
        dedupe(documents=[str(tmp_path)], name="dup", key="metadata.url", workers=1, quiet=True)


def test_overfull_filter_is_refused_with_the_number_that_would_do(corpus: Path) -> None:
    keys: dict[str, Any] = {"documents": [str(corpus)], "by": "paragraph", "name": "dup"}
    with pytest.raises(ConfigError, match=r"sized for 3 keys but took in .*at least"):
        dedupe(expected_items=3, workers=1, quiet=True, **keys)
    assert not outputs(corpus, "dup")
    enough = dedupe(expected_items=5000, overwrite=True, workers=1, quiet=True, **keys)
    assert enough.counts["filter_bytes"] == bloom.size_for(5000, 1e-6).n_bytes
    assert 0 < enough.counts["expected_fp_rate"] < 1e-6


def test_filter_beyond_memory_is_refused_before_work_starts(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bloom, "available_memory", lambda: 2**30)
    with pytest.raises(ConfigError, match="are available"):
        stage.plan(Dedupe(documents=[str(corpus)], name="dup", expected_items=10**9))


def test_plan_records_columns_and_inputs(corpus: Path) -> None:
    made = stage.plan(Dedupe(documents=[str(corpus)], by="paragraph", name="dup-1"))
    assert made.config["columns"] == {"dup_1": "spans", "dup_1_fraction": "score"}
    assert made.config["inputs"] == sorted(FILES)
    last = made.phases[-1].units
    assert len({id(unit.inputs) for unit in last}) == 1
    assert len(last[0].inputs) == len(FILES)


@pytest.mark.parametrize("name", ["", "a/b", "9a"])
def test_name_must_name_a_folder_and_a_column(corpus: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        dedupe(documents=[str(corpus)], name=name)
