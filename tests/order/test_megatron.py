"""Megatron's cached indices and Pythia's stored order, against loaders restated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.megatron import MegatronInstances
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step

from .naive_core import GptDataset, write_index
from .tiny_run import write_run

T = 8


def documents(seed: int, n: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [
        [*(int(i) for i in random.integers(1, 99, random.integers(0, 21))), 0] for _ in range(n)
    ]


def run_of(folder: Path, tokenizer: Path, **changed: Any) -> Run:
    keys: dict[str, Any] = {
        "dtype": "uint32",
        "eos_token_id": 0,
        "tokenizer": str(tokenizer),
        "sequence_length": T,
        "global_batch_size": 4,
        "epochs": 1,
    }
    return open_run(write_run(folder, tokenizer, **(keys | changed)))


def read(run: Run, instance: int) -> list[int]:
    spans = run.instances.spans(instance)
    return [int(i) for s in spans for i in run.files[s.file].read(s.start, s.end)]


@pytest.mark.parametrize("n_epochs", [1, 3])
def test_samples(tmp_path: Path, tokenizer: Path, n_epochs: int) -> None:
    docs = documents(3, 17)
    write_index(tmp_path / "text", docs, list(range(17)), 4)
    data = GptDataset(docs, T, n_epochs, 1234)
    data.save(tmp_path / "cache")
    run = run_of(
        tmp_path, tokenizer, tokens=["text.bin"], order={"kind": "megatron"},
        instances={"kind": "megatron", "indices": ["cache"]},
    )  # fmt: skip
    n = len(data.shuffle_index)
    assert run.n_steps == n // 4
    holders: dict[int, list[tuple[int, int, int]]] = {}
    for position in range(n // 4 * 4):
        instance = run.order[position]
        assert read(run, instance) == data.sample(position)
        assert len(read(run, instance)) == T + 1
    for step in range(1, run.n_steps + 1):
        answer = trace_step(run, step)
        for one in answer.instances:
            assert [p.start for p in one.documents] == [0, *(p.end for p in one.documents[:-1])]
            for p in one.documents:
                number = int(p.id.removeprefix("text:"))
                ids = read(run, one.instance)[p.start : p.end]
                assert ids == docs[number][p.doc_start : p.doc_end]
                holders.setdefault(number, []).append((step, one.instance, p.start))
    for number in range(17):
        found = [(s.step, s.instance, s.start) for s in trace_doc(run, f"text:{number}").seen]
        assert sorted(found) == sorted(holders.get(number, []))


def test_a_blend(tmp_path: Path, tokenizer: Path) -> None:
    sets = []
    for number, name in enumerate(("a", "b")):
        docs = documents(10 + number, 12)
        write_index(tmp_path / name, docs, list(range(12)), 4)
        data = GptDataset(docs, T, 2, number)
        data.save(tmp_path / f"of_{name}")
        sets.append(data)
    of = np.array([0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0], np.int16)
    samples = np.array([(of[:i] == of[i]).sum() for i in range(len(of))], np.int64)
    np.save(tmp_path / "blend-dataset_index.npy", of)
    np.save(tmp_path / "blend-dataset_sample_index.npy", samples)
    run = run_of(
        tmp_path, tokenizer, tokens=["a.bin", "b.bin"], order={"kind": "megatron"},
        instances={"kind": "megatron", "indices": ["of_a", "of_b"], "blend": "blend"},
    )  # fmt: skip
    assert run.n_steps == 3
    for position in range(12):
        expected = sets[of[position]].sample(int(samples[position]))
        assert read(run, run.order[position]) == expected
        assert position in run.order.positions_of(run.order[position])
    with pytest.raises(IndexError, match="position 12 of 12"):
        run.order[12]


@pytest.mark.parametrize("name", ["a-document_index", "a-shuffle_index", "b-dataset_sample_index"])
def test_a_fingerprint_moves_with_an_index(tmp_path: Path, tokenizer: Path, name: str) -> None:
    write_index(tmp_path / "text", [[7] * 9 + [0], [8] * 9 + [0], [9] * 9 + [0]], [0, 1, 2], 4)
    GptDataset([[7] * 10, [8] * 10, [9] * 10], T, 2, 1).save(tmp_path / "a")
    np.save(tmp_path / "b-dataset_index.npy", np.zeros(4, np.int16))
    np.save(tmp_path / "b-dataset_sample_index.npy", np.arange(4))
    keys: dict[str, Any] = {
        "tokens": ["text.bin"], "order": {"kind": "megatron"},
        "instances": {"kind": "megatron", "indices": ["a"], "blend": "b"},
    }  # fmt: skip
    before = run_of(tmp_path, tokenizer, **keys)
    assert isinstance(before.instances, MegatronInstances)
    assert sorted(Path(path).stem for path in before.instances.index_paths) == [
        "a-document_index", "a-sample_index", "a-shuffle_index", "b-dataset_index",
        "b-dataset_sample_index",
    ]  # fmt: skip
    assert run_of(tmp_path, tokenizer, **keys).fingerprint == before.fingerprint
    path = tmp_path / f"{name}.npy"
    array = np.load(path)
    assert array[0] != array[1]
    first = before.fingerprint
    array[[0, 1]] = array[[1, 0]]
    np.save(path, array)
    assert run_of(tmp_path, tokenizer, **keys).fingerprint != first


def test_stored_in_training_order(tmp_path: Path, tokenizer: Path) -> None:
    """Pythia: a sequence of T + 1 tokens is an instance, and their order is that of training."""
    random = np.random.default_rng(5)
    sequences = [[int(i) for i in random.integers(0, 9, T + 1)] for _ in range(10)]
    write_index(tmp_path / "pile", sequences, list(range(10)), 8)
    run = run_of(
        tmp_path, tokenizer, tokens=["pile.bin"], order={"kind": "sequential"}, dtype="uint16",
        instances={"kind": "sequences"}, documents="eos-scan",
    )  # fmt: skip
    assert run.n_steps == 2
    ids = [i for sequence in sequences for i in sequence]
    for step in (1, 2):
        answer = trace_step(run, step)
        assert [i.instance for i in answer.instances] == list(range(4 * step - 4, 4 * step))
        for one in answer.instances:
            assert one.boundaries == "eos-scan"
            assert read(run, one.instance) == sequences[one.instance]
            for p in one.documents:
                begins = int(p.id.removeprefix("pile.bin:"))
                at = one.instance * (T + 1) + p.start
                assert (p.line, at - begins) == (None, p.doc_start)
                assert begins == 0 or ids[begins - 1] == 0
                assert 0 not in ids[begins : at + p.end - p.start - 1]
    with pytest.raises(ConfigError, match="has no list of documents"):
        trace_doc(run, "pile.bin:0")


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ({"idx": b"MMIDIDX"}, DataError, "is no Megatron index"),
        ({"cut": 3}, DataError, "bytes, not .*: broken"),
        ({"dtype": "uint16"}, ConfigError, "says uint32, the run uint16"),
        ({"short": True}, VerificationError, "they do not belong together"),
        ({"sequence_length": 5}, VerificationError, "it is of another run"),
        ({"indices": ["none"]}, ConfigError, "no .*none-document_index.npy"),
        ({"indices": []}, ConfigError, "0 indices for 1 files of tokens"),
    ],
)
def test_indices_that_do_not_fit(
    tmp_path: Path, tokenizer: Path, broken: dict[str, Any], error: type[Exception], message: str
) -> None:
    docs = documents(3, 17)
    write_index(tmp_path / "text", docs, list(range(17)), 4)
    GptDataset(docs, T, 1, 1).save(tmp_path / "cache")
    index = tmp_path / "text.idx"
    if "idx" in broken:
        index.write_bytes(broken["idx"])
    if "cut" in broken:
        index.write_bytes(index.read_bytes()[: -broken["cut"]])
    if "short" in broken:
        (tmp_path / "text.bin").write_bytes(bytes(8))
    with pytest.raises(error, match=message):
        run_of(
            tmp_path, tokenizer, tokens=["text.bin"], order={"kind": "megatron"},
            instances={"kind": "megatron", "indices": broken.get("indices", ["cache"])},
            sequence_length=broken.get("sequence_length", T), dtype=broken.get("dtype", "uint32"),
        )  # fmt: skip
