"""A view: the instances of a run at one sequence length, and the orders of its epochs over them.

A run has one, unless its sequence length changes: then the same files are cut otherwise, and each
length has instances and orders of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.errors import ConfigError
from dolma_kit.order.description import RunDescription
from dolma_kit.order.instances import Instances, InstanceTable
from dolma_kit.order.kinds import order_of
from dolma_kit.order.paths import TokenFile
from dolma_kit.order.permutation import Permutation


class View:
    """The second and third layer at one sequence length; orders are made as they are asked for."""

    def __init__(
        self, description: RunDescription, files: Sequence[TokenFile], sequence_length: int
    ) -> None:
        self._description = description
        self.sequence_length = sequence_length
        self.instances = _instances(description, files, sequence_length)
        longest = description.instances.max_target_sequence_length
        self._chunk_size = description.order.chunk_size
        if description.order.kind == "olmo-core" and longest is not None:
            self._chunk_size = longest // sequence_length
        self._orders: dict[int, Permutation] = {}

    def order_of(self, epoch: int) -> Permutation:
        if epoch not in self._orders:
            self._orders[epoch] = order_of(
                self._description.order, epoch, self.instances, self._chunk_size
            )
        return self._orders[epoch]


def _instances(
    description: RunDescription, files: Sequence[TokenFile], sequence_length: int
) -> Instances:
    form = description.instances
    if form.kind == "packed":
        from dolma_kit.order.packing import PackedInstances

        return PackedInstances(description, files, sequence_length)
    if form.kind in ("sequences", "megatron"):
        from dolma_kit.order import megatron

        if sequence_length != description.sequence_length:
            raise ConfigError(f"instances of kind {form.kind} have one sequence_length")
        if form.kind == "sequences":
            return megatron.SequenceInstances(files, sequence_length)
        return megatron.MegatronInstances(form, files, sequence_length)
    taken = [file.n_tokens if file.taken is None else file.taken for file in files]
    return InstanceTable(
        [file.n_tokens for file in files],
        sequence_length,
        multiple=form.max_target_sequence_length,
        n_taken=taken,
    )
