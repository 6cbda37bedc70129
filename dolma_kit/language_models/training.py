"""`train-language-model`: an n-gram model of documents, with modified Kneser-Ney smoothing.

The numbers are those of KenLM's `lmplz --discount_fallback` on the same lines, to the precision of
its single-precision arithmetic, n-grams in the same order. Everything is counted in memory, by one
process; what would take more than `max_bytes` is refused. Same documents and settings give the same
bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import config, files, kernels, layout
from dolma_kit.config import TrainLanguageModel
from dolma_kit.documents import Batch, DocumentReader, Fields
from dolma_kit.errors import ConfigError
from dolma_kit.language_models import models, smoothing
from dolma_kit.language_models.arpa_writer import Writer
from dolma_kit.language_models.counting import NgramCounter, Text
from dolma_kit.language_models.text import Preparation
from dolma_kit.summary import Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".arpa", ".arpa.gz", ".arpa.zst")
# cc_net's percentiles: documents below the first are its head, below the second its middle.
HEAD, TAIL = 30, 60


def train(settings: TrainLanguageModel | None = None, **keys: Any) -> Summary:
    """Train a model; `keys` are those of `config.TrainLanguageModel`, or give the struct itself."""
    settings = settings or config.build(TrainLanguageModel, keys)
    thresholds = pruning(settings)
    prepared = preparation(settings)
    require_new(settings)
    started = time.perf_counter()
    compile_seconds = kernels.load(("ngram_rows", "interning", *models.KERNELS))
    text = Text(settings.max_bytes)
    n_documents = n_bytes = 0
    for batch in batches(settings, settings.documents, settings.limit):
        text.add(prepared.lines(batch))
        n_documents += len(batch)
        n_bytes += batch.n_bytes_read
    if not text.n_tokens:
        raise ConfigError("the documents hold no text: there is nothing to train on")
    with files.write_atomically(settings.out) as stream:
        writer = Writer(stream, settings.out, text.words())
        note = msgspec.json.encode(prepared.note())
        counts = write_model(writer, text, settings.order, thresholds, note)
    counts["cutoffs"] = cutoffs(settings, prepared) if settings.held_out else None
    seconds = time.perf_counter() - started
    return Summary(
        command="train-language-model",
        documents=n_documents,
        bytes_in=n_bytes,
        bytes_out=writer.n_bytes,
        seconds=round(seconds, 3),
        mb_per_s=round(n_bytes / 1e6 / max(seconds, 1e-9), 3),
        outputs=[settings.out],
        partial=settings.limit is not None,
        compile_seconds=round(compile_seconds, 3),
        counts=counts,
    )


def pruning(settings: TrainLanguageModel) -> list[int]:
    """The threshold of each order: lmplz's rule, the last one holds for all longer n-grams."""
    try:
        given = [int(value) for value in settings.prune]
    except ValueError:
        raise ConfigError(f"prune={settings.prune}: counts are whole numbers") from None
    if len(given) > settings.order:
        raise ConfigError(f"prune={given}: a model of order {settings.order} has no more orders")
    if given != sorted(given) or min(given, default=0) < 0:
        raise ConfigError(
            f"prune={given}: from 0 up, none lower than the one before it, or n-grams would lose "
            "those that they end in"
        )
    given = given or [0]
    return given + given[-1:] * (settings.order - len(given))


def preparation(settings: TrainLanguageModel) -> Preparation:
    normalize = None if settings.normalize == "none" else settings.normalize
    return Preparation(normalize, settings.tokenizer, settings.sentence)


def require_new(settings: TrainLanguageModel) -> None:
    """Refuse an output that is none or that is there, and held-out documents that are not."""
    if settings.held_out:
        layout.find(settings.held_out)
    if not settings.out.endswith(SUFFIXES):
        raise ConfigError(f"out={settings.out!r}: name a file that ends in {', '.join(SUFFIXES)}")
    if not settings.overwrite and files.exists(settings.out):
        raise ConfigError(f"{settings.out} is there: name another file, or pass --overwrite")
    files.require_writable(os.path.dirname(settings.out) or ".")


