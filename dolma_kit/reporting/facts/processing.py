"""What was done to a corpus: steps with their settings and digests, rules and what they removed,
sampling, attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from dolma_kit import config
from dolma_kit.markup import counted
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import Report, Stage
from dolma_kit.reporting.facts.measured import MOST_ROWS, REPORT, Blocks, asked_of_mixes, bullets
from dolma_kit.reporting.numbers import count, number, part, size

MOST_CHARACTERS = 400
#: of configs: what is told elsewhere, or is a list of all files
_BULKY = {"columns", "inputs", "src", "models", "streams", "limit", "text_key", "id_key"}
_ALWAYS = {"by", "method", "tokenizer"}
_OF_PARTS = {"taggers", "rules"}
_SAMPLED = ("rate", "budget", "share", "max_rate")


def steps(report: Report) -> Blocks:
    """What was done, in its order; the same done to several folders is one step."""
    groups = steps_of(report)
    rows = []
    for number_, same in enumerate(groups[:MOST_ROWS], 1):
        one = same[0]
        rows.append(
            [str(number_), markdown.code(one.stage),
             markdown.codes((stage.folder for stage in same), 6),
             count(sum(stage.documents for stage in same)),
             size(sum(stage.bytes_out for stage in same)), markdown.code(one.config_sha256[:12]),
             markdown.code(", ".join(versions_of(same).get("dolma-kit", [])) or "unknown")]
        )  # fmt: skip
    if not rows:
        return []
    heads = [">step", "done", "to", ">documents", ">written", "config, SHA-256", "dolma-kit"]
    left = len(groups) - MOST_ROWS
    more = [f"And {counted(left, 'step')} more, in the JSON beside this card."] if left > 0 else []
    settings = bullets(
        f"Step {number_}, {markdown.code(same[0].stage)}: {said}."
        for number_, same in enumerate(groups[:MOST_ROWS], 1)
        if (said := _settings(same[0]))
    )
    parts = bullets(
        f"{markdown.code(one.folder)} is of the first documents only."
        if one.partial
        else f"{markdown.code(one.folder)} has {counted(len(one.unmerged_parts), 'part')} that "
        "are not put together."
        for same in groups
        for one in same
        if one.partial or one.unmerged_parts
    )
    return [markdown.table(heads, rows), *more, *parts, *settings, markdown.command(REPORT)]


def steps_of(report: Report) -> list[list[Stage]]:
    """Stages but those that only measure, by what they are and their config."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for one in report.stages:
        if not one.stage.startswith("stats "):
            groups.setdefault((one.stage, one.config_sha256), []).append(one)
    return list(groups.values())


def _settings(one: Stage) -> str:
    """The settings of a stage that are not the defaults, and the models that it used."""
    kind = config.STAGES.get(one.stage)
    fields = msgspec.structs.fields(kind) if kind is not None else ()
    defaults = {field.name: field.default for field in fields}
    said = []
    for key, value in one.config.items():
        if key in _BULKY or value in (None, "", [], {}):
            continue
        if key not in _ALWAYS and value == defaults.get(key, msgspec.NODEFAULT):
            continue
        if key in _OF_PARTS and isinstance(value, list):
            parts = ", ".join(markdown.code(_part(each), MOST_CHARACTERS) for each in value)
            said.append(f"{markdown.code(key)} {parts}")
        else:
            said.append(markdown.code(f"{key} = {_value(value)}", MOST_CHARACTERS))
    models = one.config.get("models")
    if isinstance(models, Mapping):
        said += [f"model {markdown.code(name)}, SHA-256 {markdown.code(str(sha256))}"
                 for name, sha256 in models.items()]  # fmt: skip
    return "; ".join(said)


def _part(spec: Any) -> str:
    """A part as one would write it: `id(key=value)`."""
    if not isinstance(spec, Mapping):
        return _value(spec)
    inside = ", ".join(
        f"{key}=[{_value(value)}]" if isinstance(value, list) else f"{key}={_value(value)}"
        for key, value in spec.items()
        if key != "id" and value is not None
    )
    return f"{spec.get('id')}({inside})" if inside else str(spec.get("id"))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def filters(report: Report) -> Blocks:
    """The rules of mixes, and what each removed."""
    blocks: Blocks = []
    for stage in _mixes(report):
        groups: dict[str, list[str]] = {}
        for stream in _streams(stage):
            said = "; ".join(_rules(stream)) or "all documents are kept as they are"
            groups.setdefault(said, []).append(str(stream.get("name", "")))
        blocks += bullets(f"Streams {markdown.codes(names)}: {said}."
                          for said, names in groups.items())  # fmt: skip
    rows = [
        [markdown.code(funnel.stream), markdown.code(rule.rule), count(rule.documents),
         count(rule.first_documents), size(rule.first_bytes)]
        for mix in report.mixes
        for funnel in (stream.funnel for stream in mix.streams)
        for rule in funnel.rules
    ]  # fmt: skip
    if rows:
        heads = ["stream", "rule", ">documents it would remove", ">removed, as the first to say so",
                 ">text removed so"]  # fmt: skip
        left = len(rows) - MOST_ROWS
        more = [f"And {counted(left, 'rule')} more, in the JSON."] if left > 0 else []
        blocks += [markdown.table(heads, rows[:MOST_ROWS]), *more]
        blocks += asked_of_mixes(report, "funnel")
    return ["What was filtered, cut and masked:", *blocks] if blocks else []


def _mixes(report: Report) -> list[Stage]:
    return [one for one in report.stages if one.stage == "mix"]


