"""Plain twins of `kernels.minhash`, in Python's integers."""

from __future__ import annotations

LOW = (1 << 32) - 1
ALL = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def mix64(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & ALL
    z = (z ^ z >> 27) * 0x94D049BB133111EB & ALL
    return z ^ z >> 31


def permutations(n: int, seed: int = 0) -> list[tuple[int, int]]:
    drawn = [mix64(seed + GAMMA * i & ALL) & LOW for i in range(1, 2 * n + 1)]
    return [(a | 1, b) for a, b in zip(drawn[::2], drawn[1::2], strict=True)]


def permute(x: int, a: int, b: int) -> int:
    z = x * a & LOW ^ b
    z = (z ^ z >> 16) * 0x7FEB352D & LOW
    z = (z ^ z >> 15) * 0x846CA68B & LOW
    return z ^ z >> 16


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    """The word n-grams of a text."""
    words = text.split()
    if not words:
        return set()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def word_hash(word: str) -> int:
    data = word.encode()
    whole, h = len(data) // 8 * 8, 0
    for i in range(0, whole, 8):
        h = mix64((h ^ int.from_bytes(data[i : i + 8], "big")) + GAMMA & ALL)
    return mix64((h ^ int.from_bytes(data[whole:], "big")) + GAMMA * len(data) & ALL)


def number(gram: tuple[str, ...]) -> int:
    total = 0
    for word in gram:
        total = total * 0x5851F42D4C957F2D + word_hash(word) & ALL
    return mix64(total) >> 32


def signature(text: str, n: int, permuted_by: list[tuple[int, int]]) -> list[int]:
    numbers = [number(gram) for gram in grams(text, n)]
    return [min((permute(x, a, b) for x in numbers), default=LOW) for a, b in permuted_by]


def band_keys(signature: list[int], n_bands: int, n_rows: int) -> list[int]:
    keys = []
    for band in range(n_bands):
        h = band
        for value in signature[band * n_rows : (band + 1) * n_rows]:
            h = mix64((h ^ value) + GAMMA & ALL)
        keys.append(h)
    return keys


def jaccard(a: str, b: str, n: int) -> float:
    one, other = grams(a, n), grams(b, n)
    return len(one & other) / len(one | other) if one | other else 0.0
