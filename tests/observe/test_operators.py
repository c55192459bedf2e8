"""Observation operators against NumPy, known fields and finite differences, and the misfit of several kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.base import Forward, Status
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.errors import BoundsError, InputError, ShapeError, TimeError, UnknownNameError
from pydiffgeo.observe import Observation, depth_weights, flux_means, flux_sums, heads, misfit, values_at

NAN = float("nan")
TIMES = np.array([0.0, 1.0, 1.5, 3.0, 4.0])
# Cells of unequal thickness; centres at 0.05, 0.15, 0.35, 0.75.
THICKNESS = [0.1, 0.1, 0.3, 0.5]
CENTRES = np.array([0.05, 0.15, 0.35, 0.75])
COLUMN = dg.models.RichardsColumn(depth=1.0, cells=4, thickness=THICKNESS, top="flux")
DAYS = np.arange(5.0)


def made_up(theta: torch.Tensor, drainage: torch.Tensor, failed: tuple[int, ...] = ()) -> dg.Solution:
    """A solution with given fields."""
    batched = theta.ndim == 3
    status = [Status.FAILED if i in failed else Status.SUCCESS for i in range(len(theta) if batched else 1)]
    return dg.Solution(
        model=COLUMN,
        grid=TIMES,
        states={"theta": theta},
        fluxes={"drainage": drainage},
        parameters={p.name: torch.full((1, 1), p.default or 0.3, dtype=torch.float64) for p in COLUMN.parameters},
        report=Forward(np.empty(0), np.empty(0), status, {}),
        batched=batched,
        programs=trace_model(COLUMN),
    )


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def fields(random) -> dg.Solution:
    """Two members with random fields."""
    theta = torch.from_numpy(random.uniform(0.1, 0.4, (2, 5, 4))).requires_grad_()
    return made_up(theta, torch.from_numpy(random.random((2, 4))).requires_grad_())


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
        ({"kind": "flux_sum", "times": [(0, 1), (1, 3)]}, InputError, "neither depth nor cell"),
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
    return dg.solve(model, {"K_s": K_s}, forcing={"flux": [0.01, 0.0, 0.02, 0.0]}, times=DAYS, initial={"head": -1.0},
                    engine="sundials", rtol=1e-9, atol=1e-11)  # fmt: skip


def test_the_misfit_of_a_solved_batch_and_its_gradient():
    truth = column(torch.tensor(0.25, dtype=torch.float64))
    windows = [(0, 2), (2.5, 4)]
    seen = [
        Observation("theta", "value", [0.5, 3.0], values_at(truth, "theta", [0.5, 3.0], depth=0.1), 0.01, depth=0.1),
        Observation("head", "value", [1.0, 4.0], heads(truth, [1.0, 4.0], depth=0.3), 0.05, depth=0.3),
        Observation("drainage", "flux_mean", windows, flux_means(truth, "drainage", windows, interpolate=True), 1e-3,
                    interpolate=True),
    ]  # fmt: skip
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
        sol = dg.solve(model, {"K_s": K_s}, forcing={"flux": torch.tensor(flux, dtype=torch.float64)}, times=range(3),
                       initial={"head": -1.0}, engine="sundials", throw=False, max_steps=100)  # fmt: skip
        total = misfit(sol, seen)
        total[sol.ok].sum().backward()
        return total.detach(), K_s.grad

    total, both = gradient([rest, flood])
    alone, single = gradient([rest])
    assert torch.isnan(total).tolist() == [False, True]
    assert total[0] == alone[0]
    assert both[0] == single[0] != 0
    assert both[1] == 0


def test_a_basin_has_no_depth():
    sol = dg.solve(dg.models.ExpHydro(), forcing={"precipitation": [5.0, 0.0], "temperature": 5.0, "daylength": 12.0},
                   times=range(3), engine="sundials")  # fmt: skip
    assert values_at(sol, "water_storage", [0.5, 2.0]).shape == (2,)
    assert torch.allclose(flux_means(sol, "runoff", [(0, 1), (1, 2)]), sol.fluxes["runoff"], rtol=1e-14)
    with pytest.raises(InputError, match="no depth"):
        values_at(sol, "water_storage", [0.5], depth=0.1)
