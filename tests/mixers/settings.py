"""The settings of mixers with which the tests of all of them work."""

from __future__ import annotations

from typing import Any

from dolma_kit import registry

#: id -> settings that are not the defaults, of every part that has settings
OTHER: dict[str, dict[str, Any]] = {
    "pii_mask_v1": {"max_spans": None, "min_score": 0.25, "experiment": "q"},
    "pii_mask_v2": {"max_spans": 2, "tagger": "pii_regex_v2", "surrogate": True, "seed": 1},
    "upsample_v1": {
        "score": "q__gopher_v2__word_count", "group": "source", "rate": 2.0,
        "shares": {"a": 0.5}, "cap": 4.0, "discard": 0.1, "steepest": 3.0,
    },
}  # fmt: skip
#: id -> settings that a part cannot do without
NEEDED: dict[str, dict[str, Any]] = {"upsample_v1": {"score": "length(text)"}}
#: taggers whose columns the mixers read
TAGGERS = ("pii_regex_with_counts_fast_v2", "pii_v3")


def made(part_id: str, **settings: Any) -> registry.Mixer:
    """The part with what it needs."""
    return registry.mixer({"id": part_id, **NEEDED.get(part_id, {}), **settings})
