"""Exposure, plans, comparisons and verifications, against counts of single tokens."""

from __future__ import annotations

import gzip
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.order.asking.comparing import compare
from dolma_kit.order.asking.exposure import exposure_at
from dolma_kit.order.asking.planning import plan_of
from dolma_kit.order.asking.verifying import verify_order_file, verify_ranks
from dolma_kit.order.documents import DocumentTable
from dolma_kit.order.export import export_global_indices
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_step

from .naive_loader import global_indices
from .tiny_run import write_run

SPECS: dict[str, dict[str, Any]] = {
    "two epochs": {},
    "feistel, three epochs": {"order": {"kind": "feistel", "seed": 5}, "epochs": 3},
    "a path twice": {
        "tokens": ["tokens/part-00001.npy", "tokens/part-00000.npy", "tokens/part-00001.npy"]
    },
    "padded": {
        "order": {"kind": "olmo", "seed": 1, "world_size": 4, "drop_last": False},
        "global_batch_size": 8,
        "epochs": 3,
    },
    "a warm-up, a skip, another length": {
        "segments": [
            {"to_step": 2, "global_batch_size": 2},
            {"to_step": 3, "skip": True},
            {"to_step": 5, "sequence_length": 4, "epoch": 0, "first_position": 0},
        ]
    },
    "masked": {"instance_filter": {"max_period": 2, "min_period": 1, "max_count": 3}},
}


@pytest.fixture(params=list(SPECS.values()), ids=list(SPECS))
def run(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: Path) -> Run:
    return open_run(write_run(tmp_path, tokenizer, **request.param))


def test_exposure_counts_every_token(run: Run) -> None:
    until = max(1, run.n_steps - 1)
    times: Counter[tuple[int, int]] = Counter()  # by file and token
    last: dict[tuple[int, int], int] = {}
    masked = 0
    for step in range(1, until + 1):
        seen = run.step(step)
        for instance in seen.instances.tolist():
            (span,) = seen._view.instances.spans(instance)
            status = seen.status(instance)
            masked += (span.end - span.start) * (status == "masked")
            if status == "trained":
                for token in range(span.start, span.end):
                    times[span.file, token] += 1
                    last[span.file, token] = step
    found = exposure_at(run, until)
    assert (found.tokens, found.unique_tokens) == (times.total(), len(times))
    assert found.masked_tokens == masked
    assert found.times_seen == dict(sorted(Counter(times.values()).items()))
    since = sorted(until - step for step in last.values())
    if since:
        assert (found.steps_since["min"], found.steps_since["max"]) == (since[0], since[-1])
    by_source: dict[str, list[tuple[int, int]]] = defaultdict(list)
    documents: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for n in range(len(run.files)):
        table = run.documents(n)
        assert isinstance(table, DocumentTable)
        for row in range(len(table)):
            document = table[row]
            tokens = [(n, t) for t in range(document.start, document.end)]
            source = document.source or "unknown"
            by_source[source] += tokens
            documents[source][0] += any(t in times for t in tokens)
            documents[source][1] += 1
    assert [one.source for one in found.sources] == sorted(by_source)
    for one in found.sources:
        tokens = by_source[one.source]
        its = [t for t in tokens if t in times]
        assert one.available_tokens == len(tokens)
        assert one.tokens == sum(times[t] for t in its)
        assert one.unique_tokens == len(its)
        assert [one.documents_seen, one.documents] == documents[one.source]
        assert one.share == round(one.tokens / found.tokens, 6)
        if its:
            mean = sum(until - last[t] for t in its) / len(its)
            assert math.isclose(one.steps_since or 0.0, mean, abs_tol=0.01)


def test_exposure_by_label_where_documents_are_not_known(tmp_path: Path, tokenizer: Path) -> None:
    path = write_run(tmp_path, tokenizer)
    sizes = [f.n_bytes for f in open_run(path).files]
    (tmp_path / "run.files.csv").write_text(
        "path,bytes,label,sha256,taken\n"
        f"gone/a.npy,{sizes[0]},web,,\ngone/b.npy,{sizes[1]},code,,\n"
    )
    run = open_run(write_run(tmp_path, tokenizer, tokens="run.files.csv", dtype="uint32"))
    found = exposure_at(run, run.n_steps)
    assert [(s.source, s.documents) for s in found.sources] == [("code", None), ("web", None)]
    assert sum(s.tokens for s in found.sources) == found.tokens == run.n_steps * 4 * 8


def test_exposure_of_a_fork_counts_its_parent(tmp_path: Path, tokenizer: Path) -> None:
    parent = open_run(write_run(tmp_path, tokenizer))
    (tmp_path / "parent.yaml").write_text((tmp_path / "run.yaml").read_text())
    segments = [{"to_step": 2, "parent": "parent.yaml"}, {"to_step": 4}]
    fork = open_run(write_run(tmp_path, tokenizer, segments=segments))
    assert exposure_at(fork, 4) == exposure_at(parent, 4)
    other = open_run(
        write_run(
            tmp_path, tokenizer, tokens=["tokens/part-00000.npy"], global_batch_size=2,
            segments=[{"to_step": 2, "parent": "parent.yaml"}, {"to_step": 3}],
        )
    )  # fmt: skip
    with pytest.raises(ConfigError, match="its parent, has other files"):
        exposure_at(other, 3)


