"""OLMo's config.yaml, and the train.pt beside it (olmo/config.py, olmo/train.py; reference, 1.3).

Read are `data.paths` or `data.datasets` (labels sorted, each one's list as it stands),
`data.memmap_dtype`, `data.seed` or `seed`, `data.drop_last`, `data.instance_filter`,
`global_train_batch_size`, `model.max_sequence_length`, `model.eos_token_id`, `max_duration` and
`tokenizer.identifier`. From train.pt: steps, epoch, place in the epoch and world size.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.order.importing import train_state
from dolma_kit.order.paths import Entry

if TYPE_CHECKING:
    from dolma_kit.order.importing.writing import Found, Options

STATES = ("train.pt", "train/rank0.pt", "other.pt", "rank0.pt")


def read(path: str, options: Options) -> Found:
    """The run of a config.yaml; ConfigError for one without data or a batch size."""
    from dolma_kit.order.importing.writing import Found

    config = read_yaml(path)
    data, model = _mapping(config, "data", path), _mapping(config, "model", path)
    entries = _entries(data, path)
    warnings: list[str] = []
    if data.get("label_mask_paths"):
        warnings.append("label masks (data.label_mask_paths) mask tokens that are not marked here")
    keys: dict[str, Any] = {
        "eos_token_id": _eos(model, warnings),
        "dtype": data.get("effective_memmap_dtype") or data.get("memmap_dtype") or "uint16",
        "sequence_length": model.get("max_sequence_length"),
        "global_batch_size": config.get("global_train_batch_size"),
        "order": {
            "kind": "olmo",
            "seed": data["seed"] if data.get("seed") is not None else config.get("seed", 6198),
            "world_size": 1,
            "drop_last": bool(data.get("drop_last", False)),
        },
        "instance_filter": _filter(data.get("instance_filter")),
    }
    tokenizer = (config.get("tokenizer") or {}).get("identifier")
    if isinstance(tokenizer, str) and options.tokenizer is None:
        beside = os.path.join(os.path.dirname(path), tokenizer)
        if os.path.isfile(beside):
            keys["tokenizer"] = os.path.abspath(beside)
        else:
            warnings.append(
                f"the tokenizer is {tokenizer}: give its file with --tokenizer to decode text"
            )
    found = Found(keys, entries, warnings)
    _set_duration(found, config.get("max_duration"))
    for name in STATES:
        state = os.path.join(os.path.dirname(path), name)
        if os.path.isfile(state):
            _add_state(found, train_state.read_state(state), state)
            break
    else:
        warnings.append(
            "the world size is not known (there is no train.pt); it decides which instances of an "
            "epoch's tail are dropped, fewer than it"
        )
    return found


def read_yaml(path: str) -> dict[str, Any]:
    """A mapping in YAML, with OmegaConf's `${...}` left as they stand."""
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            found = yaml.load(stream, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise DataError(path, None, "holds no keys: a config is a mapping")
    return found


def _mapping(config: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    found = config.get(key)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: no {key}: is it the config of an OLMo run?")
    return found


def _entries(data: dict[str, Any], path: str) -> list[Entry]:
    paths, datasets = data.get("paths"), data.get("datasets")
    if bool(paths) == bool(datasets):
        raise ConfigError(f"{path}: data has to name its files by either paths or datasets")
    if paths:
        return [Entry(str(one), None) for one in paths]
    assert isinstance(datasets, dict)
    return [
        Entry(str(one), None, str(label)) for label in sorted(datasets) for one in datasets[label]
    ]


def _eos(model: dict[str, Any], warnings: list[str]) -> int | None:
    eos = model.get("eos_token_id")
    if eos == 0 and 50_000 < int(model.get("vocab_size") or 0) < 51_000:
        warnings.append("eos_token_id 0 of an early config means 50279, the EOS of its tokenizer")
        return 50279
    return eos


def _filter(settings: Any) -> dict[str, int] | None:
    if not isinstance(settings, dict):
        return None
    return {
        "max_period": int(settings.get("repetition_max_period", 13)),
        "min_period": int(settings.get("repetition_min_period", 1)),
        "max_count": int(settings.get("repetition_max_count", 32)),
    }


def _set_duration(found: Found, duration: Any) -> None:
    """`max_duration`: steps, tokens ("2e12T") or epochs ("2ep")."""
    text = str(duration).strip() if duration is not None else ""
    try:
        if text.endswith("ep"):
            found.keys["epochs"] = int(float(text[:-2]))
        elif text.endswith("T"):
            found.max_tokens = int(float(text[:-1]))
        elif text:
            found.max_steps = int(float(text))
    except ValueError:
        found.warnings.append(f"max_duration {text} is not understood: the run has no end here")


def _add_state(found: Found, state: dict[str, Any], path: str) -> None:
    """What a train.pt says: how far the run has come, and whether a plain run would be there."""
    step = state.get("global_step")
    if not isinstance(step, int):
        raise DataError(path, None, "has no global_step: is it a state of OLMo's trainer?")
    if isinstance(world_size := state.get("world_size"), int):
        found.keys["order"]["world_size"] = world_size
    batch = found.keys["global_batch_size"]
    epoch = state.get("epoch") or 0
    seen = state.get("global_train_examples_seen_this_epoch")
    if seen is None:
        seen = state.get("global_train_examples_seen", state.get("global_data_step"))
        if seen is not None and "global_data_step" in state and batch:
            seen = state["global_data_step"] * batch
    found.last_step = step
    if not isinstance(seen, int) or not batch:
        return
    if epoch == 0 and seen == step * batch:
        return
    if epoch == 0:
        tokens = state.get("global_train_tokens_seen")
        said = f" ({tokens:,} tokens)" if isinstance(tokens, int) else ""
        found.warnings.append(
            f"{os.path.basename(path)}: {step:,} steps of {batch} are {step * batch:,} instances, "
            f"the state has {seen:,}{said}: batches were skipped, or of another size. Steps up to "
            f"{step:,} are not described; those after it are"
        )
    else:
        found.warnings.append(
            f"{os.path.basename(path)}: it is in epoch {epoch}; steps up to {step:,} are not "
            "described, as a state does not say where epochs began"
        )
    found.keys["segments"] = [
        {"from_step": step + 1, "epoch": epoch, "first_position": seen, "to_step": None}
    ]
    del found.keys["segments"][0]["to_step"]
    found.keys["epochs"] = max(found.keys.get("epochs") or 1, epoch + 1)
    found.last_step = None
    found.max_tokens = found.max_steps = None
