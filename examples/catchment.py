"""From rain to streamflow in one system: two soils over an aquifer that feeds a river, with gradients end to end.

Soil water percolates from the base of each column into the cells of the aquifer below, groundwater seeps into the
reaches of a river along its lower edge, and these pass it on. All is solved together, so that a derivative of the flow
at the outlet to a property of the soil on the hill takes one adjoint.

    python examples/catchment.py --figure catchment.png
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg

ROWS, COLUMNS, CELL = 6, 5, 60.0  # along the river, away from it, and the size of a cell in metres


def Aquifer() -> dg.Model:
    """Unconfined flow after Dupuit in a raster of unit thickness; the state is water per area, `S_y` times the head."""

    def darcy(left, right, face):
        saturated = 0.5 * (left.head + right.head)
        return {"water": left.K * saturated * (left.head - right.head) / face.distance}

    return dg.Model(
        name="Aquifer",
        graph=dg.raster((ROWS, COLUMNS), (CELL, CELL)),
        states=(dg.State("water", "m", "water above the base", default=1.0, low=0.0),),
        parameters=(
            dg.Parameter("K", "m d-1", "hydraulic conductivity", 20.0, low=0.0, open_low=True, log=True),
            dg.Parameter("S_y", "1", "specific yield", 0.2, low=0.0, open_low=True),
        ),
        closure=lambda cell: {"head": cell.water / cell.S_y},
        outputs=(dg.Output("water_table", "m", "above the base"),),
        flux=darcy,
        output=lambda cell: {"water_table": cell.head},
        reference="Dupuit 1863; Boussinesq 1904",
    )


def River() -> dg.Model:
    """Linear reaches along the aquifer, the last one with the outlet."""
    return dg.Model(
        name="River",
        graph=dg.network(ROWS, [(i, i + 1) for i in range(ROWS - 1)]),
        states=(dg.State("content", "m3", "water in the reach", default=0.0),),
        parameters=(dg.Parameter("k", "d", "time of travel through a reach", 0.05, low=0.0, open_low=True),),
        fluxes=(dg.IntegratedFlux("streamflow", "m3", "at the outlet", -1),),
        flux=lambda left, right, face: {"content": left.content / left.k},
        boundaries=(
            dg.Boundary(
                "outlet",
                (ROWS - 1,),
                lambda cell, forcing, face: {"content": -cell.content / cell.k, "streamflow": cell.content / cell.k},
            ),
        ),
    )


def Catchment(soil_cells: int = 12) -> dg.CoupledModel:
    """A hill and a valley of different soils, the aquifer below and the river beside it."""
    soil = dg.models.RichardsColumn(1.2, soil_cells, top="atmosphere", bottom="no_flow")
    cell = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    below = {"hill": cell[:, :3].ravel(), "valley": cell[:, 3:].ravel()}
    percolation = [
        dg.Link(
            f"percolation_{key}",
            key,
            "aquifer",
            [(soil_cells - 1, int(at)) for at in cells],
            # Unit gradient at the base of the soil.
            lambda left, right, face: {"theta->water": left.K},
            area=1 / len(cells),  # a column stands for a square metre; each cell below has its share of it
            right_area=CELL**2,
        )
        for key, cells in below.items()
    ]
    seepage = dg.Link(
        "seepage",
        "aquifer",
        "river",
        [(int(cell[i, -1]), i) for i in range(ROWS)],
        lambda left, right, face: {"water->content": face.conductance * (left.head - face.bed)},
        geometry={"conductance": 300.0, "bed": 4.5},
    )
    regions = {"hill": soil, "valley": soil, "aquifer": Aquifer(), "river": River()}
    return dg.couple("Catchment", regions, [*percolation, seepage])


def main(days: int = 60, soil_cells: int = 12, engine: str = "auto", figure: str | None = None) -> dict[str, float]:
    """Prints balances and sensitivities of the flow; returns the largest balance error and the error of a gradient."""
    model = Catchment(soil_cells)
    random = np.random.default_rng(3)
    rain = np.where(random.random(days) < 0.4, random.gamma(1.0, 0.022, days), 0.0)
    forcing = {"precipitation": rain, "potential_evaporation": 0.002}
    initial = {"hill_head": -0.7, "valley_head": -0.5, "water": 0.93}
    fixed = {"hill_n": 1.6, "valley_n": 1.4, "valley_alpha": 2.0}

    def flow(values: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dg.Solution]:
        sol = dg.solve(
            model,
            {**fixed, **values},
            forcing=forcing,
            initial=initial,
            times=range(days + 1),
            engine=engine,
            rtol=1e-6,
            atol=1e-8,
        )
        return sol.fluxes["streamflow"][days // 2 :].sum(), sol

    values = {
        name: torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for name, v in (("hill_K_s", 0.5), ("valley_K_s", 0.1), ("K", 20.0), ("S_y", 0.2))
    }
    total, sol = flow(values)
    total.backward()
    print(f"streamflow of the second half: {total.item():.0f} m3, by {sol.stats['engine']}")
    for name, value in values.items():
        print(f"  one percent more {name:11} {0.01 * value.item() * value.grad.item():+9.2f} m3")
    errors = {unit: error.item() for unit, error in sol.balances.items()}
    print("balances close to " + ", ".join(f"{error:.0e} in {unit}" for unit, error in errors.items()))
    with torch.no_grad():
        ends = [flow({**values, "hill_K_s": 0.5 + d})[0].item() for d in (-5e-4, 5e-4)]
    difference = (ends[1] - ends[0]) / 1e-3
    if figure:
        _draw(sol, rain, figure)
    return {
        "balance": max(errors.values()),
        "gradient": abs(values["hill_K_s"].grad.item() / difference - 1),
        "streamflow": total.item(),
    }


def _draw(sol: dg.Solution, rain: np.ndarray, figure: str) -> None:
    import matplotlib.pyplot as plt

    drawn, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    days = np.arange(len(rain))
    left.bar(days, 1e3 * rain, color="0.6")
    left.set(xlabel="day", ylabel="rain (mm/d)", title="Rain and streamflow")
    flow = left.twinx()
    flow.plot(days, sol.fluxes["streamflow"].detach(), color="tab:blue")
    flow.set_ylabel("streamflow (m³/d)")
    theta = sol.states["hill_theta"].detach().numpy()
    image = middle.imshow(theta.T, aspect="auto", cmap="YlGnBu", extent=(0, len(rain), 1.2, 0))
    middle.set(xlabel="day", ylabel="depth (m)", title="Water content on the hill")
    drawn.colorbar(image, ax=middle)
    table = sol.outputs["water_table"][-1].detach().numpy().reshape(ROWS, COLUMNS)
    image = right.imshow(table, cmap="viridis", extent=(0, COLUMNS * CELL, ROWS * CELL, 0))
    right.set(xlabel="distance to the divide (m)", ylabel="along the river (m)", title="Water table at the end (m)")
    drawn.colorbar(image, ax=right)
    drawn.savefig(figure, dpi=120)
    print(f"wrote {figure}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--figure")
    options = parser.parse_args()
    main(options.days, engine=options.engine, figure=options.figure)
