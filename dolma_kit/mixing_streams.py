"""Streams of a mix before any of it is read: folders, columns, and what is asked of them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence

from dolma_kit import attribute_files, attributes, dolma_filters, files, registry
from dolma_kit.attributes import Format, Kind
from dolma_kit.config import Mix, Stream
from dolma_kit.errors import ConfigError
from dolma_kit.judging import dolma_filter_of, filter_of, value_of
from dolma_kit.layout import Shard
from dolma_kit.plugins import Plugin

#: whose counts are taken for tokens where no column is named, in this order
TOKENIZERS = ("dolma_v2_tokenizer__length", "dolma_v1_tokenizer__length")


def check_outputs(streams: list[Stream]) -> None:
    seen = set()
    for stream in streams:
        key = (os.path.abspath(documents_folder(stream)), stream.name)
        if key in seen:
            raise ConfigError(f"two streams named {stream.name!r} write to {stream.output.path}")
        seen.add(key)
    outputs = {os.path.abspath(output_folder(stream)) for stream in streams}
    for stream in streams:
        if stream.removed and os.path.abspath(folder_of(stream.removed)) in outputs:
            raise ConfigError(
                f"stream {stream.name!r}: what is removed would lie among what is kept, in "
                f"{stream.removed}: give it a folder of its own"
            )
        if stream.removed:
            key = (
                os.path.abspath(os.path.join(folder_of(stream.removed), "documents")),
                stream.name,
            )
            if key in seen:
                raise ConfigError(
                    f"two streams named {stream.name!r} put what they remove into {stream.removed}"
                )
            seen.add(key)


def check_inputs(stream: Stream, shards: list[Shard], streams: list[Stream]) -> None:
    """No input lies where a stream writes: a shard would replace it, or be read the next time."""
    places = [documents_folder(s) for s in streams]
    places += [os.path.join(folder_of(s.removed), "documents") for s in streams if s.removed]
    folders = [os.path.join(os.path.realpath(place), "") for place in places]
    for shard in shards:
        if not files.is_remote(shard.path) and os.path.realpath(shard.path).startswith(
            tuple(folders)
        ):
            raise ConfigError(
                f"stream {stream.name!r} reads {shard.path}, which lies in a folder that this mix "
                "writes to: give another output path"
            )


def output_folder(stream: Stream) -> str:
    """The folder that holds `documents/` and the ledger."""
    return folder_of(stream.output.path)


def folder_of(path: str) -> str:
    """The folder that a path of a config means, with or without its `documents/`."""
    path = path.rstrip("/") or "/"
    return (os.path.dirname(path) or ".") if os.path.basename(path) == "documents" else path


def documents_folder(stream: Stream) -> str:
    """`<path>/documents`; Dolma's `path` already ends in it."""
    return os.path.join(output_folder(stream), "documents")


def located(shard: Shard, stream: Stream, settings: Mix) -> list[tuple[str, Format]] | None:
    """The attribute files of a shard. A shard without one is an error, but None where that may be
    because the shard cannot be read and was set aside."""
    found = [attributes.locate_if_there(shard, name) for name in stream.attributes]
    there = [each for each in found if each is not None]
    if len(there) == len(found):
        return there
    if not settings.set_aside:
        attributes.require(shard, stream.attributes)
    return None


def stream_columns(
    stream: Stream, documents: list[Shard], given: Sequence[Plugin] = (), set_aside: bool = False
) -> dict[str, dict[str, Kind]]:
    """Experiment -> its known columns and their kinds, over all files of the stream."""
    found: dict[str, dict[str, Kind]] = {}
    for name in stream.attributes:
        columns: dict[str, Kind] = {}
        for shard in documents:
            if not attributes.locate_if_there(shard, name):
                if set_aside:
                    continue
                attributes.require(shard, [name])
            columns.update(attribute_files.known_columns(shard, name, given))
        found[name] = columns
    everywhere = [column for columns in found.values() for column in columns]
    if twice := sorted({c for c in everywhere if everywhere.count(c) > 1}):
        raise ConfigError(
            f"stream {stream.name!r}: two of its experiments have a column {twice[0]!r}; "
            "leave one of them out"
        )
    return found


