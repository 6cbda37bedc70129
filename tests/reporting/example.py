"""Reports to be shown: one with a bit of everything, one of nothing, one of far too much, and one
whose every text is hostile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dolma_kit.reporting.answers import (
    VERSION,
    Cost,
    Costs,
    Edge,
    Example,
    Held,
    MaskedExample,
    Missing,
    Report,
    Share,
    Similarity,
    StreamRemoval,
)
from dolma_kit.statistics.contamination import Benchmark, Contamination, OfRule
from dolma_kit.statistics.findings import Findings, OfKind, OfSource
from dolma_kit.statistics.languages import Language
from dolma_kit.statistics.lengths import Spike
from dolma_kit.statistics.samples import precision
from dolma_kit.statistics.statistic import About

NOTHING = Report(
    version=VERSION, title="", made_with={}, stages=[], costs=None, composition=[], corpora=[],
    mixes=[], tokens=[], runs=[], similarities=[], missing=[],
)  # fmt: skip
FILE = "web/documents/a.jsonl.gz"
#: what would act if it were taken for more than text
HOSTILE = (
    "<script>window.acted=1</script>", "</script><img src=x onerror=window.acted=1>",
    "javascript:window.acted=1", "\u202egnp.exe", "nul\0in", "'\" onload='window.acted=1",
    "</svg><style>*{display:none}</style>", "</title></desc><iframe src=//evil.example>",
    "]]>&lt;b&gt;$x^2$--><!--", "\x1b[31mred", "https://evil.example/steal", "中" * 50,
)  # fmt: skip
LONG = "long " * 200_000  # 1 MB
MANY = 300
#: keys of dicts that a corpus or its makers name, as other keys are names of fields
_FREE = {"sources", "languages", "kinds", "rules", "benchmarks", "columns", "years", "made_with",
         "versions"}  # fmt: skip
#: fields of few known values
_KNOWN = {"role", "cpu", "energy", "kind", "unit"}


def full(collected: Report) -> Report:
    """What a pipeline's folder gave, and what it has nothing of: toxicity, contamination, uneven
    bins, judged samples, energy that was measured."""
    about = About(files=[FILE], n_documents=80, command="dolma-kit stats NAME web wiki")
    toxicity = Findings(
        about=about, by="the lexicon words.tsv", sample=5, seed=0, missing_rate=0.25,
        total=OfSource(documents=80, missing=20, words=3000, not_searched=0),
        sources={"web": OfSource(documents=60, missing=0, words=2000, not_searched=0),
                 "": OfSource(documents=20, missing=20, words=1000, not_searched=0)},
        kinds={"insults": OfKind(
            documents=4, searched=60, hits=9, characters=70, per_million_words=3000.0,
            sources={"web": 4}, sampled=5, precision=precision(3, 5), true_hits=(2.1, 8.3),
        )},
    )  # fmt: skip
    none = Benchmark(items=0, contaminated=0, share=0.0, low=0.0, high=1.0)
    some = Benchmark(items=40, contaminated=9, share=0.225, low=0.123, high=0.375)
    rules = {
        name: OfRule(documents=80, contaminated=3, spans=4, characters=120, sources={"web": 3},
                     benchmarks={"arc_easy": some, "copa": none})
        for name in ("dec__decon", "dec__ngram_item")
    }  # fmt: skip
    contamination = Contamination(
        about=about, documents=80, missing=0, missing_rate=0.0, reports=["dec.report.json"],
        rules=rules,
    )  # fmt: skip
    masked = MaskedExample(file=FILE, line=7, score=1.0, before="you are a", mask="f...",
                           after="and so on")  # fmt: skip
    held = Held(
        rule="dec__decon",
        benchmark="arc_easy",
        item="arc_easy/test/12",
        file=FILE,
        line=3,
        share=0.93,
        asked="Which of these is a mammal?",
        matched="which of these is a",
    )
    missing = Missing(section="dates", what="dates of wiki", why="nobody asked",
                      cure="dolma-kit stats dates wiki")  # fmt: skip
    first, *others = collected.corpora
    answers = {"toxicity": toxicity, "contamination": contamination}
    first = msgspec.structs.replace(
        first,
        answers={**first.answers, **msgspec.to_builtins(answers)},
        examples={**first.examples, "toxicity": {"insults": [masked]}},
        held=[held],
    )
    costs = Costs(
        stages=[
            Cost(stage=name, folders=2, bytes_in=10**9, wall_seconds=10.0, cpu_seconds=20.0,
                 cpu=cpu, energy=energy, kwh=1e-4, kwh_with_pue=1.2e-4, carbon_kg=2e-5)
            for name, cpu, energy in (("tag", "measured", "rapl"), ("mix", "units", "modelled"))
        ],
        total_cpu_seconds=40.0, total_kwh_with_pue=2.4e-4, total_carbon_kg=4e-5,
        watts_per_core=8.0, pue=1.2, kg_per_kwh=0.369,
    )  # fmt: skip
    similar = Similarity(
        kind="text",
        names=["web", "wiki"],
        distinct=[52.0, 18.4],
        exact=[True, False],
        shared=[[1.0, 0.31], [0.9, 1.0]],
        errors=[[0.0, 0.02], [0.0, 0.0]],
    )
    return msgspec.structs.replace(
        collected, title="A small corpus", corpora=[first, *others], costs=costs,
        mixes=[_with_edges(mix) for mix in collected.mixes], similarities=[similar],
        missing=[*collected.missing, missing],
    )  # fmt: skip


def _with_edges(mix: Any) -> Any:
    """A threshold over even bins and one over uneven ones, for the first stream."""
    near = Example(id="web-3", file=FILE, line=4, value=11.0, kept=False, first_rule="length >= 12",
                   excerpt="write to ann@mail.example.org now")  # fmt: skip
    even = [float(10 * i) for i in range(11)]
    uneven = [float(2**i) for i in range(11)]
    edges = [
        Edge(rule="length >= 12", column="length", operator=operator, threshold=12.0, documents=55,
             without=5, passing=40, failing=15, within=4, histogram=list(range(10)), bounds=bounds,
             files_read=1, files=2, pass_examples=[near], fail_examples=[near, near])
        for operator, bounds in ((">=", even), ("<", uneven))
    ]  # fmt: skip
    first, *others = mix.streams
    first = msgspec.structs.replace(first, edges=[*first.edges, *edges])
    return msgspec.structs.replace(mix, streams=[first, *others])


def hostile(report: Report) -> Report:
    """Every text and name of a corpus made hostile, one of them 1 MB long."""
    number = 0

    def spoilt(text: str) -> str:
        nonlocal number
        number += 1
        return HOSTILE[number % len(HOSTILE)] + text + (LONG if number == 40 else "")

    return msgspec.convert(_changed(msgspec.to_builtins(report), spoilt), Report)


def _changed(value: Any, change: Callable[[str], str], field: str = "") -> Any:
    if isinstance(value, dict):
        free = field in _FREE and not (field == "kinds" and {"text", "paragraph"} & value.keys())
        return {
            (change(key) if free and isinstance(key, str) and field != "years" else key): (
                _changed(inner, change, str(key))
            )
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_changed(inner, change) for inner in value]
    if isinstance(value, str) and field not in _KNOWN:
        return change(value)
    return value


def many(report: Report) -> Report:
    """Hundreds of stages, sources, streams, languages and spikes."""
    shares = [
        Share(source=f"source {i}", documents_in=i + 1, bytes_in=1000 * i, documents_out=i,
              bytes_out=900 * i, tokens=200 * i, token_share=1 / MANY, epochs=1.5)
        for i in range(MANY)
    ]  # fmt: skip
    stages = [
        msgspec.structs.replace(report.stages[i % len(report.stages)], folder=f"folder-{i}")
        for i in range(MANY)
    ]
    (mix, *_) = report.mixes
    streams: list[StreamRemoval] = [
        msgspec.structs.replace(
            mix.streams[0],
            funnel=msgspec.structs.replace(mix.streams[0].funnel, stream=f"stream {i}"),
        )
        for i in range(MANY)
    ]
    first = report.corpora[0]
    languages = msgspec.to_builtins(
        {f"l{i}": Language(documents=MANY - i, bytes=9, words=3, unsure=1) for i in range(MANY)}
    )
    lengths = {**first.answers["lengths"]}
    spike = Spike(source=None, length=9, documents=99, expected=1.5, p_value=0.0, examples=[])
    lengths["units"] = {
        unit: {**measured, "spikes": [
            {**msgspec.to_builtins(spike), "length": 10 + 7 * i} for i in range(MANY)
        ]}
        for unit, measured in lengths["units"].items()
    }  # fmt: skip
    answers = {
        "languages": {**first.answers["languages"], "languages": languages},
        "lengths": lengths,
    }
    corpora = [
        msgspec.structs.replace(first, name=f"corpus {i}", answers=answers) for i in range(12)
    ]
    return msgspec.structs.replace(
        NOTHING, composition=shares, stages=stages, corpora=corpora,
        mixes=[msgspec.structs.replace(mix, streams=streams)],
    )  # fmt: skip
