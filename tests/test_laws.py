"""Every law of `laws.py`, held against every registered part."""

from __future__ import annotations

import functools

import msgspec
import pytest

from dolma_kit import registry
from dolma_kit.attributes import Columns, Kind, column_name
from dolma_kit.documents import Batch

from . import laws
from .mixers import settings as of_mixers
from .taggers import settings as of_taggers

TAGGERS = list(registry.parts("taggers"))
MIXERS = list(registry.parts("mixers"))


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_tagger_keeps_its_config(part_id: str) -> None:
    for settings in (of_taggers.NEEDED.get(part_id, {}), of_taggers.OTHER.get(part_id, {})):
        laws.keeps_its_config(
            registry.tagger, part_id, of_taggers.NEEDED.get(part_id, {}) | settings
        )


@pytest.mark.parametrize("part_id", MIXERS)
def test_a_mixer_keeps_its_config(part_id: str) -> None:
    needed = of_mixers.NEEDED.get(part_id, {})
    for settings in (needed, needed | of_mixers.OTHER.get(part_id, {})):
        laws.keeps_its_config(registry.mixer, part_id, settings)


@pytest.mark.parametrize(
    ("kind", "part_id"), [*(("taggers", i) for i in TAGGERS), *(("mixers", i) for i in MIXERS)]
)
def test_settings_that_are_not_the_defaults_are_tried(
    kind: registry.PartKind, part_id: str
) -> None:
    other = of_taggers.OTHER if kind == "taggers" else of_mixers.OTHER
    fields = msgspec.structs.fields(registry.parts(kind)[part_id])
    assert not fields or other.get(part_id), f"give {part_id} settings in OTHER"


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_tagger_names_what_exists(part_id: str) -> None:
    laws.names_what_exists(of_taggers.made(part_id))


@pytest.mark.parametrize("part_id", MIXERS)
def test_a_mixer_names_what_exists(part_id: str) -> None:
    laws.names_what_exists(of_mixers.made(part_id))


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_tagger_gives_its_declared_columns(part_id: str) -> None:
    laws.gives_its_declared_columns(of_taggers.made(part_id), laws.awkward())


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_document_is_measured_alike_in_any_company(part_id: str) -> None:
    laws.measures_a_document_alike_in_any_company(of_taggers.made(part_id))


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_batch_may_be_empty(part_id: str) -> None:
    laws.takes_no_documents(of_taggers.made(part_id))


@pytest.mark.parametrize("part_id", TAGGERS)
def test_a_tagger_leaves_its_input_alone(part_id: str) -> None:
    laws.leaves_its_input_alone(of_taggers.made(part_id))


@functools.cache
def long_lines() -> Batch:
    """One for all: what several taggers need of a batch is worked out once."""
    return laws.batch_of(list(laws.LONG.values()))


@pytest.mark.parametrize("part_id", TAGGERS)
def test_long_lines(part_id: str) -> None:
    laws.takes_long_lines(of_taggers.made(part_id), long_lines())


@pytest.mark.parametrize("part_id", MIXERS)
def test_a_mixer_decides_within_the_text(part_id: str) -> None:
    kinds: dict[str, Kind] = {}
    columns: Columns = {}
    for tagger_id in of_mixers.TAGGERS:
        for key, value in of_taggers.made(tagger_id).tag(laws.awkward()).items():
            name = column_name("q", tagger_id, key)
            columns[name] = value
            kinds[name] = of_taggers.made(tagger_id).keys[key]
    for settings in ({}, {"surrogate": True}) if "mask" in part_id else ({},):
        part = of_mixers.made(part_id, **settings)
        laws.decides_within_the_text(part, {name: columns[name] for name in part.columns(kinds)})
