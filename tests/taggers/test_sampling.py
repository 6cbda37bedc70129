"""Numbers to draw samples by: fixed, uniform, and independent of each other."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from numpy.typing import NDArray

from dolma_kit import registry
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError

from .test_taggers import batch_of

N_BINS = 100
LIKELY = 170  # chi-square of 99 degrees of freedom is above that once in 80,000 times


def numbers(ids: list[str], seed: int = 0) -> NDArray[np.float64]:
    table = batch_of([""] * len(ids)).table
    table = table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids))
    batch = Batch(table, path="x", first_row=0, lines=np.arange(1, len(ids) + 1))
    columns = registry.tagger({"id": "random_v2", "seed": seed}).tag(batch)
    return np.asarray(columns["random"])


def chi_square(found: NDArray[np.float64]) -> float:
    counts = np.histogram(found, N_BINS, (0, 1))[0]
    expected = len(found) / N_BINS
    return float(((counts - expected) ** 2 / expected).sum())


def real_ids(shared_data: Path) -> list[str]:
    decoder = msgspec.json.Decoder(msgspec.defstruct("Named", [("id", str)]))
    ids: list[str] = []
    for path in sorted((shared_data / "corpus").glob("w*/documents/*.gz")):
        with gzip.open(path, "rb") as lines:
            ids += [document.id for document in decoder.decode_lines(lines.read())]
    return sorted(set(ids))


def test_values_are_for_ever() -> None:
    assert numbers(["", "a", "web-0000-17", "naïve", "中" * 20]).tolist() == [
        0.9346749315317059,
        0.8215144243236395,
        0.9905284451296181,
        0.7517596400668035,
        0.38077070601603347,
    ]
    assert numbers(["a"], seed=1).tolist() == [0.8701589409645765]


def test_values_are_xxh64s() -> None:
    ids = [f"é-{i}" for i in range(50)]
    for seed in (0, 1, 2**63 - 1):
        hashes = [xxhash.xxh64_intdigest(name.encode(), seed) for name in ids]
        assert numbers(ids, seed).tolist() == [(h >> 11) / 2**53 for h in hashes]


def test_the_largest_is_below_1() -> None:
    assert (2**64 - 1 >> 11) * 2.0**-53 < 1


def test_an_id_has_its_number_in_any_company() -> None:
    ids = ["b", "", "a", "b"]
    found = numbers(ids)
    assert found[0] == found[3] == numbers(["b"])[0]
    assert found.tolist() == numbers(ids[::-1])[::-1].tolist()


@pytest.mark.parametrize("form", ["{}", "web-{:08d}", "http://a.org/{}/index.html"])
@pytest.mark.parametrize("seed", [0, 1])
def test_uniform_on_sequential_ids(form: str, seed: int) -> None:
    found = numbers([form.format(i) for i in range(20_000)], seed)
    assert chi_square(found) < LIKELY
    assert chi_square(found * 1024 % 1) < LIKELY  # lower bits too
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 5 / np.sqrt(len(found))


def test_uniform_on_real_ids(shared_data: Path) -> None:
    found = numbers(real_ids(shared_data))
    assert len(found) > 5_000
    assert chi_square(found) < LIKELY


def test_seeds_are_independent() -> None:
    ids = [f"doc{i}" for i in range(20_000)]
    seeds = [numbers(ids, seed) for seed in (0, 1, 2, 3, 256, 2**32)]
    correlations = np.corrcoef(seeds)[np.triu_indices(len(seeds), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(ids))
    first = seeds[0] < 0.1
    for other in seeds[1:]:  # a sample of a sample is as large as it should be
        assert abs((other[first] < 0.1).sum() - 0.1 * first.sum()) < 5 * np.sqrt(0.09 * first.sum())
        assert chi_square((other - seeds[0]) % 1) < LIKELY


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5])
def test_a_seed_is_a_whole_number(seed: float) -> None:
    with pytest.raises(ConfigError, match="seed"):
        registry.tagger({"id": "random_v2", "seed": seed})
