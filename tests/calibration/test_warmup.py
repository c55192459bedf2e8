"""Warm-ups are cut once and everywhere; no window or tolerance in a unit assumed; what was found is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from reservoirs import DAYS, QUICK, RESERVOIR, observations, site, truth

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site, calibrate, check_site, keeper, multistart, site_dataset
from pydiffgeo.errors import DataError, InputError, TimeError
from pydiffgeo.observe import Observation

ONCE = replace(QUICK, candidates=4, starts=1, finalists=1, steps=2)


def stored(times, **changes):
    """Storage as it truly was, at some times."""
    values = dg.observe.values_at(truth(), "storage", times).numpy()
    return Observation("storage", "value", times, values, error=1.0, **changes)


# --- the warm-up ---------------------------------------------------------------------------------


def test_a_warm_up_counts_from_the_start_of_a_record_that_does_not_begin_at_zero():
    times = np.arange(100.0, 161.0)
    seen = Observation("storage", "value", times[::5], np.ones(13), error=1.0)
    made = Site("s", RESERVOIR, times, {"rain": np.ones(60)}, (seen,), bounds={"k": None}, warmup=21.0)
    np.testing.assert_array_equal(made.observations[0].times, np.arange(125.0, 161.0, 5.0))


def test_what_was_observed_in_the_warm_up_counts_nowhere():
    # The store does not begin as it truly did, which is forgotten after twenty days.
    wrong = {"initial": {"storage": 80.0}, "loss": "mean_square"}
    times = np.arange(1.0, DAYS)
    made = site(seen=(stored(times),), tuning=(stored(times),), warmup=20.0, **wrong)
    late = site(seen=(stored(times[times >= 20]),), tuning=(stored(times[times >= 20]),), **wrong)
    for o in (*made.observations, *made.tuning):
        np.testing.assert_array_equal(o.times, times[times >= 20])
    x = np.array([[0.1, 0.2]])
    for normal in (False, True):
        a, b = made.evaluate(x, normal=normal), late.evaluate(x, normal=normal)
        np.testing.assert_array_equal([a.loss, a.tuning], [b.loss, b.tuning])
        np.testing.assert_array_equal(a.gradient, b.gradient)
    assert made.standard_errors(x) == late.standard_errors(x)
    assert site(seen=(stored(times),), **wrong).evaluate(x).loss > 3 * made.evaluate(x).loss
    np.testing.assert_array_equal(made.between(0, DAYS).observations[0].times, made.observations[0].times)
    found = calibrate([made], ONCE, progress=False)
    data = site_dataset(found, "reservoir")
    assert data.storage_0_observed.size == (times >= 20).sum()
    assert data.attrs["warmup"] == "20 d"
    shown = check_site(made, rtols=[1e-6]).runs[0].loss
    middle = made.objective(torch.zeros((1, 2), dtype=torch.float64))[0].item()
    assert shown == pytest.approx(middle, rel=1e-4)


def test_a_window_that_begins_in_the_warm_up_is_left_out():
    outflow, _ = observations()
    made = site(seen=(outflow,), warmup=2.5)
    assert made.observations[0].times[0].tolist() == [3.0, 4.0]
    assert made.observations[0].values.shape == (DAYS - 3,)
    # To a hair: three times a tenth is more than three tenths.
    fine = Site(
        "x", RESERVOIR, np.array([0.0, 0.3, 1.0]), {"rain": 1.0}, (stored([0.3, 1.0]),), {"k": None}, warmup=3 * 0.1
    )
    assert len(fine.observations[0].times) == 2


def test_a_prior_weighs_against_what_is_compared():
    times = np.arange(1.0, DAYS)
    given = {"loss": "nse", "priors": {"k": Prior(0.5, 0.1)}}
    made = site(seen=(stored(times),), warmup=30.0, **given)
    late = site(seen=(stored(times[times >= 30]),), **given)
    assert made.evaluate(np.zeros((1, 2))).loss == late.evaluate(np.zeros((1, 2))).loss


@pytest.mark.parametrize("key", ["observations", "tuning"])
def test_observations_that_are_never_compared_are_refused(key):
    early, good = (stored([1.0, 2.0]),), (stored([20.0, 30.0]),)
    what = {"tuning": "observations for tuning"}.get(key, key)
    with pytest.raises(InputError, match=f"site reservoir: none of the {what} lie after the warm-up, which ends at 10"):
        site(warmup=10.0, **{"seen": good, {"observations": "seen"}.get(key, key): early})
    beyond = (Observation("storage", "value", [-1.0, 3.0], [1.0, 2.0], error=1.0),)
    for warmup in (0.0, 2.0):
        with pytest.raises(TimeError, match=r"site reservoir: storage is observed from -1 to 3, beyond the record"):
            site(warmup=warmup, **{"seen": good, {"observations": "seen"}.get(key, key): beyond})


# --- units ---------------------------------------------------------------------------------------


def test_the_part_that_is_explored_does_not_depend_on_the_unit_of_time():
    random = np.random.default_rng(2)
    days = np.arange(0.0, 4001.0, 4.0)
    values = random.normal(size=len(days)) * np.where((days > 2300) & (days < 2700), 3.0, 1.0)
    values[(days > 1000) & (days < 1500)] = np.nan
    chosen = []
    for unit, per in (("d", 1.0), ("h", 24.0), ("s", 86400.0), ("a", 1 / 365.25)):
        model = replace(RESERVOIR, time_unit=unit)
        o = Observation("storage", "value", days * per, values, error=1.0)
        made = Site("x", model, days * per, {"rain": 1.0}, (o,), {"k": None}, warmup=200.0 * per, loss="nse")
        part = multistart.window(made, 500.0 * per)
        chosen.append(part.times[[0, -1]] / per)
        assert multistart.window(made, 0.01 * per).times[-1] > 0  # of many thousand parts a hundred are looked at
    np.testing.assert_allclose(chosen, [chosen[0]] * 4)
    # By every start there is, it is as good as the best to the fifth by which starts are apart.
    inside = [np.nansum(values[(days >= s + 200) & (days <= s + 700)] ** 2) for s in days[days <= 3300]]
    at = (days >= chosen[0][0] + 200) & (days <= chosen[0][1])
    assert np.nansum(values[at] ** 2) > 0.8 * max(inside)


def test_parts_without_enough_observations_are_passed_over():
    early = stored(np.arange(1.0, 8.0))
    made = site(seen=(early, stored([30.0])), loss="nse")
    part = multistart.window(made, 10.0)
    assert [o.times[0] for o in part.observations] == [1.0] or len(part.observations) == 1


def test_candidates_are_compared_with_both_tolerances_as_far_apart_as_they_were():
    for given, wanted in (
        ({"rtol": 1e-8, "atol": 1e-14}, (1e-3, 1e-9)),
        ({"rtol": 1e-4, "atol": 1e-4}, (1e-3, 1e-3)),
        ({"rtol": 1e-2, "atol": 1e-6}, (1e-2, 1e-6)),
        ({}, (1e-3, 1e-5)),
    ):
        coarse = site(settings={"engine": "sundials", **given}).coarse().settings
        assert (coarse["rtol"], coarse["atol"]) == pytest.approx(wanted)


# --- baselines -----------------------------------------------------------------------------------


# --- what was found is written -------------------------------------------------------------------


def test_a_mistake_of_a_callback_loses_nothing(tmp_path):
    def mistaken(step):
        if step.number == 2:
            raise ZeroDivisionError

    sites, checkpoint = [site("a", loss="nse"), site("b", loss="nse")], tmp_path / "c.npz"
    with pytest.raises(ZeroDivisionError):
        calibrate(sites, ONCE, checkpoint=checkpoint, progress=False, callback=mistaken)
    steps = []
    calibrate(sites, ONCE, checkpoint=checkpoint, progress=False, callback=steps.append)
    assert [(s.site, s.step) for s in steps] == [("b", 2)]


def test_a_checkpoint_that_cannot_be_written_costs_no_result(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="there is no folder"):
        calibrate([site()], ONCE, checkpoint=tmp_path / "absent" / "c.npz", progress=False)
    monkeypatch.setattr(keeper, "save", lambda *_: (_ for _ in ()).throw(DataError("the disk is full")))
    with pytest.warns(RuntimeWarning, match="the checkpoint could not be written .the disk is full."):
        found = calibrate([site()], ONCE, checkpoint=tmp_path / "c.npz", progress=False)
    assert [*found.searches] == ["reservoir"]


def test_ensembles_with_priors_are_what_they_are_in_the_loss():
    made = site(seen=observations()[1:], loss="nse", priors={"k": Prior(0.3, 1e3)})
    x = np.array([[0.0, 0.0], [1.0, -1.0], [-1.0, 1.0]])
    plain = replace(made, priors={}).evaluate(x, gradient=False).loss
    state = {"best_x": x, "best_loss": made.evaluate(x, gradient=False).loss, "best_tuning": np.full(3, np.inf)}
    found = dg.calibration.CalibrationResult({"reservoir": made}, {"reservoir": state}, {})
    # A prior as wide as this says nothing: members are those whose plain loss is within the part that is asked for.
    for within in (0.0, 0.5 * (np.sort(plain)[1] / plain.min() - 1), 1.01 * (np.sort(plain)[1] / plain.min() - 1), 1e6):
        assert len(found.ensemble("reservoir", within)["k"]) == (plain <= (1 + within) * plain.min() * (1 + 1e-9)).sum()
