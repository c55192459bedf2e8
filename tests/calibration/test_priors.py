"""Priors and standard errors against posteriors written out, summed over grids, and ordinary least squares."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from calibration import write_basins, write_config
from reservoirs import observations as reservoir_observations
from reservoirs import site as reservoir

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site, Strategy, calibrate
from pydiffgeo.calibration import resting as module
from pydiffgeo.calibration.objective import gains
from pydiffgeo.calibration.uncertainty import covariance
from pydiffgeo.errors import BoundsError, DataError, InputError
from pydiffgeo.hydrology import calibrate_file
from pydiffgeo.observe import Observation

SETTINGS = {"engine": "sundials", "rtol": 1e-8, "atol": 1e-11}
EXACT = Strategy(candidates=12, starts=2, finalists=1, steps=40, tolerance=1e-9)


@cache
def emptying(unit="mm", factor=1.0):
    """A store of 10 mm that empties at the rate k, whose outflow is counted in any unit."""
    return dg.Model(
        name="Emptying",
        graph=dg.single_cell(),
        states=(dg.State("store", "mm", "water", default=10.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 0.2, low=0.0, open_low=True, typical=(0.01, 2.0), log=True),),
        fluxes=(dg.IntegratedFlux("out", unit, "outflow", 0),),
        source=lambda cell, forcing: {"store": -cell.k * cell.store, "out": factor * cell.k * cell.store},
    )


DAYS = np.stack([np.arange(24.0), np.arange(1.0, 25.0)], axis=1)


def outflow(k):
    """mm of each day, `(..., days)`."""
    k = np.asarray(k)[..., None]
    return 10 * (np.exp(-k * DAYS[:, 0]) - np.exp(-k * DAYS[:, 1]))


SEEN = np.abs(outflow(0.3) + 0.1 * np.random.default_rng(5).normal(size=24))
SEEN[[3, 11]] = np.nan


def emptied(loss, unit="mm", factor=1.0, error=0.1, **changes):
    o = Observation("out", "flux_sum", DAYS, factor * SEEN, error=factor * error)
    given = {"bounds": {"k": None}, "priors": {"k": Prior(0.45, 0.04)}, "settings": SETTINGS, **changes}
    return Site("x", emptying(unit, factor), np.arange(25.0), {}, (o,), loss=loss, **given)


def least_k(minus_log_likelihood):
    """The posterior mode of k, to 5e-6: half the squared deviation from the prior is added to what is given."""
    k = np.linspace(0.15, 0.6, 90001)
    valid = ~np.isnan(SEEN)
    value = np.concatenate(
        [minus_log_likelihood(outflow(part)[:, valid], SEEN[valid]) for part in np.split(k[:-1], 300)]
    )
    return k[np.argmin(value + 0.5 * ((k[:-1] - 0.45) / 0.04) ** 2)]


def epsilon(seen):
    return 0.01 * seen.mean()


# Of n residuals with errors of one unknown size: n log(size), where the size is the one that suits them best.
NORMAL = {
    "nse": lambda s, o: len(o) / 2 * np.log(((s - o) ** 2).sum(-1)),
    "log_nse": lambda s, o: len(o) / 2 * np.log(((np.log(s + epsilon(o)) - np.log(o + epsilon(o))) ** 2).sum(-1)),
    "mae": lambda s, o: len(o) * np.log(np.abs(s - o).sum(-1)),
}
NORMAL |= dict.fromkeys(("mse", "rmse", "mean_square"), NORMAL["nse"])
NORMAL["gaussian"] = lambda s, o: 0.5 * ((s - o) ** 2).sum(-1) / 0.1**2
NORMAL["heteroscedastic"] = NORMAL["gaussian"]


@pytest.mark.parametrize("loss", [*NORMAL])
def test_the_best_value_is_the_mode_of_its_posterior_in_any_unit(loss):
    wanted = least_k(NORMAL[loss])
    for unit, factor in (("mm", 1.0), ("m", 1e-3), ("um", 1e3)):
        found = calibrate([emptied(loss, unit, factor)], EXACT, progress=False).values("x")["k"]
        # The absolute error has a kink at each observation, along which a search by gradients is not as sharp.
        assert found == pytest.approx(wanted, abs=2e-4 if loss == "mae" else 2e-5), unit


@pytest.mark.parametrize("loss", ["mean_square"])
def test_the_size_of_stated_errors_matters_only_where_it_is_taken_as_stated(loss):
    found = [calibrate([emptied(loss, error=e)], EXACT, progress=False).values("x")["k"] for e in (0.1, 3.0)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    stated = [calibrate([emptied("gaussian", error=e)], EXACT, progress=False).values("x")["k"] for e in (0.1, 3.0)]
    assert abs(stated[0] - stated[1]) > 0.05


@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "gauss_newton"])
def test_every_method_finds_the_mode_from_far_away_under_a_narrow_prior(method):
    # Candidates lie up to thousands of spreads from the mean: exp(z^2) would be beyond all numbers.
    made = emptied("nse", priors={"k": Prior(0.5, 2e-4)})
    found = calibrate([made], replace(EXACT, method=method, candidates=4, starts=2), progress=False).values("x")["k"]
    assert found == pytest.approx(0.5, abs=2e-3)
    far = made.evaluate(np.array([[-9.0], [9.0]]))
    assert np.isfinite(far.loss).all()
    assert np.isfinite(far.gradient).all()


def test_data_without_errors_outweigh_any_prior():
    exact = Observation("out", "flux_sum", DAYS, outflow(0.3), error=0.1)
    made = replace(emptied("nse"), observations=(exact,))
    found = calibrate([made], EXACT, progress=False).values("x")["k"]
    assert found == pytest.approx(0.3, abs=1e-4)


@pytest.mark.parametrize("method", ["gauss_newton", "bfgs"])
def test_where_a_search_ends_does_not_depend_on_the_unit(method):
    rough = replace(EXACT, tolerance=3e-2)
    runs = [
        calibrate([emptied("gaussian", unit, factor, priors={})], replace(rough, method=method), progress=False)
        for unit, factor in (("mm", 1.0), ("km", 1e-6), ("um", 1e3))
    ]
    assert len({int(run.searches["x"]["step"]) for run in runs}) == 1
    assert np.ptp([run.values("x")["k"] for run in runs]) < 1e-6


# --- standard errors -----------------------------------------------------------------------------

LINE = dg.Model(
    name="Line",
    graph=dg.single_cell(),
    states=(dg.State("s", "mm", "what grows"),),
    parameters=(dg.Parameter("b", "mm d-1", "slope", 1.0, typical=(-5.0, 5.0)),),
    source=lambda cell, forcing: {"s": cell.b + 0 * cell.s},
)
WHEN = np.linspace(0.25, 10.0, 40)
GROWN = 3.0 + 0.7 * WHEN + 2.0 * np.random.default_rng(8).normal(size=40)


def line(loss, values=GROWN, when=WHEN, error=2.0, **changes):
    o = Observation("s", "value", when, values, error=error)
    given = {"bounds": {"b": (-5.0, 5.0), "s": (-20.0, 20.0)}, "settings": SETTINGS, **changes}
    return Site("x", LINE, np.linspace(0.0, 10.0, 11), {}, (o,), loss=loss, **given)


@pytest.mark.parametrize("loss", ["gaussian", "mean_square", "mse", "nse"])
@pytest.mark.parametrize("error", [2.0, 0.5])
def test_standard_errors_of_a_line_are_those_of_least_squares(loss, error):
    # Few observations, so that n and n - 2 differ; gaps count as none.
    when, values = np.append(WHEN[::5], [5.1, 6.2]), np.append(GROWN[::5], [np.nan, np.nan])
    x = np.stack([np.ones(8), WHEN[::5]], axis=1)
    best, (squares,) = np.linalg.lstsq(x, GROWN[::5], rcond=None)[:2]
    variance = error**2 if loss == "gaussian" else squares / (8 - 2)
    wanted = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * variance)
    found = calibrate([line(loss, values, when, error)], EXACT, progress=False)
    assert [found.values("x")[k] for k in ("s", "b")] == pytest.approx(best, rel=1e-4)
    assert [found.standard_errors("x")[k] for k in ("s", "b")] == pytest.approx(wanted, rel=1e-3)


def posterior(priors, stated):
    """Mode, mean and standard deviation of (s, b) by sums over a grid of s, b and the error, which is `stated` or else
    has the density 1 / error ahead of the data.
    """
    s, b = np.meshgrid(np.linspace(-1.0, 8.0, 451), np.linspace(-0.5, 1.8, 451), indexing="ij")
    sizes = np.array([stated]) if stated else np.exp(np.linspace(np.log(0.8), np.log(6.0), 121))
    squares = sum((s + b * t - y) ** 2 for t, y in zip(WHEN, GROWN, strict=True))
    ahead = sum(((v - priors[k].mean) / priors[k].spread) ** 2 / 2 for k, v in (("s", s), ("b", b)) if k in priors)
    # On a grid that is even in log(error) the density 1 / error is even as well.
    density = sum(np.exp(-40 * np.log(e) - squares / (2 * e**2) + 100 - ahead) for e in sizes)
    density /= density.sum()
    at = np.unravel_index(np.argmax(density), density.shape)
    means = [(v * density).sum() for v in (s, b)]
    spreads = [np.sqrt(((v - m) ** 2 * density).sum()) for v, m in zip((s, b), means, strict=True)]
    return (s[at], b[at]), spreads


@pytest.mark.parametrize(
    "priors",
    [{"b": Prior(0.9, 0.1)}, {"s": Prior(2.0, 0.5), "b": Prior(0.1, 0.15)}],
    ids=["one that agrees", "two that contradict"],
)
@pytest.mark.parametrize("loss", ["gaussian", "mean_square", "mse", "nse"])
def test_modes_and_standard_errors_with_priors_are_those_of_the_posterior(loss, priors):
    mode, spreads = posterior(priors, 2.0 if loss == "gaussian" else None)
    found = calibrate([line(loss, priors=priors)], EXACT, progress=False)
    # To the width of the grid.
    assert [found.values("x")[k] for k in ("s", "b")] == pytest.approx(mode, abs=0.03)
    # Least squares states the scale of a t-distribution; its spread is 1.4 to 2.7 % more with 38 degrees of freedom.
    assert [found.standard_errors("x")[k] for k in ("s", "b")] == pytest.approx(
        spreads, rel=0.002 if loss == "gaussian" else 0.04
    )


@pytest.mark.parametrize("loss", ["gaussian", "mean_square", "mse", "nse"])
def test_what_its_prior_alone_knows_has_the_spread_of_the_prior(loss):
    early = line(loss, [3.0, 5.0, 1.0, 7.0], [1e-9, 2e-9, 3e-9, 4e-9], priors={"b": Prior(0.7, 0.3)})
    found = calibrate([early], EXACT, progress=False)
    assert found.standard_errors("x")["b"] == pytest.approx(0.3, rel=1e-6)
    # The other one is a mean of four, whose own spread has three degrees of freedom.
    known = 2.0 / 2 if loss == "gaussian" else np.std([3.0, 5.0, 1.0, 7.0], ddof=1) / 2
    assert found.standard_errors("x")["s"] == pytest.approx(known, rel=1e-3)


def test_standard_errors_that_cannot_be_told_are_refused():
    two = line("mse", GROWN[:2], WHEN[:2])
    with pytest.raises(InputError, match=r"site x: 2 observations cannot determine 2 values and their own error"):
        two.standard_errors(np.zeros((1, 2)))
    assert two.loss == "mse"
    known = replace(two, loss="gaussian").standard_errors(np.zeros((1, 2)))
    assert all(0 < v < 100 for v in known.values())
    one = np.ones((3, 1))
    with pytest.raises(InputError, match="met exactly"):
        covariance(np.zeros(3), one, np.zeros(0), np.zeros((0, 1)), 3, stated=False)
    # A residual that happens to be zero is an observation all the same.
    r = np.array([0.0, 1.0, -1.0])
    assert covariance(r, one, np.zeros(0), np.zeros((0, 1)), 3, stated=False).item() == pytest.approx(2 / 2 / 3)
    with pytest.raises(InputError, match="exclude each other"):
        covariance(r, 1e-3 * one, np.array([9.0]), np.ones((1, 1)), 3, stated=False)


@pytest.mark.parametrize("spread", [0.02, 0.3, 5.0])
def test_the_covariance_is_that_of_the_posterior_whose_errors_are_estimated(spread):
    random = np.random.default_rng(4)
    jacobian, y, n = random.normal(size=(12, 2)), random.normal(size=12), 12
    mean = np.array([0.7])

    def parts(x):
        x = torch.as_tensor(x)
        r = torch.from_numpy(jacobian) @ x - torch.from_numpy(y)
        return r, (x[:1] - torch.from_numpy(mean)) / spread

    def minus_log(x, power):
        r, z = parts(x)
        return power / 2 * torch.log(r @ r) + 0.5 * (z @ z)

    prior = np.diag([1 / spread**2, 0.0])
    best = np.zeros(2)
    for _ in range(500):  # where n J'r / r'r + Z'z = 0
        weight = n / ((jacobian @ best - y) ** 2).sum()
        best = np.linalg.solve(weight * jacobian.T @ jacobian + prior, weight * jacobian.T @ y + prior[:, 0] * mean)
    r, z = (v.numpy() for v in parts(best))

    def spare(freedom):
        data = freedom / (r @ r) * jacobian.T @ jacobian
        return n - np.trace(np.linalg.solve(data + prior, data)) - freedom

    low, high = 0.0, float(n)
    for _ in range(60):
        freedom = (low + high) / 2
        low, high = (freedom, high) if spare(freedom) > 0 else (low, freedom)
    second = torch.autograd.functional.hessian(lambda x: minus_log(x, freedom), torch.from_numpy(best)).numpy()
    slopes = np.array([[1 / spread, 0.0]])
    found = covariance(r, jacobian, z, slopes, n, stated=False)
    np.testing.assert_allclose(found, np.linalg.inv(second), rtol=1e-4)


def test_what_observations_do_not_tell_is_told_by_a_prior():
    # The second value has no effect on what is observed: its spread is that of its prior.
    jacobian = np.stack([np.ones(6), np.zeros(6)], axis=1)
    r = np.array([1.0, -1.0, 0.5, -0.5, 2.0, -2.0])
    found = covariance(r, jacobian, np.zeros(1), np.array([[0.0, 1 / 0.3]]), 6, stated=False)
    np.testing.assert_allclose(found, np.diag([(r @ r) / 5 / 6, 0.09]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["gaussian", "heteroscedastic"])
def test_what_gains_are_measured_by_does_not_depend_on_the_unit(loss):
    found = []
    for unit, factor in (("mm", 1.0), ("km", 1e-6)):
        made = emptied(loss, unit, factor, priors={})
        found.append(gains(made.evaluate(np.array([[-1.5], [0.5]])).loss, made.observations, loss, priors=False))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    # Half the squares of deviations by their errors.
    k = emptied(loss).values(np.array([[-1.5], [0.5]]))["k"].flatten().tolist()
    if loss == "gaussian":
        np.testing.assert_allclose(found[0], [np.nansum((outflow(v) - SEEN) ** 2) / 2 / 0.1**2 for v in k], rtol=1e-5)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": "kge"}, InputError, "site reservoir: the loss 'kge' says nothing of how errors are distributed"),
        ({"loss": "kge_2012"}, InputError, "'kge_2012' says nothing of how errors are distributed"),
        (
            {"priors": {"gain": Prior(1.6, 0.1)}},
            BoundsError,
            r"site reservoir: the mean 1.6 of the prior of 'gain' lies outside its bounds, 0.2 to 1.5",
        ),
        ({"bounds": {"k": (0.0, 1.0)}, "priors": {"k": Prior(0.0, 0.1)}}, BoundsError, r"must lie in \(0, inf\)"),
        (
            {"bounds": {"storage": (1.0, 9.0)}, "priors": {"storage": Prior(10.0, 1.0)}},
            BoundsError,
            "'storage' lies outside its bounds, 1 to 9",
        ),
        (
            {"loss": "mse", "priors": {}},
            InputError,
            r"these have several: outflow \(mm d-1\), storage \(mm\); take mean_square",
        ),
        ({"loss": "mae", "priors": {}}, InputError, r"these have several: outflow \(mm d-1\), storage \(mm\)"),
    ],
)
def test_priors_and_units_without_a_meaning_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        reservoir(**{"priors": {"gain": Prior(1.0, 0.1)}, **changes})


def test_a_mean_of_several_rmse_takes_no_priors():
    outflow, _ = reservoir_observations()
    with pytest.raises(InputError, match="a mean of several rmse is no likelihood"):
        reservoir(seen=(outflow, replace(outflow)), loss="rmse", priors={"gain": Prior(1.0, 0.1)})


@pytest.mark.parametrize(
    ("prior", "loss", "message"),
    [
        ("T_max = { mean = 25.0, spread = 50.0 }", "nse", r"\[model\] priors.T_max cannot be used: the mean 25 "),
        (
            "S_max = { mean = 9e3, spread = 1.0 }",
            "nse",
            r"\[model\] priors.S_max cannot be used: .* 100 to 400; correct",
        ),
        (
            "water_storage = { mean = 49, spread = 1 }",
            "nse",
            r"\[model\] priors.water_storage cannot be used: .* 50 to 300",
        ),
        ("f = { mean = 0.05, spread = 1 }", "kge", r"\[model\] priors cannot be used: the loss 'kge' says nothing"),
    ],
)
def test_priors_of_a_configuration_are_refused_before_anything_is_solved(tmp_path, monkeypatch, prior, loss, message):
    write_basins(tmp_path)
    monkeypatch.setattr(module, "solve", None)
    config = write_config(
        tmp_path,
        ("[model.fixed]", f"[model.priors]\n{prior}\n\n[model.fixed]"),
        ("T_max = 1.0\n", ""),
        ("[optimiser]", f'[optimiser]\nloss = "{loss}"'),
    )
    with pytest.raises(DataError, match=message):
        calibrate_file(config, progress=False)
    assert not [*tmp_path.glob("result*")]
