"""Taggers under Dolma's ids that find personal data or use a model: Dolma's own answers.

tests/golden/dolma_models.py made them with Dolma 1.2.1, lid.176.ftz and small models.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dolma_kit
from dolma_kit import registry, segments
from dolma_kit.attributes import Columns, Spans, column_name
from dolma_kit.errors import ConfigError
from taggers import language, quality, toxicity

from ..conftest import WriteDocuments
from ..served import Served
from . import settings
from .settings import MODELS
from .test_taggers import batch_of, tag

GOLDEN = Path(__file__).parents[1] / "golden"
MADE = json.loads((GOLDEN / "dolma_models.json").read_text(encoding="utf-8"))
DOCUMENTS: list[str] = MADE["documents"]
ANSWERS: dict[str, list[Any]] = MADE["answers"]
ENGLISH = {"en": "score", "not_en": "score"}
ENGLISH_SPANS = {"en": "spans", "not_en": "spans"}
PERSONAL = {"EMAIL_ADDRESS": "spans", "PHONE_NUMBER": "spans", "IP_ADDRESS": "spans"}
KEYS = {
    "ft_lang_id_doc_v1": dict.fromkeys(language.labels(), "score"),
    "ft_lang_id_paragraph_v1": dict.fromkeys(language.labels(), "spans"),
    "ft_lang_id_1e2": dict.fromkeys(language.labels(), "score"),
    "ft_lang_id_en_doc_v2": ENGLISH,
    "ft_lang_id_en_only_v2": {"en": "score"},
    "ft_lang_id_en_paragraph_v2": ENGLISH_SPANS,
    "ft_lang_id_en_paragraph_with_doc_score_v2": ENGLISH_SPANS
    | {"doc_en": "score", "doc_not_en": "score"},
    "pii_regex_v1": PERSONAL | {"doc": "score"},
    "pii_regex_v2": PERSONAL | {"doc": "score"},
    "pii_regex_with_counts_v2": PERSONAL | {"doc": "score", "doc_count": "score"},
    "pii_regex_with_counts_fast_v2": PERSONAL | {"doc_count": "score", "doc_frac": "score"},
    "jigsaw_hatespeech_document_v2": {"__label__toxic": "score", "__label__non-toxic": "score"},
    "jigsaw_hatespeech_sentence_v2": {"__label__toxic": "spans", "__label__non-toxic": "spans"},
    "jigsaw_nsfw_document_v1": {"__label__nsfw": "score", "__label__non-nsfw": "score"},
    "jigsaw_nsfw_sencence_v2": {"__label__nsfw": "spans", "__label__non-nsfw": "spans"},
    "dclm-oh-eli5": {"score": "score"},
    "dolma17-quality": {"hq": "score", "lq": "score"},
}
#: what a tagger says of a document where Dolma fails; other keys have no value
WHERE_DOLMA_FAILS = {"doc_count": 0.0}


def said(columns: Columns, document: int, n_characters: int) -> dict[str, list[list[float]]]:
    """What columns say of one document, in Dolma's form."""
    found: dict[str, list[list[float]]] = {}
    for key, value in columns.items():
        if isinstance(value, Spans):
            rows = slice(value.offsets[document], value.offsets[document + 1])
            if spans := np.stack([a[rows] for a in value[1:]], axis=1).tolist():
                found[key] = spans
        elif value[document] == value[document]:
            found[key] = [[0, n_characters, float(value[document])]]
    return found


@pytest.mark.parametrize("part_id", list(ANSWERS))
def test_says_what_dolma_says(part_id: str) -> None:
    columns = tag(part_id, DOCUMENTS)
    tolerance = 1e-4 if part_id in settings.NEEDED else 0
    for i, (text, expected) in enumerate(zip(DOCUMENTS, ANSWERS[part_id], strict=True)):
        found = said(columns, i, len(text))
        if isinstance(expected, str):
            failing = {key: WHERE_DOLMA_FAILS[key] for key in found}
            expected = {key: [[0, len(text), score]] for key, score in failing.items()}
        assert found.keys() == expected.keys(), text
        for key, spans in expected.items():
            assert [s[:2] for s in found[key]] == [s[:2] for s in spans], (text, key)
            scores = [s[2] for s in found[key]]
            assert scores == pytest.approx([s[2] for s in spans], rel=0, abs=tolerance), (text, key)


def test_where_dolma_fails() -> None:
    """On white space alone: PII by the number of words, and quality by the words."""
    failing = {
        part_id: [DOCUMENTS[i] for i, said in enumerate(answers) if isinstance(said, str)]
        for part_id, answers in ANSWERS.items()
        if any(isinstance(said, str) for said in answers)
    }
    blank = [text for text in DOCUMENTS if not text.strip()]
    assert failing == {
        "pii_regex_v1": blank,
        "pii_regex_with_counts_v2": blank,
        "dolma17-quality": blank[:4],  # U+001C to U+001F are no white space to it
    }
    for part_id, texts in failing.items():
        columns = tag(part_id, texts)
        for key, value in columns.items():
            if not isinstance(value, Spans):
                expected = WHERE_DOLMA_FAILS.get(key, np.nan)
                assert np.array_equal(value, [expected] * len(texts), equal_nan=True)