def _streams(stage: Stage) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in stage.config.get("streams") or () if isinstance(one, Mapping))


def _rules(stream: Mapping[str, Any]) -> Iterator[str]:
    """What a stream keeps, cuts, replaces and masks, in words."""
    keep = stream.get("keep") or stream.get("filter")
    if isinstance(keep, Mapping):
        for key, words in (("include", "kept is what matches"), ("exclude", "removed what")):
            if keep.get(key):
                yield f"{words} {_expressions(keep[key])}"
    elif keep:
        yield f"kept is {_expressions(keep if isinstance(keep, list) else [keep], ' and ')}"
    for one in stream.get("span_replacement") or ():
        new = str(one.get("replacement", ""))
        done = f"replaced by {markdown.code(new)}" if new else "cut out"
        bounds = [
            f"{words} {number(one[key])}"
            for key, words in (("min_score", "from a score of"), ("max_score", "below a score of"))
            if one.get(key) is not None
        ]
        yield " ".join([f"spans of {markdown.code(str(one.get('span')))}", *bounds, "are", done])
    for one in stream.get("policies") or ():
        yield f"policy {markdown.code(_part(one), MOST_CHARACTERS)}"
    least = (stream.get("output") or {}).get("min_text_length")
    if least:
        yield f"texts below {counted(int(least), 'byte')} are left out"


def _expressions(values: Iterable[Any], between: str = ", ") -> str:
    return between.join(markdown.code(str(one), MOST_CHARACTERS) for one in values)


def masks(report: Report) -> Blocks:
    """Policies of mixes that mask personal data, and what they removed."""
    removed = {
        (mix.folder, one.funnel.stream, rule.rule): rule.documents
        for mix in report.mixes
        for one in mix.streams
        for rule in one.funnel.rules
    }
    applied: dict[str, dict[str, int]] = {}
    for stage in _mixes(report):
        for stream in _streams(stage):
            name = str(stream.get("name", ""))
            for policy in stream.get("policies") or ():
                if "pii" not in (said := _part(policy)):
                    continue
                n = removed.get((stage.folder, name, said.split("(")[0]), 0)
                streams = applied.setdefault(said, {})
                streams[name] = streams.get(name, 0) + n
    return bullets(
        f"{markdown.code(said, MOST_CHARACTERS)} masks what was found in the streams "
        f"{markdown.codes(streams)}; it removes {counted(sum(streams.values()), 'document')} as a "
        "whole."
        for said, streams in applied.items()
    )


def sampled(report: Report) -> Blocks:
    """How often documents of each stream are taken."""
    rows = [
        [markdown.code(str(stream.get("name", ""))),
         ", ".join(f"{key} {markdown.code(_value(value))}" for key in _SAMPLED
                   if (value := stream.get(key)) is not None) or "all"]
        for stage in _mixes(report)
        for stream in _streams(stage)
    ]  # fmt: skip
    if not rows:
        return []
    draws = bullets(
        f"{markdown.code(stage.folder)}: drawn by a hash of the document's id with the seed "
        f"{markdown.code(str(stage.config.get('seed')))}"
        + (f", out of a budget of {markdown.code(_value(budget))}" if budget else "")
        + "."
        for stage in _mixes(report)
        for budget in (_given(stage.config.get("budget")),)
    )
    said = (
        "By stream; a rate of 0.5 takes half of the documents, 2.5 takes each twice and half of "
        "them once more:"
    )
    table = markdown.table(["stream", "taken"], rows[:MOST_ROWS])
    return [said, table, *draws, *asked_of_mixes(report, "composition")]


def _given(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: one for key, one in value.items() if one is not None}
    return value


def kept(report: Report) -> Blocks:
    """What mixes took of what there was."""
    rows = [
        [markdown.code(funnel.stream), count(funnel.documents), count(funnel.kept_documents),
         part(funnel.kept_documents, funnel.documents), count(funnel.written)]
        for mix in report.mixes
        for funnel in (stream.funnel for stream in mix.streams)
    ]  # fmt: skip
    if not rows:
        return []
    heads = ["stream", ">documents read", ">kept", ">share", ">written, with repeats"]
    said = "Of what was collected the mix takes a part:"
    table = markdown.table(heads, rows[:MOST_ROWS])
    return [said, table, *asked_of_mixes(report, "composition")]


def labels(report: Report) -> Blocks:
    """What programs have told of documents, as attributes beside them."""
    rows = []
    for same in steps_of(report):
        columns = same[0].config.get("columns")
        if not isinstance(columns, Mapping) or not columns:
            continue
        groups: dict[str, list[str]] = {}
        for name, kind in columns.items():
            groups.setdefault("__".join(name.split("__")[:2]), []).append(str(kind))
        documents = count(sum(one.documents for one in same))
        for group, kinds in groups.items():
            rows.append(
                [markdown.code(group), markdown.code(same[0].stage), str(kinds.count("score")),
                 str(kinds.count("spans")), documents]
            )  # fmt: skip
    if not rows:
        return []
    heads = ["attributes", "made by", ">scores", ">kinds of spans", ">documents"]
    said = "What programs found of documents, which lies beside them; none of it is a target:"
    return [said, markdown.table(heads, rows[:MOST_ROWS]), markdown.command(REPORT)]


def versions_of(stages: Iterable[Stage]) -> dict[str, list[str]]:
    """By software, each version that worked on them, in order of appearance."""
    found: dict[str, dict[str, None]] = {}
    for one in stages:
        for execution in one.executions:
            for name, version in execution.versions.items():
                found.setdefault(name, {})[version] = None
    return {name: list(known) for name, known in found.items()}
