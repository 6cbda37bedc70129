"""The loop in one process: exact resumption, the trace against the order, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.order import permutation, step_trace
from dolma_kit.order.asking.verifying import verify_trace
from dolma_kit.order.run import open_run
from dolma_kit.training import checkpoints, exporting, preparing
from dolma_kit.training.batches import Data
from dolma_kit.training.loop import Trained, train
from dolma_kit.training.sharding import Processes

from .tiny import MODEL, T, told, write_run

GROWTH = {"growth": [{"from_step": 1, "global_batch_size": 4},
                     {"from_step": 7, "global_batch_size": 8}]}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("data"))


def tensors(out: Path) -> dict[str, torch.Tensor]:
    """All numbers of the newest checkpoint, model and optimizer."""
    settings = told(out.parent / "unused", out)
    newest = checkpoints.checkpoints(str(out / "checkpoints"))[-1]
    shape = preparing.shape_of(settings.model)
    model = preparing.Transformer(shape)
    optimizer = preparing.adamw(model, shape, settings.optimizer)
    checkpoints.load(newest, model, optimizer)
    found = {name: p.detach() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        found |= {f"{name} {key}": value for key, value in optimizer.state[p].items()}
    return found


def equal(a: Path, b: Path) -> bool:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    assert any("exp_avg_sq" in key for key in left)
    return all(torch.equal(left[key], right[key]) for key in left)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_run_learns_and_says_what_it_did(run: Path, tmp_path: Path) -> None:
    done = train(told(run, tmp_path / "o", schedule={"steps": 40, "warmup_steps": 3}))
    assert isinstance(done, Trained)
    rows = lines(tmp_path / "o")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert rows[-1]["tokens"] == done.tokens == 40 * 4 * T
    assert rows[-1]["loss"] < 0.85 * rows[0]["loss"]
    assert {row["targets"] for row in rows} == {4 * (T - 1)}
    assert (tmp_path / "o/loss.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "o/tensorboard"))
    board.Reload()
    shown = [(e.step, e.value) for e in board.Scalars("train/loss")]
    assert shown == [(row["step"], pytest.approx(row["loss"], rel=1e-6)) for row in rows]
    kept = [Path(p).name for p in checkpoints.checkpoints(str(tmp_path / "o/checkpoints"))]
    assert kept == ["step39-tokens0B", "step40-tokens0B"]


def test_2n_steps_are_n_and_n_more(run: Path, tmp_path: Path) -> None:
    """Bitwise, over a batch that grows, epochs that end and a kill behind the checkpoint."""
    keys: dict[str, Any] = {"batch": {"micro_batch_size": 2, **GROWTH}}
    train(told(run, tmp_path / "whole", schedule={"steps": 14, "horizon_steps": 40}, **keys))
    half = {"steps": 8, "horizon_steps": 40}
    train(told(run, tmp_path / "parts", schedule=half, **keys))
    # As if it had gone on to step 8 and died: the newest whole checkpoint is that of step 6.
    shutil.rmtree(tmp_path / "parts/checkpoints/step8-tokens0B")
    (tmp_path / "parts/checkpoints/.step8-tokens0B.tmp").mkdir()
    train(told(run, tmp_path / "parts", schedule={"steps": 14, "horizon_steps": 40}, **keys))
    assert equal(tmp_path / "whole", tmp_path / "parts")
    whole, parts = ((tmp_path / n / step_trace.NAME).read_bytes() for n in ("whole", "parts"))
    assert whole == parts
    assert [r["loss"] for r in lines(tmp_path / "whole")] == [
        r["loss"] for r in lines(tmp_path / "parts")
    ]
    assert not (tmp_path / "parts/checkpoints/.step8-tokens0B.tmp").exists()
    again = open_run(tmp_path / "parts" / "run.yaml")
    epochs = {again.schedule.batch(s).epoch for s in range(1, 15)}
    assert epochs == {0, 1, 2}
    assert len(again.schedule.segments) == 2
    assert verify_trace(again, str(tmp_path / "parts" / step_trace.NAME)).equal


def test_the_trace_is_that_of_no_other_run(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "o", batch=GROWTH))
    trace = tmp_path / "o" / step_trace.NAME
    plain = verify_trace(open_run(run), str(trace))
    assert plain.first_difference is not None
    assert (plain.first_difference.step, plain.likely_causes) == (
        7,
        ["batch: 8 instances there, 4 here"],
    )
    other = write_run(tmp_path / "other", order={"kind": "olmo", "seed": 1})
    assert verify_trace(open_run(other), str(trace)).likely_causes == [
        "data: it is of other files, or another order"
    ]
    mine = open_run(tmp_path / "o" / "run.yaml")
    data = bytearray(trace.read_bytes())
    data[64 * 3 + 40] ^= 1
    trace.write_bytes(data)
    broken = verify_trace(mine, str(trace))
    assert broken.first_difference is not None
    assert broken.first_difference.step == 3
    trace.write_bytes(data[: 64 * 3])
    assert verify_trace(mine, str(trace)).likely_causes == [
        "steps: it ends at step 2, the run at 12"
    ]


@pytest.mark.parametrize("masks", [False, True])
def test_accumulation_changes_no_gradient(tmp_path: Path, masks: bool) -> None:
    """1, 2 and 4 micro-batches, with labels that are unequally many: the same step."""
    run = write_run(tmp_path / "data", masks=masks)
    found = []
    for micro in (4, 2, 1):
        settings = told(run, tmp_path / f"o{micro}", batch={"micro_batch_size": micro})
        trainer = preparing.prepare(settings, Processes(0, 1, torch.device("cpu"), None), False)
        from dolma_kit.training.loop import _train_step

        batch = trainer.data.read(1, trainer.data.first_place, 4, 0, 1)
        n_targets = int(batch.is_target.sum())
        assert n_targets == 4 * (T - 1) or masks
        loss, z_loss, norm = _train_step(trainer, batch, n_targets, 1e-3)
        trainer.close()
        found.append((loss, z_loss, norm))
    for row in found[1:]:
        assert row == pytest.approx(found[0], rel=1e-5)


def test_targets(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "data", masks=True, instance_filter={"max_period": 3, "max_count": 3}
    )
    opened = open_run(run)
    data = Data(opened, vocab_size=64)
    whole = data.read(1, data.first_place, 8, 0, 1)
    halves = [data.read(1, data.first_place, 8, rank, 2) for rank in (0, 1)]
    assert np.array_equal(whole.ids[0::2], halves[0].ids)
    assert np.array_equal(whole.is_target[1::2], halves[1].is_target)
    view = opened.view_of(0)
    for row, instance in enumerate(whole.instances.tolist()):
        (span,) = view.instances.spans(instance)
        tokens = np.fromfile(opened.files[span.file].path, "<u2")[span.start : span.end]
        assert whole.ids[row].tolist() == tokens.tolist()
        mask = np.fromfile(opened.description.label_masks[span.file], np.bool_)
        expected = mask[span.start : span.end] & ~opened.is_masked(view, instance)
        expected[0] = False
        assert whole.is_target[row].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("changed", "data", "error", "message"),
    [
        ({"schedule": {"steps": 99}}, {}, ConfigError, "asks for 99 steps, the data has 44"),
        ({"schedule": {"tokens": 10**6}}, {}, ConfigError, "steps, the data has 44"),
        ({}, {"global_batch_size": 64}, ConfigError, "global_batch_size is 64, an epoch has 44"),
        ({"batch": {"micro_batch_size": 3}}, {}, ConfigError, "no multiple of 1 ranks x micro"),
        ({"model": MODEL | {"vocab_size": 20}}, {}, ConfigError, "has the id .*, the model 20 ids"),
        ({}, {"dtype": "uint32"}, (ConfigError, DataError), "has the id|no multiple of 4"),
        ({"checkpoint": {"load_path": "none"}}, {}, MissingInput, "no checkpoint at none"),
    ],
)
def test_refused_before_the_first_step(
    tmp_path: Path, changed: dict[str, Any], data: dict[str, Any], error: Any, message: str
) -> None:
    run = write_run(tmp_path / "data", **data)
    with pytest.raises(error, match=message):
        train(told(run, tmp_path / "o", **changed))
    assert not (tmp_path / "o" / step_trace.NAME).exists()


def test_an_order_that_would_be_replayed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permutation, "STORED", 10)
    monkeypatch.setattr(permutation, "MOST_REPLAYED", 10)
    with pytest.raises(ConfigError, match="of 44 instances takes most of a minute for each step"):
        train(told(run, tmp_path / "o"))


def test_masks_of_other_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "data", masks=True)
    mask = tmp_path / "data" / "b.mask"
    n = mask.stat().st_size
    mask.write_bytes(mask.read_bytes()[:-1])
    with pytest.raises(VerificationError, match=rf"b.mask has {n - 1} bytes, .* {n} tokens"):
        train(told(run, tmp_path / "o"))


def test_going_on_as_another_run_is_refused(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "o"))
    other = write_run(tmp_path / "other", order={"kind": "olmo", "seed": 1})
    more: dict[str, Any] = {"schedule": {"steps": 20}}
    for changed, data, message in (
        ({"model": MODEL | {"n_heads": 4}}, run, "model is .*'n_heads': 2.*'n_heads': 4"),
        ({}, other, "data is '.*' there, '.*' here"),
        ({"seed": 7}, run, "seed is 6198 there, 7 here"),
    ):
        with pytest.raises(VerificationError, match=message):
            train(told(data, tmp_path / "o", **more, **changed))
    for path in checkpoints.checkpoints(str(tmp_path / "o/checkpoints")):
        shutil.rmtree(path)
    with pytest.raises(ConfigError, match="has a trace of steps and no checkpoint to go on from"):
        train(told(run, tmp_path / "o", **more))
    done = train(told(run, tmp_path / "o"), overwrite=True)
    assert done.step == 12


@pytest.mark.parametrize("what", ["state.json", ".metadata", "__0_0.distcp"])
def test_checkpoints_that_are_half_there(run: Path, tmp_path: Path, what: str) -> None:
    train(told(run, tmp_path / "o", schedule={"steps": 3}))
    newest = Path(checkpoints.checkpoints(str(tmp_path / "o/checkpoints"))[-1])
    (newest / what).write_bytes((newest / what).read_bytes()[:40])
    with pytest.raises((ConfigError, DataError)) as error:
        train(told(run, tmp_path / "o"))
    assert str(newest) in str(error.value)


def test_beginning_from_another_runs_weights(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "base"))
    newest = checkpoints.checkpoints(str(tmp_path / "base/checkpoints"))[-1]
    other = write_run(tmp_path / "other", order={"kind": "olmo", "seed": 1})
    load: dict[str, Any] = {
        "load_path": newest, "reset_trainer_state": True, "reset_optimizer_state": True,
    }  # fmt: skip
    train(told(other, tmp_path / "tuned", checkpoint=load, schedule={"steps": 4}))
    assert lines(tmp_path / "tuned")[0]["step"] == 1
    assert lines(tmp_path / "tuned")[0]["loss"] < lines(tmp_path / "base")[2]["loss"]
    with pytest.raises(VerificationError, match="data is"):
        train(told(other, tmp_path / "no", checkpoint={"load_path": newest}))
    more = told(run, tmp_path / "more", checkpoint={"load_path": newest}, schedule={"steps": 14})
    train(more)
    assert [row["step"] for row in lines(tmp_path / "more")] == [13, 14]
    again = open_run(tmp_path / "more" / "run.yaml")
    assert verify_trace(again, str(tmp_path / "more" / step_trace.NAME)).equal


def test_a_loss_that_is_no_number(run: Path, tmp_path: Path) -> None:
    settings = told(run, tmp_path / "o", optimizer={"peak_lr": 1e30, "max_grad_norm": None})
    with pytest.raises(DataError, match=r"step \d+: loss .*: not a number; nothing of this step"):
        train(settings)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's, as it compiles
@pytest.mark.parametrize(
    "changed", [{"compile": "aot_eager"}, {"activation_checkpointing": True},
                {"batch": {"document_masks": True}}, {"precision": "bf16"}],
    ids=["compiled", "recomputed", "document masks", "bf16"],
)  # fmt: skip
def test_ways_to_train(run: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    """Compiled and recomputed blocks change nothing; masks and bf16 do, and learn as well."""
    plain = train(told(run, tmp_path / "plain", schedule={"steps": 6}))
    other = train(told(run, tmp_path / "other", schedule={"steps": 6}, **changed))
    assert plain.loss is not None
    if "batch" in changed or "precision" in changed:
        assert other.loss != plain.loss
        assert other.loss == pytest.approx(plain.loss, rel=0.1)
    else:
        assert other.loss == pytest.approx(plain.loss, rel=1e-5)
    checkpoint = checkpoints.checkpoints(str(tmp_path / "other/checkpoints"))[-1]
    exporting.load_model(checkpoint)  # wrappers are in no name


def test_weights_and_biases(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline: what is logged lies in `out`, and nothing is asked of a network."""
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    log = {"project": "tiny", "mode": "offline"}
    train(told(run, tmp_path / "o", schedule={"steps": 3}, wandb=log))
    (record,) = (tmp_path / "o/wandb").glob("offline-run-*/run-*.wandb")
    assert b"train/loss" in record.read_bytes()


def test_evaluation_that_cannot_be(run: Path, tmp_path: Path) -> None:
    for evaluate, message in (
        ({"run": "none.yaml"}, "no run description"),
        ({"run": str(run)}, "no key tokenizer"),
        ({"requests": ["none.jsonl"]}, "cannot read none.jsonl"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(told(run, tmp_path / "o", evaluate=evaluate))


def test_sigterm_saves(run: Path, tmp_path: Path) -> None:
    settings = told(run, tmp_path / "o", schedule={"steps": 44}, checkpoint={"every": 1})
    import msgspec

    (tmp_path / "train.json").write_bytes(msgspec.json.encode(settings))
    command = [sys.executable, "-m", "dolma_kit", "train", "-c", str(tmp_path / "train.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    trace = tmp_path / "o" / step_trace.NAME
    deadline = time.monotonic() + 60
    while not trace.exists() or trace.stat().st_size < 64 * 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    done = json.loads(out)
    assert process.returncode == 0
    assert done["stopped_by_signal"] or done["step"] == 44
    newest = checkpoints.checkpoints(str(tmp_path / "o/checkpoints"))[-1]
    assert checkpoints.read_state(newest).step == done["step"]
    assert train(settings).step == 44
