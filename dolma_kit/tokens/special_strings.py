"""The strings of special tokens that stand in texts: found at the speed of a search for their
common beginning (`<|` of OLMo's), and counted by token."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dolma_kit.tokens.tokenizer_file import AddedToken


class SpecialStrings:
    """Counts special strings in UTF-8; of those that overlap the first counts, of those that begin
    at one place the longest."""

    def __init__(self, tokens: Sequence[AddedToken]) -> None:
        contents = [token.content.encode() for token in tokens if token.special and token.content]
        contents.sort(key=len, reverse=True)
        self._beginning = _common_beginning(contents)
        self._pattern = re.compile(b"|".join(map(re.escape, contents))) if contents else None

    def count(self, text_bytes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Counter[str]:
        """String -> how often it stands in the documents `text_bytes[offsets[i]:offsets[i + 1]]`;
        what begins in one and ends in the next is none.

        >>> tokens = [AddedToken(1, "<|a|>", True), AddedToken(2, "<|b|>", True)]
        >>> text = np.frombuffer(b"x<|b|> <|c|> <|b|><|a|>", np.uint8)
        >>> SpecialStrings(tokens).count(text, np.array([0, 20, 23]))
        Counter({'<|b|>': 2})
        """
        found: Counter[str] = Counter()
        if self._pattern is None:
            return found
        first, last = int(offsets[0]), int(offsets[-1])  # a batch may be a part of its bytes
        text = text_bytes[first:last].tobytes()
        ends = (offsets[1:] - first).tolist()
        at = self._next(text, 0)
        while at >= 0:
            match = self._pattern.match(text, at, ends[bisect.bisect_right(ends, at)])
            if match is not None:
                found[match[0].decode()] += 1
            at = self._next(text, match.end() if match else at + 1)
        return found

    def _next(self, text: bytes, at: int) -> int:
        """Where a special string may begin, from `at` on; -1 for nowhere."""
        if self._beginning:
            return text.find(self._beginning, at)
        assert self._pattern is not None
        match = self._pattern.search(text, at)
        return match.start() if match else -1


def _common_beginning(contents: Sequence[bytes]) -> bytes:
    if not contents:
        return b""
    first, last = min(contents), max(contents)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:n]
