"""The tagger `fasttext`: columns, keys, k, threshold, segments, and what of it is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import files, registry
from dolma_kit.attributes import Columns, Spans
from dolma_kit.errors import ConfigError

from ..conftest import WriteDocuments
from ..fasttext_twin import Twin
from .test_taggers import batch_of, spans

GOLDEN = Path(__file__).parents[1] / "golden" / "fasttext"
MODEL = GOLDEN / "softmax_both.bin"
TEXTS = ["\x1fthe cat\nsat", "", "Katze auf. The cat sat.\n \n\n貓 坐在\n", "\n \u3000"]


def tag(texts: list[str] = TEXTS, **settings: Any) -> Columns:
    spec = {"id": "fasttext", "model": str(MODEL)} | settings
    return registry.tagger(spec).tag(batch_of(texts))


def expected(text: str) -> dict[str, float]:
    """Label -> score of a piece of text, prepared as Dolma prepares it."""
    found = Twin(MODEL).predict(text.replace("\n", " ").strip())
    return {label.removeprefix("__label__"): score for label, score in found}


def test_by_document() -> None:
    columns = tag()
    assert set(columns) == {"en", "d-e", "zh_Hant", "ру", "x.y/z"}
    for i, text in enumerate(TEXTS):
        for label, score in expected(text).items():
            assert columns[label][i] == pytest.approx(score, abs=1e-5)
            assert columns[label][i] == round(columns[label][i], 5)


@pytest.mark.parametrize("k", [1, 2, 5, 50])
def test_the_k_best_labels_have_values(k: int) -> None:
    whole, best = tag(), tag(k=k)
    for i in range(len(TEXTS)):
        ranked = sorted(whole, key=lambda label: -whole[label][i])[:k]
        for label in whole:
            assert np.array_equal(
                best[label][i], whole[label][i] if label in ranked else np.nan, equal_nan=True
            )


def test_below_the_threshold_is_no_value() -> None:
    whole, above = tag(), tag(threshold=0.3)
    assert any(np.isnan(np.asarray(value)).any() for value in above.values())
    for label, value in whole.items():
        assert np.array_equal(
            above[label], np.where(np.asarray(value) >= 0.3, value, np.nan), equal_nan=True
        )


@pytest.mark.parametrize(
    ("by", "pieces"),
    [
        ("paragraph", ["\x1fthe cat\n", "sat", None, "Katze auf. The cat sat.\n", "貓 坐在\n"]),
        ("sentence", ["the cat\nsat", None, "Katze auf.", "The cat sat.", "貓 坐在\n"]),
    ],
)
def test_by_piece(by: str, pieces: list[str | None]) -> None:
    """Pieces of the first text, then (after None) of the third one."""
    columns = tag(by=by, k=1)
    found = []
    for i in range(len(TEXTS)):
        for label, value in columns.items():
            assert isinstance(value, Spans)
            rows = slice(value.offsets[i], value.offsets[i + 1])
            for (a, b), score in zip(spans(columns, label, i), value.score[rows], strict=True):
                piece = TEXTS[i][a:b]
                best = max(expected(piece).items(), key=lambda pair: pair[1])
                assert best[0] == label
                assert score == pytest.approx(best[1], abs=1e-5)
                found.append((i, a, piece))
    first, second = pieces[: pieces.index(None)], pieces[pieces.index(None) + 1 :]
    texts = [piece for i, _, piece in sorted(found) if i in (0, 2) and piece.strip()]
    assert [text.rstrip() for text in texts] == [str(p).rstrip() for p in (*first, *second)]


def test_a_name_stands_in_the_columns_and_arguments_do_not(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    write_documents(Path("web/documents/a.jsonl.gz"), rows)
    specs = [
        f"fasttext(model={MODEL}, name=topic, k=1, threshold=0.2)",
        f"fasttext(model={GOLDEN / 'hs.bin'}, by=paragraph)",
    ]
    for workers in (1, 2):
        dolma_kit.tag(documents=["web"], taggers=specs, experiment="q", workers=workers)
    table = pq.read_table("web/attributes/q/a.parquet")
    assert table.column_names == [
        "id",
        *(f"q__{name}__{label}" for name in ("topic", "fasttext") for label in LABELS),
    ]
    note = json.loads(table.schema.metadata[b"dolma_kit"])
    assert note["models"] == {
        "softmax_both.bin": files.sha256(str(MODEL)),
        "hs.bin": files.sha256(str(GOLDEN / "hs.bin")),
    }
    assert note["taggers"][0] == {
        "id": "fasttext",
        "model": "softmax_both.bin",  # not where it lay
        "name": "topic",
        "k": 1,
        "threshold": 0.2,
        "by": "document",
        "lowercase": False,
    }


LABELS = [
    label.replace("-", "_").replace(".", "_").replace("/", "_").replace("ру", "__")
    for label in registry.tagger({"id": "fasttext", "model": str(MODEL)}).keys
]


def test_where_a_model_lies_decides_nothing_but_what_it_holds_does(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_documents(Path("web/documents/a.jsonl"), [{"id": "1", "text": "the cat"}])

    def run(folder: str, model: Path) -> None:
        Path(folder).mkdir()
        Path(folder, "m.bin").write_bytes(model.read_bytes())
        spec = {"id": "fasttext", "model": f"{folder}/m.bin"}
        dolma_kit.tag(documents=["web"], taggers=[spec], experiment="q", workers=1)

    run("a", MODEL)
    run("b", MODEL)
    with pytest.raises(ConfigError, match="models was"):
        run("c", GOLDEN / "hs.bin")


def test_two_models_of_one_file_name_are_both_recorded(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_documents(Path("web/documents/a.jsonl"), [{"id": "1", "text": "the cat"}])
    specs = []
    for name in ("hs", "ova"):
        Path(name).mkdir()
        Path(name, "m.bin").write_bytes((GOLDEN / f"{name}.bin").read_bytes())
        specs.append({"id": "fasttext", "model": f"{name}/m.bin", "name": name})
    dolma_kit.tag(documents=["web"], taggers=specs, experiment="q", workers=1)
    note = json.loads(pq.read_schema("web/attributes/q/a.parquet").metadata[b"dolma_kit"])
    assert note["models"] == {
        "m.bin": files.sha256("hs/m.bin"),
        "m.bin#2": files.sha256("ova/m.bin"),
    }


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([{}, {}], "tagger 'fasttext' is named twice"),
        ([{"name": "a"}, {"name": "a", "k": 2}], "tagger 'a' is named twice"),
        ([{"name": "gopher_v2"}], "the name 'gopher_v2' is the id of another tagger"),
        ([{"name": "dclm_oh_eli5"}], "the name 'dclm_oh_eli5' is the id of another tagger"),
        ([{"name": "a__b"}], "'a__b' cannot name a column"),
        ([{"name": "1"}], "'1' cannot name a column"),
        ([{"k": 0}], "k"),
        ([{"by": "word"}], "by"),
        ([{"model": ""}], "model"),
    ],
)
def test_settings_that_cannot_be(specs: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        registry.taggers([{"id": "fasttext", "model": str(MODEL)} | spec for spec in specs])


def test_labels_that_would_be_one_column_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clash.bin"
    data = MODEL.read_bytes()
    path.write_bytes(data.replace("__label__ру\0".encode(), "__label__dée\0".encode()))
    made = registry.tagger({"id": "fasttext", "model": str(path)})
    with pytest.raises(ConfigError, match=r"clash.bin: the keys '(d-e|dée)' and .* one column"):
        _ = made.keys
