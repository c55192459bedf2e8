"""Updates against Kalman's formulas with the ensemble's own covariances."""

from __future__ import annotations

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.assimilate.ensemble import relaxed
from pydiffgeo.errors import InputError, ShapeError


def made(members: int = 12):
    random = torch.Generator().manual_seed(1)
    ensemble = torch.randn(members, 5, generator=random, dtype=torch.float64) * torch.arange(1.0, 6.0)
    h = torch.randn(3, 5, generator=random, dtype=torch.float64)
    return ensemble, ensemble @ h.T, torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.5, 1.0, 2.0]).double(), h


def kalman(ensemble, h, observed, error):
    p = ensemble.T.cov()
    gain = p @ h.T @ torch.linalg.inv(h @ p @ h.T + torch.diag(error**2))
    mean = ensemble.mean(0)
    return mean + gain @ (observed - h @ mean), p - gain @ h @ p


def test_the_transform_filter_is_kalmans_of_its_own_covariance() -> None:
    ensemble, simulated, observed, error, h = made()
    found = dg.assimilate.transform_update(ensemble, simulated, observed, error)
    mean, covariance = kalman(ensemble, h, observed, error)
    torch.testing.assert_close(found.mean(0), mean)
    torch.testing.assert_close(found.T.cov(), covariance)
    # Weights of one are no localisation.
    ones = torch.ones(5, 3, dtype=torch.float64)
    local = dg.assimilate.transform_update(ensemble, simulated, observed, error, weights=ones)
    torch.testing.assert_close(local, found)


def test_the_stochastic_filter_tends_to_it_with_many_members() -> None:
    ensemble, simulated, observed, error, h = made(20_000)
    found = dg.assimilate.stochastic_update(
        ensemble, simulated, observed, error, random=torch.Generator().manual_seed(2)
    )
    mean, covariance = kalman(ensemble, h, observed, error)
    torch.testing.assert_close(found.mean(0), mean, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.T.cov(), covariance, atol=0.02 * float(covariance.max()), rtol=0)


@pytest.mark.parametrize("update", [dg.assimilate.stochastic_update, dg.assimilate.transform_update])
def test_what_is_far_from_all_observations_stays(update) -> None:
    ensemble, simulated, observed, error, _ = made()
    weights = torch.ones(5, 3, dtype=torch.float64)
    weights[2] = 0.0
    found = update(ensemble, simulated, observed, error, weights=weights)
    torch.testing.assert_close(found[:, 2], ensemble[:, 2])
    assert not torch.allclose(found[:, 1], ensemble[:, 1])


def test_gaspari_and_cohn() -> None:
    """One at no distance, 5/24 at the radius (by hand), nothing beyond twice of it, and smooth between."""
    found = dg.assimilate.gaspari_cohn(torch.tensor([0.0, 2.0, 4.0, 9.0]), 2.0)
    torch.testing.assert_close(found, torch.tensor([1.0, 5 / 24, 0.0, 0.0]).double(), atol=1e-14, rtol=0)
    fine = dg.assimilate.gaspari_cohn(torch.linspace(0, 5, 5001), 2.0)
    assert (fine.diff() <= 1e-12).all()
    assert fine.diff().diff().abs().max() < 1e-5


def test_relaxation_gives_back_a_share_of_the_spread() -> None:
    before = made()[0]
    after = before.mean(0) + 1.0 + 0.4 * (before - before.mean(0))
    found = relaxed(after, before, 0.5)
    torch.testing.assert_close(found.mean(0), after.mean(0))
    torch.testing.assert_close(found.std(0), 0.7 * before.std(0))


def test_what_does_not_fit_is_refused() -> None:
    ensemble, simulated, observed, error, _ = made()
    with pytest.raises(ShapeError, match="an update needs an ensemble"):
        dg.assimilate.transform_update(ensemble, simulated[:-1], observed, error)
    with pytest.raises(ShapeError, match="each observation has an error"):
        dg.assimilate.stochastic_update(ensemble, simulated, observed, error[:-1])
    for choice in ({"members": 2}, {"update": "ensrf"}, {"inflation": 0.9}, {"relaxation": 2}, {"localisation": 0}):
        with pytest.raises(InputError, match=next(iter(choice))):
            dg.assimilate.Ensemble(**choice)
    with pytest.raises(InputError, match="tolerance"):
        dg.assimilate.Variational(tolerance=0.0)
