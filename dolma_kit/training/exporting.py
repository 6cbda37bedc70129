"""Models as Hugging Face folders, there and back; means of checkpoints.

A folder holds config.json (`OlmoForCausalLM` or `Olmo2ForCausalLM`), model.safetensors in float32
or bfloat16, and the tokenizer, where one is given: what `AutoModelForCausalLM.from_pretrained` and
`AutoTokenizer.from_pretrained` load.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.training import checkpoints
from dolma_kit.training.models import Shape, Transformer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
ARCHITECTURES = {
    "olmo1": ("OlmoForCausalLM", "olmo"),
    "olmo2": ("Olmo2ForCausalLM", "olmo2"),
}
_OUTER = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
_INNER = {
    "attention.q.weight": "self_attn.q_proj.weight",
    "attention.k.weight": "self_attn.k_proj.weight",
    "attention.v.weight": "self_attn.v_proj.weight",
    "attention.out.weight": "self_attn.o_proj.weight",
    "attention.q_norm.weight": "self_attn.q_norm.weight",
    "attention.k_norm.weight": "self_attn.k_norm.weight",
    "attention_norm.weight": "post_attention_layernorm.weight",
    "mlp.gate.weight": "mlp.gate_proj.weight",
    "mlp.up.weight": "mlp.up_proj.weight",
    "mlp.down.weight": "mlp.down_proj.weight",
    "mlp_norm.weight": "post_feedforward_layernorm.weight",
}


class Exported(msgspec.Struct, frozen=True):
    """What `train export|import|soup` print."""

    command: str
    parameters: int
    bytes_out: int
    outputs: list[str]


def hf_name(name: str) -> str:
    """Hugging Face's name of a parameter of ours."""
    if name in _OUTER:
        return _OUTER[name]
    _, layer, inner = name.split(".", 2)
    return f"model.layers.{layer}.{_INNER[inner]}"


def load_model(checkpoint: str) -> tuple[Transformer, Shape, dict[str, Any]]:
    """A checkpoint's model on the CPU, its shape, and what it is of."""
    identity = checkpoints.read_state(checkpoint).identity
    try:
        shape = Shape(**identity["model"])
    except (KeyError, TypeError) as error:
        raise DataError(checkpoint, None, f"its state names no model: {error}") from None
    model = Transformer(shape)
    checkpoints.load(checkpoint, model, None)
    return model, shape, identity


def export(
    checkpoint: str,
    out: str,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    tokenizer: str | None = None,
    eos_token_id: int | None = None,
) -> Exported:
    """Write a checkpoint as a Hugging Face folder; a file of it is replaced at once or not at all.

    `tokenizer` is a tokenizer.json; VerificationError for one that the run was not of.
    """
    from safetensors.torch import save

    model, shape, identity = load_model(checkpoint)
    if tokenizer is not None and identity.get("tokenizer") not in (None, files.sha256(tokenizer)):
        raise VerificationError(f"{tokenizer} is not the tokenizer of the run of {checkpoint}")
    kind = torch.float32 if dtype == "float32" else torch.bfloat16
    tensors = {
        hf_name(name): value.detach().to(kind).contiguous()
        for name, value in model.named_parameters()
    }
    os.makedirs(out, exist_ok=True)
    data = save(tensors, {"format": "pt"})
    _write(os.path.join(out, WEIGHTS), data)
    length = int(identity.get("sequence_length") or 2048)
    config = _config(shape, length, dtype, eos_token_id)
    _write(os.path.join(out, CONFIG), msgspec.json.format(msgspec.json.encode(config), indent=2))
    outputs = [out]
    if tokenizer is not None:
        _write_tokenizer(out, tokenizer, eos_token_id)
    return Exported("train export", shape.n_parameters(), len(data), outputs)


def _config(shape: Shape, length: int, dtype: str, eos_token_id: int | None) -> dict[str, Any]:
    architecture, model_type = ARCHITECTURES[shape.family]
    config: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": shape.embedding_size,
        "hidden_size": shape.d_model,
        "intermediate_size": shape.mlp_hidden,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_heads,
        "hidden_act": "silu",
        "max_position_embeddings": length,
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tied,
        "use_cache": True,
        "torch_dtype": dtype,
        "bos_token_id": None,
        "eos_token_id": eos_token_id,
        "pad_token_id": eos_token_id,
    }
    if shape.family == "olmo1":
        return config | {"clip_qkv": shape.clip_qkv}
    return config | {"rms_norm_eps": shape.norm_eps}


def _write_tokenizer(out: str, tokenizer: str, eos_token_id: int | None) -> None:
    from tokenizers import Tokenizer

    with open(tokenizer, "rb") as stream:
        _write(os.path.join(out, "tokenizer.json"), stream.read())
    eos = None if eos_token_id is None else Tokenizer.from_file(tokenizer).id_to_token(eos_token_id)
    said: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "pad_token": eos,
    }
    said |= {"clean_up_tokenization_spaces": False}
    kept = {key: value for key, value in said.items() if value is not None}
    data = msgspec.json.format(msgspec.json.encode(kept), indent=2)
    _write(os.path.join(out, "tokenizer_config.json"), data)


def _write(path: str, data: bytes) -> None:
    with files.write_atomically(path) as stream:
        stream.write(data)


