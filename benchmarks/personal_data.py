"""Precision and recall of `pii_v3` beside Dolma's regular expressions, and what both find in texts.

    python benchmarks/personal_data.py [--seed N] [--data FOLDER] [--show 0] [--dolma-python PATH]

Prints, for the labelled set of `tests/personal_data.py`, how many spans of each type are found and
how many of these are exactly right; for Dolma's `pii_regex_with_counts_fast_v2` also after white
space and punctuation, which its spans take along, are cut from their ends. FOLDER holds
`corpus/<source>/documents/` of real texts (default: $DOLMA_KIT_DATA; not read if there is none):
for each source, spans by type and MB/s of both rules and, with PATH, a Python that has dolma
1.2.1, of Dolma's own code on the first documents; with `--show N`, N spans that only the one or
the other finds, to be judged by eye.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from dolma_kit import kernels, registry
from dolma_kit.attributes import Spans
from dolma_kit.documents import Batch, DocumentReader
from tests import naive
from tests import personal_data as labelled

OURS, DOLMA = "pii_v3", "pii_regex_with_counts_fast_v2"
CONTEXT = 30
N_FOR_DOLMA = 300
#: Dolma's rule over the texts that come as JSON; prints the seconds that it took
DOLMA_CODE = f"""
import json, sys, time
from dolma.core.data_types import Document
from dolma.core.registry import TaggerRegistry
import dolma.taggers
tagger = TaggerRegistry.get("{DOLMA}")()
texts = json.load(sys.stdin)
started = time.perf_counter()
for text in texts:
    tagger.predict(Document(source="", id="", text=text))
print(time.perf_counter() - started)
"""


def spans_of(rule: str, batch: Batch) -> list[set[labelled.Span]]:
    """The spans of each document: type, start and end."""
    found: list[set[labelled.Span]] = [set() for _ in range(len(batch))]
    for type_, value in registry.tagger(rule).tag(batch).items():
        if isinstance(value, Spans):
            for i, spans in enumerate(found):
                rows = slice(value.offsets[i], value.offsets[i + 1])
                pairs = zip(value.start[rows].tolist(), value.end[rows].tolist(), strict=True)
                spans |= {(type_, start, end) for start, end in pairs}
    return found


def measure_labelled(seed: int) -> None:
    from taggers import personal_data

    documents = labelled.documents(seed)
    arrays = naive.as_arrays([document.text for document in documents])
    docs, types, starts, ends = (c.tolist() for c in personal_data.find(*arrays))
    ours: list[set[labelled.Span]] = [set() for _ in documents]
    for doc, type_, start, end in zip(docs, types, starts, ends, strict=True):
        ours[doc].add((personal_data.TYPES[type_], start, end))
    theirs: list[set[labelled.Span]] = [set() for _ in documents]
    found = kernels.pii.find(*arrays)
    for doc, type_, start, end in zip(*(c.tolist() for c in found), strict=True):
        theirs[doc].add((kernels.pii.TYPES[type_], start, end))
    trimmed = map(labelled.without_surroundings, documents, theirs)
    regions = {region for region, _ in labelled.example_phones()}
    print(
        f"labelled set, seed {seed}: {len(documents):,} texts, phones of {len(regions)} regions\n"
    )
    print(
        labelled.table(
            {
                OURS: labelled.measure(documents, ours),
                "Dolma's": labelled.measure(documents, theirs),
                "Dolma's, trimmed": labelled.measure(documents, trimmed),
            }
        )
    )


def batches(folder: Path) -> Iterator[Batch]:
    for path in sorted(folder.glob("documents/*")):
        yield from DocumentReader(str(path))


def dolma_seconds(python: str, texts: list[str]) -> float:
    command = [python, "-I", "-c", DOLMA_CODE]
    done = subprocess.run(
        command, input=msgspec.json.encode(texts), check=True, capture_output=True
    )
    return float(done.stdout)


def compare_on(folder: Path, n_shown: int, python: str | None) -> None:
    n_bytes, seconds, counts = 0, Counter[str](), Counter[tuple[str, str]]()
    alone: dict[str, list[str]] = {OURS: [], DOLMA: []}
    sample: list[str] = []
    for batch in batches(folder):
        n_bytes += batch.n_bytes
        sample += batch.texts[: max(0, N_FOR_DOLMA - len(sample))]
        found = {}
        for rule in (OURS, DOLMA):
            assert len(batch.n_characters) == len(batch)
            started = time.perf_counter()
            registry.tagger(rule).tag(batch)
            seconds[rule] += time.perf_counter() - started
            found[rule] = spans_of(rule, batch)
            counts.update((rule, type_) for spans in found[rule] for type_, _, _ in spans)
        if n_shown:
            for rule, other in ((OURS, DOLMA), (DOLMA, OURS)):
                alone[rule] += only_in(batch.texts, found[rule], found[other])
    speeds = {rule: f"{n_bytes / 1e6 / seconds[rule]:.0f} MB/s" for rule in seconds}
    if python:
        megabytes = sum(len(text.encode()) for text in sample) / 1e6
        speeds["dolma 1.2.1 itself"] = f"{megabytes / dolma_seconds(python, sample):.1f} MB/s"
    print(
        f"\n{folder.name}: {n_bytes / 1e6:.1f} MB; "
        + ", ".join(f"{r} {s}" for r, s in speeds.items())
    )
    for type_ in labelled.TYPES:
        print(f"  {type_:<14} {counts[OURS, type_]:>7,} {counts[DOLMA, type_]:>7,}")
    for rule, lines in alone.items():
        for line in random.Random(labelled.SEED).sample(lines, min(n_shown, len(lines))):
            print(f"    only {rule}: {line}")


def only_in(
    texts: list[str], found: list[set[labelled.Span]], others: list[set[labelled.Span]]
) -> Iterator[str]:
    """Spans that overlap none of the other rule's, in their company."""
    for text, spans, other in zip(texts, found, others, strict=True):
        for type_, start, end in spans:
            if not any(a < end and start < b for t, a, b in other if t == type_):
                around = (text[max(0, start - CONTEXT) : start], text[end : end + CONTEXT])
                yield f"{type_} {around[0]!r} [ {text[start:end]!r} ] {around[1]!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=labelled.SEED)
    parser.add_argument("--data", type=Path, default=os.environ.get("DOLMA_KIT_DATA"))
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--dolma-python")
    arguments = parser.parse_args()
    measure_labelled(arguments.seed)
    kernels.load(["personal_data", "pii", "rounding"])
    for folder in sorted(Path(arguments.data or ".").glob("corpus/*")):
        compare_on(folder, arguments.show, arguments.dolma_python)


if __name__ == "__main__":
    main()
