"""How many tokens documents have, under Dolma's ids.

By a tokenizer itself, or by the pieces that it makes tokens of. The setting `tokenizer` is a
tokenizer.json, a folder that holds one, or a hub id; by default that of Dolma's tokenizer. Keys and
values are those of Dolma's taggers/length.py and taggers/tokenizers.py. Strings of special tokens
(`<|endoftext|>`) in a text count as these tokens. A text that the tokenizer gives up on has no
value; truncation and padding that a tokenizer.json may ask for are off, where Dolma's would heed
them; those of Dolma's own tokenizers ask for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from dolma_kit.segments import segments
from dolma_kit.tokens import counting
from taggers.length import PARAGRAPHS, spans, sums

TokenizerName = Annotated[str, Meta(min_length=1)]


class OlmoPreTokenizer(Tagger, frozen=True):
    """Pieces into which OLMo's pre-tokenizer splits the text (`length`): a bound of its tokens.

    Each digit and each punctuation mark is one, with a space before it; other runs of letters, of
    numbers and of symbols are, with a space before them; and so is other white space. Characters
    are classed as in `tokenizers` 0.19.1, where `$`, `+`, `<` and the like are symbols, not
    punctuation. Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "olmo_pretokenizer_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pre_tokens",)

    def tag(self, batch: Batch) -> Columns:
        starts, ends = batch.offsets[:-1], batch.offsets[1:]
        counts = kernels.pre_tokens.count_pieces(batch.text_bytes, starts, ends)
        return {"length": counts.astype(np.float64)}


class OlmoPreTokenizerWithParagraphs(Tagger, frozen=True):
    """As `olmo_pretokenizer_v1`, of each paragraph (`paragraph`), and their sum (`document`).

    Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "olmo_pretokenizer_with_paragraphs_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"paragraph": "spans", "document": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pre_tokens", *PARAGRAPHS)

    def tag(self, batch: Batch) -> Columns:
        found = segments(batch, "paragraph")
        after = found.ends + (found.ends < batch.offsets[1:][found.docs])  # the line feed
        counts = kernels.pre_tokens.count_pieces(batch.text_bytes, found.starts, after)
        return {"paragraph": spans(found, counts), "document": sums(found, counts)}


class DolmaV1Tokenizer(Tagger, frozen=True):
    """Tokens of the text by OLMo's tokenizer (`length`), without white space at its ends.

    With those that the tokenizer adds to a text; Dolma's adds none. An empty text has 0.
    Differs from Dolma: a text that the tokenizer gives up on has no value. Source: Dolma's
    taggers/length.py.
    """

    id: ClassVar[str] = "dolma_v1_tokenizer"
    tokenizer: TokenizerName = "allenai/gpt-neox-olmo-dolma-v1_5"

    @property
    def recorded(self) -> dict[str, Any]:
        return self.spec | {"tokenizer": counting.recorded_name(self.tokenizer)}

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def models(self) -> tuple[str, ...]:
        return (counting.resolve(self.tokenizer).path,)

    def tag(self, batch: Batch) -> Columns:
        counter = counting.counter(self.tokenizer)
        texts = [text.strip() for text in batch.texts]
        is_empty = np.array([not text for text in texts], np.bool_)
        return {"length": np.where(is_empty, 0.0, counter.count(texts) + counter.n_added)}


class DolmaV2Tokenizer(DolmaV1Tokenizer, frozen=True):
    """As `dolma_v1_tokenizer`, by the tokenizer of OLMo 2. Source: Dolma's taggers/length.py."""

    id: ClassVar[str] = "dolma_v2_tokenizer"
    tokenizer: TokenizerName = "allenai/dolma2-tokenizer"


class GptNeoxTokenizer(DolmaV1Tokenizer, frozen=True):
    """Tokens of the whole text by the tokenizer of GPT-NeoX-20B (`tokens`); none are added.

    Source: Dolma's taggers/tokenizers.py.
    """

    id: ClassVar[str] = "tokenizers_EleutherAI_GPT_NeoX_20B"
    tokenizer: TokenizerName = "EleutherAI/gpt-neox-20b"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"tokens": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"tokens": counting.counter(self.tokenizer).count(batch.texts)}


class OlmoV1Tokenizer(GptNeoxTokenizer, frozen=True):
    """The same by the tokenizer of GPT-NeoX-20B with tokens for masked personal data (`tokens`).

    Source: Dolma's taggers/tokenizers.py.
    """

    id: ClassVar[str] = "tokenizers_AI2_OLMo_v1"
    tokenizer: TokenizerName = "allenai/eleuther-ai-gpt-neox-20b-pii-special"