@pytest.mark.parametrize("part_id", list(KEYS))
def test_keys_are_known_without_the_model(part_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(url: str, **_: Any) -> str:
        raise AssertionError(f"{url} was asked for")

    monkeypatch.setattr("dolma_kit.downloads.fetch", no_network)
    declared = registry.tagger(part_id).keys
    assert declared == KEYS[part_id]
    given = {key for said in ANSWERS[part_id] if isinstance(said, dict) for key in said}
    assert given <= set(declared)
    assert len({column_name(key) for key in declared}) == len(declared)
    if len(declared) < len(language.labels()):
        assert given == set(declared)


def test_every_id_has_dolmas_answers() -> None:
    assert set(KEYS) == set(ANSWERS)


@pytest.mark.parametrize(
    ("part_id", "model", "message"),
    [
        (
            "ft_lang_id_doc_v1",
            "nsfw",
            r"missing: af, als, am, an, ar, \.\.\.; unknown: non-nsfw, ns",
        ),
        ("ft_lang_id_en_doc_v2", "dclm", "missing: af, .*unknown: cc, hq"),
        ("jigsaw_nsfw_document_v1", "hatespeech", "missing: non-nsfw, nsfw; unknown: non-t"),
        ("jigsaw_hatespeech_sentence_v2", "nsfw", "missing: non-toxic, toxic; unknown: non-n"),
        (
            "dclm-oh-eli5",
            "dolma17",
            r"missing: cc; unknown: lq\): .* take fasttext\(model=.*17.bin",
        ),
        ("dolma17-quality", "dclm", "missing: lq; unknown: cc"),
    ],
)
def test_a_model_with_other_labels_is_refused(part_id: str, model: str, message: str) -> None:
    made = registry.tagger({"id": part_id, "model": str(GOLDEN / "dolma_models" / f"{model}.bin")})
    with pytest.raises(ConfigError, match=rf"^{part_id}: the labels of .*{message}"):
        made.models()
    with pytest.raises(ConfigError, match=message):
        made.tag(batch_of(["a"]))


def test_a_model_may_be_a_url(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    served.files["/m/jig.bin"] = (GOLDEN / "dolma_models" / "nsfw.bin").read_bytes()
    spec = {"id": "jigsaw_nsfw_document_v1", "model": f"{served.address}/m/jig.bin"}
    made = registry.tagger(spec)
    assert made.keys  # before anything was fetched
    assert served.asked == []
    assert made.recorded == {"id": "jigsaw_nsfw_document_v1", "model": "jig.bin"}
    columns = made.tag(batch_of(DOCUMENTS))
    for key, value in tag("jigsaw_nsfw_document_v1", DOCUMENTS).items():
        assert np.array_equal(columns[key], value)
    assert served.asked == ["/m/jig.bin"]


def test_columns_in_files_are_dolmas(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hyphens of ids and labels are `_`, and the labels' prefix stays."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(DOCUMENTS)]
    write_documents(Path("web/documents/a.jsonl"), rows)
    ids = ["dclm-oh-eli5", "jigsaw_hatespeech_sentence_v2", "pii_regex_v2"]
    specs = [settings.spec(part_id) for part_id in ids]
    dolma_kit.tag(documents=["web"], taggers=specs, experiment="q", format="jsonl", workers=1)
    with gzip.open("web/attributes/q/a.jsonl.gz") as stream:
        written = [json.loads(line)["attributes"] for line in stream]
    for i, found in enumerate(written):
        answers = [(column_name(part_id), ANSWERS[part_id][i]) for part_id in ids]
        assert set(found) == {f"q__{p}__{column_name(k)}" for p, said in answers for k in said}
    assert "q__jigsaw_hatespeech_sentence_v2____label__non_toxic" in written[7]
    assert "q__dclm_oh_eli5__score" in written[0]


def test_models_are_those_that_dolma_names() -> None:
    names = {
        language.LID_176: [i for i in ANSWERS if i.startswith("ft_lang_id_")],
        toxicity.HATESPEECH: ["jigsaw_hatespeech_document_v2", "jigsaw_hatespeech_sentence_v2"],
        toxicity.NSFW: ["jigsaw_nsfw_document_v1", "jigsaw_nsfw_sencence_v2"],
        quality.DCLM: ["dclm-oh-eli5"],
        quality.DOLMA_17: ["dolma17-quality"],
    }
    for url, ids in names.items():
        assert url.startswith("https://")
        for part_id in ids:
            assert registry.tagger(part_id).spec == {"id": part_id, "model": url}
    assert sorted(i for ids in names.values() for i in ids) == sorted(
        part_id for part_id in ANSWERS if part_id.startswith(tuple(MODELS))
    )


def test_languages_are_predicted_once_a_batch() -> None:
    batch = batch_of(DOCUMENTS)
    for part_id in ("ft_lang_id_doc_v1", "ft_lang_id_1e2", "ft_lang_id_en_doc_v2"):
        settings.made(part_id).tag(batch)
    assert [name for name in batch.seconds if not name.startswith(segments.PREFIX)] == [
        f"{language.model_path()} by document"
    ]