def test_exposure_beyond_the_end(run_yaml: Path) -> None:
    with pytest.raises(ConfigError, match="step 99 is beyond the end"):
        exposure_at(open_run(run_yaml), 99)


def test_a_plan_has_the_bytes_of_every_instance(run: Run) -> None:
    for step in range(1, run.n_steps + 1):
        plan = plan_of(run, step)
        seen = run.step(step)
        planned = {(one.path, b) for one in plan.ranges for b in range(one.start, one.end)}
        needed = {
            (run.files[s.file].path, b)
            for i in seen.instances.tolist()
            for s in seen._view.instances.spans(i)
            for b in range(4 * s.start, 4 * s.end)
        }
        assert planned == needed
        assert plan.bytes == len(needed)
        assert {i for one in plan.ranges for i in one.instances} == set(seen.instances.tolist())
        places = [(one.path, one.start) for one in plan.ranges]
        assert places == sorted(set(places))


def test_equal_runs(tmp_path: Path, tokenizer: Path) -> None:
    a = open_run(write_run(tmp_path / "a", tokenizer))
    b = open_run(write_run(tmp_path / "b", tokenizer))
    found = compare(a, b)
    assert found.fingerprints[0] == found.fingerprints[1] == a.fingerprint
    assert (found.differences, found.first_different_step) == ([], None)
    assert found.shared_instances == found.instances[0] == found.instances[1]


@pytest.mark.parametrize(
    ("changed", "first", "what"),
    [
        ({"order": {"kind": "olmo", "seed": 6199, "world_size": 2}}, 1, "order"),
        ({"segments": [{"to_step": 3}, {"epoch": 1, "first_position": 0}]}, 4, "schedule"),
        ({"tokens": ["tokens/part-00001.npy", "tokens/part-00000.npy"]}, 1, None),
    ],
)
def test_runs_that_differ(
    tmp_path: Path, tokenizer: Path, changed: dict[str, Any], first: int, what: str | None
) -> None:
    a = open_run(write_run(tmp_path / "a", tokenizer))
    b = open_run(write_run(tmp_path / "b", tokenizer, **changed))
    found = compare(a, b)
    assert found.first_different_step == first
    assert found.fingerprints[0] != found.fingerprints[1]
    assert what is None or what in [one.what for one in found.differences]

    def read(run: Run) -> set[tuple[str, int]]:
        return {
            (Path(run.files[s.file].path).name, s.start)
            for step in range(1, found.steps_compared + 1)
            for i in run.step(step).instances.tolist()
            for s in run.instances.spans(i)
        }

    assert found.instances == [len(read(a)), len(read(b))]
    assert found.shared_instances == len(read(a) & read(b))


def test_other_files(tmp_path: Path, tokenizer: Path) -> None:
    a = open_run(write_run(tmp_path / "a", tokenizer))
    b = open_run(write_run(tmp_path / "b", tokenizer, tokens=["tokens/part-00000.npy"]))
    found = compare(a, b, until=1)
    assert (found.only_a, found.only_b) == (["part-00001.npy"], [])


def verified(run: Run, path: Path, order: list[int] | Any) -> Any:
    np.array(order, "<u4").tofile(path)
    return verify_order_file(run, str(path))


