"""Makes runs small enough to check by hand: a real tokenizer, token files and their sidecars."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dolma_kit.order.documents import SCHEMA
from dolma_kit.order.run import Run, open_run

EOS = "<|endoftext|>"
T = 8

# (id, source, text); the EOS string within a text becomes the EOS id within a document
WEB = [
    ("w1", "web", "the quick brown fox jumps over the lazy dog, then the fox sleeps all day"),
    ("w2", "web", "naïve café 🦊"),
    ("w3", "web", f"one {EOS} two"),
    ("twice", "web", "the same id, first"),
    ("w,5", "web", 'a comma and a "quote" in the id'),
    ("w6", "web", "the dog sleeps"),
    ("end", "web", "fox"),
]
CODE = [
    ("c1", "code", "for dog in dogs:\n    print(dog)\n"),
    ("twice", "code", "the same id, second"),
    ("c3", "code", "the end of the code"),
]


def train_tokenizer(path: Path) -> None:
    """A byte-level BPE of a few hundred tokens, of which id 0 is the EOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for *_, text in WEB + CODE], trainer)
    tokenizer.save(str(path))


def write_part(
    stem: Path, documents: list[tuple[str, str, str]], tokenizer: Path, form: str, pad: int = 0
) -> int:
    """X.npy and its X.docs.parquet or X.csv.gz; the number of tokens.

    The last document is made longer until `pad` tokens are over after the last instance.
    """
    encoder = Tokenizer.from_file(str(tokenizer))
    ids: list[int] = []
    rows = []
    for line, (doc_id, source, text) in enumerate(documents, start=1):
        start = len(ids)
        ids += encoder.encode(text).ids
        if line == len(documents):
            while (len(ids) + 1) % T != pad:
                ids.append(ids[-1])
        ids.append(0)
        rows.append((start, len(ids), doc_id, f"{source}.jsonl.gz", line, source))
    stem.parent.mkdir(parents=True, exist_ok=True)
    np.array(ids, dtype="<u4").tofile(f"{stem}.npy")
    write_rows(stem, rows, form)
    return len(ids)


def write_rows(stem: Path, rows: list[tuple[Any, ...]], form: str) -> None:
    if form == "parquet":
        columns = [list(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, schema=SCHEMA), f"{stem}.docs.parquet")
        return
    with gzip.open(f"{stem}.csv.gz", "wt", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(row[:5] for row in rows)


def write_ids(stem: Path, documents: dict[str, list[int]]) -> None:
    """X.npy and X.csv.gz of documents given as ids, their EOS included."""
    ids: list[int] = []
    rows = []
    for line, (doc_id, of_document) in enumerate(documents.items(), start=1):
        rows.append((len(ids), len(ids) + len(of_document), doc_id, "x.jsonl.gz", line))
        ids += of_document
    stem.parent.mkdir(parents=True, exist_ok=True)
    np.array(ids, dtype="<u4").tofile(f"{stem}.npy")
    write_rows(stem, rows, "csv")


def write_run(folder: Path, tokenizer: Path, /, **changed: Any) -> Path:
    """A run.yaml in `folder` over two parts with a tokens.json; None leaves a key out."""
    tokens = folder / "tokens"
    parts = [
        {"path": "part-00000.npy", "tokens": _written(tokens / "part-00000", WEB, tokenizer, 2)},
        {"path": "part-00001.npy", "tokens": _written(tokens / "part-00001", CODE, tokenizer, 0)},
    ]
    (tokens / tokenizer.name).write_bytes(tokenizer.read_bytes())
    record = {
        "version": 1,
        "tokenizer": tokenizer.name,
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        "encoder": "tokenizers",
        "eos_token_id": 0,
        "dtype": "uint32",
        "parts": parts,
    }
    (tokens / "tokens.json").write_text(json.dumps(record))
    keys = {
        "tokens": "tokens",
        "sequence_length": T,
        "global_batch_size": 4,
        "order": {"kind": "olmo", "seed": 6198, "world_size": 2},
        "epochs": 2,
    } | changed
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in keys.items() if v is not None}))
    return path


def plain_run(folder: Path, tokenizer: Path, tokens: list[str], /, **changed: Any) -> Run:
    """A run of tokens that have no tokens.json beside them."""
    keys = {
        "tokens": tokens,
        "dtype": "uint32",
        "eos_token_id": 0,
        "tokenizer": str(tokenizer),
        "order": {"kind": "olmo", "seed": 1},
        "global_batch_size": 1,
        "epochs": 1,
    }
    return open_run(write_run(folder, tokenizer, **(keys | changed)))


def _written(stem: Path, documents: list[tuple[str, str, str]], tokenizer: Path, pad: int) -> int:
    return write_part(stem, documents, tokenizer, "csv" if documents is CODE else "parquet", pad)
