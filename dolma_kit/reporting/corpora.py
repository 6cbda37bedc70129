"""The corpora of a report and what is known of them: found below the folder, or measured now.

Of the documents that went in, and of those that a mix wrote, the answers of `dolma-kit stats` are
taken from whatever folder has them of exactly these files, none of which is younger. Statistics of
other files stand as corpora of their own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from dolma_kit import files
from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.execute import Engine
from dolma_kit.layout import Shard, find
from dolma_kit.reporting import saved
from dolma_kit.reporting.answers import Corpus, Missing, Role
from dolma_kit.reporting.held_items import held_by
from dolma_kit.reporting.inventory import Inventory, inputs_of
from dolma_kit.reporting.saved import Saved
from dolma_kit.reporting.settings import KEPT_IN
from dolma_kit.reporting.settings import Report as Settings
from dolma_kit.statistics import catalogue, stage
from dolma_kit.statistics.settings import NAMES, Stats

AUTO_BYTES = 100_000_000
MOST_OTHERS = 6
#: why a statistic cannot be measured, and what makes it possible; `{}` are the documents
LACKING = {
    "attributes": (
        "the documents have no attributes",
        "dolma-kit tag {} --taggers gopher_v2,c4_v2 --experiment q",
    ),
    "toxicity": (
        "no tagger of toxic language has looked at the documents",
        "dolma-kit tag {} --taggers jigsaw_hatespeech_sentence_v2 --experiment toxic",
    ),
    "contamination": (
        "the documents were not held against evaluations",
        "dolma-kit decontaminate {} --evals FILES --rule decon --name dec",
    ),
}


@dataclass
class Wanted:
    """A corpus to be described: folders of documents, the token files made of them, and, by
    statistic, the folder that has its answer."""

    role: Role
    folders: list[str]
    shards: list[Shard]
    tokens: str | None
    places: dict[str, str] = field(default_factory=dict)

    @property
    def bytes_stored(self) -> int:
        return sum(files.size(shard.path) for shard in self.shards)

    def lacks(self, has_mixed: bool) -> list[str]:
        """The statistics to measure. N-grams, the dearest, are those of what was mixed, if it was:
        that is what a model sees."""
        names = [name for name in NAMES if name not in self.places]
        if self.role == "sources" and has_mixed:
            names = [name for name in names if name != "ngrams"]
        return names


class Corpora:
    """Finds, and measures into `kept` (None: does not); what cannot be had is in `missing`."""

    def __init__(self, inventory: Inventory, settings: Settings, kept: str | None) -> None:
        self._inventory = inventory
        self._settings = settings
        self._kept = kept
        self.missing: list[Missing] = []

    def all(self, engine: Engine) -> list[Corpus]:
        """The corpora: what went in, what was mixed, and others that have statistics."""
        known = [saved.read(self._inventory, place) for place in self._inventory.statistics]
        wanted = [one for one in (self._wanted("sources"), self._wanted("mixed")) if one]
        for one in wanted:
            paths = {os.path.abspath(shard.path) for shard in one.shards}
            for folder in known:
                if folder.files == paths:
                    one.places |= dict.fromkeys(
                        folder.fresh(paths, self._settings.limit), folder.folder
                    )
        if self._kept is not None and self._may_measure(wanted):
            for one in wanted:
                self._measure(one, len(wanted) > 1, os.path.join(self._kept, one.role), engine)
        else:
            self._tell_unmeasured(wanted)
        return [*map(self._described, wanted), *self._others(known, wanted)]

    def _wanted(self, role: Role) -> Wanted | None:
        folders = self._inventory.sources if role == "sources" else self._inventory.mixed
        shards = [shard for folder in folders for shard in _files(folder)]
        if not shards:
            return None
        paths = {os.path.abspath(shard.path) for shard in shards}
        tokens = None
        for book in self._inventory.books:
            made_of = {os.path.abspath(path) for path in inputs_of(book)}
            if book.folder in self._inventory.tokens and made_of == paths:
                tokens = book.folder
        return Wanted(role, [f for f in folders if _files(f)], shards, tokens)

    def _may_measure(self, wanted: Sequence[Wanted]) -> bool:
        asked = self._settings.measure
        if asked == "auto":
            return sum(one.bytes_stored for one in wanted) <= AUTO_BYTES
        return asked == "missing"

    def _measure(self, one: Wanted, has_mixed: bool, out: str, engine: Engine) -> None:
        """Measure what can be; all in one pass, or, where that fails, each for itself."""
        names = []
        for name in one.lacks(has_mixed):
            try:
                catalogue.make(name, self._stats([name], one, out), one.shards)
                names.append(name)
            except DolmaKitError as error:
                why, cure = LACKING.get(name, (self._inventory.told(error), None))
                self._miss(one, name, why, cure and cure.format(self._quoted(one)))
        try:
            if names:
                stage.measure(self._stats(names, one, out), one.folders, out, engine)
            one.places |= dict.fromkeys(names, out)
        except DolmaKitError:
            for name in names:
                try:
                    stage.measure(self._stats([name], one, out), one.folders, out, engine)
                    one.places[name] = out
                except DolmaKitError as error:
                    why = self._inventory.told(error)
                    self._miss(one, name, why, self._command(one, name))

    def _stats(self, names: list[str], one: Wanted, out: str) -> Stats:
        told = self._settings
        counted = one.tokens if set(names) - {"attributes"} else None
        return Stats(
            names=names, documents=one.folders, out=out, tokens=counted, top=told.top,
            workers=told.workers, engine=told.engine, ray_address=told.ray_address,
            on_error=told.on_error, overwrite=told.overwrite, limit=told.limit,
            quiet=told.quiet, tmp_dir=told.tmp_dir,
        )  # fmt: skip

    def _tell_unmeasured(self, wanted: Sequence[Wanted]) -> None:
        for one in wanted:
            for name in one.lacks(len(wanted) > 1):
                why = "nobody has measured it"
                if self._settings.measure == "auto":
                    why += f", and the documents are above {AUTO_BYTES / 1e6:,.0f} MB"
                self._miss(one, name, why, self._command(one, name))

    def _command(self, one: Wanted, name: str) -> str:
        out = os.path.join(KEPT_IN, one.role)
        return f"dolma-kit stats {name} {self._quoted(one)} --out {out}"

    def _quoted(self, one: Wanted) -> str:
        return shlex.join(map(self._inventory.seen_from_root, one.folders))

    def _miss(self, one: Wanted, name: str, why: str, cure: str | None) -> None:
        what = f"{name} of the {'sources' if one.role == 'sources' else 'mixed documents'}"
        self.missing.append(Missing(section=name, what=what, why=why, cure=cure))

    def _described(self, one: Wanted) -> Corpus:
        places = {name: one.places[name] for name in NAMES if name in one.places}
        answers, examples = saved.contents(self._inventory, places)
        folder = next(iter(places.values()), None)
        if folder is not None and not is_within(folder, self._inventory.root):
            folder = None
        return Corpus(
            name="what went in" if one.role == "sources" else "what was mixed",
            role=one.role,
            documents=[self._inventory.seen_from_root(folder) for folder in one.folders],
            bytes_stored=one.bytes_stored,
            folder=None if folder is None else self._inventory.seen_from_root(folder),
            answers=answers,
            examples=examples,
            held=held_by(one.shards) if "contamination" in answers else [],
        )

    def _others(self, known: Sequence[Saved], wanted: Sequence[Wanted]) -> list[Corpus]:
        """Statistics of other files than those; a folder that has a part of what is shown is not
        shown again."""
        used = {place for one in wanted for place in one.places.values()}
        wholes = [{os.path.abspath(shard.path) for shard in one.shards} for one in wanted]
        found: list[Corpus] = []
        for one in known:
            if one.folder in used or one.files in wholes or not one.names:
                continue
            if len(found) == MOST_OTHERS:
                self.missing.append(
                    Missing(
                        section="corpora",
                        what="further folders of statistics",
                        why=f"{len(known):,} are there, {MOST_OTHERS} are shown",
                    )
                )
                break
            answers, examples = saved.contents(
                self._inventory, dict.fromkeys(one.names, one.folder)
            )
            name = self._inventory.seen_from_root(one.folder)
            found.append(
                Corpus(
                    name=name,
                    role="other",
                    documents=one.shown,
                    bytes_stored=one.bytes_stored,
                    folder=name,
                    answers=answers,
                    examples=examples,
                )
            )
        return found


def _files(folder: str) -> list[Shard]:
    try:
        return find([os.path.join(folder, "documents")])
    except ConfigError:  # an empty folder has no documents
        return []


def is_within(path: str, folder: str) -> bool:
    return os.path.commonpath([os.path.abspath(path), os.path.abspath(folder)]) == os.path.abspath(
        folder
    )
