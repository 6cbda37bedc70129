from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.training.models import SIZES, Transformer, initialise
from dolma_kit.training.ranking import BY_TASK, answer, chosen_for, read_requests

from ..order.tiny_run import train_tokenizer

QUESTIONS: list[tuple[str, list[str], int]] = [
    ("the quick brown", [" fox", " dog and the fox", " cat"], 0),
    ("the dog", [" sleeps", " jumps over the lazy fox"], 1),
    ("for dog in dogs:", ["\n    print(dog)", "\n    é"], 0),
]
LENGTH = 12


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("t") / "tiny.json"
    train_tokenizer(path)
    return Tokenizer.from_file(str(path))


@pytest.fixture(scope="module")
def model() -> Transformer:
    model = Transformer(SIZES["olmo2-tiny"])
    initialise(model, SIZES["olmo2-tiny"], 3)
    for parameter in model.parameters():
        parameter.data *= 3  # so that answers are not all alike
    return model


def lines(task: str) -> list[dict[str, Any]]:
    return [
        {"task_name": task, "doc_id": n, "idx": i, "label": label,
         "request": {"context": context, "continuation": text}, "native_id": None}
        for n, (context, answers, label) in enumerate(QUESTIONS)
        for i, text in enumerate(answers)
    ]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    rows = [json.dumps(row) for task in ("arc_easy", "made_up") for row in lines(task)]
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return str(tmp_path / "r.jsonl.gz")


def plain(model: Transformer, tokenizer: Tokenizer, context: str, text: str) -> tuple[float, int]:
    """The log-likelihood of a continuation, token by token."""
    known = tokenizer.encode(context).ids
    total, ids = 0.0, tokenizer.encode(text).ids
    whole = (known + ids)[-LENGTH:]
    n = min(len(ids), LENGTH - 1)
    for at in range(len(whole) - n, len(whole)):
        with torch.no_grad():
            row = model(torch.tensor([whole[:at]]))[0, -1].double()
        total += float(row[whole[at]] - torch.logsumexp(row, 0))
    return total, n


@pytest.mark.parametrize("how", ["none", "per-token", "per-character", "unconditional"])
def test_equals_a_plain_ranking(
    model: Transformer, tokenizer: Tokenizer, path: str, how: Any
) -> None:
    right, bits, n_bytes = 0, 0.0, 0
    for context, answers, label in QUESTIONS:
        scores = []
        for text in answers:
            total, n = plain(model, tokenizer, context, text)
            scores.append({
                "none": total, "per-token": total / n,
                "per-character": total / len(text.lstrip(" ")),
                "unconditional": total - plain(model, tokenizer, "Answer:", text)[0],
            }[how])  # fmt: skip
        right += scores.index(max(scores)) == label
        bits -= plain(model, tokenizer, context, answers[label])[0] / math.log(2)
        n_bytes += len(answers[label].lstrip(" ").encode())
    rows = answer(model, tokenizer, read_requests([path]), most=LENGTH, normalization=how)
    assert [row.task for row in rows] == ["arc_easy", "made_up"]
    for row in rows:
        assert (row.questions, row.normalization) == (3, how)
        assert row.accuracy == pytest.approx(right / 3, abs=1e-6)
        assert row.chance == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3, abs=1e-6)
        assert row.gold_bits_per_byte == pytest.approx(bits / n_bytes, rel=1e-4)


def test_by_task(model: Transformer, tokenizer: Tokenizer, path: str) -> None:
    rows = answer(model, tokenizer, read_requests([path]), most=LENGTH, max_questions=2)
    assert [row.normalization for row in rows] == ["none", "per-character"]
    assert [row.questions for row in rows] == [2, 2]
    for told in ("olmo-paper", {"arc_easy": "unconditional"}):
        rows = answer(model, tokenizer, read_requests([path]), most=LENGTH, normalization=told)
        assert [row.normalization for row in rows] == ["unconditional", "per-character"]


def test_the_papers_comparisons() -> None:
    """Groeneveld et al. 2024, 4.1: of eight tasks."""
    named = {
        "unconditional": ["arc_challenge", "arc_easy", "openbookqa"],
        "per-token": ["hellaswag", "piqa", "winogrande"],
        "none": ["boolq", "sciq"],
    }
    for normalization, tasks in named.items():
        assert {chosen_for(task, "olmo-paper") for task in tasks} == {normalization}


@pytest.mark.shared_data
def test_the_benchmarks_that_there_are(shared_data: Path) -> None:
    """Every request file is read, each question has its right answer, each task its comparison."""
    paths = sorted(str(p) for p in (shared_data / "evals").glob("*/requests.jsonl.gz"))
    requests = read_requests(paths)
    assert {r.task_name for r in requests} <= set(BY_TASK["olmo"])
    gold = {(r.task_name, r.doc_id) for r in requests if r.idx == r.label}
    assert gold == {(r.task_name, r.doc_id) for r in requests}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"{}\n", DataError, "r.jsonl:1: is no request"),
        (b'{"task_name": "x"', DataError, "r.jsonl:1: is no request"),
        (None, ConfigError, "cannot read"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, data: bytes | None, error: type[Exception], message: str
) -> None:
    if data is not None:
        (tmp_path / "r.jsonl").write_bytes(data)
    with pytest.raises(error) as raised:
        read_requests([str(tmp_path / "r.jsonl")])
    assert message in str(raised.value)


def test_a_question_without_its_answer(model: Transformer, tokenizer: Tokenizer, path: str) -> None:
    requests = [r for r in read_requests([path]) if r.idx != r.label]
    with pytest.raises(DataError, match="question 0 has no request for its right answer"):
        answer(model, tokenizer, requests, most=LENGTH)
