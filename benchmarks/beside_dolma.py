"""`tag` beside the Dolma toolkit's, tagger by tagger and all at once, in one run.

    python benchmarks/beside_dolma.py [--data FOLDER] [--dolma-python PATH] [--workers 2] [--runs 1]
                                      [--documents N]

Both are run as commands, in turns, with equally many processes, over the same files: `dolma tag` of
dolma 1.2.1 (in the Python that PATH names, or in an environment that is made once) and `dolma-kit
tag`. Prints the median wall seconds of each and the ratio, and the peak memory of our largest
process. Dolma's language tagger reads the same lid.176.ftz as ours, which is put where it looks
for its model. FOLDER holds `corpus/<source>/documents/` (default: $DOLMA_KIT_DATA).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from isal import igzip
from measuring import Measured
from parity_dolma import make_environment

from taggers import language

#: ours, and Dolma's id of the same rule
TAGGERS = {
    "gopher_v2": "gopher_v2",
    "c4_v2": "c4_v2",
    "pii_regex_with_counts_fast_v2": "pii_regex_with_counts_fast_v2",
    "language_en_v1": "ft_lang_id_en_doc_v2",
}
WHERE = (
    "from dolma.core.paths import get_cache_dir, resource_to_filename as name; "
    f"print(get_cache_dir() + '/' + name({language.LID_176!r}))"
)


def copy_documents(data: Path, folder: Path, limit: int | None) -> None:
    """The corpus, or the first documents of each of its files."""
    for path in sorted(data.glob("corpus/*/documents/*.jsonl.gz")):
        target = folder / path.relative_to(data / "corpus")
        target.parent.mkdir(parents=True, exist_ok=True)
        with igzip.open(path) as source, igzip.open(target, "wb") as copy:
            for i, line in enumerate(source):
                if i == limit:
                    break
                copy.write(line)


def environment(python: str, folder: Path) -> dict[str, str]:
    """One in which Dolma finds our model in place of the one that it would fetch."""
    made = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    said = subprocess.run(
        [python, "-I", "-c", WHERE], env=made, check=True, capture_output=True, text=True
    )
    place = Path(said.stdout.strip().split("\n")[-1])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(language.model_path())
    return made


def run_dolma(
    python: str, ids: list[str], folder: Path, workers: int, variables: dict[str, str]
) -> float:
    command = [python, "-I", "-m", "dolma.cli", "tag", "--experiment", "theirs"]
    command += ["--documents", *map(str, sorted(folder.glob("*/documents/*.gz")))]
    command += ["--taggers", *ids, "--processes", str(workers), "--ignore_existing"]
    started = time.perf_counter()
    subprocess.run(command, env=variables, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("DOLMA_KIT_DATA"))
    parser.add_argument("--dolma-python")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--documents", type=int)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data FOLDER, or DOLMA_KIT_DATA, has to say where the texts are")
    python = arguments.dolma_python or make_environment()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "corpus")
        copy_documents(arguments.data.resolve(), folder, arguments.documents)
        variables = environment(python, Path(place))
        shared = ["tag", *sorted(p.name for p in folder.iterdir()), "--experiment", "ours"]
        shared += ["--workers", str(arguments.workers), "--quiet", "--overwrite", "--taggers"]
        Measured([*shared, ",".join(TAGGERS)], folder)  # compiles, on a new machine
        print(f"{'taggers':<34} {'Dolma s':>9} {'ours s':>8} {'ratio':>7} {'peak MiB':>9}")
        for ours in [*([name] for name in TAGGERS), list(TAGGERS)]:
            theirs, own = [], []
            for _ in range(arguments.runs):
                ids = [TAGGERS[name] for name in ours]
                theirs.append(run_dolma(python, ids, folder, arguments.workers, variables))
                own.append(Measured([*shared, ",".join(ours)], folder))
            slow = statistics.median(theirs)
            fast = statistics.median(measured.seconds for measured in own)
            peak = max(measured.peak_mib for measured in own)
            name = ours[0] if len(ours) == 1 else "all together"
            print(
                f"{name:<34} {slow:>9.2f} {fast:>8.2f} {slow / fast:>7.1f} {peak:>9.0f}", flush=True
            )


if __name__ == "__main__":
    main()
