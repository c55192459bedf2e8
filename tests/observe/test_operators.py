"""Observation operators against NumPy, known fields and finite differences, and the misfit of several kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fields import CENTRES, TIMES, made_up

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, InputError, TimeError, UnknownNameError
from pydiffgeo.observe import depth_weights, flux_means, flux_sums, values_at

NAN = float("nan")


def test_values_agree_with_numpy_in_time_and_depth(fields):
    when, theta = np.array([3.2, 0.0, 0.4, 1.0, 4.0, 1.2]), fields.states["theta"].detach().numpy()
    every = values_at(fields, "theta", when)
    assert every.shape == (2, 6, 4)
    probe = values_at(fields, "theta", when, depth=0.27)
    layer = values_at(fields, "theta", when, depth=(0.05, 0.4))
    for m in range(2):
        in_time = np.stack([np.interp(when, TIMES, theta[m, :, c]) for c in range(4)], axis=1)
        assert np.allclose(every[m].detach(), in_time, rtol=1e-13)
        at_depth = [np.interp(0.27, CENTRES, row) for row in in_time]
        assert np.allclose(probe[m].detach(), at_depth, rtol=1e-13)
        means = (0.05 * in_time[:, 0] + 0.1 * in_time[:, 1] + 0.2 * in_time[:, 2]) / 0.35
        assert np.allclose(layer[m].detach(), means, rtol=1e-13)
    assert torch.equal(values_at(fields, "theta", when, cell=-1), every[..., 3])
    # Round-off in a time is no reason to refuse it.
    values_at(fields, "theta", [4.0 + 1e-12, -1e-12])


def test_a_field_that_is_linear_is_seen_exactly():
    t, z = np.meshgrid(TIMES, CENTRES, indexing="ij")
    sol = made_up(torch.from_numpy(0.1 + 0.02 * t + 0.1 * z), torch.ones(4, dtype=torch.float64))
    seen = values_at(sol, "theta", [0.7, 2.9], depth=0.5)
    assert np.allclose(seen, 0.15 + 0.02 * np.array([0.7, 2.9]), rtol=1e-14)
    # The mean over whole cells is exact as well; the outer half cells hold their value.
    assert np.allclose(values_at(sol, "theta", [0.0], depth=(0.0, 1.0)), 0.15, rtol=1e-14)
    assert np.allclose(values_at(sol, "theta", [0.0], depth=0.0), 0.105, rtol=1e-14)
    assert np.allclose(values_at(sol, "theta", [0.0], depth=1.0), 0.175, rtol=1e-14)


@pytest.mark.parametrize("depth", [0.0, 0.05, 0.2, 0.999, (0.0, 1.0), (0.12, 0.13), (0.3, 0.95)])
def test_depth_weights_add_up_to_one(fields, depth):
    weights = depth_weights(fields, depth)
    assert weights.sum() == pytest.approx(1, rel=1e-14)
    assert (weights >= 0).all()


def test_flux_sums_over_windows_at_output_times(fields):
    q = fields.fluxes["drainage"].detach()
    sums = flux_sums(fields, "drainage", [(0, 1), (1, 3), (0, 4), (1.5, 4)])
    expected = torch.stack([q[:, 0], q[:, 1] + q[:, 2], q.sum(1), q[:, 2] + q[:, 3]], dim=1)
    assert torch.allclose(sums, expected, rtol=1e-14)
    means = flux_means(fields, "drainage", [(0, 1), (1, 3), (0, 4), (1.5, 4)])
    assert torch.allclose(means, expected / torch.tensor([1, 2, 4, 2.5]), rtol=1e-14)


def test_flux_sums_between_output_times_interpolate_the_cumulative_flux(fields):
    windows = np.array([(0.25, 0.75), (0.5, 3.5), (1.0, 1.2), (3.9, 4.0)])
    with pytest.raises(TimeError, match=r"interpolate=True; 0\.25 is not one, and 6 of 8"):
        flux_sums(fields, "drainage", windows)
    sums = flux_sums(fields, "drainage", windows, interpolate=True).detach()
    for m in range(2):
        total = np.concatenate([[0], fields.fluxes["drainage"][m].detach().numpy().cumsum()])
        assert np.allclose(sums[m], np.diff(np.interp(windows, TIMES, total))[:, 0], rtol=1e-13)
    # Windows that share their ends add up to the whole.
    ends = np.linspace(0, 4, 8)
    parts = flux_sums(fields, "drainage", np.stack([ends[:-1], ends[1:]], 1), interpolate=True)
    assert torch.allclose(parts.sum(-1), fields.fluxes["drainage"].sum(-1), rtol=1e-14)


def test_gradients_of_the_operators(random):
    theta = torch.from_numpy(random.uniform(0.1, 0.4, (2, 5, 4))).requires_grad_()
    drainage = torch.from_numpy(random.random((2, 4))).requires_grad_()

    def seen(theta: torch.Tensor, drainage: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sol = made_up(theta, drainage)
        return (
            values_at(sol, "theta", [0.3, 2.0], depth=0.2),
            values_at(sol, "theta", [0.3, 2.0], depth=(0.07, 0.6)),
            flux_sums(sol, "drainage", [(0, 1.5)]),
            flux_means(sol, "drainage", [(0.2, 3.7)], interpolate=True),
        )

    assert torch.autograd.gradcheck(seen, (theta, drainage))


def test_what_cannot_be_seen_is_named(fields):
    with pytest.raises(UnknownNameError, match=r"no state or output 'moisture'.*'theta'"):
        values_at(fields, "moisture", [1.0])
    with pytest.raises(UnknownNameError, match=r"no flux 'runoff'.*drainage"):
        flux_sums(fields, "runoff", [(0, 1)])
    for times in ([4.1], [-0.1], [NAN], []):
        with pytest.raises(TimeError):
            values_at(fields, "theta", times)
    for windows in ([(1, 1)], [(3, 1)], [(0, 5)], [0, 1], [(0, NAN)]):
        with pytest.raises(TimeError):
            flux_sums(fields, "drainage", windows)
    for depth in (-0.1, 1.1, NAN, (0.5, 0.5), (0.6, 0.5), (0.5, 1.5), (0.1, 0.2, 0.3)):
        with pytest.raises(BoundsError):
            values_at(fields, "theta", [1.0], depth=depth)
    with pytest.raises(BoundsError, match="cell 4"):
        values_at(fields, "theta", [1.0], cell=4)
    with pytest.raises(InputError, match="not both"):
        values_at(fields, "theta", [1.0], cell=1, depth=0.1)


def test_a_basin_has_no_depth():
    sol = dg.solve(
        dg.models.ExpHydro(),
        forcing={"precipitation": [5.0, 0.0], "temperature": 5.0, "daylength": 12.0},
        times=range(3),
        engine="sundials",
    )
    assert values_at(sol, "water_storage", [0.5, 2.0]).shape == (2,)
    assert torch.allclose(flux_means(sol, "runoff", [(0, 1), (1, 2)]), sol.fluxes["runoff"], rtol=1e-14)
    with pytest.raises(InputError, match="no depth"):
        values_at(sol, "water_storage", [0.5], depth=0.1)


def test_a_flux_of_each_cell_is_seen_at_one() -> None:
    reaches = {"id": ["a", "b"], "downstream": ["b", None], "length": [1e3, 2e3], "slope": [1e-3, 1e-3]}
    river = dg.models.River(reaches)
    sol = dg.solve(river, forcing={"lateral_inflow": [[1.0, 0.5], [3.0, 0.0]]}, times=range(3), engine="sundials")
    each = sol.fluxes["discharge"]
    seen = dg.observe.Observation("discharge", "flux_mean", [(0, 2), (1, 2)], [0.0, 0.0], 1.0, cell=1)
    torch.testing.assert_close(seen.simulated(sol), torch.stack([each[:, 1].mean(), each[1, 1]]))
    with pytest.raises(dg.errors.InputError, match="'discharge' has a value for each cell"):
        dg.observe.flux_sums(sol, "discharge", [(0, 1)])
    with pytest.raises(dg.errors.BoundsError, match="cell 2 is not one of 2"):
        dg.observe.flux_sums(sol, "discharge", [(0, 1)], cell=2)
    with pytest.raises(dg.errors.InputError, match="'outflow' has one value"):
        dg.observe.flux_sums(sol, "outflow", [(0, 1)], cell=0)
