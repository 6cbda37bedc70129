"""`mix` in several forms, and beside the Dolma toolkit's where it has the like, in one run.

    python benchmarks/mix.py [--data FOLDER] [--dolma-python PATH] [--workers 2] [--runs 3]
                             [--only FORM,...]

Documents are tagged with `pii_regex_with_counts_fast_v2` and `char_length_v1` and de-duplicated by
paragraph first; that is not measured. Then, in turns: `dolma mix` of dolma 1.2.1 (in the Python
that PATH names, or in an environment that is made once) of the same spans in its own form, and
`dolma-kit mix`. Prints the best wall seconds of each, of whole processes, those that our work
takes, the ratio, the peak memory of our largest process, and what was written. The last form,
`shuffle, 10 times`, writes and shuffles all documents ten times, 2 GB. FOLDER holds
`corpus/<source>/documents/` (default: $DOLMA_KIT_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from beside_dolma import copy_documents
from measuring import Measured
from parity_dolma import make_environment

PII = "q__pii_regex_with_counts_fast_v2"
MASKS = {
    f"{PII}__EMAIL_ADDRESS": " |||EMAIL_ADDRESS||| ",
    f"{PII}__PHONE_NUMBER": " |||PHONE_NUMBER||| ",
    f"{PII}__IP_ADDRESS": " |||IP_ADDRESS||| ",
}
CUTS = [{"span": "dup", "min_score": 0.5, "replacement": ""}]
MASKED: dict[str, Any] = {"span_replacement": CUTS, "policies": [{"id": "pii_mask_v1"}]}
#: keys of each stream, and of the mix
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all documents": ({}, {}),
    "mask, cut paragraphs": (MASKED, {}),
    "the same, SQL filter": ({**MASKED, "keep": "q__char_length_v1__length > 200"}, {}),
    "the same, a budget": (MASKED, {"budget": {"bytes": 100_000_000}}),
    "the same, Parquet": ({**MASKED, "output": {"path": "out", "format": "parquet"}}, {}),
    "shuffle": ({}, {"shuffle_seed": 1}),
    "shuffle, 10 times": ({"rate": 10.0}, {"shuffle_seed": 1}),
}


def ours(folder: Path, form: str, workers: int) -> Measured:
    shutil.rmtree(folder / "out", ignore_errors=True)
    of_stream, of_mix = FORMS[form]
    streams = [
        {"name": source.name, "documents": [source.name], "attributes": ["q", "dup"],
         "output": {"path": "out"}} | of_stream
        for source in sorted(path.parent for path in folder.glob("*/documents"))
    ]  # fmt: skip
    (folder / "mix.json").write_text(json.dumps({"streams": streams, **of_mix}))
    return Measured(["mix", "-c", "mix.json", "--workers", str(workers)], folder)


def dolmas(python: str, folder: Path, workers: int) -> float:
    """Wall seconds of `dolma mix`: the same masks and cuts, and no document with more than 5."""
    shutil.rmtree(folder / "theirs", ignore_errors=True)
    replaced = [
        {"span": f"$.attributes.{span}", "min_score": 0.5, "replacement": mask}
        for span, mask in MASKS.items()
    ]
    streams = [
        {
            "name": source.name,
            "documents": [str(source / "documents" / "*.gz")],
            "attributes": ["q_jsonl", "dup_jsonl"],
            "output": {"path": str(folder / "theirs"), "max_size_in_bytes": 2**31},
            "filter": {
                "include": [], "exclude": [f"$@.attributes[?(@.{PII}__doc_count[0][2] > 5)]"],
            },
            "span_replacement": [
                *replaced, {"span": "$.attributes.dup", "min_score": 0.5, "replacement": ""},
            ],
        }
        for source in sorted(path.parent for path in folder.glob("*/documents"))
    ]  # fmt: skip
    (folder / "theirs.json").write_text(json.dumps({"streams": streams, "processes": workers}))
    started = time.perf_counter()
    subprocess.run(
        [python, "-I", "-m", "dolma.cli", "-c", str(folder / "theirs.json"), "mix"],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def prepare(folder: Path, workers: int) -> None:
    """Attributes in both forms."""
    sources = sorted(path.parent.name for path in folder.glob("*/documents"))
    more = ["--workers", str(workers)]
    taggers = "pii_regex_with_counts_fast_v2,char_length_v1"
    Measured(["tag", *sources, "--taggers", taggers, "--experiment", "q", *more], folder)
    Measured(["dedupe", *sources, "--by", "paragraph", "--name", "dup", *more], folder)
    for name in ("q", "dup"):  # into q_jsonl and dup_jsonl
        command = ["attributes", "convert", *sources, "--experiment", name, "--format", "jsonl"]
        Measured([*command, *more], folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dolma-python", metavar="PATH", help="a Python that has dolma 1.2.1")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="some of the forms, separated by semicolons")
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"])
    python = arguments.dolma_python or make_environment()
    chosen = arguments.only.split(";") if arguments.only else list(FORMS)
    with tempfile.TemporaryDirectory(prefix="mix-") as place:
        folder = Path(place)
        copy_documents(data, folder, None)
        prepare(folder, arguments.workers)
        print(f"{'form':22} {'process s':>9} {'work s':>7} {'peak MiB':>8} {'dolma s':>8} "
              f"{'times':>6}  written")  # fmt: skip
        for form in chosen:
            runs, others = [], []
            for _ in range(arguments.runs):
                runs.append(ours(folder, form, arguments.workers))
                if form == "mask, cut paragraphs":
                    others.append(dolmas(python, folder, arguments.workers))
            best = min(runs, key=lambda run: run.seconds)
            peak = max(run.peak_mib for run in runs)
            theirs = f"{min(others):8.2f} {min(others) / best.seconds:6.1f}" if others else " " * 15
            written = best.summary["counts"]["written"]
            print(f"{form:22} {best.seconds:9.2f} {best.summary['seconds']:7.2f} {peak:8.0f} "
                  f"{theirs}  {written:,} documents")  # fmt: skip


if __name__ == "__main__":
    main()
