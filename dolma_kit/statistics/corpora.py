"""Corpora compared: `stats overlap A B ...` and `stats compare A B`.

A corpus is DOCS, or the `--out` folder of an earlier `stats`, of which only what is saved is read.
What is measured here goes to `OUT/<number>-<name>`, so that OUT is such folders, too.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from dolma_kit import files, ledger
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute import Engine, engine_for
from dolma_kit.statistics import comparing, overlap, partials, stage, tables
from dolma_kit.statistics.comparing import Comparison
from dolma_kit.statistics.duplicates import KINDS, Duplicates, shown
from dolma_kit.statistics.languages import Languages
from dolma_kit.statistics.lengths import Lengths
from dolma_kit.statistics.merging import ANSWER, WHOLE, write_answer
from dolma_kit.statistics.overlap import Shared
from dolma_kit.statistics.settings import NAMES, Stats
from dolma_kit.statistics.stage import Answered
from dolma_kit.statistics.summary import Summary
from dolma_kit.statistics.urls import Urls
from dolma_kit.summary import Summary as Said

#: what is measured of DOCS that are compared
COMPARED = ("summary", "lengths", "urls", "languages", "duplicates", "ngrams")
ANSWERS: dict[str, Any] = {
    "summary": Summary, "lengths": Lengths, "urls": Urls, "languages": Languages,
    "duplicates": Duplicates,
}  # fmt: skip


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What two of the corpora share; `a` and `b` are their numbers, from 0."""

    a: int
    b: int
    kinds: list[Shared]


class Overlaps(msgspec.Struct, frozen=True, kw_only=True):
    """Of every two of some corpora, in their order."""

    corpora: list[str]
    pairs: list[Pair]


def compare(settings: Stats, engine: Engine | None) -> Answered:
    """Compare corpora, after measuring those that are documents."""
    name = settings.names[0]
    places = settings.documents
    if len(places) < 2 or (name == "compare" and len(places) != 2):
        raise ConfigError(f"{name} compares corpora: dolma-kit stats {name} A B")
    if settings.part is not None:
        raise ConfigError(f"--shard with {name}: measure the corpora with --shard, then compare")
    wanted = COMPARED if name == "compare" else ("overlap",)
    said: list[Said] = []
    with stage.place_for(settings) as out, engine_for(settings, engine) as running:
        folders = []
        for number, place in enumerate(places):
            if is_saved(place):
                folders.append(place.rstrip("/"))
                continue
            folder = os.path.join(out, f"{number}-{_name(place)}")
            one = msgspec.structs.replace(settings, names=list(wanted), out=folder, plot=False)
            said.append(stage.measure(one, [place], folder, running).summary)
            folders.append(folder)
        names = [_shown(place) for place in places]
        answer: Any = (
            _comparison(folders, names) if name == "compare" else _overlaps(folders, names)
        )
        text = comparing.text_of(answer) if name == "compare" else overlaps_text(answer)
        outputs: list[str] = []
        if settings.out is not None:
            folder = os.path.join(settings.out, name)
            outputs = write_answer(folder, answer, text, {}, {})
    return Answered(
        summary=_summary(settings, said, outputs), answers={name: answer}, texts={name: text}
    )


def is_saved(place: str) -> bool:
    """Whether a folder is the `--out` of a `stats`."""
    return any(files.exists(os.path.join(place, name, WHOLE)) for name in NAMES)


def _name(place: str) -> str:
    name = os.path.basename(place.rstrip("/")) or "corpus"
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def _shown(place: str) -> str:
    """A corpus by its name; where it lies on this machine is left out."""
    return os.path.basename(place.rstrip("/")) if os.path.isabs(place) else place


