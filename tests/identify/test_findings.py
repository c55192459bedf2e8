"""What is told reaches a file and the page of a report, for a site and for basins of a configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from calibration import write_basins, write_config
from reservoirs import QUICK, TRUE, observations, site

import pydiffgeo as dg
from pydiffgeo.errors import DataError, UnknownSiteError
from pydiffgeo.hydrology.calibrate.from_toml import calibrate_file
from pydiffgeo.identify import ErrorModel, of_calibration, of_site, tell


@pytest.fixture(scope="module")
def found() -> dg.calibration.CalibrationResult:
    return dg.calibration.calibrate([site(seen=observations(noise=1.0))], QUICK, progress=False)


def test_a_calibration_knows_its_values(found: dg.calibration.CalibrationResult) -> None:
    told = tell(of_calibration(found, "reservoir"))
    assert told.verdicts == {"k": "known", "gain": "known"}
    for name, (low, _, high) in told.posterior.intervals(0.99).items():
        assert low < TRUE[name] < high
    # With errors as stated these are the standard errors of the calibration.
    one = told.posterior.intervals(0.6826895)
    for name, error in found.standard_errors("reservoir").items():
        assert (one[name].high - one[name].low) / 2 == pytest.approx(error, rel=0.02)


def test_a_dataset_with_findings_has_a_page(
    found: dg.calibration.CalibrationResult, tmp_path: Path, undrawn: None
) -> None:
    told = tell(of_calibration(found, "reservoir", errors=ErrorModel(None, None, None)))
    data = dg.calibration.site_dataset(found, "reservoir").assign(told.variables())
    file = dg.io.write_dataset(tmp_path / "result.nc", data)
    text = dg.report.write_report(file).read_text()
    assert "What the data tell" in text
    assert "lies between" in text
    assert "Of 2 sought values the data fix all combinations" in text
    with xr.open_dataset(file) as kept:
        assert (kept["told_low"].values < kept["told_value"].values).all()
        assert [*map(str, kept["sought"].values)] == ["k", "gain"]


def test_one_line_of_a_configuration_asks_for_it(tmp_path: Path, undrawn: None) -> None:
    write_basins(tmp_path)
    with xr.open_dataset(tmp_path / "basins.nc") as clean:
        noisy = clean.load()
    noisy["q_obs"] += 0.05 * np.random.default_rng(0).normal(size=noisy["q_obs"].shape)
    noisy.to_netcdf(tmp_path / "basins.nc", engine="h5netcdf")
    config = write_config(tmp_path, ('file = "result.nc"', 'file = "result.nc"\nuncertainty = "laplace"'))
    result = calibrate_file(config, progress=False)
    with xr.open_dataset(result) as data:
        assert data["told_value"].shape == (2, 4)
        assert (data["told_low"] < data["told_high"]).all()
        inside = (data["runoff_observed"] >= data["runoff_low"]) & (data["runoff_observed"] <= data["runoff_high"])
        share = float(inside.where(np.isfinite(data["runoff_observed"])).mean())
        assert 0.75 < share <= 1.0
    text = dg.report.write_report(result).read_text()
    assert "of all observations" in text
    with pytest.raises(DataError, match="uncertainty"):
        calibrate_file(write_config(tmp_path, ('file = "result.nc"', 'file = "result.nc"\nuncertainty = "bayes"')))


def test_a_site_that_is_not_there_is_named(found: dg.calibration.CalibrationResult) -> None:
    with pytest.raises(UnknownSiteError, match="pond"):
        of_calibration(found, "pond")
    with pytest.raises(ValueError, match="2 variables"):
        of_site(found.sites["reservoir"], [0.0])
