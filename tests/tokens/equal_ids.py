"""Ids of fastokens against those of `tokenizers`, on real documents.

    python -m tests.tokens.equal_ids DATA [--one-in N]

For both tokenizers of DATA/tokenizers, and every document of DATA/corpus whose id's hash falls on
one in N (default: all). Prints how many were compared; the first difference ends it with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from dolma_kit.documents import DocumentReader
from dolma_kit.tokens import encoder, self_check, tokenizer_file

NAMES = ("dolma2.json", "gpt-neox-olmo-dolma-v1_5.json")
AT_ONCE = 1 << 20  # characters


def documents(data: Path, one_in: int) -> Iterator[tuple[str, str]]:
    """Id and text of those that the hash of their id chooses."""
    for path in sorted(data.glob("corpus/*/documents/*")):
        for batch in DocumentReader(str(path)):
            for document_id, text in zip(batch.ids, batch.texts, strict=True):
                digest = hashlib.blake2b(document_id.encode(), digest_size=4).digest()
                if int.from_bytes(digest, "little") % one_in == 0:
                    yield document_id, text


def compare(data: Path, name: str, one_in: int) -> tuple[int, int, str | None]:
    """How many documents and bytes were compared, and the id of one that differs."""
    found = tokenizer_file.resolve(str(data / "tokenizers" / name))
    fast, reference = (
        encoder.load(found.path, found.sha256, library) for library in encoder.LIBRARIES
    )
    n = n_bytes = 0
    held: list[tuple[str, str]] = []

    def difference() -> str | None:
        texts = [text for _, text in held]
        at = self_check.first_difference(reference.encode(texts), fast.encode(texts))
        return None if at is None else held[at][0]

    for document in documents(data, one_in):
        held.append(document)
        n += 1
        n_bytes += len(document[1].encode())
        if sum(len(text) for _, text in held) >= AT_ONCE:
            if (odd := difference()) is not None:
                return n, n_bytes, odd
            held = []
    return n, n_bytes, difference()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--one-in", type=int, default=1)
    arguments = parser.parse_args()
    for name in NAMES:
        n, n_bytes, odd = compare(arguments.data, name, arguments.one_in)
        said = "all equal" if odd is None else f"{odd} differs"
        print(f"{name}: {n:,} documents, {n_bytes / 1e6:,.1f} MB: {said}", flush=True)
        if odd is not None:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
