"""A training run, asked: what did step N see, and when was a document seen.

    run = open_run("run.yaml")
    [part.id for part in run.step(3).documents()]
    run.steps_of("some-id"), run.order[0], run.n_steps

Opening reads run.yaml, tokens.json and the sizes of the token files, nothing else. An epoch is
shuffled at the first question that needs it, the documents of a file are read at the first one
about them; both are kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.files import sha256
from dolma_kit.order.answers import (
    DocumentAnswer,
    DocumentPart,
    InstancePart,
    Never,
    Sighting,
    StepAnswer,
)
from dolma_kit.order.description import RunDescription, load
from dolma_kit.order.documents import DocumentTable, find_table, read_table
from dolma_kit.order.instances import InstanceTable
from dolma_kit.order.paths import path_table
from dolma_kit.order.permutation import KINDS, Permutation
from dolma_kit.order.schedule import Schedule
from dolma_kit.order.tokens_json import NAME, check_sizes, recorded

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run that a run.yaml describes.

    ConfigError for a description that is wrong, for files that are missing and for too few tokens
    or instances; VerificationError for token files of other sizes than recorded.
    """
    return Run(os.fspath(path), load(path))


class Run:
    """The four layers of one run, and the documents behind its tokens.

    `description` is what `description.load` gave, `files` the path table, `instances` the instance
    table, `schedule` the schedule, `path` names the run in messages.
    """

    def __init__(self, path: str, description: RunDescription) -> None:
        assert isinstance(description.tokens, list)  # this and the next are load's work
        assert description.dtype is not None
        order = description.order
        self.path = path
        self.description = description
        self.files = path_table(description.tokens, description.dtype)
        self._record = recorded(description.tokens)
        if self._record is not None:
            check_sizes(self._record, self.files)
        self.instances = InstanceTable(
            [file.n_tokens for file in self.files], description.sequence_length
        )
        self._orders = {
            epoch: KINDS[order.kind](
                self.instances.n_instances,
                seed=order.seed,
                epoch=epoch,
                world_size=order.world_size,
                drop_last=order.drop_last,
            )
            for epoch in range(order.epoch, order.epoch + description.epochs)
        }
        self.schedule = Schedule(
            n_positions=len(self.order),
            global_batch_size=description.global_batch_size,
            epochs=description.epochs,
            first_epoch=order.epoch,
            world_size=order.world_size,
        )
        self._tables: dict[str, DocumentTable] = {}

    @property
    def n_steps(self) -> int:
        """The steps of the run, numbered 1 to n_steps."""
        return self.schedule.n_steps

    @property
    def order(self) -> Permutation:
        """The order of the run's first epoch: `run.order[position]` is an instance."""
        return self.order_of(self.description.order.epoch)

    def order_of(self, epoch: int) -> Permutation:
        """The order of one epoch, by OLMo's number; ConfigError for one that the run has not."""
        if epoch not in self._orders:
            first, last = min(self._orders), max(self._orders)
            raise ConfigError(f"{self.path} has epochs {first} to {last}, not {epoch}")
        return self._orders[epoch]

    def step(self, step: int) -> Step:
        """What step `step`, from 1, trained on; ConfigError beyond the end."""
        batch = self.schedule.batch(step)
        return Step(
            step=batch.step,
            batch=batch.batch,
            epoch=batch.epoch,
            positions=range(batch.start, batch.end),
            instances=self.order_of(batch.epoch).instances_at(batch.start, batch.end),
            _run=self,
        )

    def steps_of(self, doc_id: str) -> list[Sighting]:
        """Every time that a token of a document was trained on, by step, then by instance.

        All occurrences of an id that occurs twice; empty if it was never seen. ConfigError for an
        id that no document has.
        """
        return self._sightings(doc_id)[0]

    def _sightings(self, doc_id: str) -> tuple[list[Sighting], Never | None]:
        occurrences = []
        for n in range(len(self.files)):
            table = self.documents(n)
            for row in table.rows_with_id(doc_id):
                occurrences.append((n, int(table.starts[row]), int(table.ends[row])))
        if not occurrences:
            n_docs = sum(len(self.documents(n)) for n in range(len(self.files)))
            raise ConfigError(f"no document {doc_id!r} among the {n_docs} of {self.path}")
        seen = []
        never: Never = "file-remainder"
        touched = {i for o in occurrences for i in self.instances.overlapping(*o)}
        # All instances at once: of a large run that replays an epoch's shuffle.
        positions = {e: order.positions_of_each(touched) for e, order in self._orders.items()}
        for file, start, end in occurrences:
            for instance in self.instances.overlapping(file, start, end):
                never = "epoch-tail"
                _, first = self.instances.locate(instance)
                begin = max(start - first, 0)
                stop = min(end - first, self.instances.sequence_length)
                for epoch in self._orders:
                    for position in positions[epoch][instance]:
                        step = self.schedule.step_of(epoch, position)
                        if step is None:
                            continue
                        batch = self.schedule.batch(step).batch
                        rank = self.schedule.rank_of(position)
                        seen.append(Sighting(step, batch, epoch, rank, instance, begin, stop))
        seen.sort(key=lambda s: (s.step, s.instance, s.start, s.rank))
        return seen, None if seen else never

    def documents(self, file: int) -> DocumentTable:
        """The documents of the `file`-th token file; its list is read once for equal paths."""
        tokens = self.files[file]
        if tokens.path not in self._tables:
            path = find_table(tokens.path, self.description.documents)
            self._tables[tokens.path] = read_table(path, tokens)
        return self._tables[tokens.path]

    def parts_of(self, instance: int) -> list[DocumentPart]:
        """The documents of one instance in the order of its tokens, decoded."""
        file, first = self.instances.locate(instance)
        last = first + self.instances.sequence_length
        tokens = self.files[file].read(first, last)
        table = self.documents(file)
        parts = []
        for row in table.overlapping(first, last):
            document = table[row]
            start, end = max(document.start, first), min(document.end, last)
            ids: list[int] = tokens[start - first : end - first].tolist()
            if end == document.end and ids[-1] == self.description.eos_token_id:
                del ids[-1]  # the EOS that ends the document; one within its text stays
            parts.append(
                DocumentPart(
                    id=document.id,
                    source=document.source,
                    src=document.src,
                    line=document.line,
                    start=start - first,
                    end=end - first,
                    doc_start=start - document.start,
                    doc_end=end - document.start,
                    text=self._tokenizer.decode(ids, skip_special_tokens=False),
                )
            )
        return parts

    @cached_property
    def _tokenizer(self) -> Tokenizer:
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


