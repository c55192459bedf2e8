"""Exact solutions and published problems, in small form, on every engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES

import pydiffgeo as dg


def diffusion(n: int) -> dg.Model:
    """2-D diffusion on the unit square with no flow across its edge."""
    return dg.Model(
        name="Diffusion",
        graph=dg.raster((n, n), (1 / n, 1 / n)),
        states=(dg.State("c", "1", "concentration"),),
        parameters=(dg.Parameter("D", "m2 d-1", "diffusivity", 1.0, 0.0, open_low=True),),
        flux=lambda left, right, face: {"c": 0.5 * (left.D + right.D) * (left.c - right.c) / face.distance},
    )


def test_diffusion_on_a_raster_converges_in_second_order(engine: str) -> None:
    # c = 1 + cos(pi x) cos(2 pi y) exp(-5 pi^2 D t) solves it exactly.
    errors = []
    for n in (8, 16):
        model = diffusion(n)
        x, y = (torch.from_numpy(model.graph.coordinates[k].copy()) for k in "xy")
        mode = torch.cos(math.pi * x) * torch.cos(2 * math.pi * y)
        sol = dg.solve(model, times=[0.0, 0.02], initial={"c": 1 + mode}, engine=engine, rtol=1e-9, atol=1e-11)
        exact = 1 + mode * math.exp(-5 * math.pi**2 * 0.02)
        errors.append((sol.states["c"][-1] - exact).abs().max().item())
        assert sol.balance < 1e-13
    assert errors[1] < 5e-3
    assert 3.5 < errors[0] / errors[1] < 4.5, errors


def cascade(n: int) -> dg.Model:
    """n linear reservoirs in a row (Nash 1957)."""
    return dg.Model(
        name="Cascade",
        graph=dg.network(n, [(i, i + 1) for i in range(n - 1)]),
        states=(dg.State("storage", "mm", "water in the reservoir", default=0.0),),
        parameters=(dg.Parameter("k", "d", "residence time", 2.0, 0.0, open_low=True),),
        fluxes=(dg.IntegratedFlux("discharge", "mm", "flow out of the last reservoir", -1),),
        flux=lambda left, right, face: {"storage": left.storage / left.k},
        boundaries=(
            dg.Boundary(
                "outlet",
                (n - 1,),
                lambda cell, forcing, face: {"storage": -cell.storage / cell.k, "discharge": cell.storage / cell.k},
            ),
        ),
    )


def test_cascade_of_reservoirs_gives_the_gamma_function(engine: str) -> None:
    n, k = 4, 2.0
    times = np.linspace(0, 20, 11)
    unit = torch.zeros(n, dtype=torch.float64)
    unit[0] = 1.0
    sol = dg.solve(cascade(n), {"k": k}, times=times, initial={"storage": unit}, engine=engine, rtol=1e-10, atol=1e-12)
    # The share that has left by time t is the gamma distribution of shape n and scale k.
    left = torch.special.gammainc(torch.tensor(float(n), dtype=torch.float64), torch.from_numpy(times / k))
    assert torch.allclose(sol.fluxes["discharge"].cumsum(0), left[1:], atol=1e-8)
    assert sol.balance < 1e-14


def test_robertson_of_the_ivp_test_set(engine: str) -> None:
    # Three components of one cell; t = 1e11 from Mazzia and Magherini 2008, test set for IVP solvers.
    def source(cell, forcing):
        a, b, c = cell.k1 * cell.y1, cell.k2 * cell.y2 * cell.y2, cell.k3 * cell.y2 * cell.y3
        return {"y1": -a + c, "y2": a - b - c, "y3": b}

    model = dg.Model(
        name="Robertson",
        graph=dg.single_cell(),
        states=tuple(dg.State(f"y{i}", "1", "concentration", default=float(i == 1)) for i in (1, 2, 3)),
        parameters=tuple(
            dg.Parameter(f"k{i}", "1", "rate", v) for i, v in zip((1, 2, 3), (0.04, 3e7, 1e4), strict=True)
        ),
        source=source,
    )
    end = dg.solve(model, times=[0.0, 1e11], engine=engine, rtol=1e-9, atol=1e-14)
    expected = {"y1": 2.083340149701255e-8, "y2": 8.333360770334713e-14, "y3": 0.999999979166505}
    for name, value in expected.items():
        assert end.states[name][-1, 0].item() == pytest.approx(value, rel=1e-4 if name != "y3" else 1e-9)

    k = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.04, 3e7, 1e4)]
    sol = dg.solve(
        model,
        dict(zip(("k1", "k2", "k3"), k, strict=True)),
        times=[0.0, 1.0, 10.0, 100.0],
        engine=engine,
        rtol=1e-10,
        atol=1e-13,
    )
    (1e4 * sol.states["y2"][1:] + sol.states["y3"][1:]).sum().backward()
    # Forward mode at 1e-10, computed independently.
    for found, value in zip(k, (13.2022927, -2.97030761e-9, -3.53144421e-5), strict=True):
        assert found.grad.item() == pytest.approx(value, rel=1e-6)


def test_celia_1990_infiltration(engine: str) -> None:
    # Celia, Bouloutas and Zarba 1990, problem 1; heads computed independently with 320 cells.
    cm, s = 0.01, 1 / 86400.0
    cells = 160
    model = dg.models.RichardsColumn(0.4, cells, top="head", bottom="head", closure="haverkamp")
    parameters = {
        "theta_s": 0.287, "theta_r": 0.075, "A_theta": 1.611e6 * cm**3.96, "B_theta": 3.96,
        "A_K": 1.175e6 * cm**4.74, "B_K": 4.74, "K_s": 0.00944 * cm / s, "S_s": 1e-8,
    }  # fmt: skip
    sol = dg.solve(
        model, parameters, forcing={"head": -0.207, "bottom_head": -0.615}, times=[0.0, 360 * s],
        initial={"head": -0.615}, engine=engine, rtol=1e-7, atol=1e-9,
    )  # fmt: skip
    depth = model.graph.coordinates["depth"]
    head = np.interp([0.05, 0.10, 0.125, 0.15, 0.20], depth, sol.outputs["head"][-1].numpy()) / cm
    # The front is half a cell of 2.5 mm wide at most off the finer solution: 1 cm of head at its steepest.
    np.testing.assert_allclose(head, [-21.94, -25.07, -28.76, -37.09, -60.78], atol=0.6)
    gain = (sol.storage[-1] - sol.storage[0]).item() / cm
    assert gain == pytest.approx(2.369, abs=0.01)
    assert sol.fluxes["drainage"].item() / cm == pytest.approx(0.01319, abs=1e-4)
    assert sol.balance < 1e-12


def test_srivastava_yeh_1991_transient_infiltration(engine: str) -> None:
    # Exact series of Srivastava and Yeh 1991, eqs 13-18, for Gardner's closures; cm and h.
    cells = 200
    model = dg.models.RichardsColumn(100.0, cells, closure="gardner", bottom="head")
    parameters = {"theta_r": 0.06, "theta_s": 0.4, "alpha": 0.1, "K_s": 1.0, "S_s": 1e-8}
    height = 100.0 - model.graph.coordinates["depth"]
    steady = np.log(np.exp(-0.1 * height) * (1 - 0.1) + 0.1) / 0.1  # q0 = 0.1 cm/h
    sol = dg.solve(
        model, parameters, forcing={"flux": torch.full((3,), 0.9), "bottom_head": 0.0}, times=[0.0, 5.0, 10.0, 20.0],
        initial={"head": torch.from_numpy(steady)}, engine=engine, rtol=1e-8, atol=1e-10,
    )  # fmt: skip
    found = np.array([np.interp([20, 40, 60, 80, 90], height[::-1], h[::-1]) for h in sol.outputs["head"][1:].numpy()])
    expected = [
        [-15.059, -21.335, -19.544, -10.301, -6.000],
        [-14.580, -16.920, -10.770, -4.973, -3.106],
        [-8.705, -7.048, -4.019, -2.130, -1.604],
    ]
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("soil", ["sand", "loam", "clay loam"])
def test_miller_1998_ponded_infiltration_runs_and_balances(soil: str, engine: str) -> None:
    # Miller, Williams, Kelley and Tocci 1998, table 1 (m, d): ponded infiltration into three soils.
    theta_r, theta_s, alpha, n, k_s, depth, end = {
        "sand": (0.093, 0.301, 5.47, 4.264, 5.04, 10.0, 0.18),
        "loam": (0.078, 0.430, 3.6, 1.56, 0.2496, 5.0, 2.25),
        "clay loam": (0.095, 0.410, 1.9, 1.31, 0.062, 2.0, 1.0),
    }[soil]
    cells = 100
    model = dg.models.RichardsColumn(depth, cells, top="head", bottom="head")
    hydrostatic = torch.from_numpy(model.graph.coordinates["depth"] - depth)
    parameters = {"theta_r": theta_r, "theta_s": theta_s, "alpha": alpha, "n": n, "K_s": k_s, "S_s": 1e-6}
    sol = dg.solve(
        model, parameters, forcing={"head": 0.1, "bottom_head": 0.0}, times=[0.0, end / 2, end],
        initial={"head": hydrostatic}, engine=engine, rtol=1e-8, atol=1e-10,
    )  # fmt: skip
    infiltration = sol.fluxes["infiltration"].sum()
    assert sol.balance < 1e-8 * infiltration
    # Water enters faster than K_s while the front is near, and the soil behind the front is saturated.
    assert infiltration > k_s * end
    assert sol.outputs["head"][-1, 0] > 0
    assert sol.states["theta"][-1, 0].item() == pytest.approx(theta_s, abs=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_every_case_closes_its_balance(name: str, engine: str) -> None:
    case = CASES[name]
    sol = case.solve(case.tensors(), case.model(), engine=engine)
    signed = [f.name for f in case.model().fluxes if f.balance]
    throughput = sum(sol.fluxes[k].abs().sum().item() for k in signed)
    # Integrated fluxes are states of the solve: the balance closes to round-off of what is stored.
    assert sol.balance.item() < 1e-8 * throughput
    assert sol.balance.item() < 1e-13 * (throughput + sol.storage.abs().max().item())
