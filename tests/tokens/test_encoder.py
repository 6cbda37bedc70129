from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dolma_kit
from dolma_kit import downloads
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import ConfigError, VerificationError
from dolma_kit.tokens import encoder, self_check, tokenizer_file
from dolma_kit.tokens.encoder import Encoded, EncodingError, Library
from dolma_kit.tokens.tokenizer_file import TokenizerFile
from tests.tokens import equal_ids

from .conftest import EMAIL, EOS, MakeTokenizer

ROOT = Path(dolma_kit.__file__).parent.parent
LIBRARIES: tuple[Library, ...] = ("fastokens", "tokenizers")


def load(path: Path, library: Library) -> tuple[TokenizerFile, encoder.Encoder]:
    found = tokenizer_file.resolve(str(path))
    return found, encoder.load(found.path, found.sha256, library)


@pytest.mark.parametrize("kind", ["gpt2", "cl100k"])
def test_encoders_agree_on_adversarial_texts(make_tokenizer: MakeTokenizer, kind: str) -> None:
    found, _ = load(make_tokenizer(kind), "tokenizers")
    texts = self_check.adversarial_texts(found)
    assert len(texts) > 15_000
    assert self_check.fault_of_fastokens(found, texts) is None


def test_adversarial_texts_meet_every_category(make_tokenizer: MakeTokenizer) -> None:
    import unicodedata

    found, _ = load(make_tokenizer(), "tokenizers")
    met = {unicodedata.category(c) for text in self_check.adversarial_texts(found) for c in text}
    every = {unicodedata.category(chr(n)) for n in range(0x110000)} - {"Cs"}
    assert met == every


@pytest.mark.parametrize("library", LIBRARIES)
def test_layout_and_special_strings(make_tokenizer: MakeTokenizer, library: Library) -> None:
    found, encoding = load(make_tokenizer(), library)
    ids, offsets = encoding.encode(["", f"the{EOS}", EMAIL, "\x00"])
    assert (str(ids.dtype), str(offsets.dtype)) == ("uint32", "int64")
    assert offsets.tolist() == [0, 0, 14, 15, 16]  # "the" is one id, EOS 13 ordinary characters
    by_name = {token.content: token.id for token in found.added_tokens}
    assert by_name[EOS] not in ids
    assert ids[offsets[2] : offsets[3]].tolist() == [by_name[EMAIL]]
    assert encoding.name.startswith(f"{library} ")


@pytest.mark.parametrize("library", LIBRARIES)
def test_truncation_and_padding_of_the_file_are_off(
    make_tokenizer: MakeTokenizer, library: Library
) -> None:
    def change(content: Any) -> None:
        content["truncation"] = {
            "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
        }  # fmt: skip
        content["padding"] = {
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "!",
        }  # fmt: skip

    _, encoding = load(make_tokenizer(change=change), library)
    assert np.diff(encoding.encode(["zq" * 20, "z"]).offsets).tolist() == [40, 1]


