"""The settings of taggers with which the tests of all of them work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dolma_kit import registry
from dolma_kit.registry import Tagger
from taggers import language

GOLDEN = Path(__file__).parents[1] / "golden"
#: small models that stand for Dolma's, by what the ids begin with
MODELS = {
    "ft_lang_id_": language.model_path(),
    "jigsaw_hatespeech_": str(GOLDEN / "dolma_models" / "hatespeech.bin"),
    "jigsaw_nsfw_": str(GOLDEN / "dolma_models" / "nsfw.bin"),
    "dclm-": str(GOLDEN / "dolma_models" / "dclm.bin"),
    "dolma17-": str(GOLDEN / "dolma_models" / "dolma17.bin"),
    "code_composition": str(GOLDEN / "dolma_models" / "composition.bin"),
}
#: small tokenizers that stand for Dolma's, as `tests/golden/families/length.py` has them
TOKENIZERS = {
    "dolma_v1_tokenizer": "neox.json",
    "dolma_v2_tokenizer": "dolma2.json",
    "tokenizers_EleutherAI_GPT_NeoX_20B": "neox.json",
    "tokenizers_AI2_OLMo_v1": "dolma2.json",
}
#: small lists of URLs that stand for Dolma's, by id
URL_LISTS = {
    part_id: [str(GOLDEN / "url_lists" / name) for name in names]
    for part_id, names in json.loads((GOLDEN / "url_lists" / "files.json").read_text()).items()
}
#: a small tokenizer that stands for Dolma's
TOKENIZER = str(GOLDEN / "repetition_tokenizer.json")
TOKENIZED = (
    "tokenizer_repetitions_v1",
    "paragraph_tokenizer_repetitions_v1",
    "tokenizer_repetitions_v2r2",
)
#: id -> settings without which it cannot be made, or cannot be tried here
NEEDED: dict[str, dict[str, Any]] = {
    part_id: {"model": model}
    for part_id in registry.parts("taggers")
    for prefix, model in MODELS.items()
    if part_id.startswith(prefix)
} | {
    "fasttext": {"model": str(GOLDEN / "fasttext" / "hs_ngrams.bin"), "by": "sentence"},
    **{k: {"tokenizer": str(GOLDEN / "tokenizers" / name)} for k, name in TOKENIZERS.items()},
    **{part_id: {"tokenizer": TOKENIZER} for part_id in TOKENIZED},
    "perplexity_v1": {"model": str(GOLDEN / "language_models" / "order-5.arpa")},
    "url_list": {"lists": [str(GOLDEN / "url_lists" / "hosts.txt")]},
    **{part_id: {"lists": lists} for part_id, lists in URL_LISTS.items()},
}
#: id -> settings that are not the defaults, of every part that has settings
OTHER: dict[str, dict[str, Any]] = {
    **{part_id: {"model": "other.bin"} for part_id in NEEDED if "model" in NEEDED[part_id]},
    **{part_id: {"tokenizer": "other.json"} for part_id in TOKENIZERS},
    **{part_id: {"tokenizer": "other.json"} for part_id in TOKENIZED},
    **{part_id: {"lists": ["other.txt"]} for part_id in URL_LISTS},
    "fasttext": {"name": "topic", "k": 2, "threshold": 0.5, "by": "paragraph", "lowercase": True},
    "perplexity_v1": {"normalize": None, "sentence": "document", "head": 1.5, "tail": 2.5},
    "cc_re": {"languages": "de en"},
    "c4_v3": {"min_words_per_line": 3},
    "fineweb_v1": {"original": True},
    "pii_v3": {"only_global": True},
    "random_v2": {"seed": 1},
    "url_list": {"format": "abp", "name": "ads", "key": "link", "subdomains": False},
}


def spec(part_id: str) -> dict[str, Any]:
    """The spec under which tests make a tagger."""
    return {"id": part_id} | NEEDED.get(part_id, {})


def made(part_id: str) -> Tagger:
    return registry.tagger(spec(part_id))