def batches(
    settings: TrainLanguageModel, documents: Sequence[str], limit: int | None = None
) -> Iterator[Batch]:
    """The documents that arguments name, in canonical order, the first `limit` of them."""
    fields = Fields(settings.text_key, settings.id_key)
    left = limit
    for shard in layout.find(documents):
        if left == 0:
            return
        for batch in DocumentReader(shard.path, fields=fields, limit=left):
            yield batch
            if left is not None:
                left -= len(batch)


def write_model(
    writer: Writer, text: Text, order: int, thresholds: Sequence[int], note: bytes
) -> dict[str, Any]:
    """Count, smooth and write; returns what there is to say of the n-grams."""
    import numpy as np

    counter = NgramCounter(text.ids(), text.n_words, order)
    orders = range(1, order + 1)
    found = [smoothing.statistics(counter, n, thresholds[n - 1]) for n in orders]
    writer.head([of_order.n_kept for of_order in found], note)

    rows = counter.rows(1)
    is_kept = smoothing.kept(rows, 1, thresholds[0])
    uniform = np.full(len(rows.examples), 1.0 / (found[0].n_kept - 1))  # `<s>` is not in it
    everything = np.zeros(len(rows.examples), np.int32)
    probabilities, _ = smoothing.smooth(rows, everything, uniform, 1, is_kept, found[0].discounts)
    probabilities[kernels.ngram_rows.BOS] = 1.0
    for n in orders[1:]:
        longer = counter.rows(n)
        contexts = rows.by_position[longer.examples - 1]
        lower = probabilities[rows.by_position[longer.examples]]
        longer_kept = smoothing.kept(longer, n, thresholds[n - 1])
        longer_probabilities, backoffs = smoothing.smooth(
            longer, contexts, lower, len(rows.examples), longer_kept, found[n - 1].discounts
        )
        ngrams = words_of(counter.ids, rows.examples, n - 1, is_kept)
        writer.section(ngrams, probabilities[is_kept], backoffs[is_kept])
        rows, is_kept, probabilities = longer, longer_kept, longer_probabilities
    ngrams = words_of(counter.ids, rows.examples, order, is_kept)
    writer.section(ngrams, probabilities[is_kept], None)
    writer.close()
    return {
        "tokens": text.n_tokens,
        "words": text.n_words,
        "ngrams": [of_order.n_kept for of_order in found],
        "pruned": [of_order.n_rows - of_order.n_kept for of_order in found],
        "discounts": [[round(d, 6) for d in of_order.discounts] for of_order in found],
        "fallback_discounts": [n for n in orders if found[n - 1].fell_back],
    }


def words_of(
    ids: NDArray[np.int32], examples: NDArray[np.int32], n: int, is_kept: NDArray[np.bool_]
) -> list[NDArray[np.int32]]:
    """The words of n-grams that end at positions, first words first."""
    import numpy as np

    if n == 1:
        return [np.flatnonzero(is_kept).astype(np.int32)]
    kept = examples[is_kept]
    return [ids[kept - back] for back in range(n - 1, -1, -1)]


def cutoffs(settings: TrainLanguageModel, prepared: Preparation) -> dict[str, Any]:
    """cc_net's cutoffs: the 30th and 60th percentile of the perplexities of other documents."""
    import numpy as np

    model = models.load(settings.out)
    found = [
        models.perplexity(model.score(prepared.lines(batch)))
        for batch in batches(settings, settings.held_out)
    ]
    perplexities = np.concatenate([np.zeros(0), *found])
    perplexities = perplexities[~np.isnan(perplexities)]
    if not len(perplexities):
        raise ConfigError("the held-out documents hold no text: no cutoffs can be had of them")
    head, tail = np.percentile(perplexities, (HEAD, TAIL)).tolist()
    return {"documents": len(perplexities), "head": round(head, 4), "tail": round(tail, 4)}


def describe(settings: TrainLanguageModel) -> str:
    """What `--dry-run` prints: the settings as JSON, then the files to read."""
    pruning(settings)
    require_new(settings)
    shards = layout.find(settings.documents)
    values = msgspec.json.format(msgspec.json.encode(settings), indent=2).decode()
    return "\n".join([values, *(f"    {shard.path}" for shard in shards)])
