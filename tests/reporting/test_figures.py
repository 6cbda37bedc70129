"""Figures are part of a page: in its colours, with its text, and none is in the way of another."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from dolma_kit.explaining import Funnel, RuleCount
from dolma_kit.order.asking.exposure import Exposure, SourceExposure
from dolma_kit.reporting import figures
from dolma_kit.reporting.answers import Combination, Edge
from dolma_kit.reporting.drawings import histograms, points, removal, stacks
from dolma_kit.reporting.drawings.exposure import exposure
from dolma_kit.reporting.drawings.histograms import Peak, Spread

ODD = "<b>$x^2$\u202e\0中文-->"
_RULES = [
    RuleCount(rule=rule, documents=n, bytes=10 * n, tokens=None, first_documents=n, first_bytes=n,
              first_tokens=None, alone_documents=n, alone_bytes=n, alone_tokens=None)
    for rule, n in ((ODD, 30), ("length >= 3", 0))
]  # fmt: skip
_FUNNEL = Funnel(
    stream=ODD,
    documents=100,
    bytes=1000,
    tokens=None,
    kept_documents=70,
    kept_bytes=700,
    kept_tokens=None,
    written=70,
    rules=_RULES,
    overlaps={},
)
_EDGE = Edge(
    rule=ODD,
    column=ODD,
    operator=">=",
    threshold=3.0,
    documents=6,
    without=0,
    passing=3,
    failing=3,
    within=1,
    histogram=[1, 2, 3],
    bounds=[0.0, 2.0, 4.0, 6.0],
    files_read=1,
    files=1,
    pass_examples=[],
    fail_examples=[],
)
_SEEN = [
    Exposure(step=step, tokens=10 * step, unique_tokens=8 * step, available_tokens=80,
             masked_tokens=0, epochs=0.1, times_seen={}, steps_since={},
             sources=[SourceExposure(ODD, 10 * step, 1.0, 8 * step, 80, 1.2, None, None, None)])
    for step in (1, 5)
]  # fmt: skip
_LENGTHS = Spread(ODD, [0, 1, 9, 5000], [3, 1, 9, 40], 9, [Peak(1, 9, 9), Peak(2, 5000, 40)])

DRAWINGS = {
    "stacks": lambda name: stacks.stacks(
        name, "Shares", [("read", {ODD: 3.0, "b": 1.0}), (ODD, {"b": 1.0})], [ODD, "b"]
    ),
    "stacks of nothing": lambda name: stacks.stacks(name, "Shares", [("read", {"a": 0.0})], ["a"]),
    "funnel": lambda name: removal.funnel(name, "A funnel", _FUNNEL),
    "combinations": lambda name: removal.combinations(
        name, "Combinations", [Combination([ODD], 5, 9), Combination([ODD, "b"], 2, 9)]
    ),
    "edge": lambda name: histograms.edge(name, "An edge", _EDGE),
    "lengths": lambda name: histograms.lengths(name, "Lengths", "words", [_LENGTHS, _LENGTHS]),
    "a length": lambda name: histograms.lengths(
        name, "Lengths", "words", [Spread("a", [7], [1], 7, [])]
    ),
    "empty texts": lambda name: histograms.lengths(
        name, "Lengths", "words", [Spread("a", [0], [7], 0, [Peak(1, 0, 7)])]
    ),
    "years": lambda name: histograms.years(name, "Years", [(ODD, {2019: 3, 2023: 1}), ("b", {})]),
    "sizes": lambda name: histograms.sizes(name, "Sizes", [(ODD, {"2": 9, "3-4": 1}), ("b", {})]),
    "points": lambda name: points.points(
        name, "Points", [ODD, "b"], [(ODD, [0.5, 0.0]), ("de", [0.001, 1.0])]
    ),
    "exposure": lambda name: exposure(name, "Exposure", _SEEN, [ODD]),
    "a step": lambda name: exposure(name, "Exposure", _SEEN[:1], [ODD]),
}  # fmt: skip
#: what a damaged answer, or a threshold that nobody means, gives
DAMAGED = {
    "an edge far away": lambda name: histograms.edge(
        name, "An edge", msgspec.structs.replace(_EDGE, threshold=1e308)
    ),
    "an edge of nothing": lambda name: histograms.edge(
        name, "An edge", msgspec.structs.replace(_EDGE, threshold=-1e308, histogram=[], bounds=[])
    ),
    "an edge without end": lambda name: histograms.edge(
        name, "An edge", msgspec.structs.replace(_EDGE, bounds=[-1.7e308, -1e308, 1e308, 1.7e308])
    ),
    "damaged lengths": lambda name: histograms.lengths(
        name, "Lengths", "words", [Spread("a", [-9, -3, 5], [1, -2], -3, [Peak(1, -9, 7)])]
    ),
    "no lengths": lambda name: histograms.lengths(name, "L", "words", [Spread("a", [], [], 0, [])]),
}


@pytest.fixture(scope="module", params=sorted(DRAWINGS))
def drawn(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The name of a drawing, and what is drawn."""
    return request.param, DRAWINGS[request.param]("one")


