"""A part of a result that cannot be had costs that part alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from calibration import write_basins, write_config

from pydiffgeo.errors import BoundsError, DataError, SolverError
from pydiffgeo.hydrology import calibrate_file
from pydiffgeo.hydrology.calibrate import from_toml as files
from pydiffgeo.hydrology.calibrate import result_file as results

SHORT = (("\nsteps = 6", "\nsteps = 1"), ("window = 40", "window = 0"), ("candidates = 8", "candidates = 4"))


@pytest.fixture
def config(tmp_path):
    write_basins(tmp_path)
    return write_config(tmp_path, *SHORT)


def refuse(*_args, **_given):
    raise BoundsError("it does not like that")


def test_a_part_that_cannot_be_had_costs_that_part_alone(config, monkeypatch):
    monkeypatch.setattr(results, "_prior_runoff", refuse)
    monkeypatch.setattr(files, "_together", refuse)
    with xr.open_dataset(calibrate_file(config, progress=False)) as data:
        assert data.status.values.tolist() == ["ok", "ok"]
        assert "no ensemble: it does not like that; no runoff_prior: it does not like that" in str(data.notes.values[0])
        assert np.isfinite(data.nse).all()
        assert np.isnan(data.runoff_prior).all()
        assert np.isnan(data.ensemble_nse).all()


def test_values_are_written_of_basins_that_cannot_be_solved_any_more(config, monkeypatch):
    whole = files._whole
    monkeypatch.setattr(files, "_whole", lambda b, f: refuse() if b.site.name == "01000002" else whole(b, f))
    with xr.open_dataset(calibrate_file(config, progress=False)) as data:
        assert data.status.values[0] == "ok"
        assert data.status.values[1] == "could not be solved over the whole record: it does not like that"
        assert np.isfinite(data.f).all()
        assert np.isfinite(data.finalist_loss.values[1]).any()
        assert np.isnan(data.nse.values[1]).all()


def test_values_are_written_even_where_no_basin_can_be_solved_any_more(config, monkeypatch):
    monkeypatch.setattr(files, "_whole", refuse)
    with pytest.raises(SolverError, match=r"over the whole record; .*; what was found is in .*result.nc"):
        calibrate_file(config, progress=False)
    with xr.open_dataset(config.parent / "result.nc") as data:
        assert np.isfinite(data.f).all()
        assert (data.f.attrs["valid_min"], data.f.attrs["valid_max"]) == (0.01, 0.1)


def test_a_result_that_cannot_be_written_is_kept_in_the_checkpoint(config, monkeypatch):
    monkeypatch.setattr(files, "write_result", lambda *_: (_ for _ in ()).throw(DataError("the disk is full")))
    with pytest.raises(
        DataError, match=r"the disk is full; what was found is in .*checkpoint.npz, from which the same"
    ):
        calibrate_file(config, progress=False)
    monkeypatch.undo()
    steps = []
    assert calibrate_file(config, progress=False, callback=steps.append).exists()
    assert steps == []
