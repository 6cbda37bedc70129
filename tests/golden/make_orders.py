"""Writes orders.json: batches of OLMo's and OLMo-core's own loaders over small token files.

    python tests/golden/make_orders.py tests/golden/orders.json

Needs an environment with ai2-olmo 0.6.0 and ai2-olmo-core 3.0.0 (with PyTorch). Each case has the
ids of its files, what the loader was told, every instance's ids, and what instances each rank takes
in each epoch, in its order. Documents that are packed are all of other lengths: how equal ones are
sorted is up to numpy's build and the processor.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
from typing import Any

import numpy as np
from olmo.data.iterable_dataset import IterableDataset
from olmo.data.memmap_dataset import MemMapDataset
from olmo_core.data import (
    DataCollator,
    InstanceFilterConfig,
    LongDocStrategy,
    NumpyDataLoaderBase,
    NumpyFSLDatasetConfig,
    NumpyPackedFSLDatasetConfig,
    TokenizerConfig,
)
from olmo_core.data.source_mixture import (
    SourceMixtureConfig,
    SourceMixtureDatasetConfig,
    SourceMixtureList,
)

EOS, PAD, BOS = 0, 1, 2
logging.disable(logging.CRITICAL)


def files_of(draw: random.Random, folder: str, n_tokens: tuple[int, int]) -> tuple[list[str], Any]:
    paths, contents = [], []
    for i in range(draw.randint(1, 3)):
        ids = [
            draw.choice([EOS, BOS, *range(5, 12)]) if draw.random() < 0.6 else draw.randint(3, 99)
            for _ in range(draw.randint(*n_tokens))
        ]
        paths.append(os.path.join(folder, f"p{i}.npy"))
        np.array(ids, np.uint16).tofile(paths[-1])
        contents.append(ids)
    return paths, contents


def packed_files(draw: random.Random, folder: str, length: int) -> tuple[list[str], Any]:
    """Files of documents of which no two are of one length; one is longer than an instance."""
    lengths = draw.sample(range(1, length), draw.randint(20, 30))
    lengths[draw.randrange(len(lengths))] += length
    paths, contents = [], []
    n_files = draw.randint(1, 3)
    for i in range(n_files):
        ids: list[int] = []
        for n in lengths[i::n_files]:
            ids += [*(draw.randint(3, 99) for _ in range(n - 1)), EOS]
        ids += [7] * draw.randint(0, 3)  # a tail that no EOS ends
        paths.append(os.path.join(folder, f"p{i}.npy"))
        np.array(ids, np.uint16).tofile(paths[-1])
        contents.append(ids)
    return paths, contents


def olmo(draw: random.Random, folder: str) -> dict[str, Any]:
    paths, contents = files_of(draw, folder, (30, 120))
    if draw.random() < 0.5:
        paths, contents = [*paths, paths[0]], [*contents, contents[0]]
    world_size, length = draw.choice([1, 2, 3]), draw.choice([4, 8])
    batch, seed, drop_last = (
        world_size * draw.choice([1, 2]),
        draw.randint(0, 9999),
        draw.random() < 0.7,
    )
    data = MemMapDataset(
        *paths, chunk_size=length, memmap_dtype=np.uint16, include_instance_metadata=False
    )
    epochs = {}
    for epoch in (0, 1, 2):
        ranks = []
        for rank in range(world_size):
            work = os.path.join(folder, f"work-{epoch}-{rank}")
            os.makedirs(work)
            loader = IterableDataset(
                data, batch, seed=seed, epoch=epoch, drop_last=drop_last, world_size=world_size,
                rank=rank, fs_local_rank=0, work_dir=work, num_threads=0,
            )  # fmt: skip
            ranks.append([int(item["index"]) for item in loader])
        epochs[epoch] = ranks
    return {
        "kind": "olmo",
        "files": contents,
        "sequence_length": length,
        "global_batch_size": batch,
        "order": {"seed": seed, "world_size": world_size, "drop_last": drop_last},
        "items": [[int(i) for i in data[n]["input_ids"]] for n in range(len(data))],
        "epochs": epochs,
    }


def olmo_core(draw: random.Random, folder: str, kind: str) -> dict[str, Any]:
    length, seed = draw.choice([8, 16]), draw.randint(0, 9999)
    if kind == "packed":
        length = 64
        paths, contents = packed_files(draw, folder, length)
    else:
        paths, contents = files_of(draw, folder, (40, 160) if kind == "fixed" else (150, 300))
    world_size = draw.choice([1, 2])
    batch = world_size * draw.choice([1, 2])
    tokenizer = TokenizerConfig(vocab_size=60000, eos_token_id=EOS, pad_token_id=PAD)
    common: dict[str, Any] = {
        "tokenizer": tokenizer, "sequence_length": length, "work_dir": os.path.join(folder, "work"),
    }  # fmt: skip
    if kind == "fixed":
        config = NumpyFSLDatasetConfig(
            paths=paths,
            max_target_sequence_length=draw.choice([None, length, 2 * length, 4 * length]),
            instance_filter_config=InstanceFilterConfig(
                repetition_max_period=3, repetition_min_period=1, repetition_max_count=3
            ),
            **common,
        )
    elif kind == "packed":
        config = NumpyPackedFSLDatasetConfig(
            paths=paths,
            long_doc_strategy=LongDocStrategy(draw.choice(["truncate", "fragment"])),
            source_group_size=draw.randint(1, 3),
            **common,
        )
    else:
        groups = [paths[i :: min(len(paths), 2)] for i in range(min(len(paths), 2))]
        ratios = [1.0] if len(groups) == 1 else [0.3, 0.7]
        sources = [
            SourceMixtureConfig(
                source_name=f"s{i}", target_ratio=ratio, paths=group, max_repetition_ratio=9.0
            )
            for i, (ratio, group) in enumerate(zip(ratios, groups, strict=True))
        ]
        mixture = SourceMixtureDatasetConfig(
            source_list=SourceMixtureList(sources=sources),
            requested_tokens=int(sum(map(len, contents)) * draw.choice([0.2, 0.5, 0.9, 1.3])),
            global_batch_size=batch * length,
            render_tables=False,
            quiet=True,
        )
        config = NumpyFSLDatasetConfig.from_src_mix(mixture, **common)
    written = config.as_config_dict()
    data = config.build()
    data.prepare()
    items = [data[n] for n in range(len(data))]
    epochs = {}
    for epoch in (1, 2):
        ranks = []
        for rank in range(world_size):
            loader = NumpyDataLoaderBase.wrap_numpy_dataset(
                data, global_batch_size=batch * length, collator=DataCollator(pad_token_id=PAD),
                work_dir=common["work_dir"], seed=seed, dp_world_size=world_size, dp_rank=rank,
            )  # fmt: skip
            loader.reshuffle(epoch, in_memory=True)
            found = loader._get_local_instance_indices(loader.get_global_indices())
            ranks.append([int(i) for i in found])
        epochs[epoch] = ranks
    case = {
        "kind": kind,
        "files": contents,
        "paths": [os.path.basename(str(path)) for path in data.paths],
        "config": {
            "dataset": written,
            "data_loader": {
                "_CLASS_": "olmo_core.data.data_loader.NumpyDataLoaderConfig",
                "global_batch_size": batch * length,
                "seed": seed,
            },
            "trainer": {"max_duration": {"value": 2, "unit": "epochs"}},
        },
        "world_size": world_size,
        "pad": PAD,
        "items": [[int(i) for i in item["input_ids"]] for item in items],
        "epochs": epochs,
    }
    if kind == "fixed":
        case["masked"] = [not item["instance_mask"] for item in items]
    return json.loads(json.dumps(case).replace(folder, "FOLDER"))


def main() -> None:
    draw = random.Random(20261201)
    cases: list[dict[str, Any]] = []
    kinds = ["olmo", "fixed", "packed", "mixture"]
    while len(cases) < 20:
        kind = kinds[len(cases) % len(kinds)]
        with tempfile.TemporaryDirectory() as folder:
            try:
                case = olmo(draw, folder) if kind == "olmo" else olmo_core(draw, folder, kind)
            except Exception as error:  # what their loaders cannot read is no case
                print(f"left out: {error!r}")
                continue
        if all(len(rank) > 3 for ranks in case["epochs"].values() for rank in ranks):
            cases.append(case)
    with open(sys.argv[1], "w", encoding="utf-8") as stream:
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        stream.write(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
