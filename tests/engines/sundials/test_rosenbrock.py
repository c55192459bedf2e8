"""The order of Rodas5P, embedded and in Julia, on a problem whose rates depend on time.

The store `y' = -k (y - u(t))` under the forcing `u = a + b t` has the solution
`y = a - b/k + b t + (y_0 - a + b/k) exp(-k t)`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import casadi as ca
import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.base import Status
from pydiffgeo.engines.batch import Failure
from pydiffgeo.engines.sundials import cvodes, method, rosenbrock
from pydiffgeo.engines.sundials.rosenbrock import GAMMA, Rosenbrock

ORDER = 5
A, B, K, START, LENGTH = 0.4, 3.0, 2.5, 1.7, 1.0


def exact(t: float) -> float:
    return A - B / K + B * t + (START - A + B / K) * math.exp(-K * t)


def order(steps: list[int], errors: list[float]) -> float:
    """How fast errors fall with the number of steps."""
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0])


def linear() -> Rosenbrock:
    x, p, t = ca.SX.sym("x"), ca.SX.sym("p"), ca.SX.sym("t")
    return Rosenbrock(
        {"x": x, "p": p, "t": t, "ode": -p * (x - A - B * t), "steepness": ca.SX.zeros(1)}, 1e-6, 1e-8, 100
    )


def oscillating() -> Rosenbrock:
    """`y' = y^2 cos(t)` from 1/2, with the solution `1 / (2 - sin t)`: not linear, in time neither."""
    x, p, t = ca.SX.sym("x"), ca.SX.sym("p"), ca.SX.sym("t")
    return Rosenbrock({"x": x, "p": p, "t": t, "ode": x**2 * ca.cos(t), "steepness": ca.SX.zeros(1)}, 1e-6, 1e-8, 100)


@pytest.mark.parametrize(
    ("method", "start", "end"),
    [(linear(), START, exact(LENGTH)), (oscillating(), 0.5, 1 / (2 - math.sin(LENGTH)))],
    ids=["linear", "oscillating"],
)
def test_steps_of_one_size_converge_with_the_order(method: Rosenbrock, start: float, end: float) -> None:
    errors, counts = [], [12, 16, 24, 32, 48]
    for count in counts:
        x, h = np.array([start]), LENGTH / count
        for k in range(count):
            x = np.array(method._step(x, [K], k * h, h)[0]).ravel()
        errors.append(abs(float(x[0]) - end))
    assert order(counts, errors) > ORDER - 0.3


def test_times_of_stages_follow_from_their_weights() -> None:
    """Hairer and Wanner, Solving ODEs II, IV.7: `c_i` are the row sums of `alpha`, `d_i` those of `gamma_ij`.

    With these, a problem that depends on time is solved as the one in which time is a state more.
    """
    size = len(rosenbrock.TIMES)
    a, c = np.zeros((size, size)), np.zeros((size, size))
    for i in range(size):
        a[i, :i], c[i, :i] = rosenbrock.A[i], rosenbrock.C[i]
    gamma = np.linalg.inv(np.eye(size) / GAMMA - c)
    np.testing.assert_allclose((a @ gamma).sum(1), rosenbrock.TIMES, atol=1e-12)
    np.testing.assert_allclose(gamma.sum(1), rosenbrock.D, atol=1e-12)


@pytest.fixture
def rodas5p(engine: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings with which an engine solves by Rodas5P."""
    if engine == "julia":
        return {"engine": engine, "solver": "Rodas5P"}

    def give_up(self: Any, *inputs: Any) -> None:
        raise Failure(Status.ERROR_TEST, "(CVODES: CV_ERR_FAILURE)")

    monkeypatch.setattr(cvodes.Call, "__call__", give_up)
    # As tight as asked for, without the reserve of a fallback.
    monkeypatch.setattr(method, "CVODES", replace(method.CVODES, share=1.0))
    return {"engine": engine, "sensitivity": "adjoint"}


def test_a_forcing_that_is_linear_in_time_costs_no_accuracy(
    rodas5p: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dg.Model(
        name="Ramp",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y"),),
        parameters=(dg.Parameter("k", "1", "k"),),
        forcings=(dg.ForcingVariable("u", "1", "u"),),
        source=lambda cell, forcing: {"y": -cell.k * (cell.y - forcing.u)},
    )
    taken: list[int] = []
    march = Rosenbrock._march

    def counted(self: Any, *inputs: Any) -> Any:
        found = march(self, *inputs)
        taken.append(len(found[0]))
        return found

    monkeypatch.setattr(Rosenbrock, "_march", counted)
    counts, errors = [], []
    for rtol in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
        k = torch.tensor(K, dtype=torch.float64)
        ramp = dg.TimeSeries([0.0, 4.0], [A, A + 4 * B], "linear")
        solution = dg.solve(
            model,
            {"k": k},
            initial={"y": START},
            forcing={"u": ramp},
            times=[0.0, 4.0],
            rtol=rtol,
            atol=rtol,
            **rodas5p,
        )
        steps = solution.stats["steps"]
        counts.append(taken[-1] if steps is None else steps[0])
        errors.append(abs(solution.states["y"][-1].item() - exact(4.0)))
        assert errors[-1] < 100 * rtol
    # Of the fifth order, a tenth of the tolerance takes 10^(1/5) = 1.6 times the steps; of the first, ten times.
    growth = (counts[-1] / counts[0]) ** 0.25
    assert 1.2 < growth < 1.9, counts
