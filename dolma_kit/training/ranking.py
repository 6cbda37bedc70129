"""Questions with several answers, by which the model finds likeliest (rank classification).

A request file has a line for each answer of a question, as OLMo's evaluation files have them:

    {"task_name": "piqa", "doc_id": 0, "idx": 0, "label": 1,
     "request": {"context": "...", "continuation": " ..."}}        JSONL, also .gz

The log-likelihood of a continuation is the sum over its tokens, given those of its context; what is
longer than the model is cut at its head. Answers are compared by

    none             the sum itself
    per-token        over the continuation's tokens
    per-character    over its characters without the blank that it begins with, as there
    unconditional    less its log-likelihood after "Answer:" alone (Brown et al. 2020, 2.4)

Which one is a matter of the task, and published numbers differ in it: BY_TASK has `olmo`, that of
OLMo's evaluation while it trains (olmo/eval/downstream.py), and `olmo-paper`, that of the paper's
table (Groeneveld et al. 2024, 4.1). Bits per byte of the right answer tell something of small
models too, whose accuracy is chance.
"""

from __future__ import annotations

import gzip
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import torch

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.training.models import Transformer
from dolma_kit.training.settings import ByTask, Normalization

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: how answers of tasks that no table has are compared
OTHERS: Normalization = "per-character"
_OLMO: dict[str, Normalization] = {
    "arc_challenge": "per-character",
    "arc_easy": "none",
    "boolq": "none",
    "copa": "none",
    "csqa": "per-character",
    "hellaswag": "per-character",
    "openbookqa": "per-character",
    "piqa": "per-character",
    "sciq": "none",
    "socialiqa": "per-character",
    "winogrande": "none",
}
#: by name, then by task; what the paper says nothing of is compared as OLMo's code does
BY_TASK: dict[ByTask, dict[str, Normalization]] = {
    "olmo": _OLMO,
    "olmo-paper": _OLMO
    | {
        "arc_challenge": "unconditional",
        "arc_easy": "unconditional",
        "openbookqa": "unconditional",
        "hellaswag": "per-token",
        "piqa": "per-token",
        "winogrande": "per-token",
        "boolq": "none",
        "sciq": "none",
    },
}
UNCONDITIONAL = "Answer:"
AT_ONCE = 16


class Answers(msgspec.Struct, frozen=True):
    """What a task came to: questions, the share answered rightly with its standard error, what
    guessing gives, how answers were compared, and the bits per byte of the right ones."""

    task: str
    questions: int
    accuracy: float
    standard_error: float
    chance: float
    normalization: Normalization
    gold_bits_per_byte: float


class _Texts(msgspec.Struct):
    context: str
    continuation: str


class Request(msgspec.Struct):
    """A line of a request file; `label` is the right answer's `idx`."""

    task_name: str
    doc_id: int
    idx: int
    label: int
    request: _Texts


@dataclass
class _Scored:
    request: Request
    loss: float
    n_tokens: int
    after_nothing: float = 0.0

    def score(self, normalization: Normalization) -> float:
        text = self.request.request.continuation
        if normalization == "per-token":
            return -self.loss / self.n_tokens
        if normalization == "per-character":
            return -self.loss / max(len(text.removeprefix(" ")), 1)
        if normalization == "unconditional":
            return self.after_nothing - self.loss
        return -self.loss


def read_requests(paths: Sequence[str]) -> list[Request]:
    """The requests of files, in their order; DataError for a line of another form, ConfigError for
    a file that is not there."""
    found = []
    for path in paths:
        line = 0
        try:
            opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
            with opened as stream:
                for text in stream:
                    line += 1
                    found.append(msgspec.json.decode(text, type=Request))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(path, line, f"is no request: {error}") from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(path, None, f"broken or truncated gzip: {error}") from None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    return found


