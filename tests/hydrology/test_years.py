"""Years that count alike: the errors they get, and what a calibration makes of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from calibration import DAYS, write_basins, write_config

import pydiffgeo as dg
from pydiffgeo.calibration.objective import loss, residuals
from pydiffgeo.errors import DataError, InputError
from pydiffgeo.hydrology.calibrate.basins import prepare
from pydiffgeo.hydrology.calibrate.settings import read_settings
from pydiffgeo.hydrology.years import even_years
from pydiffgeo.observe import Observation

# A wet, a dry and a middling year, from 1 October; 2000 has a 29 February.
DATES = np.arange("1999-10-01", "2002-10-01", dtype="datetime64[D]")
YEARS = (slice(0, 366), slice(366, 731), slice(731, 1096))


@pytest.fixture
def observed():
    flow = np.random.default_rng(0).gamma(0.5, 1.0, len(DATES))
    for part, scale in zip(YEARS, (4.0, 1.0, 2.0), strict=True):
        flow[part] *= scale
    flow[[5, 400, 800]] = np.nan
    return flow


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_errors_follow_the_spread_of_each_year(observed, evenness):
    error = even_years(DATES, observed, evenness).numpy()
    variance = np.nanvar(observed)
    for part in YEARS:
        share = (np.nanvar(observed[part]) / variance + 0.1) / 1.1
        np.testing.assert_allclose(error[part], np.sqrt(variance * share**evenness), rtol=1e-12)
    # A part of a year more is a year of its own.
    longer = np.append(DATES, np.datetime64("2002-10-01"))
    assert even_years(longer, np.append(observed, 0.0), 1.0)[-1] < error.min() or evenness < 1


def test_with_evenness_a_year_counts_by_its_own_efficiency(observed):
    """A simulation that is as bad in each year, relative to its variance, loses as much in each."""
    gaps = np.isnan(observed)
    simulated = np.where(gaps, 0.0, observed)
    for part in YEARS:
        simulated[part] += np.nanstd(observed[part])
    squares = {}
    for evenness in (0.0, 1.0):
        error = even_years(DATES, observed, evenness).numpy()
        each = ((simulated - observed) / error) ** 2
        squares[evenness] = np.array([np.nanmean(each[part]) for part in YEARS])
    assert squares[0.0].max() > 8 * squares[0.0].min()
    # The least variance that is allowed for holds the driest back a little.
    assert squares[1.0].max() < 2.5 * squares[1.0].min()


def test_a_year_without_water_does_not_decide_alone(observed):
    observed[YEARS[1]] = 0.0
    error = even_years(DATES, observed, 1.0)
    assert error.min() > 0.3 * np.nanstd(observed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observed": np.ones(len(DATES))}, "needs observations that vary"),
        ({"observed": np.full(len(DATES), np.nan)}, "needs observations that vary"),
        ({"observed": np.ones(3)}, r"dates \(1096,\) and observed \(3,\)"),
        ({"dates": DATES[::-1]}, "dates must be in order"),
        ({"dates": ["yesterday"] * len(DATES)}, "dates must be days"),
        ({"evenness": 1.5}, "evenness must be a number from 0 to 1, got 1.5"),
    ],
)
def test_what_makes_no_sense_is_named(observed, change, message):
    with pytest.raises(InputError, match=message):
        even_years(**{"dates": DATES, "observed": observed, "evenness": 0.5, **change})


def _solution(runoff):
    """What the observation sees of a solution with this daily runoff."""
    fluxes = {"runoff": torch.as_tensor(runoff, dtype=torch.float64)}
    return SimpleNamespace(model=dg.models.ExpHydro(), grid=np.arange(len(DATES) + 1.0), fluxes=fluxes, batched=True)


def test_the_efficiency_is_that_in_units_of_the_error(observed):
    windows = np.stack([np.arange(1096.0), np.arange(1096.0) + 1], axis=1)
    plain = Observation("runoff", "flux_mean", windows, observed, error=1.0)
    runoff = np.random.default_rng(1).gamma(0.5, 1.0, (2, 1096))
    solution = _solution(runoff)
    expected = 1 - dg.losses.nse(torch.from_numpy(runoff), observed)
    for o in (plain, replace(plain, error=even_years(DATES, observed, 0.0))):
        torch.testing.assert_close(loss(solution, [o], "nse"), expected, rtol=1e-12, atol=0.0)
    even = replace(plain, error=even_years(DATES, observed, 1.0))
    changed = loss(solution, [even], "nse")
    assert ((changed - expected).abs() > 0.01).all()
    # Squares of the residuals add up to the loss: Gauss-Newton steps make the same small.
    for o in (plain, even):
        squares = (residuals(solution, [o], "nse") ** 2).sum(1)
        torch.testing.assert_close(squares, loss(solution, [o], "nse"), rtol=1e-10, atol=0.0)


def test_a_configuration_lets_years_count_alike(tmp_path):
    write_basins(tmp_path)
    path = write_config(tmp_path, ("seed = 1", "seed = 1\neven_years = 0.5"))
    basin = prepare(read_settings(path), "01000001")
    dates = basin.data.dates[basin.train]
    assert (dates[0], dates[-1]) == (DAYS[30], DAYS[135])
    (observation,) = basin.site.observations
    assert torch.equal(observation.error, even_years(dates, basin.observed[basin.train], 0.5))
    with pytest.raises(DataError, match=r"\[optimiser\] even_years needs the loss nse, not kge"):
        read_settings(write_config(tmp_path, ("seed = 1", 'even_years = 0.5\nloss = "kge"')))
    with pytest.raises(DataError, match=r"\[optimiser\] even_years must be a number from 0 to 1, got 2"):
        read_settings(write_config(tmp_path, ("seed = 1", "even_years = 2")))


def test_a_checkpoint_knows_the_errors(tmp_path):
    write_basins(tmp_path)
    sites = [
        prepare(read_settings(write_config(tmp_path)), "01000001").site,
        prepare(read_settings(write_config(tmp_path)), "01000001").site,
    ]
    assert sites[0].fingerprint == sites[1].fingerprint
    (observation,) = sites[0].observations
    other = replace(sites[0], observations=(replace(observation, error=0.2 * observation.error),))
    assert other.fingerprint != sites[0].fingerprint


def test_years_begin_on_the_day_of_the_first():
    dates = np.arange("1999-10-15", "2002-03-01", dtype="datetime64[D]")
    flow = np.random.default_rng(1).gamma(0.5, 1.0, len(dates))
    error = even_years(dates, flow, 1.0).numpy()
    begins = dates[1:][np.diff(error) != 0]
    assert begins.astype(str).tolist() == ["2000-10-15", "2001-10-15"]
