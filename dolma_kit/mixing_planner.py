"""The plan of a mix: from streams and what is asked of them to phases of units."""

from __future__ import annotations

import dataclasses
import functools
import glob
import math
import os
from collections.abc import Sequence
from typing import Any

from dolma_kit import (
    decisions,
    files,
    ledger,
    plugins,
    registry,
    shards,
    shuffling,
)
from dolma_kit.choosing import ChoiceSink, Chooser, ChooseTask
from dolma_kit.config import Budget, Mix, Stream
from dolma_kit.decoding import Source
from dolma_kit.documents import Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Phase, Plan, Unit
from dolma_kit.execute.reading import Consumer, Reading
from dolma_kit.judging import Attributes, JudgeTask
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.mixing_streams import (
    asked_of,
    check_inputs,
    check_outputs,
    documents_folder,
    folder_of,
    located,
    output_folder,
    require_tokens,
    stream_columns,
    token_column,
    unknown_keys,
    upsampler_of,
    wanted_columns,
)
from dolma_kit.plugins import Plugin
from dolma_kit.quarantine import below_output
from dolma_kit.replacing import KERNELS
from dolma_kit.shares import composition
from dolma_kit.shares.sampling import Sample
from dolma_kit.shares.solving import SolveTask, Wish, planned_path, solve
from dolma_kit.shares.surveying import Surveyor, SurveySink, SurveyTask

MAX_COPIES = 100  # of a document, where how many there are is known only when all was read


def asked(settings: Mix) -> dict[str, str]:
    """Stream -> what its config asks for, in words."""
    given = plugins.read(settings.plugin)
    return {s.name: _asked(s, settings, upsampler_of(s, given)) for s in settings.streams}


def _asked(stream: Stream, settings: Mix, upsampler: registry.Upsampler | None) -> str:
    if stream.budget is not None:
        said = f"{stream.budget.amount} {stream.budget.unit}"
    elif stream.share is not None:
        said = f"a share of {stream.share:g}"
    elif stream.rate is not None:
        said = f"a rate of {stream.rate:g}"
    elif upsampler is not None and upsampler.rate is not None:
        said = f"a rate of {upsampler.rate:g}"
    else:
        said = "the rest" if settings.budget else "a rate of 1"
    return said if upsampler is None else f"{said} by {upsampler.id}"


@dataclasses.dataclass
class _Planned:
    """A stream on its way into the plan; `pieces` are those of each of its files."""

    stream: Stream
    found: list[Shard]
    allotted: list[tuple[Shard, int | None]]
    judging: list[JudgeTask]
    inputs: list[tuple[str, ...]]
    upsampler: registry.Upsampler | None
    tokens: str | None
    folder: str
    place: str

    def temporary(self, i: int, suffix: str) -> str:
        return os.path.join(self.place, self.stream.name, f"{i:06d}.{suffix}")

    @functools.cached_property  # one object: units that share it are looked at once
    def all_inputs(self) -> tuple[str, ...]:
        return tuple(path for own in self.inputs for path in own)


