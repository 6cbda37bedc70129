"""Checkpoints: a folder `step1000-tokens4B` that takes its name when it is whole.

    *.distcp, .metadata     model and optimizer, by PyTorch's distributed checkpoint: any number of
                            processes reads what any other wrote
    state.json              steps, tokens, place in the order, chain of the trace, and what the run
                            is of: model, data, tokenizer (version 1)

A folder that was being written when its process died begins with a dot, and is swept by the next.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as read_tensors
from torch.distributed.checkpoint.state_dict_saver import save as write_tensors
from torch.optim import Optimizer

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.training.sharding import Processes

STATE = "state.json"
BILLION = 10**9


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint holds besides tensors. `chain` is the trace's after `step`, in hexadecimal;
    `identity` is what has to be the same to go on: its parts by name."""

    version: Literal[1] = 1
    step: int
    tokens: int
    epoch: int
    position: int
    chain: str
    identity: dict[str, Any]


def name_of(step: int, tokens: int) -> str:
    """`step1000-tokens4B`: tokens rounded to 10^9."""
    return f"step{step}-tokens{round(tokens / BILLION)}B"


def save(
    folder: str, model: nn.Module, optimizer: Optimizer, state: State, processes: Processes
) -> str:
    """Write a checkpoint into `folder`, on all processes; its path."""
    name = name_of(state.step, state.tokens)
    path, temporary = os.path.join(folder, name), os.path.join(folder, f".{name}.tmp")
    if processes.is_first:
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
    processes.wait()
    of_model, of_optimizer = get_state_dict(model, optimizer)
    tensors = {"model": of_model, "optimizer": of_optimizer}
    with _by_one_process():
        write_tensors(tensors, checkpoint_id=temporary, no_dist=processes.mesh is None)
    if processes.is_first:
        with files.write_atomically(os.path.join(temporary, STATE)) as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(state), indent=2))
        _sync(temporary)
        if os.path.lexists(path):
            _set_aside(path)
        os.replace(temporary, path)
        _sync_path(folder)
    processes.wait()
    return path


@contextlib.contextmanager
def _by_one_process() -> Iterator[None]:
    """Without PyTorch's warning that there is no group of processes, where none is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _sync(folder: str) -> None:
    """Force what is in a folder to the disk."""
    for name in os.listdir(folder):
        _sync_path(os.path.join(folder, name))
    _sync_path(folder)


def _sync_path(path: str) -> None:
    """Force the names in a folder, or the bytes of a file, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_newest(folder: str, n: int) -> None:
    """Remove all but the newest checkpoints, and what was never finished."""
    for path in checkpoints(folder)[:-n]:
        _set_aside(path)
    for name in os.listdir(folder):
        if name.startswith(".step") and name.endswith((".tmp", ".old")):
            shutil.rmtree(os.path.join(folder, name))


def remove_all(folder: str) -> None:
    """Remove the checkpoints of a folder."""
    for path in checkpoints(folder):
        _set_aside(path)
        shutil.rmtree(_aside(path))


def _aside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.old")


def _set_aside(path: str) -> None:
    """Take a checkpoint's name from it, before it goes: half removed it would pass for whole."""
    shutil.rmtree(_aside(path), ignore_errors=True)
    os.replace(path, _aside(path))


def checkpoints(folder: str) -> list[str]:
    """The whole checkpoints of a folder, by step."""
    if not os.path.isdir(folder):
        return []
    found = []
    for name in os.listdir(folder):
        named = re.fullmatch(r"step(\d+)-tokens\d+B", name)
        if named and os.path.isfile(os.path.join(folder, name, STATE)):
            found.append((int(named.group(1)), os.path.join(folder, name)))
    return [path for _, path in sorted(found)]


def read_state(path: str) -> State:
    """The state of a checkpoint; MissingInput where there is none, DataError for a broken one."""
    try:
        with open(os.path.join(path, STATE), "rb") as stream:
            return msgspec.json.decode(stream.read(), type=State)
    except FileNotFoundError:
        raise MissingInput(
            f"no checkpoint at {path}: {STATE} is not there, which is written last"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(os.path.join(path, STATE), None, str(error)) from None


def check(path: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """VerificationError where a checkpoint is of another model, order or tokenizer: all parts that
    differ, with both values."""
    odd = [
        f"{key} is {found.get(key)!r} there, {value!r} here"
        for key, value in expected.items()
        if found.get(key) != value
    ]
    if odd:
        raise VerificationError(f"{path} is not a checkpoint of this run: {'; '.join(odd)}")


def load(path: str, model: nn.Module, optimizer: Optimizer | None) -> None:
    """Read a checkpoint's tensors into a model and its optimizer (None: the model's only). The
    optimizer's state is read, what it was told stays.

    DataError for one that cannot be read, ConfigError for a model of another shape.
    """
    options = StateDictOptions(strict=True)
    alone = not dist.is_initialized()
    try:
        if optimizer is None:
            weights = get_model_state_dict(model)
            with _by_one_process():
                read_tensors({"model": weights}, checkpoint_id=path, no_dist=alone)
            set_model_state_dict(model, weights, options=options)
            return
        told = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]
        of_model, of_optimizer = get_state_dict(model, optimizer)
        tensors = {"model": of_model, "optimizer": of_optimizer}
        with _by_one_process():
            read_tensors(tensors, checkpoint_id=path, no_dist=alone)
        set_state_dict(
            model,
            optimizer,
            model_state_dict=of_model,
            optim_state_dict=of_optimizer,
            options=options,
        )
        for group, keys in zip(optimizer.param_groups, told, strict=True):
            group.update(keys)
    except (ValueError, RuntimeError, CheckpointException) as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} does not fit the model: {said}") from None
    except (OSError, EOFError) as error:
        raise DataError(path, None, f"a part of the checkpoint cannot be read: {error}") from None
