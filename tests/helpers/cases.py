"""Small problems, one per process and boundary: what every engine must solve, differentiate and balance.

A new process is tested by one more entry of `CASES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from case_models import OUTLINE, aquifer, layered_aquifer, river_network, solute_aquifer, water_table

import pydiffgeo as dg


@dataclass(frozen=True)
class Case:
    """What `dg.solve` needs; `inputs` are the tensors to differentiate, by group and name."""

    model: Callable[[], dg.Model]
    times: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    forcing: dict[str, Any] = field(default_factory=dict)
    initial: dict[str, Any] = field(default_factory=dict)
    kind: str = "constant"

    def tensors(self) -> dict[str, torch.Tensor]:
        groups = {"parameters": self.parameters, "forcing": self.forcing, "initial": self.initial}
        return {f"{g}.{k}": torch.tensor(v) for g, values in groups.items() for k, v in values.items()}

    def solve(self, tensors: dict[str, torch.Tensor], model: dg.Model, **settings: Any) -> dg.Solution:
        groups: dict[str, dict[str, Any]] = {"parameters": {}, "forcing": {}, "initial": {}}
        for name, tensor in tensors.items():
            group, _, key = name.partition(".")
            groups[group][key] = tensor
        if self.kind == "linear":
            groups["forcing"] = {k: dg.TimeSeries(self.times, v, "linear") for k, v in groups["forcing"].items()}
        return dg.solve(
            model,
            groups["parameters"],
            forcing=groups["forcing"],
            times=self.times,
            initial=groups["initial"],
            **settings,
        )


def loss(solution: dg.Solution) -> torch.Tensor:
    """A scalar that depends on every state, output and flux, with different weights."""
    total = torch.zeros(())
    for k, v in enumerate([*solution.states.values(), *solution.outputs.values(), *solution.fluxes.values()]):
        weights = 1 + 0.3 * torch.sin(1.7 * torch.arange(v.numel()) + k).reshape(v.shape)
        total = total + (weights * torch.asinh(v)).mean()
    return total


def loam(cells: int) -> dict[str, Any]:
    """van Genuchten parameters that vary over the column."""
    x = np.linspace(0, 1, cells)
    return {
        "theta_r": 0.078 + 0.02 * x,
        "theta_s": 0.43 - 0.03 * x,
        "alpha": 3.6 - 1.5 * x,
        "n": 1.56 + 0.2 * x,
        "K_s": 0.25 * np.exp(-x),
        "S_s": np.full(cells, 1e-4),
    }


REACHES = {
    "id": [1, 2, 3, 4],
    "downstream": [3, 3, 4, 0],
    "length": [2000.0, 3000.0, 2500.0, 4000.0],
    "slope": [0.003, 0.002, 0.001, 0.0008],
}


def real_river(routing: str, forcing: dict[str, Any], temperature: str = "none") -> Case:
    """Reaches of unlike size under inflow that rises and falls, in a time of a few hours."""
    water = {"storage": np.array([3.0, 4.0, 9.0, 20.0]) * 1e3}
    return Case(
        lambda: dg.models.River(REACHES, routing=routing, temperature=temperature),
        np.array([0.0, 0.1, 0.2, 0.4]),
        {
            "manning_n": np.linspace(0.03, 0.06, 4),
            "width": np.array([6.0, 8.0, 10.0, 15.0]),
            "width_exponent": np.array(0.2),
        }
        | ({"shade": np.array(0.4)} if temperature == "weather" else {}),
        {"lateral_inflow": np.array([[1.0], [3.0], [0.5]]) * np.array([[1.0, 0.7, 0.3, 0.2]]), **forcing},
        water | ({"heat": water["storage"] * 4.18 * 12} if temperature != "none" else {}),
    )


RAIN = [0.02, 0.001, 0.15, 0.002, 0.004]
EVAPORATION = [0.004, 0.006, 0.001, 0.006, 0.005]
DAYS = np.arange(6.0)


def column(**choices: Any) -> Callable[[], dg.Model]:
    return lambda: dg.models.RichardsColumn(0.6, 8, **choices)


CASES: dict[str, Case] = {
    "richards-flux-free": Case(
        column(), DAYS, loam(8), {"flux": [0.03, 0.001, 0.002, 0.02, 0.001]}, {"theta": np.linspace(0.2, 0.25, 8)}
    ),
    "richards-head-none": Case(
        column(top="head", bottom="no_flow"),
        DAYS[:4],
        loam(8),
        {"head": [-0.2, -0.5, -0.1]},
        {"head": np.full(8, -1.5)},
    ),
    "richards-flux-flux": Case(
        column(bottom="flux", face_conductivity="geometric"),
        DAYS[:4],
        loam(8),
        {"flux": [0.01, 0.02, 0.005], "bottom_flux": [0.001, 0.002, 0.0]},
        {"theta": np.full(8, 0.28)},
    ),
    "richards-weather": Case(
        column(top="atmosphere", bottom="head", root_depth=0.3),
        DAYS,
        loam(8) | {"h_50": np.array(-8.0), "p_50": np.array(3.0)},
        {
            "precipitation": RAIN,
            "potential_evaporation": EVAPORATION,
            "potential_transpiration": [0.003] * 5,
            "bottom_head": [-1.0] * 5,
        },
        {"theta": np.full(8, 0.2)},
    ),
    "richards-linear-forcing": Case(
        column(face_conductivity="upstream"),
        DAYS[:4],
        loam(8),
        {"flux": [0.001, 0.02, 0.015, 0.003]},
        {"theta": np.full(8, 0.22)},
        "linear",
    ),
    "richards-gardner": Case(
        column(closure="gardner", bottom="head"),
        DAYS[:4],
        {"theta_r": np.array(0.06), "theta_s": np.array(0.4), "alpha": np.array(3.0), "K_s": np.full(8, 0.24)},
        {"flux": [0.02, 0.1, 0.01], "bottom_head": [-0.1, -0.1, -0.1]},
        {"theta": np.full(8, 0.15)},
    ),
    "richards-haverkamp": Case(
        column(closure="haverkamp", top="head", bottom="head"),
        np.array([0.0, 0.01, 0.02]),
        {
            "theta_r": np.array(0.075),
            "theta_s": np.array(0.287),
            "A_theta": np.array(1.611e6 * 0.01**3.96),
            "B_theta": np.array(3.96),
            "A_K": np.array(1.175e6 * 0.01**4.74),
            "B_K": np.array(4.74),
            "K_s": np.full(8, 8.16),
        },
        {"head": [-0.207, -0.25], "bottom_head": [-0.615, -0.615]},
        {"head": np.full(8, -0.615)},
    ),
    "exphydro": Case(
        dg.models.ExpHydro,
        DAYS,
        {
            "f": np.array(0.03),
            "S_max": np.array(300.0),
            "Q_max": np.array(20.0),
            "D_f": np.array(2.5),
            "T_max": np.array(0.5),
            "T_min": np.array(-0.7),
        },
        {
            "precipitation": [5.0, 12.0, 1.0, 20.0, 2.0],
            "temperature": [-2.0, 1.0, 4.0, 6.0, -0.3],
            "daylength": [9.0, 9.1, 9.2, 9.3, 9.4],
        },
        {"snow_storage": np.array(15.0), "water_storage": np.array(250.0)},
    ),
    "hbv": Case(
        lambda: dg.models.HBV(routing=2),
        DAYS,
        {
            **{"BETA": np.array(2.0), "FC": np.array(160.0), "LP": np.array(0.7), "BETAET": np.array(1.5)},
            **{
                "K0": np.array(0.2),
                "K1": np.array(0.1),
                "K2": np.array(0.02),
                "C": np.array(0.1),
                "tau": np.array(0.6),
            },
            **{"PERC": np.array(1.5), "UZL": np.array(20.0), "TT": np.array(0.2), "CFMAX": np.array(3.0)},
            **{"CFR": np.array(0.05), "CWH": np.array(0.1)},
        },
        {
            "precipitation": [5.0, 12.0, 0.5, 30.0, 2.0],
            "temperature": [-2.0, 0.4, 4.0, 6.0, -0.3],
            "potential_evapotranspiration": [0.3, 0.8, 1.0, 2.0, 0.9],
        },
        {
            **{"snow_storage": np.array(15.0), "snow_water": np.array(2.0), "soil_moisture": np.array(100.0)},
            **{"upper_zone": np.array(12.0), "lower_zone": np.array(40.0), "routing_1": np.array(1.0)},
        },
    ),
    "gr4j": Case(
        dg.models.GR4J,
        DAYS,
        {"X1": np.array(320.0), "X2": np.array(-1.5), "X3": np.array(70.0), "X4": np.array(1.4)},
        {"precipitation": [5.0, 12.0, 1.0, 40.0, 2.0], "potential_evapotranspiration": [0.3, 0.8, 3.0, 2.0, 2.5]},
        {"production_store": np.array(220.0), "routing_store": np.array(45.0), "hydrograph_1": np.array(2.0)},
    ),
    "snow17": Case(
        dg.models.Snow17,
        DAYS,
        {
            **{"SCF": np.array(1.2), "MFMAX": np.array(1.0), "MFMIN": np.array(0.3), "UADJ": np.array(0.05)},
            **{"PXTEMP": np.array(0.8), "NMF": np.array(0.15), "TIPM": np.array(0.15), "PLWHC": np.array(0.05)},
            **{"DAYGM": np.array(0.2)},
        },
        {
            "precipitation": [5.0, 12.0, 9.0, 1.0, 2.0],
            "temperature": [-6.0, 0.9, 4.0, 7.0, -0.6],
            "day_of_year": [98.0, 99.0, 100.0, 101.0, 102.0],
        },
        {
            **{"ice": np.array(90.0), "liquid": np.array(2.0), "heat_deficit": np.array(1.5)},
            **{"temperature_index": np.array(-2.0), "largest": np.array(150.0), "fresh": np.array(0.5)},
        },
    ),
    "heat": Case(
        lambda: dg.models.HeatColumn(1.0, 6),
        DAYS,
        {"conductivity": np.full(6, 0.12), "capacity": np.array(2.1)},
        {"surface_temperature": [12.0, 3.0, -2.0, 8.0, 15.0]},
        {"heat": np.full(6, 10.0)},
    ),
    "heat-flow-freezing": Case(
        lambda: dg.models.HeatColumn(1.0, 6, base=True, flow="parameter", freezing="linear"),
        DAYS,
        {"conductivity": np.full(6, 0.12), "water_flux": np.array(0.05), "latent_heat": np.array(60.0)},
        {"surface_temperature": [2.0, -3.0, -6.0, -1.0, 3.0], "base_temperature": [4.0, 4.5, 5.0, 5.0, 4.0]},
        {"heat": np.linspace(1.0, 8.0, 6)},
    ),
    "water-heat": Case(
        lambda: dg.models.WaterHeatColumn(0.6, 5, root_depth=0.3, base_temperature=True),
        DAYS[:3],
        loam(5) | {"quartz": np.array(0.5)},
        {
            "flux": [0.02, 0.001],
            "potential_transpiration": [0.003] * 2,
            "surface_temperature": [15.0, 6.0],
            "base_temperature": [9.0] * 2,
        },
        {"theta": np.full(5, 0.2), "heat": np.full(5, 20.0)},
    ),
    "section": Case(
        lambda: dg.models.RichardsSection((2, 3), (0.3, 0.5), right="head", bottom="free_drainage"),
        DAYS[:3],
        {"K_s": np.linspace(0.2, 0.4, 6), "alpha": np.array(3.0), "n": np.array(1.6)},
        {
            "top_flux": np.array([[0.02, 0.01, 0.0], [0.001, 0.0, 0.003]]),
            "right_head": np.array([[-0.5, -0.2], [-0.6, -0.3]]),
        },
        {"theta": np.linspace(0.25, 0.36, 6)},
    ),
    "aquifer": Case(
        aquifer,
        np.array([0.0, 10.0, 30.0]),
        {"porosity": np.full(12, 0.2), "K_face": np.full(17, 12.0)},
        {"recharge": np.full((2, 12), 0.001), "stage": [9.0, 9.5]},
        {"water": np.linspace(1.9, 2.2, 12)},
    ),
    "layers": Case(
        layered_aquifer,
        np.array([0.0, 5.0, 20.0]),
        {"K": np.array([5.0, 0.1, 8.0])[:, None, None] * np.ones((3, 3, 4)), "anisotropy": np.array(0.2)},
        {"recharge": np.full((2, 3, 3, 4), 0.001), "stage": [19.0, 20.0]},
        {"water": np.linspace(0.018, 0.022, int(OUTLINE.sum()))},
    ),
    "river-kinematic-warm": real_river(
        "kinematic",
        {
            "radiation": [100.0, 500.0, 20.0],
            "air_temperature": [12.0, 20.0, 9.0],
            "humidity": [0.8, 0.5, 0.9],
            "wind": [1.0, 3.0, 2.0],
        },
        "weather",
    ),
    "solute-chain": Case(
        lambda: dg.models.SoluteColumn(
            1.0, 6, "exponential", inlet="flux", sorption="langmuir", decay="total", species=("a", "b")
        ),
        np.array([0.0, 1.0, 4.0]),
        {"velocity": np.array(0.1), "dispersion": np.array(0.02), "K_L_a": np.array(1.5), "decay_a": np.array(0.2)},
        {"inlet_a": [1.0, 0.3]},
        {"total_a": np.linspace(1.0, 0.2, 6)},
    ),
    "solute-freundlich": Case(
        lambda: dg.models.SoluteColumn(1.0, 5, "exponential", sorption="freundlich", decay="dissolved"),
        np.array([0.0, 1.0, 4.0]),
        {"velocity": np.array(0.1), "K_F": np.linspace(0.3, 0.8, 5), "exponent": np.array(0.8), "decay": np.array(0.1)},
        {"inlet": [1.0, 0.3]},
        {"total": np.linspace(1.0, 0.2, 5)},
    ),
    "river-diffusive": real_river("diffusive", {}),
    "river-muskingum-cunge": real_river("muskingum_cunge", {}),
    "water-table": Case(
        water_table,
        np.array([0.0, 2.0, 10.0]),
        {
            "K": np.linspace(3.0, 8.0, 12).reshape(2, 2, 3),
            "horizontal_anisotropy": np.array(0.5),
            "vertical_anisotropy": np.full((2, 2, 3), 0.02),
            "S_s": np.array(1e-3),
            "S_y": np.linspace(0.1, 0.2, 12),
            "general_conductance": np.array(8.0),
            "river_conductance": np.array([20.0, 30.0]),
            "river_bed": np.array(11.0),
            "drain_conductance": np.array(15.0),
            "drain_elevation": np.array(12.0),
            "evapotranspiration_surface": np.array(16.0),
            "evapotranspiration_depth": np.array(5.0),
        },
        {
            "given_head": [12.0, 14.0],
            "general_head": [13.0, 11.5],
            "river_stage": [[13.0, 12.5], [14.0, 13.0]],
            "well_rate": [[-40.0, 0.0], [-40.0, -10.0]],
            "recharge_rate": np.full((2, 6), 2e-3),
            "evapotranspiration_rate": [3e-3, 5e-3],
        },
        {"head": np.linspace(12.5, 13.5, 12)},
    ),
    "solute-aquifer": Case(
        solute_aquifer,
        np.array([0.0, 2.0, 10.0]),
        {
            "K": np.linspace(3.0, 8.0, 6),
            "S_s": np.array(1e-3),
            "S_y": np.linspace(0.1, 0.2, 6),
            "porosity": np.linspace(0.25, 0.3, 6),
            "longitudinal_dispersivity": np.array(12.0),
            "vertical_dispersivity": np.array(0.3),
            "diffusion": np.array(1e-3),
            "S_max": np.array(0.2),
            "decay": np.array(0.05),
        },
        {
            "given_head": [12.0, 14.0],
            "given_concentration": [0.1, 0.3],
            "well_rate": [[-40.0, 15.0], [-40.0, 10.0]],
            "well_concentration": [2.0, 1.0],
        },
        {"head": np.linspace(12.5, 13.5, 6), "solute": np.linspace(0.5, 1.5, 6)},
    ),
    "river": Case(
        river_network,
        DAYS[:3],
        {"k": np.linspace(0.4, 0.9, 5)},
        {"inflow": np.full((2, 5), 0.7)},
        {"storage": np.linspace(0.5, 2.0, 5)},
    ),
}
