"""The stage `stats`: documents in, partials for each file and statistic, answers of all of them.

    OUT/<statistic>/partials/<file>.parquet   what was found of one file; the ledger knows of which
    OUT/<statistic>/whole.parquet             of all files; what comparisons read
    OUT/<statistic>/answer.json, answer.txt   and tables in Parquet, sheets for judging in CSV

Each statistic has its own ledger, so others may be asked of the same OUT later, and a file that was
measured before is not read again. All that are asked for read a file together, once.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from dolma_kit import config, files, quarantine
from dolma_kit.config import Options
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute_together
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.statistics import partials
from dolma_kit.statistics.merging import Wanted, merge_and_answer
from dolma_kit.statistics.settings import Stats
from dolma_kit.statistics.statistic import About, Corpus, Statistic
from dolma_kit.summary import Summary

PHASE = "measuring"
#: what decides each statistic's answer, beside what decides all
COMMON_FLAGS = ("text_key", "id_key", "limit")
_DRAWN = ("experiments", "sample", "seed", "judged")
FLAGS: dict[str, tuple[str, ...]] = {
    "summary": ("tokenizer", "tokens"),
    "lengths": ("tokenizer", "tokens"),
    "urls": ("url_key", "tokenizer", "tokens", "top"),
    "dates": ("date_key",),
    "languages": ("experiments",),
    "licenses": ("license_key", "experiments"),
    "ngrams": ("n", "unit", "tokenizer", "tokens", "capacity", "top"),
    "duplicates": ("url_key", "separator", "max_keys", "top"),
    "pii": ("pii_tagger", *_DRAWN),
    "toxicity": ("columns", "threshold", "lexicon", *_DRAWN),
    "contamination": ("experiments",),
    "attributes": ("columns", "experiments"),
    "overlap": ("url_key", "separator"),
}


def _corpus(settings: Stats, documents: Sequence[str]) -> Corpus:
    fields = Fields(settings.text_key, settings.id_key)
    if not documents:
        return Corpus([], fields, settings.set_aside)
    shards = find(documents, attributes=settings.attributes)
    allotted = allot(shards, settings.limit, fields, set_aside=settings.set_aside)
    return Corpus(allotted, fields, settings.set_aside)


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a command found: `answers` by statistic, `texts` the same for eyes."""

    summary: Summary
    answers: dict[str, Any]
    texts: dict[str, str]


def stats(settings: Stats | None = None, *, engine: Engine | None = None, **keys: Any) -> Answered:
    """Measure and answer; `keys` are those of `Stats`, or give the struct itself.

    >>> stats(names=["summary", "lengths"], documents=["web"], out="stats")  # doctest: +SKIP
    """
    settings = settings or config.build(Stats, keys)
    if is_comparison(settings):
        from dolma_kit.statistics import corpora

        return corpora.compare(settings, engine)
    if "compare" in settings.names:
        raise ConfigError("compare takes corpora and stands alone: dolma-kit stats compare A B")
    with place_for(settings) as out, engine_for(settings, engine) as running:
        return measure(settings, settings.documents, out, running)


def is_comparison(settings: Stats) -> bool:
    """Whether the arguments are corpora to compare."""
    return settings.names == ["compare"] or (
        settings.names == ["overlap"] and len(settings.documents) > 1
    )


@contextlib.contextmanager
def place_for(settings: Stats) -> Iterator[str]:
    """Where partials go: `out`, or a folder that goes with them."""
    if settings.out is not None:
        yield settings.out
        return
    if settings.part is not None:
        raise ConfigError("--shard without --out: what a part finds would be gone; give --out DIR")
    if settings.plot:
        raise ConfigError("--plot without --out: give --out DIR for the pictures")
    with tempfile.TemporaryDirectory(prefix="dolma-kit-", dir=settings.tmp_dir) as folder:
        yield folder


class Prepared(NamedTuple):
    """What is to be done: the statistics, the files, and the plans of those that read them."""

    chosen: list[Statistic]
    corpus: Corpus
    plans: list[Plan]


