"""Quadratic surrogates of the loss of a site."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import SETTINGS, TRAINING, efficiency, held_out, network

import pydiffgeo as dg
from pydiffgeo.errors import InputError
from pydiffgeo.nn.quadratic_surrogate import quadratic_surrogate


def test_training_on_quadratic_surrogates_needs_fewer_solves(sites):
    kept, apart = held_out(sites)
    net = network(seed=0)
    before = efficiency(net.normalise(kept.attributes), apart)
    training = replace(TRAINING, steps=12, inner_steps=60, learning_rate=0.02)
    seen = dg.nn.train(net, kept, training)
    assert seen.solves == 72
    assert len(seen.loss) == 12
    assert (1 - efficiency(net, apart)).mean() < 0.5 * (1 - before).mean()


@pytest.mark.parametrize("measure", ["scaled", "log"])
def test_quadratic_surrogates_touch_the_loss(sites, measure):
    net, part = network().normalise(sites.attributes), sites.days(slice(0, 60))
    spread = sites.observed.sub(sites.observed.nanmean(1, keepdim=True)).pow(2).nanmean(1).sqrt()
    # One site was not observed in these days.
    part = replace(part, observed=part.observed.clone())
    part.observed[4] = torch.nan
    noise = torch.from_numpy(np.random.default_rng(3).normal(size=(9, 2)))
    training = dg.nn.Training(warmup=20, measure=measure, damping=0.3, settings=SETTINGS)
    found = quadratic_surrogate(net, part, spread, training, noise=noise)
    assert torch.equal(found.at, net.variables(part.attributes, noise=noise).detach())
    assert not torch.equal(found.at, net.variables(part.attributes).detach())
    assert found.usable.tolist() == [i != 4 for i in range(9)]

    def loss(variables):
        solution = net.solve(net.values(variables), part.forcing, np.arange(61.0), **SETTINGS)
        error = dg.nn.scaled_error(solution.fluxes["runoff"][:, 20:], part.observed[:, 20:], spread)[found.usable]
        return error.mean() if measure == "scaled" else torch.log(error + 0.02).mean()

    def both(function):
        x = found.at.clone().requires_grad_()
        value = function(x)
        value.backward()
        return value.item(), x.grad

    (a, slope_a), (b, slope_b) = both(loss), both(found)
    assert a == pytest.approx(b, rel=1e-6)
    torch.testing.assert_close(slope_a, slope_b, rtol=1e-4, atol=1e-6)
    # Gauss-Newton's curvature and the damping make it rise on all sides.
    assert (torch.linalg.eigvalsh(found.curvature) > 0.29).all()


def test_networks_with_weather_have_no_quadratic_surrogates(sites):
    net = dg.nn.ParameterNetwork(
        dg.models.ExpHydro(), sites.inputs, varying=["f"], weather=["precipitation"], fixed={"T_max": 1.0}
    )
    with pytest.raises(InputError, match=r"do not vary with the weather; \['f'\] do"):
        dg.nn.train(net, sites, replace(TRAINING, steps=1, inner_steps=5))
