"""The text of pages: how much of the content is found, page by page, and how fast.

    python benchmarks/extraction.py [--warc FILE] [--html GLOB...] [--dolma PYTHON]

Of the pages in tests/extraction/pages (written before our choice of content was) and in
tests/extraction/held_out (written after it, and not tuned on), the F1 of tokens of the three
extractors, trafilatura and resiliparse as the Dolma toolkit calls them. Then, of one core, pages a
second on the pages of the WARC file (default: that of $DOLMA_KIT_DATA) and on HTML of this machine.

With PYTHON, that of an environment with `dolma[warc]`, what its linearizers find of the same pages
is timed, and compared with what we find under their names: the same where its releases of them are.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from dolma_kit.extraction import charsets, page_facts, pages

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.extraction.overlap import SETS, examples, f1  # noqa: E402

EXTRACTORS: tuple[pages.Extractor, ...] = ("resiliparse", "trafilatura", "dolma")
MACHINE = ("/usr/share/**/*.html", f"{sys.prefix}/lib/**/*.html")
MOST_CHARS = 1_000_000  # a page of 8 MB would be most of what is timed
SECONDS = 3.0  # that each is timed for, at least

#: in Dolma's environment: the texts of pages, then seconds a page for each linearizer
WORKER = """
import json, sys, time
from dolma.warc.linearizers import LinearizerRegistry
pages = json.load(sys.stdin)
out = {}
for ours, theirs in (("dolma", "resiliparse"), ("trafilatura", "trafilatura")):
    linearize = LinearizerRegistry.get(theirs)().linearize
    started = time.process_time()
    texts = [linearize(page.strip()) for page in pages]
    out[ours] = [texts, (time.process_time() - started) / len(pages)]
json.dump(out, sys.stdout)
"""


def quality() -> None:
    for folder in SETS:
        print(f"\nF1 of tokens: {folder}\n{'':24}" + "".join(f"{name:>13}" for name in EXTRACTORS))
        rows = []
        for page in examples(folder):
            row = [f1(pages.extract_text(page.html, name), page.text) for name in EXTRACTORS]
            rows.append(row)
            print(f"{page.name:24}" + "".join(f"{value:13.3f}" for value in row))
        means = [statistics.mean(column) for column in zip(*rows, strict=True)]
        print(f"{'mean of ' + str(len(rows)):24}" + "".join(f"{mean:13.3f}" for mean in means))


def warc_pages(path: Path) -> list[str]:
    found = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            body = record.reader.read()
            if body and not charsets.is_binary(body):
                found.append(charsets.decode(body, record.http_charset).text)
    return found


def machine_pages(patterns: list[str]) -> list[str]:
    paths = sorted({path for one in patterns for path in glob.glob(one, recursive=True)})
    files = [Path(path) for path in paths if Path(path).is_file()]
    bodies = [file.read_bytes() for file in files]
    return [charsets.decode(body).text for body in bodies if not charsets.is_binary(body)]


def seconds_a_page(call: Callable[[str], object], htmls: list[str]) -> float:
    """Of one core, without what it costs to load an extractor."""
    call(htmls[0])
    n_rounds, started = 0, time.process_time()
    while n_rounds == 0 or time.process_time() - started < SECONDS:
        for html in htmls:
            call(html)
        n_rounds += 1
    return (time.process_time() - started) / n_rounds / len(htmls)


def speed(label: str, htmls: list[str]) -> None:
    htmls = [html for html in htmls if len(html) < MOST_CHARS]
    n_bytes = sum(len(html.encode("utf-8", "replace")) for html in htmls)
    print(f"\n{label}: {len(htmls)} pages of {n_bytes / len(htmls) / 1000:.0f} kB in the mean")
    calls: dict[str, Callable[[str], object]] = {
        name: lambda html, name=name: pages.extract_text(html, name)  # type: ignore[misc]
        for name in EXTRACTORS
    }
    for name, call in (calls | {"facts of a page": page_facts.facts_of}).items():
        seconds = seconds_a_page(call, htmls)
        rate = n_bytes / len(htmls) / seconds / 1e6
        print(f"    {name:16} {1 / seconds:6,.0f} pages/s/core {rate:6.1f} MB/s")


def beside_dolma(python: str, htmls: list[str]) -> None:
    done = subprocess.run(
        [python, "-I", "-c", WORKER], input=json.dumps(htmls), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    for name, (texts, seconds) in json.loads(done.stdout).items():
        ours = [pages.extract_text(html, name) for html in htmls]
        n_same = sum(a == b for a, b in zip(ours, texts, strict=True))
        alike = statistics.mean(f1(a, b) for a, b in zip(ours, texts, strict=True))
        print(
            f"    Dolma's {name:12} {1 / seconds:6,.0f} pages/s/core; of {len(htmls)} texts "
            f"{n_same} are ours, F1 with them {alike:.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("DOLMA_KIT_DATA", "."))
    parser.add_argument("--warc", type=Path, default=data / "warc/sample-0000.warc.gz")
    parser.add_argument("--html", nargs="*", default=list(MACHINE))
    parser.add_argument("--dolma", default=None, help="Python of an environment with dolma[warc].")
    given = parser.parse_args()
    quality()
    if given.warc.exists():
        htmls = warc_pages(given.warc)
        speed(given.warc.name, htmls)
        if given.dolma is None:
            print("    beside Dolma: left out, no --dolma")
        elif not Path(given.dolma).exists():
            print(f"    beside Dolma: left out, there is no {given.dolma}")
        else:
            beside_dolma(given.dolma, htmls)
    else:
        print(f"\n{given.warc}: left out, it is not there")
    if htmls := machine_pages(given.html):
        speed("HTML of this machine", htmls)


if __name__ == "__main__":
    main()
