"""Folders that transformers loads, with logits equal to ours; and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.training import checkpoints, exporting
from dolma_kit.training.loop import train
from dolma_kit.training.models import Transformer

from .tiny import MODEL, told, write_run

SHAPES: dict[str, dict[str, Any]] = {
    "olmo2": {},
    "olmo1, tied": {"family": "olmo1", "tied": True},
    "olmo1, untied, clipped": {"family": "olmo1", "tied": False, "clip_qkv": 0.05},
    "olmo2, tied, padded": {"tied": True, "embedding_size": 96},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("data"))


def trained(run: Path, out: Path, **model: Any) -> str:
    train(told(run, out, model=MODEL | model, schedule={"steps": 4}))
    return checkpoints.checkpoints(str(out / "checkpoints"))[-1]


@pytest.mark.parametrize("model", list(SHAPES.values()), ids=list(SHAPES))
def test_transformers_gives_our_logits(run: Path, tmp_path: Path, model: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    checkpoint = trained(run, tmp_path / "o", **model)
    exporting.export(checkpoint, str(tmp_path / "hf"), eos_token_id=0)
    theirs, information = AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not information["missing_keys"]
    assert not information["unexpected_keys"]
    ours, *_ = exporting.load_model(checkpoint)
    ids = torch.randint(0, 64, (3, 16), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, ours(ids), atol=1e-4, rtol=0)
    assert type(theirs).__name__ == json.loads((tmp_path / "hf/config.json").read_text())[
        "architectures"
    ][0]  # fmt: skip


@pytest.mark.parametrize("model", list(SHAPES.values()), ids=list(SHAPES))
def test_there_and_back(run: Path, tmp_path: Path, model: dict[str, Any]) -> None:
    checkpoint = trained(run, tmp_path / "o", **model)
    exporting.export(checkpoint, str(tmp_path / "hf"))
    made = exporting.import_folder(str(tmp_path / "hf"), str(tmp_path / "back"))
    before, after = (exporting.load_model(path)[0] for path in (checkpoint, made.outputs[0]))
    for (name, p), (_, q) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        assert torch.equal(p, q), name
    load = {
        "load_path": made.outputs[0], "reset_trainer_state": True, "reset_optimizer_state": True,
    }  # fmt: skip
    vocabulary = {"vocab_size": 96} if model.get("embedding_size") else {}
    keys = MODEL | model | vocabulary
    more = told(run, tmp_path / "more", model=keys, checkpoint=load, schedule={"steps": 2})
    if model.get("init") is None and not model.get("clip_qkv"):
        train(more)


def test_a_mean_of_checkpoints(run: Path, tmp_path: Path) -> None:
    train(told(run, tmp_path / "o", schedule={"steps": 9}, checkpoint={"every": 3, "keep": 3}))
    paths = checkpoints.checkpoints(str(tmp_path / "o/checkpoints"))
    made = exporting.soup(paths, str(tmp_path / "soup"))
    models = [exporting.load_model(path)[0] for path in paths]
    mean, *_ = exporting.load_model(made.outputs[0])
    for name, value in mean.named_parameters():
        parts = torch.stack([dict(m.named_parameters())[name].detach() for m in models])
        assert torch.allclose(value, parts.mean(0), atol=1e-7)
    other = trained(run, tmp_path / "other", n_layers=1)
    with pytest.raises(VerificationError, match="a model of another shape"):
        exporting.soup([paths[0], other], str(tmp_path / "no"))
    with pytest.raises(ConfigError, match="two checkpoints or more"):
        exporting.soup(paths[:1], str(tmp_path / "no"))


def test_half_precision(run: Path, tmp_path: Path) -> None:
    checkpoint = trained(run, tmp_path / "o")
    exporting.export(checkpoint, str(tmp_path / "hf"), dtype="bfloat16")
    weights, _ = exporting.read_folder(str(tmp_path / "hf"))
    ours, *_ = exporting.load_model(checkpoint)
    for name, value in ours.named_parameters():
        assert torch.equal(weights[name], value.detach().bfloat16().float())


def test_folders_that_are_none(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no model at"):
        exporting.read_folder(str(tmp_path))
    exporting.export(trained(run, tmp_path / "o"), str(tmp_path / "hf"))
    config = json.loads((tmp_path / "hf/config.json").read_text())
    for changed, error, message in (
        ({"model_type": "llama"}, ConfigError, "model_type llama: olmo and olmo2 are read"),
        ({"num_key_value_heads": 1}, ConfigError, "grouped queries"),
        ({"intermediate_size": 65}, DataError, "the config says"),
        ({"num_hidden_layers": 1}, DataError, "has weights that the model has not"),
    ):
        (tmp_path / "hf/config.json").write_text(json.dumps(config | changed))
        with pytest.raises(error, match=message):
            exporting.read_folder(str(tmp_path / "hf"))
    with pytest.raises(MissingInput, match="no checkpoint at"):
        exporting.export(str(tmp_path), str(tmp_path / "x"))


def test_our_names_are_all_named() -> None:
    from dolma_kit.training.models import SIZES

    for name in ("olmo1-tiny", "olmo2-tiny"):
        named = [exporting.hf_name(n) for n, _ in Transformer(SIZES[name]).named_parameters()]
        assert len(set(named)) == len(named)