def test_many_texts_are_encoded_as_each_alone(
    make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, encoding = load(make_tokenizer(), "tokenizers")
    texts = ["the first", "", "second 123", "x" * 50, "last"]
    whole = encoding.encode(texts)
    monkeypatch.setattr(encoder, "REFERENCE_CHARACTERS", 10)
    parts = encoding.encode(texts)
    assert self_check.first_difference(whole, parts) is None


class Failing:
    """A library that gives up on one text."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def encode_batch_flat(self, texts: list[str], **how: Any) -> Any:
        if "bad" in texts:
            raise ValueError("too hard\nsecond line")
        return self.inner.encode_batch_flat(texts, **how)

    def encode_batch_fast(self, texts: list[str], **how: Any) -> Any:
        if "bad" in texts:
            raise ValueError("too hard\nsecond line")
        return self.inner.encode_batch_fast(texts, **how)


def test_what_fastokens_gives_up_on_goes_to_the_reference(make_tokenizer: MakeTokenizer) -> None:
    path = make_tokenizer()
    text = path.read_text(encoding="utf-8")
    fast, reference = encoder.FastokensEncoder(text), encoder.TokenizersEncoder(text)
    fast._tokenizer = Failing(fast._tokenizer)
    texts = ["the", "bad", "", "'s"]
    assert self_check.first_difference(reference.encode(texts), fast.encode(texts)) is None
    fast._reference._tokenizer = Failing(fast._reference._tokenizer)
    with pytest.raises(EncodingError, match=r"text 1: tokenizers .* gives up on it: too hard$"):
        fast.encode(texts)


def test_a_panic_of_the_reference_is_an_error_of_that_text(
    make_tokenizer: MakeTokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Oniguruma's retry limit: `\\s*[\\r\\n]+` on more than ten million spaces."""
    _, encoding = load(make_tokenizer(), "tokenizers")
    with pytest.raises(EncodingError, match=r"text 1: .*retry-limit-in-match over"):
        encoding.encode(["a", " " * 10_000_100])


def test_auto_falls_back_and_says_why(
    make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = load(make_tokenizer(), "tokenizers")
    assert self_check.choose("auto", found)[::2] == ("fastokens", None)
    assert self_check.choose("tokenizers", found)[::2] == ("tokenizers", None)

    def encode(self: Any, texts: list[str]) -> Encoded:
        return Encoded(np.zeros(len(texts), np.uint32), np.arange(len(texts) + 1))

    monkeypatch.setattr(encoder.FastokensEncoder, "encode", encode)
    # That it agreed on our texts is remembered; what it is given besides is looked at each time.
    assert self_check.choose("auto", found).library == "fastokens"
    assert self_check.choose("auto", found, ["a text"]).library == "tokenizers"
    for path in Path(downloads.cache_folder(), "self_check").iterdir():
        path.unlink()
    library, name, note = self_check.choose("auto", found)
    assert (library, name) == ("tokenizers", encoder.version("tokenizers"))
    assert note is not None
    assert "gives other ids than tokenizers" in note
    with pytest.raises(ConfigError, match=r"gives other ids .*; use --encoder auto or tokenizers"):
        self_check.choose("fastokens", found)


def test_a_model_that_fastokens_lacks_falls_back(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    path = tmp_path / "words.json"
    vocab = {"[UNK]": 0, "the": 1, "</s>": 2}
    Tokenizer(models.WordLevel(vocab=vocab, unk_token="[UNK]")).save(str(path))
    library, _, note = self_check.choose("auto", tokenizer_file.resolve(str(path)))
    assert library == "tokenizers"
    assert note is not None


def test_a_tokenizer_that_changed_is_refused(make_tokenizer: MakeTokenizer) -> None:
    found = tokenizer_file.resolve(str(make_tokenizer()))
    Path(found.path).write_text("{}")
    with pytest.raises(VerificationError, match="has changed"):
        encoder.load(found.path, found.sha256, "tokenizers")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["dolma2.json", "gpt-neox-olmo-dolma-v1_5.json"])
def test_encoders_agree_with_olmos_tokenizers(shared_data: Path, name: str) -> None:
    found = tokenizer_file.resolve(str(shared_data / "tokenizers" / name))
    texts = self_check.adversarial_texts(found)
    for path in sorted(shared_data.glob("corpus/*/documents/*-0000.jsonl.gz")):
        batch = next(iter(DocumentReader(str(path))))
        texts += [text[:20_000] for text in batch.texts[:: len(batch) // 8 + 1]]
    assert self_check.fault_of_fastokens(found, texts) is None


@pytest.mark.parametrize("name", equal_ids.NAMES)
def test_equal_ids_on_a_tenth_of_the_corpus(shared_data: Path, name: str) -> None:
    n, n_bytes, odd = equal_ids.compare(shared_data, name, 10)
    assert odd is None
    assert n > 3000
    assert n_bytes > 10_000_000


def test_auto_works_without_fastokens(
    make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastokens", None)
    found = tokenizer_file.resolve(str(make_tokenizer()))
    library, _, note = self_check.choose("auto", found)
    assert (library, note) == ("tokenizers", "fastokens is not installed")


ONE_THREAD = """
import hashlib, sys, time
from dolma_kit.execute.local import bound_threads
bound_threads(1)
from dolma_kit.tokens import encoder
path = sys.argv[1]
with open(path, "rb") as stream:
    sha256 = hashlib.sha256(stream.read()).hexdigest()
encoding = encoder.load(path, sha256, "fastokens")
texts = [f"Document {i} with a number of its own and words, {i * i}. " * 20 for i in range(20_000)]
started, used = time.perf_counter(), time.process_time()
encoding.encode(texts)
print((time.process_time() - used) / (time.perf_counter() - started))
"""


def test_one_worker_encodes_with_one_thread(make_tokenizer: MakeTokenizer) -> None:
    """One thread cannot use more processor time than passes, however busy the machine is."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_THREAD, str(make_tokenizer())],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 1.1