def _tree(drawn: str) -> ET.Element:
    # HTML asks for less than XML: quotes and namespaces may be left out.
    xml = re.sub(r"<(div|svg)([^>]*)>", lambda m: f"<{m[1]}{_quoted(m[2])}>", drawn)
    return ET.fromstring(xml)


def _quoted(attributes: str) -> str:
    return re.sub(r'=([^"\s>]+)(?=[\s>]|$)', r'="\1"', attributes)


def test_a_figure_says_what_it_shows(drawn: tuple[str, str]) -> None:
    (svg,) = _tree(drawn[1]).iter("svg")
    title, description = svg.find("title"), svg.find("desc")
    assert title is not None
    assert description is not None
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text
    assert description.text


def test_colours_are_those_of_the_page(drawn: tuple[str, str]) -> None:
    tags = "".join(re.findall(r"<[^>]*>", drawn[1]))
    assert "var(--" in tags
    assert not re.findall(r"#[0-9a-fA-F]{6}\b|fill=|stroke=", tags)


def test_letters_are_large_enough(drawn: tuple[str, str]) -> None:
    """9 points at least, at the smallest scale at which a figure is shown."""
    sizes = [float(one) for one in re.findall(r"font-size: ?([\d.]+)px", drawn[1])]
    assert sizes
    assert min(sizes) * figures.LEAST_SCALE >= 9
    assert "font-family" not in drawn[1]


def test_nothing_acts_and_nothing_is_a_formula(drawn: tuple[str, str]) -> None:
    words = "".join(_tree(drawn[1]).itertext())
    assert "\u202e" not in words
    assert "\0" not in words
    assert "mathdefault" not in words
    assert "<style" not in drawn[1]
    assert "<metadata" not in drawn[1]
    assert "<b>" not in drawn[1]


def test_figures_are_in_no_others_way(drawn: tuple[str, str]) -> None:
    first, second = drawn[1], DRAWINGS[drawn[0]]("two")
    ids = [set(re.findall(r'id="([^"]+)"', one)) for one in (first, second)]
    assert ids[0].isdisjoint(ids[1])
    for one, known in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', one)) <= known
    assert second.replace("two-", "one-") == first


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_drawn(name: str) -> None:
    (svg,) = _tree(DAMAGED[name]("one")).iter("svg")
    assert "Inf" not in ET.tostring(svg, "unicode")


def test_personal_data_is_masked() -> None:
    mail, host = "ann@corp.example.com", "10.0.0.1"
    drawn = stacks.stacks("s", f"From {host}", [(mail, {host: 1.0, mail: 2.0})], [mail, host])
    drawn += points.points("p", f"Of {mail}", [host, "b"], [(mail, [0.5, 0.1])])
    drawn += exposure("e", "Exposure", _SEEN, [mail, f"a name of a host, {host}"])
    assert mail not in drawn
    assert host not in drawn
    assert "|||IP_ADDRESS|||" in drawn
    assert figures.label(mail[:16] + "\u200b" + mail[16:]) == "|||EMAIL_ADDRESS|||"


def test_it_stays_within_its_box(drawn: tuple[str, str]) -> None:
    """No text begins outside of what is shown."""
    (svg,) = _tree(drawn[1]).iter("svg")
    *_, width, height = map(float, (svg.get("viewBox") or "").split())
    for text in svg.iter("text"):
        assert -1 <= float(text.get("x") or 0) <= width + 1, text.text
        assert -1 <= float(text.get("y") or 0) <= height + 1, text.text


def test_labels_of_peaks_do_not_meet() -> None:
    peaks = [Peak(i + 1, 1000 + 40 * i, 50) for i in range(9)]
    counts = [1000 + 40 * i for i in range(9)]
    made = histograms.lengths("p", "L", "words", [Spread("a", counts, [50] * 9, 1000, peaks)])
    (svg,) = _tree(made).iter("svg")
    places = [
        (float(t.get("x") or 0), float(t.get("y") or 0))
        for t in svg.iter("text")
        if "var(--mark)" in (t.get("style") or "")
    ]
    assert len(places) >= 2
    for i, (x, y) in enumerate(places):
        for other_x, other_y in places[i + 1 :]:
            assert abs(x - other_x) > 5 or abs(y - other_y) > 9
