"""ARPA files as lmplz writes them: numbers as the shortest text that gives the same float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from dolma_kit import files
from dolma_kit.language_models.arpa_files import NOTE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = 1 << 16  # n-grams that are turned into text at once


class Writer:
    """Writes the head, then one section after the other, then `close`; compressed by the suffix."""

    def __init__(self, stream: IO[bytes], path: str, words: Sequence[bytes]) -> None:
        import pyarrow as pa

        self._stream = stream
        self._compression = files.compression_of(path)
        self._words = pa.array(words, pa.large_binary())
        self.n_bytes = 0

    def head(self, counts: Sequence[int], note: bytes) -> None:
        """The comment that says how the text was prepared, and how many n-grams there are."""
        lines = [NOTE + note, b"\\data\\"]
        lines += [b"ngram %d=%d" % (n, count) for n, count in enumerate(counts, 1)]
        self._write(b"\n".join([*lines, b"", b""]))

    def section(
        self,
        words: Sequence[NDArray[np.int32]],
        probabilities: NDArray[np.float64],
        backoffs: NDArray[np.float64] | None,
    ) -> None:
        """N-grams: the ids of their first words, of their second ones, ..., and their numbers."""
        self._write(b"\\%d-grams:\n" % len(words))
        for start in range(0, len(probabilities), _ROWS):
            stop = start + _ROWS
            chunk = [part[start:stop] for part in words]
            backoff = None if backoffs is None else backoffs[start:stop]
            self._write(self._lines(chunk, probabilities[start:stop], backoff))
        self._write(b"\n")

    def close(self) -> None:
        self._write(b"\\end\\\n")

    def _lines(
        self,
        words: Sequence[NDArray[np.int32]],
        probabilities: NDArray[np.float64],
        backoffs: NDArray[np.float64] | None,
    ) -> bytes:
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [self._words.take(pa.array(part)) for part in words]
        space = pa.scalar(b" ", pa.large_binary())
        ngrams = pc.binary_join_element_wise(*parts, space) if len(parts) > 1 else parts[0]
        fields = [_logarithms(probabilities), ngrams]
        if backoffs is not None:
            fields.append(_logarithms(backoffs))
        lines = pc.binary_join_element_wise(*fields, pa.scalar(b"\t", pa.large_binary()))
        whole = pa.LargeListArray.from_arrays(pa.array([0, len(lines)], pa.int64()), lines)
        return bytes(pc.binary_join(whole, pa.scalar(b"\n", pa.large_binary()))[0].as_py() + b"\n")

    def _write(self, data: bytes) -> None:
        packed = files.compress(data, self._compression)
        self._stream.write(packed)
        self.n_bytes += len(packed)


def _logarithms(values: NDArray[np.float64]) -> Any:
    """log10 as float32 and as text; 0 at most, and -99, as SRILM has it, for 0."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    logarithms = np.full(len(values), -99.0)
    np.log10(values, out=logarithms, where=values > 0)
    text = pc.cast(pa.array(logarithms.astype(np.float32) + np.float32(0)), pa.large_string())
    return text.cast(pa.large_binary())
