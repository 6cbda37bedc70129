"""`upsample_v1`: its curve against a plain integral, and whole mixes by groups."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dolma_kit
from dolma_kit.errors import ConfigError
from dolma_kit.shares import composition
from mixers.upsample import Upsample
from tests.test_mixing import rows

shapes = st.tuples(st.floats(0.5, 20), st.floats(0, 0.9), st.floats(0, 10), st.floats(0.01, 1))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), shapes)
def test_the_curve_rises_keeps_its_cap_and_gives_what_is_asked(
    amounts: list[int], shape: tuple[float, float, float, float]
) -> None:
    cap, discard, steepest, part = shape
    policy = Upsample(score="x", cap=cap, discard=discard, steepest=steepest)
    rate = part * policy.max_rate
    sizes = np.array(amounts)
    rates = policy.rates(sizes, rate)
    if not sum(amounts):
        assert not rates.any()
        return
    assert (np.diff(rates) >= -1e-9 * cap).all()
    assert rates.min() >= 0
    assert rates.max() <= cap * (1 + 1e-9)
    assert (rates * sizes).sum() == pytest.approx(rate * sizes.sum())


def test_it_is_the_curve_that_its_docstring_says() -> None:
    policy = Upsample(score="x", cap=7, discard=0.4)
    rates = policy.rates(np.full(20, 5), 2.0)  # twentieths
    power = 7 * 0.6 / 2.0 - 1

    def curve(x: Any) -> Any:
        return 7 * (np.maximum(x - 0.4, 0) / 0.6) ** power

    steps = np.linspace(0, 1, 20 * 10_000 + 1)
    middles = (steps[1:] + steps[:-1]) / 2
    assert rates == pytest.approx(curve(middles).reshape(20, -1).mean(axis=1), rel=1e-6)
    assert (rates[:8] == 0).all()
    assert 6 < rates[-1] < 7
    flat = Upsample(score="x", cap=7, discard=0.4, steepest=0)
    assert flat.rates(np.full(20, 5), 1.2) == pytest.approx([0] * 8 + [2.0] * 12)


N = 6000


@pytest.fixture
def corpus(tmp_path: Path, write_documents: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Documents of two topics whose quality is written in them; one of each topic has none."""
    monkeypatch.chdir(tmp_path)
    for part in range(2):
        documents = [
            {
                "id": f"{part}-{i}",
                "text": f"{i * 7919 % 1000:04d}" + "x" * (i % 5),
                "metadata": {"topic": "science" if i % 3 else "sport"},
            }
            for i in range(N // 2)
        ]
        write_documents(tmp_path / f"web/documents/{part}.jsonl", documents)
    return tmp_path


def mixed(policy: dict[str, Any], *, workers: int = 1, **keys: Any) -> Counter[str]:
    stream = {"name": "w", "documents": ["web"], "output": {"path": "out"}} | keys
    spec = {
        "id": "upsample_v1", "score": "CAST(substr(text, 1, 4) AS DOUBLE)",
        "group": "metadata->>'topic'",
    } | policy  # fmt: skip
    dolma_kit.mix(streams=[stream | {"policies": [spec]}], workers=workers, quiet=True)
    return Counter(row["id"] for row in rows(Path(keys.get("output", {"path": "out"})["path"])))


def test_better_documents_come_more_often(corpus: Path) -> None:
    taken = mixed({"rate": 1.5})
    (stream,) = composition.read("out").streams
    assert stream.planned is not None
    assert stream.written is not None
    assert stream.planned.bytes == pytest.approx(1.5 * stream.available.bytes, rel=0.001)  # type: ignore[union-attr]
    # each is taken or not by chance: the sum of N/2 draws at most
    assert abs(stream.written.documents - stream.planned.documents) < 4 * (N / 4) ** 0.5
    assert {group.name for group in stream.groups} == {"science", "sport"}
    for group in stream.groups:
        assert group.written is not None
        assert group.planned is not None
        assert group.written.bytes == pytest.approx(group.planned.bytes, rel=0.05)
    quality = {f"{p}-{i}": i * 7919 % 1000 for p in range(2) for i in range(N // 2)}
    best = [taken[i] for i, q in quality.items() if q >= 990]
    assert min(best) >= 6
    assert max(best) <= 7
    assert not [i for i in taken if quality[i] < 390]


def test_more_contains_less_whatever_the_workers(corpus: Path) -> None:
    more = mixed({"rate": 2.0}, output={"path": "more"})
    less = mixed({"rate": 0.7}, output={"path": "less"}, workers=2)
    assert less == mixed({"rate": 0.7}, output={"path": "again"})
    assert less < more


def test_groups_get_their_shares(corpus: Path) -> None:
    mixed({"rate": 1.0, "shares": {"sport": 0.5}})
    (stream,) = composition.read("out").streams
    sizes = {group.name: group.planned.bytes for group in stream.groups if group.planned}
    assert sizes["sport"] == pytest.approx(sizes["science"], rel=0.001)
    assert stream.written is not None
    assert stream.available is not None
    assert stream.written.bytes == pytest.approx(stream.available.bytes, rel=0.05)


def test_a_budget_says_how_much(corpus: Path) -> None:
    mixed({}, budget={"documents": 2500})
    (stream,) = composition.read("out").streams
    assert stream.planned is not None
    assert stream.written is not None
    assert stream.planned.documents == 2500
    assert abs(stream.written.documents - 2500) < 4 * (N / 4) ** 0.5


def test_a_document_without_a_score_is_the_lowest(corpus: Path) -> None:
    score = "CASE WHEN id LIKE '0-%' THEN CAST(substr(text, 1, 4) AS DOUBLE) END"
    taken = mixed({"rate": 0.5, "score": score, "discard": 0.5, "group": None})
    assert {i[0] for i in taken} == {"0"}


@pytest.mark.parametrize(
    ("policy", "keys", "message"),
    [
        ({}, {}, "needs to know how much to take"),
        ({"rate": 1.0}, {"rate": 2.0}, "rate and upsample_v1's rate both say how much"),
        ({"rate": 5.0}, {}, "a rate of 5 on average is more than its upsampling can give, 4.2"),
        ({"rate": 2.0, "shares": {"sport": 0.9}}, {}, "'sport' would have to be taken 5.4 times"),
        ({"rate": 1.0, "shares": {"sports": 0.5}}, {}, "nothing of the group 'sports'"),
        ({"rate": 1.0, "shares": {"sport": 0.5, "science": 0.4}}, {}, "shares add up to 0.9"),
        ({"rate": 1.0, "score": "no_such"}, {}, "score 'no_such': .*not found"),
        ({"rate": 1.0, "group": "random()"}, {}, "looks at more than one document or changes"),
        ({"rate": 1.0, "score": "(SELECT 1)"}, {}, "subquery looks at more than one document"),
        ({"rate": 1.0, "cap": 200.0}, {}, "up to 200 copies of a document are too many"),
        ({"rate": 1.0, "cap": 0.0}, {}, "cap"),
    ],
)
def test_what_cannot_be_had(
    corpus: Path, policy: dict[str, Any], keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mixed(policy, **keys)
    assert not Path("out/documents").exists()


def test_nothing_is_left_to_upsample(corpus: Path) -> None:
    assert not mixed({"rate": 1.0}, keep="false")
    (stream,) = composition.read("out").streams
    assert stream.written is not None
    assert stream.written.documents == 0
    with pytest.raises(ConfigError, match="its rules leave none"):
        mixed({}, keep="false", budget={"documents": 5}, output={"path": "b"})


def test_two_of_them_are_refused(corpus: Path) -> None:
    spec = {"id": "upsample_v1", "score": "1", "rate": 1.0}
    stream = {"name": "w", "documents": ["web"], "output": {"path": "out"}}
    with pytest.raises(ConfigError, match="upsample_v1 and upsample_v1 would both say"):
        dolma_kit.mix(streams=[stream | {"policies": [spec, spec]}], workers=1)
