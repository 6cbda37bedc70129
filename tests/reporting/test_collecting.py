"""What a report says, beside what the documents, decisions and tokens say themselves."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from dolma_kit import executions, ledger
from dolma_kit.errors import ConfigError
from dolma_kit.order.asking.exposure import exposure_at
from dolma_kit.order.run import open_run
from dolma_kit.reporting.answers import Corpus, Edge, Report
from dolma_kit.reporting.collecting import collect
from dolma_kit.reporting.inventory import take_inventory
from dolma_kit.reporting.settings import Report as Settings

from . import pipeline


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def of_role(report: Report, role: str) -> Corpus:
    (found,) = (one for one in report.corpora if one.role == role)
    return found


def measured(folder: Path, **keys: Any) -> Report:
    return collect(Settings(folder=str(folder), workers=1, quiet=True, **keys))


def test_inventory(finished: Path, collected: Report) -> None:
    found = take_inventory(str(finished))
    seen = [[found.seen_from_root(p) for p in some] for some in (
        found.sources, found.mixed, found.removed, found.mixes, found.tokens, found.runs
    )]  # fmt: skip
    assert seen == [["web", "wiki"], ["mixed"], [], ["mixed"], ["tokens"], ["run.yaml"]]


def test_stages_say_what_was_made_of_what(finished: Path, collected: Report) -> None:
    stages = {one.folder: one for one in collected.stages}
    sizes = {name: len((finished / name).read_bytes()) for name in ("tokens/part-00000.npy",)}
    tag, mix, tokens = (stages[n] for n in ("web/attributes/q", "mixed", "tokens"))
    assert (tag.stage, tag.sources, tag.documents) == ("tag", ["web/documents"], pipeline.N_WEB)
    assert stages["wiki/attributes/dup"].sources == ["web/documents", "wiki/documents"]
    assert stages["wiki/attributes/dup"].documents == pipeline.N_WIKI
    assert set(mix.sources) == {
        f"{name}/{what}"
        for name in ("web", "wiki")
        for what in ("documents", "attributes/q", "attributes/dup")
    }
    assert mix.documents == pipeline.N_WEB + pipeline.N_WIKI
    assert tokens.sources == ["mixed/documents"]
    assert tokens.bytes_out > sizes["tokens/part-00000.npy"]
    assert tag.config["taggers"][0] == {"id": "gopher_v2"}
    assert len(tag.config_sha256) == len(tag.inputs_sha256) == 64
    (execution,) = tag.executions
    assert execution.versions == executions.versions()
    raw = sum(len(gzip.decompress(p.read_bytes())) for p in finished.glob("web/documents/*"))
    assert tag.bytes_in == raw


def test_costs_add_up(collected: Report) -> None:
    costs = collected.costs
    assert costs is not None
    kinds = ["tag", "dedupe", "decontaminate", "mix", "tokenize", "stats"]
    assert [one.stage for one in costs.stages] == kinds
    for one in costs.stages:
        noted = [e for s in collected.stages if s.stage.split()[0] == one.stage
                 for e in s.executions]  # fmt: skip
        assert (one.cpu, one.energy) == ("measured", "modelled")
        assert one.cpu_seconds == pytest.approx(sum(e.cpu_seconds or 0 for e in noted), abs=2e-3)
        assert one.kwh == pytest.approx(one.cpu_seconds * 10 / 3.6e6, rel=1e-2, abs=2e-9)
    assert costs.total_carbon_kg is None


def test_energy_that_was_counted_is_said_to_be(own: Path) -> None:
    """And what no command noted is modelled by the seconds of the units."""
    for place in ledger.find(str(own)):
        path = Path(place, ledger.FOLDER, executions.NAME)
        rows = executions.read(str(path.parent))
        if "attributes/q" in place:
            rows = [msgspec.structs.replace(row, joules=1800.0) for row in rows]
            path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
        elif place.endswith("tokens"):
            path.unlink()
    found = measured(own, measure="none", pue=1.2, kg_per_kwh=0.5)
    assert found.costs is not None
    rows = {one.stage: one for one in found.costs.stages}
    tag, tokenize = rows["tag"], rows["tokenize"]
    assert (tag.energy, tag.kwh, tag.kwh_with_pue) == ("rapl", 0.001, 0.0012)
    assert tag.carbon_kg == pytest.approx(0.0006)
    (stage,) = (one for one in found.stages if one.stage == "tokenize")
    assert (tokenize.cpu, tokenize.wall_seconds) == ("units", None)
    assert tokenize.cpu_seconds == stage.work_seconds


def test_composition_is_that_of_the_documents(finished: Path, collected: Report) -> None:
    went_in = [row for p in finished.glob("w*/documents/*") for row in read(p)]
    mixed = [row for p in finished.glob("mixed/documents/*") for row in read(p)]
    table = pq.read_table(finished / "tokens/part-00000.docs.parquet").to_pylist()
    for share in collected.composition:
        of_in, of_out = (
            [row["text"] for row in rows if row["source"] == share.source]
            for rows in (went_in, mixed)
        )
        assert (share.documents_in, share.documents_out) == (len(of_in), len(of_out))
        assert share.bytes_in == sum(len(text.encode()) for text in of_in)
        assert share.bytes_out == sum(len(text.encode()) for text in of_out)
        n = sum(row["end"] - row["start"] for row in table if row["source"] == share.source)
        assert share.tokens == n
        assert share.epochs is not None
        assert 1.5 < share.epochs <= 2
    assert [share.source for share in collected.composition] == ["web", "wiki"]
    assert sum(share.token_share or 0 for share in collected.composition) == pytest.approx(1)


def test_combinations_of_rules(finished: Path, collected: Report) -> None:
    rows = pq.read_table(finished / "mixed/decisions.parquet").to_pylist()
    for stream in collected.mixes[0].streams:
        removed = [row["rules"] for row in rows if row["stream"] == stream.funnel.stream]
        counts = Counter(tuple(rules) for rules in removed if rules)
        assert {tuple(c.rules): c.documents for c in stream.combinations} == counts
        ranked = [c.documents for c in stream.combinations]
        assert ranked == sorted(ranked, reverse=True)


def edges_of(report: Report) -> dict[str, Edge]:
    return {
        f"{stream.funnel.stream}: {one.column}": one
        for stream in report.mixes[0].streams
        for one in stream.edges
    }


@pytest.mark.parametrize(
    ("name", "source", "key", "operator", "number"),
    [
        ("web-pages: q__gopher_v2__word_count", "web", "word_count", ">=", 12),
        ("web-pages: COALESCE(q__char_length_v1__length, 0)", "web", "length", "<", 3000),
        ("wiki: q__gopher_v2__word_count", "wiki", "word_count", ">=", 9),
    ],
)
def test_edges_by_brute_force(
    finished: Path, collected: Report, name: str, source: str, key: str, operator: str, number: int
) -> None:
    edge = edges_of(collected)[name]
    files = sorted((finished / source / "attributes/q").glob("*.parquet"))
    tables = [pq.read_table(path).to_pydict() for path in files]
    column = next(c for c in tables[0] if c.endswith(f"__{key}"))
    values = dict(zip(sum((t["id"] for t in tables), []), sum((t[column] for t in tables), [])))  # noqa: B905, RUF017
    passes = {id_ for id_, v in values.items() if (v >= number if operator == ">=" else v < number)}
    assert (edge.operator, edge.threshold, edge.documents) == (operator, number, len(values))
    assert (edge.passing, edge.failing) == (len(passes), len(values) - len(passes))
    assert edge.within == sum(abs(v - number) <= 0.1 * number for v in values.values())
    decisions = {
        row["id"]: row for row in pq.read_table(finished / "mixed/decisions.parquet").to_pylist()
    }
    for examples, side in (
        (edge.pass_examples, passes),
        (edge.fail_examples, values.keys() - passes),
    ):
        nearest = sorted(abs(values[id_] - number) for id_ in side)[:3]
        assert [abs(one.value - number) for one in examples] == nearest
        for one in examples:
            decided = decisions[one.id]
            assert (one.value, one.line, one.file) == (
                values[one.id], decided["line"], decided["src"]
            )  # fmt: skip
            assert one.kept == (decided["first"] is None)
            assert one.first_rule == decided["first"]
            index = int(one.id.split("-")[1])
            text = pipeline.text_of(source, index)
            assert one.excerpt is not None
            assert one.excerpt[:5] == text[:5]
            assert "@" not in one.excerpt
    assert sum(edge.histogram) == len(values)
    assert np.all(np.diff(edge.bounds) > 0)


def test_excerpts_can_be_left_out(finished: Path, collected: Report) -> None:
    found = measured(finished, measure="none", excerpts="none", examples=1)
    examples = [one for edge in edges_of(found).values() for one in edge.pass_examples]
    assert len(examples) == 4
    assert all(one.excerpt is None for one in examples)


def test_exposures_in_one_pass_are_those_of_each_step(finished: Path, collected: Report) -> None:
    run = open_run(finished / "run.yaml")
    (told,) = collected.runs
    assert told.exposures == [exposure_at(run, one.step) for one in told.exposures]
    assert (told.exposures[0].step, told.exposures[-1].step) == (1, run.n_steps)
    assert len(told.exposures) == min(24, run.n_steps)


def test_what_folders_share(finished: Path, collected: Report) -> None:
    texts = {
        name: {row["text"] for p in (finished / name / "documents").glob("*") for row in read(p)}
        for name in ("mixed", "web", "wiki")
    }
    (found,) = (one for one in collected.similarities if one.kind == "text")
    assert found.names == sorted(texts)
    assert found.distinct == [len(texts[name]) for name in found.names]
    for i, a in enumerate(found.names):
        shares = [len(texts[a] & texts[b]) / len(texts[a]) for b in found.names]
        assert found.shared[i] == pytest.approx(shares, abs=1e-6)


def test_items_that_documents_hold(collected: Report) -> None:
    held = of_role(collected, "sources").held
    assert {one.item for one in held} == {"item-20", "item-21", "item-40"}
    for one in held:
        assert (one.rule, one.benchmark, one.share) == ("ngram_item", "quiz", 1.0)
        i = int(one.item.split("-")[1])
        words = pipeline.text_of("web", i).split()[:20]
        assert one.asked is not None
        assert " ".join(words) in " ".join(one.asked.split())
        assert one.matched is not None
        words = pipeline.text_of("web", i).split()
        assert " ".join(one.matched.split()) in " ".join(words)


def test_no_personal_data_is_told(collected: Report) -> None:
    told = msgspec.json.encode(collected).decode()
    assert "@mail.example.org" not in told
    hits = of_role(collected, "sources").examples["pii"]["EMAIL_ADDRESS"]
    assert len(hits) == 5
    assert {hit.mask for hit in hits} == {"|||EMAIL_ADDRESS|||"}
    assert any("write to" in hit.before for hit in hits)


def test_statistics_are_those_of_the_command(finished: Path, collected: Report) -> None:
    """And the report of a second time reads them."""
    sources, mixed = (of_role(collected, role) for role in ("sources", "mixed"))
    assert sources.folder == "statistics/sources"
    assert sources.answers["summary"]["total"]["amount"]["documents"] == 80
    assert "ngrams" not in sources.answers
    assert mixed.answers["summary"]["total"]["amount"]["tokens"] == sum(
        one.tokens or 0 for one in collected.composition
    )
    assert mixed.answers["ngrams"]["unit"] == "tokens"
    assert msgspec.json.encode(measured(finished)) == msgspec.json.encode(collected)


def test_what_is_younger_than_its_statistics_is_measured_again(own: Path) -> None:
    rows = read(own / "wiki/documents/w.jsonl.gz")
    pipeline.write(own / "wiki/documents/w.jsonl.gz", rows[:-5])
    shutil.rmtree(own / "wiki/attributes")
    (told,) = (one for one in measured(own, measure="none").corpora if one.role == "sources")
    assert told.answers == {}
    (told,) = (one for one in measured(own).corpora if one.role == "sources")
    assert told.answers["summary"]["total"]["amount"]["documents"] == 75


def test_what_is_missing_is_said_with_its_command(own: Path) -> None:
    shutil.rmtree(own / "statistics")
    found = measured(own, measure="none")
    assert not (own / "statistics").exists()
    lacking = {one.section: one for one in found.missing if one.what.endswith("of the sources")}
    assert lacking["summary"].cure == (
        "dolma-kit stats summary web wiki --out statistics/sources"
    )  # fmt: skip
    assert lacking["summary"].why == "nobody has measured it"
    toxicity = [one for one in measured(own).missing if one.section == "toxicity"]
    assert [one.cure for one in toxicity] == [
        f"dolma-kit tag {folders} --taggers jigsaw_hatespeech_sentence_v2 --experiment toxic"
        for folders in ("web wiki", "mixed")
    ]
    assert len(toxicity) == 2


def test_an_empty_folder(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert [one.section for one in found.missing] == ["corpora", "funnel", "composition", "order"]
    assert (found.stages, found.corpora, found.composition, found.costs) == ([], [], [], None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("n", [0, 1])
def test_one_document_and_none(tmp_path: Path, n: int) -> None:
    pipeline.write(tmp_path / "a/documents/a.jsonl.gz", pipeline.documents("web", n))
    found = measured(tmp_path)
    assert of_role(found, "sources").answers["summary"]["total"]["amount"]["documents"] == n
    assert {one.section for one in found.missing} >= {"attributes", "funnel", "order"}


def test_a_run_whose_tokens_moved(own: Path) -> None:
    (own / "tokens").rename(own.parent / "elsewhere")
    found = measured(own, measure="none")
    assert found.runs == []
    (lost,) = (one for one in found.missing if one.what == "the run run.yaml")
    assert "tokens" in lost.why
    assert str(own) not in lost.why


def test_attributes_that_are_gone_are_told(own: Path) -> None:
    shutil.rmtree(own / "web/attributes/q")
    found = measured(own, measure="none")
    (lost,) = (one for one in found.missing if one.section == "edges")
    assert "web-pages" in lost.what
    assert set(edges_of(found)) == {"wiki: dup", "wiki: q__gopher_v2__word_count"}


def test_statistics_of_other_files_stand_apart(own: Path) -> None:
    import dolma_kit
    from dolma_kit.statistics.stage import stats

    assert dolma_kit.__version__
    stats(
        names=["summary"], documents=[str(own / "wiki")], out=str(own / "mine"), workers=1,
        quiet=True,
    )  # fmt: skip
    found = measured(own, measure="none")
    (other,) = (one for one in found.corpora if one.role == "other")
    assert (other.name, other.documents) == ("mine", ["wiki/documents"])
    assert other.answers["summary"]["total"]["amount"]["documents"] == pipeline.N_WIKI


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        measured(tmp_path / "absent")
