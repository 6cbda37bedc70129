"""What a trained model is asked: losses by source, text; and the commands for it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import torch.nn.functional as F
import yaml
from tokenizers import Tokenizer

from dolma_kit.errors import ConfigError
from dolma_kit.order.run import open_run
from dolma_kit.training import checkpoints, evaluating, exporting
from dolma_kit.training.generating import generate

from ..conftest import RunCommand
from ..order.tiny_run import CODE, WEB, train_tokenizer, write_run

LENGTH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over documents of two sources, and a model trained on it by the command."""
    from dolma_kit.cli import run

    folder = tmp_path_factory.mktemp("asked")
    train_tokenizer(folder / "tiny.json")
    write_run(folder, folder / "tiny.json", order={"kind": "olmo", "seed": 1}, epochs=9)
    keys = {
        "run": str(folder / "run.yaml"),
        "out": str(folder / "out"),
        "model": {"name": "olmo2-tiny", "vocab_size": 512, "n_layers": 1},
        "schedule": {"steps": 20},
        "optimizer": {"peak_lr": 3e-3},
        "evaluate": {
            "every": 8, "run": str(folder / "run.yaml"), "requests": [str(folder / "r.jsonl")],
        },
    }  # fmt: skip
    request = {"context": "the fox", "continuation": " sleeps"}
    row = {"task_name": "piqa", "doc_id": 0, "idx": 0, "label": 0, "request": request}
    (folder / "r.jsonl").write_text(json.dumps(row))
    (folder / "train.yaml").write_text(yaml.safe_dump(keys))
    assert run(["train", "-c", str(folder / "train.yaml")]) == 0
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> str:
    return checkpoints.checkpoints(str(folder / "out/checkpoints"))[-1]


def test_losses_by_source(folder: Path, checkpoint: str) -> None:
    model, *_ = exporting.load_model(checkpoint)
    run = open_run(folder / "run.yaml")
    rows = evaluating.evaluate(model, run, sequence_length=LENGTH)
    tokenizer = Tokenizer.from_file(str(folder / "tiny.json"))
    expected: dict[str, list[float]] = {}
    for n in range(2):
        table = run.documents(n)
        for row in range(len(table)):  # type: ignore[arg-type]
            document = table[row]  # type: ignore[index]
            ids = run.files[n].read(document.start, document.end)[:-1].tolist()
            total = expected.setdefault(document.source or "unknown", [0, 0, 0, 0.0])
            total[0] += 1
            total[1] += len(ids)
            total[2] += len(tokenizer.decode(ids, skip_special_tokens=False).encode())
            for start in range(0, len(ids), LENGTH - 1):
                window = [0, *ids[start : start + LENGTH - 1]]
                with torch.no_grad():
                    logits = model(torch.tensor([window]))[0, :-1].double()
                total[3] += float(
                    F.cross_entropy(logits, torch.tensor(window[1:]), reduction="sum")
                )
    expected["all"] = [sum(column) for column in zip(*expected.values(), strict=True)]
    assert [row.source for row in rows] == ["unknown", "web", "all"]
    for row in rows:
        n_documents, n_tokens, n_bytes, loss = expected[row.source]
        assert (row.documents, row.tokens, row.bytes) == (n_documents, n_tokens, n_bytes)
        assert row.loss == pytest.approx(loss / n_tokens, rel=1e-5)
        assert row.perplexity == pytest.approx(math.exp(loss / n_tokens), rel=1e-4)
        assert row.bits_per_byte == pytest.approx(loss / math.log(2) / n_bytes, rel=1e-5)
    assert expected["all"][0] == len(WEB) + len(CODE)
    few = evaluating.evaluate(model, run, sequence_length=LENGTH, max_documents=1)
    assert [row.documents for row in few] == [1, 1, 2]