@dataclass(frozen=True, eq=False)
class Step:
    """One step: its instances (B,) uint32, in the order of `positions` of the epoch's order.

    `step` counts from 1 through the run, `batch` from 0 within `epoch`.
    """

    step: int
    batch: int
    epoch: int
    positions: range
    instances: NDArray[np.uint32]
    _run: Run = field(repr=False)

    def documents(self) -> list[DocumentPart]:
        """The parts of documents that the step saw, instance after instance, decoded; a document
        that is in two of them is there twice."""
        return [part for instance in self.instances for part in self._run.parts_of(int(instance))]


def trace_step(run: Run, step: int) -> StepAnswer:
    """The answer of `trace step`; `msgspec.json.encode` gives its JSON."""
    seen = run.step(step)
    instances = [
        InstancePart(
            instance=int(instance),
            position=position,
            rank=run.schedule.rank_of(position),
            status="trained",
            documents=run.parts_of(int(instance)),
        )
        for position, instance in zip(seen.positions, seen.instances, strict=True)
    ]
    return StepAnswer(seen.step, seen.batch, seen.epoch, instances)


def trace_doc(run: Run, doc_id: str) -> DocumentAnswer:
    """The answer of `trace doc`; `msgspec.json.encode` gives its JSON."""
    seen, never = run._sightings(doc_id)
    return DocumentAnswer(doc_id, seen, never)
