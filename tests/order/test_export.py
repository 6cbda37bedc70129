from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dolma_kit.errors import ConfigError
from dolma_kit.order import export
from dolma_kit.order.run import open_run

from .naive_loader import global_indices


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
