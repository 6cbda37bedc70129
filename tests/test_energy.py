from __future__ import annotations

from pathlib import Path

import pytest

from dolma_kit import energy
from dolma_kit.energy import Meter, energy_of


@pytest.mark.parametrize(("kg_per_kwh", "tonnes"), [(0.610, 69.78), (0.656, 75.05)])
def test_published_carbon(kg_per_kwh: float, tonnes: float) -> None:
    """104 MWh x 1.1, by two intensities."""
    found = energy_of(104_000, pue=1.1, kg_per_kwh=kg_per_kwh, source="modelled")
    assert round(found.carbon_kg / 1000, 2) == tonnes
    assert found.kwh_with_pue == pytest.approx(114_400)


def test_modelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = 100.0
    monkeypatch.setattr(energy.time, "monotonic", lambda: now)
    meter = Meter(device=None, watts=400, rapl=str(tmp_path))
    now = 100.0 + 3600
    assert (meter.source, meter.kwh()) == ("modelled", pytest.approx(0.4))


def zone(folder: Path, name: str, joules: float, most: float) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{int(most * 1e6)}\n")


def test_counters_of_processors(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 1000, 9000)
    zone(tmp_path, "intel-rapl:1", 8000, 9000)
    zone(tmp_path, "intel-rapl:0:0", 5, 9000)  # a part of the first
    meter = Meter(device=None, watts=400, rapl=str(tmp_path))
    assert (meter.source, meter.kwh()) == ("rapl", 0.0)
    zone(tmp_path, "intel-rapl:0", 4600, 9000)
    zone(tmp_path, "intel-rapl:1", 2600, 9000)  # which ran over
    assert meter.kwh() == pytest.approx((3600 + 3600) / 3.6e6)
    zone(tmp_path, "intel-rapl:0", 5600, 9000)
    assert meter.kwh() == pytest.approx((4600 + 3600) / 3.6e6)
