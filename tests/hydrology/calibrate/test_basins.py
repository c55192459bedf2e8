"""The same basin, wherever a configuration says that it lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from calibration import DAYS, write_basins, write_config

from pydiffgeo.errors import DataError
from pydiffgeo.hydrology.basin import BasinData, daylength
from pydiffgeo.hydrology.calibrate.basins import prepare
from pydiffgeo.hydrology.calibrate.settings import read_settings

NAME, FILE = "01000001", 'file = "basins.nc"'


def read(folder: Path, source: str, *changes: tuple[str, str]) -> BasinData:
    return prepare(read_settings(write_config(folder, (FILE, source), *changes)), NAME).data


@pytest.fixture
def stored(tmp_path: Path) -> xr.Dataset:
    with xr.open_dataset(write_basins(tmp_path), decode_timedelta=False) as data:
        return data.load()


def write_caravan(root: Path, data: xr.Dataset) -> None:
    folder = root / "timeseries" / "netcdf" / "ours"
    folder.mkdir(parents=True)
    names = {"prcp": "total_precipitation_sum", "tmean": "temperature_2m_mean", "q_obs": "streamflow", "time": "date"}
    for basin in data.basin.values:
        one = data.sel(basin=basin, drop=True).drop_vars("dayl").rename(names)
        for name in one:
            del one[name].attrs["units"]
        one.attrs["Units"] = "temperature_2m: [degC], total_precipitation: [mm], streamflow: [mm/d]"
        one.to_netcdf(folder / f"{basin}.nc", engine="h5netcdf")
    table = root / "attributes" / "ours" / "attributes_other_ours.csv"
    table.parent.mkdir(parents=True)
    table.write_text("gauge_id,gauge_lat,area\n01000001,44.0,86.4\n01000002,45.0,86.4\n")


def test_zarr(tmp_path, stored):
    pytest.importorskip("zarr")
    stored.to_zarr(tmp_path / "basins.zarr")
    ours, known = read(tmp_path, 'file = "basins.zarr"'), read(tmp_path, FILE)
    for name in ("dates", "precipitation", "temperature", "daylength", "runoff"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(known, name))


def test_caravan(tmp_path, stored):
    write_caravan(tmp_path / "Caravan", stored)
    ours, known = read(tmp_path, 'caravan = "Caravan"'), read(tmp_path, FILE)
    for name in ("dates", "precipitation", "temperature", "runoff"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(known, name))
    np.testing.assert_allclose(ours.daylength, daylength(44.0, ours.dates))
    # What is said of the units replaces what the file says.
    tenfold = read(tmp_path, 'caravan = "Caravan"\nunits = { precipitation = "cm d-1" }')
    np.testing.assert_allclose(tenfold.precipitation, 10 * known.precipitation)


def test_stream_flow_as_a_volume(tmp_path, stored):
    area = xr.DataArray([86.4, 8.64], dims="basin", attrs={"units": "km2"})
    flow = (stored.q_obs * area / 86.4).assign_attrs(units="m3 s-1")
    stored.assign(q_obs=flow, area=area).to_netcdf(tmp_path / "flow.nc", engine="h5netcdf")
    np.testing.assert_allclose(read(tmp_path, 'file = "flow.nc"').runoff, read(tmp_path, FILE).runoff, rtol=1e-12)


def test_series_that_are_not_needed_are_not_checked(tmp_path, stored):
    stored.assign(srad=stored.prcp.assign_attrs(units="sunny")).to_netcdf(tmp_path / "sun.nc", engine="h5netcdf")
    np.testing.assert_array_equal(read(tmp_path, 'file = "sun.nc"').runoff, read(tmp_path, FILE).runoff)


def test_a_series_that_is_not_found_says_how_to_name_it(tmp_path, stored):
    stored.rename(q_obs="gauged").to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    with pytest.raises(
        DataError, match=r"own.nc: no runoff; say which .* variables = \{runoff: ...\}; there are .*gauged"
    ):
        read(tmp_path, 'file = "own.nc"')
    named = read(tmp_path, 'file = "own.nc"\nvariables = { runoff = "gauged" }')
    np.testing.assert_array_equal(named.runoff, read(tmp_path, FILE).runoff)


def test_only_the_basin_that_is_asked_for_is_read(tmp_path, stored, monkeypatch):
    """Of a large collection, one basin at a time must not cost the whole file."""
    wide = xr.concat([stored.isel(basin=[0])] * 50, "basin").assign_coords(basin=[f"{i}" for i in range(49)] + [NAME])
    wide.to_netcdf(tmp_path / "wide.nc", engine="h5netcdf")
    shapes = []
    load = xr.Dataset.load
    monkeypatch.setattr(xr.Dataset, "load", lambda self, **k: shapes.append(dict(self.sizes)) or load(self, **k))
    read(tmp_path, 'file = "wide.nc"')
    assert shapes == [{"basin": 1, "time": len(DAYS)}]
