"""Fill values, valid ranges and packed numbers: what is missing is NaN, in whatever type a file says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError

GONE = 2  # where the value is that is to become NaN


def read(folder: Path, values: Any, *, missing: Any = (), **attributes: Any) -> Any:
    """What a reader makes of temperatures stored so, `(times,)`."""
    values = np.asarray(values)
    data = xr.Dataset(
        {"tmean": (("basin", "time"), values[None], {"units": "degC", **attributes})},
        {"basin": ["a"], "time": ("time", np.arange(len(values)), {"units": "days since 2000-01-01"})},
    )
    # Fill values of HDF5 have the type of the data: those of another type are plain attributes.
    data.tmean.encoding["_FillValue"] = None
    data.to_netcdf(folder / "packed.nc", engine="h5netcdf")
    with xr.open_dataset(folder / "packed.nc", decode_cf=False) as raw:
        assert raw.tmean.dtype == values.dtype
    found = dg.hydrology.open_cf(folder / "packed.nc", missing=missing)
    assert found.temperature.dtype == np.float64
    return found.temperature.values[0]


def one_gone(found: Any, others: Any) -> None:
    expected = np.asarray(others, np.float64)
    expected[GONE] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("said", [np.float32(-99.9), np.float64(-99.9), np.array([-1e20, -99.9])])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("stored", [np.float64(-99.9), np.float64(np.float32(-99.9))])
def test_a_missing_value_of_another_precision(tmp_path, said, kind, stored):
    values = np.array([5.0, 0.0, stored, -99.8, 7.0], kind)
    one_gone(read(tmp_path, values, missing_value=said), values)
    one_gone(read(tmp_path, values, missing=np.ravel(said).tolist()), values)


@pytest.mark.parametrize("said", [np.int16(-999), np.int32(-999), np.int64(-999), np.float32(-999), np.float64(-999)])
@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64])
def test_a_missing_value_of_whole_numbers(tmp_path, said, kind):
    values = np.array([5, 0, -999, -998, 7], kind)
    one_gone(read(tmp_path, values, missing_value=said), values)
    # Packed: the missing value is one of the packed numbers.
    one_gone(read(tmp_path, values, missing_value=said, scale_factor=0.5, add_offset=-3.0), values * 0.5 - 3)


def test_missing_values_that_no_packed_number_can_be_are_those_it_stands_for(tmp_path):
    values = np.array([50, 0, -999, -998, 70], np.int16)
    for said in (-99.9, np.float32(-99.9)):
        one_gone(read(tmp_path, values, missing_value=said, scale_factor=0.1), values * 0.1)
    # What the user says is of the unit of the file, unpacked.
    one_gone(read(tmp_path, values, missing=[-99.9], scale_factor=0.1), values * 0.1)
    assert not np.isnan(read(tmp_path, values, missing=[-999.0], scale_factor=0.1)).any()
    assert not np.isnan(read(tmp_path, values, missing_value=1e20)).any()


def test_unsigned_numbers_in_signed_types(tmp_path):
    values = np.array([1, 100, -1, -56, 0], np.int8)
    found = read(tmp_path, values, _Unsigned="true", missing_value=np.int8(-1), scale_factor=0.25)
    one_gone(found, np.array([1, 100, 255, 200, 0]) * 0.25)


def test_valid_ranges_of_unsigned_numbers_in_signed_types(tmp_path):
    # Bits of the limits are read as those of the data: -2 stands for 254.
    values = np.array([1, 100, -1, -56, 0], np.int8)
    found = read(tmp_path, values, _Unsigned="true", valid_range=np.array([0, -2], np.int8))
    np.testing.assert_array_equal(found, [1, 100, np.nan, 200, 0])


def test_zero_and_tiny_numbers_are_not_the_same(tmp_path):
    values = np.array([1e-50, 1.0, 0.0, -1e-60])
    found = read(tmp_path, values, missing_value=0.0)
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, False])


@pytest.mark.parametrize(
    ("limits", "values", "gone"),
    [
        # Limits are values that may be: NetCDF Users Guide, appendix A.
        ({"valid_range": np.array([0, 50], np.float32)}, [0, 50, 50.1, -0.1], [2, 3]),
        ({"valid_range": np.array([0.1, 49.9])}, np.array([0.1, 49.9, 50, 0], np.float32), [2, 3]),
        ({"valid_min": np.float32(0.1)}, np.array([0.1, 1, 0.09]), [2]),
        ({"valid_max": 49.9}, np.array([49.9, 60, -5], np.float32), [1]),
        ({"valid_min": 0, "valid_max": 50}, np.array([0, 50, 51, -1], np.int16), [2, 3]),
        ({"valid_range": np.array([0.0, 50.0])}, np.array([0, 50, 51, -1], np.int16), [2, 3]),
    ],
)
def test_what_lies_outside_the_valid_range_is_missing(tmp_path, limits, values, gone):
    found = read(tmp_path, np.asarray(values), **limits)
    assert np.flatnonzero(np.isnan(found)).tolist() == gone


def test_valid_ranges_of_packed_numbers(tmp_path):
    values = np.array([0, 500, 501, -1], np.int16)
    packing = {"scale_factor": 0.1, "add_offset": 10.0}
    # Of the packed type: of packed numbers. In floating point: of the numbers they stand for.
    for limits in (np.array([0, 500], np.int16), np.array([0, 500], np.int64), np.array([10.0, 60.0])):
        found = read(tmp_path, values, valid_range=limits, **packing)
        np.testing.assert_allclose(found, [10, 60, np.nan, np.nan])


def test_what_was_never_written_is_missing(tmp_path):
    for kind, fill in ((np.float32, 9.969209968386869e36), (np.float64, 9.969209968386869e36), (np.int16, -32767)):
        values = np.array([1, 2, fill, 3], kind)
        one_gone(read(tmp_path, values), np.array([1, 2, 0, 3]))


@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_range": [0.0, 1.0, 2.0]},
        {"valid_range": [1.0, 0.0]},
        {"valid_min": "low"},
        {"missing_value": "none"},
        {"scale_factor": 0.0},
        {"scale_factor": np.nan},
        {"add_offset": "ten"},
        {"valid_max": np.nan},
        {"scale_factor": [1.0, 2.0]},
    ],
)
def test_attributes_that_make_no_sense_are_named(tmp_path, attributes):
    with pytest.raises(DataError, match=rf"packed\.nc: tmean cannot be unpacked .*{next(iter(attributes))}"):
        read(tmp_path, np.arange(4.0), **attributes)


def test_areas_and_times_have_fill_values_too(tmp_path):
    data = xr.Dataset(
        {
            "q_obs": (("basin", "time"), np.ones((2, 3)), {"units": "m3 s-1"}),
            "area": ("basin", np.array([86.4, -9999.0], np.float32), {"units": "km2", "missing_value": -9999.0}),
        },
        {
            "basin": ["a", "b"],
            "time": ("time", np.array([0, -999, 2]), {"units": "days since 2000-01-01", "missing_value": -999.0}),
        },
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(TimeAxisError, match="entry 1 of the time axis is missing"):
        dg.hydrology.open_cf(tmp_path / "a.nc")
    data.assign_coords(time=("time", np.arange(3), {"units": "days since 2000-01-01"})).to_netcdf(
        tmp_path / "b.nc", engine="h5netcdf"
    )
    with pytest.raises(DataError, match=r"basin b has no area.*got nan"):
        dg.hydrology.open_cf(tmp_path / "b.nc")
    np.testing.assert_allclose(dg.hydrology.open_cf(tmp_path / "b.nc", basins=["a"]).runoff, 1.0)
