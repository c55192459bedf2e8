"""Weighted sums of losses: each term of its own observations, as squares where all are, and refused where it makes no sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site, Strategy, Term, calibrate
from pydiffgeo.calibration.loss_terms import Loss
from pydiffgeo.errors import InputError, UnknownNameError
from pydiffgeo.observe import Observation

TIMES = np.arange(5.0)
RAIN = torch.tensor([4.0, 0.0, 2.0, 0.0], dtype=torch.float64)
STORED = Observation("storage", "value", [1.0, 2.0, 3.0], [3.0, 2.0, 2.5], error=0.5)
FLOW = Observation("discharge", "flux_mean", np.stack([TIMES[:-1], TIMES[1:]], 1), [0.5, 1.0, 1.5, 1.0], error=0.1)


def cubed(simulated: torch.Tensor, observed: torch.Tensor, of: Observation) -> torch.Tensor:
    return ((simulated - observed).abs() ** 3).sum(-1)


def site(loss: Loss, **further: object) -> Site:
    return Site(
        name="one",
        model=dg.models.LinearReservoir(),
        times=TIMES,
        forcing={"rain": RAIN},
        observations=(STORED, FLOW),
        bounds={"k": (0.5, 10.0)},
        loss=loss,
        settings={"engine": "sundials", "rtol": 1e-9, "atol": 1e-9},
        **further,  # type: ignore[arg-type]
    )


X = np.array([[0.3], [-0.7]])


def test_a_sum_is_that_of_its_parts_by_their_weights() -> None:
    terms = (Term("mean_square", 2.0, ("storage",)), Term("nse", 0.5, ("discharge",)), Term(cubed, 0.25))
    values = site("mean_square").values(X)
    sol = site("mean_square").solve(values)
    s, q = STORED.simulated(sol), FLOW.simulated(sol)
    seen, flow = STORED.values, FLOW.values
    expected = 2.0 * (((s - seen) / 0.5) ** 2).mean(-1)
    expected = expected + 0.5 * ((q - flow) ** 2).sum(-1) / ((flow - flow.mean()) ** 2).sum()
    expected = expected + 0.25 * (((s - seen).abs() ** 3).sum(-1) + ((q - flow).abs() ** 3).sum(-1))
    np.testing.assert_allclose(site(terms).evaluate(X).loss, expected.numpy(), rtol=1e-10)


def test_squares_of_terms_are_those_of_gauss_and_newton() -> None:
    terms = (Term("mse", 3.0, ("storage",)), Term("nse", 0.5, ("discharge",)), Term("gaussian", 0.1))
    asked = site(terms)
    plain, normal = asked.evaluate(X), asked.evaluate(X, normal=True)
    np.testing.assert_allclose(normal.loss, plain.loss, rtol=1e-9)
    np.testing.assert_allclose(normal.gradient, plain.gradient, rtol=1e-5)
    found = calibrate([asked], Strategy("gauss_newton", candidates=4, starts=1, finalists=1), progress=False)
    fine = np.linspace(-3.0, 3.0, 601)[:, None]
    best = float(asked.values(fine[np.argmin(asked.evaluate(fine, gradient=False).loss)][None])["k"])
    assert found.values("one")["k"] == pytest.approx(best, rel=2e-2)


def test_priors_weigh_against_likelihoods_alone() -> None:
    prior = {"priors": {"k": Prior(2.0, 0.5)}}
    both = (Term("gaussian", of=("storage",)), Term("gaussian", of=("discharge",)))
    np.testing.assert_allclose(
        site(both, **prior).evaluate(X).loss, site("gaussian", **prior).evaluate(X).loss, rtol=1e-10
    )
    for terms in ((Term("nse"),), (Term("gaussian", 0.5),)):
        with pytest.raises(InputError, match="is no likelihood"):
            site(terms, **prior)


@pytest.mark.parametrize(
    ("loss", "kind", "said"),
    [
        ((Term("nse", of=("flow",)),), InputError, "nse of flow is of nothing that is observed"),
        ((Term("nsee"),), UnknownNameError, "'nsee' is unknown"),
        ((), InputError, "a tuple of `Term`"),
        (("nse", "kge"), InputError, "a tuple of `Term`"),
        ((Term("mse"),), InputError, "have several"),
    ],
)
def test_losses_that_make_no_sense_are_named(loss: Loss, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        site(loss)


def test_terms_that_make_no_sense_are_named() -> None:
    with pytest.raises(InputError, match="weight of a term"):
        Term("nse", 0.0)
    with pytest.raises(InputError, match="names of quantities, in a tuple"):
        Term("nse", 1.0, "flow")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a name or a function"):
        Term(3)  # type: ignore[arg-type]
    assert str(Term(cubed, 2.0, ("a", "b"))) == "2 cubed of a and b"
