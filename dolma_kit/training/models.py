"""OLMo 1 and OLMo 2, as decoder-only Transformers in PyTorch.

Both: SwiGLU, rotary positions (rotate-half, in float32), no biases, no dropout. A block of OLMo 1
is `x += attention(norm(x)); x += mlp(norm(x))` with LayerNorm without parameters; of OLMo 2
`x += norm(attention(x)); x += norm(mlp(x))` with RMSNorm, and RMSNorm of the whole query and key
before heads are split (Groeneveld et al. 2024; OLMo Team 2025, section 2; olmo/model.py).

A parameter is initialised by its name and the seed alone, so that no number of processes changes
it: OLMo 1 by Mitchell's rule (truncated at three standard deviations: 1 / sqrt(d) for what reads
the stream, 1 / sqrt(2 n (l + 1)) for what block l writes back, n being its inputs), OLMo 2 by 0.02.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dolma_kit.errors import ConfigError
from dolma_kit.training.settings import Model

TRUNCATED_AT = 3.0  # standard deviations


@dataclass(frozen=True)
class Shape:
    """A model's shape; every key of train.yaml's `model`, filled in."""

    family: Literal["olmo1", "olmo2"]
    d_model: int
    n_layers: int
    n_heads: int
    mlp_hidden: int
    vocab_size: int
    embedding_size: int
    rope_theta: float
    tied: bool
    clip_qkv: float | None
    norm_eps: float
    init: Literal["mitchell", "normal"]

    @property
    def head_size(self) -> int:
        return self.d_model // self.n_heads

    def n_parameters(self, *, embeddings: bool = True) -> int:
        """All parameters, or those without the embedding and an untied head."""
        d, h = self.d_model, self.mlp_hidden
        norms = 4 * d if self.family == "olmo2" else 0
        last = d if self.family == "olmo2" else 0
        blocks = self.n_layers * (4 * d * d + 3 * d * h + norms) + last
        return blocks + (self.embedding_size * d * (1 if self.tied else 2) if embeddings else 0)

    def flops_per_token(self, sequence_length: int) -> int:
        """Of a training step, forward and backward: 6 P + 12 L d T, with P the parameters that
        multiply (without the embedding, with the head); no discount for causality, as OLMo and
        torchtitan count."""
        head = self.embedding_size * self.d_model
        multiplied = self.n_parameters(embeddings=False) + head
        return 6 * multiplied + 12 * self.n_layers * self.d_model * sequence_length


_OLMO1 = Shape(
    family="olmo1", d_model=2048, n_layers=16, n_heads=16, mlp_hidden=8192, vocab_size=50280,
    embedding_size=50304, rope_theta=10_000.0, tied=True, clip_qkv=None, norm_eps=1e-5,
    init="mitchell",
)  # fmt: skip
_OLMO2 = Shape(
    family="olmo2", d_model=2048, n_layers=16, n_heads=16, mlp_hidden=8192, vocab_size=100278,
    embedding_size=100352, rope_theta=500_000.0, tied=False, clip_qkv=None, norm_eps=1e-6,
    init="normal",
)  # fmt: skip
_7B = {"d_model": 4096, "n_layers": 32, "n_heads": 32, "mlp_hidden": 11008, "tied": False}
_13B = {"d_model": 5120, "n_layers": 40, "n_heads": 40, "mlp_hidden": 13824, "tied": False}
_TINY = {
    "d_model": 64, "n_layers": 2, "n_heads": 4, "mlp_hidden": 128, "vocab_size": 512,
    "embedding_size": 512,
}  # fmt: skip

#: published sizes (1B of OLMo 2 is that of April 2025), and one to try things with
SIZES: dict[str, Shape] = {
    "olmo1-1b": _OLMO1,
    "olmo1-7b": replace(_OLMO1, **_7B),  # type: ignore[arg-type]
    "olmo1-7b-0724": replace(_OLMO1, clip_qkv=8.0, **_7B),  # type: ignore[arg-type]
    "olmo1-tiny": replace(_OLMO1, **_TINY),  # type: ignore[arg-type]
    "olmo2-1b": _OLMO2,
    "olmo2-7b": replace(_OLMO2, **_7B),  # type: ignore[arg-type]
    "olmo2-13b": replace(_OLMO2, **_13B),  # type: ignore[arg-type]
    "olmo2-tiny": replace(_OLMO2, **_TINY),  # type: ignore[arg-type]
}


def shape_of(settings: Model) -> Shape:
    """The shape that train.yaml's `model` says; ConfigError for an unknown name or heads that do
    not divide the model's width into even parts."""
    if settings.name is not None and settings.name not in SIZES:
        raise ConfigError(f"model: no size {settings.name!r}; there are {', '.join(SIZES)}")
    if settings.name is None and settings.family is None:
        raise ConfigError("model: give a name or a family")
    base = SIZES[settings.name] if settings.name else {"olmo1": _OLMO1, "olmo2": _OLMO2}[
        settings.family or "olmo2"
    ]  # fmt: skip
    said = {
        key: value
        for key, value in msgspec.to_builtins(settings).items()
        if key != "name" and value is not None
    }
    shape = replace(base, **said)
    if "vocab_size" in said and "embedding_size" not in said:
        shape = replace(shape, embedding_size=said["vocab_size"])
    if shape.d_model % shape.n_heads or shape.head_size % 2:
        raise ConfigError(
            f"model: {shape.n_heads} heads do not divide d_model {shape.d_model} into even parts"
        )
    if shape.embedding_size < shape.vocab_size:
        raise ConfigError(
            f"model: embedding_size {shape.embedding_size} is less than vocab_size "
            f"{shape.vocab_size}"
        )
    return shape


