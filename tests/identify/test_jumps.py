"""Jumps to weighted members leave posteriors as they are, which quadrature gives, and bring chains across bent valleys."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from identified import at, parallel_reservoirs

import pydiffgeo as dg
from pydiffgeo.calibration import Prior
from pydiffgeo.identify import ErrorModel, at_mode, of_function, sample
from pydiffgeo.identify.density import density
from pydiffgeo.identify.jumps import jumps_of_mode
from pydiffgeo.transforms import Transforms, bounded

STANDARD = {"a": Prior(0.0, 1.0), "b": Prior(0.0, 1.0)}


def horseshoe() -> dg.identify.InverseProblem:
    """b + 2 a^2 was -1, give or take 0.1; both were standard normal before: two narrow limbs, and a mode on the way between them."""
    return of_function(lambda x: x[:, 1:] + 2 * x[:, :1] ** 2, ["a", "b"], [0.1, -1.0], [-1.0], 0.1, priors=STANDARD)


def test_chains_cross_a_valley_that_they_do_not_follow_to_its_end() -> None:
    pytest.importorskip("pyro", reason="full sampling needs pyro-ppl")
    line = np.linspace(-6, 6, 2401)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    a, b = points.T
    weight = np.exp(-0.5 * (a**2 + b**2 + ((-1 - b - 2 * a**2) / 0.1) ** 2))
    mean = weight @ points / weight.sum()
    spread = np.sqrt(weight @ (points - mean) ** 2 / weight.sum())
    mode = at_mode(horseshoe())
    found = sample(mode, draws=120, warmup=50, chains=2, seed=1)
    assert found.draws is not None
    assert found.numbers["share_of_jumps_taken"] > 0.3
    assert found.numbers["largest_R_hat"] < 1.05
    count = found.numbers["smallest_effective_sample_size"]
    assert count > 50
    assert np.abs((found.draws.mean(0) - mean) / spread).max() < 3 / math.sqrt(count)
    assert found.draws.std(0) == pytest.approx(spread, rel=0.2)
    walked = sample(mode, draws=80, warmup=40, chains=2, jumps=False, seed=1)
    assert "share_of_jumps_taken" not in walked.numbers
    assert walked.numbers["smallest_effective_sample_size"] < count / 4


def test_jumps_alone_draw_the_posterior_for_any_size_of_errors() -> None:
    """Of a value that was equally likely anywhere between 0 and 2 the square was seen, with errors of half the size found at the mode."""
    transforms = Transforms((bounded(dg.Parameter("a", "1", "a", 1.0), (0.0, 2.0)),))
    seen = np.array([2.0, 3.1, 1.2, 2.6, 3.4, 1.8])
    problem = of_function(
        lambda x: (transforms.unpack(x)["a"] ** 2).expand(-1, 6),
        ["a"],
        [0.0],
        seen,
        1.0,
        transforms=transforms,
        errors=ErrorModel(size=None),
    )
    mode = at_mode(problem)
    target, random = density(mode), torch.Generator().manual_seed(4)
    assert target.asked.unknown == ("size",)
    size = 0.5 * float(mode.problem.errors.size or 0.0)
    z = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    z[0, 1] = (math.log(size) - target.centre[1]) / target.root[1, 1]
    start, steps, draws = z.clone(), 1500, list[float]()
    ahead = jumps_of_mode(mode, steps, random)
    taken = 0
    for step in range(steps):
        z, went = ahead.jumped(target, z, step)
        taken += int(went)
        draws.append(float(problem.values(target.parts(z)[0])[0, 0]))
    assert z[0, 1] == start[0, 1]
    assert 0.3 * steps < taken < steps
    value = np.linspace(0, 2, 20001)
    weight = np.exp(-0.5 * (((value[:, None] ** 2 - seen) / size) ** 2).sum(1))
    cumulative = np.cumsum(weight) / weight.sum()
    ends = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert np.quantile(draws, ends) == pytest.approx(np.interp(ends, cumulative, value), abs=0.03)


def test_what_cannot_be_drawn_is_neither_reached_nor_left() -> None:
    """Beyond the top of a parabola members have no density; nor where there is no solution."""

    def parabola(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x < 3.0, x - 0.5 * x**2, torch.nan)

    problem = of_function(parabola, ["a"], [0.0], [0.0], 0.4, priors={"a": Prior(0.0, 10.0)})
    mode = at_mode(problem)
    target, steps = density(mode), 40
    ahead = jumps_of_mode(mode, steps, torch.Generator().manual_seed(0))
    good = torch.isfinite(ahead.members.density)
    assert bool((ahead.members.x[good] < 1.1).all())
    assert 0.7 * steps < int(good.sum()) < steps
    for far in (2.0, 4.0):
        z = ((torch.tensor([[far]], dtype=torch.float64) - target.centre) / target.root[0, 0]).reshape(1, 1)
        for step in range(steps):
            there, taken = ahead.jumped(target, z, step)
            assert not bool(taken)
            assert there == z


def test_members_come_from_the_solver_of_a_site(engine: str) -> None:
    """A draw that a member was fitted to is that which its residuals have, in the directions of the mode."""
    site = parallel_reservoirs(engine, (0.2, 0.9))
    problem = at(site, k_1=0.2, k_2=0.9)
    seen = replace(problem.record, observed=problem.simulate(torch.from_numpy(problem.x[None]))[0])
    mode = at_mode(replace(problem, record=seen))
    ahead = jumps_of_mode(mode, 6, torch.Generator().manual_seed(1))
    assert torch.isfinite(ahead.members.density).sum() >= 5
    assert torch.allclose(problem.simulate(ahead.members.x), ahead.members.simulated, atol=1e-4)
    z, taken = ahead.jumped(density(mode), torch.zeros(1, 2, dtype=torch.float64), 0)
    assert bool(taken) == bool((z != 0).any())
