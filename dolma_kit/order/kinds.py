"""The order of an epoch from what run.yaml says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolma_kit.errors import ConfigError
from dolma_kit.order.description import Order
from dolma_kit.order.permutation import (
    FeistelPermutation,
    OlmoCorePermutation,
    OlmoPermutation,
    Permutation,
    SequentialPermutation,
    count_positions,
)

if TYPE_CHECKING:
    from dolma_kit.order.instances import Instances


def order_of(order: Order, epoch: int, instances: Instances, chunk_size: int) -> Permutation:
    """The permutation of an epoch over these instances.

    `chunk_size` is that of OLMo-core for them: of its own key, or of a sequence length that is yet
    to grow. Errors are the kind's own.
    """
    n = instances.n_instances
    world_size, drop_last = order.world_size, order.drop_last
    if order.kind == "file":
        from dolma_kit.order.stored import StoredPermutation

        assert order.path is not None
        return StoredPermutation(
            n,
            _of_epoch(order.path, epoch),
            epoch=epoch,
            inverse=order.inverse and _of_epoch(order.inverse, epoch),
            dtype=order.dtype,
            padded_to=None if drop_last else count_positions(n, world_size, False),
        )
    if order.kind == "megatron":
        from dolma_kit.order.megatron import MegatronInstances, MegatronPermutation

        if not isinstance(instances, MegatronInstances):
            raise ConfigError("order kind megatron goes with instances of kind megatron")
        return MegatronPermutation(instances, epoch=epoch)
    seed = order.seed or 0
    made: Permutation
    if order.kind == "olmo":
        made = OlmoPermutation(
            n, seed=seed, epoch=epoch, world_size=world_size, drop_last=drop_last
        )
    elif order.kind == "olmo-core":
        made = OlmoCorePermutation(n, seed=seed, epoch=epoch, chunk_size=chunk_size)
    elif order.kind == "feistel":
        made = FeistelPermutation(
            n, seed=seed, epoch=epoch, world_size=world_size, drop_last=drop_last
        )
    else:
        made = SequentialPermutation(n, seed=0, epoch=epoch)
    if order.stored is None:
        return made
    from dolma_kit.order.stored import StoredPermutation

    return StoredPermutation(
        n,
        _of_epoch(order.stored, epoch),
        epoch=epoch,
        inverse=order.inverse and _of_epoch(order.inverse, epoch),
        padded_to=len(made),
        made=made,
    )


def _of_epoch(path: str, epoch: int) -> str:
    return path.replace("{epoch}", str(epoch))
