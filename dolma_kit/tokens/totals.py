"""`tokens count`: how many tokens `tokenize` would write of each source, without writing any."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from dolma_kit import config, files
from dolma_kit.config import CountTokens
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import find
from dolma_kit.ledger import Result
from dolma_kit.tokens import encoder, self_check, tokenizer_file
from dolma_kit.tokens.encoder import EncodingError, Library


class Total(msgspec.Struct, kw_only=True):
    """Of one source, or all: `documents` that have tokens, `bytes` of their texts, `tokens` with an
    EOS for each, `empty` documents besides."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    empty: int = 0

    def add(self, other: Total) -> None:
        for key in self.__struct_fields__:
            setattr(self, key, getattr(self, key) + getattr(other, key))


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """By the documents' `source` ("" where they have none), and together."""

    encoder: str
    sources: dict[str, Total]
    total: Total


@dataclass(frozen=True)
class CountTask:
    tokenizer: str
    sha256: str
    library: Library
    parse: bool


def count(
    settings: CountTokens | None = None, *, engine: Engine | None = None, **keys: Any
) -> Totals:
    """Count; `keys` are those of `config.CountTokens`, or give the struct itself."""
    settings = settings or config.build(CountTokens, keys)
    if not settings.documents:
        raise ConfigError("no documents: give files, folders or globs")
    tokenizer = tokenizer_file.resolve(settings.tokenizer)
    parse = settings.special_tokens == "parse"
    chosen = self_check.choose(settings.encoder, tokenizer, with_special=parse)
    task = CountTask(tokenizer.path, tokenizer.sha256, chosen.library, parse)
    fields = Fields(settings.text_key, settings.id_key)
    shards = allot(find(settings.documents), settings.limit, fields, set_aside=settings.set_aside)
    with tempfile.TemporaryDirectory(prefix="dolma-kit-", dir=settings.tmp_dir) as folder:
        units = []
        for i, (shard, limit) in enumerate(shards):
            reading = Reading(
                Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
                (Consumer(BatchCounter, CountSink, task, None, empty_if_broken=True),),
            )
            size = files.size(shard.path)
            units.append(Unit(f"counting {i} {shard.src}", reading, (shard.path,), folder, size))
        made = Plan(stage="tokens count", config={}, phases=[Phase("counting", None, units)])
        with engine_for(settings, engine) as running:
            results = execute(made, settings, running).results["counting"]
    sources: dict[str, Total] = {}
    whole = Total()
    for result in results:
        for source, said in result.counts["sources"].items():
            total = msgspec.convert(said, Total)
            sources.setdefault(source, Total()).add(total)
            whole.add(total)
    return Totals(encoder=chosen.name, sources=dict(sorted(sources.items())), total=whole)


class BatchCounter:
    """The worker: the totals of a batch by source."""

    def __init__(self, task: CountTask) -> None:
        self._encoder = encoder.load(
            task.tokenizer, task.sha256, task.library, with_special=task.parse
        )

    def __call__(self, batch: Batch) -> dict[str, Total]:
        try:
            n_tokens = np.diff(self._encoder.encode(batch.texts).offsets)
        except EncodingError as error:
            raise DataError(batch.path, int(batch.lines[error.index]), error.reason) from None
        sources = batch.table.column("source").to_pylist()
        n_bytes = np.diff(batch.offsets)
        found = {}
        for source in dict.fromkeys(sources):
            rows = np.array([one == source for one in sources])
            full = rows & (n_tokens > 0)
            found[source or ""] = Total(
                documents=int(full.sum()), bytes=int(n_bytes[full].sum()),
                tokens=int(n_tokens[full].sum() + full.sum()), empty=int((rows & ~full).sum()),
            )  # fmt: skip
        return found


class CountSink(Sink):
    """The sink: adds totals up."""

    def __init__(self, task: CountTask) -> None:
        self._sources: dict[str, Total] = {}

    def open(self, stack: ExitStack) -> None:
        pass

    def take(self, answer: dict[str, Total]) -> None:
        for source, total in answer.items():
            self._sources.setdefault(source, Total()).add(total)

    def result(self, read: Read) -> Result:
        return Result(counts={"sources": msgspec.to_builtins(self._sources)})


def table(found: Totals) -> str:
    """For eyes."""
    width = max([len("in all"), *(len(name) for name in found.sources)])
    heads = ("documents", "bytes", "tokens", "bytes/token", "share")
    lines = [" ".join([f"{'source':{width}}", *(f"{head:>16}" for head in heads)])]
    for name, one in [*found.sources.items(), ("in all", found.total)]:
        ratio = one.bytes / one.tokens if one.tokens else 0.0
        share = one.tokens / found.total.tokens if found.total.tokens else 0.0
        lines.append(
            f"{name or '(none)':{width}} {one.documents:16,} {one.bytes:16,} {one.tokens:16,} "
            f"{ratio:16.3f} {share:16.2%}"
        )
    return "\n".join(lines)
