"""Breakthrough of solutes against exact solutions: kinds of inlets, sorption, decay, chains."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import ModelError

TIGHT = {"rtol": 1e-8, "atol": 1e-11}


def profile(engine: str, cells: int, depth: float, values: dict[str, Any], times: list[float], **choices: Any) -> Any:
    """A function of depth and time that tells concentrations, straight between middles of cells."""
    model = dg.models.SoluteColumn(depth, cells, "exponential", **choices)
    ends = [f"_{s}" for s in choices.get("species", ())] or [""]
    sol = dg.solve(
        model, values, forcing={f"inlet{ends[0]}": [1.0] * len(times)}, times=[0.0, *times], engine=engine, **TIGHT
    )
    z = model.graph.coordinates["depth"]
    assert sol.balance.abs() < 1e-9 * sol.fluxes["inflow"].sum()

    def at(x: float, t: float, end: str = ends[0]) -> float:
        c = sol.outputs[f"concentration{end}"][1 + times.index(t)].numpy()
        # A parabola through three cells: errors of the grid are to be seen, not those of a straight line.
        k = int(np.clip(np.searchsorted(z, x) - 1, 0, len(z) - 3))
        return float(np.polyval(np.polyfit(z[k : k + 3] - x, c[k : k + 3], 2), 0.0))

    return at


def extrapolated(engine: str, cells: int, *arguments: Any, **choices: Any) -> Any:
    """The same from two grids, as errors are of second order."""
    coarse, fine = (profile(engine, n, *arguments, **choices) for n in (cells, 2 * cells))
    return lambda *at: (4 * fine(*at) - coarse(*at)) / 3


# v = D = 0.5: concentration, first and third kind, on a half space.
HALF_SPACE = {
    ("none", 1.0): [
        ((1, 2), 0.7137917881, 0.4228142193),
        ((5, 10), 0.6161631472, 0.4837716419),
        ((10, 20), 0.5852888592, 0.4930580737),
    ],
    ("linear", 2.0): [((5, 10), 0.1908617552, 0.1070357597)],
}


@pytest.mark.parametrize(("sorption", "retardation"), HALF_SPACE)
@pytest.mark.parametrize("inlet", ["concentration", "flux"])
def test_inlets_of_both_kinds(inlet: Any, sorption: Any, retardation: float, engine: str) -> None:
    points = HALF_SPACE[sorption, retardation]
    values = {"velocity": 0.5, "dispersion": 0.5}
    if sorption == "linear":
        values |= {"water_content": 0.4, "bulk_density": 1.6, "K_d": (retardation - 1) * 0.4 / 1.6}
    at = extrapolated(
        engine, 75, 30.0, values, sorted({float(t) for (_, t), *_ in points}), inlet=inlet, sorption=sorption
    )
    for (x, t), first, third in points:
        assert at(x, float(t)) == pytest.approx(first if inlet == "concentration" else third, abs=2e-4)


def one_species(shared_data: Path) -> dict[tuple[float, ...], list[dict[str, float]]]:
    path = shared_data / "models" / "transport" / "one_species.csv"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    cases = defaultdict(list)
    for row in csv.DictReader(path.open()):
        numbers = {k: float(v) for k, v in row.items() if v}
        cases[tuple(numbers[k] for k in ("v", "D", "R", "lambda"))].append(numbers)
    return cases


@pytest.mark.parametrize("inlet", ["concentration", "flux"])
@pytest.mark.parametrize("case", [(0.5, 0.5, 2.0, 0.1), (0.5, 0.05, 1.0, 0.0)])
def test_the_table_of_finite_columns(case: tuple[float, ...], inlet: Any, engine: str, shared_data: Path) -> None:
    v, D, R, decay = case
    rows = one_species(shared_data)[case]
    values = {
        "velocity": v,
        "dispersion": D,
        "water_content": 0.4,
        "bulk_density": 1.6,
        "K_d": (R - 1) / 4,
        "decay": decay,
    }
    times = sorted({row["t"] for row in rows})
    errors = []
    for cells in (100, 200):
        at = profile(engine, cells, 10.0, values, times, inlet=inlet, sorption="linear", decay="dissolved")
        key = f"{'first' if inlet == 'concentration' else 'third'}_type_finite_L10"
        # Decay acts on what is dissolved; at the outlet itself the last cell tells only its middle.
        errors.append(max(abs(at(row["x"], row["t"]) - row[key]) for row in rows if key in row and row["x"] < 10))
    assert errors[1] < (4e-3 if D < 0.1 else 2e-4)
    assert errors[0] / errors[1] > 3  # second order


CHAINS = {
    (0.4, 0.2, (5.3, 1.9, 1.2), (0.05, 0.02, 0.01)): [
        ((1, 10), (0.4196258244, 0.2126866405, 0.01182668263)),
        ((2, 20), (0.2450951672, 0.3891524511, 0.04907859783)),
        ((5, 40), (0.03465318782, 0.4711722232, 0.1862306585)),
        ((10, 60), (4.736022972e-4, 0.28156065, 0.322789634)),
    ],
    (1.0, 0.18, (2.0, 1.0, 1.0), (0.005, 0.1, 0.0)): [
        ((10, 50), (0.9049995959, 0.05896341346, 0.03603686493)),
    ],
}


@pytest.mark.parametrize("case", CHAINS, ids=["three", "nitrogen"])
def test_chains(case: Any, engine: str) -> None:
    v, D, retardations, decays = case
    values = {"velocity": v, "dispersion": D, "water_content": 0.4, "bulk_density": 1.6}
    for name, R, decay in zip("abc", retardations, decays, strict=True):
        values |= {f"K_d_{name}": (R - 1) / 4, f"decay_{name}": decay}
    times = [float(t) for (_, t), _ in CHAINS[case]]
    at = extrapolated(engine, 50, 15.0, values, times, sorption="linear", decay="total", species=("a", "b", "c"))
    for (x, t), expected in CHAINS[case]:
        found = [at(x, float(t), f"_{name}") for name in "abc"]
        assert found == pytest.approx(expected, abs=1e-3)


def test_a_batch_that_decays(engine: str) -> None:
    # Bateman 1910: N0 = 100, k = 0.3, 0.1, 0.05.
    model = dg.models.SoluteColumn(1.0, 2, decay="total", species=("a", "b", "c"))
    values = {"velocity": 0.0, "decay_a": 0.3, "decay_b": 0.1, "decay_c": 0.05, "dispersion": 1e-12}
    sol = dg.solve(
        model,
        values,
        forcing={"inlet_a": [0.0, 0.0]},
        initial={"c_a": 100.0},
        times=[0.0, 1.0, 10.0],
        engine=engine,
        **TIGHT,
    )
    for k, expected in enumerate([(74.08182207, 24.6028796, 1.29292971), (4.978706837, 47.71385592, 38.19075008)]):
        assert [sol.states[f"c_{s}"][1 + k, 1].item() for s in "abc"] == pytest.approx(expected, rel=1e-7)
    assert sol.balance.abs() < 1e-9


@pytest.mark.parametrize("sorption", ["langmuir", "freundlich"])
def test_fronts_that_sharpen_travel_at_the_speed_of_what_they_fill(sorption: Any, engine: str) -> None:
    theta, rho, c = 0.4, 1.6, 1.0
    constants = {"langmuir": {"K_L": 2.0, "S_max": 0.6}, "freundlich": {"K_F": 0.4, "exponent": 0.7}}[sorption]
    sorbed = 0.6 * 2 / 3 if sorption == "langmuir" else 0.4
    speed = 1.0 / (1 + rho / theta * sorbed / c)  # of a wave that keeps its shape: velocity by retardation
    model = dg.models.SoluteColumn(8.0, 80, "exponential", inlet="flux", sorption=sorption)
    times = np.linspace(0, 16, 65)
    sol = dg.solve(
        model,
        {"velocity": 1.0, "dispersion": 0.1, "water_content": theta, "bulk_density": rho, **constants},
        forcing={"inlet": [1.0] * 64},
        times=times,
        engine=engine,
        rtol=1e-6,
        atol=1e-9,
    )
    c = sol.outputs["concentration"].numpy()
    assert c.min() >= -1e-9
    assert c.max() <= 1 + 1e-6
    arrival = [np.interp(0.5, c[:, k], times) for k in (29, 49)]
    assert 2.0 / (arrival[1] - arrival[0]) == pytest.approx(speed, rel=1e-2)
    assert sol.balance.abs() < 1e-9
    # What has come in is all there, dissolved and sorbed.
    assert (sol.states["total"][20] * 0.1).sum().item() == pytest.approx(5.0, rel=1e-6)


def test_upwind_fluxes_smear_and_fitted_ones_do_not(engine: str) -> None:
    error = {}
    for scheme in ("upwind", "exponential"):
        model = dg.models.SoluteColumn(20.0, 100, scheme)
        sol = dg.solve(
            model,
            {"velocity": 0.5, "dispersion": 0.5},
            forcing={"inlet": [1.0]},
            times=[0.0, 10.0],
            engine=engine,
            **TIGHT,
        )
        error[scheme] = abs(np.interp(5.0, model.graph.coordinates["depth"], sol.states["c"][-1]) - 0.6161631472)
    assert error["exponential"] < 0.3 * error["upwind"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"scheme": "quick"}, "scheme='quick'"),
        ({"inlet": "third"}, "inlet='third'"),
        ({"sorption": "bet"}, "sorption='bet'"),
        ({"decay": "first"}, "decay='first'"),
        ({"species": ("a", "b")}, "members of a chain decay"),
        ({"species": "ab"}, "species must be a tuple"),
    ],
)
def test_wrong_choices_are_named(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        dg.models.SoluteColumn(1.0, 10, **choices)
