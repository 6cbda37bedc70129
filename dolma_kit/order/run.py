"""A training run, asked: what did step N see, and when was a document seen.

    run = open_run("run.yaml")
    [part.id for part in run.step(3).documents()]
    run.steps_of("some-id"), run.order[0], run.n_steps

Opening reads run.yaml, tokens.json and the sizes of the token files, nothing else. An epoch is
shuffled at the first question that needs it, the documents of a file are read at the first one
about them; both are kept.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.files import sha256
from dolma_kit.order.answers import (
    DocumentPart,
    Never,
    Sighting,
    Status,
)
from dolma_kit.order.description import RunDescription, load_all
from dolma_kit.order.documents import (
    EOS_SCAN,
    Document,
    DocumentTable,
    ScannedDocuments,
    find_table,
    read_table,
)
from dolma_kit.order.finding import IndexedFolder, rows_of
from dolma_kit.order.instances import Held, Instances
from dolma_kit.order.labels import LabelMasks
from dolma_kit.order.paths import Entry, path_table
from dolma_kit.order.permutation import Permutation
from dolma_kit.order.schedule import Planned, Schedule
from dolma_kit.order.steps import Part, Step
from dolma_kit.order.tokens_json import NAME, check_sizes, recorded
from dolma_kit.order.views import View

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from dolma_kit.order.asking.vocabulary import Vocabulary

#: from the nearest to a sighting to the farthest
NEAREST: tuple[Never, ...] = (
    *("masked", "skipped", "truncated", "not-reached", "epoch-tail"),
    *("not-sampled", "file-remainder"),
)


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run that a run.yaml describes.

    ConfigError for a description that is wrong, for files that are missing and for too few tokens
    or instances; VerificationError for token files of other sizes than recorded.
    """
    return _open(os.fspath(path), ())


def _open(path: str, children: tuple[str, ...]) -> Run:
    """The run, that is a parent of those at `children`, the nearest last."""
    real = os.path.realpath(path)
    if real in children:
        raise ConfigError(f"{path}: a run is not its own parent")
    loaded = load_all(path)
    return Run(path, loaded.description, loaded.entries, (*children, real))


