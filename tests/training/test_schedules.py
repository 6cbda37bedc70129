from __future__ import annotations

import math

import pytest

from dolma_kit import config
from dolma_kit.errors import ConfigError
from dolma_kit.training.schedules import batch_size, learning_rate
from dolma_kit.training.settings import Batch, Schedule, Train, check


def test_published_rates() -> None:
    """OLMo 2 1B ends stage 1 where its stage 2 begins, 7.4487e-5; 7B at 6.135e-5."""
    schedule = Schedule(
        kind="cosine", tokens=4 * 10**12, warmup_tokens=8_388_608_000, horizon_tokens=5 * 10**12
    )
    at_1b = learning_rate(schedule, 4e-4, 1_907_359, 1_907_359 * 512 * 4096)
    at_7b = learning_rate(schedule, 3e-4, 928_646, 928_646 * 1024 * 4096)
    assert (f"{at_1b:.4e}", f"{at_7b:.3e}") == ("7.4487e-05", "6.135e-05")


@pytest.mark.parametrize(
    ("name", "steps", "tokens", "expected"),
    [
        ("olmo1-7b", 5000, 5000 * 2048 * 2048, 3e-4),
        ("olmo1-7b", 476_837, 2 * 10**12, 3e-5),
        ("olmo1-1b-paper", 5000, 5000 * 2048 * 2048, 4e-4),
        ("olmo1-1b-paper", 476_837, 2 * 10**12, 4e-5),
        ("olmo1-1b", 739_328, 739_328 * 2048 * 2048, 4e-5),
        ("olmo2-1b", 1_907_359, 1_907_359 * 512 * 4096, 7.4487e-5),
        ("olmo2-7b", 928_646, 928_646 * 1024 * 4096, 6.135e-5),
        ("olmo2-13b", 1, 5 * 10**12, 9e-5),
    ],
)
def test_the_configs_end_where_their_runs_did(
    name: str, steps: int, tokens: int, expected: float
) -> None:
    told = config.build(Train, config.read(name))
    rate = learning_rate(told.schedule, told.optimizer.peak_lr, steps, tokens)
    assert rate == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [
        ("linear", 0, 0.1), ("linear", 50, 0.55), ("linear", 100, 1.0), ("linear", 550, 0.55),
        ("linear", 1000, 0.1), ("linear", 1010, 0.1), ("cosine", 550, 0.55), ("cosine", 100, 1.0),
        ("cosine", 325, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2), ("cosine", 2000, 0.1),
        ("constant", 50, 0.55), ("constant", 2000, 1.0),
    ],
)  # fmt: skip
def test_shapes(kind: str, at: int, expected: float) -> None:
    """OLMo 1 warms up from a tenth of the peak and ends at a tenth."""
    keys = {"kind": kind, "steps": 1000, "warmup_steps": 100, "warmup_from": 0.1}
    schedule = config.build(Schedule, keys)
    assert learning_rate(schedule, 1.0, at, 0) == pytest.approx(expected)


def test_annealing_to_nothing() -> None:
    schedule = Schedule(kind="linear", steps=50, final=0.0)
    rates = [learning_rate(schedule, 6.1e-5, step, 0) for step in (0, 25, 50)]
    assert rates == pytest.approx([6.1e-5, 3.05e-5, 0.0])
    behind = Schedule(kind="linear", steps=1050, final=0.0, from_step=1000)
    rates = [learning_rate(behind, 6.1e-5, step, 0) for step in (1000, 1025, 1050)]
    assert rates == pytest.approx([6.1e-5, 3.05e-5, 0.0])


def test_batches_that_grow() -> None:
    """As planned for 65B: 2M tokens, doubled to 16M."""
    growth = [{"from_step": s, "global_batch_size": 1024 * 2**i}
              for i, s in enumerate((1, 101, 301, 701))]  # fmt: skip
    batch = config.build(Batch, {"growth": growth})
    steps = (1, 100, 101, 300, 301, 700, 701, 10**6)
    assert [batch_size(batch, 7, s) for s in steps] == [
        1024, 1024, 2048, 2048, 4096, 4096, 8192, 8192,
    ]  # fmt: skip
    assert batch_size(Batch(), 7, 1) == 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": {}}, "say how long to train"),
        ({"schedule": {"steps": 1, "tokens": 1}}, "say how long to train"),
        ({"schedule": {"steps": 9, "warmup_steps": 1, "warmup_tokens": 1}}, "a warm-up is in"),
        ({"schedule": {"steps": 9, "horizon_steps": 1, "horizon_tokens": 1}}, "a horizon is in"),
        (
            {"schedule": {"tokens": 9, "warmup_steps": 1}},
            "a warm-up in steps needs an end in steps",
        ),
        ({"schedule": {"steps": 9, "warmup_tokens": 1}}, "a warm-up in tokens needs an end in tok"),
        ({"schedule": {"tokens": 9, "from_step": 1}}, "from_step needs an end in steps"),
        ({"schedule": {"steps": 9, "from_step": 9}}, "from_step 9 is not before the end, 9"),
        ({"batch": {"growth": [{"from_step": 2, "global_batch_size": 1}]}}, "from 1 on"),
        ({"optimizer": {"peak_rl": 1.0}}, "unknown key 'peak_rl' in optimizer"),
        ({"model": {"name": "olmo2-1b", "d_model": 0}}, "Expected `int` >= 1"),
    ],
)
def test_settings_that_cannot_be(changed: dict[str, object], message: str) -> None:
    keys = {"run": "r", "out": "o", "model": {"name": "olmo2-1b"}, "schedule": {"steps": 1}}
    with pytest.raises(ConfigError) as error:
        check(config.build(Train, keys | changed))
    assert message in str(error.value)