def prepare(settings: Stats, documents: Sequence[str], out: str) -> Prepared:
    """Look for files and columns; ConfigError for what cannot be asked."""
    from dolma_kit.statistics import catalogue

    if not settings.names:
        raise ConfigError(f"no statistics: name some of {', '.join(catalogue.NAMES)}")
    wanted = list(dict.fromkeys(settings.names))
    if not documents and not (wanted == ["ngrams"] and settings.tokens):
        raise ConfigError("no documents: give files, folders (their documents/**) or globs")
    corpus = _corpus(settings, documents)
    shards = [shard for shard, _ in corpus.shards]
    chosen = [catalogue.make(name, settings, shards) for name in wanted]
    reading = [statistic for statistic in chosen if statistic.reads_documents]
    return Prepared(chosen, corpus, plans_for(reading, settings, corpus, out))


def measure(settings: Stats, documents: Sequence[str], out: str, engine: Engine) -> Answered:
    """Measure the documents into a folder, as far as that is not done, and answer."""
    chosen, corpus, plans = prepare(settings, documents, out)
    shards = [shard for shard, _ in corpus.shards]
    outcomes = execute_together([(plan, settings) for plan in plans], engine)
    if settings.part is not None:
        return Answered(summary=_summary(settings, outcomes, out), answers={}, texts={})
    os.makedirs(out, exist_ok=True)
    n_documents = outcomes[0].total(PHASE, "documents") if outcomes else 0
    wanted = []
    for statistic in chosen:
        about = About(
            files=[shard.src for shard in shards],
            n_documents=n_documents,
            command=command_of(settings, statistic.id, documents),
        )
        paths: list[str] = []
        if statistic.reads_documents:
            paths = [_partial_path(out, statistic, shard) for shard in shards]
        is_kept, is_drawn = settings.out is not None, settings.plot
        wanted.append(Wanted(statistic, tuple(paths), about, corpus, is_kept, is_drawn))
    found = merge_and_answer(wanted, out, engine)
    answers = {one.statistic.id: done.answer for one, done in zip(wanted, found, strict=True)}
    texts = {one.statistic.id: done.text for one, done in zip(wanted, found, strict=True)}
    outputs = [path for done in found for path in done.outputs]
    made = _summary(settings, outcomes, out, outputs)
    return Answered(summary=made, answers=answers, texts=texts)


def plans_for(
    chosen: Sequence[Statistic], settings: Options, corpus: Corpus, out: str
) -> list[Plan]:
    """A plan a statistic, with a unit a file; units of one file read it alike."""
    more = dict.fromkeys(name for statistic in chosen for name in statistic.fields)
    more_fields = tuple(n for n in more if n not in (corpus.fields.text, corpus.fields.id))
    needs_rows = any(statistic.needs_rows for statistic in chosen)
    shareable = all(statistic.shareable for statistic in chosen)
    plans = []
    for statistic in chosen:
        folder = os.path.join(out, statistic.id)
        units = []
        for shard, limit in corpus.shards:
            output = _partial_path(out, statistic, shard)
            aside = None
            if statistic is chosen[0]:  # a bad line is noted once
                aside = quarantine.below_output("stats", out, shard)
            consumer = Consumer(
                Measurer, PartialSink, MeasureTask(statistic, shard, output), aside,
                empty_if_broken=True,
            )  # fmt: skip
            source = Source(
                shard.path, corpus.fields, more=more_fields, limit=limit,
                set_aside=corpus.set_aside,
            )  # fmt: skip
            units.append(
                Unit(
                    name=_stem(out, shard),
                    task=Reading(source, (consumer,), needs_rows=needs_rows, shareable=shareable),
                    inputs=(shard.path, *statistic.inputs(shard)),
                    folder=folder,
                    n_bytes=files.size(shard.path),
                    claims=(glob.escape(output),),
                )
            )
        deciding = {
            "text_key": corpus.fields.text, "id_key": corpus.fields.id,
            "limit": getattr(settings, "limit", None), **statistic.deciding(),
        }  # fmt: skip
        plans.append(
            Plan(
                stage=f"stats {statistic.id}",
                config=deciding,
                phases=[Phase(PHASE, None, units)],
                kernels=statistic.kernels,
            )
        )
    return plans


