"""ARPA files: scores are KenLM's, dialects are read, faults are named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.language_models import models, text
from dolma_kit.language_models.models import Model
from tests import naive

GOLDEN = Path(__file__).parents[1] / "golden" / "language_models"
SCORES = json.loads((GOLDEN / "scores.json").read_text(encoding="utf-8"))
SMALL = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1\t<unk>
-99\t<s>\t-0.5
-1\t</s>
-0.5\ta\t-0.25

\\2-grams:
-0.3\t<s> a
-0.2\ta </s>

\\end\\
"""


def score(path: Path, *documents: str) -> list[list[float]]:
    found = Model(str(path)).score(text.split(*naive.as_arrays(documents)))
    return [[float(value) for value in row] for row in found]


@pytest.mark.parametrize("name", list(SCORES))
def test_scores_are_those_of_kenlm(name: str) -> None:
    """With backoff chains, unknown words, pruned n-grams, ends that are missing, binary form."""
    for sentence, words in SCORES[name].items():
        documents = [sentence or "\n", f"{sentence}\n{sentence}"]
        found = score(GOLDEN / name, *documents)
        log10 = sum(value for value, _ in words)
        n_unknown = sum(is_unknown for _, is_unknown in words)
        for times_2, row in zip((not sentence, True), found, strict=True):
            n = 1 + times_2
            assert row[0] == pytest.approx(n * log10, rel=1e-6)
            assert row[1:] == [n * (len(sentence.split()) + 1), n * n_unknown]


def test_order_1() -> None:
    unigrams = {
        line.split("\t")[1]: float(line.split("\t")[0])
        for line in (GOLDEN / "order-1.arpa").read_text(encoding="utf-8").splitlines()
        if "\t" in line
    }
    expected = unigrams["cat"] + unigrams["<unk>"] + unigrams["</s>"]
    ((log10, length, n_unknown),) = score(GOLDEN / "order-1.arpa", "cat zebra")
    assert (log10, length, n_unknown) == (pytest.approx(expected), 3, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("\t", " "),
        ("\\data\\", "\n# a comment\nor SRILM's\n\\data\\"),
        ("\n\\end\\\n", "\n\\end\\"),
        ("ngram 1=4", "ngram 1 =  4"),
        ("-0.3\t<s> a", "-0.3\t<s> a\t0"),
        ("-1\t</s>", "-1.000e+00\t</s>\t0.0"),
        ("<unk>", "<UNK>"),
    ],
)
def test_dialects(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(SMALL.replace(old, new), encoding="utf-8", newline="")
    found = score(path, "a", "b a")
    np.testing.assert_allclose(found, [[-0.5, 2, 0], [-0.5 - 1 - 0.5 - 0.2, 3, 1]])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.arpa{suffix}"
    path.write_bytes(files.compress(SMALL.encode(), suffix[1:]))
    np.testing.assert_allclose(score(path, "a"), [[-0.5, 2, 0]])


def test_blocks_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = score(GOLDEN / "order-5.arpa", "the cat sat on the mat")
    for n_bytes in (1, 7, 1000):
        monkeypatch.setattr(files, "READ_BYTES", n_bytes)
        if n_bytes > 1:
            assert score(GOLDEN / "order-5.arpa", "the cat sat on the mat") == expected
        path = tmp_path / f"{n_bytes}.arpa"
        path.write_text(SMALL, encoding="utf-8")
        np.testing.assert_allclose(score(path, "a"), [[-0.5, 2, 0]])


def test_an_unknown_word_without_unk_has_kenlms_probability(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(SMALL.replace("-1\t<unk>\n", "").replace("1=4", "1=3"), encoding="utf-8")
    ((log10, _, n_unknown),) = score(path, "zebra")
    assert (log10, n_unknown) == (pytest.approx(-0.5 - 100 - 1), 1)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("\\data\\", "data", 15, "no line"),
        ("ngram 2=2", "ngram 3=2", 3, "`ngram 2=` is due"),
        ("ngram 2=2", "two 2", 3, "where `ngram N=COUNT` or an empty line is due"),
        ("ngram 1=4\nngram 2=2\n", "", 2, "announces no n-grams"),
        ("ngram 2=2", "ngram 2=99999999999", 4, "more than .* bytes can hold"),
        ("1=4", "1=3", 9, "announces 3 1-grams, and these have been"),
        ("1=4", "1=5", 11, "comes after 4 1-grams; .* announces 5"),
        ("2=2", "2=1", 13, "announces 1 2-grams"),
        ("\\1-grams:", "\\2-grams:", 5, r"'.*2-grams:' where .1-grams: is due"),
        ("-0.5\ta\t-0.25", "-0.5\ta b c", 9, "has 4 fields; a probability, 1 word and"),
        ("-0.5\ta\t-0.25", "-0.5", 9, "has 1 fields"),
        ("-0.5\ta", "nan\ta", 9, "no finite number"),
        ("-0.5\ta", "-inf\ta", 9, "no finite number"),
        ("-0.5\ta\t-0.25", "-0.5\ta\tx", 9, "no finite number"),
        ("-0.5\ta", "0.5\ta", 9, "above 1"),
        ("-0.5\ta\t-0.25", "-0.5\t</s>", 9, "is the second line of that 1-gram"),
        ("-0.5\ta\t-0.25", "-0.5\t<unk>", 9, "is the second line of that 1-gram"),
        ("-0.3\t<s> a", "-0.2\ta </s>", 13, "is the second line of that 2-gram"),
        ("-0.3\t<s> a", "-0.3\t<s> b", 12, "has a word that is no 1-gram"),
        ("-0.3\t<s> a", "-0.3\t<s> a\t-0.1", 12, "no longer n-grams are announced"),
        ("\\end\\\n", "", 14, "ends where .end. is due: is it cut short"),
        ("-0.2\ta </s>\n\n\\end\\\n", "", 12, "ends after 1 of the 2 2-grams"),
        ("\\end\\\n", "\\end\\\nmore\n", 16, "stands after .end"),
        ("-99\t<s>", "-99\tb", None, "has no 1-gram <s>"),
    ],
)  # fmt: skip
def test_faults_name_file_line_and_rule(
    tmp_path: Path, old: str, new: str, line: int | None, reason: str
) -> None:
    path = tmp_path / "model.arpa"
    broken = SMALL.replace(old, new)
    if "has no 1-gram" in reason:
        broken = broken.replace("<s> a", "b a")
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        Model(str(path))
    assert (caught.value.path, caught.value.line) == (str(path), line)


