"""Indexes of infini-gram (Liu et al. 2024; PyPI `infini-gram` 2.6.0), written and read.

A folder, numbers little-endian, N a shard from 0 (an index of version 6 is one shard without .N):

    tokenized.N   documents one after the other, a separator of all ones before each; uint16 (u16)
                  or uint32 (u32), no EOS
    table.N       byte offsets of all suffixes, each ceil(log2(bytes of tokenized.N) / 8) bytes
                  wide, by the bytes of the tokens that follow: not by their ids
    offset.N      uint64: the byte offset of each document's separator
    metadata.N    optional, a line of JSON a document: path, linenum (from 0), metadata
    metaoff.N     with it, uint64: the byte offset of each line
    unigram.N     optional text: `id count` a line, by id; separators count as an id

What becomes of an EOS: the one that ends a document is not exported, the separator stands for it;
on import each document gets one. So ids without an EOS have the same counts in both. The separator
may be no id: token files with it, or of a vocabulary that has it, are refused. Documents that are
reversed (version 5) cannot be told from others.
"""

from __future__ import annotations

import contextlib
import glob
import io
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_kit import files, kernels
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.order.documents import read_table
from dolma_kit.searching import building
from dolma_kit.searching.index import Index, Shard, open_index
from dolma_kit.summary import Summary
from dolma_kit.tokens import store, tokenizer_file
from dolma_kit.tokens.tokenizer_file import Dtype

WIDTHS: dict[Dtype, int] = {"uint16": 2, "uint32": 4}
#: by which its engine tells files apart, wherever in their paths they stand
WORDS = ("tokenized", "table", "offset", "metadata", "metaoff", "unigram")
BLOCK = 1 << 22  # suffixes, or documents' tokens, at a time
DENSE = 1 << 24  # ids below are counted by id


class Meta(msgspec.Struct):
    """A line of metadata.N; what our export puts into `metadata` is id and source."""

    path: str = ""
    linenum: int = 0
    metadata: dict[str, Any] = {}


def export_index(tokens: str, out: str) -> Summary:
    """Write an indexed folder of tokens for infini-gram's engine.

    Peak memory is that of making an index. ConfigError for tokens that it cannot hold, and where
    `out` is a path that the engine would misread or has an index already.
    """
    started = time.perf_counter()
    index = open_index(tokens)
    _require_place(out)
    _require_vocabulary(index)
    written = 0
    for shard in index.shards:
        written += _export(index, shard, out)
    seconds = time.perf_counter() - started
    bytes_in = sum(shard.tokens.nbytes for shard in index.shards)
    return Summary(
        command="search export",
        documents=sum(shard.about.documents for shard in index.shards),
        bytes_in=bytes_in, bytes_out=written, seconds=round(seconds, 3),
        mb_per_s=round(bytes_in / 1e6 / max(seconds, 1e-9), 3), outputs=[out],
        counts={"shards": len(index.shards), "tokens": index.n_tokens},
    )  # fmt: skip


def _require_place(out: str) -> None:
    for word in WORDS:
        if word in os.path.abspath(out):
            raise ConfigError(
                f"--out {out}: infini-gram takes every file below a path with {word!r} in it for "
                "that kind of file; name another folder"
            )
    if glob.glob(os.path.join(glob.escape(out), "tokenized*")):
        raise ConfigError(f"{out} holds an infini-gram index already: name another folder")


def _require_vocabulary(index: Index) -> None:
    separator = int(np.iinfo(index.about.dtype).max)
    record = index.tokens.record
    if record is not None and record.vocab_size > separator:
        raise ConfigError(
            f"{index.tokens.path} is of a vocabulary of {record.vocab_size:,} ids: {separator} "
            "separates documents in infini-gram; tokenize as uint32"
        )


