"""The parts of pages that can be wrong on their own: spans, places, contexts, lines of files."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import decisions, ledger
from dolma_kit.decoding import Fields
from dolma_kit.errors import ConfigError, MissingInput, VerificationError
from dolma_kit.order.asking.vocabulary import vocabulary_of
from dolma_kit.order.run import Run
from dolma_kit.searching.tracing import trace_text
from dolma_kit.viewing import stored
from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.contexts import context_of
from dolma_kit.viewing.copies import decoded
from dolma_kit.viewing.highlighting import marked
from dolma_kit.viewing.origins import Mix, Origins
from dolma_kit.viewing.stored import Span
from dolma_kit.viewing.viewed import Viewed

from .sites import Parsed, serving


def columns_by_character(page: Parsed, html: str) -> list[set[str]]:
    """Of each character that is shown, the columns of its mark."""
    found: list[set[str]] = []
    for piece in html.replace("</mark>", "<mark").split("<mark"):
        title = piece.split('"')[1] if piece.startswith(" class") else None
        text = Parsed(piece.split(">", 1)[1] if title is not None else piece).text
        names = {said.split(" ")[0].rstrip(",") for said in (title or "").split(", ") if title}
        found += [{name for name in names if name in "xyz"}] * len(text)
    return found


def test_each_character_is_in_the_columns_whose_spans_hold_it() -> None:
    random = np.random.default_rng(1)
    for _ in range(100):
        n = int(random.integers(1, 30))
        text = "".join(random.choice(list("ab<é🦊\n"), n))
        columns = [
            (name, [Span(int(a), int(a + random.integers(0, 9)), 1.0)
                    for a in random.integers(0, n + 3, random.integers(0, 5))])
            for name in "xyz"
        ]  # fmt: skip
        start, end = sorted(random.integers(0, n + 1, 2).tolist())
        made = marked(text, start, end, columns)
        page = Parsed(made.html)
        assert page.text == text[start:end]
        wanted = [
            {name for name, spans in columns if any(s.start <= i < s.end for s in spans)}
            for i in range(start, end)
        ]
        assert columns_by_character(page, made.html) == wanted
        for number in {a["class"] for tag, a in page.tags if tag == "mark"}:
            assert f".{number}{{" in made.style


def test_contexts_are_what_the_whole_text_has(run: Run) -> None:
    vocabulary = vocabulary_of(run.tokenizer, run.path)
    n_checked = 0
    for phrase in ("fox", "e", "\U0001f98a", "ï", "The end of page", "Note 2 is", "long line of"):
        for hit in trace_text(run, phrase, limit=30).hits:
            context = context_of(run, hit, vocabulary)
            assert context is not None
            assert context.match == phrase
            texts = [decoded(run, *tokens).encode() for tokens in run.occurrences(hit.id)]
            assert any(
                text[: hit.start_byte].endswith(context.before.encode())
                and text[hit.end_byte :].startswith(context.after.encode())
                and context.is_begin == (text[: hit.start_byte] == context.before.encode())
                and context.is_end == (text[hit.end_byte :] == context.after.encode())
                for text in texts
            )
            n_checked += 1
    assert n_checked > 60


def test_places_of_all_documents_are_found(run: Run, made: Path) -> None:
    origins = Origins(run)
    (mix,) = origins.mixes
    assert mix.folder == str(made.parent / "mixed")
    table = run.documents(0)
    seen = set()
    for row in range(len(table)):
        document = table[row]
        (path,), fields = origins.tokenized(0, document.src)
        assert document.line is not None
        kept = stored.read(path, document.line, fields)
        assert kept.id == document.id
        assert kept.text == decoded(run, 0, document.start, document.end)
        seen.add(mix.stream_of(path))
    assert seen == {"web", "notes"}
    assert mix.source("notes", "documents/a.jsonl.gz") == str(
        made.parent / "notes/documents/a.jsonl.gz"
    )
    with pytest.raises(ConfigError, match="says of 2 files that they are"):
        mix.source(None, "documents/a.jsonl.gz")
    with pytest.raises(ConfigError, match="does not say where it read nothing"):
        mix.source("web", "nothing")


def test_files_of_a_mix_with_a_budget_are_found(tmp_path: Path) -> None:
    """What is chosen depends on all files, so that its records name the first of them."""
    streams = []
    for source in "ab":
        lines = [json.dumps({"id": f"{source}-{i}", "text": "x" * 40}) + "\n" for i in range(9)]
        write(tmp_path / source / "documents/f.jsonl", lines)
        output = {"path": str(tmp_path / "mixed"), "min_text_length": 1}
        documents = [str(tmp_path / source)]
        streams.append({"name": source, "documents": documents, "share": 0.5, "output": output})
    dolma_kit.mix(streams=streams, budget={"bytes": 400}, workers=1, quiet=True)
    found = ledger.read(str(tmp_path / "mixed"))
    assert found is not None
    for source in "ab":
        files = decisions.files_of(found[1], source)
        assert files == {"documents/f.jsonl": f"../{source}/documents/f.jsonl"}
        path = Mix(str(tmp_path / "mixed")).source(source, "documents/f.jsonl")
        assert path == f"{tmp_path}/{source}/documents/f.jsonl"


def test_a_corpus_that_was_moved_is_found(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent, tmp_path / "moved")
    with serving(tmp_path / "moved" / "run.yaml") as site:
        page = site.get(site.to.document("web-7"))
        assert "web/documents/a.jsonl.gz:8" in page.text
        assert f"{made.parent}/web" not in page.text
        assert "Before the mix" in page.text
        (tmp_path / "moved/web/documents/a.jsonl.gz").unlink()
        page = site.get(site.to.document("web-7"))
        assert f"{tmp_path}/moved/web/documents/a.jsonl.gz" in page.text
        assert "As the tokens have it" in page.text
        shutil.rmtree(tmp_path / "moved/mixed")
        page = site.get(site.to.document("web-7"))
        assert "mixed/documents/web-0000.jsonl.gz" in page.text
        assert "As the tokens have it" in page.text


def test_a_file_that_has_changed_is_said(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent, tmp_path / "moved")
    path = tmp_path / "moved/mixed/documents/web-0000.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[1:])))
    with serving(tmp_path / "moved" / "run.yaml") as site:
        page = site.get(site.to.document("web-7"))
        assert "now, not 'web-7': the file has changed since it was read" in page.text


def write(path: Path, lines: list[str]) -> str:
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines))
    return str(path)


def test_attributes_belong_to_the_document_where_lines_before_it_are_bad(tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"d{i}", "text": "x" * i}) + "\n" for i in range(5)]
    path = write(tmp_path / "w/documents/a.jsonl", [*lines[:2], "broken\n", "\n", *lines[2:]])
    dolma_kit.tag(
        documents=[path], taggers=["char_length_v1"], experiment="t", workers=1, quiet=True,
        on_error="quarantine",
    )  # fmt: skip
    for line, doc in ((1, 0), (2, 1), (5, 2), (7, 4)):
        found = stored.read(path, line, Fields())
        assert found.id == f"d{doc}"
        (column,) = stored.attributes_of(found, Fields()).columns
        assert (column.name, column.score) == ("t__char_length_v1__length", float(doc))
    for line in (3, 4, 8):
        with pytest.raises(VerificationError, match=f"no document at line {line}"):
            stored.read(path, line, Fields())
    with pytest.raises(MissingInput, match="no documents match"):
        stored.read(path + "x.jsonl", 1, Fields())


def test_attributes_of_another_corpus_are_a_fault_and_the_rest_is_shown(tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"d{i}", "text": "x" * i}) + "\n" for i in range(3)]
    path = write(tmp_path / "w/documents/a.jsonl", lines)
    for name in ("good", "wrong"):
        dolma_kit.tag(
            documents=[path], taggers=["char_length_v1"], experiment=name, workers=1, quiet=True
        )
    wrong = tmp_path / "w/attributes/wrong/a.parquet"
    pq.write_table(pq.read_table(wrong).slice(1), wrong)
    found = stored.attributes_of(stored.read(path, 1, Fields()), Fields())
    assert [one.experiment for one in found.columns] == ["good"]
    assert len(found.faults) == 1
    assert "row 1 is of document 'd1'" in found.faults[0]


def test_documents_of_parquet_are_read_by_their_row(tmp_path: Path) -> None:
    path = tmp_path / "w/documents/a.parquet"
    path.parent.mkdir(parents=True)
    table = pa.table({"id": [f"d{i}" for i in range(10)], "text": ["x" * i for i in range(10)]})
    pq.write_table(table, path, row_group_size=3)
    for line in (1, 4, 10):
        found = stored.read(str(path), line, Fields())
        assert (found.id, len(found.text)) == (f"d{line - 1}", line - 1)


def test_a_mix_without_a_ledger_says_so(made: Path, tmp_path: Path) -> None:
    shutil.copy(made.parent / "mixed/decisions.parquet", tmp_path)
    mix = Mix(str(tmp_path))
    assert mix.decided("web-3")[0].first == "id <> 'web-3'"
    with pytest.raises(ConfigError, match="does not say where it read"):
        mix.source("web", "documents/a.jsonl.gz")


def test_a_run_is_opened_once_and_again_when_it_changes(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(made.read_text().replace("tokens: tokens", f"tokens: {made.parent}/tokens"))
    viewed = Viewed(str(path), Addresses("t" * 16))
    first = viewed.run
    assert viewed.run is first
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 1"))
    assert viewed.run.n_steps == first.n_steps // 2
