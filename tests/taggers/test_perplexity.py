"""The tagger `perplexity_v1`: cc_net's formula, its buckets, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import files, registry
from dolma_kit.attributes import Columns
from dolma_kit.errors import ConfigError
from dolma_kit.language_models import training
from tests.naive import language_models as twin

from ..conftest import WriteDocuments
from .test_taggers import batch_of

GOLDEN = Path(__file__).parents[1] / "golden" / "language_models"
MODEL = str(GOLDEN / "order-3.arpa")
TEXTS = [
    "The cat sat on the MAT.\n\nthe black dog\tran home\n",
    "",
    " \n\u3000",
    "Ünknown wörds; 42\u00a0of « them »",
    "the cat sat on the mat",
]


def tag(texts: list[str] = TEXTS, **settings: Any) -> Columns:
    spec = {"id": "perplexity_v1", "model": MODEL} | settings
    return registry.tagger(spec).tag(batch_of(texts))


@pytest.mark.parametrize("normalize", ["ccnet", None])
def test_the_formula_of_cc_net(normalize: str | None) -> None:
    """cc_net/perplexity.py, DocLM: lines one by one, each with one for its end."""
    model = twin.read_arpa(Path(MODEL).read_text(encoding="utf-8"))
    columns = tag(normalize=normalize)
    for i, text in enumerate(TEXTS):
        if not text:
            assert all(np.isnan(np.asarray(column)[i]) for column in columns.values())
            continue
        log10 = length = unknown = 0.0
        for line in text.split("\n"):
            found = twin.score_line(model, twin.ccnet_normalized(line) if normalize else line)
            log10, length, unknown = log10 + found[0], length + found[1], unknown + found[2]
        assert columns["log10_probability"][i] == pytest.approx(log10, rel=1e-6)
        assert columns["token_count"][i] == length
        assert columns["unknown_token_count"][i] == unknown
        assert columns["perplexity"][i] == pytest.approx(10 ** (-log10 / length), rel=1e-5)


def test_buckets() -> None:
    whole = tag()
    assert set(whole) == {
        "perplexity", "log10_probability", "token_count", "unknown_token_count",
    }  # fmt: skip
    head, tail = sorted(float(whole["perplexity"][i]) for i in (0, 4))
    columns = tag(head=head, tail=tail)
    for value, bucket in zip(columns["perplexity"], columns["bucket"], strict=True):
        expected = np.nan if np.isnan(value) else 0 if value < head else 1 if value < tail else 2
        np.testing.assert_equal(bucket, expected)
    assert columns["bucket"][4] == 1  # at a cutoff is above it
    assert (
        "bucket" not in registry.tagger({"id": "perplexity_v1", "model": MODEL, "head": 1.0}).keys
    )
    with pytest.raises(ConfigError, match=r"head=2\.0 is above tail=1\.0"):
        tag(head=2.0, tail=1.0)


def test_text_as_cc_nets_pipeline_has_it() -> None:
    """One sentence of pieces a document; the model was trained on words, so most are unknown."""
    columns = tag(tokenizer=str(GOLDEN / "pieces.model"), sentence="document")
    pieces = json.loads((GOLDEN / "pieces.json").read_text(encoding="utf-8"))
    assert columns["token_count"][4] == len(pieces[TEXTS[4]]) + 1
    assert columns["unknown_token_count"][4] > 5


def test_megabytes_of_one_character() -> None:
    texts = ["a" * 5_000_000, "b " * 1_000_000, *(c * 500_000 for c in " \n\tΣé(0")]
    for settings in ({}, {"tokenizer": str(GOLDEN / "pieces.model")}):
        columns = tag(texts if not settings else texts[1:4], **settings)
        assert np.isfinite(np.asarray(columns["perplexity"])).all()


def test_what_is_recorded(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    write_documents(Path("web/documents/a.jsonl.gz"), rows)
    training.train(documents=["web"], out="m.arpa.gz", order=2, held_out=["web"])
    spec = "perplexity_v1(model=m.arpa.gz, head=3, tail=9.5)"
    for workers in (1, 2):
        dolma_kit.tag(documents=["web"], taggers=[spec], experiment="q", workers=workers)
    table = pq.read_table("web/attributes/q/a.parquet")
    assert "q__perplexity_v1__bucket" in table.column_names
    note = json.loads(table.schema.metadata[b"dolma_kit"])
    assert note["models"] == {"m.arpa.gz": files.sha256("m.arpa.gz")}
    made = registry.tagger(spec)
    assert registry.tagger(made.spec) == made
    with pytest.raises(ConfigError, match=r"m\.arpa\.gz was trained on text with normalize=ccnet"):
        registry.tagger("perplexity_v1(model=m.arpa.gz, normalize=None)").tag(batch_of(TEXTS))
    with pytest.raises(ConfigError, match=r"none\.arpa is not there"):
        registry.tagger("perplexity_v1(model=none.arpa)").tag(batch_of(TEXTS))