def _comparison(folders: Sequence[str], names: Sequence[str]) -> Comparison:
    found: dict[str, list[comparing.Change]] = {}
    left_out = []
    distances: list[comparing.Distance] = []
    for name in (n for n in NAMES if n != "overlap"):
        there = [files.exists(os.path.join(folder, name, ANSWER)) for folder in folders]
        if any(there) and not all(there):
            left_out.append(name)
        if not all(there):
            continue
        if name == "ngrams":
            distances, why = _distances(folders)
            left_out += why
        else:
            a, b = (_answer(folder, name) for folder in folders)
            found[name] = comparing.changes(name, a, b)
    if not found and not distances:
        raise ConfigError(
            f"{names[0]} and {names[1]} have no statistic in common: ask both the same, as "
            "dolma-kit stats summary,lengths DOCS --out DIR"
        )
    return Comparison(a=names[0], b=names[1], changes=found, distances=distances, left_out=left_out)


def _answer(folder: str, name: str) -> Any:
    path = os.path.join(folder, name, ANSWER)
    with files.open_raw(path) as stream:
        try:
            return msgspec.json.decode(stream.read(), type=ANSWERS.get(name, dict[str, Any]))
        except msgspec.MsgspecError as error:
            raise DataError(path, None, f"is no answer: {error}; ask again") from None


def _distances(folders: Sequence[str]) -> tuple[list[comparing.Distance], list[str]]:
    """Distances, or why there are none."""
    config = [ledger.read_header(os.path.join(folder, "ngrams")) for folder in folders]
    if None in config:  # of token files, whose counts are not kept
        return [], ["ngrams of token files"]
    units = [(one.config["unit"], one.config["tokens"]) for one in config if one is not None]
    if units[0] != units[1]:
        return [], ["ngrams, which are of different units or tokenizers"]
    a, b = (partials.read(os.path.join(folder, "ngrams", WHOLE), "ngrams") for folder in folders)
    return comparing.distances(a, b), []


def _overlaps(folders: Sequence[str], names: Sequence[str]) -> Overlaps:
    sketches = []
    deciding = []
    for folder, name in zip(folders, names, strict=True):
        path = os.path.join(folder, "overlap", WHOLE)
        if not files.exists(path):
            raise ConfigError(
                f"{name} has no sketches: dolma-kit stats overlap DOCS --out {name} makes them"
            )
        whole = partials.read(path, "overlap")
        sketches.append({kind: overlap.sketch_in(whole.notes[kind]) for kind in KINDS})
        header = ledger.read_header(os.path.join(folder, "overlap"))
        deciding.append(None if header is None else header.config.get("separator"))
    if len(set(deciding)) > 1:
        raise ConfigError(
            "the corpora's paragraphs are parted by different separators: "
            f"{', '.join(map(repr, deciding))}; measure them alike"
        )
    pairs = [
        Pair(a=a, b=b, kinds=[overlap.shared(k, sketches[a][k], sketches[b][k]) for k in KINDS])
        for a, b in itertools.combinations(range(len(folders)), 2)
    ]
    return Overlaps(corpora=list(names), pairs=pairs)


def overlaps_text(answer: Overlaps) -> str:
    """For eyes: a line a pair and kind."""
    rows = []
    for pair in answer.pairs:
        for one in pair.kinds:
            rows.append(
                [answer.corpora[pair.a], answer.corpora[pair.b], one.kind, shown(one.of_a),
                 shown(one.of_b), shown(one.both), _percent(one.jaccard), _percent(one.a_in_b),
                 _percent(one.b_in_a)]
            )  # fmt: skip
    heads = ["A", "B", "distinct", "of A", "of B", "in both", "Jaccard", "of A in B", "of B in A"]
    return tables.aligned(heads, rows)


def _percent(estimate: Any) -> str:
    if estimate.exact:
        return f"{100 * estimate.value:.2f} %"
    return f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f} %"


def _summary(settings: Stats, said: Sequence[Said], outputs: Sequence[str]) -> Said:
    seconds = sum(one.seconds for one in said)
    bytes_in = sum(one.bytes_in for one in said)
    return Said(
        command="stats",
        documents=sum(one.documents for one in said),
        bytes_in=bytes_in,
        bytes_out=sum(one.bytes_out for one in said) + sum(files.size(path) for path in outputs),
        seconds=round(seconds, 3),
        mb_per_s=round(bytes_in / 1e6 / max(seconds, 1e-9), 3),
        quarantined=sum(one.quarantined for one in said),
        outputs=[] if settings.out is None else [settings.out],
        partial=settings.limit is not None,
    )
