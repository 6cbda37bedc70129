"""`train-classifier`: documents of each label in, a fastText model and what it is worth out.

Beside the model X.bin lies X.json: `settings`, `inputs` (of each label the files with their SHA-256
as stored, null where they were not read to the end), `counts` of documents by label, `words`,
`tokens` and `buckets` of the model, its SHA-256, `partial`, and `held_out`, the figures of
`dolma_kit.classifying.measures`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import checking, config, fasttext_models, files, kernels, quarantine, registry
from dolma_kit.classifying import measures, model_files
from dolma_kit.classifying.examples import Examples
from dolma_kit.classifying.training import fit
from dolma_kit.config import TrainClassifier
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import progress, reading
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.specs import parse_spec
from dolma_kit.summary import Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMAND = "train-classifier"
KERNELS = ("lowercase", "rounding", *fasttext_models.KERNELS, "fasttext_training")
VERSION = 1
Prepared = tuple["NDArray[np.uint8]", "NDArray[np.int64]", "NDArray[np.int64]"]


def train_classifier(settings: TrainClassifier | None = None, **keys: Any) -> Summary:
    """Train a classifier; `keys` are those of `config.TrainClassifier`, or give the struct itself.

    >>> train_classifier(positive=["a"], negative=["b"], out="ab.bin")  # doctest: +SKIP
    """
    settings = settings or config.build(TrainClassifier, keys)
    started = time.perf_counter()
    shards = inputs(settings)
    _check(settings)
    sidecar = os.path.splitext(settings.out)[0] + ".json"
    for path in (settings.out, sidecar):
        if os.path.exists(path) and not settings.overwrite:
            raise ConfigError(f"{path} is there: use another name, or --overwrite to replace it")
    files.require_writable(os.path.dirname(settings.out) or ".")
    compile_seconds = kernels.load(KERNELS)
    labels = list(shards)
    examples = Examples(len(labels), holdout=settings.holdout, seed=settings.seed)
    results = _read(examples, shards, settings)
    _require_enough(examples, labels, settings)
    n_in_several = examples.n_texts_in_several_labels()
    with progress.Progress(
        f"{COMMAND}: training",
        settings.epochs,
        settings.epochs * examples.n_bytes,
        quiet=settings.quiet,
    ) as bar:
        weights = fit(examples, labels, settings, bar)
    with files.write_atomically(settings.out) as stream:
        sha256 = model_files.write(stream, weights, settings)
        stream.flush()
        held_out = _measured(stream.name, examples, labels)
    counts: dict[str, Any] = {
        "labels": {label: asdict(examples.counts[i]) for i, label in enumerate(labels)},
        "texts_in_several_labels": n_in_several,
        "words": len(weights.words),
        "tokens": weights.n_tokens,
        "buckets": weights.buckets,
        "sha256": sha256,
        "held_out": held_out,
    }
    _write_sidecar(sidecar, settings, shards, results, counts)
    everything = [result for of_label in results.values() for result in of_label]
    bytes_in = sum(result.bytes_in for result in everything)
    seconds = time.perf_counter() - started - compile_seconds
    return Summary(
        command=COMMAND,
        documents=sum(result.documents for result in everything),
        bytes_in=bytes_in,
        bytes_out=files.size(settings.out) + files.size(sidecar),
        seconds=round(seconds, 3),
        mb_per_s=round(bytes_in / 1e6 / seconds, 3),
        quarantined=sum(result.quarantined for result in everything),
        outputs=[settings.out, sidecar],
        partial=settings.limit is not None,
        compile_seconds=round(compile_seconds, 3),
        counts=counts | {"tagger": tagger(settings)},
    )


def inputs(settings: TrainClassifier) -> dict[str, list[Shard]]:
    """The files of each label, in canonical order. A file has one label only."""
    documents = _documents(settings)
    if len(documents) < 2:
        raise ConfigError("a classifier needs two labels: --positive and --negative, or --label")
    for label in documents:
        if not re.fullmatch(r"\w[\w.-]*", label):
            raise ConfigError(f"{label!r} cannot name a label: letters, digits, _ . -")
    checking.check_keys(dict.fromkeys(documents, "score"), COMMAND)
    every = find([argument for named in documents.values() for argument in named])
    by_place = {_place(shard.path): shard for shard in every}
    found, owners = {}, dict[str, str]()
    for label, named in documents.items():
        places = [_place(shard.path) for shard in find(named)]
        for place in places:
            if (owner := owners.setdefault(place, label)) != label:
                raise ConfigError(
                    f"{by_place[place].path} is named under both {owner!r} and {label!r}: "
                    "a file has one label"
                )
        found[label] = [by_place[place] for place in dict.fromkeys(places)]
    return found


def _place(path: str) -> str:
    return path if files.is_remote(path) else os.path.realpath(path)


def _documents(settings: TrainClassifier) -> dict[str, list[str]]:
    """Label -> DOCS arguments, as they were given."""
    if settings.label and (settings.positive or settings.negative):
        raise ConfigError("--label with --positive or --negative: give the two of them a --label")
    documents: dict[str, list[str]] = {}
    for item in settings.label:
        label, equals, argument = item.partition("=")
        if not equals or not argument:
            raise ConfigError(f"--label {item}: write NAME=DOCS")
        documents.setdefault(label, []).append(argument)
    if settings.label:
        return documents
    if settings.positive_label == settings.negative_label:
        raise ConfigError(f"both labels are called {settings.positive_label!r}")
    for key in ("positive", "negative"):
        if not getattr(settings, key):
            raise ConfigError(f"no documents under --{key}: give files, folders or globs")
    return {
        settings.positive_label: settings.positive,
        settings.negative_label: settings.negative,
    }


def _check(settings: TrainClassifier) -> None:
    if not settings.out.endswith(".bin") or files.is_remote(settings.out):
        raise ConfigError(f"--out {settings.out!r}: name a local file that ends in .bin")
    if settings.max_n and settings.min_n > settings.max_n:
        raise ConfigError(f"--min-n {settings.min_n} is above --max-n {settings.max_n}")
    if settings.shard or settings.engine == "ray" or settings.ray_address:
        raise ConfigError(
            "training is one piece of work for one process: leave out --shard, --engine ray and "
            "--ray-address"
        )


@dataclass(frozen=True)
class _Task:
    """One file of documents, all of one label; stays in this process."""

    examples: Examples
    label: int
    lowercase: bool
    set_aside: bool


class _Preparer:
    """The worker: the bytes of a batch's texts as the tagger `fasttext` prepares them."""

    def __init__(self, task: _Task) -> None:
        self._lowercase = task.lowercase

    def __call__(self, batch: Batch) -> Prepared:
        return fasttext_models.prepared(
            batch.text_bytes, batch.offsets[:-1], batch.offsets[1:], lowercase=self._lowercase
        )


