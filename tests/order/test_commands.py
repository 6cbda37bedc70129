"""`trace` as it is run: on what mix and tokenize have left, and on what is wrong."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolma_kit.cli import run

from ..conftest import RunCommand
from ..tokens.conftest import EOS, byte_level
from .tiny_run import write_run

TEXTS = {
    "fox": "the quick brown fox jumps over the lazy dog",
    "dog": "a dog is not a fox",
    "short": "no",
    "cut": "cut off, as its rate is nothing",
    "long": "word after word " * 40,
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mix of documents, its tokens, and the run.yaml of a training run over them."""
    folder = tmp_path_factory.mktemp("chain")
    rows = [{"id": name, "text": text, "source": "web"} for name, text in TEXTS.items()]
    (folder / "web/documents").mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "web/documents/a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    mix = {
        "name": "web", "documents": ["web"], "attributes": ["q"],
        "keep": "q__char_length_v1__length > 3 AND id <> 'cut'",
        "output": {"path": "mixed"},
    }  # fmt: skip
    (folder / "mix.yaml").write_text(json.dumps({"streams": [mix]}))
    tokenizer = byte_level("gpt2")
    tokenizer.save(str(folder / "tiny.json"))
    eos = tokenizer.token_to_id(EOS)
    tokenize = f"tokenize mixed --tokenizer tiny.json --eos-token-id {eos} --out tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "tag web --taggers char_length_v1 --experiment q --workers 1",
            "mix -c mix.yaml --workers 1",
            f"{tokenize} --workers 1",
        ):
            assert run(command.split()) == 0
    (folder / "run.yaml").write_text(
        "tokens: tokens\nsequence_length: 16\nglobal_batch_size: 2\nepochs: 2\n"
        "order: {kind: olmo, seed: 6198}\n"
    )
    return folder


