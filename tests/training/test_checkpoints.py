"""What a checkpoint keeps and what train.yaml says again; that none is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dolma_kit import energy
from dolma_kit.energy import Meter
from dolma_kit.errors import ConfigError, MissingInput
from dolma_kit.training import checkpoints, exporting, preparing, recording
from dolma_kit.training.loop import train
from dolma_kit.training.sharding import start

from .tiny import MODEL, T, told, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("data"))


def newest(out: Path) -> str:
    return checkpoints.checkpoints(str(out / "checkpoints"))[-1]


def test_what_the_optimizer_was_told_stays(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "o", schedule={"steps": 2}))
    load = {"load_path": newest(tmp_path / "o"), "reset_trainer_state": True}
    for n, decay in enumerate(("all-but-embeddings", "linear", "everything")):
        keys = {
            "peak_lr": 1e-3, "weight_decay": 0.05, "betas": [0.8, 0.99], "eps": 1e-3,
            "decay": decay,
        }  # fmt: skip
        settings = told(
            run, tmp_path / f"p{n}", schedule={"steps": 3}, optimizer=keys, checkpoint=load
        )
        trainer = preparing.prepare(settings, start(), False)
        groups = trainer.optimizer.param_groups
        found = [(g["weight_decay"], *g["betas"], g["eps"]) for g in groups]
        expected = [(0.05, 0.8, 0.99, 1e-3), (0.0, 0.8, 0.99, 1e-3)]
        assert found == expected[: len(groups)]
        assert len(groups) == (1 if decay == "everything" else 2)
        for p in trainer.model.parameters():
            assert trainer.optimizer.state[p]["step"] == 2
            assert trainer.optimizer.state[p]["exp_avg_sq"].any()
        trainer.close()
        assert train(settings).step == 3


def test_a_step_is_saved_once(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    save = checkpoints.save

    def counted(*arguments: object) -> str:
        made.append(save(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(checkpoints, "save", counted)
    train(told(run, tmp_path / "o", schedule={"steps": 6}))
    assert [os.path.basename(path) for path in made] == ["step3-tokens0B", "step6-tokens0B"]


def test_what_goes_has_lost_its_name_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it removes: what is left does not pass for a checkpoint, and goes next time."""
    train(told(run, tmp_path / "o", schedule={"steps": 6}))
    folder = str(tmp_path / "o/checkpoints")

    def killed(path: str, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            os.unlink(next(Path(path).glob("*.distcp")))
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.keep_newest(folder, 1)
    assert [os.path.basename(p) for p in checkpoints.checkpoints(folder)] == ["step6-tokens0B"]
    checkpoints.keep_newest(folder, 1)
    assert os.listdir(folder) == ["step6-tokens0B"]


def test_nothing_is_removed_before_all_is_checked(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    evaluate = {"every": 2, "run": str(run)}
    with pytest.raises(ConfigError, match="no key tokenizer"):
        train(told(run, out, schedule={"steps": 4}, evaluate=evaluate))
    train(told(run, out, schedule={"steps": 4}))
    kept = newest(out)
    missing = {"requests": [str(tmp_path / "none.jsonl")]}
    with pytest.raises(ConfigError, match="cannot read"):
        train(told(run, out, schedule={"steps": 4}, evaluate=missing), overwrite=True)
    with pytest.raises(ConfigError, match="the data has 44"):
        train(told(run, out, schedule={"steps": 999}), overwrite=True)
    assert newest(out) == kept
    again = {"load_path": kept, "reset_trainer_state": True}
    done = train(told(run, out, schedule={"steps": 2}, checkpoint=again), overwrite=True)
    assert done.step == 2
    assert [os.path.basename(p) for p in checkpoints.checkpoints(str(out / "checkpoints"))] == [
        "step2-tokens0B"
    ]


def test_evaluations_of_steps_that_are_not_any_more(tmp_path: Path) -> None:
    for step in (1, 2, 3, 2):
        recording.add_evaluation(str(tmp_path), {"step": step})
    path = tmp_path / "evaluations.jsonl"
    assert [json.loads(row)["step"] for row in path.read_text().splitlines()] == [1, 2]
    recording.cut_evaluations(str(tmp_path), 1)
    assert [json.loads(row)["step"] for row in path.read_text().splitlines()] == [1]


def test_a_mean_and_a_folder_know_their_length(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "o", schedule={"steps": 6}))
    paths = checkpoints.checkpoints(str(tmp_path / "o/checkpoints"))
    mean = exporting.soup(paths, str(tmp_path / "soup")).outputs[0]
    parent = checkpoints.read_state(paths[0]).identity
    identity = checkpoints.read_state(mean).identity
    assert identity == parent | {"mean_of": [os.path.basename(p) for p in paths]}
    assert identity["sequence_length"] == T
    exporting.export(mean, str(tmp_path / "hf"))
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert config["max_position_embeddings"] == T
    made = exporting.import_folder(str(tmp_path / "hf"), str(tmp_path / "back")).outputs[0]
    assert checkpoints.read_state(made).identity["sequence_length"] == T


def test_ids_that_pad_are_no_other_model(run: Path, tmp_path: Path) -> None:
    """A folder has one number of ids, with the padding; a published size has another beside it."""
    model = MODEL | {"embedding_size": 128}
    train(told(run, tmp_path / "o", schedule={"steps": 1}, model=model))
    exporting.export(newest(tmp_path / "o"), str(tmp_path / "hf"))
    made = exporting.import_folder(str(tmp_path / "hf"), str(tmp_path / "back")).outputs[0]
    load = {"load_path": made, "reset_trainer_state": True, "reset_optimizer_state": True}
    done = train(told(run, tmp_path / "p", schedule={"steps": 1}, model=model, checkpoint=load))
    assert done.step == 1


def test_paths_of_indices_move_too(tmp_path: Path) -> None:
    keys = {
        "tokens": ["a.bin"], "order": {"kind": "megatron"},
        "instances": {"kind": "megatron", "indices": ["a.idx", "/b.idx"], "blend": "c.npy"},
    }  # fmt: skip
    found = recording._moved(keys, str(tmp_path / "run"), str(tmp_path / "out"))
    assert found["tokens"] == ["../run/a.bin"]
    assert found["instances"]["indices"] == ["../run/a.idx", "/b.idx"]
    assert found["instances"]["blend"] == "../run/c.npy"
    assert keys["instances"]["indices"] == ["a.idx", "/b.idx"]  # type: ignore[index]


def test_one_process_of_a_machine_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("9000000000")
    (zone / "energy_uj").write_text("0")
    now = 0.0
    monkeypatch.setattr(energy.time, "monotonic", lambda: now)
    first, other = (
        Meter(device=None, watts=400, rapl=str(tmp_path), counts_machine=c) for c in (True, False)
    )
    for hour in range(1, 4):  # 3.6 Wh, in which the counter runs over each 2.5
        now = 3600.0 * hour
        (zone / "energy_uj").write_text(str(hour * 4_320_000_000 % 9_000_000_000))
        first.keep_up()
    assert (first.source, other.source) == ("rapl", "rapl")
    assert first.kwh() == pytest.approx(0.0036)
    assert other.kwh() == 0.0


def test_no_checkpoint_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="which is written last"):
        checkpoints.read_state(str(tmp_path))
