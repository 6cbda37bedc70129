"""The taggers beside those of the package `dolma`: for each key, where the values are equal.

    python benchmarks/parity_dolma.py [--data FOLDER] [--dolma-python PATH] [--taggers a,b]
                                      [--documents N] [--workers 2] [--out docs/parity.json]

FOLDER holds `<source>/documents/` of real texts (default: $DOLMA_KIT_DATA/corpus). PATH is a Python
that has dolma 1.2.1; without it an environment is made in dolma-kit's cache folder. Both tag the
same documents: ours as `dolma-kit tag --format jsonl`, Dolma's through its registry, in processes
of its own (`dolma_worker.py`). By default all taggers under an id of Dolma's are compared, and two
of languages, for which Dolma's run on our model. Classifiers run with the small models of
`tests/golden` on both sides, and what else Dolma would fetch is what `tests/golden/families` says.

Equal means: the same keys; spans, counts and ratios identical as written, which is rounded to 5
decimals; probabilities within 1e-4. Prints for each key the share of documents with equal values
(none on both sides is equal), and the first differences. Exits with 1 if there is one that is not
among KNOWN. `--out` also writes, of each tagger, how many documents were compared and how many of
them were equal in all keys, over what earlier runs wrote of other taggers; `make docs` takes them
into `docs/taggers.md`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

import dolma_kit
from dolma_kit import downloads, fasttext_models, layout, registry
from dolma_kit.attributes import column_name
from dolma_kit.documents import Batch, DocumentReader
from taggers import language
from tests.taggers import settings

DOLMA = "1.2.1"
WORKER = str(Path(__file__).with_name("dolma_worker.py"))
FAMILIES = Path(settings.GOLDEN) / "families"
TOLERANCE = 1e-4 + 1e-9  # of probabilities that were rounded to 5 decimals
N_SHOWN = 5

#: ours -> Dolma's, where the rule is the same and the id is not, because the model is not
SAME_RULE = {"language_en_v1": "ft_lang_id_en_doc_v2", "language_v1": "ft_lang_id_doc_v1"}

Spans = list[tuple[int, int, float]]
Row = dict[str, Spans]


#: 176 spans for each paragraph make tens of gigabytes of a large corpus; the library uniseg, which
#: four of Dolma's taggers call, takes 10 microseconds a byte
ONLY_IF_NAMED = {
    "ft_lang_id_paragraph_v1",
    "uniseg_length_v1",
    "uniseg_length_paragraphs_v1",
    "uniseg_length_paragraphs_with_doc_length_v1",
    "uniseg_length_paragraphs_with_empty_v1",
}


class Known(NamedTuple):
    """A difference that is meant. `holds(tagger, ours, theirs, text)` counts what it explains in
    the values of one key and document; `theirs` is a string where Dolma gave no answer."""

    what: str
    reason: str
    holds: Callable[[str, Any, Any, str], int]


def ends_with_the_text(tagger: str, ours: Any, theirs: Any, text: str) -> int:
    if tagger != "c4_v2" or "\u0130" not in text or not ours or not isinstance(theirs, list):
        return 0
    n = len(text)
    cut = [(min(start, n), min(end, n), score) for start, end, score in theirs]
    return sum(map(tuple.__ne__, cut, theirs)) if ours == cut else 0


def has_no_end(tagger: str, ours: Any, theirs: Any, text: str) -> int:
    return int(isinstance(theirs, str) and theirs.startswith("no answer in"))


KNOWN = (
    Known(
        "spans cut to the text",
        "Dolma's c4_v2 takes offsets of the lower-cased text, which U+0130 makes longer",
        ends_with_the_text,
    ),
    Known(
        "no answer from Dolma",
        "some of its patterns take time that grows with the square of a word's or line's length",
        has_no_end,
    ),
)


@dataclass
class Tally:
    """What was seen of one key; documents."""

    n_with_value: int = 0
    n_known: int = 0
    n_other: int = 0
    first: list[str] = field(default_factory=list)


@dataclass
class Comparison:
    n_documents: int = 0
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    n_equal: dict[str, int] = field(default_factory=dict)
    known: dict[str, list[str]] = field(default_factory=lambda: {k.what: [] for k in KNOWN})
    n_known: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((k.what for k in KNOWN), 0)
    )

    def add(self, tagger: str, name: str, text: str, ours: Row, theirs: Row | str) -> None:
        """Compare one tagger's answers about a document, key by key."""
        is_equal = True
        for key, a, b in pairs(tagger, ours, theirs):
            tally = self.tallies.setdefault((tagger, key), Tally())
            tally.n_with_value += 1
            if a == b or (is_probability(tagger) and close(a, b)):
                continue
            is_equal = False
            line = f"{tagger} {key}, {name}: {difference(a, b)}"
            for known in KNOWN:
                if n := known.holds(tagger, a, b, text):
                    tally.n_known += 1
                    self.n_known[known.what] += n
                    self.known[known.what].append(line)
                    break
            else:
                tally.n_other += 1
                tally.first += [line] if tally.n_other <= N_SHOWN else []
        self.n_equal[tagger] = self.n_equal.get(tagger, 0) + is_equal

    def print(self) -> None:
        width = max(len(tagger) for tagger, _ in self.tallies)
        print(f"{'tagger':<{width}} {'key':<46} {'with value':>10} {'equal':>9} {'known':>5} other")
        for tagger, key in sorted(self.tallies, key=lambda pair: pair[0]):
            tally = self.tallies[tagger, key]
            n_different = tally.n_known + tally.n_other
            share = 1 - n_different / self.n_documents
            equal = f"{share:.3%}" if n_different else "100%"
            print(f"{tagger:<{width}} {key:<46} {tally.n_with_value:>10,} {equal:>9} "
                  f"{tally.n_known:>5,} {tally.n_other:>5,}")  # fmt: skip
        for known in KNOWN:
            if lines := self.known[known.what]:
                print(f"\nknown: {known.what}: {self.n_known[known.what]:,}; {known.reason}")
                print("\n".join(f"  {line}" for line in lines[:N_SHOWN]))
        for tally in self.tallies.values():
            if tally.first:
                print("\nother:\n" + "\n".join(f"  {line}" for line in tally.first))


