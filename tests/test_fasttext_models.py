"""Model files: what is broken is named in one line, whatever is broken; URLs are fetched once."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit import fasttext_models
from dolma_kit.errors import ConfigError, DataError, DolmaKitError
from dolma_kit.fasttext_models import Model
from tests import naive

from .served import Served

GOLDEN = Path(__file__).parent / "golden" / "fasttext"
MODELS = sorted(json.loads((GOLDEN / "predictions.json").read_text("utf-8"))["models"])
BIN = (GOLDEN / "softmax_bigrams.bin").read_bytes()
FTZ = (GOLDEN / "pruned.ftz").read_bytes()
N_ENTRIES = 64  # where the dictionary begins: after magic, version and settings


def fault(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        Model(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def with_int(data: bytes, at: int, value: int, format: str = "i") -> bytes:
    packed = struct.pack("<" + format, value)
    return data[:at] + packed + data[at + len(packed) :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no fastText model: it has fewer than 8 bytes"),
        (b"\xba\x16O/", "no fastText model: it has fewer than 8 bytes"),
        (b"PK\x03\x04" + bytes(100), "does not begin with fastText's number"),
        (b"<html>not found</html>", "does not begin with fastText's number"),
        (with_int(BIN, 4, 13), "version 13"),
        (with_int(BIN, 4, 10), "version 10"),
        (BIN[:20], "cut short or broken: its settings"),
        (with_int(BIN, 8, 0), "dim is 0"),
        (with_int(BIN, 8, 2**31 - 1), "dim is 2147483647"),
        (with_int(BIN, 28, -1), "wordNgrams is -1"),
        (with_int(BIN, 32, 5), "loss is 5"),
        (with_int(BIN, 36, 1), "word vectors, not a classifier"),
        (with_int(BIN, 40, 0), "bucket is 0"),
        (with_int(BIN, 40, 401), "input matrix has 451 rows of 8, not 452 of 8"),
        (with_int(BIN, 48, 2**30), "maxn is 1073741824"),
        (with_int(BIN, N_ENTRIES, 2**31 - 1), "has 2147483647 entries"),
        (with_int(BIN, N_ENTRIES + 4, -5), "-5 words"),
        (with_int(BIN, N_ENTRIES + 20, -2, "q"), "-2 n-grams"),
        (with_int(BIN, N_ENTRIES + 20, 2**60, "q"), "table of n-grams takes"),
        (BIN[:700], "ends within its dictionary"),
        (BIN[:2000], "input matrix takes"),
        (BIN[:-1], "output matrix takes"),
        (FTZ[:-1], "output matrix takes"),
        (BIN[:-177] + b"\x02" + BIN[-176:], "where its output matrix is quantized"),
    ],
)  # fmt: skip
def test_a_fault_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in fault(tmp_path / "m.bin", data)


@pytest.mark.parametrize("name", MODELS)
def test_a_truncated_file_is_named_wherever_it_ends(tmp_path: Path, name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    for n_bytes in {*range(0, 120, 7), *range(0, len(data), 211), len(data) - 1}:
        fault(tmp_path / "m.bin", data[:n_bytes])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(MODELS), st.data())
def test_broken_bytes_are_an_error_or_a_model_that_predicts(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Nothing in a file makes the reader or a kernel look outside of it, or reserve too much."""
    path = tmp_path_factory.getbasetemp() / "broken.bin"
    whole = bytearray((GOLDEN / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, len(whole) - 1) | st.integers(8, 120))
        whole[at] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    path.write_bytes(whole)
    text, offsets = naive.as_arrays(["the cat saß auf 貓 </s>", "", "katze кот x+=1 " * 5])
    with contextlib.suppress(DataError):
        model = Model(str(path))
        assert model.score(text, offsets[:-1], offsets[1:]).shape == (3, len(model.labels))


def test_norms_that_are_no_numbers(tmp_path: Path) -> None:
    """Reading them is silent, as reading weights is; scores are checked."""
    whole = bytearray((GOLDEN / "quantized_norms.ftz").read_bytes())
    whole[6549] = 127
    (tmp_path / "m.ftz").write_bytes(whole)
    text, offsets = naive.as_arrays(["the cat saß auf"])
    model = Model(str(tmp_path / "m.ftz"))
    with contextlib.suppress(DataError):
        assert model.score(text, offsets[:-1], offsets[1:]).shape == (1, len(model.labels))


def test_old_classifiers_have_no_character_ngrams(tmp_path: Path) -> None:
    data = (GOLDEN / "softmax_ngrams.bin").read_bytes()
    (tmp_path / "old.bin").write_bytes(with_int(data, 4, 11))
    assert Model(str(tmp_path / "old.bin")).settings.max_n == 0
    assert Model(str(GOLDEN / "softmax_ngrams.bin")).settings.max_n == 4


def test_a_model_of_no_numbers_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nan.bin").write_bytes(BIN[:-160] + b"\xff" * 160)
    model = Model(str(tmp_path / "nan.bin"))
    text, offsets = naive.as_arrays(["the cat"])
    with pytest.raises(DataError, match=r"nan.bin: gives scores that are no numbers"):
        model.score(text, offsets[:-1], offsets[1:])


def test_labels_are_those_of_the_file() -> None:
    assert set(Model(str(GOLDEN / "hs.bin")).labels) == {"en", "d-e", "zh_Hant", "ру", "x.y/z"}


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there: name a"):
        fasttext_models.load(str(tmp_path / "none.bin"))
    with pytest.raises(ConfigError, match="is a folder"):
        fasttext_models.load(str(tmp_path))


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes((GOLDEN / "hs.bin").read_bytes())
    first = fasttext_models.load(str(path))
    assert fasttext_models.load(str(path)) is first
    path.write_bytes((GOLDEN / "pruned.ftz").read_bytes())
    assert fasttext_models.load(str(path)).settings.max_n == 4


def test_a_url_is_fetched_once_and_kept(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    served.files["/m/a b.bin"] = (GOLDEN / "hs.bin").read_bytes()
    url = f"{served.address}/m/a%20b.bin?x=1"
    model = fasttext_models.load(url)
    assert model.labels == Model(str(GOLDEN / "hs.bin")).labels
    assert Path(model.path).name == "a_20b.bin"
    served.files.clear()
    assert fasttext_models.load(url) is model
    assert served.asked == ["/m/a%20b.bin?x=1"]
    assert np.isfinite(model._output[0]).all()


def test_what_cannot_be_fetched_is_named_and_nothing_is_kept(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match=f"cannot fetch {served.address}/none.bin: .*404"):
        fasttext_models.load(f"{served.address}/none.bin")
    served.files["/big.bin"] = bytes(2000)
    monkeypatch.setattr(fasttext_models, "MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match="gives more than 1000 bytes"):
        fasttext_models.load(f"{served.address}/big.bin")
    served.files["/short.bin"] = BIN
    served.cut_short = True
    with pytest.raises(DolmaKitError, match=r"cannot fetch .*short.bin"):
        fasttext_models.load(f"{served.address}/short.bin")
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []
