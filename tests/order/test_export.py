from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dolma_kit.errors import ConfigError
from dolma_kit.order import export
from dolma_kit.order.run import open_run

from .naive_loader import global_indices
from .tiny_run import write_run


@pytest.mark.parametrize("epoch", [None, 0, 1])
def test_equals_the_file_olmo_makes(
    run_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int | None
) -> None:
    monkeypatch.setattr(export, "POSITIONS_AT_ONCE", 5)
    run = open_run(run_yaml)
    path = tmp_path / "out" / "global_indices.npy"
    n_positions = export.export_global_indices(run, path, epoch)
    expected = global_indices(run.instances.n_instances, 6198, epoch or 0, 2, True)
    assert np.fromfile(path, dtype="<u4").tolist() == expected
    assert path.stat().st_size == 4 * n_positions == 4 * len(run.order)
    assert os.listdir(path.parent) == ["global_indices.npy"]


def test_failed_export_keeps_what_was_there(
    run_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "global_indices.npy"
    path.parent.mkdir()
    path.write_bytes(b"before")

    def killed(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        export.export_global_indices(open_run(run_yaml), path)
    assert path.read_bytes() == b"before"
    assert os.listdir(path.parent) == ["global_indices.npy"]


def test_epoch_that_the_run_has_not(run_yaml: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epochs 0 to 1, not 2"):
        export.export_global_indices(open_run(run_yaml), tmp_path / "x", 2)


@pytest.mark.parametrize("free", [0, 1 << 40])
@pytest.mark.parametrize("kind", ["olmo", "olmo-core"])
def test_a_large_order_is_shuffled_in_memory_or_in_the_file(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, free: int, kind: str
) -> None:
    order = {"kind": kind, "seed": 6198, "world_size": 2}
    run = open_run(write_run(tmp_path, tokenizer, order=order))
    monkeypatch.setattr(export, "POSITIONS_AT_ONCE", 5)
    monkeypatch.setattr(export, "available_memory", lambda: free)
    n = export.export_global_indices(run, tmp_path / "o", None, tmp_path / "i")
    written = np.fromfile(tmp_path / "o", "<u4")
    assert written.tolist() == run.order.instances_at(0, n).tolist()
    places = np.fromfile(tmp_path / "i", "<u4")
    assert len(places) == run.instances.n_instances
    assert places[written].tolist() == list(range(n))
    assert (places == 0xFFFFFFFF).sum() == run.instances.n_instances - n
