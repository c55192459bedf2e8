"""Rates taken out of a model are found from its own one-interval forecasts, put back, and refined through the solver."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, UnknownNameError

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def recession(cell, forcing):
    return {"storage": forcing.rain - 0.04 * cell.storage - 4e-4 * cell.storage**2}


def linear(cell, forcing):
    return {"storage": forcing.rain - 0.04 * cell.storage}


MODEL = dg.Model(
    name="Store",
    graph=dg.single_cell(),
    states=(dg.State("storage", "mm", "water", default=50.0, low=0.0),),
    forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", low=0.0),),
    source=recession,
)
CANDIDATES = (
    dg.discover.Candidate("S", lambda cell, forcing: cell.storage, "mm"),
    dg.discover.Candidate("S^2", lambda cell, forcing: cell.storage**2, "mm2"),
    dg.discover.Candidate("S^3", lambda cell, forcing: cell.storage**3, "mm3"),
    dg.discover.Candidate("P", lambda cell, forcing: forcing.rain, "mm d-1"),
    dg.discover.Candidate("P S", lambda cell, forcing: forcing.rain * cell.storage, "mm2 d-1"),
)


@pytest.fixture(scope="module")
def record() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    times = torch.arange(161, dtype=torch.float64)
    wet = torch.rand(160, generator=random, dtype=torch.float64) < 0.3
    rain = torch.where(wet, -12 * torch.rand(160, generator=random, dtype=torch.float64).log(), 0.0)
    sol = dg.solve(MODEL, forcing={"rain": rain}, times=times, rtol=1e-10, engine="sundials")
    return times, rain, sol.states["storage"].reshape(-1, 1).detach()


def test_a_missing_recession_is_found_put_back_and_refined(record) -> None:
    times, rain, storage = record
    lacking = replace(MODEL, name="Linear", source=linear)
    each = dg.discover.model_increments(
        lacking, {}, {"storage": storage}, times, forcing={"rain": rain}, engine="sundials"
    )
    library = dg.discover.library(CANDIDATES, each, {"rain": rain}, {})
    seen = dg.discover.discover(library, each["storage"], unit="mm d-1", resamples=10)
    assert seen.verdict == "found"
    assert seen.terms == pytest.approx({"S^2": -4e-4}, rel=0.02)
    assert seen.units == {"S^2": "mm-1 d-1"}
    mended = dg.discover.with_terms(lacking, "storage", seen, CANDIDATES)
    assert [(p.name, p.unit) for p in mended.parameters] == [("c_1", "mm-1 d-1")]

    def misfit(model, **values) -> torch.Tensor:
        sol = dg.solve(model, values, forcing={"rain": rain}, times=times, rtol=1e-8, engine="sundials")
        return (sol.states["storage"].reshape(-1, 1) - storage).square().mean()

    before, after = float(misfit(lacking)), float(misfit(mended).detach())
    assert after < 1e-3 * before
    # One step of Newton along the coefficient, through the solver.
    value = torch.tensor(mended.parameters[0].default, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(misfit(mended, c_1=value), value)
    (beside,) = torch.autograd.grad(misfit(mended, c_1=(nudged := value.detach() * 1.01).requires_grad_()), nudged)
    refined = value.detach() - slope * 0.01 * value.detach() / (beside - slope)
    assert float(refined) == pytest.approx(-4e-4, rel=1e-3)


def test_what_is_put_back_is_part_of_the_balance() -> None:
    drains = replace(
        MODEL,
        fluxes=(dg.IntegratedFlux("rainfall", "mm", "rain", +1), dg.IntegratedFlux("outflow", "mm", "outflow", -1)),
        source=lambda cell, forcing: {
            "storage": forcing.rain - 0.04 * cell.storage,
            "rainfall": forcing.rain,
            "outflow": 0.04 * cell.storage,
        },
    )
    terms = {"S^2": -4e-4}
    found = dg.discover.Discovery(terms, terms, terms, 1.0, terms, 1.0, (), 1.0, 0.0, 1.0, "none", "found", "by hand")
    mended = dg.discover.with_terms(drains, "storage", found, CANDIDATES)
    sol = dg.solve(mended, forcing={"rain": [3.0, 0.0, 8.0]}, times=range(4), rtol=1e-9, engine="sundials")
    assert float(sol.balance) < 1e-10
    assert sol.fluxes["added_1"].sum() < -1.0


def test_products_of_candidates_are_candidates() -> None:
    S, rain = CANDIDATES[0], dg.discover.Candidate("P", lambda cell, forcing: forcing.rain, "mm d-1")
    made = rain * S**2
    assert (made.name, made.unit) == ("P S^2", "mm3 d-1")
    states, driven = {"storage": torch.tensor([[3.0], [4.0]])}, {"rain": torch.tensor([[2.0], [0.5]])}
    assert made.on(states, driven, {}).values[:, 0].tolist() == [18.0, 8.0]
    with pytest.raises(UnknownNameError, match="P S reads what is not given"):
        (rain * S).on(states, {}, {})


def test_a_model_that_lacks_nothing_is_left_alone(record) -> None:
    times, rain, storage = record
    each = dg.discover.model_increments(
        MODEL, {}, {"storage": storage}, times, forcing={"rain": rain}, engine="sundials"
    )
    seen = dg.discover.discover(dg.discover.library(CANDIDATES, each, {"rain": rain}, {}), each["storage"], resamples=2)
    assert seen.verdict == "no error found"
    with pytest.raises(InputError, match="nothing was found"):
        dg.discover.with_terms(MODEL, "storage", seen, CANDIDATES)


def test_gaps_are_left_out_and_unequal_intervals_refused(record) -> None:
    times, rain, storage = record
    gappy = storage.clone()
    gappy[5] = torch.nan
    each = dg.discover.model_increments(MODEL, {}, {"storage": gappy}, times, forcing={"rain": rain}, engine="sundials")
    assert each["storage"].values.shape == (158, 1)
    with pytest.raises(InputError, match="equal intervals"):
        dg.discover.model_increments(MODEL, {}, {"storage": storage}, times**1.1, forcing={"rain": rain})
    with pytest.raises(UnknownNameError, match="the candidate lake reads what is not given"):
        dg.discover.Candidate("lake", lambda cell, forcing: cell.lake).on({"storage": storage}, {}, {})
