"""The demo: the whole pipeline, on a small part of the text that this machine has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dolma_kit import demonstration
from dolma_kit.documents import DocumentReader
from dolma_kit.layout import find
from dolma_kit.ledger import FOLDER

from .conftest import RunCommand

STAGES = (
    "write documents", "numba compiles", "tag", "dedupe by document", "dedupe by paragraph", "mix",
    "train tokenizer", "tokenize", "trace step 3",
)  # fmt: skip


class Demo:
    """A demo that was run: its folder, what it said, its summary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        said: list[str] = []
        self.summary = demonstration.demonstrate(str(folder), workers=1, say=said.append)
        self.out = "\n".join(said)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demonstration, "MAX_SOURCE_BYTES", 400_000)
        patch.setattr(demonstration, "VOCABULARY", 1024)
        yield Demo(tmp_path_factory.mktemp("demo") / "demo")


def test_it_ends_with_a_table(demo: Demo) -> None:
    table = demo.out.split("\nstage ")[1]
    assert all(f"\n{stage} " in table for stage in (*STAGES, "in all"))
    assert demo.summary.command == "demo"
    assert demo.summary.outputs == [str(demo.folder), str(demo.folder / "run.yaml")]
    by_stage = {row["stage"]: row for row in demo.summary.counts["rows"]}
    assert by_stage["mix"]["read"] == demo.summary.documents > by_stage["mix"]["kept"] > 0


def test_step_3_is_shown_with_its_documents(demo: Demo, dolma_kit: RunCommand) -> None:
    assert "\nstep 3 (batch 2 of epoch 0): 8 instances" in demo.out
    run = demo.folder / "run.yaml"
    answer = dolma_kit("trace", "step", 3, "--run", run, "--json").json
    assert len(answer["instances"]) == 8
    parts = [part for instance in answer["instances"] for part in instance["documents"]]
    assert all(part["id"] in demo.out for part in parts)
    assert {part["source"] for part in parts} <= {"code", "prose", "web"}
    seen = dolma_kit("trace", "doc", parts[0]["id"], "--run", run, "--json").json
    assert 3 in {sighting["step"] for sighting in seen["seen"]}


def test_pii_is_masked_and_three_sources_are_mixed(demo: Demo) -> None:
    mixed = find([str(demo.folder / "mixed")])
    batches = [batch for shard in mixed for batch in DocumentReader(shard.path)]
    sources = {s for batch in batches for s in batch.table.column("source").to_pylist()}
    assert sources == {"code", "prose", "web"}
    assert any("|||EMAIL_ADDRESS|||" in text for batch in batches for text in batch.texts)


def test_the_recipe_and_a_second_demo_find_everything_done(
    demo: Demo, dolma_kit: RunCommand
) -> None:
    def times() -> dict[Path, int]:
        found = [p for p in demo.folder.rglob("*") if p.is_file() and FOLDER not in p.parts]
        return {path: path.stat().st_mtime_ns for path in found}

    before = times()
    again = dolma_kit("run", "-c", demo.folder / "recipe.yaml", "--workers", 1)
    assert again.code == 0
    assert again.json["units_skipped"] > 0
    Demo(demo.folder)
    assert times() == before


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path, dolma_kit: RunCommand) -> None:
    (tmp_path / "mine.txt").write_text("x")
    answer = dolma_kit("demo", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "name another folder" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