def read_folder(folder: str) -> tuple[dict[str, Tensor], Shape]:
    """The weights of a Hugging Face folder by our names, float32, and the shape.

    MissingInput for no such folder, ConfigError for another architecture, DataError for weights
    that the shape does not have.
    """
    from safetensors.torch import load_file

    path = os.path.join(folder, CONFIG)
    if not os.path.isfile(path):
        raise MissingInput(f"no model at {folder}: {CONFIG} is not there")
    with open(path, "rb") as stream:
        config = msgspec.json.decode(stream.read())
    shape = _shape(config, path)
    names = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))
    if not names:
        raise MissingInput(f"no *.safetensors in {folder}")
    tensors: dict[str, Tensor] = {}
    for name in names:
        tensors |= load_file(os.path.join(folder, name))
    with torch.device("meta"):
        model = Transformer(shape)
    found = {}
    for name, parameter in model.named_parameters():
        value = tensors.pop(hf_name(name), None)
        if value is None or value.shape != parameter.shape:
            size = None if value is None else tuple(value.shape)
            raise DataError(
                folder, None, f"{hf_name(name)} is {size}, the config says {tuple(parameter.shape)}"
            )
        found[name] = value.float()
    if shape.tied:
        tensors.pop("lm_head.weight", None)  # the same as the embedding
    if tensors:
        raise DataError(folder, None, f"has weights that the model has not: {next(iter(tensors))}")
    return found, shape


def _shape(config: dict[str, Any], path: str) -> Shape:
    by_type = {model_type: family for family, (_, model_type) in ARCHITECTURES.items()}
    family = by_type.get(str(config.get("model_type")))
    if family is None:
        raise ConfigError(f"{path}: model_type {config.get('model_type')}: olmo and olmo2 are read")
    n_heads = int(config["num_attention_heads"])
    if config.get("num_key_value_heads") not in (None, n_heads):
        raise ConfigError(f"{path}: grouped queries are not trained here")
    theta = config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta")
    return Shape(
        family="olmo1" if family == "olmo1" else "olmo2",
        d_model=int(config["hidden_size"]),
        n_layers=int(config["num_hidden_layers"]),
        n_heads=n_heads,
        mlp_hidden=int(config["intermediate_size"]),
        vocab_size=int(config["vocab_size"]),
        embedding_size=int(config["vocab_size"]),
        rope_theta=float(theta or 10_000.0),
        tied=bool(config.get("tie_word_embeddings", False)),
        clip_qkv=config.get("clip_qkv"),
        norm_eps=float(config.get("rms_norm_eps") or 1e-5),
        init="normal" if family == "olmo2" else "mitchell",
    )


def import_folder(folder: str, out: str) -> Exported:
    """Write a Hugging Face folder as a checkpoint `step0-tokens0B` in `out`, for `load_path` with
    reset_trainer_state and reset_optimizer_state."""
    weights, shape = read_folder(folder)
    model = Transformer(shape)
    model.load_state_dict(weights)
    about = {"imported": os.path.basename(os.path.abspath(folder))}
    path = _save_model(model, shape, out, about | _length_of(folder))
    size = sum(4 * p.numel() for p in model.parameters())
    return Exported("train import", shape.n_parameters(), size, [path])


def _length_of(folder: str) -> dict[str, int]:
    """The sequence length that a Hugging Face folder says, if it does."""
    with open(os.path.join(folder, CONFIG), "rb") as stream:
        length = msgspec.json.decode(stream.read()).get("max_position_embeddings")
    return {} if length is None else {"sequence_length": int(length)}


def soup(paths: Sequence[str], out: str) -> Exported:
    """Write the plain mean of checkpoints' weights as a checkpoint in `out`, as OLMo 2's last
    models are means of their second stages.

    ConfigError for fewer than two, VerificationError for models of other shapes.
    """
    if len(paths) < 2:
        raise ConfigError("a mean is of two checkpoints or more")
    model, shape, first = load_model(paths[0])
    # What all of them were trained on, the mean is of, too.
    shared = {key: value for key, value in first.items() if key != "model"}
    total = {name: value.detach().double() for name, value in model.named_parameters()}
    for path in paths[1:]:
        other, its_shape, its = load_model(path)
        shared = {key: value for key, value in shared.items() if its.get(key) == value}
        if its_shape != shape:
            raise VerificationError(f"{path} is a model of another shape than {paths[0]}")
        for name, value in other.named_parameters():
            total[name] += value.detach().double()
    model.load_state_dict({name: (value / len(paths)).float() for name, value in total.items()})
    made = _save_model(
        model, shape, out, shared | {"mean_of": [os.path.basename(p) for p in paths]}
    )
    size = sum(4 * p.numel() for p in model.parameters())
    return Exported("train soup", shape.n_parameters(), size, [made])


def _save_model(model: Transformer, shape: Shape, out: str, about: dict[str, Any]) -> str:
    from dolma_kit.training.optimizer import adamw
    from dolma_kit.training.settings import Optimizer
    from dolma_kit.training.sharding import Processes

    identity = {"model": msgspec.to_builtins(shape.__dict__)} | about
    state = checkpoints.State(step=0, tokens=0, epoch=0, position=0, chain="", identity=identity)
    os.makedirs(out, exist_ok=True)
    alone = Processes(0, 1, torch.device("cpu"), None)
    return checkpoints.save(out, model, adamw(model, shape, Optimizer()), state, alone)
