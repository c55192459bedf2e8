"""Calibration of any model at any number of sites: losses, priors, Gauss-Newton, standard errors, failures."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from calibration import fail_from_eleven
from reservoirs import DAYS, QUICK, RAIN, RESERVOIR, SETTINGS, TRUE, observations, site
from terminal import Terminal

from pydiffgeo.calibration import CalibrationResult, Prior, Site, Strategy, calibrate, keeper, multistart
from pydiffgeo.calibration.objective import SQUARES
from pydiffgeo.errors import BoundsError, DataError, InputError, SolverError, UnknownNameError

# --- losses and their derivatives ----------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", ["nse", "kge", "log_nse", "mse", "rmse", "mae", "gaussian", "heteroscedastic", "mean_square"]
)
def test_gradients_of_every_kind_of_loss_are_those_of_differences(loss):
    seen = observations(noise=1.0)
    priors = {} if loss == "kge" else {"k": Prior(0.2, 0.3, log=True), "gain": Prior(1.0, 0.1)}
    made = site(seen=seen[:1] if loss in ("mse", "rmse", "mae") else seen, loss=loss, priors=priors)
    x = np.array([[0.3, -0.4], [-0.5, 0.9]])
    found = made.evaluate(x)
    for i in range(2):
        step = np.zeros(2)
        step[i] = 1e-4
        up, down = (made.evaluate(x + s, gradient=False).loss for s in (step, -step))
        np.testing.assert_allclose(found.gradient[:, i], (up - down) / 2e-4, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", ["nse", "mse", "gaussian", "mean_square"])
def test_residuals_are_those_of_the_loss(loss, engine):
    settings = {**SETTINGS, "engine": engine}
    seen = observations(noise=1.0)[: 1 if loss == "mse" else 2]
    made = site(seen=seen, loss=loss, priors={"gain": Prior(1.0, 0.1)}, settings=settings)
    x = np.array([[0.3, -0.4]])
    plain, squares = made.evaluate(x), made.evaluate(x, normal=True)
    np.testing.assert_allclose(squares.gradient, plain.gradient, rtol=1e-5)
    np.testing.assert_allclose(squares.normal[0], squares.normal[0].T)
    assert (np.linalg.eigvalsh(squares.normal[0]) > 0).all()
    # A step along the normal equations leads to a smaller loss.
    step = np.linalg.solve(squares.normal[0], -squares.gradient[0] / 2)
    assert made.evaluate(x + 0.5 * step, gradient=False).loss < plain.loss


def test_a_prior_draws_towards_its_mean_as_far_as_its_spread_allows():
    def found(**priors):
        return calibrate([site(seen=observations(noise=1.0), priors=priors)], QUICK, progress=False).values("reservoir")

    free, wide, narrow = found(), found(gain=Prior(1.2, 10.0)), found(gain=Prior(1.2, 1e-3))
    assert wide["gain"] == pytest.approx(free["gain"], abs=0.01)
    assert narrow["gain"] == pytest.approx(1.2, abs=0.01)


# --- searches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "gauss_newton"])
def test_every_method_finds_what_is_known(method):
    found = calibrate(
        [site(loss="mean_square")], replace(QUICK, method=method, tolerance=1e-8, steps=40), progress=False
    )
    for name, value in found.values("reservoir").items():
        assert value == pytest.approx(TRUE[name], rel=1e-3), name
    assert found.solve("reservoir").balance.item() < 1e-9


def test_an_ensemble_holds_what_is_nearly_as_good_once():
    made = site(loss="nse")
    x = np.array([[0.0, 0.0], [1.0, -1.0], [0.01, 0.0], [2.0, 1.0], [-2.0, 2.0]])
    loss = np.array([0.21, 0.2, 0.205, 0.26, np.inf])
    state = {"best_x": x, "best_loss": loss, "best_tuning": np.full(5, np.inf)}

    def members(within, state=state, made=made):
        values = CalibrationResult({"reservoir": made}, {"reservoir": state}, {}).ensemble("reservoir", within)
        return made.transforms.pack(values).numpy()

    # Two finalists came to nearly the same point; one failed.
    np.testing.assert_allclose(members(0.1), x[[1, 2]], atol=1e-12)
    np.testing.assert_allclose(members(0.4), x[[1, 2, 3]], atol=1e-12)
    np.testing.assert_allclose(members(0.0), x[[1]], atol=1e-12)
    # What is held back decides, where anything is.
    late = np.array([0.3, 0.9, 0.8, 0.31, np.inf])
    np.testing.assert_allclose(members(0.1, state | {"best_tuning": late}), x[[0, 3]], atol=1e-12)
    with pytest.raises(InputError, match="site reservoir: an ensemble needs a loss that is zero at best"):
        members(0.1, made=site(loss="gaussian"))


def test_the_method_follows_from_loss_and_number_of_values():
    kinds = {(loss, n): type(Strategy().search(loss, n)).__name__ for loss in ("nse", "kge") for n in (7, 40)}
    assert kinds == {("nse", 7): "GaussNewton", ("nse", 40): "BFGS", ("kge", 7): "BFGS", ("kge", 40): "BFGS"}


def test_losses_of_both_ways_to_differentiate_agree():
    seen = observations(noise=1.0)
    for loss in SQUARES:
        made = site(seen=seen[:1], tuning=seen[1:], loss=loss, priors={"gain": Prior(1.2, 0.5)})
        x = np.array([[0.3, -0.2], [-1.0, 0.5]])
        a, b = made.evaluate(x), made.evaluate(x, normal=True)
        for name in ("loss", "gradient", "tuning"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6, err_msg=f"{loss} {name}")


def test_gauss_newton_takes_fewer_steps():
    steps = {
        method: int(
            calibrate(
                [site(seen=observations(noise=1.0), loss="nse")], replace(QUICK, method=method), progress=False
            ).searches["reservoir"]["step"]
        )
        for method in ("bfgs", "gauss_newton")
    }
    assert steps["gauss_newton"] < steps["bfgs"]


def test_initial_values_and_values_of_ones_own_can_be_calibrated():
    made = site(
        loss="mean_square",
        bounds={"storage": (1.0, 30.0), "residence": (0.5, 20.0)},
        fixed={"gain": 0.8},
        assemble=lambda values: {"k": 1 / values["residence"]},
        logarithmic=("residence",),
    )
    found = calibrate([made], replace(QUICK, method="gauss_newton", tolerance=1e-8), progress=False).values("reservoir")
    assert found["residence"] == pytest.approx(1 / 0.3, rel=1e-3)
    assert found["storage"] == pytest.approx(10.0, rel=1e-3)


def test_standard_errors_are_those_of_repeated_experiments():
    strategy = replace(QUICK, method="gauss_newton", candidates=4, starts=1, finalists=1, steps=8)
    runs = [calibrate([site(seen=observations(noise=1.0, seed=s))], strategy, progress=False) for s in range(12)]
    for name in TRUE:
        spread = np.std([r.values("reservoir")[name] for r in runs], ddof=1)
        stated = np.median([r.standard_errors("reservoir")[name] for r in runs])
        # The spread of 12 runs is itself known to 20 %.
        assert 0.5 < stated / spread < 2.0, name


def test_held_back_observations_end_the_search():
    early, late = observations(noise=1.0, last=25), observations(noise=30.0, first=25, seed=5)
    made = site(seen=early, tuning=late, loss="mean_square")
    found = calibrate([made], replace(QUICK, steps=30, patience=2, tolerance=0.0), progress=False)
    state = found.searches["reservoir"]
    x = found.x("reservoir")
    whole = made.evaluate(x, gradient=False)
    assert whole.tuning[0] == pytest.approx(state["best_tuning"].min(), rel=1e-6)
    assert state["tuning_history"].shape == state["loss_history"].shape
    assert int(state["step"]) < 30


# --- parts of the record -------------------------------------------------------------------------


def test_a_part_of_a_site_has_its_own_observations_and_warm_up():
    made = site(warmup=5.0)
    part = made.between(10, 30)
    assert part.times[[0, -1]].tolist() == [10.0, 30.0]
    torch.testing.assert_close(part.forcing["rain"], RAIN[10:30])
    assert part.observations[0].times.min() == 15.0
    assert ((part.observations[1].times >= 15) & (part.observations[1].times <= 30)).all()
    assert np.isfinite(part.evaluate(np.zeros((1, 2))).loss).all()


# --- several sites, and failures -----------------------------------------------------------------


def test_a_site_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    fail_from_eleven(monkeypatch)
    good, bad, other = site("good"), site("bad", initial={"storage": 11.0}), site("other")
    checkpoint = tmp_path / "c.npz"
    found = calibrate([good, bad, other], QUICK, checkpoint=checkpoint, progress=False)
    assert [*found.searches] == ["good", "other"]
    assert "none of 8 points could be solved" in found.failures["bad"]
    assert "Newton" in found.failures["bad"]
    # It is remembered, and the others are not sought again.
    steps = []
    again = calibrate([good, bad, other], QUICK, checkpoint=checkpoint, progress=False, callback=steps.append)
    assert (again.failures, steps) == (found.failures, [])
    assert again.values("good") == found.values("good")
    with pytest.raises(SolverError, match="no site could be calibrated; site bad: none of 8"):
        calibrate([bad], QUICK, progress=False)


def test_points_that_are_near_are_not_refined_twice():
    made = site(loss="mean_square")
    search = multistart._Search(
        made, QUICK, keeper.Keeper(None, {}, False), multistart.Progress(False, 1.0, None), 1, 1
    )
    x = np.array([[0.0, 0.0], [0.01, 0.0], [2.0, 0.0], [0.0, 0.005]])
    kept = search._best_of(x, made, 4)
    assert len(kept) == 2
    assert 2.0 in kept[:, 0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": "nss"}, UnknownNameError, "the loss 'nss' is unknown"),
        ({"seen": ()}, InputError, "nothing to compare with"),
        ({"bounds": {}}, InputError, "nothing to calibrate"),
        ({"bounds": {"z": (0, 1)}}, UnknownNameError, "'z' is to be calibrated; it needs bounds, and to be one of"),
        ({"bounds": {"storage": None}}, UnknownNameError, "'storage' is to be calibrated"),
        ({"bounds": {"k": (2.0, 1.0)}}, BoundsError, "site reservoir: bounds of 'k'"),
        ({"fixed": {"k": 0.1}}, InputError, "'k' is both calibrated and given"),
        ({"priors": {"z": Prior(1.0, 1.0)}}, UnknownNameError, "a prior is given for 'z'"),
    ],
)
def test_sites_that_make_no_sense_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        site(**changes)


def test_what_cannot_be_done_is_named():
    with pytest.raises(InputError, match="sum of squares"):
        calibrate([site(loss="kge")], replace(QUICK, method="gauss_newton"), progress=False)
    with pytest.raises(InputError, match="a name of its own"):
        calibrate([site(), site()], QUICK, progress=False)
    with pytest.raises(InputError, match="positive spread"):
        Prior(1.0, 0.0)
    for change, message in (
        ({"method": "newton"}, "method must be one of"),
        ({"starts": 9}, "starts must be at most"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(InputError, match=message):
            replace(QUICK, **change)
    # A value that changes nothing has no standard error.
    useless = site(
        bounds={"k": None, "nothing": (0.0, 1.0)},
        fixed={"gain": 0.8},
        assemble=lambda v: {"k": v["k"] + 0 * v["nothing"]},
    )
    with pytest.raises(InputError, match="say nothing about"):
        useless.standard_errors(np.zeros((1, 2)))


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    calibrate([site(loss="mean_square")], replace(QUICK, steps=3))
    text = shown.getvalue()
    assert "at most 0:00:" in text
    assert "refining 3/3" in text
    assert "100%" in text


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": {"k": (0.02, 2.0)}},
        {"fixed": {"gain": 0.7}},
        {"initial": {"storage": 9.0}},
        {"loss": "nse"},
        {"priors": {"k": Prior(0.3, 0.1)}},
        {"settings": {**SETTINGS, "rtol": 1e-6}},
        {"warmup": 1.0},
        {"forcing": {"rain": 2 * RAIN}},
        {"observations": observations()[:1]},
        {"observations": (observations()[0], replace(observations()[1], error=2.0))},
        {"observations": (replace(observations()[0], interpolate=True), observations()[1])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_of_another_question_is_refused(tmp_path, change):
    asked = {"bounds": {"k": None}, "fixed": {"gain": 0.8}, "initial": {"storage": 10.0}, "settings": SETTINGS}
    site = Site("plot", RESERVOIR, np.arange(DAYS + 1.0), {"rain": RAIN}, observations(), **asked)
    checkpoint, short = tmp_path / "c.npz", replace(QUICK, candidates=2, starts=1, finalists=1, steps=1)
    calibrate([site], short, checkpoint=checkpoint, progress=False)
    calibrate([replace(site)], short, checkpoint=checkpoint, progress=False)
    with pytest.raises(DataError, match=r"belongs to another configuration \(different: data.plot was"):
        calibrate([replace(site, **change)], short, checkpoint=checkpoint, progress=False)
