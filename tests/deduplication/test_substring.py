"""`dedupe --method substring`: against plain twins, whatever the shards, formats and workers."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dolma_kit
from dolma_kit.deduplication import repeats, substring
from dolma_kit.errors import ConfigError
from dolma_kit.execute.local import LocalEngine
from dolma_kit.execute.ray import RayEngine
from tests.conftest import WriteDocuments
from tests.naive import windows as plain

FILES = ["web/documents/a.jsonl.gz", "web/documents/b.jsonl", "books/documents/a.jsonl"]
BASE: dict[str, Any] = {
    "documents": ["web", "books"], "method": "substring", "name": "sub", "quiet": True,
}  # fmt: skip
Spans = list[tuple[int, int, int]]


def texts_of(seed: int) -> list[str]:
    """Texts of few words and characters, which repeat themselves and each other; some are odd."""
    rng = random.Random(seed)
    words = ["ab", "a", "b", "é", "中", "😀 ", ",", "\n", "a\u0301", "don't"]
    texts = ["", " \n", "a", "aaaaaaaaaa", "ab ab ab ab ab ab", "\x85\u3000" * 9, "é" * 8]
    texts += [
        "".join(rng.choice(words) + rng.choice(["", " ", " "]) for _ in range(rng.randrange(30)))
        for _ in range(25)
    ]
    for _ in range(25):  # pieces of two
        one, other = rng.choices(texts, k=2)
        texts.append(one[rng.randrange(9) :] + other[: rng.randrange(1, 90)])
    rng.shuffle(texts)
    return texts


def write(texts: Sequence[str], write_documents: WriteDocuments, folder: Path) -> None:
    parts = [texts[:15], texts[15:16], texts[16:]]
    n = 0
    for name, part in zip(FILES, parts, strict=True):
        write_documents(folder / name, [{"id": f"d{n + i}", "text": t} for i, t in enumerate(part)])
        n += len(part)


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> list[str]:
    """Writes FILES below the working directory; gives their texts in canonical order."""
    monkeypatch.chdir(tmp_path)
    texts = texts_of(6198)
    write(texts, write_documents, tmp_path)
    return texts


@pytest.fixture
def pool() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.close()


def rows_of(name: str = "sub") -> list[dict[str, Any]]:
    paths = [f"web/attributes/{name}/a.parquet", f"web/attributes/{name}/b.parquet",
             f"books/attributes/{name}/a.parquet"]  # fmt: skip
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def spans_in(rows: Sequence[dict[str, Any]]) -> list[Spans]:
    return [[(s["start"], s["end"], s["score"]) for s in row["sub"]] for row in rows]


def outputs() -> dict[str, bytes]:
    found = Path().glob("*/attributes/sub/**/*.*")
    return {str(p): p.read_bytes() for p in found if p.is_file() and ".dolma" not in str(p)}


@pytest.mark.parametrize("unit", ["tokens", "characters"])
@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize("shard_bytes", [1 << 28, 600])
def test_spans_are_those_of_the_twin(
    corpus: list[str], unit: str, n: int, shard_bytes: int
) -> None:
    summary = dolma_kit.dedupe(
        substring_unit=unit, substring_length=n, shard_bytes=shard_bytes, workers=1, **BASE
    )
    expected = plain.spans_by_windows(corpus, unit, n)
    rows = rows_of()
    assert [row["id"] for row in rows] == [f"d{i}" for i in range(len(corpus))]
    assert spans_in(rows) == expected
    for row, text, spans in zip(rows, corpus, expected, strict=True):
        covered = sum(end - start for start, end, _ in spans)
        assert row["sub_fraction"] == (covered / len(text) if text else 0.0)
    assert sum(map(len, expected)) > 4
    n_windows = sum(max(0, len(plain.UNITS[unit](text)) - n + 1) for text in corpus)
    assert summary.counts["documents"] == len(corpus)
    assert summary.counts["windows"] == n_windows
    assert 0 < summary.counts["repeats"] < n_windows


small = st.text("ab", max_size=30) | st.text("é😀a", max_size=20)


@settings(deadline=None, max_examples=300)
@given(texts=st.lists(small, max_size=6), n=st.integers(1, 8))
def test_windows_find_what_a_suffix_array_finds(texts: list[str], n: int) -> None:
    """A place lies in a match of at least N with something earlier just if a window does."""
    found = plain.spans_by_windows(texts, "characters", n)
    assert found == plain.spans_by_suffix_array(texts, n)


def test_stage_finds_what_a_suffix_array_finds(corpus: list[str]) -> None:
    dolma_kit.dedupe(substring_unit="characters", substring_length=6, workers=1, **BASE)
    assert spans_in(rows_of()) == plain.spans_by_suffix_array(corpus, 6)


@settings(deadline=None, max_examples=100)
@given(repeated=st.sets(st.integers(0, 40)), sizes=st.lists(st.integers(0, 9)), n=st.integers(1, 5))
def test_spans_of_any_windows(repeated: set[int], sizes: list[int], n: int) -> None:
    offsets = np.concatenate(([100], 100 + np.cumsum(sizes, dtype=np.int64)))
    bounds = list(pairwise(offsets.tolist()))
    starts = [s for a, b in bounds for s in range(a, b - n + 1)]
    chosen = [s for s in starts if s - 100 in repeated]
    found = substring.spans_of(np.array(chosen, np.int64), n, offsets, None)
    expected = []
    for a, b in bounds:
        matches = [(s - a, s - a + n) for s in chosen if a <= s < b]
        expected.append(plain.merged(plain.characters("x" * (b - a)), matches))
    flat = list(zip(found.start.tolist(), found.end.tolist(), found.score.tolist(), strict=True))
    assert [flat[a:b] for a, b in pairwise(found.offsets)] == expected


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
@pytest.mark.parametrize("unit", ["tokens", "characters"])
def test_same_bytes_on_every_engine_and_for_any_shards(
    corpus: list[str], pool: LocalEngine, ray_cluster: RayEngine, format: str, unit: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    keys: dict[str, Any] = BASE | {
        "format": format, "substring_unit": unit, "substring_length": 5, "overwrite": True,
    }  # fmt: skip
    first = dolma_kit.dedupe(workers=1, **keys)
    expected = outputs()
    assert len(expected) == len(FILES)
    monkeypatch.setattr(substring, "FEWEST_SHARDS", 1)
    ways: list[dict[str, Any]] = [
        {"workers": 1},
        {"workers": 1, "shard_bytes": 2000},
        {"engine": pool, "shard_bytes": 3000},
        {"engine": ray_cluster},
    ]
    for way in ways:
        again = dolma_kit.dedupe(**way, **keys)
        assert outputs() == expected
        assert again.counts == first.counts


def test_a_shard_that_is_too_large_is_halved(corpus: list[str], monkeypatch: Any) -> None:
    passes: list[int] = []
    find = repeats.find

    def watched(task: Any) -> Any:
        result = find(task)
        passes.append(result.counts["passes"])
        return result

    monkeypatch.setattr(substring, "FEWEST_SHARDS", 1)
    monkeypatch.setattr(substring, "BYTES_OF_UNIT", {"tokens": 10**9})  # a wrong guess
    monkeypatch.setattr(repeats, "find", watched)
    dolma_kit.dedupe(substring_length=4, shard_bytes=512, workers=1, **BASE)
    assert len(passes) == 1
    assert passes[0] > 4
    assert spans_in(rows_of()) == plain.spans_by_windows(corpus, "tokens", 4)


@pytest.mark.parametrize("unit", ["tokens", "characters"])
def test_a_text_that_repeats_itself(
    tmp_path: Path, write_documents: WriteDocuments, unit: str
) -> None:
    """A match may overlap what it matches; a million equal windows take no longer than others."""
    mark = "a" if unit == "characters" else "!"
    path = write_documents(
        tmp_path / "documents/a.jsonl",
        [{"id": "1", "text": mark * 1_000_000}, {"id": "2", "text": mark * 49}],
    )
    started = time.perf_counter()
    keys: dict[str, Any] = BASE | {"documents": [str(path)], "substring_unit": unit, "workers": 1}
    dolma_kit.dedupe(shard_bytes=1 << 20, **keys)
    assert time.perf_counter() - started < 10
    table = pq.read_table(tmp_path / "attributes/sub/a.parquet")
    assert spans_in(table.to_pylist()) == [[(1, 1_000_000, 999_999)], []]


@pytest.mark.parametrize("n", [49, 50, 51])
def test_fifty_tokens_are_the_default(
    tmp_path: Path, write_documents: WriteDocuments, n: int
) -> None:
    """Punctuation marks are tokens; white space is none, but it has to be the same."""
    passage = " ".join(["word,"] * (n // 2) + ["odd"] * (n % 2))
    texts = [passage, f"é Elsewhere {passage}  and more", passage.replace(" ", "\n")]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    path = write_documents(tmp_path / "documents/a.jsonl", rows)
    dolma_kit.dedupe(**(BASE | {"documents": [str(path)], "workers": 1}))
    found = spans_in(pq.read_table(tmp_path / "attributes/sub/a.parquet").to_pylist())
    assert found == [[], [] if n < 50 else [(12, 12 + len(passage), n)], []]


@pytest.mark.parametrize("phase", ["window", "find", "add_up", "write_file"])
def test_taken_up_after_a_failure_gives_the_same_bytes(
    corpus: list[str], phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, Any] = BASE | {"substring_length": 5, "workers": 1}
    dolma_kit.dedupe(**keys)
    expected = outputs()
    n_calls = 0
    module, name = {
        "window": (substring, "Windower"), "find": (repeats, "find"),
        "add_up": (substring, "add_up"), "write_file": (substring, "write_file"),
    }[phase]  # fmt: skip
    work = getattr(module, name)

    def fails_at_the_second(task: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2 or phase == "add_up":
            raise OSError("the power went")
        return work(task)

    for path in expected:
        Path(path).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(module, name, fails_at_the_second)
        with pytest.raises(OSError, match="the power went"):
            dolma_kit.dedupe(**keys)
    # Other shards than before, of which none must be taken for one of these.
    dolma_kit.dedupe(**keys, shard_bytes=500)
    assert outputs() == expected
    assert not list(Path().rglob("tmp/*"))


def test_a_broken_file_gives_no_windows(corpus: list[str]) -> None:
    path = Path("web/documents/b.jsonl")
    path.write_bytes(b'{"id": "x", "text": 5}\n' + path.read_bytes())
    summary = dolma_kit.dedupe(on_error="quarantine", substring_length=4, workers=1, **BASE)
    assert summary.quarantined == 1
    assert spans_in(rows_of()) == plain.spans_by_windows(corpus, "tokens", 4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"by": "paragraph"}, "compares places of texts"),
        ({"key": "id"}, "compares places of texts"),
        ({"substring_length": 0}, "substring_length"),
        ({"substring_unit": "bytes"}, "substring_unit"),
        ({"shard_bytes": 0}, "shard_bytes"),
    ],
)
def test_settings_that_make_no_sense(corpus: list[str], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dolma_kit.dedupe(**(BASE | keys))


def test_length_and_unit_are_part_of_the_config_and_shards_are_not(corpus: list[str]) -> None:
    dolma_kit.dedupe(workers=1, substring_length=5, **BASE)
    again = dolma_kit.dedupe(workers=1, substring_length=5, shard_bytes=1 << 20, **BASE)
    assert again.units_skipped == len(FILES)
    with pytest.raises(ConfigError, match="substring_length was 5, is 6"):
        dolma_kit.dedupe(workers=1, substring_length=6, **BASE)
    note = pq.read_schema("web/attributes/sub/a.parquet").metadata[b"dolma_kit"]
    assert json.loads(note)["substring_length"] == 5
    assert "shard_bytes" not in json.loads(note)


@pytest.mark.shared_data
def test_a_passage_planted_in_real_texts(
    shared_data: Path, tmp_path: Path, write_documents: WriteDocuments
) -> None:
    """Three lines of one article, put into others, are found, and nothing but them."""
    from dolma_kit.documents import DocumentReader

    path = shared_data / "corpus/wiki/documents/wiki-0000.jsonl.gz"
    texts = [text for batch in DocumentReader(str(path), limit=60) for text in batch.texts]
    before = spans_in(run(texts, tmp_path / "before", write_documents))
    texts = [text for text, spans in zip(texts, before, strict=True) if not spans]
    source = next(i for i, text in enumerate(texts) if len(text) > 3000)
    passage = texts[source][1000:2200]
    passage = passage[passage.index(" ") + 1 : passage.rindex(" ")]
    planted = {}
    for i in range(source + 1, len(texts), 7):
        middle = texts[i].find(" ", len(texts[i]) // 2) + 1
        texts[i] = f"{texts[i][:middle]}{passage} {texts[i][middle:]}"
        planted[i] = middle, middle + len(passage)
    assert len(planted) > 3
    found = spans_in(run(texts, tmp_path / "after", write_documents))
    assert {i: (s[0][0], s[0][1]) for i, s in enumerate(found) if s} == planted
    assert all(len(spans) <= 1 for spans in found)


def run(
    texts: Sequence[str], folder: Path, write_documents: WriteDocuments
) -> list[dict[str, Any]]:
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    path = write_documents(folder / "documents/a.jsonl.gz", rows)
    dolma_kit.dedupe(**(BASE | {"documents": [str(path)], "workers": 1}))
    found: list[dict[str, Any]] = pq.read_table(folder / "attributes/sub/a.parquet").to_pylist()
    return found
