"""Killed by SIGKILL over and over: the bytes of an undisturbed run in the end."""

from __future__ import annotations

from pathlib import Path

from tests import killed
from tests.conftest import WriteDocuments
from tests.decontamination.finding import texts_and_items
from tests.decontamination.test_items import write


def test_the_same_bytes(tmp_path: Path, write_documents: WriteDocuments) -> None:
    texts, items = texts_and_items(3)
    for place in ("calm", "killed"):
        for k, source in enumerate(("web", "books")):
            rows = [{"id": f"{source}{i}", "text": text} for i, text in enumerate(texts[k::2])]
            write_documents(tmp_path / place / source / "documents/a.jsonl", rows)
        rows = [{"question": item.question, "answer": item.answer} for item in items]
        write(tmp_path / place / "evals/quiz.jsonl", rows)
    run = {
        "stage": "decontaminate", "documents": ["web", "books"], "evals": ["evals"],
        "rule": ["ngram_item(n=3)", "gpt3(min_n=3, max_n=4)", "substring50(length=10)"],
        "name": "dec",
    }  # fmt: skip
    killed.check(tmp_path / "calm", tmp_path / "killed", [run], at_least=7)
