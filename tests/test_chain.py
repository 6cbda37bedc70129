"""The whole chain on real text: the same bytes for any number of workers, and nothing lost."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit import config, ledger, recipe
from dolma_kit.config import Recipe
from dolma_kit.order.run import open_run
from dolma_kit.order.steps import trace_step

SOURCES = ("books", "code", "man", "web", "wiki")
N_DOCUMENTS = 40
MAX_BYTES = 10_000
TAGGERS = [
    "language_v1", "language_en_v1", "gopher_v2", "c4_v2", "pii_regex_with_counts_fast_v2",
    "char_length_v1",
]  # fmt: skip


def chain(shared_data: Path) -> list[dict[str, Any]]:
    streams = [
        {
            "name": source,
            "documents": [source],
            "attributes": ["q", "dup", "same"],
            "keep": "same = 0 AND q__gopher_v2__word_count >= 5",
            "span_replacement": [{"span": "dup", "min_score": 0.5, "replacement": ""}],
            "policies": [{"id": "pii_mask_v1", "max_spans": 50}],
            "rate": rate,
            "output": {"path": "mixed", "max_size_in_bytes": 10_000, "min_text_length": 1},
        }
        for source, rate in zip(SOURCES, (1.0, 0.5, 0.75, 1.0, 1.5), strict=True)
    ]
    sources = list(SOURCES)
    return [
        {"tag": {"documents": sources, "taggers": TAGGERS, "experiment": "q"}},
        {"dedupe": {"documents": sources, "by": "document", "name": "same"}},
        {"dedupe": {"documents": sources, "by": "paragraph", "name": "dup", "format": "jsonl"}},
        {"mix": {"streams": streams}},
        {
            "tokenize": {
                "documents": ["mixed"],
                "tokenizer": str(shared_data / "tokenizers" / "gpt-neox-olmo-dolma-v1_5.json"),
                "eos_token_id": 50279,
                "out": "tokens",
                "sequence_length": 256,
                "max_tokens_per_part": 30_000,
            }
        },
    ]


@pytest.fixture(scope="module")
def corpora(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some real documents of each source, in two files of unequal size."""
    folder = tmp_path_factory.mktemp("chain")
    for source in SOURCES:
        path = next(iter(sorted((shared_data / "corpus" / source / "documents").iterdir())))
        with gzip.open(path) as stream:
            short = (line for line in stream if len(line) < MAX_BYTES)
            lines = list(itertools.islice(short, N_DOCUMENTS))
        for name, part in (("a", lines[: N_DOCUMENTS // 3]), ("b", lines[N_DOCUMENTS // 3 :])):
            target = folder / "corpus" / source / "documents" / f"{name}.jsonl.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            # A paragraph that each file has makes duplicates cross files and sources.
            target.write_bytes(gzip.compress(b"".join(part) + _shared_line(source, name), mtime=0))
    return folder


def _shared_line(source: str, name: str) -> bytes:
    text = f"Only in {source} {name}\nThis paragraph stands in every file, word for word.\n"
    return json.dumps({"id": f"{source}-{name}", "text": text}).encode() + b"\n"


def run_chain(corpora: Path, shared_data: Path, workers: int, monkeypatch: Any) -> Path:
    folder = corpora / f"workers-{workers}"
    for source in SOURCES:
        (folder / source).mkdir(parents=True)
        (folder / source / "documents").symlink_to(corpora / "corpus" / source / "documents")
    monkeypatch.chdir(folder)
    settings = {"stages": chain(shared_data), "workers": workers, "quiet": True}
    recipe.run(config.build(Recipe, settings))
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ledger.FOLDER not in path.parts
    }


def test_the_same_bytes_for_1_2_and_4_workers(
    corpora: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, four = (
        outputs(run_chain(corpora, shared_data, workers, monkeypatch)) for workers in (1, 2, 4)
    )
    assert one.keys() == two.keys() == four.keys()
    assert [name for name in one if not one[name] == two[name] == four[name]] == []
    assert sum(name.endswith(".npy") for name in one) > 1
    assert sum(name.startswith("mixed/documents/web") for name in one) > 1
    for name, data in one.items():
        assert str(corpora).encode() not in data, f"{name} holds an absolute path"
    check_the_tokens_are_the_texts(corpora / "workers-1", shared_data)


def check_the_tokens_are_the_texts(folder: Path, shared_data: Path) -> None:
    """Every mixed document is found again in the tokens, in order, and by `trace`."""
    from tokenizers import Tokenizer

    name = "gpt-neox-olmo-dolma-v1_5.json"
    tokenizer = Tokenizer.from_file(str(shared_data / "tokenizers" / name))
    tokenizer.encode_special_tokens = True
    texts = [
        json.loads(line)["text"]
        for path in sorted((folder / "mixed" / "documents").iterdir())
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    expected = [token for text in texts for token in [*tokenizer.encode(text).ids, 50279]]
    parts = sorted((folder / "tokens").glob("*.npy"))
    found = np.concatenate([np.fromfile(part, np.uint16) for part in parts])
    np.testing.assert_array_equal(found, np.array(expected))
    (folder / "run.yaml").write_text(
        "tokens: tokens\nsequence_length: 256\nglobal_batch_size: 4\n"
        "order: {kind: olmo, seed: 6198}\n"
    )
    run = open_run(folder / "run.yaml")
    answer = trace_step(run, run.n_steps)
    for instance in answer.instances:
        assert sum(part.end - part.start for part in instance.documents) == 256
    seen = [part.text for instance in answer.instances for part in instance.documents]
    assert all(any(piece.strip("�") in text for text in texts) for piece in seen)


def test_masked_data_is_gone_and_repeated_paragraphs_stand_once(
    corpora: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpora / "workers-1"
    if not folder.exists():
        run_chain(corpora, shared_data, 1, monkeypatch)
    texts = [
        json.loads(line)["text"]
        for path in sorted((folder / "mixed" / "documents").iterdir())
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert sum("This paragraph stands in every file" in text for text in texts) == 1
    assert any("|||EMAIL_ADDRESS|||" in text for text in texts)
