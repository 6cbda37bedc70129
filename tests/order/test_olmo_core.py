"""OLMo-core's orders and instances, against its loader restated."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order.permutation import OlmoCorePermutation
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step

from .naive_core import core_batches, core_order, packed
from .tiny_run import write_ids, write_run


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(1, 200),
    seed=st.integers(0, 2**33),
    epoch=st.integers(1, 3),
    chunk_size=st.sampled_from([1, 2, 4, 8]),
)
def test_equals_the_loader(n: int, seed: int, epoch: int, chunk_size: int) -> None:
    if n < chunk_size:
        return
    order = OlmoCorePermutation(n, seed=seed, epoch=epoch, chunk_size=chunk_size)
    expected = core_order(n, seed, epoch, chunk_size, 1)
    assert len(order) == len(expected)
    assert order.instances_at(0, len(order)).tolist() == expected
    assert order.positions_of_each(range(n)) == {
        i: tuple(p for p, found in enumerate(expected) if found == i) for i in range(n)
    }


def run_of(folder: Path, tokenizer: Path, files: dict[str, list[int]], **changed: Any) -> Run:
    """A run over files of ids, each one document list with EOS 0."""
    for name, ids in files.items():
        ends = [i + 1 for i, token in enumerate(ids) if token == 0]
        ends += [len(ids)] if not ends or ends[-1] != len(ids) else []
        documents = {
            f"{name}{start}": ids[start:end]
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        }
        write_ids(folder / name, documents)
    keys = {
        "tokens": [f"{name}.npy" for name in files],
        "dtype": "uint32",
        "eos_token_id": 0,
        "tokenizer": str(tokenizer),
        "order": {"kind": "olmo-core", "seed": 34521, "world_size": 2},
        "global_batch_size": 4,
        "epochs": 2,
    }
    return open_run(write_run(folder, tokenizer, **(keys | changed)))


IDS = [int(i) for i in np.random.default_rng(7).integers(0, 9, 400)]
FILES = {"p": IDS[:150], "q": IDS[150:157], "r": IDS[157:]}


@pytest.mark.parametrize("longest", [None, 8, 16, 32])
def test_fixed_length(tmp_path: Path, tokenizer: Path, longest: int | None) -> None:
    form = {"kind": "fixed", "max_target_sequence_length": longest}
    run = run_of(tmp_path, tokenizer, FILES, instances=form)
    whole = longest or 8
    starts = [
        (name, start)
        for name, ids in FILES.items()
        for start in range(0, len(ids) // whole * whole, 8)
    ]
    assert run.instances.n_instances == len(starts)
    step = 0
    for epoch in (1, 2):
        order = core_order(len(starts), 34521, epoch, whole // 8, 4)
        for batch, ranks in enumerate(core_batches(order, 4, 2)):
            step += 1
            answer = trace_step(run, step)
            assert (answer.step, answer.batch, answer.epoch) == (step, batch, epoch)
            for rank, expected in enumerate(ranks):
                mine = [i.instance for i in answer.instances if i.rank == rank]
                assert mine == expected
            for one in answer.instances:
                name, start = starts[one.instance]
                spans = run.instances.spans(one.instance)
                assert [(f"{tuple(FILES)[s.file]}", s.start, s.end) for s in spans] == [
                    (name, start, start + 8)
                ]
    assert run.n_steps == step


def test_the_order_survives_a_longer_sequence(tmp_path: Path, tokenizer: Path) -> None:
    """Twice the length, half the instances: the same tokens in the same order."""
    form = {"kind": "fixed", "max_target_sequence_length": 16}
    short = run_of(tmp_path / "s", tokenizer, FILES, instances=form)
    long = run_of(
        tmp_path / "l", tokenizer, FILES, instances=form, sequence_length=16, global_batch_size=2
    )
    for step in range(1, long.n_steps + 1):
        of_long = [long.instances.spans(int(i))[0] for i in long.step(step).instances]
        of_short = [short.instances.spans(int(i))[0] for i in short.step(step).instances]
        assert [(s.file, s.start + d) for s in of_long for d in (0, 8)] == [
            (s.file, s.start) for s in of_short
        ]


def test_a_mixture_takes_the_head_of_files(tmp_path: Path, tokenizer: Path) -> None:
    run_of(tmp_path, tokenizer, FILES)
    table = tmp_path / "run.files.csv"
    sizes = {name: 4 * len(ids) for name, ids in FILES.items()}
    rows = [("p.npy", sizes["p"], 40), ("r.npy", sizes["r"], 16), ("p.npy", sizes["p"], 24)]
    table.write_text(
        "path,bytes,label,sha256,taken\n" + "".join(f"{p},{n},x,,{k}\n" for p, n, k in rows)
    )
    run = run_of(tmp_path, tokenizer, FILES, tokens="run.files.csv", epochs=1)
    assert [(s.file, s.start) for i in range(10) for s in run.instances.spans(i)] == [
        *((0, 8 * i) for i in range(5)),
        *((1, 8 * i) for i in range(2)),
        *((2, 8 * i) for i in range(3)),
    ]
    answer = trace_doc(run, f"p{max(i + 1 for i in range(100) if FILES['p'][i] == 0)}")
    assert (answer.seen, answer.never) == ([], "not-sampled")
    order = core_order(10, 34521, 1, 1, 4)
    assert [int(i) for s in (1, 2) for i in run.step(s).instances] == order


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_packed(tokenizer: Path, data: st.DataObject) -> None:
    ids = st.lists(st.integers(0, 5), min_size=1, max_size=80)
    files = {name: data.draw(ids) for name in "pqr"[: data.draw(st.integers(1, 3))]}
    form = {
        "kind": "packed",
        "long_documents": data.draw(st.sampled_from(["truncate", "fragment"])),
        "group_size": data.draw(st.integers(1, 3)),
    }
    names = list(files)
    expected: list[list[tuple[int, int, int]]] = []
    for first in range(0, len(names), form["group_size"]):
        group = [files[n] for n in names[first : first + form["group_size"]]]
        for instance in packed(group, 0, 8, form["long_documents"]):
            expected.append([(first + f, a, b) for f, a, b in instance])
    if len(expected) < 2:
        return
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(Path(folder), tokenizer, files, instances=form, global_batch_size=2, epochs=1)
        found = [[tuple(s) for s in run.instances.spans(i)] for i in range(len(expected))]
        assert found == expected
        assert run.instances.n_instances == len(expected)
        order = core_order(len(expected), 34521, 1, 1, 2)
        steps = range(1, run.n_steps + 1)
        assert [int(i) for s in steps for i in run.step(s).instances] == order
        # every token of every instance is a sighting of its document, and there is no other
        seen = {
            (s.instance, k, file, token)
            for file, name in enumerate(names)
            for token in range(len(files[name]))
            for s in run.sightings([(file, token, token + 1)])[0]
            for k in range(s.start, s.end)
        }
        assert seen == {
            (i, k, file, start + k - at)
            for i in order
            for (file, start, end), at in zip(
                expected[i],
                np.cumsum([0] + [b - a for _, a, b in expected[i]])[:-1].tolist(),
                strict=True,
            )
            for k in range(at, at + end - start)
        }


def test_packed_parts_and_reasons(tmp_path: Path, tokenizer: Path) -> None:
    files = {"p": [5] * 9 + [0] + [6] * 3 + [0] + [7] * 2}
    run = run_of(
        tmp_path, tokenizer, files, instances={"kind": "packed"}, global_batch_size=2, epochs=1,
        order={"kind": "olmo-core", "seed": 1},
    )  # fmt: skip
    parts = {i: [(p.id, p.start, p.end, p.doc_start) for p in run.parts_of(i)] for i in (0, 1)}
    assert parts == {0: [("p0", 0, 8, 0)], 1: [("p10", 0, 4, 0)]}
    assert run.sightings([(0, 8, 10)]) == ([], "truncated")
    assert trace_doc(run, "p14").never == "file-remainder"


def test_packed_needs_a_power_of_two(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(ConfigError, match="sequence_length 12 is no power of two"):
        run_of(tmp_path, tokenizer, FILES, instances={"kind": "packed"}, sequence_length=12)
