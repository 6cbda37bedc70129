"""The settings of mixers with which the tests of all of them work."""

from __future__ import annotations

from typing import Any

#: id -> settings that are not the defaults, of every part that has settings
OTHER: dict[str, dict[str, Any]] = {
    "pii_mask_v1": {"max_spans": None, "min_score": 0.25, "experiment": "q"},
    "pii_mask_v2": {"max_spans": 2, "tagger": "pii_regex_v2"},
}
#: taggers whose columns the mixers read
TAGGERS = ("pii_regex_with_counts_fast_v2", "pii_v3")