def wanted_columns(
    stream: Stream, columns: Mapping[str, Mapping[str, Kind]], given: Sequence[Plugin]
) -> set[str]:
    """The columns that the stream's rules read; a rule that names an unknown one is an error."""
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    wanted: set[str] = set()
    for rule in stream.span_replacement:
        span = dolma_filters.selected(rule.span, rule.syntax)
        if known.get(span) == "spans":
            wanted.add(span)
        elif span == rule.span:
            spans = [name for name, kind in known.items() if kind == "spans"]
            near = difflib.get_close_matches(rule.span, spans, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"known spans: {', '.join(spans) or 'none'}"
            )
            raise ConfigError(
                f"stream {stream.name!r}: no spans {rule.span!r} in its attributes; {hint}"
            )
    names = tuple(sorted(known.items()))
    for spec in stream.policies:
        policy = registry.mixer(spec, given)
        wanted.update(policy.columns(known))
        if isinstance(policy, registry.Upsampler):
            wanted.update(value_of(policy.score, names, "score", "DOUBLE").columns)
            if policy.group is not None:
                wanted.update(value_of(policy.group, names, "group", "VARCHAR").columns)
    for expression in stream.expressions.values():
        wanted.update(filter_of(expression, names).columns)
    if stream.rule is not None:
        wanted.update(dolma_filter_of(stream.rule, names).columns)
    return wanted


def unknown_keys(stream: Stream, columns: Mapping[str, Mapping[str, Kind]]) -> list[str]:
    """A line for each attribute that a rule in Dolma's form names and nobody declares."""
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    keys = []
    if stream.rule is not None:
        keys += dolma_filter_of(stream.rule, tuple(sorted(known.items()))).unknown
    for rule in stream.span_replacement:
        if (span := dolma_filters.selected(rule.span, rule.syntax)) not in known:
            keys.append(span)
    return [
        f"stream {stream.name!r}: no attributes {key!r}, so what is asked of them never holds"
        f"{dolma_filters.nearest(key, list(known))}"
        for key in dict.fromkeys(keys)
    ]


def token_column(
    stream: Stream, settings: Mix, columns: Mapping[str, Mapping[str, Kind]]
) -> str | None:
    """The column that says how many tokens documents have, if there is one.

    One of spans, as an attribute file of Dolma's may have it, counts by the sum of their scores.
    ConfigError where one is named that is not there.
    """
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    named = stream.token_column or settings.token_column
    if named is None:
        for tokenizer in TOKENIZERS:
            found = [name for name, kind in known.items() if name.endswith("__" + tokenizer)]
            if len(found) == 1:
                return found[0]
        return None
    if named not in known:
        raise ConfigError(
            f"stream {stream.name!r}: no column {named!r} to count tokens by"
            f"{dolma_filters.nearest(named, list(known))}"
        )
    return named


def require_tokens(stream: Stream, column: str | None) -> None:
    """A budget of tokens needs their numbers."""
    if column is None:
        documents = " ".join(stream.documents)
        raise ConfigError(
            f"stream {stream.name!r}: a budget of tokens, and no column that counts them. Make one "
            f"with `dolma-kit tag {documents} --taggers dolma_v2_tokenizer --experiment tokens` "
            "and add tokens to `attributes`, or name a column of yours with token_column"
        )


def upsampler_of(stream: Stream, given: Sequence[Plugin]) -> registry.Upsampler | None:
    """The stream's policy that upsamples, if it has one; ConfigError where it has several."""
    made = [registry.mixer(spec, given) for spec in stream.policies]
    found = [one for one in made if isinstance(one, registry.Upsampler)]
    if len(found) > 1:
        raise ConfigError(
            f"stream {stream.name!r}: {found[0].id} and {found[1].id} would both say how often its "
            "documents are taken: name one"
        )
    return found[0] if found else None


def asked_of(stream: Stream) -> str | None:
    """Which of rate, budget and share a stream says; ConfigError where it is more than one."""
    given = [key for key in ("rate", "budget", "share") if getattr(stream, key) is not None]
    if len(given) > 1:
        raise ConfigError(
            f"stream {stream.name!r}: {' and '.join(given)} say how much to take: give one"
        )
    return given[0] if given else None
