"""The thresholds in the rules of a mix: which value is compared with which number.

From SQL (`keep`) they are taken out of DuckDB's own tree of the expression, from rules in Dolma's
form out of their conditions, as far as a rule joins them by and, or and not. A value is an
expression over attribute columns, in SQL; one that needs the document itself cannot be had from
attributes and is told apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from dolma_kit import dolma_filters
from dolma_kit.attributes import Kind

_SIGNS = {
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_OPPOSITE = {"<": ">=", ">": "<=", "<=": ">", ">=": "<"}
#: what of a document an expression may name, and the helper that looks at its text
OF_DOCUMENT = {"id", "text", "source", "metadata", "span_fraction"}


class Threshold(NamedTuple):
    """`value operator number` holds for what may stay, by the rule of that name in decisions."""

    rule: str
    value: str
    operator: str
    number: float

    @property
    def needs_document(self) -> bool:
        return bool(OF_DOCUMENT & set(re.findall(r"\w+", self.value)))


def thresholds_of(stream: Mapping[str, Any], kinds: Mapping[str, Kind]) -> list[Threshold]:
    """Those of a stream's config, as the ledger has it, in the order of its rules; each once."""
    found: list[Threshold] = []
    keep = stream.get("keep")
    if isinstance(keep, str):
        found += _in_sql("keep", keep)
    elif isinstance(keep, list):
        found += (one for expression in keep for one in _in_sql(expression, expression))
    rule = keep if isinstance(keep, dict) else stream.get("filter")
    if isinstance(rule, dict):
        found += _in_dolma(rule, kinds)
    return list(dict.fromkeys(found))


def _in_dolma(rule: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Iterator[Threshold]:
    syntax = rule.get("syntax") or "jsonpath"
    for key in ("include", "exclude"):
        for expression in rule.get(key) or ():
            name = "include" if key == "include" else f"exclude {expression}"
            for column, sign, number in dolma_filters.comparisons(expression, syntax):
                if sign not in _OPPOSITE or column not in kinds:
                    continue
                value = column if kinds[column] == "score" else f"{column}[1].score"
                kept = sign if key == "include" else _OPPOSITE[sign]
                yield Threshold(name, value, kept, number)


def _in_sql(rule: str, expression: str) -> Iterator[Threshold]:
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 1})
    try:
        query = f"SELECT ({expression}\n)"
        ((text,),) = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
        tree = msgspec.json.decode(text)
        for node, negated in _comparisons(tree["statements"][0]["node"]["select_list"][0], False):
            for sign, left, right in _sides(node):
                number, value = _number(connection, tree, right), left
                if number is None:
                    number, value, sign = _number(connection, tree, left), right, _MIRRORED[sign]
                shown = None if number is None else _text(connection, tree, value)
                if number is not None and shown is not None and re.search("[A-Za-z_]", shown):
                    yield Threshold(rule, shown, _OPPOSITE[sign] if negated else sign, number)
    except (duckdb.Error, LookupError, TypeError):
        return  # what this DuckDB reads no more, or otherwise, has none to show
    finally:
        connection.close()


def _comparisons(node: Any, negated: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """The comparisons that an expression joins by AND and OR, and whether they stand within a NOT.

    Below anything else (CASE, = false, IS NOT TRUE) a comparison may mean its opposite: no edge.
    """
    if node.get("type") in _SIGNS or node.get("class") == "BETWEEN":
        yield node, negated
    elif node.get("class") == "CONJUNCTION":
        for child in node["children"]:
            yield from _comparisons(child, negated)
    elif node.get("type") in ("OPERATOR_NOT", "OPERATOR_COALESCE"):
        is_not = node["type"] == "OPERATOR_NOT"
        yield from _comparisons(node["children"][0], negated != is_not)


def _sides(node: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(sign, left, right) of a comparison; of a BETWEEN both."""
    if node.get("class") == "BETWEEN":
        yield ">=", node["input"], node["lower"]
        yield "<=", node["input"], node["upper"]
    else:
        yield _SIGNS[node["type"]], node["left"], node["right"]


def _text(connection: Any, tree: Mapping[str, Any], node: Any) -> str | None:
    """A part of a tree as SQL."""
    whole = msgspec.json.decode(msgspec.json.encode(tree))
    whole["statements"][0]["node"]["select_list"] = [node]
    asked = msgspec.json.encode(whole).decode()
    ((text,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [asked]).fetchall()
    shown = str(text).removeprefix("SELECT ").strip()
    while shown.startswith("(") and shown.endswith(")") and _is_closed(shown[1:-1]):
        shown = shown[1:-1]
    return shown


def _is_closed(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def _number(connection: Any, tree: Mapping[str, Any], node: Any) -> float | None:
    text = _text(connection, tree, node)
    try:
        found = float(str(text).replace("(", "").replace(")", ""))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
