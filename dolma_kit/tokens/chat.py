"""Conversations for fine-tuning: token ids, and a mask that says which of them are trained on.

    input_ids.npy    (n, sequence_length) ids of the dtype of the tokenizer, without a header
    label_mask.npy   the same shape, one byte a token: 1 where it is a label
    chat.json        what was made of what (`Record`)

OLMo takes them as `data: {paths: [.../input_ids.npy], label_mask_paths: [.../label_mask.npy],
generate_attention_mask: true}`. A conversation is one instance: longer ones are cut, shorter ones
padded. Trained on are what an assistant says and the EOS after it. With the template `tulu` this is
what OLMo's `scripts/prepare_tulu_data.py` makes, but that special strings in what somebody says
stay text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import config, files, jsonl
from dolma_kit.config import Chat
from dolma_kit.errors import ConfigError
from dolma_kit.tokens import encoder, self_check, store, tokenizer_file
from dolma_kit.tokens.tokenizer_file import Dtype

NAMES = ("input_ids.npy", "label_mask.npy", "chat.json")
AT_ONCE = 1000


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages become text.

    `first_eos`: EOS stands before the first one. `before` stands before what somebody says, with
    {role} in it, and special tokens in it are such; `after` stands behind it, by role, `""` for
    all others. `trained` are the roles whose words are labels; an EOS ends those words.
    """

    first_eos: bool = True
    before: str = "<|{role}|>\n"
    after: dict[str, str] = msgspec.field(default_factory=lambda: {"": "\n"})
    trained: list[str] = msgspec.field(default_factory=lambda: ["assistant"])
    strip: bool = True


TEMPLATES = {
    "tulu": Template(),
    "chatml": Template(
        first_eos=False, before="<|im_start|>{role}\n", after={"": "<|im_end|>\n"}
    ),
}  # fmt: skip


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str


class Conversation(msgspec.Struct, frozen=True):
    messages: list[Message]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """chat.json. `cut` conversations were longer than an instance; those without labels are left
    out."""

    version: Literal[1] = 1
    tokenizer: str
    tokenizer_sha256: str
    template: Template
    dtype: Dtype
    eos_token_id: int
    pad_token_id: int
    sequence_length: int
    conversations: int
    instances: int
    labels: int
    without_labels: int
    cut: int


def chat(settings: Chat | None = None, **keys: Any) -> Record:
    """Write conversations as instances; `keys` are those of `config.Chat`, or the struct itself.

    Each line of the files is `{"messages": [{"role": "user", "content": "..."}, ...]}`.
    """
    settings = settings or config.build(Chat, keys)
    if not settings.out or not settings.conversations:
        raise ConfigError("name files of conversations, and a folder with --out")
    template = _template(settings.template)
    tokenizer = tokenizer_file.resolve(settings.tokenizer)
    eos = tokenizer.require_eos(settings.eos_token_id)
    pad = tokenizer.require_pad(settings.pad_token_id)
    pad = eos if pad is None else pad
    paths = [path for pattern in settings.conversations for path in files.expand(pattern)]
    if not paths:
        raise ConfigError(f"no files match {', '.join(settings.conversations)}")
    there = [name for name in NAMES if os.path.exists(os.path.join(settings.out, name))]
    if there and not settings.overwrite:
        raise ConfigError(f"{os.path.join(settings.out, there[0])} is there: use --overwrite")
    maker = _Maker(template, tokenizer, settings.encoder, eos, pad, settings.sequence_length)
    totals: Any = dict.fromkeys(
        ("conversations", "instances", "labels", "without_labels", "cut"), 0
    )
    os.makedirs(settings.out, exist_ok=True)
    places = [os.path.join(settings.out, name) for name in NAMES[:2]]
    with (
        files.write_atomically(places[0]) as ids_file,
        files.write_atomically(places[1]) as mask_file,
    ):
        for path in paths:
            for conversations in _read(path):
                for ids, mask, is_cut in maker.instances(conversations):
                    totals["conversations"] += 1
                    totals["cut"] += is_cut
                    if not mask.any():
                        totals["without_labels"] += 1
                        continue
                    totals["instances"] += 1
                    totals["labels"] += int(mask.sum())
                    ids_file.write(ids.tobytes())
                    mask_file.write(mask.tobytes())
        if not totals["instances"]:
            raise ConfigError(f"{totals['conversations']} conversations, and none with a label")
    record = Record(
        tokenizer=tokenizer.name, tokenizer_sha256=tokenizer.sha256, template=template,
        dtype=tokenizer.dtype, eos_token_id=eos, pad_token_id=pad,
        sequence_length=settings.sequence_length, **totals,
    )  # fmt: skip
    with files.write_atomically(os.path.join(settings.out, NAMES[2])) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return record


