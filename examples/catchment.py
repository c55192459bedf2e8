"""From rain and snow to streamflow in one system: soils over groundwater along the reaches of the Bad River, Wisconsin.

Lengths, slopes, elevations and areas of its 45 reaches are those of NHDPlus v2 (US Geological Survey); all other fields, and the
weather of a winter and a spring, are made up with a seed. Snow, soil water, groundwater and river are solved together, so
that the derivatives of the low flow at the outlet to the conductivity below each of the hillslopes take one adjoint.

    python examples/catchment.py --figure catchment.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo import verification

TABLE = Path(verification.__file__).parent / "references" / "bad_river_reaches.csv"
CELLS = 2  # of groundwater on a hillslope, each under a column of soil
LOW = 30  # days at the end, over which the low flow is taken
SHAPE = {"relief": 12.0, "incision": 1.0, "aquifer_thickness": 15.0}


def bad_river(outlet: int = 1814769) -> dict[str, np.ndarray]:
    """Columns of all reaches that drain to `outlet`, in metres."""
    with TABLE.open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    below = {int(row["id"]): int(row["downstream"]) for row in rows}

    def drains(reach: int) -> bool:
        return reach == outlet or (reach in below and drains(below[reach]))

    rows = [row for row in rows if drains(int(row["id"]))]
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "name"}
    downstream = np.where(column["id"] == outlet, 0, column["downstream"])
    return {
        "id": column["id"].astype(int),
        "downstream": downstream.astype(int),
        "length": 1e3 * column["length_km"],
        "slope": column["slope"],
        "area": 1e6 * column["local_area_km2"],
        "area_above": 1e6 * column["total_area_km2"],
        "area_outside": 1e6 * column["external_area_km2"],
        "elevation": column["elevation_down_m"],
    }


def weather(days: int, random: np.random.Generator) -> dict[str, np.ndarray | float]:
    """From December on: snow, a thaw, and a spring that dries up."""
    day = np.arange(days)
    temperature = -9.0 + 26.0 * day / 180 + 4.0 * np.sin(2 * np.pi * day / 11) + 2.5 * random.standard_normal(days)
    rain = np.where(random.random(days) < 0.35, random.gamma(0.9, 7e-3, days), 0.0)
    rain[-LOW // 2 :] = 0.0
    demand = np.clip(1e-4 * (temperature + 2.0), 0.0, 4e-3)
    return {
        "precipitation": rain,
        "temperature": temperature,
        "potential_evaporation": 0.3 * demand,
        "potential_transpiration": demand,
    }


def main(
    days: int = 180, soil_cells: int = 10, outlet: int = 1814769, engine: str = "auto", figure: str | None = None
) -> dict[str, float]:
    """Prints balance and sensitivities; returns the error of the balance, by the rain, and that of a gradient."""
    table, random = bad_river(outlet), np.random.default_rng(5)
    reaches = {name: table[name] for name in ("id", "downstream", "length", "slope", "area")}
    model = dg.models.Catchment(reaches, hillslope_cells=CELLS, soil_cells=soil_cells, **SHAPE)
    forcing = weather(days, random)
    # Half a millimetre a day from what drains in from outside.
    forcing["inflow"] = np.tile(0.5e-3 / 86400 * table["area_outside"], (days, 1))
    count = len(table["id"])
    soil = model.regions["aquifer"].model.graph.cell["bottom"] + SHAPE["aquifer_thickness"]
    start = {"soil_head": -0.8, "aquifer_head": soil - 1.0, "storage": 0.05 * 6.0 * table["length"]}
    K_s = np.repeat(0.06 * np.exp(0.8 * random.standard_normal(CELLS * count)), soil_cells)
    log_K = torch.tensor(np.log(15.0) + 0.6 * random.standard_normal(count), requires_grad=True)
    given = {"S_y": 0.08, "width": 0.5 * (table["area_above"] / 1e6) ** 0.6 + 1.0, "bed_leakance": 1.0, "CFMAX": 3.5}

    def solved(log_K: torch.Tensor) -> tuple[torch.Tensor, dg.Solution]:
        sol = dg.solve(
            model,
            {**given, "K_s": K_s, "K": log_K.exp().repeat_interleave(CELLS)},
            forcing=forcing,
            initial=start,
            times=range(days + 1),
            engine=engine,
            rtol=1e-5,
            atol=1e-8,
        )
        return sol.fluxes["outflow"][-LOW:].mean() / 86400, sol

    low, sol = solved(log_K)
    (slopes,) = torch.autograd.grad(low, log_K)
    rain, whole = sol.fluxes["precipitation"].sum().item(), sol.balances["all (m3)"].item()
    print(f"{model.graph.cells} cells; low flow {low.item():.3f} m3/s, by {sol.stats['engine']}")
    print(f"balance closes to {whole / rain:.0e} of the rain and snow, {rain:.2e} m3")
    for at in slopes.abs().argsort(descending=True)[:3].tolist():
        print(f"  a tenth more K along reach {table['id'][at]}: {1e3 * 0.1 * slopes[at].item():+.2f} l/s")
    with torch.no_grad():
        wide, narrow = (
            (solved(log_K.detach() + d)[0].item() - solved(log_K.detach() - d)[0].item()) / (2 * d)
            for d in (0.04, 0.02)
        )
    difference = (4 * narrow - wide) / 3  # extrapolated to a step of zero
    print(f"all of them: {slopes.sum().item():.6f} m3/s for each unit of ln K, by differences {difference:.6f}")
    if figure:
        _draw(table, forcing, sol, slopes.numpy(), figure)
    return {"balance": whole / rain, "gradient": abs(slopes.sum().item() / difference - 1), "low_flow": low.item()}


def _draw(
    table: dict[str, np.ndarray],
    forcing: dict[str, np.ndarray | float],
    sol: dg.Solution,
    slopes: np.ndarray,
    figure: str,
) -> None:
    import matplotlib.pyplot as plt

    drawn, ((upper, stored), (table_of_water, tree)) = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    flux = {name: values.detach().numpy() for name, values in sol.fluxes.items()}
    rain, days = np.asarray(forcing["precipitation"]), np.arange(len(np.asarray(forcing["precipitation"])))
    for name, label in (
        ("outflow", "at the outlet"),
        ("seepage_to_river", "from groundwater"),
        ("surface_runoff_to_river", "over land"),
    ):
        upper.plot(days, flux[name] / 86400, label=label)
    upper.set(xlabel="day", ylabel="flow (m³/s)", title="Streamflow and where it comes from")
    upper.set_ylim(bottom=0.0)
    upper.legend(loc=(0.45, 0.58))
    falling = upper.twinx()
    falling.bar(days, 1e3 * rain, color="0.8", zorder=0)
    falling.invert_yaxis()
    falling.set(ylabel="rain and snow (mm/d)", ylim=(120, 0))
    states = {name: values.detach().numpy() for name, values in sol.states.items()}
    stored.plot(1e3 * (states["snow"] + states["snow_water"]).mean(-1), label="snow")
    recharge = 1e3 * flux["recharge_to_aquifer"] / table["area"].sum()
    stored.plot(np.concatenate([[0.0], recharge.cumsum()]), label="recharge so far")
    stored.plot(
        np.concatenate([[0.0], (1e3 * flux["transpiration"] / table["area"].sum()).cumsum()]), label="transpired so far"
    )
    stored.set(xlabel="day", ylabel="mm", title="Means over the catchment")
    stored.legend(loc="center left")
    heads = sol.outputs["aquifer_head"].detach().numpy()
    for k, label in enumerate(("upper half of the hillslopes", "lower half, beside the reach")):
        own = heads[:, k::CELLS]
        table_of_water.plot(np.median(own, axis=1), label=label)
        table_of_water.fill_between(range(len(own)), *np.quantile(own, (0.1, 0.9), axis=1), alpha=0.25)
    table_of_water.set(
        xlabel="day",
        ylabel="water table above the bank (m)",
        title="Water tables: median, and four fifths of the reaches",
    )
    table_of_water.legend()
    _draw_profile(tree, table, slopes)
    drawn.savefig(figure, dpi=110)
    print(f"wrote {figure}")


def _draw_profile(axes, table: dict[str, np.ndarray], slopes: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Reaches as lines of elevation over the way to the outlet, coloured by what their hillslopes do to the low flow."""
    from matplotlib.collections import LineCollection

    below = dict(zip(table["id"].tolist(), table["downstream"].tolist(), strict=True))
    length = dict(zip(table["id"].tolist(), table["length"].tolist(), strict=True))

    def way(reach: int) -> float:
        return 0.0 if reach not in below else length[reach] + way(below[reach])

    ends = np.array([(way(below[r]) / 1e3, way(r) / 1e3) for r in table["id"].tolist()])
    top = table["elevation"] + table["slope"] * table["length"]
    lines = [[(a, low), (b, high)] for (a, b), low, high in zip(ends, table["elevation"], top, strict=True)]
    drawn = LineCollection(lines, array=1e3 * slopes, cmap="coolwarm", linewidths=3)
    largest = 1e3 * np.abs(slopes).max()
    drawn.set_clim(-largest, largest)
    axes.add_collection(drawn)
    axes.autoscale()
    axes.set(
        xlabel="way to the outlet (km)",
        ylabel="elevation (m)",
        title="Low flow at the outlet by ln K of each reach's hillslopes",
    )
    axes.figure.colorbar(drawn, ax=axes, label="l/s for each unit of ln K")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--figure")
    options = parser.parse_args()
    main(options.days, engine=options.engine, figure=options.figure)
