"""A data mix: a line `label,path` a file, in training order, `{TOKENIZER}` in the paths
(olmo_core/data/mixes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.order.paths import Entry

if TYPE_CHECKING:
    from dolma_kit.order.importing.writing import Found, Options


def read(path: str, options: Options) -> Found:
    """The run over a mix; its order, length and batch have to be said."""
    from dolma_kit.order.importing.writing import Found

    kind = options.kind or "olmo-core"
    if options.seed is None and kind != "sequential":
        raise ConfigError(f"{path} lists files, not their order: give --seed")
    order: dict[str, Any] = {"kind": kind}
    if kind != "sequential":
        order["seed"] = options.seed
    return Found(
        {"dtype": options.dtype, "sequence_length": options.sequence_length,
         "global_batch_size": options.global_batch_size, "order": order},
        read_mix(path, "", options.tokenizer_name),
    )  # fmt: skip


def read_mix(path: str, base: str, tokenizer_name: str | None) -> list[Entry]:
    """The files of a mix; `base` goes before paths that are no URLs.

    DataError for a line without a label, ConfigError for `{TOKENIZER}` where none is given.
    """
    entries = []
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the mix {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(path, None, str(error)) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        label, comma, name = line.strip().partition(",")
        if not comma or not name:
            raise DataError(path, number, f"is not `label,path`: {line.strip()[:80]}")
        if "{TOKENIZER}" in name:
            if tokenizer_name is None:
                raise ConfigError(f"{path} names files by tokenizer: give --tokenizer-name")
            name = name.replace("{TOKENIZER}", tokenizer_name)
        if base and "://" not in name:
            name = f"{base.rstrip('/')}/{name.lstrip('/')}"
        entries.append(Entry(name, None, label))
    if not entries:
        raise DataError(path, None, "lists no file")
    return entries
