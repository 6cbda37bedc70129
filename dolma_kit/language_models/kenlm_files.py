"""KenLM's binary files of the kind "probing", which build_binary makes and cc_net publishes.

    0    "mmap lm http://kheafield.com/code format version 5\\n\\0", filled up to 56 bytes
    56   test values: float32 0, 1, -0.5; uint32 1, 2^32 - 1, 0; uint64 1
    88   uint8 order; at 92 float32 slots a key, 96 int32 kind (0 is probing), 104 uint32 version
    108  uint64 n-grams of each order; then, from the next multiple of 8, the tables (lm/
         binary_format.cc, lm/search_hashed.hh; the same as ours)

The file is mapped, not read, so processes share it and a large one is there at once. Whether a
log p is marked by its sign says something to KenLM alone: its absolute value counts.
"""

from __future__ import annotations

import os
import struct

from dolma_kit import kernels
from dolma_kit.errors import DataError
from dolma_kit.language_models.arpa_files import MAGIC
from dolma_kit.language_models.tables import Tables, lay_out, word_id

_HEAD = b"mmap lm http://kheafield.com/code format version 5\n\0".ljust(56, b"\0") + struct.pack(
    "<3f3IQ", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1
)
_PARAMETERS = struct.Struct("<B3xfi?3xI")
_KINDS = ("probing", "probing with rest costs", "trie", "quantized trie", "array trie",
          "quantized array trie")  # fmt: skip
_CURE = "rebuild it with `build_binary probing`, or give the ARPA file"


def is_kenlm(path: str) -> bool:
    """Whether a file begins as KenLM's binary files do."""
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def map_file(path: str) -> Tables:
    """The tables of a binary file; one of another kind or version, or cut short, is a DataError."""
    import numpy as np

    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(len(_HEAD))
        if head != _HEAD:
            raise DataError(path, None, f"this is KenLM's binary form, but no version 5: {_CURE}")
        parameters = stream.read(_PARAMETERS.size)
        order, kind = (parameters or b"\0")[0], 0
        if len(parameters) == _PARAMETERS.size:
            order, slots_per_key, kind, _, version = _PARAMETERS.unpack(parameters)
        packed = stream.read(8 * order)
        if len(packed) < 8 * order or order == 0:
            raise DataError(path, None, "this is KenLM's binary form, cut short in its head")
        counts = struct.unpack(f"<{order}Q", packed)
    if kind != 0 or version != 0:
        name = _KINDS[kind] if 0 <= kind < len(_KINDS) else str(kind)
        raise DataError(
            path,
            None,
            f"this is KenLM's binary form of the kind {name}, version {version}: {_CURE}",
        )
    if order > kernels.language_model.MAX_ORDER or not 1 <= slots_per_key < 1e6:
        raise DataError(path, None, f"its head is broken: {_CURE}")
    first = -(-(len(_HEAD) + _PARAMETERS.size + 8 * order) // 8) * 8
    if sum(counts) > size:
        raise DataError(path, None, f"has {size:,} bytes, too few for {sum(counts):,} n-grams")
    layout, n_bytes = lay_out(counts, slots_per_key, first)
    if size < n_bytes:
        raise DataError(path, None, f"has {size:,} bytes, {n_bytes:,} are due: is it cut short?")
    entries = np.memmap(path, np.dtype("<u4"), "r", shape=(n_bytes // 4,)).view(np.ndarray)
    made = Tables(entries, entries.view(np.float32), layout)
    vocabulary, unigrams = (
        int(layout[place])
        for place in (kernels.language_model.VOCABULARY, kernels.language_model.UNIGRAMS)
    )
    if int(entries[vocabulary + 2 : unigrams : 3].max()) > counts[0]:
        raise DataError(path, None, f"has words of ids above {counts[0]:,}: {_CURE}")
    for place, word in ((kernels.language_model.BOS, "<s>"), (kernels.language_model.EOS, "</s>")):
        layout[place] = word_id(made, word)
        if layout[place] < 0:
            raise DataError(path, None, f"has no word {word}: {_CURE}")
    return made
