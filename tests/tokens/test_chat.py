"""`tokens chat`: ids and masks of conversations, beside what OLMo's script does step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.tokens import chat
from tests.conftest import RunCommand
from tests.tokens.conftest import EOS, MakeTokenizer
from tests.tokens.test_stage import EMAIL_ID, EOS_ID

TALKS = [
    [("system", "Be kind."), ("user", " Hi there! \n"), ("assistant", "Hello.  ")],
    [("user", "1+1?"), ("assistant", "2"), ("user", "And 2+2?"), ("assistant", "4")],
    [("user", "Nobody answers.")],
    [("user", "long " * 60), ("assistant", "cut off")],
    [("user", "é日本 \U0001f600"), ("assistant", "\n\nyes\n")],
]


def write(folder: Path, talks: list[Any]) -> str:
    lines = [
        json.dumps({"id": i, "messages": [{"role": r, "content": c} for r, c in talk]})
        for i, talk in enumerate(talks)
    ]
    (folder / "talks.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return str(folder / "talks.jsonl")


def plainly(path: Path, talk: list[tuple[str, str]], length: int) -> tuple[list[int], list[bool]]:
    """One conversation as prepare_tulu_data.py has it."""
    tokenizer = tokenizers.Tokenizer.from_file(str(path))

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    ids, mask = [EOS_ID], [False]
    for role, content in talk:
        header = encode(f"<|{role}|>\n")
        ids += header
        mask += [False] * len(header)
        if role == "assistant":
            words = encode(content.strip() + EOS + "\n")
            mask += [True] * (len(words) - 1) + [False]
        else:
            words = encode(content.strip() + "\n")
            mask += [False] * len(words)
        ids += words
    ids, mask = ids[:length], mask[:length]
    n = length - len(ids)
    return ids + [EMAIL_ID] * n, mask + [False] * n


def run(talks: str, tokenizer: Path, out: Path, **keys: Any) -> tuple[Any, Any, Any]:
    length = keys.setdefault("sequence_length", 64)
    made = chat.chat(
        conversations=[talks], tokenizer=str(tokenizer), eos_token_id=EOS_ID, out=str(out),
        **{"pad_token_id": EMAIL_ID, "encoder": "tokenizers", **keys},
    )  # fmt: skip
    ids = np.fromfile(out / "input_ids.npy", "<u2").reshape(-1, length)
    mask = np.fromfile(out / "label_mask.npy", np.bool_).reshape(-1, length)
    assert ids.shape == mask.shape == (made.instances, length)
    return made, ids, mask


@pytest.mark.parametrize("encoder", ["auto", "tokenizers"])
def test_as_olmos_script(tmp_path: Path, make_tokenizer: MakeTokenizer, encoder: str) -> None:
    tokenizer = make_tokenizer()
    made, ids, mask = run(write(tmp_path, TALKS), tokenizer, tmp_path / "o", encoder=encoder)
    expected = [plainly(tokenizer, talk, 64) for talk in TALKS]
    expected = [(i, m) for i, m in expected if any(m)]
    assert ids.tolist() == [i for i, _ in expected]
    assert mask.tolist() == [m for _, m in expected]
    assert (made.conversations, made.instances, made.without_labels, made.cut) == (5, 3, 2, 2)
    assert made.labels == mask.sum()


def test_nobody_ends_a_turn_by_its_string(tmp_path: Path, make_tokenizer: MakeTokenizer) -> None:
    talks = [[("user", f"x{EOS}<|assistant|>\n"), ("assistant", f"y{EOS}z")]]
    _, ids, mask = run(
        write(tmp_path, talks), make_tokenizer(), tmp_path / "o", sequence_length=128
    )
    assert (ids[0] == EOS_ID).sum() == 2  # the first, and the one after the answer
    assert ids[0][mask[0]][-1] == EOS_ID
    assert mask[0].sum() == len(f"y{EOS}z".encode()) + 1  # of bytes: no merge fits


def test_templates(tmp_path: Path, make_tokenizer: MakeTokenizer) -> None:
    talks, tokenizer = write(tmp_path, TALKS[:1]), make_tokenizer()
    _, ids, mask = run(talks, tokenizer, tmp_path / "a", template="chatml", sequence_length=150)
    decoded = tokenizers.Tokenizer.from_file(str(tokenizer)).decode(
        ids[0][ids[0] != EMAIL_ID].tolist(), skip_special_tokens=False
    )
    assert decoded == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi there!<|im_end|>\n"
        f"<|im_start|>assistant\nHello.{EOS}<|im_end|>\n"
    )
    assert mask[0].sum() == len("Hello.") + 1
    own = tmp_path / "own.yaml"
    own.write_text("before: '{role}: '\nafter: {user: ' / ', '': ''}\ntrained: [user, assistant]\n")
    made, ids, mask = run(talks, tokenizer, tmp_path / "b", template=str(own))
    decoded = tokenizers.Tokenizer.from_file(str(tokenizer)).decode(
        ids[0][ids[0] != EMAIL_ID].tolist(), skip_special_tokens=False
    )
    assert decoded == f"{EOS}system: Be kind.user: Hi there!{EOS} / assistant: Hello.{EOS}"
    trained = tokenizers.Tokenizer.from_file(str(tokenizer)).decode(
        ids[0][mask[0]].tolist(), skip_special_tokens=False
    )
    assert trained == f"Hi there!{EOS}Hello.{EOS}"
    assert made.labels == mask.sum()


def test_the_command_and_what_is_wrong(
    tmp_path: Path, make_tokenizer: MakeTokenizer, dolma_kit: RunCommand
) -> None:
    talks, tokenizer = write(tmp_path, TALKS), make_tokenizer()
    out = tmp_path / "o"
    flags = ["--tokenizer", tokenizer, "--eos-token-id", EOS_ID, "--out", out]
    answer = dolma_kit("tokens", "chat", talks, *flags)
    assert answer.json["instances"] == 4
    assert json.loads((out / "chat.json").read_text())["sequence_length"] == 2048
    answer = dolma_kit("tokens", "chat", talks, *flags)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "input_ids.npy is there: use --overwrite" in answer.err
    with pytest.raises(ConfigError, match="none with a label"):
        run(write(tmp_path, TALKS[2:3]), tokenizer, tmp_path / "p")
    assert not (tmp_path / "p/input_ids.npy").exists()
    with pytest.raises(ConfigError, match="no template 'x'"):
        run(talks, tokenizer, tmp_path / "q", template="x")
    (tmp_path / "talks.jsonl").write_text('{"messages": []}\n\n{"messages": [{"role": "user"}]}\n')
    with pytest.raises(DataError, match=r"talks.jsonl:3.*content"):
        run(talks, tokenizer, tmp_path / "q")
    assert not (tmp_path / "q/input_ids.npy").exists()
