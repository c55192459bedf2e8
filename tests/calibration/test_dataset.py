"""What a calibration in Python has found, as a dataset that can be written and reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.calibration import CalibrationResult, Prior, Site, Strategy, calibrate, site_dataset
from pydiffgeo.errors import UnknownSiteError
from pydiffgeo.observe import Observation, flux_sums, values_at

COLUMN = dg.models.RichardsColumn(depth=1.0, cells=10, top="flux")
TIMES = np.arange(7.0)
FORCING = {"flux": torch.tensor([0.02, 0.0, 0.01, 0.03, 0.0, 0.0], dtype=torch.float64)}
SETTINGS = {"engine": "sundials", "rtol": 1e-5, "atol": 1e-7}
# Probes with times of their own, one of which both share; the second has a gap.
SEEN = {0.1: [0.5, 2.0, 4.5], 0.4: [2.0, 5.0]}


@pytest.fixture(scope="module")
def found() -> CalibrationResult:
    truth = dg.solve(COLUMN, {"K_s": 0.2}, forcing=FORCING, times=TIMES, initial={"head": -1.0}, **SETTINGS)
    observations = []
    for depth, when in SEEN.items():
        values = values_at(truth, "theta", when, depth=depth).numpy().copy()
        if depth == 0.4:
            values[1] = np.nan
        observations.append(Observation("theta", "value", when, values, error=0.005, depth=depth))
    weeks = [[0.0, 3.0], [3.0, 6.0]]
    drained = flux_sums(truth, "drainage", weeks).numpy()
    observations.append(Observation("drainage", "flux_sum", weeks, drained, error=1e-3))
    site = Site(
        "plot",
        COLUMN,
        TIMES,
        FORCING,
        tuple(observations),
        {"K_s": (0.01, 1.0)},
        initial={"head": -1.0},
        priors={"K_s": Prior(0.3, 1.0, log=True)},
        loss="gaussian",
        settings=SETTINGS,
    )
    return calibrate([site], Strategy(candidates=4, starts=1, finalists=1, steps=8), progress=False)


def test_values_come_with_bounds_prior_and_error(found):
    data = site_dataset(found, "plot")
    assert data.K_s.item() == found.values("plot")["K_s"] == pytest.approx(0.2, rel=0.01)
    assert (data.K_s.attrs["valid_min"], data.K_s.attrs["valid_max"], data.K_s.attrs["units"]) == (0.01, 1.0, "m d-1")
    assert data.K_s_prior.item() == 0.3
    assert data.K_s_standard_error.item() == found.standard_errors("plot")["K_s"]
    # The parameter of the cells is there all the same.
    np.testing.assert_allclose(data.parameter_K_s.values, found.values("plot")["K_s"])
    assert data.loss.dims == ("finalist", "step")
    assert data.loss.values[0, -1] == found.searches["plot"]["best_loss"][0]
    assert (data.attrs["engine"], data.attrs["rtol"], data.attrs["loss"]) == ("sundials", 1e-5, "gaussian")


def test_observations_lie_beside_what_was_simulated(found):
    data = site_dataset(found, "plot")
    assert data.when.values.tolist() == [0.5, 2.0, 4.5, 5.0]
    assert data.probe_depth.values.tolist() == [0.1, 0.4]
    known = [[True, False], [True, True], [True, False], [False, False]]
    assert np.isfinite(data.theta_observed.values).tolist() == known
    # Where a probe has a gap there is a simulated value.
    known[3][1] = True
    assert np.isfinite(data.theta_simulated.values).tolist() == known
    np.testing.assert_allclose(data.theta_observed.values[:3], data.theta_simulated.values[:3], atol=1e-3)
    assert data.drainage_2_observed.dims == ("drainage_2_when",)
    assert data.drainage_2_when_bounds.values.tolist() == [[0.0, 3.0], [3.0, 6.0]]
    np.testing.assert_allclose(data.drainage_2_observed, data.drainage_2_simulated, rtol=0.02)


def test_it_is_written_and_reported(found, tmp_path):
    path = dg.io.write_dataset(tmp_path / "plot.nc", site_dataset(found, "plot", start="2001-05-01"))
    with xr.open_dataset(path) as data:
        assert data.when.values[0] == np.datetime64("2001-05-01T12:00")
    page = dg.report.write_report(path, tmp_path / "plot.html").read_text()
    for text in ("dots are measured", "K_s", "Loss over the steps", "hollow: before calibration"):
        assert text in page


def test_a_calibrated_initial_state_is_told_from_the_state(found):
    site = found.sites["plot"]
    start = replace(
        site,
        bounds={"theta": (0.1, 0.4)},
        fixed={"K_s": 0.2},
        initial={},
        priors={},
        loss="nse",
        observations=site.observations[:1],
    )
    data = site_dataset(
        calibrate([start], Strategy(candidates=2, starts=1, finalists=1, steps=2), progress=False), "plot"
    )
    assert data.theta.dims == ("time", "cell")
    assert data.initial_theta.attrs["long_name"].endswith("at the start (calibrated)")


def test_a_site_that_failed_says_why(found):
    with pytest.raises(UnknownSiteError, match=r"there is nothing of a site 'field': there are \['plot'\]"):
        site_dataset(found, "field")
    with pytest.raises(UnknownSiteError, match=r"'plot': too dry"):
        site_dataset(CalibrationResult(found.sites, {}, {"plot": "too dry"}), "plot")