def _template(name: str) -> Template:
    if name in TEMPLATES:
        return TEMPLATES[name]
    if not os.path.exists(name):
        raise ConfigError(f"no template {name!r}: {', '.join(TEMPLATES)}, or a file of its keys")
    return config.build(Template, config.read(name), where=name)


def _read(path: str) -> Iterator[list[Conversation]]:
    """The conversations of a file, some at a time; DataError for a line that is none."""
    reader = files.Reader(path)
    try:
        for _, rows in jsonl.read(reader, msgspec.json.Decoder(Conversation)):
            for first in range(0, len(rows.objects), AT_ONCE):
                yield rows.objects[first : first + AT_ONCE]
    finally:
        reader.close()


class _Maker:
    """Makes instances of conversations."""

    def __init__(
        self, template: Template, tokenizer: tokenizer_file.TokenizerFile,
        wanted: Literal["auto", "fastokens", "tokenizers"], eos: int, pad: int, length: int,
    ) -> None:  # fmt: skip
        self._template, self._eos, self._pad, self._length = template, eos, pad, length
        self._dtype = store.NUMPY_DTYPES[tokenizer.dtype]
        library = self_check.choose(wanted, tokenizer).library
        self._text = encoder.load(tokenizer.path, tokenizer.sha256, library)
        self._control = encoder.load(
            tokenizer.path, tokenizer.sha256, "tokenizers", with_special=True
        )
        self._known: dict[str, list[int]] = {}

    def instances(
        self, conversations: Sequence[Conversation]
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_], bool]]:
        """Of each conversation: ids and mask (sequence_length,), and whether it was cut."""
        said = [self._words(m) for one in conversations for m in one.messages]
        words, offsets = self._text.encode(said)
        k = 0
        for one in conversations:
            ids: list[int] = [self._eos] if self._template.first_eos else []
            mask = [False] * len(ids)
            for message in one.messages:
                is_label = message.role in self._template.trained
                before = self._ids_of(self._template.before.replace("{role}", message.role))
                own = words[offsets[k] : offsets[k + 1]].tolist()
                k += 1
                after = []
                if is_label:  # its words, the EOS, and then what is between messages
                    own.append(self._eos)
                    after = self._ids_of(self._after(message.role))
                ids += [*before, *own, *after]
                mask += [False] * len(before) + [is_label] * len(own) + [False] * len(after)
            n = min(len(ids), self._length)
            row = np.full(self._length, self._pad, self._dtype)
            labels = np.zeros(self._length, np.bool_)
            row[:n], labels[:n] = ids[:n], mask[:n]
            yield row, labels, len(ids) > self._length

    def _words(self, message: Message) -> str:
        """What is encoded as text: the words, and after those that are no labels what follows."""
        words = message.content.strip() if self._template.strip else message.content
        if message.role in self._template.trained:
            return words
        return words + self._after(message.role)

    def _after(self, role: str) -> str:
        after: Mapping[str, str] = self._template.after
        return after.get(role, after.get("", ""))

    def _ids_of(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._control.encode([text]).ids.tolist() if text else []
        return self._known[text]
