"""Runs to look at: one that the real stages made, with texts that mean harm, and a tiny one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import dolma_kit
from dolma_kit.order.run import Run, open_run
from tests.order.tiny_run import train_tokenizer, write_run

from .sites import Site, serving

HOSTILE = {
    "<b>bold</b>": "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>",
    "a'b\"c&d": "</script></style></pre></main><svg onload='window.harmed = 3'> &lt;kept&gt;",
    "\u202eturned": "before\u202eafter\u2066x \x00 \x1b[31m \x7f \ufeff \u200b end of it",
    "javascript:alert(1)": "[x](javascript:alert(1)) <a href='javascript:window.harmed=4'>y</a>",
}
FRUIT = "One line stands in many documents of this corpus.\n"
LONG = "longest"


def documents() -> dict[str, list[dict[str, object]]]:
    """Documents by source: plain ones, hostile ones, one of 1 MB in a line, and duplicates."""
    web: list[dict[str, object]] = [
        {"id": f"web-{i}", "source": "web", "metadata": {"url": f"https://example.org/{i}"},
         "text": f"🦊 naïve page number {i}, write to fox{i}@example.org today.\n" * (1 + i % 3)
         + (FRUIT if i % 2 else "") + f"The end of page {i} is here."}
        for i in range(24)
    ]  # fmt: skip
    web.append({"id": "short", "source": "web", "text": "tiny"})
    web[12:12] = [  # not the last, which might be in no instance
        {"id": name, "source": "<i>web</i>", "text": text,
         "metadata": {"url": "javascript:window.harmed=5", "<u>k</u>": [text, {"deep": None}]}}
        for name, text in HOSTILE.items()
    ]  # fmt: skip
    notes: list[dict[str, object]] = [
        {"id": f"note-{i}", "source": "notes", "text": f"Note {i} is short and was kept. " * 3}
        for i in range(6)
    ]
    notes.append({"id": LONG, "source": "notes", "text": "a long line of words " * 48_000})
    return {"web": web, "notes": notes}


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.json"
    train_tokenizer(path)
    return path


def make(folder: Path, tokenizer: Path) -> Path:
    """Documents, attributes of three experiments, a mix, tokens: what `demo` makes, but small."""
    for source, rows in documents().items():
        path = folder / source / "documents" / "a.jsonl.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    docs = [str(folder / source) for source in ("web", "notes")]
    plain = {"workers": 1, "quiet": True}
    pii = "pii_regex_with_counts_fast_v2"
    dolma_kit.tag(documents=docs, taggers=[pii, "char_length_v1"], experiment="q", **plain)
    paragraphs = "char_length_with_paragraphs_v1"
    dolma_kit.tag(documents=docs, taggers=[paragraphs], experiment="p", format="jsonl", **plain)
    dolma_kit.dedupe(documents=docs, by="paragraph", name="dup", expected_items=1000, **plain)
    streams = [
        {
            "name": source,
            "documents": [str(folder / source)],
            "attributes": ["q", "dup"],
            "keep": ["q__char_length_v1__length > 10", "id <> 'web-3'"],
            "span_replacement": [{"span": "dup", "min_score": 0.5, "replacement": ""}],
            "policies": [{"id": "pii_mask_v1"}],
            "rate": 1.0 if source == "web" else 2.0,
            "output": {"path": str(folder / "mixed"), "min_text_length": 1},
        }
        for source in ("web", "notes")
    ]
    dolma_kit.mix(streams=streams, **plain)
    dolma_kit.tokenize(
        documents=[str(folder / "mixed")], tokenizer=str(tokenizer), eos_token_id=0,
        out=str(folder / "tokens"), sequence_length=256, **plain,
    )  # fmt: skip
    keys = {
        "tokens": "tokens",
        "sequence_length": 256,
        "global_batch_size": 48,
        "order": {"kind": "olmo", "seed": 6198},
        "epochs": 2,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(keys))
    return folder / "run.yaml"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """The run.yaml of what the real stages made."""
    return make(tmp_path_factory.mktemp("made"), tokenizer)


@pytest.fixture(scope="session")
def run(made: Path) -> Run:
    """The same run, opened apart from the server."""
    return open_run(made)


@pytest.fixture(scope="session")
def site(made: Path) -> Iterator[Site]:
    with serving(made) as server:
        yield server


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Iterator[tuple[Site, Run]]:
    """A run of tokens that no ledger tells anything of."""
    path = write_run(tmp_path_factory.mktemp("tiny"), tokenizer)
    with serving(path) as server:
        yield server, open_run(path)
