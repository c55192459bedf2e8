"""Observations of several kinds: their misfit, its gradient, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fields import made_up

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError, TimeError
from pydiffgeo.observe import Observation, flux_means, flux_sums, heads, misfit, values_at

NAN = float("nan")
DAYS = np.arange(5.0)


def instruments(sol: dg.Solution, gap: bool = True) -> list[Observation]:
    """Two kinds of observation that a solution explains perfectly but for gaps."""
    when, windows = [0.5, 1.0, 2.5], [(0, 1), (1, 4)]
    theta = values_at(sol, "theta", when, depth=0.2).detach().clone()
    drained = flux_sums(sol, "drainage", windows).detach()
    if gap:
        theta[..., 1] = NAN
    return [
        Observation("theta", "value", when, theta, 0.01, depth=0.2),
        Observation("drainage", "flux_sum", windows, drained, [0.1, 0.3], relative_error=0.2),
    ]


def test_the_misfit_adds_up_kinds_by_their_own_error(fields):
    seen = instruments(fields)
    off = [
        Observation("theta", "value", seen[0].times, seen[0].values + 0.02, 0.01, depth=0.2),
        Observation("drainage", "flux_sum", seen[1].times, seen[1].values - 0.3, [0.1, 0.3], relative_error=0.2),
    ]
    assert misfit(fields, seen, likelihood="mean_square").tolist() == [0, 0]
    # Two standard errors off; three, and one.
    assert np.allclose(misfit(fields, off, likelihood="mean_square").detach(), (4 + (9 + 1) / 2) / 2)
    constant = 2 * np.log(0.01) + np.log(0.1) + np.log(0.3) + 2 * np.log(2 * np.pi)
    assert np.allclose(misfit(fields, seen).detach(), constant)
    assert np.allclose(misfit(fields, off).detach(), constant + (4 + 4 + 9 + 1) / 2)
    q = flux_sums(fields, "drainage", seen[1].times).detach()
    sigma = torch.tensor([0.1, 0.3]) + 0.2 * q
    expected = 2 * np.log(0.01) + torch.log(sigma).sum(-1) + 2 * np.log(2 * np.pi)
    assert np.allclose(misfit(fields, seen, likelihood="heteroscedastic").detach(), expected)
    own = misfit(fields, off, likelihood=lambda s, o, _: torch.nan_to_num(s - o).abs().sum(-1))
    assert np.allclose(own.detach(), 2 * 0.02 + 2 * 0.3)


@pytest.mark.parametrize("likelihood", ["gaussian", "heteroscedastic", "mean_square"])
def test_gradients_of_the_misfit(random, likelihood):
    theta = torch.from_numpy(random.uniform(0.1, 0.4, (2, 5, 4))).requires_grad_()
    drainage = torch.from_numpy(random.random((2, 4))).requires_grad_()
    seen = instruments(made_up(theta.detach() + 0.01, drainage.detach() + 0.1))
    assert torch.autograd.gradcheck(lambda a, b: misfit(made_up(a, b), seen, likelihood=likelihood), (theta, drainage))


def test_a_failed_member_is_nan_and_passes_on_nothing(random):
    theta = torch.from_numpy(random.uniform(0.1, 0.4, (2, 5, 4)))
    drainage = torch.from_numpy(random.random((2, 4)))
    seen = instruments(made_up(theta[1], drainage[1]))
    whole = misfit(made_up(theta, drainage), seen)
    theta[0], drainage[0] = NAN, NAN
    theta.requires_grad_()
    total = misfit(made_up(theta, drainage, failed=(0,)), seen)
    assert torch.isnan(total[0])
    assert total[1] == whole[1]
    (gradient,) = torch.autograd.grad(total[1], theta)
    assert (gradient[0] == 0).all()
    assert torch.isfinite(gradient).all()


def test_observations_that_make_no_sense_are_named(fields):
    good = {"name": "theta", "kind": "value", "times": [1.0, 2.0], "values": [0.2, NAN], "error": 0.1, "depth": 0.2}
    wrong = [
        ({"kind": "mean"}, InputError, "theta at depth 0.2: kind"),
        ({"values": [0.2]}, ShapeError, "one entry for each of 2 times"),
        ({"error": [0.1, 0.1, 0.1]}, ShapeError, "one entry for each of 2 times"),
        ({"error": 0.0}, InputError, "error must be positive"),
        ({"relative_error": -1.0}, InputError, "relative_error zero or more"),
        ({"kind": "flux_sum", "times": [(0, 1), (1, 3)]}, InputError, "a flux has no depth"),
        ({"times": [1.0, NAN]}, TimeError, "finite"),
    ]
    for change, kind, message in wrong:
        with pytest.raises(kind, match=message):
            Observation(**{**good, **change})
    unfit = [
        ({"values": [NAN, NAN]}, InputError, "observation of theta at depth 0.2: at least 1 valid"),
        ({"times": [1.0, 9.0]}, TimeError, "observation of theta at depth 0.2: .*outside the solved period"),
        ({"depth": None}, InputError, "observation of theta: give the depth or the cell; there are 4"),
        ({"values": np.ones((3, 2))}, ShapeError, "does not broadcast"),
    ]
    for likelihood in ("gaussian", "mean_square"):
        for change, kind, message in unfit:
            with pytest.raises(kind, match=message):
                misfit(fields, [Observation(**{**good, **change})], likelihood=likelihood)
    with pytest.raises(InputError, match="at least one observation"):
        misfit(fields, [])
    with pytest.raises(InputError, match="likelihood must be one of"):
        misfit(fields, [Observation(**good)], likelihood="huber")


def column(K_s: torch.Tensor) -> dg.Solution:
    model = dg.models.RichardsColumn(depth=0.5, cells=8, top="flux")
    return dg.solve(
        model,
        {"K_s": K_s},
        forcing={"flux": [0.01, 0.0, 0.02, 0.0]},
        times=DAYS,
        initial={"head": -1.0},
        engine="sundials",
        rtol=1e-9,
        atol=1e-11,
    )


def test_the_misfit_of_a_solved_batch_and_its_gradient():
    truth = column(torch.tensor(0.25, dtype=torch.float64))
    windows = [(0, 2), (2.5, 4)]
    seen = [
        Observation("theta", "value", [0.5, 3.0], values_at(truth, "theta", [0.5, 3.0], depth=0.1), 0.01, depth=0.1),
        Observation("head", "value", [1.0, 4.0], heads(truth, [1.0, 4.0], depth=0.3), 0.05, depth=0.3),
        Observation(
            "drainage",
            "flux_mean",
            windows,
            flux_means(truth, "drainage", windows, interpolate=True),
            1e-3,
            interpolate=True,
        ),
    ]
    assert misfit(truth, seen, likelihood="mean_square").item() == 0
    K_s = torch.tensor([[0.2], [0.3]], dtype=torch.float64, requires_grad=True)
    total = misfit(column(K_s), seen)
    assert total.shape == (2,)
    total.sum().backward()
    h = 1e-4
    with torch.no_grad():
        up, down = (misfit(column(K_s + d), seen) for d in (h, -h))
    assert torch.allclose(K_s.grad[:, 0], (up - down) / (2 * h), rtol=1e-4)
    assert (K_s.grad[0] < 0) & (K_s.grad[1] > 0)


def test_a_member_that_cannot_be_solved_leaves_the_gradient_of_the_others():
    model = dg.models.RichardsColumn(depth=0.5, cells=8, top="flux")
    rest, flood = [0.001, 0.001], [0.001, 0.2]
    seen = [
        Observation("head", "value", [0.5, 2.0], [-0.9, -0.8], 0.1, depth=0.2),
        Observation("drainage", "flux_sum", [(1, 2)], [0.01], 0.01),
    ]

    def gradient(flux: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
        K_s = torch.full((len(flux), 1), 0.3, dtype=torch.float64, requires_grad=True)
        sol = dg.solve(
            model,
            {"K_s": K_s},
            forcing={"flux": torch.tensor(flux, dtype=torch.float64)},
            times=range(3),
            initial={"head": -1.0},
            engine="sundials",
            throw=False,
            max_steps=100,
        )
        total = misfit(sol, seen)
        total[sol.ok].sum().backward()
        return total.detach(), K_s.grad

    total, both = gradient([rest, flood])
    alone, single = gradient([rest])
    assert torch.isnan(total).tolist() == [False, True]
    assert total[0] == alone[0]
    assert both[0] == single[0] != 0
    assert both[1] == 0
