"""Which tokens of what was seen are labels, against the mask by the documents' own places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dolma_kit.cli.trace import step_text
from dolma_kit.errors import VerificationError
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step

from .tiny_run import CODE, WEB, T, write_run

NAMES = ("part-00000", "part-00001")


def masked_run(folder: Path, tokenizer: Path, **changed: Any) -> tuple[Run, dict[str, Any]]:
    """A run with masks, and (mask of its file, start in it) of each document."""
    path = write_run(folder, tokenizer, label_masks=[f"{n}.mask" for n in NAMES], **changed)
    draw, places = np.random.default_rng(3), {}
    for name, documents in zip(NAMES, (WEB, CODE), strict=True):
        n = (folder / f"tokens/{name}.npy").stat().st_size // 4
        mask = draw.choice(np.array([0, 0, 1, 255], np.uint8), n)
        mask.tofile(folder / f"{name}.mask")
        places |= {doc_id: (mask, None) for doc_id, *_ in documents if doc_id != "twice"}
    run = open_run(path)
    for file in range(len(NAMES)):
        for document in run.documents(file).within(0, run.files[file].n_tokens):
            if document.id in places:
                places[document.id] = (places[document.id][0], document.start)
    return run, places


@pytest.mark.parametrize(
    "changed",
    [{}, {"segments": [{"truncate_to": T - 3}]}, {"instances": {"kind": "packed"}, "epochs": 1}],
    ids=["fixed", "truncated", "packed"],
)
def test_labels_are_those_of_the_mask(
    tmp_path: Path, tokenizer: Path, changed: dict[str, Any]
) -> None:
    if "instances" in changed:
        changed |= {"order": {"kind": "olmo-core", "seed": 1}, "global_batch_size": 2}
    run, places = masked_run(tmp_path, tokenizer, **changed)
    seen: dict[str, list[tuple[int, int, int | None]]] = {}
    n_parts = 0
    for step in range(1, run.n_steps + 1):
        for instance in trace_step(run, step).instances:
            for part in instance.documents:
                if part.id not in places:
                    continue
                mask, start = places[part.id]
                of_it = mask[start + part.doc_start : start + part.doc_end]
                assert part.labels == np.count_nonzero(of_it)
                seen.setdefault(part.id, []).append((step, instance.instance, part.labels))
                n_parts += 1
    assert n_parts > 5
    for doc_id, expected in seen.items():
        found = trace_doc(run, doc_id).seen
        assert sorted((s.step, s.instance, s.labels) for s in found) == sorted(expected)


def test_a_person_is_told(tmp_path: Path, tokenizer: Path) -> None:
    run, _ = masked_run(tmp_path, tokenizer)
    answer = trace_step(run, 1)
    part = answer.instances[0].documents[0]
    assert f", {part.labels} of them labels" in step_text(answer)


def test_without_masks_nothing_is_said(run_yaml: Path) -> None:
    run = open_run(run_yaml)
    assert run.label_masks is None
    assert b"labels" not in msgspec.json.encode(trace_step(run, 1))
    assert "labels" not in step_text(trace_step(run, 1))


def test_a_mask_of_another_length(tmp_path: Path, tokenizer: Path) -> None:
    run, _ = masked_run(tmp_path, tokenizer)
    with open(tmp_path / "part-00001.mask", "ab") as stream:
        stream.write(b"\0")
    with pytest.raises(VerificationError, match="a mask has a byte for each"):
        trace_step(run, 1)
