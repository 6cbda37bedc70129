"""The inputs of a de-duplication: one joint run over all of them, whatever the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dolma_kit.config import Dedupe
from dolma_kit.errors import ConfigError
from dolma_kit.execute.joint import NOT_HOW, JointRun

READING, WRITING = "hashing", "writing"
#: settings of which a method itself says what they decide
_PLACES = ("partitions", "filter", "read_only", "rebuild", "shard_bytes")


@dataclass(frozen=True)
class Inputs(JointRun):
    """Files of documents to be de-duplicated together."""

    stage: ClassVar[str] = "dedupe"
    reading_phase: ClassVar[str] = READING
    writing_phase: ClassVar[str] = WRITING
    not_how: ClassVar[tuple[str, ...]] = (*NOT_HOW, "expected_items")

    settings: Dedupe

    def deciding(self) -> dict[str, Any]:
        """The settings that decide; of methods' own, those of this one."""
        others = {key for keys in OF_METHOD.values() for key in keys}.union(_PLACES, OF_NGRAMS)
        own = OF_METHOD[self.settings.method]
        if self.settings.by == "ngram":
            own += OF_NGRAMS
        found = self.settings.deciding().items()
        return {k: v for k, v in found if k in own or k not in others}


#: settings that one method alone has
OF_METHOD: dict[str, tuple[str, ...]] = {
    "bloom": ("expected_items", "fp_rate", "classic", "fingerprints"),
    "exact": (),
    "minhash": ("ngram_length", "threshold", "bands", "rows", "seed"),
    "substring": ("substring_length", "substring_unit"),
}
#: and settings that count by n-gram
OF_NGRAMS = ("ngram_length", "stride", "overlap_threshold", "skip_short_paragraphs")


def _require_by_ngram(settings: Dedupe) -> None:
    """ConfigError for a rule about n-grams where whole keys are compared: it would do nothing."""
    if settings.by == "ngram":
        return
    for key in ("stride", "overlap_threshold", "skip_short_paragraphs"):
        if getattr(settings, key) != getattr(Dedupe(), key):
            flag = key.replace("_", "-")
            raise ConfigError(f"--{flag} is for --by ngram: leave it out, or give that")


def inputs_of(settings: Dedupe) -> Inputs:
    """The files that settings name; ConfigError where a name is missing or no name."""
    _require_by_ngram(settings)
    return Inputs.of(settings)