@pytest.fixture
def made(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(chain, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path / "made"


def answer(dolma_kit: RunCommand, *arguments: object) -> Any:
    found = dolma_kit("trace", *arguments, "--run", "run.yaml", "--json")
    assert found.code == 0, found.err
    assert found.out.count("\n") == 1
    return json.loads(found.out)


def test_a_document_that_a_mix_removed(made: Path, dolma_kit: RunCommand) -> None:
    found = answer(dolma_kit, "doc", "short")
    assert (found["seen"], found["never"]) == ([], "removed")
    removed = found["removed"]
    assert (removed["stream"], removed["line"]) == ("web", 3)
    assert removed["rule"].startswith("keep")
    assert (
        "removed from stream web by keep"
        in dolma_kit("trace", "doc", "cut", "--run", "run.yaml").out
    )
    (made / "mixed" / "decisions.parquet").rename(made / "kept.parquet")
    assert (
        "no document 'cut' among the 3" in dolma_kit("trace", "doc", "cut", "--run", "run.yaml").err
    )
    with (made / "run.yaml").open("a") as stream:
        stream.write("decisions: [kept.parquet]\n")
    assert answer(dolma_kit, "doc", "cut")["never"] == "removed"
    (made / "kept.parquet").unlink()
    assert "no decisions.parquet at" in dolma_kit("trace", "doc", "cut", "--run", "run.yaml").err


def test_by_the_index_of_ids(made: Path, dolma_kit: RunCommand) -> None:
    without = answer(dolma_kit, "doc", "dog")
    assert dolma_kit("tokens", "index-ids", "tokens").code == 0
    assert answer(dolma_kit, "doc", "dog") == without
    assert answer(dolma_kit, "doc", "short")["never"] == "removed"
    index = made / "tokens" / "ids.index"
    index.write_bytes(index.read_bytes()[:16] + bytes(32) + index.read_bytes()[48:])
    stale = dolma_kit("trace", "doc", "dog", "--run", "run.yaml")
    assert (stale.code, "is of other parts" in stale.err) == (1, True)


def test_text(made: Path, dolma_kit: RunCommand) -> None:
    found = answer(dolma_kit, "text", "fox")
    assert (found["occurrences"], found["documents"]) == (2, 2)
    assert list(found) == [
        *("text", "occurrences", "documents", "first_step", "last_step", "hits"),
    ]
    by_id = {hit["id"]: hit for hit in found["hits"]}
    assert by_id["fox"]["start_byte"] == TEXTS["fox"].index("fox")
    assert {s["step"] for s in by_id["fox"]["seen"]} <= {
        s["step"] for s in answer(dolma_kit, "doc", "fox")["seen"]
    }
    shown = dolma_kit("trace", "text", "word", "--run", "run.yaml", "--limit", "1").out
    assert "80 times in 1 documents" in shown
    assert "and 79 more (--limit)" in shown
    one = dolma_kit("trace", "text", "fox", "--run", "run.yaml", "--at", "step1-tokens1B").out
    assert "2 times in 2 documents" in one
    assert dolma_kit("trace", "text", "", "--run", "run.yaml").code == 2


def test_a_step_for_eyes(made: Path, dolma_kit: RunCommand) -> None:
    shown = dolma_kit("trace", "step", "1", "--run", "run.yaml", "--micro-batch", "1").out
    assert "micro-batch 0, trained" in shown
    assert "token 0 is context only" in shown
    every = "".join(
        dolma_kit("trace", "step", step, "--run", "run.yaml").out for step in range(1, 9)
    )
    assert "a dog is not a fox <EOS>" in every or "fox <EOS>" in every
    said = dolma_kit("trace", "step", "1", "--run", "run.yaml", "--html", "step.html").json
    assert said["outputs"] == ["step.html"]
    assert Path("step.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_questions_to_the_order(made: Path, dolma_kit: RunCommand) -> None:
    plan = answer(dolma_kit, "plan", "1")
    assert plan["bytes"] == 2 * 16 * 2
    last = answer(dolma_kit, "exposure")
    first = answer(dolma_kit, "exposure", "--at", "1")
    assert (first["tokens"], first["step"]) == (32, 1)
    assert last["tokens"] == 32 * last["step"]
    assert "web" in dolma_kit("trace", "exposure", "--run", "run.yaml").out
    assert "bytes of 1 files" in dolma_kit("trace", "plan", "1", "--run", "run.yaml").out
    same = dolma_kit("trace", "diff", "run.yaml", "run.yaml")
    assert "steps that both have are the same" in same.out
    exported = ("export", "--global-indices", "o.npy", "--inverse", "i.npy", "--run", "run.yaml")
    made_order = dolma_kit("trace", *exported)
    assert made_order.json["outputs"] == ["o.npy", "i.npy"]
    assert dolma_kit("trace", "verify", "--order-file", "o.npy", "--run", "run.yaml").code == 0
    itself = answer(dolma_kit, "verify")
    assert (itself["equal"], itself["documents"], itself["without_documents"]) == (True, 3, [])
    assert "as it should be" in dolma_kit("trace", "verify", "--run", "run.yaml").out
    text = Path("run.yaml").read_text().replace("6198", "6199")
    Path("other.yaml").write_text(text)
    wrong = dolma_kit("trace", "verify", "--order-file", "o.npy", "--run", "other.yaml")
    assert (wrong.code, "likely: seed: 6198, not 6199" in wrong.out) == (1, True)
    assert "step 1 is the first of" in dolma_kit("trace", "diff", "run.yaml", "other.yaml").out


def test_lists_of_documents_that_do_not_fit(made: Path, dolma_kit: RunCommand) -> None:
    (made / "tokens/part-00000.docs.parquet").unlink()
    table = made / "tokens/part-00000.csv.gz"
    rows = gzip.decompress(table.read_bytes()).splitlines(keepends=True)
    table.write_bytes(gzip.compress(b"".join(rows[:-1])))
    found = dolma_kit("trace", "verify", "--run", "run.yaml")
    assert (found.code, "they do not belong together" in found.err) == (1, True)
    table.unlink()
    named = answer(dolma_kit, "verify")
    assert (named["documents"], len(named["without_documents"])) == (0, 1)


def test_import(made: Path, dolma_kit: RunCommand) -> None:
    config = {
        "seed": 6198,
        "model": {"max_sequence_length": 16},
        "global_train_batch_size": 2,
        "max_duration": "2ep",
        "data": {"paths": ["/old/part-00000.npy"], "memmap_dtype": "uint16", "drop_last": True},
    }
    Path("config.yaml").write_text(json.dumps(config))
    said = dolma_kit(
        "trace", "import", "config.yaml", "--root", f"/old={made}/tokens", "--out", "again.yaml",
        "--tokenizer", "tiny.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "warning: the world size is not known" in said.err
    assert said.json["outputs"] == ["again.yaml", "again.files.csv"]
    assert "the same" in dolma_kit("trace", "diff", "run.yaml", "again.yaml").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("step", "99"), "step 99 is beyond the end"),
        (("step", "1", "--rank", "3"), "no rank 3"),
        (("step", "1", "--micro-batch", "0"), "--micro-batch 0: 1 or more"),
        (("doc", "none"), "no document 'none' among the 3"),
        (("doc", "fox", "--at", "main"), "'main' names no step"),
        (("plan", "0"), "there is no step 0"),
        (("exposure", "--at", "99"), "step 99 is beyond the end"),
        (("verify", "--order-file", "a", "--trace", "b"), "compare with one thing"),
        (("export",), "nothing to export"),
        (("export", "--global-indices", "o", "--inverse", "o"), "two files: give two names"),
    ],
)
def test_refusals(
    made: Path, dolma_kit: RunCommand, arguments: tuple[str, ...], message: str
) -> None:
    found = dolma_kit("trace", *arguments, "--run", "run.yaml")
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert message in found.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("config.yaml", "--out", "run.txt"), "a run description is a .yaml"),
        (("config.yaml", "--out", "r.yaml", "--root", "x"), "write FROM=TO"),
        (("config.yaml", "--out", "r.yaml", "--epochs", "0"), "--epochs 0: 1 or more"),
        (("none.yaml", "--out", "r.yaml"), "nothing to import at none.yaml"),
    ],
)
def test_imports_that_are_refused(
    tmp_path: Path,
    dolma_kit: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = dolma_kit("trace", "import", *arguments)
    assert (found.code, message in found.err) == (2, True), found.err


def test_diff_of_other_lengths(tmp_path: Path, tokenizer: Path, dolma_kit: RunCommand) -> None:
    a = write_run(tmp_path / "a", tokenizer)
    b = write_run(tmp_path / "b", tokenizer, sequence_length=4, epochs=1)
    found = dolma_kit("trace", "diff", a, b, "--at", "2")
    assert found.code == 0
    assert "step 1 is the first of 2 that differs" in found.out
