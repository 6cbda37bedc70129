"""Collecting a report: what lies below a folder, and what is measured for it."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator

import msgspec

from dolma_kit import executions
from dolma_kit.errors import DolmaKitError
from dolma_kit.execute import Engine, engine_for
from dolma_kit.reporting import composition, provenance, removal
from dolma_kit.reporting.answers import (
    VERSION,
    Missing,
    Mix,
    Report,
    RunExposure,
    StreamRemoval,
    Tokens,
)
from dolma_kit.reporting.corpora import Corpora, is_within
from dolma_kit.reporting.edges import EdgeFinder
from dolma_kit.reporting.inventory import Book, Inventory, take_inventory
from dolma_kit.reporting.runs import run_of
from dolma_kit.reporting.settings import KEPT_IN
from dolma_kit.reporting.settings import Report as Settings
from dolma_kit.reporting.similarity import similarities


def collect(settings: Settings, engine: Engine | None = None) -> Report:
    """All that is known of a folder, measured where that is asked for; ConfigError without it."""
    first = take_inventory(settings.folder)
    with kept_in(settings, first) as kept:
        corpora = Corpora(first, settings, kept)
        with engine_for(settings, engine) as running:
            described = corpora.all(running)
        inventory = take_inventory(settings.folder)  # what was measured has ledgers by now
        books = [*inventory.books, *_books_in(kept, inventory)]
        shared = similarities(inventory, [b for b in books if b.header.stage == "stats overlap"])
    missing = [*_absent(inventory), *corpora.missing]
    mixes = _mixes(inventory, settings, missing)
    tokens = _tokens(inventory, missing)
    runs = _runs(inventory, missing)
    stages = provenance.stages(inventory)
    missing += dict.fromkeys([*first.missing, *inventory.missing])
    root = os.path.abspath(settings.folder)
    return Report(
        version=VERSION,
        title=settings.title or os.path.basename(root) or root,
        made_with=executions.versions(),
        stages=stages,
        costs=provenance.costs(
            stages,
            watts_per_core=settings.watts_per_core,
            pue=settings.pue,
            kg_per_kwh=settings.kg_per_kwh,
        ),
        composition=composition.composition(described, tokens, runs),
        corpora=described,
        mixes=mixes,
        tokens=tokens,
        runs=runs,
        similarities=shared,
        missing=missing,
    )


@contextlib.contextmanager
def kept_in(settings: Settings, inventory: Inventory) -> Iterator[str | None]:
    """Where what is measured is kept: as asked, below the folder, or for now only."""
    if settings.measure == "none":
        yield None
        return
    place = settings.statistics or os.path.join(inventory.root, KEPT_IN)
    may_keep = settings.statistics is not None or os.access(inventory.root, os.W_OK)
    if may_keep and settings.limit is None:  # what is of some documents would stand for all
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="dolma-kit-", dir=settings.tmp_dir) as folder:
        yield folder


def _books_in(kept: str | None, inventory: Inventory) -> list[Book]:
    """The ledgers of what was measured, where that is not below the folder."""
    if kept is None or not os.path.isdir(kept) or is_within(kept, inventory.root):
        return []
    return take_inventory(kept).books


def _absent(inventory: Inventory) -> list[Missing]:
    """What a report is usually of and is not there."""
    seen = inventory.seen_from_root
    found = []
    if not inventory.sources and not inventory.mixed:
        found.append(
            Missing(
                section="corpora",
                what="documents",
                why="no folder below has documents/ in it",
                cure="dolma-kit extract SOURCE... --out DIR",
            )
        )
    tagged = {book.header.stage for book in inventory.books} & {"tag", "dedupe", "decontaminate"}
    beside = any(os.path.isdir(os.path.join(f, "attributes")) for f in inventory.sources)
    if inventory.sources and not tagged and not beside:
        found.append(
            Missing(
                section="attributes",
                what="attributes",
                why="no documents have attributes/ beside them",
                cure=f"dolma-kit tag {shlex.quote(seen(inventory.sources[0]))} "
                "--taggers gopher_v2,c4_v2 --experiment q",
            )
        )
    if not inventory.mixes:
        why, cure = "no mix has left decisions.parquet below", "dolma-kit mix -c mix.yaml"
        found.append(Missing(section="funnel", what="filters", why=why, cure=cure))
    if not inventory.tokens:
        cure = "dolma-kit tokenize DOCS --tokenizer FILE --eos-token-id N --out tokens"
        why = "no folder below has tokens.json in it"
        found.append(Missing(section="composition", what="tokens", why=why, cure=cure))
    if not inventory.runs:
        why = "no YAML file below describes a training run"
        cure = "dolma-kit trace import SRC --out run.yaml"
        found.append(Missing(section="order", what="training runs", why=why, cure=cure))
    return found


def _mixes(inventory: Inventory, settings: Settings, missing: list[Missing]) -> list[Mix]:
    with_excerpts = settings.excerpts == "masked"
    finder = EdgeFinder(settings.examples, inventory.told, with_excerpts=with_excerpts)
    found = []
    for folder in inventory.mixes:
        seen = inventory.seen_from_root(folder)
        try:
            mix = removal.mix_of(inventory, folder)
        except (DolmaKitError, OSError) as error:
            what = f"the funnel of {seen}"
            missing.append(Missing(section="funnel", what=what, why=inventory.told(error)))
            continue
        book = next((one for one in inventory.books if one.folder == folder), None)
        if book is None:
            why = "its ledger is gone, which has the rules"
            missing.append(Missing(section="edges", what=f"thresholds of {seen}", why=why))
        else:
            mix = msgspec.structs.replace(mix, streams=_with_edges(mix, book, finder))
        found.append(mix)
    missing += finder.missing
    return found


def _with_edges(mix: Mix, book: Book, finder: EdgeFinder) -> list[StreamRemoval]:
    known = {stream.get("name") for stream in provenance.streams_of(book.header)}
    return [
        msgspec.structs.replace(one, edges=finder.edges(book, one.funnel.stream))
        if one.funnel.stream in known
        else one
        for one in mix.streams
    ]


def _tokens(inventory: Inventory, missing: list[Missing]) -> list[Tokens]:
    found = []
    for folder in inventory.tokens:
        try:
            found.append(composition.tokens_in(inventory, folder))
        except (DolmaKitError, OSError) as error:
            what = f"the tokens in {inventory.seen_from_root(folder)}"
            missing.append(Missing(section="composition", what=what, why=inventory.told(error)))
    return found


def _runs(inventory: Inventory, missing: list[Missing]) -> list[RunExposure]:
    found = [run_of(inventory, path) for path in inventory.runs]
    missing += [one for one in found if isinstance(one, Missing)]
    return [one for one in found if isinstance(one, RunExposure)]