class Planner:
    """Makes the plan of a mix."""

    def __init__(self, settings: Mix, *, surveyed_in: str | None = None) -> None:
        if not settings.streams:
            raise ConfigError("no streams: a mix names at least one; see `dolma-kit list configs`")
        if settings.shuffle_seed is not None and not settings.shuffle:
            raise ConfigError(
                "shuffle: false keeps each file's documents together, and shuffle_seed shuffles "
                "them over all files: give one"
            )
        check_outputs(settings.streams)
        self._settings = settings
        self._fields = Fields(settings.text_key, settings.id_key)
        self._given = plugins.read(settings.plugin)
        self._streams = [self._stream(stream, surveyed_in) for stream in settings.streams]
        self._is_surveyed = settings.budget is not None or any(
            one.stream.budget or one.upsampler for one in self._streams
        )
        self._solved = self._streams[0].place

    @functools.cached_property
    def _all_inputs(self) -> tuple[str, ...]:
        return tuple(path for one in self._streams for path in one.all_inputs)

    def _stream(self, stream: Stream, surveyed_in: str | None) -> _Planned:
        settings = self._settings
        found = find(stream.documents)
        check_inputs(stream, found, settings.streams)
        columns = stream_columns(stream, found, self._given, settings.set_aside)
        wanted = wanted_columns(stream, columns, self._given)
        if (odd := unknown_keys(stream, columns)) and settings.strict_keys:
            raise ConfigError(odd[0])
        tokens = token_column(stream, settings, columns)
        if tokens is not None:
            wanted.add(tokens)
        self._check_asked(stream, tokens)
        folder = output_folder(stream)
        judging, inputs = [], []
        allotted = allot(found, settings.limit, self._fields, set_aside=settings.set_aside)
        for shard, limit in allotted:
            places = located(shard, stream, settings)
            inputs.append((shard.path, *(path for path, _ in places or ())))
            task = JudgeTask(
                stream=stream,
                fields=self._fields,
                seed=settings.seed,
                shard=shard,
                attributes=None
                if places is None
                else Attributes(
                    tuple(
                        (path, format, {n: k for n, k in columns[name].items() if n in wanted})
                        for name, (path, format) in zip(stream.attributes, places, strict=True)
                    )
                ),
                tokens=tokens,
                partial=limit is not None,
                plugins=self._given,
            )
            judging.append(task)
        place = surveyed_in or ledger.temporary(folder, settings.tmp_dir)
        upsampler = upsampler_of(stream, self._given)
        return _Planned(stream, found, allotted, judging, inputs, upsampler, tokens, folder, place)

    def _check_asked(self, stream: Stream, tokens: str | None) -> None:
        """What is asked of a stream can be asked of it."""
        key, budget = asked_of(stream), self._settings.budget
        if key == "share" and budget is None:
            raise ConfigError(
                f"stream {stream.name!r}: a share of what? Give the mix a budget, like "
                "budget: {tokens: 50B}"
            )
        for one in (budget, stream.budget):
            if one is not None and one.amount and one.unit == "tokens":
                require_tokens(stream, tokens)
        upsampler = upsampler_of(stream, self._given)
        if upsampler is not None and upsampler.rate is not None and key is not None:
            raise ConfigError(
                f"stream {stream.name!r}: {key} and {upsampler.id}'s rate both say how much to "
                "take: give one"
            )
        if upsampler is not None and upsampler.rate is None and key is None and budget is None:
            raise ConfigError(
                f"stream {stream.name!r}: {upsampler.id} needs to know how much to take: give it a "
                "rate, or the stream a budget"
            )

    def _require_own_names(self) -> None:
        """Rates are solved by name; two streams of one name may write to two folders."""
        names = [one.stream.name for one in self._streams]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"two streams are named {name!r}: where budgets are solved for, each needs a "
                    "name of its own"
                )

    def survey_only(self, folder: str) -> Plan:
        """The plan of a dry run: all of it in one folder."""
        self._require_own_names()
        return Plan(
            stage="mix",
            config=self._config(),
            phases=[self._surveying(folder), self._solving(folder)],
            kernels=self._kernels,
        )

    def plan(self) -> Plan:
        phases = []
        if self._is_surveyed:
            self._require_own_names()
            phases += [self._surveying(None), self._solving(None)]
        phases += [self._choosing()]
        if self._settings.shuffle_seed is not None:
            phases.append(self._shuffling())
        phases.append(Phase("joining", join, self._joining()))
        temporary = tuple(sorted({one.place for one in self._streams}))
        return Plan("mix", self._config(), phases, self._kernels, temporary)

    @property
    def _kernels(self) -> tuple[str, ...]:
        """None where nothing is replaced: loading numba takes half a second."""
        cuts = any(one.stream.span_replacement or one.stream.policies for one in self._streams)
        return KERNELS if cuts else ()

    def _config(self) -> dict[str, Any]:
        deciding = [
            {"name": one.stream.name, "inputs": [shard.src for shard in one.found]}
            for one in self._streams
        ]
        return _deciding(self._settings, deciding, self._given)

    def _reading(self, one: _Planned, i: int, consumer: Consumer) -> Reading:
        shard, limit = one.allotted[i]
        places = one.judging[i].attributes
        return Reading(
            Source(shard.path, self._fields, True, limit, self._settings.set_aside),
            (consumer,),
            needs_rows=bool(one.stream.attributes),
            shareable=all(format == "parquet" for _, format, _ in places.located)
            if places
            else True,
        )

    def _surveying(self, folder: str | None) -> Phase:
        units = []
        for one in self._streams:
            for i, judging in enumerate(one.judging):
                task = SurveyTask(judging, one.temporary(i, "survey"))
                consumer = Consumer(Surveyor, SurveySink, task, None, empty_if_broken=True)
                name = f"surveying {one.stream.name} {judging.shard.src}"
                reading = self._reading(one, i, consumer)
                size = files.size(judging.shard.path)
                units.append(Unit(name, reading, one.inputs[i], folder or one.folder, size))
        return Phase("surveying", None, units)

    def _solving(self, folder: str | None) -> Phase:
        settings = self._settings
        wishes = []
        for one in self._streams:
            stream, own = one.stream, one.upsampler
            max_rate = settings.max_rate if stream.max_rate is None else stream.max_rate
            wishes.append(
                Wish(
                    name=stream.name,
                    surveys=tuple(one.temporary(i, "survey") for i in range(len(one.judging))),
                    has_tokens=one.tokens is not None,
                    rate=own.rate if own and stream.rate is None else stream.rate,
                    budget=_amount(stream.budget),
                    share=stream.share,
                    max_rate=max_rate if own is None else own.max_rate,
                    upsampler=own,
                )
            )
        task = SolveTask(
            tuple(wishes), _amount(settings.budget), settings.temperature, self._solved
        )
        where = folder or self._streams[0].folder
        return Phase("solving", solve, [Unit("solving", task, self._all_inputs, where)])

    def _choosing(self) -> Phase:
        units = []
        for one in self._streams:
            stream = one.stream
            thresholds, _ = self._copies(one)
            for i, judging in enumerate(one.judging):
                pieces = [one.temporary(i, f"{n}.piece") for n in range(len(thresholds))]
                task = ChooseTask(
                    of=judging,
                    sample=None if self._is_surveyed else Sample.at(_rate(stream)),
                    solved=self._solved,
                    rule=self._rule(one),
                    thresholds=() if self._is_shuffled else thresholds,
                    pieces=() if self._is_shuffled else tuple(pieces),
                    decisions=one.temporary(i, "decisions"),
                    removed=one.temporary(i, "removed") if stream.removed else None,
                    shuffled=self._spill(one, i),
                )
                aside = below_output(f"mix/{stream.name}", one.folder, judging.shard)
                consumer = Consumer(Chooser, ChoiceSink, task, aside, empty_if_broken=True)
                name = f"choosing {stream.name} {judging.shard.src}"
                # What is taken of a file may depend on all of them.
                inputs = self._all_inputs if self._is_surveyed else one.inputs[i]
                reading = self._reading(one, i, consumer)
                size = files.size(judging.shard.path)
                units.append(Unit(name, reading, inputs, one.folder, size))
        return Phase("choosing", None, units)

    @property
    def _is_shuffled(self) -> bool:
        return self._settings.shuffle_seed is not None

    def _rule(self, one: _Planned) -> str:
        """The name under which the sample counts what it removes."""
        if one.upsampler is not None:
            return one.upsampler.id
        return asked_of(one.stream) or ("budget" if self._settings.budget else "rate")

    def _copies(self, one: _Planned) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Pieces take the documents of more copies than their thresholds; and how often each piece
        is repeated."""
        if one.upsampler is not None:
            most = one.upsampler.max_copies
        elif one.stream.budget is not None or (
            self._settings.budget is not None and one.stream.rate is None
        ):
            max_rate = one.stream.max_rate
            most = math.ceil(self._settings.max_rate if max_rate is None else max_rate)
        else:
            whole, rest = divmod(_rate(one.stream), 1)
            repeated = [(0, int(whole))] if whole else []
            repeated += [(int(whole), 1)] if rest or not whole else []
            return tuple(t for t, _ in repeated), tuple(n for _, n in repeated)
        if most > MAX_COPIES:
            raise ConfigError(
                f"stream {one.stream.name!r}: up to {most} copies of a document are too many; a "
                f"budget or an upsampling may take {MAX_COPIES}"
            )
        return tuple(range(max(1, most))), (1,) * max(1, most)

    def _spill(self, one: _Planned, i: int) -> shuffling.Spill | None:
        seed = self._settings.shuffle_seed
        if seed is None:
            return None
        sizes = [(shard.path, files.size(shard.path)) for shard, _ in one.allotted]
        rate = max(1.0, one.stream.rate or 1.0)
        stem = os.path.join(one.place, one.stream.name, f"{i:06d}")
        return shuffling.Spill(stem, shuffling.buckets_for(sizes, rate), seed)

    def _shuffling(self) -> Phase:
        units = []
        for one in self._streams:
            spills = [spill for i in range(len(one.judging)) if (spill := self._spill(one, i))]
            stream = one.stream
            for bucket in range(spills[0].n_buckets if spills else 0):
                task = shuffling.BucketTask(
                    spills=tuple(spills),
                    bucket=bucket,
                    piece=self._bucket_piece(one, bucket),
                    compression=stream.stored_as,
                    max_bytes=stream.output.max_size_in_bytes,
                )
                name = f"shuffling {stream.name} {bucket}"
                units.append(Unit(name, task, self._inputs_of(one), one.folder))
        return Phase("shuffling", shuffling.sort_bucket, units)

    def _bucket_piece(self, one: _Planned, bucket: int) -> str:
        return os.path.join(one.place, one.stream.name, f"bucket-{bucket:04d}.piece")

    def _inputs_of(self, one: _Planned) -> tuple[str, ...]:
        return self._all_inputs if self._is_surveyed else one.all_inputs

    def _joining(self) -> list[Unit]:
        units: list[Unit] = []
        taken: dict[str, str] = {}
        by_folder: dict[str, list[_Planned]] = {}
        for one in self._streams:
            by_folder.setdefault(one.folder, []).append(one)
            for name, task, inputs in self._joins(one, taken):
                claims = task.claims()
                unit = Unit(f"joining {name}", task, inputs, one.folder, claims=claims)
                units.append(unit)
            if one.stream.removed:
                units.append(self._removed(one))
        for folder, streams in by_folder.items():
            pieces = [s.temporary(i, "decisions") for s in streams for i in range(len(s.judging))]
            decision_task = decisions.JoinTask(
                pieces=tuple(pieces),
                output=decisions.path_in(folder),
                composition=os.path.join(folder, composition.NAME),
                asked={
                    s.stream.name: _asked(s.stream, self._settings, s.upsampler) for s in streams
                },
                planned=planned_path(self._solved) if self._is_surveyed else None,
            )
            inputs = tuple(dict.fromkeys(path for s in streams for path in self._inputs_of(s)))
            claims = tuple(map(glob.escape, (decision_task.output, decision_task.composition)))
            units.append(Unit("joining decisions", decision_task, inputs, folder, claims=claims))
        return units

    def _removed(self, one: _Planned) -> Unit:
        """What lays the documents that are not taken together."""
        folder = folder_of(one.stream.removed or "")
        pieces = tuple(one.temporary(i, "removed") for i in range(len(one.judging)))
        stem = os.path.join(folder, "documents", one.stream.name)
        suffix = one.stream.suffix
        task = shards.JoinTask(
            pieces, stem, suffix, one.stream.output.max_size_in_bytes, self._fields
        )
        name = f"joining removed {one.stream.name}"
        return Unit(name, task, self._inputs_of(one), folder, claims=task.claims())

    def _joins(
        self, one: _Planned, taken: dict[str, str]
    ) -> list[tuple[str, shards.JoinTask, tuple[str, ...]]]:
        """What lays pieces together: one for the stream, or with `shuffle: false` one a file.

        `taken` are the outputs of all streams so far, each with the file that it is made of.
        """
        stream, settings = one.stream, self._settings
        suffix = stream.suffix
        folder = documents_folder(stream)
        _, repeats = self._copies(one)
        passes = [
            [one.temporary(i, f"{n}.piece") for i in range(len(one.judging))]
            for n, times in enumerate(repeats)
            for _ in range(times)
        ]
        if settings.shuffle:
            pieces: tuple[str, ...] = tuple(piece for pass_ in passes for piece in pass_)
            if self._is_shuffled:
                first = self._spill(one, 0)
                n_buckets = first.n_buckets if first and one.judging else 0
                pieces = tuple(self._bucket_piece(one, b) for b in range(n_buckets))
            size = stream.output.max_size_in_bytes
            task = shards.JoinTask(
                pieces, os.path.join(folder, stream.name), suffix, size, self._fields
            )
            return [(stream.name, task, self._inputs_of(one))]
        made = []
        for i, own in enumerate(one.inputs):  # a limit may leave out the last files
            shard = one.found[i]
            pieces = tuple(pass_[i] for pass_ in passes)
            task = shards.JoinTask(
                pieces, os.path.join(folder, shard.tree), suffix, None, self._fields
            )
            if (other := taken.setdefault(task.stem + suffix, shard.path)) != shard.path:
                raise ConfigError(
                    f"stream {stream.name!r}: {other} and {shard.path} would both become "
                    f"{task.stem}{suffix}: give each folder an output path of its own"
                )
            inputs = self._all_inputs if self._is_surveyed else own
            made.append((f"{stream.name} {shard.src}", task, inputs))
        return made


def _rate(stream: Stream) -> float:
    return 1.0 if stream.rate is None else stream.rate


def _amount(budget: Budget | None) -> tuple[str, int] | None:
    return None if budget is None else (budget.unit, budget.amount)


def join(task: shards.JoinTask | decisions.JoinTask) -> Result:
    """Lay pieces together: those of shards, or of decisions."""
    return decisions.join(task) if isinstance(task, decisions.JoinTask) else shards.join(task)


def _deciding(
    settings: Mix, inputs: list[dict[str, Any]], given: Sequence[Plugin]
) -> dict[str, Any]:
    """The config without places: a mix moved to another folder is the same mix."""
    plain = settings.deciding()
    for stream in plain["streams"]:
        stream.pop("documents")
        stream["output"].pop("path")
        stream["removed"] = bool(stream["removed"])
        stream["attributes"] = [os.path.basename(a.rstrip("/")) for a in stream["attributes"]]
    policies = [registry.mixer(spec, given) for s in settings.streams for spec in s.policies]
    if foreign := registry.fingerprints(policies, given):
        plain["plugins"] = foreign
    return plain | {"inputs": inputs}