class RMSNorm(nn.Module):
    """Normalised in float32, then scaled in the stream's own type, as OLMo 2 does."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normal = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * normal.to(x.dtype)


class PlainNorm(nn.Module):
    """LayerNorm without parameters, in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.size, self.eps = size, eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), (self.size,), eps=self.eps).to(x.dtype)


def _norm(shape: Shape) -> nn.Module:
    kind = RMSNorm if shape.family == "olmo2" else PlainNorm
    return kind(shape.d_model, shape.norm_eps)


class Attention(nn.Module):
    """Causal, of all heads at once."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.d_model
        self.n_heads, self.clip = shape.n_heads, shape.clip_qkv
        self.q = nn.Linear(d, d, bias=False)
        self.k = nn.Linear(d, d, bias=False)
        self.v = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        two = shape.family == "olmo2"
        self.q_norm: nn.Module = _norm(shape) if two else nn.Identity()
        self.k_norm: nn.Module = _norm(shape) if two else nn.Identity()

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)  # (B, T, d)
        if self.clip is not None:
            q, k, v = (part.clamp(-self.clip, self.clip) for part in (q, k, v))
        q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (q, k, v))
        q, k = rotated(q, turn), rotated(k, turn)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        mixed: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return mixed


def rotations(head_size: int, theta: float, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(n, head_size) float32 each: cosine and sine of the angle of each place and pair."""
    power = torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size
    angle = torch.outer(torch.arange(n, device=device, dtype=torch.float32), theta**-power)
    both = torch.cat((angle, angle), -1)
    return both.cos(), both.sin()


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """(B, H, T, head_size), each first half paired with its second."""
    cos, sin = turn
    wide = x.float()
    first, second = wide.chunk(2, -1)
    return (wide * cos + torch.cat((-second, first), -1) * sin).to(x.dtype)


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.d_model, shape.mlp_hidden, bias=False)
        self.up = nn.Linear(shape.d_model, shape.mlp_hidden, bias=False)
        self.down = nn.Linear(shape.mlp_hidden, shape.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return mixed


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_after = shape.family == "olmo2"
        self.attention = Attention(shape)
        self.attention_norm = _norm(shape)
        self.mlp = MLP(shape)
        self.mlp_norm = _norm(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        if self.norm_after:
            x = x + self.attention_norm(self.attention(x, turn, mask))
            return x + self.mlp_norm(self.mlp(x))  # type: ignore[no-any-return]
        x = x + self.attention(self.attention_norm(x), turn, mask)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Token ids (B, T) to logits (B, T, embedding_size)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.embedding_size, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = _norm(shape)
        self.head = None if shape.tied else nn.Linear(
            shape.d_model, shape.embedding_size, bias=False
        )  # fmt: skip

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(ids)
        turn = rotations(self.shape.head_size, self.shape.rope_theta, ids.shape[1], ids.device)
        for block in self.blocks:
            x = block(x, turn, mask)
        x = self.norm(x)
        logits: Tensor = F.linear(x, self.embedding.weight) if self.head is None else self.head(x)
        return logits


def document_mask(ids: Tensor, eos_token_id: int) -> Tensor:
    """(B, 1, T, T) bool: which token sees which, only earlier ones of its own document; an EOS is
    of the document that it ends."""
    ends = (ids == eos_token_id).long()
    document = ends.cumsum(-1) - ends  # (B, T)
    same = document[:, :, None] == document[:, None, :]
    n = ids.shape[1]
    causal = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()
    return (same & causal)[:, None]


def initial(shape: Shape, name: str, size: torch.Size, seed: int) -> Tensor:
    """The initial value of a parameter, float32 on the CPU, by its name and the seed alone."""
    if name.endswith("norm.weight"):
        return torch.ones(size)
    generator = torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:7], "little")
    )
    value = torch.empty(size)
    std = _std(shape, name, size)
    bound = TRUNCATED_AT * std
    nn.init.trunc_normal_(value, 0.0, std, -bound, bound, generator=generator)
    return value


def _std(shape: Shape, name: str, size: torch.Size) -> float:
    if shape.init == "normal":
        return 0.02
    if name.endswith(("attention.out.weight", "mlp.down.weight")):
        layer = int(name.split(".")[1])
        return 1 / math.sqrt(2 * size[1] * (layer + 1))
    return 1 / math.sqrt(shape.d_model)


def initialise(model: nn.Module, shape: Shape, seed: int) -> None:
    """Give every parameter its initial value; of a sharded model each process its own part."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = initial(shape, plain_name(name), parameter.shape, seed)
            _assign(parameter, value)


def plain_name(name: str) -> str:
    """A parameter's name without what wrappers put into it."""
    return name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", "")


def _assign(parameter: Any, value: Tensor) -> None:
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(parameter, DTensor):
        # Every process has made the same value: no message is needed.
        whole = value.to(parameter.device)
        parts = distribute_tensor(
            whole, parameter.device_mesh, parameter.placements, src_data_rank=None
        )
        parameter.to_local().copy_(parts.to_local())
    else:
        parameter.copy_(value)
