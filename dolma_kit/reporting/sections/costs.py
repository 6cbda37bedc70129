"""Time and energy, by kind of stage; measured or modelled, and said which."""

from __future__ import annotations

from dolma_kit.markup import escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Cost, Costs, Report
from dolma_kit.reporting.blocks import n, part
from dolma_kit.reporting.numbers import count, duration, number, size
from dolma_kit.reporting.reading import Section, missing

ID = "costs"
TITLE = "Time and energy"


def section(report: Report) -> Section:
    costs = report.costs
    if costs is None or not costs.stages:
        return Section(ID, TITLE, missing(report, ID, is_measured=False), False)
    rows = [
        (
            blocks.name(one.stage), count(one.folders), size(one.bytes_in),
            duration(one.wall_seconds), duration(one.cpu_seconds),
            part(one.cpu_seconds, costs.total_cpu_seconds), _per_gb(one), _energy(one.kwh_with_pue),
            _carbon(one.carbon_kg),
            "measured" if one.cpu == "measured" else "that of the units",
            "<b>measured</b> (RAPL)" if one.energy == "rapl" else "<b>modelled</b>",
        )
        for one in costs.stages
    ]  # fmt: skip
    heads = ["stage", n("folders"), n("read"), n("wall time"), n("CPU time"), n("share"),
             n("CPU s a GB"), n("energy"), n("CO₂e"), "CPU time is", "energy is"]  # fmt: skip
    sums = ["all", "", "", "", duration(costs.total_cpu_seconds), "100 %", "",
            _energy(costs.total_kwh_with_pue), _carbon(costs.total_carbon_kg), "", ""]  # fmt: skip
    caption = "By kind of stage, with what the building adds (PUE)"
    body = blocks.table(caption, heads, rows, sum_row=sums) + f"<p>{_model(costs)}</p>"
    body += blocks.command(
        'dolma-kit sql "select stage, sum(seconds) from ledger group by 1" FOLDER'
    )
    return Section(ID, TITLE, body + missing(report, ID, is_measured=True), True)


def _per_gb(one: Cost) -> str:
    return number(one.cpu_seconds / (one.bytes_in / 1e9), 3) if one.bytes_in else "–"


def _energy(kwh: float) -> str:
    """
    >>> _energy(0.00000123), _energy(0.05), _energy(2300.0)
    ('4.43 J', '180 kJ', '2.3 MWh')
    """
    for unit, amount in (("MWh", kwh / 1000), ("kWh", 10 * kwh), ("kJ", kwh * 3600)):
        if amount >= 1:
            return f"{amount / 10 if unit == 'kWh' else amount:,.3g} {unit}"
    return f"{kwh * 3.6e6:.3g} J"


def _carbon(kg: float | None) -> str:
    if kg is None:
        return "–"
    return f"{kg:,.3g} kg" if kg >= 1 else f"{kg * 1000:.3g} g" if kg >= 0.001 else (
        f"{kg * 1e6:.3g} mg")  # fmt: skip


def _model(costs: Costs) -> str:
    carbon = "no carbon intensity was given" if costs.kg_per_kwh is None else (
        f"{number(costs.kg_per_kwh)} kg CO₂e a kWh")  # fmt: skip
    return escaped(
        f"Modelled energy is {number(costs.watts_per_core)} W a core at work, times a PUE of "
        f"{number(costs.pue)}; {carbon}. Memory, disks and what stands idle are not in it."
    )
