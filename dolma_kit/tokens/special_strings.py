"""The strings of special tokens that stand in texts: found at the speed of a search for their
common beginning (`<|` of OLMo's), and counted by token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from dolma_kit.tokens.tokenizer_file import AddedToken


class SpecialStrings:
    """Counts special strings in UTF-8; of those that overlap the first counts, of those that begin
    at one place the longest."""

    def __init__(self, tokens: Sequence[AddedToken]) -> None:
        contents = [token.content.encode() for token in tokens if token.special and token.content]
        contents.sort(key=len, reverse=True)
        self._beginning = _common_beginning(contents)
        self._pattern = re.compile(b"|".join(map(re.escape, contents))) if contents else None

    def count(self, text: bytes) -> Counter[str]:
        """String -> how often it stands in a text.

        >>> tokens = [AddedToken(1, "<|a|>", True), AddedToken(2, "<|b|>", True)]
        >>> SpecialStrings(tokens).count(b"x<|b|> <|c|> <|b|>")
        Counter({'<|b|>': 2})
        """
        found: Counter[str] = Counter()
        if self._pattern is None:
            return found
        at = text.find(self._beginning)
        while at >= 0:
            match = (
                self._pattern.match(text, at) if self._beginning else self._pattern.search(text, at)
            )
            if match is not None:
                found[match[0].decode()] += 1
                at = match.end()
            elif self._beginning:
                at += 1
            else:
                break
            at = text.find(self._beginning, at)
        return found


def _common_beginning(contents: Sequence[bytes]) -> bytes:
    if not contents:
        return b""
    first, last = min(contents), max(contents)
    n = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:n]
