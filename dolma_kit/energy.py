"""Energy and carbon of work: from counters where there are any, else modelled, and said which.

    carbon (kg) = energy of the devices (kWh) x PUE x carbon intensity (kg / kWh)

so OLMo 7B's 104 MWh with a PUE of 1.1 are 69.78 t at 0.610 kg / kWh, 75.05 t at 0.656 (Groeneveld
et al. 2024, section 5). Counters: NVML's of NVIDIA's devices (by the package `pynvml`, if it is
there), RAPL's of Intel's and AMD's processors. Modelled: watts of a device at work, by the time.
"""

from __future__ import annotations

import glob
import os
import time
from typing import Any, Literal

import msgspec

Source = Literal["nvml", "rapl", "modelled"]
JOULES_PER_KWH = 3.6e6
RAPL = "/sys/class/powercap"
KEEP_UP_SECONDS = 60


class Energy(msgspec.Struct, frozen=True):
    """What a run took: of its devices, and with what its building adds; `source` says whether it
    was measured."""

    source: Source
    kwh: float
    kwh_with_pue: float
    carbon_kg: float


def energy_of(kwh: float, *, pue: float, kg_per_kwh: float, source: Source) -> Energy:
    """Energy and carbon from the devices' energy.

    >>> energy_of(104_000, pue=1.1, kg_per_kwh=0.610, source="modelled").carbon_kg
    69784.0
    """
    whole = kwh * pue
    return Energy(source, round(kwh, 6), round(whole, 6), round(whole * kg_per_kwh, 3))


class Meter:
    """Counts from when it is made, what one process and its device take.

    RAPL counts for a whole machine: of the processes there one `counts_machine`, the others count
    nothing by it.
    """

    def __init__(
        self,
        *,
        device: int | None,
        watts: float,
        rapl: str | None = None,
        counts_machine: bool = True,
    ) -> None:
        self._watts = watts
        self._started = self._asked = time.monotonic()
        self._nvml = _nvml(device)
        self._packages = _packages(rapl or RAPL) if self._nvml is None else []
        self.source: Source = "modelled"
        if self._nvml is not None:
            self.source, self._first = "nvml", float(self._nvml())
        elif self._packages:
            self.source = "rapl"
            self._share = 1.0 if counts_machine else 0.0
        self._before = [_read(path) for path, _ in self._packages]
        self._joules = [0.0] * len(self._packages)

    def keep_up(self) -> None:
        """To be called often: RAPL's counters run over, some within half an hour."""
        if self._packages and time.monotonic() - self._asked > KEEP_UP_SECONDS:
            self.kwh()

    def kwh(self) -> float:
        """Since it was made."""
        self._asked = time.monotonic()
        if self._nvml is not None:
            return (float(self._nvml()) - self._first) / 1e3 / JOULES_PER_KWH  # millijoules
        if self._packages:
            for i, (path, most) in enumerate(self._packages):
                now = _read(path)
                # A counter that ran over goes on from 0.
                self._joules[i] += ((now - self._before[i]) % (most or 1 << 62)) / 1e6
                self._before[i] = now
            return self._share * sum(self._joules) / JOULES_PER_KWH
        return self._watts * (time.monotonic() - self._started) / JOULES_PER_KWH


def _nvml(device: int | None) -> Any:
    """What gives a device's millijoules so far; None where nothing does."""
    if device is None:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(device)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # no driver, or a device that does not count
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)


def _packages(folder: str) -> list[tuple[str, int]]:
    """(counter, its range) in microjoules of each processor that may be read."""
    found = []
    for zone in sorted(glob.glob(os.path.join(folder, "intel-rapl:[0-9]*"))):
        if os.path.basename(zone).count(":") != 1:  # a part of one that is counted already
            continue
        path = os.path.join(zone, "energy_uj")
        try:
            _read(path)
            most = _read(os.path.join(zone, "max_energy_range_uj"))
        except (OSError, ValueError):
            continue
        found.append((path, most))
    return found


def _read(path: str) -> int:
    with open(path, encoding="ascii") as stream:
        return int(stream.read())
