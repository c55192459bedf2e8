"""A smoothed record against dense least squares by hand, the size of model errors, the averaging kernel, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.assimilate import Problem, smooth_record
from pydiffgeo.errors import InputError

pytest.importorskip("scipy", reason="SciPy is not installed")

K, B = 0.3, 1.5
M = math.exp(-K)


def decay() -> dg.Model:
    return dg.Model(
        name="Decay",
        graph=dg.single_cell(),
        states=(dg.State("u", "m", "what decays", default=2.0, low=0.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", K),),
        forcings=(dg.ForcingVariable("b", "m d-1", "what comes"),),
        fluxes=(dg.IntegratedFlux("lost", "m", "what decayed", -1),),
        source=lambda cell, forcing: {"u": forcing.b - cell.k * cell.u, "lost": cell.k * cell.u},
    )


def problem(values: torch.Tensor, error: float = 0.4, model_error: float = 0.5, **changes) -> Problem:
    n = len(values)
    times = np.arange(n + 1.0)
    seen = dg.observe.Observation("u", "value", times[1:], values, error)
    given = {
        "uncertain": {"u": 1.0},
        "model_error": {"u": model_error},
        "settings": {"engine": "sundials", "rtol": 1e-9, "atol": 1e-9},
    }
    return Problem(decay(), times, {"b": np.full(n, B)}, [seen], **{**given, **changes})


def test_a_record_at_its_bound_is_that_of_bounded_least_squares() -> None:
    from scipy.optimize import lsq_linear

    n = 12
    values = torch.tensor([0.6, -0.9, 0.3, -0.7, -0.2, 0.9, 0.8, -1.1, -0.4, 0.5, -0.6, 0.2]).double()
    dry = replace(problem(values, error=0.3), forcing={"b": np.zeros(n)}, initial={"u": 0.1})
    found = smooth_record(dry, fit_errors=False)
    rows = [np.eye(n + 1)[0], *(np.eye(n + 1)[1:] / 0.3), *((np.eye(n + 1)[1:] - M * np.eye(n + 1)[:-1]) / 0.5)]
    right = np.concatenate([[0.1], values.numpy() / 0.3, np.zeros(n)])
    expected = lsq_linear(np.array(rows), right, bounds=(0.0, np.inf), tol=1e-12).x
    assert found.converged
    assert found.states["u"][:, 0].numpy() == pytest.approx(expected, abs=2e-4)
    # States that the bound holds are on it, some are and some are not, and nothing is uncertain about them.
    assert 2 <= found.held.sum() <= 9
    assert (found.states["u"].numpy()[found.held] == 0.0).all()
    assert (found.sd["u"].numpy()[found.held] == 0.0).all()
    assert (found.sd["u"].numpy()[~found.held] > 0.0).all()
    assert found.seen_through("u", torch.ones(n, 1).double()).shape == (n, 1)


def test_a_linear_record_is_that_of_dense_least_squares() -> None:
    values = torch.linspace(4.0, 5.0, 8).double()
    values[3] = torch.nan
    found = smooth_record(problem(values), fit_errors=False, draws=400)
    # By hand: background, then observations, then what the model says of each interval, each over its error.
    rows, right = [np.eye(9)[0] / 1.0], [2.0]
    for i, value in enumerate(values.tolist()):
        if not math.isnan(value):
            rows.append(np.eye(9)[i + 1] / 0.4)
            right.append(value / 0.4)
    for i in range(8):
        rows.append((np.eye(9)[i + 1] - M * np.eye(9)[i]) / 0.5)
        right.append(B * (1 - M) / K / 0.5)
    a = np.array(rows)
    expected = np.linalg.lstsq(a, np.array(right), rcond=None)[0]
    assert found.states["u"][:, 0].numpy() == pytest.approx(expected, rel=1e-6)
    sd = np.sqrt(np.linalg.inv(a.T @ a).diagonal())
    assert found.sd["u"][:, 0].numpy() == pytest.approx(sd, rel=0.15)
    assert found.defects["u"][:, 0].numpy() == pytest.approx(
        expected[1:] - M * expected[:-1] - B * (1 - M) / K, abs=1e-6
    )
    assert found.converged
    assert found.model_error == {"u": 0.5}


def test_the_size_of_model_errors_is_what_the_record_makes_likely() -> None:
    random, u, values = np.random.default_rng(1), 5.0, []
    for _ in range(400):
        u = M * u + B * (1 - M) / K + 0.5 * random.normal()
        values.append(u + 0.4 * random.normal())
    found = smooth_record(problem(torch.tensor(values), model_error=0.05), draws=2)
    assert found.model_error["u"] == pytest.approx(0.5, rel=0.2)
    # Observations are fitted to no less than their errors, and no closer than an optimal filter would.
    assert 0.2 < found.reduced_chi_squared < 1.0


@pytest.mark.parametrize("kind", ["value", "flux_sum"])
def test_defects_are_a_missing_tendency_seen_through_the_kernel(kind: str) -> None:
    days = np.arange(60)
    missing = 0.4 + 0.3 * np.sin(2 * np.pi * days / 15)
    times = np.arange(61.0)
    sol = dg.solve(decay(), forcing={"b": B + missing}, times=times, engine="sundials", rtol=1e-10, atol=1e-10)
    if kind == "value":
        seen = dg.observe.Observation("u", "value", times[1:], sol.states["u"][1:, 0].detach(), 0.2)
    else:
        windows = np.stack([times[:-1], times[1:]], 1)
        seen = dg.observe.Observation("lost", "flux_sum", windows, sol.fluxes["lost"].detach().reshape(-1), 0.05)
    record = smooth_record(
        replace(problem(torch.zeros(60).double()), observations=[seen], uncertain={"u": 1e-3}), fit_errors=False
    )
    expected = record.seen_through("u", torch.from_numpy(missing)[:, None])
    found = record.defects["u"] / record.interval
    # Fluxes over an interval see a missing tendency by the mean of its course, to second order.
    assert (found - expected).square().mean().sqrt() < 0.012
    # They resolve part of it only: a regression on what was missing itself would be biased.
    assert expected[10:50].abs().mean() < 0.97 * np.abs(missing[10:50]).mean()
    # Where observations have errors, they make a part of the defects that grows with them.
    assert 0 < record.noise("u", width=10) < 0.2 * record.noise("u")


def test_a_store_is_never_negative() -> None:
    values = torch.full((30,), 0.05).double() + 0.2 * torch.randn(30, generator=torch.Generator().manual_seed(3))
    found = smooth_record(problem(values, error=0.2, model_error=0.3))
    assert found.states["u"].min() >= 0
    # The free run is at five; what was seen is next to nothing.
    assert found.states["u"][5:].mean() < 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_error": {}}, "name a state in model_error"),
        ({"sought": {"k": (0.3, 0.1)}}, "no sought parameters"),
        ({"times": np.arange(9.0) ** 1.1}, "must be equal"),
        ({"observations": [dg.observe.Observation("u", "value", [1.5], [2.0], 0.1)]}, "u: a smoothed record has"),
        (
            {"observations": [dg.observe.Observation("lost", "flux_sum", [[0.0, 2.0]], [2.0], 0.1)]},
            "one of its intervals",
        ),
        ({"observations": [dg.observe.Observation("u", "value", [1.0], [math.nan], 0.1)]}, "are missing"),
        ({"observations": [dg.observe.Observation("u", "value", [1.0, 1.0], [2.0, 3.0], 0.1)]}, "two observations"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(changes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        smooth_record(replace(problem(torch.ones(8).double()), **changes))