def test_files_that_are_no_arpa_files(tmp_path: Path) -> None:
    packed = gzip.compress(SMALL.encode())
    for name, data, reason in (
        ("empty.arpa", b"", "it is empty"),
        ("packed.arpa", packed, "this is gzip: let its name end in .gz"),
        ("cut.arpa.gz", packed[:-30], "broken or truncated gz"),
        ("kenlm.arpa.gz", gzip.compress((GOLDEN / "probing.bin").read_bytes()), "KenLM's binary"),
        ("other.arpa", b"\0\1\2\3" * 50, "no ARPA file"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=reason):
            Model(str(tmp_path / name))


@pytest.mark.parametrize("stop", range(0, len(SMALL) - 2, 3))
def test_no_file_that_is_cut_short_is_taken_for_whole(tmp_path: Path, stop: int) -> None:
    (tmp_path / "cut.arpa").write_text(SMALL[:stop], encoding="utf-8")
    with pytest.raises(DataError):
        Model(str(tmp_path / "cut.arpa"))


def test_a_path_that_is_none(tmp_path: Path) -> None:
    for name, reason in (("none.arpa", "is not there"), ("", "is a folder")):
        with pytest.raises(ConfigError, match=reason):
            models.load(str(tmp_path / name))


def test_a_model_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(SMALL, encoding="utf-8")
    first = models.load(str(path))
    assert models.load(str(path)) is first
    path.write_text(SMALL.replace("-0.3", "-0.33"), encoding="utf-8")
    assert models.load(str(path)) is not first


def test_perplexities_are_finite() -> None:
    scores = np.array([[-2.0, 2, 0], [-1e9, 2, 0], [0, 0, 0], [0.0, 3, 0]])
    found = models.perplexity(scores)
    np.testing.assert_array_equal(found, [10.0, np.finfo(np.float64).max, np.nan, 1.0])