def _export(index: Index, shard: Shard, out: str) -> int:
    """Write the files of a shard; how many bytes. The offsets are last, by which it is complete."""
    dtype = index.about.dtype
    separator = int(np.iinfo(dtype).max)
    ids = np.asarray(shard.tokens)
    if len(ids) and int(ids.max()) == separator:
        raise ConfigError(
            f"{shard.part.path} has the id {separator}, which separates documents in infini-gram: "
            "it cannot be exported"
        )
    starts = np.concatenate(([0], shard.ends))[:-1]
    stops = shard.ends.copy()
    if shard.eos is not None:
        has_any = stops > starts
        stops[has_any] -= ids[stops[has_any] - 1] == shard.eos
    lengths = stops - starts
    places = np.cumsum(lengths + 1) - lengths - 1  # of the separators
    data = np.full(int((lengths + 1).sum()), separator, np.dtype(dtype))
    is_text = np.ones(len(data), np.bool_)
    is_text[places] = False
    kept = np.ones(len(ids), np.bool_)
    kept[stops[stops < shard.ends]] = False  # the EOS
    kept[shard.ends[-1] if len(stops) else 0 :] = False
    data[is_text] = ids[kept]
    meta, meta_offsets = _metadata(shard)
    counted, counts = np.unique(data, return_counts=True)
    lines = (f"{one} {n}\n" for one, n in zip(counted.tolist(), counts.tolist(), strict=True))
    ours: dict[str, Any] = {
        "tokenized": data.astype(data.dtype.newbyteorder("<"), copy=False),
        "metadata": np.frombuffer(meta, np.uint8),
        "metaoff": meta_offsets.astype("<u8"),
        "unigram": np.frombuffer("".join(lines).encode(), np.uint8),
        "offset": (places * data.itemsize).astype("<u8"),
    }
    number, written = shard.number, 0
    with files.write_atomically(os.path.join(out, f"table.{number}")) as stream:
        for block in table_of(data):
            stream.write(block)
            written += len(block)
    for name, array in ours.items():
        with files.write_atomically(os.path.join(out, f"{name}.{number}")) as stream:
            stream.write(memoryview(array).cast("B"))
        written += array.nbytes
    return written


def table_of(data: NDArray[Any]) -> Iterator[bytes]:
    """table.N of the tokens of tokenized.N: in the order of their little-endian bytes.

    As all tokens are of one width, that is the order of the ids with their bytes reversed.

    >>> b"".join(table_of(np.array([0xFFFF, 256, 1], np.uint16))).hex()
    '020400'
    """
    if not len(data):
        return
    suffixes = kernels.suffix_array.build(_ranks(data))
    width = pointer_width(data.nbytes)
    for first in range(0, len(suffixes), BLOCK):
        offsets = suffixes[first : first + BLOCK].astype("<u8") * np.uint64(data.itemsize)
        yield offsets.view(np.uint8).reshape(-1, 8)[:, :width].tobytes()


def pointer_width(n_bytes: int) -> int:
    """Bytes of an entry of table.N, where tokenized.N has so many.

    >>> pointer_width(256), pointer_width(258), pointer_width(1 << 30)
    (1, 2, 4)
    """
    return math.ceil(math.log2(n_bytes) / 8) if n_bytes > 1 else 1


def _ranks(data: NDArray[Any]) -> NDArray[np.uint32]:
    """Small ids in the order of the tokens' bytes."""
    most = int(data.max())
    separator = np.iinfo(data.dtype).max
    dense = np.where(data == separator, 0, data + 1) if most == separator else data
    if int(dense.max()) >= DENSE:
        _, places = np.unique(data.byteswap(), return_inverse=True)
        return places.astype(np.uint32)
    used = np.flatnonzero(np.bincount(dense))
    ids = np.where(used == 0, separator, used - 1) if most == separator else used
    order = np.argsort(ids.astype(data.dtype).byteswap())
    ranks = np.zeros(int(used[-1]) + 1, np.uint32)
    ranks[used[order]] = np.arange(len(used), dtype=np.uint32)
    return ranks[dense]


def _metadata(shard: Shard) -> tuple[bytes, NDArray[np.int64]]:
    """The lines of metadata.N, and where each begins."""
    table = read_table(shard.part.require_table(), shard.part.tokens)
    stream, offsets = io.BytesIO(), []
    for row in range(shard.about.row, shard.about.row + shard.about.documents):
        document = table[row]
        about = Meta(
            path=document.src,
            linenum=max((document.line or 1) - 1, 0),
            metadata={"id": document.id, "source": document.source},
        )
        offsets.append(stream.tell())
        stream.write(msgspec.json.encode(about) + b"\n")
    return stream.getvalue(), np.array(offsets, np.int64)


@dataclass(frozen=True)
class _Found:
    """A shard of an infini-gram index: its paths by kind, and the dtype of its tokens."""

    paths: dict[str, str]
    dtype: Dtype

    @property
    def name(self) -> str:
        return self.paths["tokenized"]


def import_index(
    source: str, out: str, *, eos_token_id: int, tokenizer: str | None = None
) -> Summary:
    """Write the documents of an infini-gram index as a folder of tokens, a part a shard, with an
    index of its own.

    Documents come without ids where the metadata has none: they are `path:line`, or the shard's
    name and the document's number. MissingInput where there is no such index, DataError for one
    that is broken, ConfigError where `out` holds token files.
    """
    started = time.perf_counter()
    found = _shards_of(source)
    dtype = found[0].dtype
    if glob.glob(os.path.join(glob.escape(out), "part-*")):
        raise ConfigError(f"{out} holds token files already: name another folder")
    if not 0 <= eos_token_id < np.iinfo(dtype).max:
        raise ConfigError(f"--eos-token-id {eos_token_id}: no {dtype} that is not the separator")
    known = None if tokenizer is None else tokenizer_file.resolve(tokenizer)
    if known is not None:
        known.require_eos(eos_token_id)
    parts = []
    for number, shard in enumerate(found):
        with store.PartWriter(out, number) as writer:
            for ids, rows in _documents(shard, eos_token_id):
                if known is not None and len(ids) and int(ids.max()) >= known.vocab_size:
                    raise VerificationError(
                        f"{shard.name} has the id {ids.max()}, {known.name} only those below "
                        f"{known.vocab_size}: name the tokenizer that made it"
                    )
                writer.append(_Stream(ids.tobytes(), shard.name), ids.itemsize, rows)
        parts.append(writer.part())
    if known is not None:
        with open(known.path, "rb") as stream:
            content = stream.read()
        with files.write_atomically(os.path.join(out, known.name)) as copy:
            copy.write(content)
    record = store.Record(
        tokenizer="" if known is None else known.name,
        tokenizer_sha256="" if known is None else known.sha256,
        encoder="infini-gram", eos_token_id=eos_token_id, pad_token_id=None,
        vocab_size=int(np.iinfo(dtype).max) if known is None else known.vocab_size, dtype=dtype,
        sequence_length=2048, documents=sum(part.documents for part in parts),
        tokens=sum(part.tokens for part in parts), parts=parts,
    )  # fmt: skip
    record.write(out)
    building.build(tokens=out, quiet=True)
    seconds = time.perf_counter() - started
    bytes_in = sum(os.path.getsize(shard.name) for shard in found)
    return Summary(
        command="search import", documents=record.documents, bytes_in=bytes_in,
        bytes_out=sum(os.path.getsize(os.path.join(out, part.path)) for part in parts),
        seconds=round(seconds, 3), mb_per_s=round(bytes_in / 1e6 / max(seconds, 1e-9), 3),
        outputs=[out], counts={"shards": len(parts), "tokens": record.tokens},
    )  # fmt: skip


