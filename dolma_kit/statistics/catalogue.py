"""The statistics by name, each made of the settings and the files it is to measure."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dolma_kit.errors import ConfigError
from dolma_kit.statistics import token_counts
from dolma_kit.statistics.settings import DATE_KEYS, LENGTHS, LICENSE_KEYS, URL_KEYS, Stats
from dolma_kit.statistics.settings import NAMES as NAMES

if TYPE_CHECKING:
    from dolma_kit.layout import Shard
    from dolma_kit.statistics.statistic import Statistic

Make = Callable[[Stats, Sequence["Shard"]], "Statistic"]


def make(name: str, settings: Stats, shards: Sequence[Shard]) -> Statistic:
    """The statistic of a name; ConfigError where there is none, or it lacks what it needs."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, [*NAMES, "compare"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NAMES)}"
        raise ConfigError(f"no statistic {name!r}; {hint}")
    return _MAKERS[name](settings, shards)


def _summary(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.summary import Summaries

    return Summaries(token_counts.of(settings.tokenizer, settings.tokens))


def _lengths(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.lengths import LengthsOf

    return LengthsOf(token_counts.of(settings.tokenizer, settings.tokens))


def _urls(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.urls import UrlsOf

    counts = token_counts.of(settings.tokenizer, settings.tokens)
    return UrlsOf(_keys(settings, "url", URL_KEYS), counts, settings.top)


def _dates(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.dates import DatesOf

    return DatesOf(_keys(settings, "date", DATE_KEYS))


def _languages(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics import languages

    return languages.LanguagesOf(languages.choice(shards, settings.experiments))


def _licenses(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics import licenses
    from dolma_kit.statistics.attribute_columns import choose

    columns = choose(
        shards, settings.experiments, lambda c: c.tagger in licenses.TAGGERS and c.kind == "spans"
    )
    return licenses.LicensesOf(_keys(settings, "license", LICENSE_KEYS), columns)


def _duplicates(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.duplicates import DuplicatesOf

    keys = _keys(settings, "url", URL_KEYS)
    return DuplicatesOf(keys, settings.separator, settings.max_keys, settings.top)


def _ngrams(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.ngrams import NgramsOf

    lengths = tuple(sorted(set(settings.n or LENGTHS)))
    counts = token_counts.of(settings.tokenizer, settings.tokens)
    unit = settings.unit or ("tokens" if settings.tokens else "words")
    if unit == "words":
        return NgramsOf(lengths, "words", None, settings.capacity, settings.top)
    if counts is None:
        raise ConfigError("--unit tokens: give the --tokenizer, or a folder of --tokens")
    if counts.kind == "tokens":
        from dolma_kit.statistics.token_ngrams import TokenNgrams

        return TokenNgrams(lengths, counts, settings.top)
    return NgramsOf(lengths, "tokens", counts, settings.capacity, settings.top)


def _pii(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit import registry
    from dolma_kit.statistics import pii

    columns = pii.choice(shards, settings.experiments)
    spec = {} if columns else registry.tagger(settings.pii_tagger).spec
    drawn = (settings.sample, settings.seed, tuple(settings.judged))
    made = pii.Pii(columns, spec, *drawn)
    if not made.kinds:
        raise ConfigError(f"--pii-tagger {settings.pii_tagger}: it finds no spans")
    return made


def _toxicity(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics import lexicon, toxicity

    words = None if settings.lexicon is None else lexicon.read(settings.lexicon)
    columns = toxicity.choice(
        shards, settings.experiments, settings.columns, has_lexicon=words is not None
    )
    drawn = (settings.sample, settings.seed, tuple(settings.judged))
    return toxicity.Toxicity(columns, words, settings.threshold, *drawn)


def _contamination(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics import contamination

    columns = contamination.choice(shards, settings.experiments)
    reports = contamination.reports_of(shards, columns.experiments)
    return contamination.ContaminationOf(columns, reports)


def _attributes(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics import attribute_scores
    from dolma_kit.statistics.attribute_columns import choose

    patterns = settings.columns or ["*"]
    found = choose(
        shards, settings.experiments,
        lambda column: any(fnmatch.fnmatchcase(column.name, pattern) for pattern in patterns),
    )  # fmt: skip
    return attribute_scores.AttributesOf(attribute_scores.require(found, settings.columns))


def _overlap(settings: Stats, shards: Sequence[Shard]) -> Statistic:
    from dolma_kit.statistics.overlap import OverlapOf

    return OverlapOf(_keys(settings, "url", URL_KEYS), settings.separator)


_MAKERS: dict[str, Make] = {
    "summary": _summary,
    "lengths": _lengths,
    "urls": _urls,
    "dates": _dates,
    "languages": _languages,
    "licenses": _licenses,
    "ngrams": _ngrams,
    "duplicates": _duplicates,
    "pii": _pii,
    "toxicity": _toxicity,
    "contamination": _contamination,
    "attributes": _attributes,
    "overlap": _overlap,
}


def _keys(settings: Stats, what: str, default: Sequence[str]) -> tuple[str, ...]:
    """The keys of --url-key and the like; of the default ones, those that are not the text."""
    texts = ("text", settings.text_key)
    given: list[str] = getattr(settings, f"{what}_key")
    for key in given:
        if not all(key.split(".")) or key.split(".")[0] in texts:
            raise ConfigError(
                f"--{what}-key {key!r}: a field of documents, or a path like metadata.{what}"
            )
    return tuple(given or (key for key in default if key.split(".")[0] not in texts))
