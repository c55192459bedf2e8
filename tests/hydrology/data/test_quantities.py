"""Which variable of a file is which quantity: by name, standard name, method and unit."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import UnitError

DAYS = np.arange("2001-01-01", "2001-01-11", dtype="datetime64[D]").astype("datetime64[ns]")


def named(name: str, unit: str = "degC", **attributes: str) -> xr.Dataset:
    values = (("basin", "time"), np.ones((1, 10)), {"units": unit, **attributes})
    other = (("basin", "time"), np.full((1, 10), 3.0), {"units": "mm d-1"})
    return xr.Dataset({name: values, "q_obs": other}, {"basin": ["a"], "time": DAYS})


AIR = {"standard_name": "air_temperature"}


@pytest.mark.parametrize(
    ("data", "quantity"),
    [
        (named("tmean", **AIR), "temperature"),
        (named("x", **AIR), "temperature"),
        (named("tmin", **AIR), "temperature_min"),
        (named("x", **AIR, cell_methods="area: maximum time: mean"), "temperature"),
        (named("x", **AIR, cell_methods="time: minimum (interval: 1 hour)"), "temperature_min"),
        (named("x", **AIR, cell_methods="lat: lon: mean time: maximum within days"), "temperature_max"),
        # The standard name, or the method, says that it is something else than its name.
        (named("tmean", standard_name="soil_temperature"), None),
        (named("temperature", standard_name="sea_surface_temperature"), None),
        (named("tmean", **AIR, cell_methods="time: standard_deviation"), None),
        (named("tmean", **AIR, cell_methods="time: range"), None),
        (named("tmean", cell_methods="time: minimum"), None),
        (named("tmin", cell_methods="time: maximum"), None),
        (named("x", **AIR, cell_methods="time: sum"), None),
        (named("prcp", "mm d-1", standard_name="convective_precipitation_flux"), None),
        (named("dayl", "h", standard_name="duration_of_sunshine"), None),
    ],
)
def test_names_and_methods_are_read_together(stored, data, quantity):
    read = dg.hydrology.open_cf(stored(data))
    assert {*read.data_vars} == {"runoff", *([quantity] if quantity else [])}
    if quantity is None:
        assert read.attrs["left_out"] in data.data_vars


def test_a_standard_name_does_not_replace_the_unit(stored):
    for data in (
        named("x", "mm", standard_name="lwe_precipitation_rate"),
        named("x", "1", **AIR),
        named("x", "kg m-2", standard_name="runoff_flux").drop_vars("q_obs"),
    ):
        with pytest.raises(UnitError, match=r"any\.nc: x has the unit"):
            dg.hydrology.open_cf(stored(data))


def test_methods_follow_the_axis_of_times_when_it_is_renamed(stored):
    data = named("x", **AIR, cell_methods="date: minimum").rename(time="date")
    assert "temperature_min" in dg.hydrology.open_cf(stored(data), dimensions=("basin", "date"))