def answer(
    model: Transformer,
    tokenizer: Tokenizer,
    requests: Sequence[Request],
    *,
    most: int,
    normalization: Normalization | ByTask | Mapping[str, Normalization] = "olmo",
    max_questions: int | None = None,
) -> list[Answers]:
    """How a model answers, by task; `most` is its length in tokens, `normalization` that of all
    tasks, a table of BY_TASK or one's own; `max_questions` are taken of each task, the first ones.

    DataError for a question whose right answer is not among its requests.
    """
    rows = []
    for task, of_task in itertools.groupby(
        sorted(requests, key=lambda r: r.task_name), key=lambda r: r.task_name
    ):
        kept = list(_first(of_task, max_questions))
        chosen = chosen_for(task, normalization)
        scored = [
            _Scored(r, loss, n)
            for r, (loss, n) in zip(
                kept,
                _losses(model, tokenizer, [(r.request.context, r.request.continuation)
                                           for r in kept], most),
                strict=True,
            )
        ]  # fmt: skip
        if chosen == "unconditional":
            alone = [(UNCONDITIONAL, r.request.continuation) for r in kept]
            losses = _losses(model, tokenizer, alone, most)
            for one, (loss, _) in zip(scored, losses, strict=True):
                one.after_nothing = loss
        rows.append(_answers(task, scored, chosen))
    return rows


def chosen_for(
    task: str, normalization: Normalization | ByTask | Mapping[str, Normalization]
) -> Normalization:
    """How the answers of a task are compared."""
    if isinstance(normalization, str):
        if normalization in get_args(Normalization):
            return normalization  # type: ignore[return-value]
        return BY_TASK[normalization].get(task, OTHERS)  # type: ignore[index]
    return normalization.get(task, OTHERS)


def _first(requests: Iterable[Request], n: int | None) -> Iterator[Request]:
    seen: set[int] = set()
    for request in requests:
        seen.add(request.doc_id)
        if n is None or len(seen) <= n:
            yield request


def _answers(task: str, scored: Sequence[_Scored], normalization: Normalization) -> Answers:
    by_question: dict[int, list[_Scored]] = {}
    for one in scored:
        by_question.setdefault(one.request.doc_id, []).append(one)
    right, chance, loss, n_bytes = 0, 0.0, 0.0, 0
    for question, answers in by_question.items():
        gold = [one for one in answers if one.request.idx == one.request.label]
        if not gold:
            raise DataError(task, None, f"question {question} has no request for its right answer")
        best = max(answers, key=lambda one: (one.score(normalization), -one.request.idx))
        right += best.request.idx == best.request.label
        chance += 1 / len(answers)
        loss += gold[0].loss
        n_bytes += len(gold[0].request.request.continuation.removeprefix(" ").encode())
    n = len(by_question)
    accuracy = right / n
    return Answers(
        task=task,
        questions=n,
        accuracy=round(accuracy, 6),
        standard_error=round(math.sqrt(accuracy * (1 - accuracy) / n), 6),
        chance=round(chance / n, 6),
        normalization=normalization,
        gold_bits_per_byte=round(loss / math.log(2) / max(n_bytes, 1), 6),
    )


def _losses(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[tuple[str, str]], most: int
) -> list[tuple[float, int]]:
    """(loss of the continuation, its tokens) of each (context, continuation)."""
    prepared = []
    for context, continuation in texts:
        before = tokenizer.encode(context, add_special_tokens=False).ids
        after = tokenizer.encode(continuation, add_special_tokens=False).ids
        # One token has to stand before the first of the continuation.
        whole = (before or [0]) + after
        prepared.append((whole[-most:], min(len(after), most - 1)))
    found: list[tuple[float, int]] = [(0.0, 1)] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(prepared[i][0]))
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), AT_ONCE):
            batch = order[start : start + AT_ONCE]
            longest = max(len(prepared[i][0]) for i in batch)
            device = next(model.parameters()).device
            ids = torch.zeros(len(batch), longest, dtype=torch.long)
            for row, i in enumerate(batch):
                ids[row, : len(prepared[i][0])] = torch.tensor(prepared[i][0])
            ids = ids.to(device)
            chances: Any = torch.log_softmax(model(ids).float(), -1)
            for row, i in enumerate(batch):
                known, n = prepared[i]
                if not n:
                    continue
                at = torch.arange(len(known) - n, len(known), device=device)
                own = chances[row, at - 1].gather(1, ids[row, at, None])
                found[i] = (-float(own.double().sum()), n)
    return found
