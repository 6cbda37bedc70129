"""A small corpus taken through the whole pipeline: two sources, tags, duplicates, a mix, tokens and
a run, as a user's folder would be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import dolma_kit
from tests.tokens.conftest import EOS, byte_level

WORDS = ("river", "stone", "light", "harbour", "winter", "copper", "meadow", "signal")
KEEP = ["q__gopher_v2__word_count >= 12", "coalesce(q__char_length_v1__length, 0) < 3000"]
EXCLUDE = "$.attributes[?(@.dup && @.dup[0] && @.dup[0][2] >= 1.0)]"
N_WEB, N_WIKI = 60, 20
SEQUENCE_LENGTH, BATCH_SIZE = 64, 4


def text_of(source: str, i: int) -> str:
    """A text of about 3 i words; every seventh is that of the one before."""
    if source == "web" and i % 7 == 6:
        i -= 1
    words = [WORDS[(i * 5 + k * k + len(source)) % len(WORDS)] for k in range(3 * i + 2)]
    mail = f" write to user{i}@mail.example.org now" if i % 5 == 0 else ""
    return " ".join(words) + f" number {source} {i}.{mail}\nthe same line in all\n"


def documents(source: str, n: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{source}-{i}",
            "text": text_of(source, i),
            "source": source,
            "created": f"20{10 + i % 9}-0{1 + i % 9}-15T00:00:00Z",
            "metadata": {"url": f"https://{source}{i % 4}.example.org/page/{i}"},
        }
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data, mtime=0))


def make(root: Path) -> None:
    """All stages, below a folder."""
    web = documents("web", N_WEB)
    write(root / "web/documents/a.jsonl.gz", web[: N_WEB // 2])
    write(root / "web/documents/b.jsonl.gz", web[N_WEB // 2 :])
    write(root / "wiki/documents/w.jsonl.gz", documents("wiki", N_WIKI))
    sources = [str(root / "web"), str(root / "wiki")]
    common: dict[str, Any] = {"documents": sources, "workers": 1, "quiet": True}
    taggers = ["gopher_v2", "char_length_v1", "language_en_v1", "pii_regex_with_counts_fast_v2"]
    dolma_kit.tag(taggers=taggers, experiment="q", **common)
    dolma_kit.dedupe(by="document", name="dup", **common)
    evals = [
        {"id": f"item-{i}", "question": " ".join(text_of("web", i).split()[:20]), "answer": "yes"}
        for i in (20, 21, 40)
    ]
    write(root / "evals/quiz.jsonl.gz", [*evals, {"id": "free", "question": "q " * 30}])
    dolma_kit.decontaminate(evals=[str(root / "evals")], rule=["ngram_item"], name="dec", **common)
    output = {"path": str(root / "mixed"), "min_text_length": 1}
    streams = [
        {"name": "web-pages", "documents": [sources[0]], "attributes": ["q", "dup"], "keep": KEEP,
         "policies": [{"id": "pii_mask_v1", "max_spans": 5}], "output": output},
        {"name": "wiki", "documents": [sources[1]], "attributes": ["q", "dup"], "rate": 0.9,
         "filter": {"exclude": [EXCLUDE, "$.attributes[?(@.q__gopher_v2__word_count[0][2] < 9)]"]},
         "output": output},
    ]  # fmt: skip
    dolma_kit.mix(streams=streams, workers=1, quiet=True)
    tokenizer = byte_level("gpt2")
    tokenizer.save(str(root / "tiny.json"))
    dolma_kit.tokenize(
        documents=[str(root / "mixed")], tokenizer=str(root / "tiny.json"),
        eos_token_id=tokenizer.token_to_id(EOS), out=str(root / "tokens"), encoder="tokenizers",
        sequence_length=SEQUENCE_LENGTH, workers=1, quiet=True,
    )  # fmt: skip
    (root / "run.yaml").write_text(
        f"tokens: tokens\nsequence_length: {SEQUENCE_LENGTH}\nglobal_batch_size: {BATCH_SIZE}\n"
        "order: {kind: olmo, seed: 6198}\nepochs: 2\n"
    )