def test_evaluations_in_the_loop(folder: Path, checkpoint: str) -> None:
    rows = [json.loads(r) for r in (folder / "out/evaluations.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [8, 16, 20]
    model, *_ = exporting.load_model(checkpoint)
    found = evaluating.evaluate(model, open_run(folder / "run.yaml"), sequence_length=LENGTH)
    assert rows[-1]["sources"] == [msgspec.to_builtins(row) for row in found]
    assert rows[-1]["tasks"][0]["task"] == "piqa"
    assert rows[0]["sources"][-1]["loss"] > rows[-1]["sources"][-1]["loss"]


def test_text(checkpoint: str) -> None:
    model, *_ = exporting.load_model(checkpoint)
    likeliest = list(generate(model, [5, 6], n=12, most=LENGTH))
    known = [5, 6]
    for token in likeliest:
        with torch.no_grad():
            assert token == int(model(torch.tensor([known[-LENGTH:]]))[0, -1].argmax())
        known.append(token)
    drawn = [
        list(generate(model, [5], n=9, most=LENGTH, temperature=2.0, seed=s)) for s in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    stopped = list(generate(model, [5, 6], n=12, most=LENGTH, eos_token_id=likeliest[3]))
    assert stopped == likeliest[: likeliest.index(likeliest[3])]


def test_commands(folder: Path, checkpoint: str, tmp_path: Path, dolma_kit: RunCommand) -> None:
    tiny = str(folder / "tiny.json")
    shown = dolma_kit("train", "evaluate", checkpoint, "--run", folder / "run.yaml")
    assert shown.code == 0, shown.err
    assert "bits per byte" in shown.out
    one = dolma_kit("train", "evaluate", checkpoint, "--run", folder / "run.yaml", "--json")
    assert [row["source"] for row in one.json["sources"]] == ["unknown", "web", "all"]
    text = dolma_kit(
        "train", "generate", checkpoint, "the fox", "--tokenizer", tiny, "--tokens", "5"
    )
    assert text.out.startswith("the fox")
    made = dolma_kit(
        "train", "export", checkpoint, "--out", tmp_path / "hf", "--tokenizer", tiny,
        "--eos-token-id", "0",
    )  # fmt: skip
    assert made.json["outputs"] == [str(tmp_path / "hf")]
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert theirs("the fox")["input_ids"] == Tokenizer.from_file(tiny).encode("the fox").ids
    assert theirs.eos_token_id == 0
    back = dolma_kit("train", "import", tmp_path / "hf", "--out", tmp_path / "back")
    assert back.code == 0
    mean = dolma_kit(
        "train", "soup", checkpoint, back.json["outputs"][0], "--out", tmp_path / "soup"
    )
    assert mean.code == 0, mean.err
    request = {"context": "the fox", "continuation": " sleeps"}
    row = {"task_name": "piqa", "doc_id": 0, "idx": 0, "label": 0, "request": request}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    asked = ("train", "evaluate", checkpoint, "--requests", tmp_path / "r.jsonl")
    answers = dolma_kit(*asked, "--tokenizer", tiny, "--json").json["tasks"]
    assert [(a["task"], a["questions"], a["accuracy"]) for a in answers] == [("piqa", 1, 1.0)]
    assert "100.0% right" in dolma_kit(*asked, "--tokenizer", tiny).out
    assert "--tokenizer FILE" in dolma_kit(*asked).err
    plan = json.loads(dolma_kit("train", "-c", folder / "train.yaml", "--dry-run").out)
    assert (plan["steps"], plan["tokens"]) == (20, 20 * 4 * 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name what to train: -c train.yaml"),
        (("-c", "none.yaml"), "no config 'none.yaml'"),
        (("export", "none", "--out", "x"), "no checkpoint at none"),
        (("evaluate", "none"), "evaluate on one thing"),
        (("soup", "none", "--out", "x"), "a mean is of two checkpoints or more"),
    ],
)
def test_refusals(
    dolma_kit: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found = dolma_kit("train", *arguments)
    assert (found.code, message in found.err) == (2, True), found.err


def test_a_run_without_lists_of_documents(folder: Path, checkpoint: str, tmp_path: Path) -> None:
    keys: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text())
    (folder / "scan.yaml").write_text(yaml.safe_dump(keys | {"documents": "eos-scan"}))
    model, *_ = exporting.load_model(checkpoint)
    with pytest.raises(ConfigError, match="has no list of documents"):
        evaluating.evaluate(model, open_run(folder / "scan.yaml"), sequence_length=8)