class _Collector(Sink):
    """The sink: texts into the examples; where a file may yet be set aside, all at its end."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        self._waiting: list[Prepared] = []

    def open(self, stack: contextlib.ExitStack) -> None:
        pass

    def take(self, answer: Prepared) -> None:
        self._waiting.append(answer)
        if not self._task.set_aside:
            self._add()

    def end(self, read: Read) -> None:
        self._add()

    def _add(self) -> None:
        for answer in self._waiting:
            self._task.examples.add(self._task.label, *answer)
        self._waiting = []

    def result(self, read: Read) -> Result:
        return Result()


def _read(
    examples: Examples, shards: dict[str, list[Shard]], settings: TrainClassifier
) -> dict[str, list[Result]]:
    """Read all files; what each was, by label."""
    fields = Fields(settings.text_key, settings.id_key)
    every = [shard for of_label in shards.values() for shard in of_label]
    n_bytes = sum(files.size(shard.path) for shard in every)
    folder = os.path.dirname(settings.out) or "."
    results: dict[str, list[Result]] = {label: [] for label in shards}
    with progress.Progress(f"{COMMAND}: reading", len(every), n_bytes, quiet=settings.quiet) as bar:
        progress.report_to(bar.advance)
        try:
            for number, (label, of_label) in enumerate(shards.items()):
                allotted = allot(of_label, settings.limit, fields, set_aside=settings.set_aside)
                for shard, limit in allotted:
                    source = Source(shard.path, fields, limit=limit, set_aside=settings.set_aside)
                    task = _Task(examples, number, settings.lowercase, settings.set_aside)
                    aside = quarantine.below_output(COMMAND, folder, shard)
                    consumer = Consumer(_Preparer, _Collector, task, aside)
                    (share,) = reading.read(Reading(source, (consumer,)))
                    results[label].append(share.result)
                    bar.unit_done(files.size(shard.path))
        finally:
            progress.report_to(None)
    return results


def _require_enough(examples: Examples, labels: list[str], settings: TrainClassifier) -> None:
    for label, counts in zip(labels, examples.counts, strict=True):
        if counts.documents == counts.empty:
            what = "all are empty" if counts.documents else "there is none"
            raise ConfigError(f"no documents to learn {label!r} from: {what}")
        for part, n in (("training", counts.train), ("held out", counts.held_out)):
            if not n:
                raise ConfigError(
                    f"of the {counts.documents - counts.empty} documents of {label!r} none is "
                    f"{part}: give more, or another --holdout (now {settings.holdout:g}) or --seed"
                )


def _measured(path: str, examples: Examples, labels: list[str]) -> dict[str, Any]:
    """The figures of the model at a path on the held-out texts: of the scores that the tagger
    `fasttext` gives, which are rounded to 5 decimals."""
    import numpy as np

    model = fasttext_models.Model(path)
    text, starts, ends, true = examples.held_out()
    scores = kernels.rounding.round5(model.score(text, starts, ends).astype(np.float64))
    best = model.best(text, starts, ends, 1)[0][:, 0]
    places = np.array([model.labels.index(label) for label in labels])
    numbers = np.append(np.argsort(places), -1).astype(np.int32)  # -1: no label
    counts = [counts.train for counts in examples.counts]
    majority = counts.index(max(counts))
    return measures.measure(labels, true, numbers[best], scores[:, places], majority)


def tagger(settings: TrainClassifier) -> str:
    """The spec of the tagger that the model is, as it is written on a command line."""
    model, name = settings.out, re.sub(r"[^A-Za-z0-9]+", "_", _stem(settings.out)).strip("_")
    taken = {part_id.replace("-", "_") for part_id in registry.parts("taggers")}
    if not re.match(r"[A-Za-z]", name) or name in taken:
        name = f"classifier_{name}".rstrip("_")
    ending = f",name={name}{',lowercase=True' if settings.lowercase else ''})"
    with contextlib.suppress(ConfigError):
        if parse_spec(f"fasttext(model={model}{ending}").get("model") == model:
            return f"fasttext(model={model}{ending}"
    return f"fasttext(model={model!r}{ending}"


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _write_sidecar(
    path: str,
    settings: TrainClassifier,
    shards: dict[str, list[Shard]],
    results: dict[str, list[Result]],
    counts: dict[str, Any],
) -> None:
    """X.json: no time, no host, no absolute path."""
    places = ("positive", "negative", "label", "out", "limit")
    about = {
        "version": VERSION,
        "settings": {k: v for k, v in settings.deciding().items() if k not in places},
        "partial": settings.limit is not None,
        "inputs": {
            label: [
                {"file": shard.src, "sha256": result.counts["sha256"]}
                for shard, result in zip(shards[label], of_label, strict=False)
            ]
            for label, of_label in results.items()
        },
        **counts,
    }
    with files.write_atomically(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