def is_probability(tagger: str) -> bool:
    return tagger in SAME_RULE or "model" in settings.spec(tagger)


def pairs(tagger: str, ours: Row, theirs: Row | str) -> Iterator[tuple[str, Any, Any]]:
    """Each key with both values, None where there is none; the languages as one."""
    if isinstance(theirs, str):
        yield from ((key, value, theirs) for key, value in ours.items())
    elif tagger == "language_v1":
        yield "each language", ours, theirs
    else:
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            yield key, ours.get(key), theirs.get(key)


def close(ours: Any, theirs: Any) -> bool:
    """Whether probabilities are equal: of one label, or of all. Ours of all are above 0.01."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return [span[:2] for span in ours] == [span[:2] for span in theirs] and all(
            abs(a[2] - b[2]) <= TOLERANCE for a, b in zip(ours, theirs, strict=True)
        )
    if isinstance(ours, dict) and isinstance(theirs, dict):
        least = language.MIN_SCORE + TOLERANCE
        return ours.keys() <= theirs.keys() and all(
            close(ours[key], value) if key in ours else value[0][2] <= least
            for key, value in theirs.items()
        )
    return False


def difference(ours: Any, theirs: Any) -> str:
    """Both values, or only what differs of them."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        differ = [k for k in ours.keys() | theirs.keys() if not close(ours.get(k), theirs.get(k))]
        ours = {key: ours.get(key) for key in sorted(differ)}
        theirs = {key: theirs.get(key) for key in sorted(differ)}
    elif isinstance(ours, list) and isinstance(theirs, list):
        both = [(a, b) for a, b in itertools.zip_longest(ours, theirs) if a != b][:1]
        if both:
            ours, theirs = both[0]
    return f"ours {str(ours)[:200]}, Dolma's {str(theirs)[:200]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dolma-python", metavar="PATH", help="a Python that has dolma 1.2.1")
    parser.add_argument("--taggers", help="ids, separated by commas")
    parser.add_argument("--documents", type=int, metavar="N", help="the first N of each file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="for one document and tagger")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    data = arguments.data
    if data is None:
        if "DOLMA_KIT_DATA" not in os.environ:
            parser.error("--data FOLDER, or DOLMA_KIT_DATA, has to say where the texts are")
        data = Path(os.environ["DOLMA_KIT_DATA"]) / "corpus"
    python = arguments.dolma_python or make_environment()
    theirs = json.loads(subprocess.check_output([python, "-I", WORKER, "about"]))
    if theirs["dolma"] != DOLMA:
        parser.error(f"{python} has dolma {theirs['dolma']}, {DOLMA} is what the ids stand for")
    shared = {
        part_id: their_id
        for part_id in registry.parts("taggers")
        if (their_id := SAME_RULE.get(part_id, part_id)) in theirs["ids"]
    }
    usual = [one for one in shared if one not in ONLY_IF_NAMED]
    chosen = arguments.taggers.split(",") if arguments.taggers else usual
    if unknown := [one for one in chosen if one not in shared]:
        parser.error(f"{unknown[0]} has no like in Dolma; those that have: {', '.join(shared)}")
    with tempfile.TemporaryDirectory(prefix="parity-") as place:
        folder = Path(place)
        names = write_documents(data, folder / "documents", arguments.documents)
        started = time.perf_counter()
        dolma_kit.tag(
            documents=[place], taggers=[settings.spec(one) for one in chosen], experiment="ours",
            format="jsonl", quiet=True, workers=arguments.workers,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        dolma_ids = {one: shared[one] for one in chosen}
        run_dolma(python, folder, list(dict.fromkeys(dolma_ids.values())), arguments)
        seconds_theirs = time.perf_counter() - started
        compared = compare(folder, names, dolma_ids, arguments.workers)
        n_bytes = sum(path.stat().st_size for path in (folder / "documents").iterdir())
    print(f"{compared.n_documents:,} documents, {n_bytes / 1e6:.0f} MB of JSON; "
          f"dolma {DOLMA}, Python {theirs['python']} and {sys.version.split()[0]}")  # fmt: skip
    print(f"{arguments.workers} processes each: ours {seconds:.0f} s, "
          f"Dolma's {seconds_theirs:.0f} s\n")  # fmt: skip
    compared.print()
    if arguments.out:
        found = {
            one: {"documents": compared.n_documents, "equal": n}
            for one, n in compared.n_equal.items()
        }
        update(arguments.out, found)
    if any(tally.n_other for tally in compared.tallies.values()):
        raise SystemExit(1)


def update(path: Path, found: dict[str, Any]) -> None:
    """Write results by tagger over those of earlier runs."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps(dict(sorted((known | found).items())), indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def what_dolma_needs(dolma_ids: Sequence[str]) -> list[str]:
    """Arguments of the worker: the models of taggers, and the files that prepare their families."""
    models = {
        part_id: fasttext_models.local_path(model)
        for part_id in dolma_ids
        if (model := settings.spec(part_id).get("model"))
    }
    families = [
        str(path)
        for path in sorted(FAMILIES.glob("*.py"))
        if any(f'"{part_id}"' in path.read_text(encoding="utf-8") for part_id in dolma_ids)
    ]
    return ["--models", json.dumps(models), "--families", *families]


def make_environment() -> str:
    """A Python with dolma, made once."""
    folder = Path(downloads.cache_folder()) / f"dolma-{DOLMA}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if uv := shutil.which("uv"):
            make = [uv, "venv", "--python", "3.11", str(folder)]  # its fastText has no newer wheel
            install = [uv, "pip", "install", "--python", str(python)]
        elif sys.version_info < (3, 13):
            make = [sys.executable, "-m", "venv", str(folder)]
            install = [str(python), "-m", "pip", "install"]
        else:
            raise SystemExit("dolma takes Python 3.10 to 3.12: give one with --dolma-python PATH")
        # The second is what the first needs in the end; to find that out takes pip many minutes.
        for command in (make, [*install, f"dolma[code]=={DOLMA}", "boto3==1.28.17", "blingfire"]):
            subprocess.run(command, check=True, stdout=sys.stderr)
        done.touch()
    return str(python)


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """A batch's documents as both read them."""
    metadata = batch.table.column("metadata").to_pylist()
    return [
        {"id": doc_id, "text": text, "metadata": msgspec.Raw(raw or b"null")}
        for doc_id, text, raw in zip(batch.ids, batch.texts, metadata, strict=True)
    ]


def write_documents(data: Path, folder: Path, limit: int | None) -> list[str]:
    """Ids and texts as plain JSONL, which both can read; the names of the files they are of."""
    folder.mkdir()
    shards = layout.find([str(data)])
    for i, shard in enumerate(shards):
        with open(folder / f"{i:04}.jsonl", "wb") as out:
            for batch in DocumentReader(shard.path, limit=limit):
                out.write(msgspec.json.Encoder().encode_lines(rows_of(batch)))
    return [shard.src for shard in shards]


def run_dolma(
    python: str, folder: Path, taggers: Sequence[str], arguments: argparse.Namespace
) -> None:
    """Worker i of N tags each N-th document from the i-th on."""
    paths = [str(path) for path in sorted((folder / "documents").iterdir())]
    shared = ["--taggers", ",".join(taggers), "--seconds", str(arguments.seconds)]
    shared += what_dolma_needs(taggers)
    processes = []
    for i in range(arguments.workers):
        own = ["--part", f"{i}/{arguments.workers}", "--out", str(folder / f"dolma-{i}.jsonl.gz")]
        command = [python, "-I", WORKER, "tag", *shared, *own, "--documents", *paths]
        processes.append(subprocess.Popen(command, stdout=sys.stderr))
    try:
        codes = [process.wait() for process in processes]
    except BaseException:
        for process in processes:
            process.kill()
        raise
    if any(codes):
        raise SystemExit(f"Dolma's workers ended with {codes}")


def compare(
    folder: Path, names: Sequence[str], taggers: dict[str, str], n_workers: int
) -> Comparison:
    """Go through the documents and both answers, which are in the same order."""
    compared = Comparison()
    by_column = {column_name(tagger): tagger for tagger in taggers}
    theirs = itertools.cycle([lines(folder / f"dolma-{i}.jsonl.gz") for i in range(n_workers)])
    for i, name in enumerate(names):
        ours = lines(folder / "attributes" / "ours" / f"{i:04}.jsonl.gz")
        documents = lines(folder / "documents" / f"{i:04}.jsonl")
        for document, own, other in zip(documents, ours, map(next, theirs), strict=False):
            assert document["id"] == own["id"] == other["id"], (document["id"], other["id"])
            rows: dict[str, Row] = {tagger: {} for tagger in taggers}
            for column, spans in own["attributes"].items():
                _, part, key = column.split("__", 2)
                rows[by_column[part]][key] = list(map(tuple, spans))
            for tagger, their_id in taggers.items():
                answer = other["failed"].get(their_id)
                if answer is None:
                    found = other["attributes"][their_id].items()
                    answer = {column_name(key): list(map(tuple, spans)) for key, spans in found}
                where = f"{document['id']} in {name}"
                compared.add(tagger, where, document["text"], rows[tagger], answer)
            compared.n_documents += 1
    return compared


def lines(path: Path) -> Iterator[Any]:
    decoder = msgspec.json.Decoder()
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
        yield from map(decoder.decode, stream)


if __name__ == "__main__":
    main()
