"""One peer's work, run by a Python that has it; prints a line of JSON.

    python tokens_peers.py datatrove TOKENIZER OUT WORKERS FOLDER...
    python tokens_peers.py fastokens|gigatoken|tokenizers TOKENIZER - WORKERS FOLDER...

`datatrove` reads, encodes and writes, with as many processes; of the others the seconds are those
of encoding alone, texts in memory, with as many threads.
"""

from __future__ import annotations

import glob
import gzip
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

BATCH_CHARACTERS = 4 << 20


def texts_of(folders: list[str]) -> Iterator[list[str]]:
    held: list[str] = []
    n = 0
    for path in sorted(p for f in folders for p in glob.glob(f"{f}/documents/*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                text = json.loads(line)["text"]
                held.append(text)
                n += len(text)
                if n >= BATCH_CHARACTERS:
                    yield held
                    held, n = [], 0
    if held:
        yield held


def raw(kind: str, tokenizer: str, folders: list[str]) -> dict[str, Any]:
    if kind == "fastokens":
        import fastokens

        made = fastokens.Tokenizer.from_file(tokenizer)

        def count(texts: list[str]) -> int:
            ids, _ = made.encode_batch_flat(
                texts, add_special_tokens=False, split_special_tokens=True
            )
            return len(ids) // 4

    elif kind == "gigatoken":
        import gigatoken

        other = gigatoken.Tokenizer(tokenizer)

        def count(texts: list[str]) -> int:
            import awkward as ak

            return int(ak.sum(ak.num(other.encode_batch(texts))))

    else:
        import tokenizers

        reference = tokenizers.Tokenizer.from_file(tokenizer)
        reference.encode_special_tokens = True

        def count(texts: list[str]) -> int:
            encodings = reference.encode_batch_fast(texts, add_special_tokens=False)
            return sum(len(encoding) for encoding in encodings)

    seconds, n_tokens = 0.0, 0
    for texts in texts_of(folders):
        started = time.perf_counter()
        n_tokens += count(texts)
        seconds += time.perf_counter() - started
    return {"seconds": seconds, "tokens": n_tokens}


def datatrove(tokenizer: str, out: str, workers: int, folders: list[str]) -> dict[str, Any]:
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    common = os.path.commonpath(folders)
    started = time.perf_counter()
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(common, glob_pattern="**/documents/*.gz", compression="gzip"),
            DocumentTokenizer(
                out, tokenizer, eos_token="<|endoftext|>", shuffle_documents=False,
                save_final_metadata=False,
            ),
        ],
        tasks=sum(len(glob.glob(f"{f}/documents/*.gz")) for f in folders),
        workers=workers,
        logging_dir=os.path.join(out, "logs"),
    ).run()  # fmt: skip
    seconds = time.perf_counter() - started
    n_bytes = sum(os.path.getsize(path) for path in glob.glob(f"{out}/**/*.ds", recursive=True))
    return {"seconds": seconds, "tokens": n_bytes // 4}


def main() -> None:
    kind, tokenizer, out, workers, *folders = sys.argv[1:]
    if kind == "datatrove":
        made = datatrove(tokenizer, out, int(workers), folders)
    else:
        made = raw(kind, tokenizer, folders)
    print(json.dumps(made))


if __name__ == "__main__":
    main()
