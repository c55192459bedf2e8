"""Corners of the usual ranges of parameters, with floods, frost and no forcing at all: states end in their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg

MEMBERS = 32


def corners(model: dg.Model, random: np.random.Generator, *, without: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """For each member one end of the usual range of every parameter that has one."""
    return {
        p.name: torch.from_numpy(random.choice(p.typical, (MEMBERS, 1)))
        for p in model.parameters
        if p.typical is not None and p.name not in without
    }


def solved(model: dg.Model, values: dict[str, Any], engine: str, **question: Any) -> dg.Solution:
    sol = dg.solve(model, values, engine=engine, throw=False, rtol=1e-5, **question)
    failed = [*sol.failures()]
    assert len(failed) == 0, failed
    for net in sol.balances.values():
        assert net.abs().max() < 1e-7
    return sol


@pytest.mark.parametrize("sorption", ["linear", "langmuir", "freundlich"])
def test_solutes(sorption: Any, engine: str) -> None:
    model = dg.models.SoluteColumn(
        1.0, 10, "exponential", inlet="flux", sorption=sorption, decay="total", species=("a", "b")
    )
    random = np.random.default_rng(2)
    values = corners(model, random) | {"velocity": torch.from_numpy(random.choice([0.0, 1e-3, 1.0], (MEMBERS, 1)))}
    values["dispersion"] = torch.from_numpy(random.choice([1e-6, 1e-2], (MEMBERS, 1)))
    start = torch.from_numpy(random.choice([0.0, 1.0], (MEMBERS, 10)))
    sol = solved(
        model,
        values,
        engine,
        forcing={"inlet_a": [1.0, 0.0, 0.0]},
        initial={"total_b": start},
        times=[0.0, 1, 2, 30],
        atol=1e-9,
    )
    for name in ("a", "b"):
        c = sol.outputs[f"concentration_{name}"]
        assert c.min() > -1e-7
        assert c.max() < 6.0  # what was sorbed, and is dissolved again, at the most


@pytest.mark.parametrize("freezing", ["none", "linear", "three_zones"])
def test_heat(freezing: Any, engine: str) -> None:
    model = dg.models.HeatColumn(1.0, 10, base=True, flow="parameter", freezing=freezing)
    values = corners(model, np.random.default_rng(3))
    sol = solved(
        model,
        values,
        engine,
        forcing={"surface_temperature": [20.0, -20.0, 0.0, -5.0, 5.0], "base_temperature": 1.0},
        initial={"temperature": torch.full((MEMBERS, 10), 2.0)},
        times=range(6),
        atol=1e-6,
    )
    T = sol.outputs["temperature"]
    # No colder and no warmer than what is around.
    assert T.min() > -20.01
    assert T.max() < 20.01


def test_sections_that_are_dry_and_flooded(engine: str) -> None:
    model = dg.models.RichardsSection((4, 4), (0.25, 0.5), top="head", left="seepage_face", right="water_level")
    random = np.random.default_rng(4)
    values = corners(model, random, without=("theta_r", "theta_s", "n", "S_s"))
    values["n"] = torch.from_numpy(random.choice([1.2, 3.0], (MEMBERS, 1)))
    head = random.choice([-50.0, -1.0, 0.05], (MEMBERS, 2, 4))
    sol = solved(
        model,
        values,
        engine,
        forcing={"top_head": head, "right_level": [0.2, 2.0]},
        initial={"head": torch.from_numpy(random.choice([-30.0, -0.3], (MEMBERS, 1)))},
        times=[0.0, 0.5, 3.0],
        atol=1e-8,
    )
    theta = sol.states["theta"]
    assert theta.min() > 0.078 - 1e-6
    assert theta.max() < 0.43 + 1e-4 * 2


def test_leaves_over_soil(engine: str) -> None:
    model = dg.models.VegetatedColumn(0.8, 8)
    random = np.random.default_rng(5)
    values = corners(model, random, without=("theta_r", "theta_s", "alpha", "n", "K_s", "S_s"))
    sol = solved(
        model,
        values,
        engine,
        forcing={
            "precipitation": [0.0, 0.08, 0.0, 0.0],
            "potential_evaporation": [0.0, 0.002, 0.006, 0.006],
            "air_temperature": [-15.0, 12.0, 45.0, 25.0],
            "vapour_deficit": [0.0, 0.1, 8.0, 2.0],
            "light": [0.0, 200.0, 2200.0, 1200.0],
        },
        initial={"head": torch.from_numpy(random.choice([-100.0, -0.2], (MEMBERS, 1)))},
        times=[0.0, 1, 2, 5, 20],
        atol=1e-9,
    )
    assert sol.states["theta"].min() > 0.078 - 1e-6
    assert (sol.fluxes["uptake_to_canopy"] <= sol.fluxes["demand"] * (1 + 1e-6) + 1e-12).all()
    assert sol.states["transpired"].min() >= -1e-9


def test_water_and_heat_that_freeze(engine: str) -> None:
    model = dg.models.WaterHeatColumn(0.6, 8, top="flux", bottom="no_flow", freezing=True)
    random = np.random.default_rng(6)
    values = corners(model, random, without=("theta_r", "theta_s", "n", "S_s", "alpha", "unfrozen"))
    values |= {"unfrozen": torch.from_numpy(random.choice([0.12, 0.2], (MEMBERS, 1)))}
    sol = solved(
        model,
        values,
        engine,
        forcing={"flux": 0.0, "surface_temperature": [-10.0, -1.0, 4.0]},
        initial={
            "theta": torch.from_numpy(random.choice([0.25, 0.4], (MEMBERS, 1))),
            "temperature": torch.full((MEMBERS, 1), 3.0),
        },
        times=[0.0, 1.0, 2.0, 4.0],
        atol=1e-7,
    )
    ice = sol.outputs["ice"]
    assert ice.min() > -1e-9
    assert (ice <= sol.states["theta"]).all()
