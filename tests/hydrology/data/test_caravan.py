"""Folders of Caravan as datasets: values against what was written, and what is wrong by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from folders import DAYS, caravan_folder

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError
from pydiffgeo.io.units import UNSTATED


@pytest.fixture
def caravan(tmp_path: Path) -> Path:
    return caravan_folder(tmp_path)


def test_caravan_as_a_dataset(caravan):
    data = dg.hydrology.open_caravan(
        caravan, variables={"potential_evaporation": "potential_evaporation_sum_ERA5_LAND"}
    )
    assert dict(data.sizes) == {"basin": 3, "time": 5}
    assert data.basin.values.tolist() == ["camels_1", "camels_2", "lamah_1"]
    np.testing.assert_allclose(data.precipitation, [[1, 2, 3, 4, 5], [np.nan, 2, 4, 6, 8], [1, 2, 3, 4, 5]])
    np.testing.assert_allclose(data.runoff[0], [4, 5, 6, 7, 8])
    assert {n: data[n].attrs["units"] for n in ("precipitation", "temperature", "potential_evaporation", "runoff")} == {
        "precipitation": "mm d-1",
        "temperature": "degC",
        "potential_evaporation": "mm d-1",
        "runoff": "mm d-1",
    }
    np.testing.assert_allclose(data.area, [10, 20, 10])
    np.testing.assert_allclose(data.frac_snow, [0.1, 0.2, 0.1])
    reverse = dg.hydrology.open_caravan(caravan, basins=["lamah_1", "camels_2"])
    assert reverse.basin.values.tolist() == ["lamah_1", "camels_2"]
    np.testing.assert_allclose(reverse.gauge_lat, [40, 41])


def test_both_kinds_of_potential_evaporation_are_found(caravan):
    assert dg.hydrology.open_caravan(caravan).potential_evaporation[0, 0] == 3
    for file in caravan.rglob("*.nc"):
        newer = {
            "potential_evaporation_sum_FAO_PENMAN_MONTEITH": ("date", np.full(len(xr.load_dataset(file).date), 7.0))
        }
        changed(
            file,
            lambda d, newer=newer: d.assign(newer).assign_attrs(
                Units=d.Units + "\npotential_evaporation_sum_FAO_PENMAN_MONTEITH: Potential Evaporation [mm] (FAO)"
            ),
        )
    data = dg.hydrology.open_caravan(caravan)
    np.testing.assert_array_equal(data.potential_evaporation[0], 7)
    assert data.left_out == "potential_evaporation_sum_ERA5_LAND"


def test_attributes_of_caravan_have_units(caravan):
    names = (
        "pet_mean_ERA5_LAND",
        "pet_mean_FAO_PM",
        "aridity_ERA5_LAND",
        "moisture_index_FAO_PM",
        "seasonality",
        "pet_mean",
    )
    for table in caravan.rglob("attributes_caravan_*.csv"):
        heading, *rows = table.read_text().split()
        table.write_text("\n".join([heading + "," + ",".join(names) + ",ele_mt_sav", *(r + ",1" * 7 for r in rows)]))
    data = dg.hydrology.open_caravan(caravan)
    units = ["mm d-1", "mm d-1", "1", "1", "1", "mm d-1"]
    assert [data[k].attrs["units"] for k in names] == units
    assert data.area.attrs["units"] == "km2"
    # No unit is made up, and none does not mean that it is dimensionless.
    assert "units" not in data.ele_mt_sav.attrs
    assert data.ele_mt_sav.attrs["comment"] == UNSTATED
    said = dg.hydrology.open_caravan(caravan, units={"ele_mt_sav": "m"})
    assert said.ele_mt_sav.attrs["units"] == "m"
    assert "comment" not in said.ele_mt_sav.attrs
    with pytest.raises(UnitError, match="attributes: ele_mt_sav has the unit 'metre high', which is not known"):
        dg.hydrology.open_caravan(caravan, units={"ele_mt_sav": "metre high"})


def test_caravan_can_be_written(caravan, tmp_path):
    for table in caravan.rglob("attributes_other_*.csv"):
        heading, *rows = table.read_text().split()
        table.write_text("\n".join([heading + ",ele_mt_sav", *(r + ",1" for r in rows)]))
    data = dg.hydrology.open_caravan(caravan)
    read = dg.io.read_dataset(dg.io.write_dataset(tmp_path / "caravan.nc", data))
    xr.testing.assert_equal(read, data)
    assert "units" not in read.ele_mt_sav.attrs
    assert read.ele_mt_sav.attrs["comment"] == UNSTATED
    # Of series, the unit is always to be known.
    del data.precipitation.attrs["units"]
    data.precipitation.attrs["comment"] = UNSTATED
    with pytest.raises(UnitError, match="precipitation has no attribute 'units'"):
        dg.io.write_dataset(tmp_path / "caravan.nc", data)


@pytest.fixture
def generic(tmp_path: Path) -> Path:
    root = tmp_path / "generic"
    (root / "time_series").mkdir(parents=True)
    (root / "attributes").mkdir()
    for basin in ("a", "b"):
        data = xr.Dataset(
            {"rain": ("date", np.arange(5.0)), "q": ("date", np.full(5, 8.64))}, {"date": DAYS.astype("datetime64[ns]")}
        )
        data.rain.attrs["units"], data.q.attrs["units"] = "m/d", "m3/s"
        data.to_netcdf(root / "time_series" / f"{basin}.nc", engine="h5netcdf")
    (root / "attributes" / "attributes.csv").write_text("gauge_id,area,country\na,86.4,X\nb,8.64,Y\n")
    return root


CHOSEN = {"precipitation": "rain", "runoff": "q"}
KM2 = {"area": "km2"}


def test_the_generic_layout(generic):
    data = dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    np.testing.assert_allclose(data.precipitation[0], [0, 1000, 2000, 3000, 4000])
    # 8.64 m3/s on 86.4 and 8.64 km2.
    np.testing.assert_allclose(data.runoff[:, 0], [8.64, 86.4])
    assert data.country.values.tolist() == ["X", "Y"]
    (generic / "attributes" / "attributes.csv").unlink()
    with pytest.raises(DataError, match=r"a.nc: q is a volume per time.*argument area"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    with pytest.raises(DataError, match=r"b.nc: basin b has no area"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, area={"a": 86.4})
    np.testing.assert_allclose(
        dg.hydrology.open_caravan(generic, variables=CHOSEN, area={"a": 86.4, "b": 1}).runoff[0], 8.64
    )


def test_the_area_of_the_generic_layout_has_no_unit_but_that_which_is_said(generic):
    table = generic / "attributes" / "attributes.csv"
    table.write_text("gauge_id,area,country\na,86.4e6,X\nb,8.64e6,Y\n")
    with pytest.raises(
        UnitError, match=r"a.nc: q is a volume per time.*area has no attribute 'units'.*'km2'"
    ) as caught:
        dg.hydrology.open_caravan(generic, variables=CHOSEN)
    assert caught.value.variable == "area"
    data = dg.hydrology.open_caravan(generic, variables=CHOSEN, units={"area": "m2"})
    np.testing.assert_allclose(data.runoff[:, 0], [8.64, 86.4])
    assert data.area.attrs["units"] == "m2"
    np.testing.assert_allclose(data.area, [86.4e6, 8.64e6])
    # Where it is not needed, it stays as it is.
    for options in ({"variables": {"precipitation": "rain"}}, {"variables": CHOSEN, "area": {"a": 86.4, "b": 8.64}}):
        data = dg.hydrology.open_caravan(generic, **options)
        assert "units" not in data.area.attrs
        assert data.area.attrs["comment"] == UNSTATED
    # A unit is that of numbers; the text of a country has none.
    assert (
        "units" not in dg.hydrology.open_caravan(generic, variables=CHOSEN, units={**KM2, "country": "m"}).country.attrs
    )


def changed(file: Path, change) -> None:
    data = xr.load_dataset(file)
    data = change(data)
    data.to_netcdf(file, engine="h5netcdf")


def test_what_is_wrong_in_a_folder_is_named(generic, tmp_path):
    file = generic / "time_series" / "b.nc"
    whole = file.read_bytes()
    with pytest.raises(DataError, match="no basin 'c' among 2"):
        dg.hydrology.open_caravan(generic, basins=["a", "c"], variables=CHOSEN)
    with pytest.raises(
        DataError, match=r"a.nc: no variable 'discharge' for runoff; it has \['area', 'country', 'q', 'rain'\]"
    ):
        dg.hydrology.open_caravan(generic, variables={"runoff": "discharge"})
    with pytest.raises(DataError, match=r"a.nc: none of its variables is known"):
        dg.hydrology.open_caravan(generic)
    with pytest.raises(DataError, match="no files of basins"):
        dg.hydrology.open_caravan(tmp_path / "absent")
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b.nc: cannot be opened as NetCDF"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    for change, error, message in (
        (lambda d: d.isel(date=[0, 1, 1, 2]), TimeAxisError, "b.nc: 2000-02-28 appears twice"),
        (lambda d: d.isel(date=[1, 0]), TimeAxisError, "b.nc: 2000-02-27 follows 2000-02-28: the times are not sorted"),
        (lambda d: d.assign(rain=("date", d.rain.values)), UnitError, "b.nc: rain has no attribute 'units'"),
        (lambda d: d.assign(rain=d.rain.assign_attrs(units="K")), UnitError, "b.nc: rain has the unit 'K'"),
        (
            lambda d: d.assign_coords(date=d.date + np.timedelta64(6, "h")),
            TimeAxisError,
            "b.nc: its times.* do not meet",
        ),
    ):
        file.write_bytes(whole)
        changed(file, change)
        with pytest.raises(error, match=message):
            dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    file.write_bytes(whole)
    (generic / "attributes" / "attributes.csv").write_text("gauge_id,area\na,86.4\n")
    with pytest.raises(DataError, match=r"attributes.csv: no basin 'b'"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN)
