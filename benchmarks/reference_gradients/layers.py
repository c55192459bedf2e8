"""The problems in pydiffgeo, and their gradients by its engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from kinetics import POLLU_RATES, POLLU_REACTIONS
from statement import Problem
from waters import COLUMNS, CREEK, DAY, DOWNSTREAM, DRAINED, GREEN, OUTSIDE, PUMPED, ROWS, SIDE, TOP

import pydiffgeo as dg


def _robertson(problem: Problem) -> dg.Model:
    def source(cell: Any, forcing: Any) -> dict[str, Any]:
        slow, fast, back = cell.k1 * cell.y1, cell.k2 * cell.y2 * cell.y2, cell.k3 * cell.y2 * cell.y3
        return {"y1": back - slow, "y2": slow - fast - back, "y3": fast}

    return _cell("Robertson", 3, {f"k{i}": 1.0 for i in (1, 2, 3)}, source)


def _pollu(problem: Problem) -> dg.Model:
    def source(cell: Any, forcing: Any) -> dict[str, Any]:
        total: dict[str, Any] = {f"y{i}": 0.0 for i in range(1, 21)}
        for i, (reactants, change) in enumerate(POLLU_REACTIONS, 1):
            rate = getattr(cell, f"k{i}")
            for species in reactants:
                rate = rate * getattr(cell, f"y{species}")
            for species, count in change.items():
                total[f"y{species}"] = total[f"y{species}"] + count * rate
        return total

    return _cell("Pollu", 20, {f"k{i}": v for i, v in enumerate(POLLU_RATES, 1)}, source)


def _van_der_pol(problem: Problem) -> dg.Model:
    def source(cell: Any, forcing: Any) -> dict[str, Any]:
        return {"y1": cell.y2, "y2": cell.mu * (1.0 - cell.y1 * cell.y1) * cell.y2 - cell.y1}

    return _cell("VanDerPol", 2, {"mu": 1000.0}, source)


def _cell(name: str, states: int, parameters: Mapping[str, float], source: Callable[..., Any]) -> dg.Model:
    return dg.Model(
        name=name,
        graph=dg.single_cell(),
        states=tuple(dg.State(f"y{i}", "1", "state", default=0.0) for i in range(1, states + 1)),
        parameters=tuple(dg.Parameter(k, "1", "rate", v) for k, v in parameters.items()),
        source=source,
    )


def _cascade(problem: Problem) -> dg.Model:
    n = problem.inputs["parameters.k"].array.size

    def outlet(cell: Any, forcing: Any, face: Any) -> dict[str, Any]:
        return {"storage": -cell.storage / cell.k, "discharge": cell.storage / cell.k}

    return dg.Model(
        name="Cascade",
        graph=dg.network(n, [(i, i + 1) for i in range(n - 1)]),
        states=(dg.State("storage", "mm", "water in the reservoir", default=0.0),),
        parameters=(dg.Parameter("k", "d", "residence time", 1.0, 0.0, open_low=True),),
        forcings=(dg.ForcingVariable("inflow", "mm d-1", "inflow of the first reservoir"),),
        fluxes=(
            dg.IntegratedFlux("inflow", "mm", "inflow", +1),
            dg.IntegratedFlux("discharge", "mm", "flow out of the last reservoir", -1),
        ),
        flux=lambda left, right, face: {"storage": left.storage / left.k},
        boundaries=(
            dg.Boundary(
                "inlet", (0,), lambda cell, forcing, face: {"storage": forcing.inflow, "inflow": forcing.inflow}
            ),
            dg.Boundary("outlet", (n - 1,), outlet),
        ),
    )


def _heat(problem: Problem) -> dg.Model:
    n, dx = problem.inputs["parameters.D"].array.size, problem.constants["dx"]

    def flux(left: Any, right: Any, face: Any) -> dict[str, Any]:
        mean = 2.0 * left.D * right.D / (left.D + right.D)
        return {"temperature": mean * (left.temperature - right.temperature) / face.distance}

    def top(cell: Any, forcing: Any, face: Any) -> dict[str, Any]:
        into = cell.D * (forcing.surface - cell.temperature) / face.distance
        return {"temperature": into, "heat": into}

    return dg.Model(
        name="Heat",
        graph=dg.column(n * dx, n),
        states=(dg.State("temperature", "degC", "temperature", default=0.0),),
        parameters=(dg.Parameter("D", "m2 d-1", "diffusivity", 0.05, 0.0, open_low=True),),
        forcings=(dg.ForcingVariable("surface", "degC", "temperature of the surface"),),
        fluxes=(dg.IntegratedFlux("heat", "degC m", "heat entering through the surface", +1),),
        flux=flux,
        boundaries=(dg.Boundary("top", (0,), top, {"distance": dx / 2}),),
    )


def _column(**choices: Any) -> Callable[[Problem], dg.Model]:
    def build(problem: Problem) -> dg.Model:
        (cells,) = {v.array.size for k, v in problem.inputs.items() if k.startswith("initial.")}
        return dg.models.RichardsColumn(cells * problem.constants["dx"], cells, **choices)

    return build


def _aquifer(problem: Problem) -> dg.Model:
    bottom = np.array(problem.constants["bottom"]).reshape(1, ROWS, COLUMNS)
    grid = dg.raster(bottom.shape, (SIDE, SIDE), layers=TOP - bottom)
    conditions = (
        dg.groundwater.River(CREEK),
        dg.groundwater.GeneralHead([OUTSIDE]),
        dg.groundwater.Well([PUMPED]),
        dg.groundwater.Drain([DRAINED]),
        dg.groundwater.Recharge(),
        dg.groundwater.Evapotranspiration(GREEN),
    )
    return dg.models.Aquifer(grid, "unconfined", top=TOP, upstream=False, boundaries=conditions)


def _river(problem: Problem) -> dg.Model:
    reaches = {"id": [*range(6)], "downstream": [*DOWNSTREAM], **problem.constants}
    return dg.models.River(reaches)


MODELS: dict[str, Callable[[Problem], dg.Model]] = {
    "robertson": _robertson,
    "pollu": _pollu,
    "van_der_pol": _van_der_pol,
    "cascade": _cascade,
    "heat": _heat,
    "celia": _column(top="head", bottom="head", closure="haverkamp", face_conductivity="cell_arithmetic"),
    "srivastava_yeh": _column(top="flux", bottom="head", closure="gardner", face_conductivity="cell_arithmetic"),
    "van_genuchten": _column(top="flux", bottom="free_drainage", face_conductivity="cell_arithmetic"),
    "exphydro": lambda problem: dg.models.ExpHydro(),
    "hbv": lambda problem: dg.models.HBV(),
    "gr4j": lambda problem: dg.models.GR4J(),
    "aquifer": _aquifer,
    "river": _river,
}
# What a model wants and the equations do not have: heads are above the river's bed.
FURTHER = {"aquifer": {"river_bed": 0.0}}


def _end(y: torch.Tensor) -> torch.Tensor:
    return y[-1].squeeze()


def _days(n: int) -> torch.Tensor:
    return torch.arange(1.0, n + 1, dtype=torch.float64)


OUTPUTS: dict[str, Callable[[Any, Any, Any], dict[str, torch.Tensor]]] = {
    "robertson": lambda y, out, flux: {
        "weighted_sum": (1e4 * y["y2"][1:4] + y["y3"][1:4]).sum(),
        "y1_late": _end(y["y1"]),
    },
    "pollu": lambda y, out, flux: {"ozone": _end(y["y4"]), "nitrogen_dioxide": y["y1"][1:].sum()},
    "van_der_pol": lambda y, out, flux: {"position": _end(y["y1"]), "velocity": 1e3 * _end(y["y2"])},
    "cascade": lambda y, out, flux: {
        "discharge": ((1 + _days(10) / 10) * flux["discharge"]).sum(),
        "misfit": (flux["discharge"] - 3).square().sum(),
        "stored": y["storage"][-1].square().sum(),
    },
    "heat": lambda y, out, flux: {
        "warmth": (y["temperature"][1:] - 8).square().mean(),
        "heat": (_days(8) * flux["heat"]).sum(),
    },
    "celia": lambda y, out, flux: {
        "infiltration": flux["infiltration"].sum(),
        "front": out["head"][-1, 12],
        "wetness": y["theta"][1:].square().mean(-1).sum(),
    },
    "srivastava_yeh": lambda y, out, flux: {
        "drainage": flux["drainage"].sum(),
        "suction": out["head"][2].square().mean(),
        "wetness": y["theta"][3].square().mean(),
    },
    "van_genuchten": lambda y, out, flux: {
        "loss": (y["theta"][1:] - 0.25).square().mean(-1).sum(),
        "drainage": flux["drainage"].sum(),
    },
    "exphydro": lambda y, out, flux: {
        "misfit": (flux["runoff"] - 2).square().mean(),
        "runoff": flux["runoff"].sum(),
        "final_storage": _end(y["water_storage"]),
    },
    "hbv": lambda y, out, flux: {
        "misfit": (flux["runoff"] - 2).square().mean(),
        "runoff": flux["runoff"].sum(),
        "soil": _end(y["soil_moisture"]),
    },
    "gr4j": lambda y, out, flux: {
        "misfit": (flux["runoff"] - 2).square().mean(),
        "runoff": flux["runoff"].sum(),
        "stored": _end(y["production_store"]) + _end(y["routing_store"]),
    },
    "aquifer": lambda y, out, flux: {
        "river": flux["river"].sum(),
        "heads": (out["head"][1:] - 11).square().mean(),
        "well": out["head"][-1, PUMPED],
    },
    "river": lambda y, out, flux: {
        "volume": flux["discharge"][:, -1].sum(),
        "misfit": (flux["discharge"][:, -1] * 12 / DAY - 4).square().mean(),
        "stored": y["storage"][-1].sum() / 1e4,
    },
}


def solve(
    name: str, problem: Problem, only: Collection[str] = (), **settings: Any
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Values of the outputs, and output -> input -> derivatives; `settings` are those of `dg.solve`.

    `only` restricts the outputs.
    """
    tensors = {k: torch.tensor(v.value, dtype=torch.float64, requires_grad=True) for k, v in problem.inputs.items()}
    given: dict[str, dict[str, Any]] = {"parameters": {}, "forcing": {}, "initial": {}}
    for key, tensor in tensors.items():
        group, _, short = key.partition(".")
        given[group][short] = tensor
    given["parameters"] |= FURTHER.get(name, {})  # type: ignore[arg-type]
    if "daylength" in problem.constants:
        given["forcing"]["daylength"] = torch.tensor(problem.constants["daylength"], dtype=torch.float64)
    sol = dg.solve(
        MODELS[name](problem),
        given["parameters"],
        forcing=given["forcing"],
        initial=given["initial"],
        times=problem.times,
        **settings,
    )
    outputs = OUTPUTS[name](sol.states, sol.outputs, sol.fluxes)
    outputs = {k: v for k, v in outputs.items() if not only or k in only}
    gradients = {}
    for key, value in outputs.items():
        found = torch.autograd.grad(value, [*tensors.values()], retain_graph=True, allow_unused=True)
        gradients[key] = {
            k: np.zeros(t.numel()) if g is None else g.numpy().ravel()
            for (k, t), g in zip(tensors.items(), found, strict=True)
        }
    return {k: v.item() for k, v in outputs.items()}, gradients
