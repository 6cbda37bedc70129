"""The pages: how long the viewer and the report take, and pictures of them.

    python benchmarks/pages.py [--corpus DIR] [--pictures docs/pictures]

Makes the demo, and a run over the documents of `$DOLMA_KIT_DATA/corpus` (or DIR) with OLMo 2's
tokenizer and batches of 8. Of each: from the start of `dolma-kit view` to its first page in
Chromium, steps of a browser that has loaded nothing before, a document, a phrase; the report with
all statistics to be measured, and again from what is kept. With --pictures, of the demo, every view
and the head of the report are drawn: light, dark, and at 360 pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
COMMAND = [sys.executable, "-m", "dolma_kit"]
N_STEPS = 25
LOOKS = {"": (1280, 900, "light"), "-dark": (1280, 900, "dark"), "-narrow": (360, 780, "light")}


def dolma_kit(*arguments: object, where: Path) -> dict[str, Any]:
    """What a command says in its last line."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=where, check=True, capture_output=True, text=True
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@contextlib.contextmanager
def viewer(run: str, where: Path) -> Iterator[str]:
    """The address of a viewer."""
    command = [*COMMAND, "view", "--run", run]
    with subprocess.Popen(
        command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def milliseconds(page: Any, address: str) -> float:
    """Until a page is drawn, by the browser's clock."""
    page.goto(address)
    timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    page.wait_for_function(f"{timing} > 0")
    return float(page.evaluate(timing))


def views(browser: Any, run: str, where: Path, phrase: str) -> None:
    started = time.perf_counter()
    with viewer(run, where) as address:
        page = browser.new_page()
        milliseconds(page, address)
        print(f"    first view after the command: {time.perf_counter() - started:.2f} s")
        answer = dolma_kit("trace", "step", 1, "--run", run, "--json", where=where)
        n_steps = int(page.evaluate("document.body.innerText.match(/Step[s]?[^0-9]*([0-9,]+)/)[1]")
                      .replace(",", ""))  # fmt: skip
        steps = np.unique(np.linspace(1, max(n_steps, 1), N_STEPS).astype(int)).tolist()
        first = milliseconds(browser.new_page(), f"{address}step/{steps[-1]}")
        times = [milliseconds(page, f"{address}step/{step}") for step in steps]
        print(
            f"    step: first {first:.0f} ms, then of {len(times)} median {np.median(times):.0f}, "
            f"greatest {max(times):.0f} ms"
        )
        ids = [part["id"] for one in answer["instances"] for part in one["documents"]]
        times = [milliseconds(page, f"{address}document?id={id_}") for id_ in ids]
        print(
            f"    document, each for the first time: of {len(times)} median {np.median(times):.0f},"
            f" greatest {max(times):.0f} ms"
        )
        times = [milliseconds(page, f"{address}phrase?q={phrase}") for _ in range(2)]
        print(f"    phrase {phrase!r}: {times[0]:.0f} ms, again {times[1]:.0f} ms")


def reports(where: Path, folder: str) -> None:
    for label in ("everything measured", "from what is kept"):
        out = where / "report.html"
        said = dolma_kit("report", folder, "--out", out, "--measure", "missing", where=where)
        print(f"    report, {label}: {said['seconds']:.1f} s, {out.stat().st_size / 1e6:.2f} MB")


def pictures(browser: Any, where: Path, folder: Path) -> None:
    """Of a demo in `where`/demo."""
    folder.mkdir(parents=True, exist_ok=True)
    dolma_kit("report", "demo", "--out", "demo/report.html", where=where)
    step = dolma_kit("trace", "step", 3, "--run", "demo/run.yaml", "--json", where=where)
    ids = [part["id"] for one in step["instances"] for part in one["documents"]
           if part["source"] == "web"]  # fmt: skip
    with viewer("demo/run.yaml", where) as address:
        places = {
            "view-start": address,
            "view-step": f"{address}step/3",
            "view-document": f"{address}document?id={ids[0]}",
            "view-phrase": f"{address}phrase?q=free software",
            "report": (where / "demo/report.html").as_uri(),
            "report-filters": (where / "demo/report.html").as_uri() + "#funnel",
        }
        for name, place in places.items():
            for look, (width, height, scheme) in LOOKS.items():
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                page.goto(place)
                page.screenshot(path=folder / f"{name}{look}.png")
                page.close()
    print(f"    pictures in {folder}")


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=None)
    parser.add_argument("--pictures", type=Path, default=None)
    given = parser.parse_args()
    data = Path(os.environ.get("DOLMA_KIT_DATA", "."))
    corpus = given.corpus or data / "corpus"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        where = Path(folder)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print("the demo")
        dolma_kit("demo", "demo", where=where)
        if given.pictures is not None:
            pictures(browser, where, given.pictures.absolute())
            shutil.rmtree(where / "demo/statistics")
        views(browser, "demo/run.yaml", where, "free software")
        reports(where, "demo")
        print(f"the corpus at {corpus.name}")
        shutil.copytree(corpus, where / "own/corpus")
        dolma_kit(
            "tokenize", "own/corpus", "--tokenizer", data / "tokenizers/dolma2.json",
            "--eos-token-id", 100257, "--out", "own/tokens", where=where,
        )  # fmt: skip
        (where / "own/run.yaml").write_text(
            "tokens: tokens\nsequence_length: 2048\nglobal_batch_size: 8\n"
            "order: {kind: olmo, seed: 6198}\nepochs: 1\n"
        )
        views(browser, "own/run.yaml", where, "free software")
        reports(where, "own")
        browser.close()


if __name__ == "__main__":
    main()
