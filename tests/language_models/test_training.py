"""The trainer: lmplz's numbers, sums of 1, bounds, bytes that stay the same."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit import cli
from dolma_kit.errors import ConfigError
from dolma_kit.language_models import smoothing, text, training
from dolma_kit.language_models.models import Model, perplexity
from dolma_kit.summary import Summary
from tests import naive
from tests.naive import language_models as twin

from ..conftest import WriteDocuments

GOLDEN = Path(__file__).parents[1] / "golden" / "language_models"
TEXT = (GOLDEN / "text.txt").read_text(encoding="utf-8").removesuffix("\n")


def train(folder: Path, document: str = TEXT, **keys: Any) -> tuple[str, Summary]:
    """The ARPA file of one document, and the summary."""
    (folder / "d.jsonl").write_text(json.dumps({"id": "1", "text": document}) + "\n")
    settings = {"documents": [str(folder / "d.jsonl")], "out": str(folder / "m.arpa")}
    summary = training.train(**({"normalize": "none", "overwrite": True} | settings | keys))
    return (folder / "m.arpa").read_text(encoding="utf-8"), summary


def numbers(arpa: str) -> dict[str, list[float]]:
    """n-gram -> its numbers, in the order of the file."""
    rows = [line.split("\t") for line in arpa.split("\n") if "\t" in line]
    return {row[1]: [float(row[0]), *map(float, row[2:])] for row in rows}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        *((f"order-{order}.arpa", {"order": order}) for order in (1, 2, 3, 5)),
        ("pruned.arpa", {"order": 4, "prune": [0, 0, 1]}),
        ("pruned.arpa", {"order": 4, "prune": ["0", "0", "1", "1"]}),
    ],
)
def test_a_model_is_that_of_lmplz(tmp_path: Path, name: str, keys: dict[str, Any]) -> None:
    """n-grams in its order, head and all; numbers as exact as single precision is."""
    made, _ = train(tmp_path, **keys)
    golden = (GOLDEN / name).read_text(encoding="utf-8")
    n_lines = keys["order"] + 3
    assert made.split("\n")[1 : n_lines + 1] == golden.split("\n")[:n_lines]
    found, expected = numbers(made), numbers(golden)
    assert list(found) == list(expected)
    for ngram, values in expected.items():
        assert found[ngram] == pytest.approx(values, abs=1e-6)


lines = st.lists(st.lists(st.sampled_from("abcdef"), max_size=7), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(lines, st.integers(1, 4), st.lists(st.integers(0, 2), max_size=4))
def test_a_model_is_that_of_the_definitions(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[list[str]],
    order: int,
    prune: list[int],
) -> None:
    thresholds = sorted(prune)[:order]
    document = "\n".join(map(" ".join, lines))
    if not document:
        return
    made, _ = train(tmp_path_factory.getbasetemp(), document, order=order, prune=thresholds)
    thresholds = (thresholds or [0]) + (thresholds or [0])[-1:] * order
    model = twin.kneser_ney(lines, order, thresholds, smoothing.FALLBACK)
    found = numbers(made)
    assert set(found) == {" ".join(ngram) for ngram in model}
    for ngram, (log10, backoff) in model.items():
        expected = [log10, backoff][: len(found[" ".join(ngram)])]
        assert found[" ".join(ngram)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("keys", [{"order": 3}, {"order": 4, "prune": [0, 1]}, {"order": 1}])
def test_probabilities_sum_to_1_in_every_context(tmp_path: Path, keys: dict[str, Any]) -> None:
    made, _ = train(tmp_path, **keys)
    model = twin.read_arpa(made)
    words = [ngram[0] for ngram in model if len(ngram) == 1 and ngram != ("<s>",)]
    contexts = [(), ("<s>",), ("zebra", "cat"), *itertools.product(["the", "sat", "<s>"], words)]
    for context in [*contexts, *list(model)[::7]]:
        shown = context[-(keys["order"] - 1) :] if keys["order"] > 1 else ()
        total = sum(10 ** twin.log10_of_word(model, shown, word) for word in words)
        assert total == pytest.approx(1, abs=1e-5)


def test_text_in_order_is_less_surprising_than_shuffled(tmp_path: Path) -> None:
    held_out = TEXT.split("\n")[-20:]
    train(tmp_path, "\n".join(TEXT.split("\n")[:-20]), order=4)
    shuffled = [line.split() for line in held_out]
    for line in shuffled:
        random.Random(1).shuffle(line)
    documents = ["\n".join(held_out), "\n".join(map(" ".join, shuffled)), TEXT]
    scores = Model(str(tmp_path / "m.arpa")).score(text.split(*naive.as_arrays(documents)))
    held, mixed, trained = perplexity(scores)
    assert trained < held < mixed / 2


def test_special_words_in_the_text_are_passed_over(tmp_path: Path) -> None:
    made, _ = train(tmp_path, "a <s> b\n</s> c <unk> <UNK>", order=2)
    assert numbers(made) == numbers(train(tmp_path, "a b\nc", order=2)[0])


def test_same_bytes_whatever_the_files_and_the_batches(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    texts = [line for line in TEXT.split("\n") if line]
    rows = [{"id": str(i), "text": line} for i, line in enumerate(texts)]
    write_documents(tmp_path / "one/documents/a.jsonl.gz", rows)
    write_documents(tmp_path / "two/documents/a.jsonl", rows[:40])
    write_documents(tmp_path / "two/documents/b.jsonl.gz", rows[40:])
    made = []
    for name in ("one", "two", "one"):
        out = tmp_path / f"{name}.arpa.gz"
        training.train(documents=[str(tmp_path / name)], out=str(out), order=3, overwrite=True)
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


def test_cutoffs_are_percentiles_of_the_held_out_documents(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    texts = [*TEXT.split("\n")[::2], ""]
    rows = [{"id": str(i), "text": line} for i, line in enumerate(texts)]
    write_documents(tmp_path / "held/documents/a.jsonl", rows)
    _, summary = train(tmp_path, order=2, normalize="ccnet", held_out=[str(tmp_path / "held")])
    found = summary.counts["cutoffs"]
    scores = Model(str(tmp_path / "m.arpa")).score(
        text.normalized(text.split(*naive.as_arrays(texts)))
    )
    perplexities = perplexity(scores)
    perplexities = perplexities[~np.isnan(perplexities)]
    assert found["documents"] == len(perplexities) < len(texts)
    assert found["head"] == pytest.approx(np.percentile(perplexities, 30), abs=1e-4)
    assert found["tail"] == pytest.approx(np.percentile(perplexities, 60), abs=1e-4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_bytes": 50_000}, r"needs .* bytes of memory, more than max_bytes=50,000"),
        ({"prune": [1, 0]}, "none lower than the one before it"),
        ({"prune": [-1]}, "from 0 up"),
        ({"prune": ["one"]}, "whole numbers"),
        ({"prune": [0, 0, 1], "order": 2}, "has no more orders"),
        ({"out": "m.bin"}, "name a file that ends in .arpa"),
        ({"order": 0}, "order"),
        ({"documents": []}, "no documents"),
        ({"held_out": ["none/*.jsonl"]}, "no documents match"),
        ({"tokenizer": "none.model"}, "the tokenizer none.model is not there"),
    ],
)
def test_refusals(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tmp_path, **keys)
    assert not (tmp_path / "m.arpa").exists()


def test_an_output_that_is_there_and_documents_without_text(tmp_path: Path) -> None:
    train(tmp_path, order=2)
    with pytest.raises(ConfigError, match="is there: name another file, or pass --overwrite"):
        train(tmp_path, order=2, overwrite=False)
    with pytest.raises(ConfigError, match="hold no text"):
        train(tmp_path, "", order=2)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = train(tmp_path, order=3, prune=[0, 0, 1])
    out = tmp_path / "by-command.arpa"
    flags = ["--order", "3", "--prune", "0,0,1", "--normalize", "none", "--out", str(out)]
    documents = str(tmp_path / "d.jsonl")
    assert cli.run(["train-language-model", documents, *flags, "--dry-run"]) == 0
    assert "d.jsonl" in capsys.readouterr().out
    assert not out.exists()
    assert cli.run(["train-language-model", documents, *flags, "--held-out", documents]) == 0
    answer = json.loads(capsys.readouterr().out.split("\n")[-2])
    assert answer["command"] == "train-language-model"
    assert (answer["documents"], answer["outputs"]) == (1, [str(out)])
    assert answer["counts"]["cutoffs"]["documents"] == 1
    assert out.read_text(encoding="utf-8") == made
    assert cli.run(["train-language-model", documents, *flags]) == 2