class Run:
    """The four layers of one run, and the documents behind its tokens.

    `description` is what `description.load` gave, `files` the path table, `instances` the instance
    table, `schedule` the schedule, `path` names the run in messages. Where the sequence length
    changes, `instances` and `order` are those of the first.
    """

    def __init__(
        self,
        path: str,
        description: RunDescription,
        entries: Sequence[Entry] | None = None,
        lineage: tuple[str, ...] = (),
    ) -> None:
        assert isinstance(description.tokens, list)  # this and the next are load's work
        assert description.dtype is not None
        order = description.order
        self.path = path
        self.description = description
        self.files = path_table(entries or description.tokens, description.dtype)
        self._record = recorded([f.path for f in self.files if os.path.exists(f.path)])
        if self._record is not None:
            check_sizes(self._record, self.files)
        self._views: dict[int, View] = {}
        self.parents: dict[int, Run] = {}
        self.schedule = Schedule(
            n_positions=len(self.order),
            global_batch_size=description.global_batch_size,
            epochs=description.epochs,
            first_epoch=self.first_epoch,
            world_size=order.world_size,
            segments=self._planned(lineage),
        )
        self._tables: dict[str, DocumentTable | ScannedDocuments] = {}
        self.indices: dict[str, IndexedFolder | None] = {}  # of ids, as they were opened

    def _planned(self, lineage: tuple[str, ...]) -> list[Planned]:
        planned = []
        for number, keys in enumerate(self.description.segments):
            if keys.parent is not None:
                self.parents[number] = _open(keys.parent, lineage)
            planned.append(
                Planned(
                    n_positions=len(self.view_of(number).order_of(self.first_epoch)),
                    batch_size=keys.global_batch_size or self.description.global_batch_size,
                    from_step=keys.from_step,
                    to_step=keys.to_step,
                    epoch=keys.epoch,
                    first_position=keys.first_position,
                    skip=keys.skip,
                )
            )
        return planned

    def view_of(self, segment: int) -> View:
        """The instances and orders of a segment, by its number from 0."""
        segments = self.description.segments
        length = segments[segment].sequence_length if segments else None
        return self.view(length or self.description.sequence_length)

    def own_views(self) -> list[View]:
        """The views of all segments that are the run's own."""
        own = [n for n in range(len(self.schedule.segments)) if n not in self.parents]
        return list(dict.fromkeys(self.view_of(n) for n in own))

    def view(self, sequence_length: int) -> View:
        """The instances and orders at one of the run's sequence lengths."""
        if sequence_length not in self._views:
            self._views[sequence_length] = View(self.description, self.files, sequence_length)
        return self._views[sequence_length]

    @property
    def first_epoch(self) -> int:
        """The number of the first epoch, as OLMo or OLMo-core count them."""
        assert self.description.order.epoch is not None
        return self.description.order.epoch

    @property
    def instances(self) -> Instances:
        """The instance table (at the run's first sequence length)."""
        return self.view_of(0).instances

    @property
    def n_steps(self) -> int:
        """The last step of the run; its first is 1, unless its segments begin later."""
        return self.schedule.n_steps

    @property
    def order(self) -> Permutation:
        """The order of the run's first epoch: `run.order[position]` is an instance."""
        return self.order_of(self.first_epoch)

    def order_of(self, epoch: int) -> Permutation:
        """The order of one epoch, by OLMo's number; ConfigError for one that the run has not."""
        first, last = self.first_epoch, self.first_epoch + self.description.epochs - 1
        if not first <= epoch <= last:
            raise ConfigError(f"{self.path} has epochs {first} to {last}, not {epoch}")
        return self.view_of(0).order_of(epoch)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of path table, order and schedule (see `fingerprint`)."""
        from dolma_kit.order.fingerprint import fingerprint_of

        return fingerprint_of(self)

    def step(self, step: int) -> Step:
        """What step `step`, from 1, trained on; ConfigError beyond the end."""
        batch = self.schedule.batch(step)
        if batch.segment in self.parents:
            return self.parents[batch.segment].step(step)
        view = self.view_of(batch.segment)
        return Step(
            step=batch.step,
            batch=batch.batch,
            epoch=batch.epoch,
            positions=range(batch.start, batch.end),
            instances=view.order_of(batch.epoch).instances_at(batch.start, batch.end),
            _run=self,
            _view=view,
            _batch=batch,
        )

    def steps_of(self, doc_id: str) -> list[Sighting]:
        """Every time that a token of a document was trained on, by step, then by instance.

        All occurrences of an id that occurs twice; empty if it was never seen. ConfigError for an
        id that no document has.
        """
        return self.sightings(self.occurrences(doc_id))[0]

    def occurrences(self, doc_id: str) -> list[tuple[int, int, int]]:
        """(file, start, end) of every document of an id; ConfigError if there is none."""
        found = rows_of(self, doc_id)
        if not found:
            n_docs = sum(
                len(table)
                for table in map(self.documents, range(len(self.files)))
                if isinstance(table, DocumentTable)
            )
            raise ConfigError(f"no document {doc_id!r} among the {n_docs} of {self.path}")
        return found

    def sightings(
        self, ranges: Sequence[tuple[int, int, int]]
    ) -> tuple[list[Sighting], Never | None]:
        """Every time that tokens of (file, start, end) were trained on, by step, then by instance;
        if there is none, why (see `answers.DocumentAnswer`)."""
        return self.sightings_of_each([ranges])[0]

    def sightings_of_each(
        self, groups: Sequence[Sequence[tuple[int, int, int]]]
    ) -> list[tuple[list[Sighting], Never | None]]:
        """The same of several groups of ranges, which costs little more than of one."""
        seen: list[list[Sighting]] = [[] for _ in groups]
        reasons: list[set[Never]] = [set() for _ in groups]
        for number, parent in self.parents.items():
            segment = self.schedule.segments[number]
            for group, (more, reason) in enumerate(parent.sightings_of_each(groups)):
                seen[group] += [s for s in more if segment.from_step <= s.step <= segment.to_step]
                reasons[group].add(reason or "not-reached")
        for view in self.own_views():
            self._look_in(view, groups, seen, reasons)
        for sightings in seen:
            sightings.sort(key=lambda s: (s.step, s.instance, s.start, s.rank))
        return [
            (found, None if found else next(r for r in NEAREST if r in why))
            for found, why in zip(seen, reasons, strict=True)
        ]

    def _look_in(
        self,
        view: View,
        groups: Sequence[Sequence[tuple[int, int, int]]],
        seen: list[list[Sighting]],
        reasons: list[set[Never]],
    ) -> None:
        """Add what there is to see of each group at one sequence length, and why not more."""
        held: list[tuple[int, Held]] = []
        for group, ranges in enumerate(groups):
            for file, start, end in ranges:
                in_instances = view.instances.holding(file, start, end)
                held += [(group, one) for one in in_instances]
                if not in_instances:
                    reasons[group].add(view.instances.left_out(file, start, end))
        # All instances at once: of a large run that replays an epoch's shuffle.
        touched = {one.instance for _, one in held}
        for epoch in self.schedule.epochs if held else ():
            positions = view.order_of(epoch).positions_of_each(touched)
            for group, one in held:
                for position in positions[one.instance]:
                    found, why = self._at_position(view, one, epoch, position)
                    seen[group] += found
                    reasons[group] |= why
                if not positions[one.instance]:
                    reasons[group].add("epoch-tail")

    def _at_position(
        self, view: View, held: Held, epoch: int, position: int
    ) -> tuple[list[Sighting], set[Never]]:
        """The sightings of an instance at one position, and why there are no more."""
        seen: list[Sighting] = []
        reasons: set[Never] = set()
        schedule = self.schedule
        for step in schedule.steps_of(epoch, position):
            batch = schedule.batch(step)
            if batch.segment in self.parents or self.view_of(batch.segment) is not view:
                continue
            status = self.status_of(view, held.instance, batch.segment)
            trained = self.truncated_to(batch.segment)
            if status != "trained":
                reasons.add(status)
            elif held.start >= trained:
                reasons.add("truncated")
            else:
                rank = schedule.rank_of(batch, position)
                stop = min(held.end, trained)
                labels = self.n_labels(view, held.instance, held.start, stop)
                seen.append(
                    Sighting(
                        step, batch.batch, epoch, rank, held.instance, held.start, stop, labels
                    )
                )
        if not seen and not reasons:
            left_over = schedule.is_left_over(epoch, position)
            reasons.add("epoch-tail" if left_over else "not-reached")
        return seen, reasons

    def truncated_to(self, segment: int) -> int:
        """How many tokens of each instance a segment trains on."""
        segments = self.description.segments
        kept = segments[segment].truncate_to if segments else None
        length = self.view_of(segment).sequence_length + self.instances.extra_tokens
        return min(kept, length) if kept else length

    def status_of(self, view: View, instance: int, segment: int) -> Status:
        """What became of an instance that a segment read."""
        if self.schedule.segments[segment].skip:
            return "skipped"
        return "masked" if self.is_masked(view, instance) else "trained"

    @cached_property
    def label_masks(self) -> LabelMasks | None:
        """The label masks of the token files, if the run has them."""
        paths = self.description.label_masks
        return LabelMasks(paths, self.files) if paths else None

    def n_labels(self, view: View, instance: int, start: int, end: int) -> int | None:
        """How many of the tokens [start, end) of an instance are labels; None without masks."""
        if self.label_masks is None:
            return None
        return self.label_masks.count(view.instances, instance, start, end)

    def is_masked(self, view: View, instance: int) -> bool:
        """Whether the instance filter masks an instance; reads its tokens if there is a filter."""
        if self.description.instance_filter is None:
            return False
        return self._is_masked(view.sequence_length, instance)

    @functools.lru_cache(maxsize=1 << 16)  # noqa: B019  a run lives as long as its answers
    def _is_masked(self, sequence_length: int, instance: int) -> bool:
        from dolma_kit.order.repetitions import is_masked

        view = self.view(sequence_length)
        spans = view.instances.spans(instance)
        tokens = np.concatenate([self.files[s.file].read(s.start, s.end) for s in spans])
        assert self.description.instance_filter is not None
        return is_masked(tokens, self.description.instance_filter)

    def documents(self, file: int) -> DocumentTable | ScannedDocuments:
        """The documents of the `file`-th token file; its list is read once for equal paths."""
        tokens = self.files[file]
        if tokens.path not in self._tables:
            if self.description.documents == EOS_SCAN:
                if self.description.eos_token_id is None:
                    raise ConfigError(f"{self.path}: documents: {EOS_SCAN} needs eos_token_id")
                scanned = ScannedDocuments(tokens, self.description.eos_token_id)
                self._tables[tokens.path] = scanned
            else:
                path = find_table(tokens.path, self.description.documents)
                self._tables[tokens.path] = read_table(path, tokens)
        return self._tables[tokens.path]

    def parts_of(self, instance: int) -> list[DocumentPart]:
        """The documents of one instance in the order of its tokens, decoded."""
        return [part.document for part in self.shown_parts(self.view_of(0), instance)]

    def shown_parts(self, view: View, instance: int, kept: int | None = None) -> Iterator[Part]:
        """The same, of the first `kept` tokens of an instance."""
        at = 0
        for file, first, stop in view.instances.spans(instance):
            last = stop if kept is None else min(stop, first + kept - at)
            if last <= first:
                break
            tokens = self.files[file].read(first, last)
            for document in self.documents(file).within(first, last):
                part = self._part(document, tokens, first, last, at)
                start, end = part.document.start, part.document.end
                labels = self.n_labels(view, instance, start, end)
                yield Part(msgspec.structs.replace(part.document, labels=labels), part.ends)
            at += last - first

    def _part(
        self,
        document: Document,
        tokens: NDArray[np.unsignedinteger],
        first: int,
        last: int,
        at: int,
    ) -> Part:
        """What of a document lies in tokens [first, last) of its file, which are those of the
        instance from `at` on."""
        start, end = max(document.start, first), min(document.end, last)
        ids: list[int] = tokens[start - first : end - first].tolist()
        ends = end == document.end and ids[-1] == self.description.eos_token_id
        if ends:
            del ids[-1]  # the EOS that ends the document; one within its text stays
        part = DocumentPart(
            id=document.id,
            source=document.source,
            src=document.src,
            line=document.line,
            start=start - first + at,
            end=end - first + at,
            doc_start=start - document.start,
            doc_end=end - document.start,
            text=self.tokenizer.decode(ids, skip_special_tokens=False),
        )
        return Part(part, ends)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes of its tokens; ConfigError for a tokenizer that is not byte-level."""
        from dolma_kit.order.asking.vocabulary import vocabulary_of

        return vocabulary_of(self.tokenizer, self.path)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the run; VerificationError if it is not the one of the tokens."""
        from tokenizers import Tokenizer  # questions about order alone do not pay for it

        path = self.description.tokenizer
        if path is None:
            raise ConfigError(f"{self.path}: no key tokenizer, and no {NAME} beside the tokens")
        if not os.path.isfile(path):
            raise ConfigError(f"{self.path}: no tokenizer file {path}")
        if self._record is not None and self._record.tokenizer_sha256 not in (None, sha256(path)):
            raise VerificationError(
                f"{path} has sha256 {sha256(path)}, the tokens were made with "
                f"{self._record.tokenizer_sha256}: name that tokenizer"
            )
        try:
            return Tokenizer.from_file(path)
        except Exception as error:  # tokenizers raises nothing narrower
            raise DataError(path, None, f"no tokenizer: {error}") from None
