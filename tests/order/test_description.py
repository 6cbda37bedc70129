from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.order.description import load

from .tiny_run import write_run

DESIGN = """
tokens: [tokens/part-00000.npy, tokens/part-00000.npy]
tokenizer: tokens/tiny.json
eos_token_id: 0
dtype: uint32
sequence_length: 8
global_batch_size: 2
order: {kind: olmo, seed: 6198, epoch: 0, world_size: 1, drop_last: true}
epochs: 1
instance_filter: null
documents: null
segments: []
"""


def rewrite(path: Path, **changed: Any) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changed))


def test_every_key_of_the_design(run_yaml: Path) -> None:
    run_yaml.write_text(DESIGN)
    run = load(run_yaml)
    part = str(run_yaml.parent / "tokens" / "part-00000.npy")
    assert run.tokens == [part, part]
    assert run.tokenizer == str(run_yaml.parent / "tokens" / "tiny.json")
    assert run.order.seed == 6198


def test_absent_keys_come_from_tokens_json(run_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_yaml.parent.parent)  # paths are relative to the file, not to this
    run = load(Path(run_yaml.parent.name) / "run.yaml")
    folder = run_yaml.parent / "tokens"
    assert (run.dtype, run.eos_token_id) == ("uint32", 0)
    assert run.tokenizer == str(folder / "tiny.json")
    assert run.tokens == [str(folder / "part-00000.npy"), str(folder / "part-00001.npy")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sequence_lenght": 8}, "unknown key 'sequence_lenght'; did you mean 'sequence_length'?"),
        ({"order": {"kind": "olmo", "sed": 1}}, "unknown key 'sed' in order; did you mean 'seed'?"),
        (
            {"order": {"kind": "shuffled", "seed": 1}},
            "Invalid enum value 'shuffled' - at `order.kind`",
        ),
        ({"order": {"kind": "olmo", "seed": -1}}, "Expected `int` >= 0 - at `order.seed`"),
        ({"order": {"kind": "olmo"}}, "missing the key `seed`"),
        ({"instance_filter": {"max_perod": 13}}, "unknown key 'max_perod' in instance_filter"),
        ({"segments": [{"from_stp": 1}]}, "unknown key 'from_stp'"),
        ({"segments": [{"from_step": 0}]}, "Expected `int` >= 1 - at `segments[0].from_step`"),
        (
            {"order": {"kind": "feistel", "seed": 1, "chunk_size": 2}},
            "order kind feistel has no key 'chunk_size'; its keys: drop_last, epoch, seed",
        ),
        ({"order": {"kind": "file"}}, "order kind file has no key path"),
        ({"order": {"kind": "olmo", "seed": 1, "inverse": "i"}}, "add stored"),
        (
            {"order": {"kind": "olmo-core", "seed": 1, "epoch": 0}},
            "order.epoch is 0, OLMo-core's epochs count from 1",
        ),
        ({"tokens": []}, "Expected `array` of length >= 1 - at `tokens`"),
        ({"epochs": 0}, "Expected `int` >= 1 - at `epochs`"),
        ({"global_batch_size": "8"}, "Expected `int`, got `str` - at `global_batch_size`"),
        ({"dtype": "uint16"}, "dtype is uint16, tokens.json beside the tokens says uint32"),
        ({"eos_token_id": 7}, "eos_token_id is 7, tokens.json beside the tokens says 0"),
    ],
)
def test_wrong_keys(run_yaml: Path, changed: dict[str, Any], message: str) -> None:
    rewrite(run_yaml, **changed)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load(run_yaml)
    assert str(run_yaml) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_dtype_anywhere(run_yaml: Path) -> None:
    (run_yaml.parent / "tokens" / "tokens.json").unlink()
    with pytest.raises(ConfigError, match="add dtype: uint16 or uint32"):
        load(run_yaml)
    rewrite(run_yaml, dtype="uint32")
    assert load(run_yaml).tokenizer is None


@pytest.mark.parametrize(
    ("content", "message"), [("{", "truncated"), ('{"version": 2}', "Invalid enum value 2")]
)
def test_bad_tokens_json(run_yaml: Path, content: str, message: str) -> None:
    (run_yaml.parent / "tokens" / "tokens.json").write_text(content)
    with pytest.raises(DataError, match=f"tokens.json: .*{message}"):
        load(run_yaml)


def test_folders_of_two_tokenizers(tmp_path: Path, tokenizer: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, tokenizer)
    path = tmp_path / "b" / "tokens" / "tokens.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 5}))
    rewrite(
        tmp_path / "a" / "run.yaml",
        tokens=["tokens/part-00000.npy", "../b/tokens/part-00000.npy"],
    )
    with pytest.raises(ConfigError, match=r"eos_token_id is 0 in .* 5 in "):
        load(tmp_path / "a" / "run.yaml")


@pytest.mark.parametrize("content", [None, "tokens: [", "- a list"])
def test_no_description(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load(path)