class _Stream(io.BytesIO):
    """Bytes with a name for messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _shards_of(source: str) -> list[_Found]:
    """The shards of a folder, by number."""
    by_number: dict[int, dict[str, str]] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(source):
            if match := re.fullmatch(rf"({'|'.join(WORDS)})(?:\.(\d+))?", name):
                paths = by_number.setdefault(int(match[2] or 0), {})
                paths[match[1]] = os.path.join(source, name)
    if not by_number:
        raise MissingInput(f"no infini-gram index at {source}: no tokenized.0")
    found = []
    for number, paths in sorted(by_number.items()):
        for kind in ("tokenized", "table", "offset"):
            if kind not in paths:
                raise DataError(source, None, f"shard {number} has no {kind} file")
        found.append(_Found(paths, _dtype_of(paths)))
    if len({shard.dtype for shard in found}) > 1:
        raise DataError(source, None, "its shards are of different dtypes")
    return found


def _dtype_of(paths: dict[str, str]) -> Dtype:
    """By the sizes: the table has an entry for each token."""
    n_bytes, n_table = os.path.getsize(paths["tokenized"]), os.path.getsize(paths["table"])
    for dtype, width in WIDTHS.items():
        if n_bytes % width == 0 and n_bytes // width * pointer_width(n_bytes) == n_table:
            return dtype
    raise DataError(
        paths["table"], None,
        f"has {n_table:,} bytes, which are no table of the {n_bytes:,} bytes of tokens beside it "
        "as u16 or u32",
    )  # fmt: skip


def _documents(shard: _Found, eos: int) -> Iterator[tuple[NDArray[Any], pa.RecordBatch]]:
    """Documents in batches: their ids, each ended with the EOS, and rows for `PartWriter`."""
    data = _mapped(shard.paths["tokenized"], store.NUMPY_DTYPES[shard.dtype])
    width = WIDTHS[shard.dtype]
    offsets = _mapped(shard.paths["offset"], "<u8").astype(np.int64)
    places, rest = np.divmod(offsets, width)
    bounds = np.append(places, len(data))
    separator = np.iinfo(shard.dtype).max
    if rest.any() or (len(bounds) > 1 and bounds[0] != 0) or (np.diff(bounds) < 1).any():
        raise DataError(shard.paths["offset"], None, f"is not of the documents of {shard.name}")
    if len(data) and not len(places):
        raise DataError(shard.paths["offset"], None, f"names no documents of {shard.name}")
    metas = _metas(shard, len(places))
    first = 0
    while first < len(places):
        last = max(int(np.searchsorted(bounds, bounds[first] + BLOCK, "right")) - 1, first + 1)
        ids = np.array(data[bounds[first] : bounds[last]])
        at = bounds[first:last] - bounds[first]
        marks = np.flatnonzero(ids == separator)
        if not np.array_equal(marks, at):
            raise DataError(
                shard.name, None,
                f"documents {first} to {last - 1} do not begin at their separators, or hold one",
            )  # fmt: skip
        # Each separator moves behind its document, as an EOS.
        lengths = np.diff(bounds[first : last + 1])
        moved = np.empty_like(ids)
        moved[:-1] = ids[1:]
        moved[np.cumsum(lengths) - 1] = eos
        chosen = [metas(number) for number in range(first, last)]
        yield moved, pa.RecordBatch.from_arrays(
            [
                pa.array(lengths),
                *(pa.array([row[k] for row in chosen], kind) for k, kind in enumerate(
                    (pa.string(), pa.string(), pa.int64(), pa.string()))),
            ],
            names=["tokens", "id", "src", "loc", "source"],
        )  # fmt: skip
        first = last


def _metas(shard: _Found, n: int) -> Any:
    """What gives (id, src, loc, source) of a document by its number."""
    name = os.path.basename(shard.name)
    if "metadata" not in shard.paths or "metaoff" not in shard.paths:
        return lambda number: (f"{name}:{number}", name, number + 1, None)
    path = shard.paths["metadata"]
    lines = _mapped(path, "u1")
    offsets = _mapped(shard.paths["metaoff"], "<u8").astype(np.int64)
    bounds = np.append(offsets, len(lines))
    if len(offsets) != n or (np.diff(bounds) < 0).any():
        raise DataError(shard.paths["metaoff"], None, f"is not of {path} and {n:,} documents")
    decoder = msgspec.json.Decoder(Meta)

    def meta(number: int) -> tuple[str, str, int, str | None]:
        try:
            about = decoder.decode(lines[bounds[number] : bounds[number + 1]].tobytes())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(path, number + 1, f"is no metadata: {error}") from None
        source = about.metadata.get("source")
        one = about.metadata.get("id")
        return (
            str(one) if one is not None else f"{about.path}:{about.linenum + 1}",
            about.path, about.linenum + 1, source if isinstance(source, str) else None,
        )  # fmt: skip

    return meta


def _mapped(path: str, dtype: str) -> NDArray[Any]:
    """A file as an array; DataError where its size is none of one."""
    size, item = os.path.getsize(path), np.dtype(dtype).itemsize
    if size % item:
        raise DataError(path, None, f"{size:,} bytes are no multiple of {item}")
    return np.memmap(path, dtype, "r") if size else np.zeros(0, dtype)
