"""Which of equal documents is kept: the places of documents in the order in which they count.

`--keep` is one of

    first            canonical order
    longest          by the text's code points, most first
    source:A,B       documents of source A, then those of B, then all others
    COLUMN           by a score, highest first: a column of attributes, experiment__tagger__key
    -COLUMN          lowest first

and of documents that are alike in that, canonical order decides. A document without the score comes
after all that have one. Sorting is one unit of work, in memory of 24 bytes a document; it leaves

    documents.places   int64 (n_docs,), little-endian: the place of each, as they stand in canonical
                       order
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dolma_kit import attribute_files, attributes, files
from dolma_kit.errors import ConfigError
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.deduplication.inputs import Inputs
    from dolma_kit.execute import Phase
    from dolma_kit.execute.spill import Spill
    from dolma_kit.layout import Shard

RANKING = "ranking"


@dataclass(frozen=True)
class Rule:
    """What documents are sorted by: `sources` in their order, or a `column`."""

    by: Literal["first", "longest", "source", "score"]
    sources: tuple[str, ...] = ()
    column: str = ""
    lowest: bool = False

    @property
    def experiment(self) -> str:
        """The folder of attributes that has the column."""
        return self.column.split("__")[0]


@dataclass(frozen=True)
class RankTask:
    """All inputs, to be sorted; `partial` are those of which only the first documents are read."""

    rule: Rule
    shards: tuple[Shard, ...]
    partial: tuple[bool, ...]
    temporary: str


def rule_of(keep: str) -> Rule:
    """The rule that `--keep` asks for; ConfigError for what is none."""
    if keep in ("first", "longest"):
        return Rule("first" if keep == "first" else "longest")
    if keep.startswith("source:"):
        sources = tuple(keep.removeprefix("source:").split(","))
        if not all(sources) or len(set(sources)) < len(sources):
            raise ConfigError(f"--keep {keep}: name sources, each once, like source:wiki,books")
        return Rule("source", sources)
    column = keep.removeprefix("-")
    if not column or not column.replace("_", "").isalnum():
        raise ConfigError(
            f"--keep {keep!r} is no rule: give first, longest, source:A,B, a column of scores like "
            "quality__gopher_v2__word_count, or -COLUMN for the lowest"
        )
    return Rule("score", column=column, lowest=keep.startswith("-"))


def ranking(inputs: Inputs) -> tuple[list[Phase], dict[str, Any]]:
    """The phase that sorts documents, none for canonical order, and what it adds to the config.

    Attributes that change later are not those that decided, so their SHA-256 is in it. A file that
    is set aside needs none; whether it is shows when it is read.
    """
    rule = rule_of(inputs.settings.keep)
    if rule.by == "first":
        return [], {}
    shards = tuple(shard for shard, _ in inputs.shards)
    more: dict[str, Any] = {}
    if rule.by == "score":
        paths = []
        for shard in shards:
            if not (located := attributes.locate_if_there(shard, rule.experiment)):
                if not inputs.settings.set_aside:
                    attributes.require(shard, [rule.experiment])
                continue
            known = attribute_files.known_columns(shard, rule.experiment)
            if known.get(rule.column) != "score":
                scores = ", ".join(name for name, kind in known.items() if kind == "score")
                raise ConfigError(
                    f"--keep {inputs.settings.keep}: {located[0]} has no scores of that name, but "
                    f"{scores or 'none'}"
                )
            paths.append(located[0])
        more["keep_by"] = [files.sha256(path) for path in paths]
    partial = tuple(limit is not None for _, limit in inputs.shards)
    task = RankTask(rule, shards, partial, inputs.temporary)
    return [inputs.between(RANKING, rank, {RANKING: task})], more


def rank(task: RankTask) -> Result:
    """Sort all documents."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    found = [
        _values(task.rule, shard, Spill(task.temporary, i), partial=task.partial[i])
        for i, shard in enumerate(task.shards)
    ]
    order = np.argsort(np.concatenate([np.zeros(0), *found]), kind="stable")  # NaN comes last
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    path = os.path.join(task.temporary, "documents.places")
    with files.write_atomically(path, synced=False) as stream:
        stream.write(places.astype("<i8", copy=False).tobytes())
    return Result(outputs=[path])


def places_in(temporary: str) -> NDArray[np.int64]:
    """(n_docs,) int64, mapped from disk: each document's place."""
    from dolma_kit.execute.spill import mapped

    return mapped(os.path.join(temporary, "documents.places"), "<i8")


def _values(rule: Rule, shard: Shard, spill: Spill, *, partial: bool) -> NDArray[np.float64]:
    """(n_docs,) float64: what an input's documents are sorted by, smallest first."""
    import numpy as np

    if spill.about().set_aside:
        return np.zeros(spill.n_documents)
    parts = [np.zeros(0)]
    reader = None
    if rule.by == "score":
        path, format = attributes.locate(shard, rule.experiment)
        reader = attribute_files.Reader(path, format, {rule.column: "score"}, shard.path)
    first = 0
    for rows in spill.rows():
        if reader is not None:
            read = reader.read(attribute_files.Documents(first, rows))
            scores = attributes.values_of(read.column(rule.column), "score")
            assert isinstance(scores, np.ndarray)
            parts.append(scores if rule.lowest else -scores)
        elif rule.by == "longest":
            parts.append(-rows.column("n_characters").to_numpy().astype(np.float64))
        else:
            rank_of = {source: float(i) for i, source in enumerate(rule.sources)}
            sources = rows.column("source").to_pylist()
            parts.append(np.array([rank_of.get(s, len(rank_of)) for s in sources], np.float64))
        first += rows.num_rows
    if reader is not None and not partial:
        attribute_files.require_length(path, format, first, shard.path)
    return np.concatenate(parts)


def first_of_each(roots: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_docs,) int64: of each document's cluster, named by any one of it, the first by place."""
    import numpy as np

    kept = np.full(len(roots), -1, np.int64)
    # The last that is written to a cluster stays, so the last one has to be the first by place.
    backwards = np.argsort(places)[::-1]
    kept[roots[backwards]] = backwards
    return kept[roots]
