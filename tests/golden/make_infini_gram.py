"""What infini-gram answers about a few tokens; run in an environment that has infini-gram 2.6.0 and
numpy.

    python -I tests/golden/make_infini_gram.py

Writes infini_gram.json beside itself, for uint16 and uint32: the documents of two shards; SHA-256
of the tables that the package's indexer makes of them; and what its engine says of queries, prompts
and texts. For uint32 the indexer takes 32 GiB, whatever the tokens, as it has a bucket for each id
up to the separator; those tables are sorted here instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from infini_gram import indexing
from infini_gram.engine import InfiniGramEngine

HERE = Path(__file__).parent
EOS = 7
BYTES = {"uint16": 2, "uint32": 4}
#: bytes and ids are in different orders; the last is the first by its bytes, and stands once
IDS = {
    "uint16": [1, 2, 3, 255, 256 + 1, 512 + 3, 300, 40_000, 65_534, 256],
    "uint32": [1, 2, 3, 255, 256 + 1, 512 + 3, 300, 70_000, 100_000, 65_536],
}


def documents(dtype: str, draw: random.Random) -> list[list[list[int]]]:
    """Two shards of documents, some of which repeat parts of others."""
    ids, rare = IDS[dtype][:-1], IDS[dtype][-1]
    weights = [9, 7, 5, 4, 3, 3, 2, 2, 1]
    phrases = [draw.choices(ids, weights, k=draw.randint(3, 12)) for _ in range(12)]
    shards = []
    for _ in range(2):
        shard = []
        for _ in range(24):
            document: list[int] = []
            while len(document) < draw.choice([1, 5, 20, 60]):
                if draw.random() < 0.4:
                    document += draw.choice(phrases)
                else:
                    document += draw.choices(ids, weights, k=draw.randint(1, 4))
            shard.append(document)
        shard[5] = []
        shard[7] += [rare, ids[0], ids[1], ids[2]]
        shards.append(shard)
    return shards


def write(folder: str, shards: list[list[list[int]]], dtype: str) -> None:
    separator = int(np.iinfo(dtype).max)
    for number, shard in enumerate(shards):
        data: list[int] = []
        offsets = []
        for document in shard:
            offsets.append(len(data) * BYTES[dtype])
            data += [separator, *document]
        np.array(data, dtype).tofile(f"{folder}/tokenized.{number}")
        np.array(offsets, np.uint64).tofile(f"{folder}/offset.{number}")
        counts = sorted(Counter(data).items())
        lines = "".join(f"{one} {n}\n" for one, n in counts)
        Path(f"{folder}/unigram.{number}").write_text(lines)


def sort(folder: str, n_shards: int, dtype: str) -> None:
    if dtype == "uint32":
        for number in range(n_shards):
            data = Path(f"{folder}/tokenized.{number}").read_bytes()
            places = sorted(range(0, len(data), 4), key=lambda place: data[place:])
            width = math.ceil(math.log2(len(data)) / 8)
            table = b"".join(place.to_bytes(width, "little") for place in places)
            Path(f"{folder}/table.{number}").write_bytes(table)
        return
    settings = SimpleNamespace(
        save_dir=folder, temp_dir=folder, worker_id=0, workers=1, shards=n_shards, mem=1, cpus=1,
        token_width=BYTES[dtype],
    )  # fmt: skip
    before = os.getcwd()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        indexing.build_sa(settings)
    os.chdir(before)


def asked(shards: list[list[list[int]]], ids: list[int], draw: random.Random, n: int) -> list[int]:
    """Pieces of documents and other ids, of n tokens at most."""
    found: list[int] = []
    while len(found) < n:
        document = draw.choice(draw.choice(shards))
        if document and draw.random() < 0.8:
            first = draw.randrange(len(document))
            found += document[first : first + draw.randint(1, 15)]
        else:
            found.append(draw.choice([*ids, 5]))
    return [one for one in found[:n] if one in (*ids, 5)] or [ids[0]]


def answers(dtype: str, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    ids, rare = IDS[dtype][:-1], IDS[dtype][-1]
    shards = documents(dtype, draw)
    with tempfile.TemporaryDirectory(prefix="ig") as folder:
        write(folder, shards, dtype)
        sort(folder, len(shards), dtype)
        bow = f"{folder}/bow"
        begins = sorted(draw.sample(ids, 5))
        Path(bow).write_text("".join(f"{one}\n" for one in begins))
        engine = InfiniGramEngine(
            index_dir=folder, eos_token_id=EOS, vocab_size=min(int(np.iinfo(dtype).max), 1 << 17),
            token_dtype=f"u{8 * BYTES[dtype]}", bow_ids_path=bow, max_support=100_000,
            precompute_unigram_logprobs=True,
        )  # fmt: skip
        found: dict[str, Any] = {"shards": shards, "begins": begins, "tables": [
            hashlib.sha256(Path(f"{folder}/table.{n}").read_bytes()).hexdigest()
            for n in range(len(shards))
        ]}  # fmt: skip
        queries = [[one] for one in [*ids, 5]] + [
            asked(shards, ids, draw, draw.choice([1, 2, 2, 3, 4, 6, 9])) for _ in range(250)
        ]
        found["counts"] = [[one, engine.count(input_ids=one)["count"]] for one in queries]
        found["infgrams"] = []
        for _ in range(60):
            prompt = asked(shards, ids, draw, draw.randint(1, 8))
            told = engine.infgram_ntd(prompt_ids=prompt)
            following = sorted((k, v["cont_cnt"]) for k, v in told["result_by_token_id"].items())
            found["infgrams"].append([prompt, told["suffix_len"], told["prompt_cnt"], following])
        found["reach"], found["spans"] = [], []
        for n in range(24):
            text = asked(shards, ids, draw, draw.choice([1, 7, 40, 80]))
            found["reach"].append([text, engine.creativity(input_ids=text)["rs"]])
            delimiters = draw.sample(ids, n % 3)
            terms = {
                "delim_ids": delimiters, "min_len": draw.choice([1, 1, 2, 4]),
                "max_cnt": draw.choice([1, 3, 10, 100_000]), "enforce_bow": n % 2 == 1,
            }  # fmt: skip
            told = engine.attribute(input_ids=text, **terms)
            spans = [[s["l"], s["r"], s["count"], round(s["unigram_logprob_sum"], 6)]
                     for s in told["spans"]]  # fmt: skip
            found["spans"].append({"text": text, **terms, "spans": spans})
        # Before the first suffix of both shards, of which it has the first id: none is found there.
        first = [rare, 0]
        found["before_all"] = [first, engine.creativity(input_ids=first)["rs"]]
    return found


def main() -> None:
    found = {"version": "infini-gram 2.6.0", "eos": EOS} | {
        dtype: answers(dtype, seed) for seed, dtype in enumerate(BYTES, start=1)
    }
    text = json.dumps(found, separators=(",", ":"))
    (HERE / "infini_gram.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
