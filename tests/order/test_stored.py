"""Orders in files: what OLMo has written, or trace export; of this run, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order import stored
from dolma_kit.order.export import export_global_indices
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_step
from dolma_kit.order.stored import StoredPermutation

from .naive_loader import global_indices
from .tiny_run import write_run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dolma-kit" / "orders"


def write(path: Path, order: list[int], dtype: str = "<u4") -> str:
    np.array(order, dtype).tofile(path)
    return str(path)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(1, 90),
    world_size=st.integers(1, 12),
    drop_last=st.booleans(),
    with_inverse=st.booleans(),
    wide=st.booleans(),
)
def test_answers_as_the_order_does(
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    world_size: int,
    drop_last: bool,
    with_inverse: bool,
    wide: bool,
) -> None:
    folder = tmp_path_factory.mktemp("order")
    order = global_indices(n, 6198, 0, world_size, drop_last)
    if not order or (wide and len(order) < 16):
        return
    path = write(folder / "global_indices.npy", order, "<u8" if wide else "<u4")
    inverse = None
    if with_inverse:
        places = [order.index(i) if i in order else 0xFFFFFFFF for i in range(n)]
        inverse = write(folder / "inverse.npy", places)
    found = StoredPermutation(
        n, path, epoch=0, inverse=inverse, padded_to=len(order),
        dtype="uint64" if wide else "uint32",
    )  # fmt: skip
    assert [found[p] for p in range(len(found))] == order
    assert found.instances_at(0, len(order)).tolist() == order
    assert found.positions_of_each(range(n)) == {
        i: tuple(p for p, value in enumerate(order) if value == i) for i in range(n)
    }


@pytest.mark.parametrize("kind", ["file", "olmo"])
def test_a_run_by_its_stored_orders(tmp_path: Path, tokenizer: Path, kind: str) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    for epoch in (0, 1):
        inverse = tmp_path / f"i{epoch}.npy"
        export_global_indices(run, tmp_path / f"o{epoch}.npy", epoch, inverse)
    order: dict[str, Any] = {"kind": kind, "world_size": 2, "inverse": "i{epoch}.npy"}
    order |= (
        {"path": "o{epoch}.npy"} if kind == "file" else {"stored": "o{epoch}.npy", "seed": 6198}
    )
    again = open_run(write_run(tmp_path, tokenizer, order=order))
    assert again.n_steps == run.n_steps
    for step in range(1, run.n_steps + 1):
        assert trace_step(again, step) == trace_step(run, step)
    for doc_id in ("w1", "twice", "end"):
        assert again.steps_of(doc_id) == run.steps_of(doc_id)


def refused(run: Run, path: str, **keys: Any) -> str:
    with pytest.raises((VerificationError, DataError, ConfigError)) as error:
        StoredPermutation(run.instances.n_instances, path, epoch=0, **keys)
    return str(error.value)


def test_an_order_of_another_run(tmp_path: Path, tokenizer: Path) -> None:
    run = open_run(write_run(tmp_path, tokenizer))
    n = run.instances.n_instances
    of = global_indices
    longer = refused(run, write(tmp_path / "longer", of(n + 5, 6198, 0, 1, True)))
    assert f"has {n + 5} positions, the run's files give {n} instances" in longer
    foreign = [i + 1 for i in of(n, 6198, 0, 1, True)]
    said = refused(run, write(tmp_path / "range", foreign))
    assert f"instance {n} is there (position {foreign.index(n)}); the run's files give {n}" in said
    double = of(n, 6198, 0, 1, True)
    double[5] = double[2]
    said = refused(run, write(tmp_path / "twice", double))
    assert f"instance {double[2]} stands twice (position 5)" in said
    assert "12 bytes are no order" not in said
    assert "are no order" in refused(run, write(tmp_path / "odd", [1, 2, 3], "<u2"))
    np.save(tmp_path / "with.npy", np.arange(n, dtype=np.uint32))
    assert "has a numpy header" in refused(run, str(tmp_path / "with.npy"))
    assert "looks like uint64" in refused(
        run, write(tmp_path / "wide", of(n, 1, 0, 1, True), "<u8")
    )
    assert "cannot read the order" in refused(run, str(tmp_path / "none"))
    good = write(tmp_path / "good", of(n, 6198, 0, 1, True))
    said = refused(run, good, inverse=write(tmp_path / "inverse", list(range(n))))
    assert "is not the inverse" in said
    said = refused(run, good, inverse=write(tmp_path / "short", [0]))
    assert f"has 1 places, the run has {n} instances" in said
    other = write(tmp_path / "other", of(n, 6199, 0, 2, True))
    said = refused(run, other, made=run.order)
    assert "is not the order that this run has" in said
    padded = of(n, 6198, 0, 1, True)
    said = refused(run, write(tmp_path / "padded", [*padded, padded[3]]), padded_to=n + 1)
    assert "does not repeat its head" in said


def test_a_file_is_checked_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "o", global_indices(50, 1, 0, 1, True))
    StoredPermutation(50, path, epoch=0)
    assert len(list(cache.iterdir())) == 1

    def never(*_: object) -> int:
        raise AssertionError("read again")

    monkeypatch.setattr(stored.kernels.order_files, "first_fault", never)
    StoredPermutation(50, path, epoch=0)
    with pytest.raises(AssertionError):
        StoredPermutation(51, path, epoch=0)


def test_where_nothing_can_be_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    path = write(tmp_path / "o", global_indices(50, 1, 0, 1, True))
    assert len(StoredPermutation(50, path, epoch=0)) == 50
