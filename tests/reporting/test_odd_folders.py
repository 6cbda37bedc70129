"""Folders as one finds them: loops, damage, parts of the truth; each is told, none ends it all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dolma_kit as package
from dolma_kit import explaining
from dolma_kit.errors import ConfigError
from dolma_kit.reporting.answers import Corpus, Report
from dolma_kit.reporting.collecting import collect
from dolma_kit.reporting.edges import _histogram
from dolma_kit.reporting.inventory import is_run, take_inventory
from dolma_kit.reporting.settings import Report as Settings
from tests.conftest import RunCommand

from . import pipeline


def measured(folder: Path, **keys: Any) -> Report:
    return collect(Settings(folder=str(folder), workers=1, quiet=True, **keys))


def of_role(report: Report, role: str) -> Corpus:
    (found,) = (one for one in report.corpora if one.role == role)
    return found


def told(report: Report) -> str:
    return " ".join(f"{one.what}: {one.why}" for one in report.missing)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        pipeline.write(tmp_path / f"{name}/documents/f.jsonl.gz", pipeline.documents(name, 20))
    return tmp_path


def test_some_documents_do_not_stand_for_all(small: Path) -> None:
    """What `--limit` has measured is of another question, and is not kept."""
    assert [one.documents_in for one in measured(small, limit=5).composition] == [5]
    assert not (small / "statistics").exists()
    assert [one.documents_in for one in measured(small).composition] == [20, 20]
    from dolma_kit.statistics.stage import stats

    stats(names=["summary"], documents=[str(small)], out=str(small / "st"), limit=5, quiet=True,
          workers=1)  # fmt: skip
    (told,) = (one for one in measured(small, measure="none").corpora if one.role == "sources")
    assert told.answers["summary"]["total"]["amount"]["documents"] == 40


def mix(streams: dict[str, str], out: Path, **more: Any) -> None:
    package.mix(
        streams=[
            {"name": name, "documents": [folder], "output": {"path": str(out)}, **more}
            for name, folder in streams.items()
        ],
        workers=1,
        quiet=True,
    )


def test_a_mix_of_mixes_counts_once(small: Path) -> None:
    mix({"a": str(small / "a")}, small / "m/a")
    mix({"b": str(small / "b")}, small / "m/b")
    mix({"all": str(small / "m")}, small / "deep/all")
    inventory = take_inventory(str(small))
    seen = inventory.seen_from_root
    assert (list(map(seen, inventory.mixed)), list(map(seen, inventory.between))) == (
        ["deep/all"], ["m/a", "m/b"]
    )  # fmt: skip
    assert [one.documents_out for one in measured(small).composition] == [20, 20]


def test_links_are_followed_once(own: Path) -> None:
    before = take_inventory(str(own))
    (own / "web/loop").symlink_to("..")
    (own / "wiki/other").symlink_to("..")
    (own / "dangling.yaml").symlink_to("absent")
    os.mkfifo(own / "pipe.yaml")
    os.mkfifo(own / "web/tokens.json")
    after = take_inventory(str(own))
    assert len(after.books) == len(before.books)
    assert after.runs == before.runs
    assert len(after.tokens) == len(before.tokens)


def test_attributes_of_other_documents(own: Path) -> None:
    """Fewer rows, and as many of others: neither is joined by its place alone."""
    paths = [own / f"wiki/attributes/{name}/w.parquet" for name in ("q", "dup")]
    tables = [pq.read_table(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table.slice(0, 12), path)
    found = measured(own, measure="none")
    assert "the attributes of documents/w.jsonl.gz have 12 rows, the mix has read 20" in told(found)
    ids = pa.array([f"other-{i}" for i in range(20)])
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table.set_column(0, "id", ids), path)
    found = measured(own, measure="none")
    assert "of its attributes is of 'other-" in told(found)
    assert [len(stream.edges) for stream in found.mixes[0].streams] == [2, 0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("statistics/sources/summary/answer.json", b"{}"),
        ("statistics/sources/summary/answer.json", b'{"about": nu'),
        ("statistics/sources/attributes/answer.json", b"[]"),
        ("statistics/sources/pii/whole.parquet", b"PAR1"),
        ("mixed/decisions.parquet", b"PAR1"),
        ("tokens/part-00000.docs.parquet", b""),
        ("tokens/tokens.json", b"[1"),
        ("tokens/.dolma-kit/ledger.jsonl", b"{\n"),
        ("web/attributes/q/.dolma-kit/executions.jsonl", b"{}\n"),
        ("web/attributes/q/a.parquet", b""),
        ("web/documents/a.jsonl.gz", b"\x1f\x8b\x08"),
        ("run.yaml", b"tokens: [\nglobal_batch_size: 3\n"),
    ],
)
def test_damage_is_told_and_costs_no_more(own: Path, name: str, data: bytes) -> None:
    (own / name).write_bytes(data)
    found = measured(own, measure="none")
    assert found.missing
    assert str(own) not in told(found)
    assert str(own.parent) not in json.dumps([one.why for one in found.missing])


def test_paths_in_messages_are_seen_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "e/web").mkdir(parents=True)
    found = take_inventory(str(tmp_path / "e"))
    for text, expected in (
        (f"{tmp_path}/e/web/a.gz: no such file", "web/a.gz: no such file"),
        (f"{tmp_path}/elsewhere/x y", ".../x y"),
        ("too few instances for one batch", "too few instances for one batch"),
        ("at https://example.org/a/b/c", "at https://example.org/a/b/c"),
    ):
        assert found.told(ValueError(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tokens: a\nglobal_batch_size: 2\n", True),
        ("{tokens: a, global_batch_size: 2}", True),
        ("tokens: a\n", False),
        ("created: 2001-13-45\n", False),
        ("[" * 200_000, False),
        ("tokens: " + "[" * 3000 + "\nglobal_batch_size: 2\n", True),  # which open_run refuses
        ("tokens: 2001-13-45\nglobal_batch_size: 2\n", True),
        ("", False),
    ],
)
def test_which_yaml_is_a_run(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert is_run(str(tmp_path / "x.yaml")) == expected


def test_values_beyond_any_bin() -> None:
    import numpy as np

    assert _histogram(np.array([-1e308, 1e308]), 0.0) == ([], [])
    bounds, counts = _histogram(np.array([1.0, 1.0, np.inf]), 1.0)
    assert (sum(counts), bounds[0]) == (2, 1.0)


def test_commands_are_quoted(tmp_path: Path) -> None:
    pipeline.write(tmp_path / "a b; touch x/documents/f.jsonl.gz", pipeline.documents("web", 3))
    cures = [one.cure for one in measured(tmp_path, measure="none").missing if one.cure]
    assert "dolma-kit stats summary 'a b; touch x' --out statistics/sources" in cures
    assert all("'a b; touch x'" in cure for cure in cures if "touch" in cure)


def test_names_that_are_no_unicode(tmp_path: Path, dolma_kit: RunCommand) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"a\xff/documents")
    os.makedirs(folder)
    shutil.copy(
        pipeline_file(tmp_path), os.path.join(os.fsdecode(folder), "f.jsonl.gz")
    )  # fmt: skip
    said = dolma_kit("report", tmp_path, "--out", tmp_path / "r.html", "--measure", "none")
    assert said.code == 0, said.err
    assert "a?" in (tmp_path / "r.json").read_text()


def pipeline_file(folder: Path) -> Path:
    path = folder / "made/f.jsonl.gz"
    pipeline.write(path, pipeline.documents("web", 2))
    return path


@pytest.mark.parametrize("name", ["r.html", "r.json", "r.md"])
def test_where_nothing_can_be_written_nothing_is_measured(small: Path, name: str) -> None:
    (small / name).mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        package.report(folder=str(small), out=str(small / "r.html"), quiet=True)
    assert not (small / "statistics").exists()


def test_a_budget_is_read_from_its_documents(small: Path) -> None:
    """The ledger notes a choice after a survey with what the survey wrote."""
    for name in ("a", "b"):
        package.tag(documents=[str(small / name)], taggers=["char_length_v1"], experiment="q",
                    workers=1, quiet=True)  # fmt: skip
    mix(
        {"a": str(small / "a"), "b": str(small / "b")}, small / "out", attributes=["q"],
        keep="q__char_length_v1__length > 200", budget={"documents": 5},
    )  # fmt: skip
    found = measured(small, measure="none")
    assert [len(stream.edges) for stream in found.mixes[0].streams] == [1, 1], told(found)
    for stream in found.mixes[0].streams:
        (edge,) = stream.edges
        assert edge.documents == 20
        for one in (*edge.pass_examples, *edge.fail_examples):
            (why,) = explaining.explain(str(small / "out"), one.id)
            assert (why.stream, why.first) == (stream.funnel.stream, one.first_rule)
            assert one.id.startswith(stream.funnel.stream)