@dataclass(frozen=True)
class MeasureTask:
    """One file of documents for one statistic; `output` is where its partial goes."""

    statistic: Statistic
    shard: Shard
    output: str


class Measurer:
    """The worker: what the statistic's measure finds of a batch."""

    def __init__(self, task: MeasureTask) -> None:
        self._measure = task.statistic.start(task.shard)

    def __call__(self, batch: Batch) -> Any:
        return self._measure(batch)


class PartialSink(Sink):
    """The sink: one partial of all batches."""

    def __init__(self, task: MeasureTask) -> None:
        self._task = task
        self._gathering = task.statistic.gathering()

    def open(self, stack: contextlib.ExitStack) -> None:
        pass

    def take(self, answer: Any) -> None:
        self._gathering.take(answer)

    def end(self, read: Read) -> None:
        if read.sha256 is not None:  # read to the end, not to a limit
            self._task.statistic.require_whole(self._task.shard, read.documents)

    def result(self, read: Read) -> Result:
        task = self._task
        partials.write(task.output, task.statistic.id, self._gathering.partial())
        return Result(outputs=[task.output], bytes_out=files.size(task.output))


def command_of(settings: Stats, names: str, documents: Sequence[str]) -> str:
    """The command that gives an answer again; where documents lie on a machine is left out."""
    words = ["dolma-kit", "stats", names]
    words += [
        "DOCS" if os.path.isabs(document) or files.is_remote(document) else document
        for document in documents
    ]
    known = FLAGS.get(names, ())
    for field in msgspec.structs.fields(Stats):
        if field.name not in (*COMMON_FLAGS, *known):
            continue
        value = getattr(settings, field.name)
        default = field.default
        if default is msgspec.NODEFAULT:
            default = field.default_factory()
        if value == default:
            continue
        flag = "--" + field.name.replace("_", "-")
        items = value if isinstance(value, list) else [value]
        shown = [os.path.basename(v.rstrip("/")) if isinstance(v, str) and os.path.isabs(v) else v
                 for v in items]  # fmt: skip
        words += [flag, ",".join(map(str, shown))]
    return shlex.join(words)


def _stem(out: str, shard: Shard) -> str:
    """What the partials of a file are called: by where it lies, seen from `out`, so that it keeps
    its name when the corpus grows."""
    place = shard.path
    if not files.is_remote(place):
        place = os.path.relpath(place, out)
    name = os.path.basename(shard.tree)
    return f"{name}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def _partial_path(out: str, statistic: Statistic, shard: Shard) -> str:
    return os.path.join(out, statistic.id, "partials", f"{_stem(out, shard)}.parquet")


def _summary(
    settings: Stats, outcomes: Sequence[Outcome], out: str, outputs: Sequence[str] = ()
) -> Summary:
    """What the readings did, each file once."""
    first = outcomes[0] if outcomes else Outcome(results={PHASE: []})
    seconds = sum(outcome.seconds for outcome in outcomes)
    bytes_in = first.total(PHASE, "bytes_in")
    return Summary(
        command="stats",
        documents=first.total(PHASE, "documents"),
        bytes_in=bytes_in,
        bytes_out=sum(files.size(path) for path in outputs),
        seconds=round(seconds, 3),
        mb_per_s=round(bytes_in / 1e6 / max(seconds, 1e-9), 3),
        quarantined=first.quarantined,
        outputs=[] if settings.out is None else [out],
        partial=settings.limit is not None,
        engine=first.engine,
        compile_seconds=round(sum(o.compile_seconds for o in outcomes), 3),
        units_skipped=sum(outcome.units_skipped for outcome in outcomes),
        shard=settings.shard,
        complete=settings.part is None,
    )
