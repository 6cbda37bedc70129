from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from dolma_kit.errors import ConfigError
from dolma_kit.tokens import tokenizer_file

from .conftest import MERGES, MakeTokenizer

N_IDS = 256 + len(MERGES) + 2


def test_facts(make_tokenizer: MakeTokenizer) -> None:
    path = make_tokenizer()
    found = tokenizer_file.resolve(str(path))
    assert (found.name, found.vocab_size, found.dtype) == ("tiny.json", N_IDS, "uint16")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.require_eos(N_IDS - 1) == N_IDS - 1
    assert found.require_pad(None) is None


def test_a_folder_names_its_tokenizer_json(make_tokenizer: MakeTokenizer) -> None:
    path = make_tokenizer(name="some/tokenizer.json")
    assert tokenizer_file.resolve(str(path.parent)).path == str(path)


@pytest.mark.parametrize(("highest", "dtype"), [(65535, "uint16"), (65536, "uint32")])
def test_the_dtype_holds_the_highest_id(
    make_tokenizer: MakeTokenizer, highest: int, dtype: str
) -> None:
    def change(content: Any) -> None:
        content["added_tokens"][-1]["id"] = highest

    found = tokenizer_file.resolve(str(make_tokenizer(change=change)))
    assert (found.vocab_size, found.dtype) == (highest + 1, dtype)
    with pytest.raises(ConfigError, match=f"no id of tiny.json .*likely: {highest} <.endoftext.>"):
        found.require_eos(highest - 1)  # a hole in the ids


def test_an_unknown_eos_names_likely_ones(make_tokenizer: MakeTokenizer) -> None:
    found = tokenizer_file.resolve(str(make_tokenizer()))
    likely = rf"likely: {N_IDS - 1} <\|endoftext\|>"
    with pytest.raises(ConfigError, match=f"no eos_token_id.*{likely}"):
        found.require_eos(None)
    with pytest.raises(ConfigError, match=f"eos_token_id 50279 is no id.*{likely}"):
        found.require_eos(50279)
    with pytest.raises(ConfigError, match="pad_token_id 50279 is no id"):
        found.require_pad(50279)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "no tokenizer: give"),
        ("no/such/file.json", "neither a file"),
        ("/nowhere", "neither a file"),
        (".", "holds no tokenizer.json"),
        ("broken.json", "not a tokenizer.json"),
        ("other.json", "not a tokenizer.json"),
    ],
)
def test_bad_arguments(
    argument: str, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text('{"model": {"vocab"')
    (tmp_path / "other.json").write_text('{"model": {"type": "BPE"}}')
    with pytest.raises(ConfigError, match=message):
        tokenizer_file.resolve(argument)


def test_a_hub_id_offline_is_one_quick_clear_error(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(
        ConfigError, match="'owner/name' is neither a path nor in the local hub cache"
    ) as caught:
        tokenizer_file.resolve("owner/name")
    assert "\n" not in str(caught.value)
    assert "hf download owner/name tokenizer.json" in str(caught.value)
    assert time.monotonic() - started < 6


def test_a_hub_id_offline_is_found_in_the_cache(
    make_tokenizer: MakeTokenizer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    repository = tmp_path / "models--owner--name"
    path = make_tokenizer(name="models--owner--name/snapshots/c0ffee/tokenizer.json")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tokenizer_file.resolve("owner/name").path == str(path)
