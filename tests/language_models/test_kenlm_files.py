"""KenLM's binary files: those of the kind "probing" are mapped, others are refused by name.

Their scores are compared with KenLM's in test_arpa_files.py.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from dolma_kit import kernels
from dolma_kit.errors import DataError
from dolma_kit.language_models import arpa_files, kenlm_files
from dolma_kit.language_models.models import Model

GOLDEN = Path(__file__).parents[1] / "golden" / "language_models"
PROBING = GOLDEN / "probing.bin"


def test_tables_are_those_that_we_make_of_the_arpa_file() -> None:
    """But for signs, which mean something to KenLM alone."""
    mapped = kenlm_files.map_file(str(PROBING))
    read = arpa_files.read(str(GOLDEN / "order-5.arpa"))
    names = kernels.language_model
    starts = [names.VOCABULARY, names.UNIGRAMS, *range(names.FIRST_TABLE, len(read.layout), 2)]
    shift = mapped.layout[names.VOCABULARY] - read.layout[names.VOCABULARY]
    assert (mapped.layout[starts] == read.layout[starts] + shift).all()
    first = int(read.layout[names.UNIGRAMS])
    ours = np.abs(read.values[first:].view(np.uint32).astype(np.int64) & 0x7FFFFFFF)
    theirs = mapped.entries[first + shift :].astype(np.int64) & 0x7FFFFFFF
    assert (ours == theirs).all()


@pytest.mark.parametrize("stop", [40, 90, 100, 120, 147, 200, 30000])
def test_a_file_that_is_cut_short(tmp_path: Path, stop: int) -> None:
    (tmp_path / "cut.bin").write_bytes(PROBING.read_bytes()[:stop])
    with pytest.raises(DataError, match=r"cut\.bin: .*(no version 5|cut short|too few)"):
        Model(str(tmp_path / "cut.bin"))


@pytest.mark.parametrize(
    ("place", "packed", "reason"),
    [
        (48, b"4", "but no version 5: rebuild it with `build_binary probing`"),
        (96, struct.pack("<i", 3), "of the kind quantized trie, version 0: rebuild"),
        (104, struct.pack("<I", 7), "of the kind probing, version 7"),
        (92, struct.pack("<f", 0.5), "its head is broken"),
        (92, struct.pack("<f", float("nan")), "its head is broken"),
        (108, struct.pack("<Q", 2**40), "too few for"),
        (168, struct.pack("<I", 10**6), "has words of ids above"),
        (116, struct.pack("<Q", 10_000), "bytes are due|are due: is it cut short"),
    ],
)
def test_a_head_that_cannot_be(tmp_path: Path, place: int, packed: bytes, reason: str) -> None:
    data = PROBING.read_bytes()
    (tmp_path / "m.bin").write_bytes(data[:place] + packed + data[place + len(packed) :])
    with pytest.raises(DataError, match=reason):
        Model(str(tmp_path / "m.bin"))


def test_other_kinds_are_named() -> None:
    with pytest.raises(DataError, match=r"trie\.bin: this is KenLM's binary form of the kind trie"):
        Model(str(GOLDEN / "trie.bin"))
