"""The rules by name, and how they are written: an id, with parameters in parentheses."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.errors import ConfigError
from dolma_kit.specs import Spec, parse_spec

if TYPE_CHECKING:
    from dolma_kit.decontamination.finding import Rule

#: module and class of each, found without loading any
RULES = {
    "paloma": "paragraphs.Paloma",
    "ngram_document": "ngrams.NgramDocument",
    "ngram_item": "ngrams.NgramItem",
    "gpt3": "collisions.Gpt3",
    "wimbd": "phrases.Wimbd",
    "decon": "decon.Decon",
    "substring50": "substrings.Substring50",
}
#: parameters that the flag of a name sets, in the rules that have them
MEANT = {"n": ("n", "min_n", "max_n"), "share": ("threshold",)}


def build(specs: Sequence[Spec], flags: Mapping[str, Any]) -> list[Rule]:
    """The rules that are asked for, each once; `all` is every one.

    `flags` are parameters for all of them: of each rule those that it has, and one that none of
    them has is a ConfigError. What a spec says itself wins.
    """
    asked = [parse_spec(spec) if isinstance(spec, str) else dict(spec) for spec in specs]
    if not asked:
        raise ConfigError(f"no rule: give one with --rule, of {', '.join(RULES)}, or all")
    if any(spec.get("id") == "all" for spec in asked):
        if len(asked) > 1 or len(asked[0]) > 1:
            raise ConfigError("--rule all is every rule, as it is: no other one and no parameters")
        asked = [{"id": name} for name in RULES]
    used: set[str] = set()
    rules = [_build(spec, flags, used) for spec in asked]
    if unused := [name for name in flags if name not in used]:
        names = ", ".join(rule.id for rule in rules)
        raise ConfigError(f"--{unused[0].replace('_', '-')} is no parameter of {names}")
    ids = [rule.id for rule in rules]
    if twice := [name for name in ids if ids.count(name) > 1]:
        raise ConfigError(f"--rule names {twice[0]} twice: once a run")
    return rules


def _build(spec: dict[str, Any], flags: Mapping[str, Any], used: set[str]) -> Rule:
    name = str(spec.get("id"))
    if name not in RULES:
        near = difflib.get_close_matches(name, RULES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(RULES)}"
        raise ConfigError(f"no rule {name!r}: {hint}")
    module, _, kind = RULES[name].partition(".")
    loaded = importlib.import_module(f"dolma_kit.decontamination.{module}")
    rule: type[Rule] = getattr(loaded, kind)
    own = {field.name for field in msgspec.structs.fields(rule)}
    values = {}
    for flag, value in flags.items():
        for key in MEANT.get(flag, (flag,)):
            if key in own:
                values[key] = value
                used.add(flag)
    try:
        return msgspec.convert(values | spec, rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"rule {name}: {error}; it has {', '.join(sorted(own))}") from None
