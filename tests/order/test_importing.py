"""Runs of other programs, imported and asked: batches are those that their loaders give."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.documents import DocumentTable
from dolma_kit.order.importing import revisions
from dolma_kit.order.importing.mixture import Source, taken_of
from dolma_kit.order.importing.train_state import read_state
from dolma_kit.order.importing.writing import Options, import_run
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.steps import trace_doc, trace_step

from ..served import Served, serving
from .naive_core import GptDataset, core_order, write_index
from .naive_loader import global_indices
from .tiny_run import T, write_run


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Path) -> Path:
    """A folder with tokens/part-0000[01].npy and their lists of documents."""
    write_run(tmp_path, tokenizer)
    (tmp_path / "run.yaml").unlink()
    (tmp_path / "tokens" / "tokens.json").unlink()
    return tmp_path


def olmo_config(folder: Path, /, **changed: Any) -> Path:
    parts = [str(folder / "tokens" / f"part-0000{i}.npy") for i in (0, 1)]
    config: dict[str, Any] = {
        "run_name": "tiny",
        "seed": 6198,
        "save_folder": "${path.choose:${oc.env:SCRATCH_DIR,no_exist}/a,/b}/${run_name}",
        "model": {"max_sequence_length": T, "eos_token_id": 0, "vocab_size": 300},
        "tokenizer": {"identifier": "tiny.json"},
        "global_train_batch_size": 4,
        "max_duration": "1ep",
        "data": {"paths": parts, "memmap_dtype": "uint32", "drop_last": True},
    }
    for key, value in changed.items():
        if isinstance(value, dict):
            config[key] = config[key] | value
        else:
            config[key] = value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def steps(run: Run) -> list[list[int]]:
    return [run.step(s).instances.tolist() for s in range(run.schedule.first_step, run.n_steps + 1)]


def imported(source: Path, /, **options: Any) -> tuple[Run, list[str]]:
    out = source.parent / "imported.yaml"
    made = import_run(str(source), str(out), Options(**options))
    assert made.outputs == [str(out), str(out).removesuffix(".yaml") + ".files.csv"]
    return open_run(out), made.warnings


def test_olmo_config(folder: Path) -> None:
    (folder / "tiny.json").write_bytes((folder / "tokens" / "tiny.json").read_bytes())
    run, warnings = imported(olmo_config(folder))
    n = run.instances.n_instances
    order = global_indices(n, 6198, 0, 1, True)
    assert steps(run) == [order[i : i + 4] for i in range(0, n - 3, 4)]
    assert trace_doc(run, "w1").seen
    assert trace_step(run, 1).instances[0].documents[0].text
    assert any("the world size is not known" in w for w in warnings)
    text = (folder / "imported.yaml").read_text()
    assert "tokens: imported.files.csv" in text
    assert "tokens/part-00000.npy," in (folder / "imported.files.csv").read_text()


def test_every_question_about_order_without_a_token_file(folder: Path) -> None:
    run, _ = imported(olmo_config(folder))
    expected = steps(run)
    for path in (folder / "tokens").iterdir():
        path.unlink()
    assert steps(open_run(folder / "imported.yaml")) == expected
    with pytest.raises(ConfigError, match=r"no token file|no documents of"):
        trace_step(open_run(folder / "imported.yaml"), 1)


def test_a_file_that_has_become_another(folder: Path) -> None:
    imported(olmo_config(folder))
    part = folder / "tokens" / "part-00000.npy"
    n_bytes = part.stat().st_size
    part.write_bytes(part.read_bytes()[:-4])
    with pytest.raises(VerificationError, match=f"has {n_bytes - 4} bytes, .* says {n_bytes}"):
        open_run(folder / "imported.yaml")


def test_datasets_are_read_by_label(folder: Path) -> None:
    parts = [str(folder / "tokens" / f"part-0000{i}.npy") for i in (0, 1)]
    data = {"paths": None, "datasets": {"web": [parts[0]], "code": [parts[1], parts[1]]}}
    run, _ = imported(olmo_config(folder, data=data))
    assert [Path(f.path).name for f in run.files] == [
        "part-00001.npy", "part-00001.npy", "part-00000.npy",
    ]  # fmt: skip
    assert [f.label for f in run.files] == ["code", "code", "web"]


def test_keys_of_the_config(folder: Path) -> None:
    data = {
        "seed": 7,
        "drop_last": False,
        "instance_filter": {"repetition_max_period": 5, "repetition_max_count": 9},
        "label_mask_paths": ["m.npy"],
    }
    run, warnings = imported(
        olmo_config(folder, data=data, model={"eos_token_id": 0, "vocab_size": 50280})
    )
    order = run.description.order
    assert (order.seed, order.drop_last) == (7, False)
    assert run.description.eos_token_id == 50279
    found = run.description.instance_filter
    assert found is not None
    assert (found.max_period, found.min_period, found.max_count) == (5, 1, 9)
    assert any("means 50279" in w for w in warnings)
    assert any("label masks" in w for w in warnings)


def save(path: Path, state: dict[str, Any]) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def train_state(**changed: Any) -> dict[str, Any]:
    import torch

    return {
        "epoch": 0,
        "global_step": 3,
        "global_train_examples_seen_this_epoch": 12,
        "global_train_tokens_seen": 96,
        "world_size": 2,
        "checkpoints": [Path("/runs/step3-unsharded")],
        "rng": {
            "python": (3, (1, 2), None),
            "numpy": ("MT19937", np.arange(4, dtype=np.uint32), 4, 0, 0.0),
            "torch": torch.zeros(8, dtype=torch.uint8),
        },
    } | changed


def test_a_train_state_ends_the_run(folder: Path) -> None:
    config = olmo_config(folder)
    save(folder / "train.pt", train_state())
    run, _ = imported(config)
    assert (run.n_steps, run.description.order.world_size) == (3, 2)
    (span,) = run.instances.spans(run.order[13])
    assert run.sightings([tuple(span)]) == ([], "not-reached")


def test_a_train_state_of_skipped_batches(folder: Path) -> None:
    config = olmo_config(folder)
    save(folder / "train.pt", train_state(global_train_examples_seen_this_epoch=8, world_size=1))
    run, warnings = imported(config)
    assert any("3 steps of 4 are 12 instances, the state has 8" in w for w in warnings)
    n = run.instances.n_instances
    order = global_indices(n, 6198, 0, 1, True)
    assert steps(run) == [order[i : i + 4] for i in range(8, n - 3, 4)]
    assert run.schedule.first_step == 4
    with pytest.raises(ConfigError, match="step 2 is before the run's first, 4"):
        run.step(2)


def test_a_train_state_of_the_second_epoch(folder: Path) -> None:
    config = olmo_config(folder)
    save(
        folder / "train.pt",
        train_state(epoch=1, global_step=5, global_train_examples_seen_this_epoch=4),
    )
    run, _ = imported(config)
    order = global_indices(run.instances.n_instances, 6198, 1, 2, True)
    assert run.step(6).instances.tolist() == order[4:8]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch owned",))


def test_a_state_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"global_step": 1, "x": Evil()}))
    with pytest.raises(DataError, match=r"names \w+\.system, which no train state holds"):
        read_state(str(path))
    for name in ("eval", "exec", "getattr", "__import__", "open"):
        path.write_bytes(f"cbuiltins\n{name}\n(S'1'\ntR.".encode())
        with pytest.raises(DataError, match=f"names builtins.{name}"):
            read_state(str(path))
    assert not (tmp_path / "owned").exists()
    # what torch itself has is a stand-in, and is not torch's
    path.write_bytes(b"ctorch.serialization\nload\n(S'x'\ntR.")
    with pytest.raises(DataError, match="holds a load, not the state"):
        read_state(str(path))


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04rest", b"\x80\x04.", b"nonsense", b"\x80\x04K\x01."]
)
def test_states_that_are_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "train.pt").write_bytes(data)
    with pytest.raises(DataError):
        read_state(str(tmp_path / "train.pt"))


def test_a_state_keeps_its_values(tmp_path: Path) -> None:
    save(tmp_path / "train.pt", train_state(more=OrderedDict(a=[1, {"b": (2.5, None)}])))
    state = read_state(str(tmp_path / "train.pt"))
    assert (state["global_step"], state["more"]) == (3, {"a": [1, {"b": (2.5, None)}]})


def test_a_config_is_not_the_run() -> None:
    """OLMo 7B: its yaml says 2048 instances, 556,000 steps and 2,460 billion tokens say 2160."""
    listed = revisions.read(["step556000-tokens2460B", "step1000-tokens4B"])
    with pytest.raises(ConfigError) as error:
        revisions.check(listed, 2048, 2048)
    assert "step556000-tokens2460B: 2,460 billion tokens in 556,000 steps" in str(error.value)
    assert "about 2,160 instances" in str(error.value)
    revisions.check(listed, 2160, 2048)


@pytest.mark.parametrize(
    ("name", "step", "tokens", "stage"),
    [
        ("step1000-tokens4B", 1000, 4 * 10**9, ""),
        ("stage2-ingredient1-step11931-tokens50B", 11931, 50 * 10**9, "stage2-ingredient1"),
        ("https://x/ai2-llm/olmo-medium/wvc30anm/step477000-unsharded/", 477000, None, ""),
        ("stage1-step928646-tokens3T", 928646, 3 * 10**12, "stage1"),
    ],
)
def test_names_of_checkpoints(name: str, step: int, tokens: int | None, stage: str) -> None:
    found = revisions.parse(name)
    assert (found.step, found.tokens, found.stage) == (step, tokens, stage)


def test_a_list_of_checkpoints_has_the_lineage(folder: Path) -> None:
    listed = folder / "checkpoints.csv"
    listed.write_text(
        "Step,Checkpoint Directory\n"
        + "".join(f"{s},https://x/olmo/{run}/step{s}-unsharded/\n"
                  for s, run in ((0, "aaa"), (1, "aaa"), (2, "aaa"), (3, "bbb"), (4, "bbb")))
    )  # fmt: skip
    config = olmo_config(folder)
    run, _ = imported(config, revisions=[str(listed)])
    assert [(s.from_step, s.to_step, s.note) for s in run.description.segments] == [
        (1, 2, "trained by aaa"),
        (3, 4, "trained by bbb"),
    ]
    whole = global_indices(run.instances.n_instances, 6198, 0, 1, True)
    assert steps(run) == [whole[i : i + 4] for i in range(0, 16, 4)]
    at, _ = imported(config, revisions=[str(listed)], at="step3-unsharded")
    assert at.n_steps == 3
    with pytest.raises(ConfigError, match=r"no revision step9 among .* the nearest are step4"):
        imported(config, revisions=[str(listed)], at="step9")


def test_epochs_are_as_many_as_the_steps_need(folder: Path) -> None:
    run, _ = imported(olmo_config(folder, max_duration=11))
    assert (run.n_steps, run.description.epochs) == (11, 3)
    run, warnings = imported(olmo_config(folder, max_duration="2e2T"))
    assert run.n_steps == 7  # 200 tokens are 6.25 batches
    assert any("a config is not the run" in w for w in warnings)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"data": {"paths": None}}, {}, "either paths or datasets"),
        ({"global_train_batch_size": None}, {}, "no global_batch_size: give --global-batch-size"),
        ({"model": None}, {}, "no model: is it the config of an OLMo run"),
        ({}, {"revisions": ["step2-tokens90B"]}, "step2-tokens90B: 90 billion tokens in 2 steps"),
        ({}, {"at": "main"}, "'main' names no step"),
        ({}, {"revisions": ["{folder}/config.yaml"]}, "lists no revision"),
    ],
)
def test_configs_that_are_refused(
    folder: Path, changed: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    config = olmo_config(folder, **changed)
    filled = {
        k: [one.format(folder=folder) for one in v] if isinstance(v, list) else v
        for k, v in options.items()
    }
    with pytest.raises((ConfigError, DataError)) as error:
        imported(config, **filled)
    assert message in str(error.value)


def core_checkpoint(folder: Path, /, **changed: Any) -> Path:
    parts = [str(folder / "tokens" / f"part-0000{i}.npy") for i in (0, 1)]
    config: dict[str, Any] = {
        "dataset": {
            "_CLASS_": "olmo_core.data.numpy_dataset.NumpyFSLDatasetConfig",
            "sequence_length": T,
            "dtype": "uint32",
            "tokenizer": {"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 1},
        },
        "data_loader": {"global_batch_size": 4 * T, "seed": 34521},
        "trainer": {"max_duration": {"value": 2, "unit": "epochs"}, "callbacks": {}},
    }
    for key, value in changed.items():
        config[key] = config[key] | value
    checkpoint = folder / "step3"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "data_paths.txt").write_text("\n".join(parts))
    return checkpoint


def test_olmo_core_checkpoint(folder: Path) -> None:
    checkpoint = core_checkpoint(folder)
    run, warnings = imported(checkpoint)
    n = run.instances.n_instances
    both = [core_order(n, 34521, epoch, 1, 4) for epoch in (1, 2)]
    assert steps(run) == [order[i : i + 4] for order in both for i in range(0, len(order), 4)]
    assert any("no train/rank0.pt" in w for w in warnings)
    loader = {"batches_processed": 3, "tokens_processed": 96, "seed": 7, "epoch": 1}
    save(checkpoint / "train" / "rank0.pt", {"global_step": 3, "data_loader": loader})
    run, warnings = imported(checkpoint)
    assert run.n_steps == 3
    assert steps(run)[0] == core_order(n, 7, 1, 1, 4)[:4]
    assert any("the state's seed is 7, the config's 34521" in w for w in warnings)


def test_olmo_core_schedule_of_batches(folder: Path) -> None:
    """2 instances; 4 from 32 tokens on, but only once whole ones of the new size were read."""
    callback = {
        "_CLASS_": "olmo_core.train.callbacks.batch_size_scheduler.BatchSizeSchedulerCallback",
        "batch_sizes": [2 * T, 4 * T],
        "schedule": [{"value": 0, "unit": "tokens"}, {"value": 40, "unit": "tokens"}],
    }
    trainer = {"callbacks": {"batches": callback}, "max_duration": {"value": 4, "unit": "steps"}}
    run, _ = imported(core_checkpoint(folder, trainer=trainer))
    order = core_order(run.instances.n_instances, 34521, 1, 1, 1)
    assert steps(run) == [order[0:2], order[2:4], order[4:6], order[6:8]]
    trainer["max_duration"] = {"value": 6, "unit": "steps"}
    run, _ = imported(core_checkpoint(folder, trainer=trainer))
    assert steps(run)[4:] == [order[8:12], order[12:16]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("olmo_core.data.numpy_dataset.NumpyVSLDatasetConfig", "variable sequence lengths"),
        ("olmo_core.data.numpy_dataset.NumpyPaddedFSLDatasetConfig", "padded instances"),
        ("olmo_core.data.numpy_dataset.NumpyInterleavedFSLDatasetConfig", "interleaved documents"),
        (
            "olmo_core.data.composable.ConcatAndChunkInstanceSourceConfig",
            "is a composable dataset",
        ),
        (
            "olmo_core.data.new.SomethingConfig",
            "datasets of the class SomethingConfig are not known",
        ),
    ],
)
def test_olmo_core_datasets_that_are_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        imported(core_checkpoint(folder, dataset={"_CLASS_": name}))
    assert message in str(error.value)
    assert name.split(".")[-1] in str(error.value)


def test_olmo_core_packed(folder: Path) -> None:
    name = "olmo_core.data.numpy_dataset.NumpyPackedFSLDatasetConfig"
    dataset = {"_CLASS_": name, "long_doc_strategy": "fragment", "source_group_size": 2}
    run, _ = imported(core_checkpoint(folder, dataset=dataset))
    n = run.instances.n_instances
    assert run.description.instances.kind == "packed"
    assert steps(run)[0] == core_order(n, 34521, 1, 1, 4)[:4]


def test_a_source_mixture(folder: Path) -> None:
    parts = [str(folder / "tokens" / f"part-0000{i}.npy") for i in (0, 1)]
    sizes = [os.path.getsize(part) // 4 for part in parts]
    mixture = {
        "requested_tokens": 120,
        "global_batch_size": 4 * T,
        "source_list": {
            "sources": [
                {"source_name": "web", "target_ratio": 0.5, "paths": [parts[0]]},
                {
                    "source_name": "code", "target_ratio": 0.5, "paths": [parts[1]],
                    "max_repetition_ratio": 4.0,
                },
            ]
        },
    }  # fmt: skip
    run, _ = imported(core_checkpoint(folder, dataset={"source_mixture_config": mixture}))
    # four batches of four: 60 tokens of each are 7 instances and a half
    assert run.instances.n_instances == 16
    assert next((f.label, f.taken) for f in run.files if f.taken) == ("web", 64)
    assert sum(f.taken or 0 for f in run.files if f.label == "code") == 64
    assert all((f.taken or 0) <= max(sizes) for f in run.files)


@pytest.mark.parametrize(
    ("sources", "requested", "expected"),
    [
        # half of each file, cut to instances; of equal remainders the last one gets one more
        ([("a", 1.0, {"x": 40, "y": 24})], 32, [("x", 16), ("y", 16)]),
        ([("a", 1.0, {"x": 44, "y": 20})], 32, [("x", 24), ("y", 8)]),
        # twice and a half: whole repeats of all files first
        ([("a", 1.0, {"x": 16})], 40, [("x", 16), ("x", 16), ("x", 8)]),
        ([("a", 0.25, {"x": 64}), ("b", 0.75, {"y": 64})], 64, [("x", 16), ("y", 48)]),
    ],
)
def test_what_a_mixture_takes(
    sources: list[tuple[str, float, dict[str, int]]],
    requested: int,
    expected: list[tuple[str, int]],
) -> None:
    n_tokens = {path: n for _, _, files in sources for path, n in files.items()}
    found = taken_of(
        [Source(name, ratio, list(files), max_repetition=9.0) for name, ratio, files in sources],
        n_tokens,
        requested_tokens=requested,
        batch_tokens=8,
        sequence_length=8,
    )
    assert [(one.path, one.tokens) for one in found] == expected


def test_a_mixture_with_too_little() -> None:
    with pytest.raises(ConfigError, match="source a is to give 100 tokens, it has 40"):
        taken_of(
            [Source("a", 1.0, ["x"])], {"x": 40}, requested_tokens=100, batch_tokens=8,
            sequence_length=8,
        )  # fmt: skip


def test_a_data_mix(folder: Path) -> None:
    mix = folder / "mix.txt"
    mix.write_text("web,{TOKENIZER}/part-00000.npy\n\ncode,{TOKENIZER}/part-00001.npy\n")
    options: dict[str, Any] = {
        "seed": 3, "sequence_length": T, "global_batch_size": 4, "dtype": "uint32",
        "tokenizer_name": "tokens", "roots": [("tokens", str(folder / "tokens"))],
    }  # fmt: skip
    run, _ = imported(mix, **options)
    assert [f.label for f in run.files] == ["web", "code"]
    assert steps(run)[0] == core_order(run.instances.n_instances, 3, 1, 1, 4)[:4]
    with pytest.raises(ConfigError, match="give --tokenizer-name"):
        imported(mix, **(options | {"tokenizer_name": None}))
    with pytest.raises(ConfigError, match="give --seed"):
        imported(mix, **(options | {"seed": None}))
    mix.write_text("no comma here\n")
    with pytest.raises(DataError, match=r"mix.txt:1: is not `label,path`"):
        imported(mix, **options)


def test_an_order_file(folder: Path) -> None:
    parts = [str(folder / "tokens" / f"part-0000{i}.npy") for i in (0, 1)]
    run, _ = imported(olmo_config(folder))
    order = global_indices(run.instances.n_instances, 77, 0, 1, True)
    np.array(order, "<u4").tofile(folder / "global_indices.npy")
    options: dict[str, Any] = {
        "tokens": parts, "sequence_length": T, "global_batch_size": 4, "dtype": "uint32",
    }  # fmt: skip
    run, _ = imported(folder / "global_indices.npy", **options)
    assert steps(run) == [order[i : i + 4] for i in range(0, len(order) - 3, 4)]
    with pytest.raises(ConfigError, match="name the token files with --tokens"):
        imported(folder / "global_indices.npy")


def test_the_public_order_file_of_another_list_of_files(tmp_path: Path) -> None:
    """OLMo#538: 925,801,835 positions, and files of 925,201,012 instances. The file is sparse:
    nothing of it is read before its length has told."""
    with open(tmp_path / "global_indices.npy", "wb") as stream:
        stream.truncate(4 * 925_801_835)
    (tmp_path / "t.csv").write_text(f"path,bytes\nx.npy,{2 * 2048 * 925_201_012}\n")
    (tmp_path / "run.yaml").write_text(
        "tokens: t.csv\ndtype: uint16\nsequence_length: 2048\nglobal_batch_size: 2048\n"
        "order: {kind: file, path: global_indices.npy}\n"
    )
    with pytest.raises(VerificationError, match=r"has 925801835 .* give 925201012 instances"):
        open_run(tmp_path / "run.yaml")


def test_pythia(tmp_path: Path) -> None:
    sequences = [[i] * (T + 1) for i in range(9)]
    write_index(tmp_path / "pile", sequences, list(range(9)), 8)
    run, warnings = imported(tmp_path / "pile.idx", global_batch_size=4, eos_token_id=0)
    assert steps(run) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert run.description.sequence_length == T
    assert any("step s is step s + 1" in w for w in warnings)
    write_index(tmp_path / "docs", [[1] * 5, [2] * 9], [0, 1], 8)
    with pytest.raises(ConfigError, match="they are documents, not instances"):
        imported(tmp_path / "docs.idx")


@pytest.mark.parametrize("said", [True, False])
def test_cached_indices(tmp_path: Path, said: bool) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    sets = []
    for number, name in enumerate("ab"):
        docs = [[*range(1, 4 + (i * 7 + number) % 13), 0] for i in range(12)]
        write_index(tmp_path / name, docs, list(range(12)), 4)
        data = GptDataset(docs, T, 2, number)
        prefix = cache / f"{'21'[number]}hash-GPTDataset-train"  # the blend's order is another
        data.save(prefix)
        if said:
            note = {"dataset_path": str(tmp_path / name), "sequence_length": T}
            Path(f"{prefix}-description.txt").write_text(json.dumps(note))
        sets.append(data)
    of = np.array([0, 1, 1, 0, 0, 1, 0, 1], np.int16)
    samples = np.array([(of[:i] == of[i]).sum() for i in range(len(of))], np.int64)
    np.save(cache / "h-BlendedDataset-train-dataset_index.npy", of)
    np.save(cache / "h-BlendedDataset-train-dataset_sample_index.npy", samples)
    options: dict[str, Any] = {"global_batch_size": 4}
    if said:
        note = {"datasets": [{"dataset_path": str(tmp_path / name)} for name in "ab"]}
        (cache / "h-BlendedDataset-train-description.txt").write_text(json.dumps(note))
    else:
        with pytest.raises(ConfigError, match=r"give each one's .bin with --tokens"):
            imported(cache, **options)
        options |= {"tokens": [str(tmp_path / "b"), str(tmp_path / "a")], "sequence_length": T}
    run, _ = imported(cache, **options)
    if said:
        for position in range(8):
            spans = run.instances.spans(run.order[position])
            ids = [int(i) for s in spans for i in run.files[s.file].read(s.start, s.end)]
            assert ids == sets[of[position]].sample(int(samples[position]))
    assert run.n_steps == 2


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to import"):
        imported(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"holds neither config.json, config.yaml nor"):
        imported(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"neither a config.yaml, a checkpoint's folder"):
        imported(tmp_path / "x.bin")


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    with serving() as server:
        for path in (folder / "tokens").iterdir():
            server.files[f"/olmo/{path.name}"] = path.read_bytes()
        yield server


def remote_config(folder: Path) -> Path:
    paths = [f"s3://bucket/data/part-0000{i}.npy" for i in (0, 1)]
    return olmo_config(folder, data={"paths": paths})


def test_a_step_is_read_by_ranges(folder: Path, served: Served) -> None:
    tokenizer = str(folder / "tokens" / "tiny.json")
    here, _ = imported(olmo_config(folder), tokenizer=tokenizer)
    expected = [trace_step(here, s) for s in range(1, here.n_steps + 1)]
    rows = here.documents(0)
    assert isinstance(rows, DocumentTable)
    lines = io.StringIO()
    for row in range(len(rows)):
        one = rows[row]
        csv.writer(lines).writerow((one.start, one.end, one.id, one.src, one.line))
    served.files["/olmo/part-00000.csv.gz"] = gzip.compress(lines.getvalue().encode())
    run, _ = imported(
        remote_config(folder),
        roots=[("s3://bucket/data", f"{served.address}/olmo")],
        stat=True,
        tokenizer=tokenizer,
    )
    assert len(served.heads) == 3  # two sizes, and whether there is a list of documents
    assert steps(run) == steps(here)
    assert served.ranges == []  # nothing but sizes, so far
    found = [trace_step(run, s) for s in range(1, run.n_steps + 1)]

    def plain(answer: Any) -> Any:
        return [
            [(p.id, p.start, p.end, p.text, p.line) for p in i.documents] for i in answer.instances
        ]

    assert [plain(a) for a in found] == [plain(a) for a in expected]
    n = sum(len(a.instances) for a in found)
    assert len(served.ranges) == n
    assert {_length(r) for r in served.ranges} == {4 * T}
    assert sum(path.endswith("csv.gz") for path in served.asked) == 2  # once each


def _length(asked: str) -> int:
    first, last = asked.removeprefix("bytes=").split("-")
    return int(last) - int(first) + 1


def test_servers_that_are_busy_or_moved(folder: Path, served: Served) -> None:
    options: dict[str, Any] = {
        "roots": [("s3://bucket/data", f"{served.address}/olmo")],
        "stat": True,
        "tokenizer": str(folder / "tokens" / "tiny.json"),
    }
    run, warnings = imported(remote_config(folder), **options)
    # part-00000 has no csv.gz there, so the run falls back to EOS tokens and says so
    assert any("told apart by EOS tokens alone" in w for w in warnings)
    served.busy = 2
    answer = trace_step(run, 1)
    assert {i.boundaries for i in answer.instances} == {"eos-scan"}
    del served.files["/olmo/part-00000.npy"]
    del served.files["/olmo/part-00001.npy"]
    with pytest.raises(ConfigError, match=r"the server answers 404 for .*part-0000"):
        trace_step(open_run(folder / "imported.yaml"), 1)
    with pytest.raises(ConfigError, match="answers 404"):
        imported(remote_config(folder), **options)


def test_without_stat_sizes_are_asked_for_at_each_opening(folder: Path, served: Served) -> None:
    run, warnings = imported(
        remote_config(folder), roots=[("s3://bucket/data", f"{served.address}/olmo")]
    )
    assert any("--stat asks for them" in w for w in warnings)
    assert run.n_steps > 1
    assert len(served.heads) == 2
