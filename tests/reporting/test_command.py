"""`dolma-kit report`: three files, the same bytes each time, and refusals in one line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import dolma_kit as package
from dolma_kit.reporting.answers import Report
from tests.conftest import RunCommand


def test_three_files_of_the_same_bytes(
    finished: Path, collected: Report, tmp_path: Path, dolma_kit: RunCommand
) -> None:
    """Wherever the folder lies, and for any number of workers."""
    moved = shutil.copytree(finished, tmp_path / "moved/finished")
    said = dolma_kit("report", finished, "--out", tmp_path / "a/r.html", "--quiet").json
    names = ["r.html", "r.json", "r.md"]
    assert said["outputs"] == [str(tmp_path / "a" / name) for name in names]
    assert said["documents"] == sum(one.documents_in or 0 for one in collected.composition)
    dolma_kit(
        "report", moved, "--out", tmp_path / "b/r.html", "--title", collected.title, "--workers", 2
    )
    for name in names:
        made = (tmp_path / "a" / name).read_bytes()
        assert made == (tmp_path / "b" / name).read_bytes()
        assert str(tmp_path).encode() not in made
        assert b"@mail.example.org" not in made
    twin = json.loads((tmp_path / "a/r.json").read_text())
    assert [one["source"] for one in twin["composition"]] == ["web", "wiki"]
    page = (tmp_path / "a/r.html").read_text()
    assert len(page) < 5_000_000
    assert "<script" not in page
    assert "http-equiv=Content-Security-Policy" in page


def test_the_function_is_the_command(finished: Path, collected: Report, tmp_path: Path) -> None:
    made = package.report(folder=str(finished), out=str(tmp_path / "r.html"), quiet=True)
    assert [os.path.basename(path) for path in made.outputs] == ["r.html", "r.json", "r.md"]


def test_answers_of_people(finished: Path, tmp_path: Path, dolma_kit: RunCommand) -> None:
    (tmp_path / "answers.yaml").write_text("motivation-purpose: To *learn*.\n")
    arguments = ("--measure", "none", "--answers", tmp_path / "answers.yaml")
    dolma_kit("report", finished, "--out", tmp_path / "r.html", *arguments)
    assert "To *learn*." in (tmp_path / "r.md").read_text()
    (tmp_path / "answers.yaml").write_text("motivation-purpse: no\n")
    failed = dolma_kit("report", finished, "--out", tmp_path / "r.html", *arguments)
    assert failed.code == 2
    assert "motivation-purpose" in failed.err


def test_dry_run_writes_nothing(finished: Path, tmp_path: Path, dolma_kit: RunCommand) -> None:
    out = dolma_kit("report", finished, "--out", tmp_path / "r.html", "--dry-run").out
    assert "mixed documents: mixed" in out
    assert f"would write {tmp_path / 'r.html'}" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "absent: no such folder"),
        ([], "no folder"),
        ([".", "--out", "page.pdf"], "ends in .html"),
        ([".", "--shard", "0/2"], "a report is of the whole"),
        ([".", "--answers", "absent.yaml"], "absent.yaml"),
        ([".", "--pue", "0.5"], "pue"),
    ],
)
def test_refusals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dolma_kit: RunCommand,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = dolma_kit("report", *arguments)
    assert failed.code == 2
    assert said in failed.err
    assert failed.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_kept_is_measured_for_now(
    finished: Path, tmp_path: Path, dolma_kit: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that nobody may write to, as one reads a corpus of others."""
    own = tmp_path / "own"
    shutil.copytree(finished / "wiki/documents", own / "wiki/documents")
    shutil.copytree(finished / "web/documents", own / "web/documents")
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).startswith(str(own)))
    dolma_kit("report", own, "--out", tmp_path / "r.html")
    twin = json.loads((tmp_path / "r.json").read_text())
    assert twin["corpora"][0]["answers"]["summary"]["total"]["amount"]["documents"] == 80
    assert twin["corpora"][0]["folder"] is None
    assert [one["names"] for one in twin["similarities"]] == [["web", "wiki"]] * 3
    assert sorted(path.name for path in own.iterdir()) == ["web", "wiki"]
