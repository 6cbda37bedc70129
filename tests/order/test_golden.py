"""Batches of OLMo's and OLMo-core's own loaders (tests/golden/make_orders.py has asked them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dolma_kit.order.importing.writing import Options, import_run
from dolma_kit.order.run import Run, open_run

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "golden" / "orders.json").read_text(encoding="utf-8")
)


def opened(folder: Path, case: dict[str, Any]) -> Run:
    """The run of a case: of OLMo's, as a run.yaml; of OLMo-core's, imported from its config."""
    for i, ids in enumerate(case["files"]):
        np.array(ids, "<u2").tofile(folder / f"p{i}.npy")
    path = folder / "run.yaml"
    if case["kind"] == "olmo":
        keys = {
            "tokens": [f"p{i}.npy" for i in range(len(case["files"]))],
            "dtype": "uint16",
            "sequence_length": case["sequence_length"],
            "global_batch_size": case["global_batch_size"],
            "order": {"kind": "olmo", **case["order"]},
            "epochs": len(case["epochs"]),
        }
        path.write_text(yaml.safe_dump(keys))
        return open_run(path)
    config = json.dumps(case["config"]).replace("FOLDER", str(folder))
    (folder / "config.json").write_text(config)
    paths = [str(folder / name) for name in case["paths"]]
    (folder / "data_paths.txt").write_text("\n".join(paths))
    import_run(str(folder), str(path), Options(world_size=case["world_size"]))
    return open_run(path)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c['kind']}" for i, c in enumerate(CASES)])
def test_equals_their_loaders(tmp_path: Path, case: dict[str, Any]) -> None:
    run = opened(tmp_path, case)
    assert run.instances.n_instances == len(case["items"])
    for instance, expected in enumerate(case["items"]):
        spans = run.instances.spans(instance)
        ids = [int(i) for s in spans for i in run.files[s.file].read(s.start, s.end)]
        ids += [case.get("pad", 0)] * (run.instances.sequence_length - len(ids))
        assert ids == expected
        if "masked" in case:
            assert run.is_masked(run.view_of(0), instance) == case["masked"][instance]
    step = 0
    for _, ranks in sorted(case["epochs"].items()):
        world_size = len(ranks)
        per_rank = run.description.global_batch_size // world_size
        for batch in range(len(ranks[0]) // per_rank):
            step += 1
            found = run.step(step).instances
            for rank, instances in enumerate(ranks):
                its = instances[batch * per_rank : (batch + 1) * per_rank]
                assert found[rank::world_size].tolist() == its
    assert run.n_steps == step
