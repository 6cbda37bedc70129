"""What commands took is noted with each folder that they worked on, and in no output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import config, energy, executions
from dolma_kit.config import Tag
from dolma_kit.errors import DataError
from dolma_kit.execute import engine_for, execute_together, running
from dolma_kit.executions import Execution
from dolma_kit.ledger import FOLDER
from dolma_kit.tagging import plan

from .conftest import WriteDocuments


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_documents: WriteDocuments) -> Path:
    monkeypatch.chdir(tmp_path)
    for source, n in (("web", 2000), ("wiki", 200)):
        rows = [{"id": f"{source}{i}", "text": "a line of words\n" * 9} for i in range(n)]
        write_documents(tmp_path / source / "documents/a.jsonl.gz", rows)
    return tmp_path


def noted(folder: str) -> list[Execution]:
    return executions.read(os.path.join(folder, FOLDER))


def tag(workers: int = 1, **keys: object) -> None:
    dolma_kit.tag(
        **{"documents": ["web", "wiki"], "taggers": ["gopher_v2"], "experiment": "q",
           "workers": workers, "quiet": True, **keys}
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_each_folder_has_its_part(work: Path, workers: int) -> None:
    tag(workers)
    (web,), (wiki,) = noted("web/attributes/q"), noted("wiki/attributes/q")
    assert (web.units, wiki.units, web.workers, web.engine) == (1, 1, workers, "local")
    assert web.versions["dolma-kit"] == dolma_kit.__version__
    assert web.started == wiki.started
    for one in (web, wiki):
        assert one.seconds > 0
        assert one.cpu_seconds is not None
        assert one.cpu_seconds > 0
    if workers == 1:  # of several, one may have to wait
        assert web.seconds > wiki.seconds
    assert web.joules is None


def test_only_work_is_noted(work: Path) -> None:
    tag()
    tag()
    assert len(noted("web/attributes/q")) == 1
    (work / "wiki/attributes/q/a.parquet").unlink()
    tag()
    assert [len(noted(f"{name}/attributes/q")) for name in ("web", "wiki")] == [1, 2]
    tag(taggers=["char_length_v1"], overwrite=True)
    assert [len(noted(f"{name}/attributes/q")) for name in ("web", "wiki")] == [1, 1]


def test_stages_that_run_together_share(work: Path) -> None:
    keys = {"documents": ["web"], "experiment": "", "quiet": True, "workers": 1}
    settings = [
        config.build(Tag, {**keys, "taggers": [name], "experiment": name[0]})
        for name in ("gopher_v2", "char_length_v1")
    ]
    with engine_for(settings[0]) as engine:
        execute_together([(plan(one), one) for one in settings], engine)
    (gopher,), (length,) = noted("web/attributes/g"), noted("web/attributes/c")
    assert gopher.cpu_seconds is not None
    assert length.cpu_seconds is not None
    assert gopher.cpu_seconds > length.cpu_seconds > 0


def test_energy_is_that_of_the_counters(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings of a processor that took 30 J between them."""
    zone = work / "powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "max_energy_range_uj").write_text("1000000000\n")
    (zone / "energy_uj").write_text("5000000\n")
    monkeypatch.setattr(energy, "RAPL", str(work / "powercap"))
    noting = running._note

    def later(*arguments: Any) -> None:
        (zone / "energy_uj").write_text("35000000\n")
        noting(*arguments)

    monkeypatch.setattr(running, "_note", later)
    tag()
    joules = [noted(f"{name}/attributes/q")[0].joules for name in ("web", "wiki")]
    assert sum(one or 0 for one in joules) == pytest.approx(30)


def test_a_cut_line_is_left_out_and_another_is_an_error(work: Path) -> None:
    tag()
    path = work / "web/attributes/q" / FOLDER / executions.NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert len(noted("web/attributes/q")) == 1
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match=r"executions.jsonl:1: not an execution"):
        noted("web/attributes/q")