def test_an_order_file_of_this_run(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    export_global_indices(run, tmp_path / "o", 1)
    found = verify_order_file(run, str(tmp_path / "o"), 1)
    assert (found.equal, found.first_difference, found.likely_causes) == (True, None, [])
    assert not verify_order_file(run, str(tmp_path / "o")).equal


def test_the_likely_cause_of_a_difference(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    n = run.instances.n_instances
    path = tmp_path / "o"

    def causes(order: list[int]) -> str:
        found = verified(run, path, order)
        assert not found.equal
        return "; ".join(found.likely_causes)

    assert causes(global_indices(n, 6199, 0, 2, True)).startswith("seed: 6199, not 6198")
    assert causes(global_indices(n, 6200, 0, 2, True)).startswith("epoch: 2, not 0")
    assert causes(global_indices(n, 6198, 0, 5, True)).startswith("tail: the file has 15")
    assert causes(list(range(n - 1))).startswith("kind: it is not shuffled")
    chunks = np.arange(n // 2, dtype=np.uint32)
    np.random.Generator(np.random.PCG64(6198)).shuffle(chunks)
    chunked = (np.repeat(chunks * 2, 2) + np.tile([0, 1], n // 2)).tolist()
    assert causes(chunked).startswith("chunk: chunk_size 2, not 1")
    longer = causes(global_indices(n + 7, 6198, 0, 1, True))
    assert longer.startswith(f"missing paths: the file has {n + 7} positions")
    sizes = [f.n_tokens // 8 for f in run.files]
    assert "paths: without " in causes(global_indices(sizes[0], 6198, 0, 1, True))
    assert "once more" in causes(global_indices(n + sizes[1], 6198, 0, 1, True))
    half = sum(f.n_tokens // 4 for f in run.files)
    assert "length: with sequence_length 4, not 8" in causes(global_indices(half, 1, 0, 1, True))
    wide = np.array(global_indices(n, 6198, 0, 2, True), "<u8").view("<u4").tolist()
    assert causes(wide).startswith("dtype: every second value is 0")
    swapped = global_indices(n, 6198, 0, 2, True)
    swapped[3], swapped[9] = swapped[9], swapped[3]
    found = verified(run, path, swapped)
    assert (found.first_difference.position, found.first_difference.run) == (3, swapped[9])


def test_order_files_that_are_none(tmp_path: Path, run_yaml: Path) -> None:
    run = open_run(run_yaml)
    with pytest.raises(ConfigError, match="cannot read the order"):
        verify_order_file(run, str(tmp_path / "none"))
    (tmp_path / "odd").write_bytes(b"123")
    with pytest.raises(DataError, match="3 bytes are no order"):
        verify_order_file(run, str(tmp_path / "odd"))


def write_ranks(folder: Path, run: Run, *, shift: int = 0) -> list[str]:
    paths = []
    for rank in (0, 1):
        lines = []
        for step in range(1, run.n_steps + 1):
            instances = run.step(step).instances[rank::2]
            lines.append("\t".join(map(str, [step + shift, *instances.tolist()])) + "\n")
        path = folder / f"rank{rank}.tsv.gz"
        path.write_bytes(gzip.compress("".join(lines).encode()))
        paths.append(str(path))
    return paths


def test_what_ranks_recorded(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    assert verify_ranks(run, write_ranks(tmp_path, run)).equal
    shifted = verify_ranks(run, write_ranks(tmp_path, run, shift=1))
    assert shifted.first_difference is not None
    assert (shifted.first_difference.step, shifted.first_difference.rank) == (2, 0)
    assert "steps: what is recorded for step 2 is step 1 of the run" in shifted.likely_causes
    paths = write_ranks(tmp_path, run)
    first, second = (Path(p).read_bytes() for p in paths)
    Path(paths[0]).write_bytes(second)
    Path(paths[1]).write_bytes(first)
    swapped = verify_ranks(run, paths)
    assert "ranks: what is recorded for rank 0 is rank 1 of the run" in swapped.likely_causes


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("rank0.tsv", b"1\tx\n", "rank0.tsv:1: not a step and its instances"),
        ("ranks.tsv", b"", "is named rank{r}.tsv.gz"),
        ("rank7.tsv", b"", "is of rank 7, the run has world_size 2"),
    ],
)
def test_records_that_are_none(run_yaml: Path, name: str, data: bytes, message: str) -> None:
    path = run_yaml.parent / name
    path.write_bytes(data)
    with pytest.raises((ConfigError, DataError)) as error:
        verify_ranks(open_run(run_yaml), [str(path)])
    assert message in str(error.value)


def test_a_record_that_is_cut_short(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    path = Path(write_ranks(run_yaml.parent, run)[0])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="broken or truncated gzip"):
        verify_ranks(run, [str(path)])


def test_a_fingerprint_moves_with_its_files(tmp_path: Path, tokenizer: Path) -> None:
    a = open_run(write_run(tmp_path / "a", tokenizer))
    b = open_run(write_run(tmp_path / "elsewhere" / "b", tokenizer))
    assert a.fingerprint == b.fingerprint
    others = [
        {"order": {"kind": "feistel", "seed": 6198, "world_size": 2}},
        {"epochs": 1},
        {"sequence_length": 4},
        {"instance_filter": {"max_count": 32}},
        {"global_batch_size": 2},
    ]
    found = {open_run(write_run(tmp_path / "a", tokenizer, **c)).fingerprint for c in others}
    assert len(found | {a.fingerprint}) == len(others) + 1


def test_ranks_and_micro_batches(run_yaml: Path) -> None:
    from dolma_kit.order.steps import Ranks

    run = open_run(run_yaml)
    whole = trace_step(run, 3)
    for rank in (0, 1):
        part = trace_step(run, 3, Ranks(rank, None, 1))
        assert [i.instance for i in part.instances] == [
            i.instance for i in whole.instances if i.rank == rank
        ]
        assert [i.micro_batch for i in part.instances] == [0, 1]
    four = trace_step(run, 3, Ranks(None, 4, None))
    assert [i.rank for i in four.instances] == [0, 1, 2, 3]
    for ranks, message in (
        (Ranks(2), "no rank 2: there are 2, from 0"),
        (Ranks(0, 3), "3 ranks cannot share a batch of 4"),
        (Ranks(0, 2, 3), "a rank has 2 instances of a batch, no multiple of 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            trace_step(run, 3, ranks)
