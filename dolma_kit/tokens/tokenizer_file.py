"""The tokenizer.json that an argument names: where it is, its digest, its ids and their dtype."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from dolma_kit import files
from dolma_kit.errors import ConfigError

Dtype = Literal["uint16", "uint32"]

NAME = "tokenizer.json"
HUB_ID = r"[\w-][\w.-]*(/[\w-][\w.-]*)?(@[\w./-]+)?"
PROBE_SECONDS = 5.0
LIKELY_EOS = re.compile(r"end_?of_?(text|sentence|turn)|eos|eot|</s>|im_end", re.IGNORECASE)


class AddedToken(msgspec.Struct, frozen=True):
    """An entry of `added_tokens`: `special` ones are control tokens, the others plain text."""

    id: int
    content: str
    special: bool = False


class _Model(msgspec.Struct):
    vocab: dict[str, int] | list[tuple[str, float]]


class _File(msgspec.Struct):
    model: _Model
    added_tokens: list[AddedToken] = []


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer.json. `name` is the file's own; `vocab_size` is the highest id + 1."""

    path: str
    name: str
    sha256: str
    vocab_size: int
    added_tokens: tuple[AddedToken, ...]
    ids: frozenset[int] = field(repr=False)

    @property
    def dtype(self) -> Dtype:
        """The smallest that holds every id."""
        return "uint16" if self.vocab_size <= 1 << 16 else "uint32"

    def require_eos(self, token_id: int | None) -> int:
        """The id itself; ConfigError names likely ones where it is missing or unknown."""
        if token_id is None:
            raise ConfigError(
                f"no eos_token_id: give the id that ends a document; {self._likely()}"
            )
        return self._require(token_id, "eos_token_id")

    def require_pad(self, token_id: int | None) -> int | None:
        """The id itself, or None; ConfigError where it is unknown."""
        return None if token_id is None else self._require(token_id, "pad_token_id")

    def require_bos(self, token_id: int | None) -> int | None:
        """The id itself, or None; ConfigError where it is unknown."""
        return None if token_id is None else self._require(token_id, "bos_token_id")

    def _require(self, token_id: int, key: str) -> int:
        if token_id not in self.ids:
            raise ConfigError(
                f"{key} {token_id} is no id of {self.name} (0 to {self.vocab_size - 1}); "
                f"{self._likely()}"
            )
        return token_id

    def _likely(self) -> str:
        named = [token for token in self.added_tokens if LIKELY_EOS.search(token.content)]
        special = [token for token in self.added_tokens if token.special]
        shown = ", ".join(f"{token.id} {token.content}" for token in (named or special)[:8])
        kind = "likely" if named else "its special tokens"
        return f"{kind}: {shown}" if shown else f"{self.name} has no special tokens"


def resolve(argument: str) -> TokenizerFile:
    """The tokenizer that a file, a folder with a tokenizer.json, or a hub id (`@revision`) names.

    ConfigError for what is none of these or cannot be read as one. A hub id is looked up in the
    local cache when the hub cannot be reached, which is tried once, for PROBE_SECONDS.
    """
    if not argument:
        raise ConfigError(
            "no tokenizer: give a tokenizer.json, a folder that holds one, or a hub id"
        )
    return read(_locate(argument))


def read(path: str) -> TokenizerFile:
    """The facts of a tokenizer.json; ConfigError if it is none."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        found = msgspec.json.decode(data, type=_File)
    except OSError as error:
        raise ConfigError(f"cannot read tokenizer {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a tokenizer.json: {error}") from None
    vocab = found.model.vocab
    ids = set(vocab.values()) if isinstance(vocab, dict) else set(range(len(vocab)))
    ids.update(token.id for token in found.added_tokens)
    if not ids or min(ids) < 0 or max(ids) >= 1 << 32:
        raise ConfigError(f"{path} is not a usable tokenizer.json: its ids are not 0 to 2^32 - 1")
    return TokenizerFile(
        path=path,
        name=os.path.basename(path),
        sha256=hashlib.sha256(data).hexdigest(),
        vocab_size=max(ids) + 1,
        added_tokens=tuple(found.added_tokens),
        ids=frozenset(ids),
    )


def _locate(argument: str) -> str:
    if os.path.isfile(argument):
        return argument
    if os.path.isdir(argument):
        path = os.path.join(argument, NAME)
        if not os.path.isfile(path):
            raise ConfigError(f"folder {argument} holds no {NAME}: give the file itself")
        return path
    looks_like_a_path = argument.endswith(".json") or not re.fullmatch(HUB_ID, argument)
    if looks_like_a_path or files.is_remote(argument):
        raise ConfigError(
            f"no tokenizer {argument!r}: neither a file, nor a folder that holds {NAME}, "
            "nor the form of a hub id (OWNER/NAME)"
        )
    return _from_hub(argument)


def _from_hub(hub_id: str) -> str:
    """The cached file of a hub id, downloaded first if the hub answers."""
    import huggingface_hub as hub

    repository, _, revision = hub_id.partition("@")
    cure = (
        f"give the path of a {NAME}, or run where the hub can be reached: "
        f"hf download {repository} {NAME}"
    )
    reachable = _hub_answers()
    try:
        return hub.hf_hub_download(
            repository, NAME, revision=revision or None, local_files_only=not reachable
        )
    except hub.errors.LocalEntryNotFoundError:
        raise ConfigError(
            f"tokenizer {hub_id!r} is neither a path nor in the local hub cache, and the hub "
            f"cannot be reached: {cure}"
        ) from None
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the hub does not give {NAME} of {hub_id!r}: {reason}") from None


def _hub_answers() -> bool:
    """One request without retries: the hub's own client retries for half a minute when offline."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except OfflineModeIsEnabled:
        return False
    except Exception as error:
        # The client's library (requests, httpx) changed between releases of huggingface_hub;
        # all of them name the failures of the connection alike.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "requests"):
            raise
        return False
    return True
