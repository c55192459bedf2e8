"""Bad files and configurations, searched for: what is wrong gives an error that names it, or the data are as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("hypothesis")

from hypothesis import assume, example, given
from hypothesis import strategies as st
from netcdf import FORMATS, TIMES, UNITS, dataset, store
from properties import attempt

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError
from pydiffgeo.hydrology.basin import QUANTITIES, BasinData

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


# --- configurations --------------------------------------------------------------------------------


# --- NetCDF ----------------------------------------------------------------------------------------


def read_one(path: Path) -> BasinData:
    """What a calibration reads of the basin a."""
    return dg.hydrology.basin_data(dg.hydrology.open_cf(path, basins=["a"], quantities=QUANTITIES), "a")


READERS: list[Callable[[Path], Any]] = [dg.hydrology.open_cf, dg.io.read_dataset, read_one]
whole: dict[str, tuple[bytes, list[Any]]] = {}


def good(kind: str, folder: Path) -> tuple[bytes, list[Any]]:
    """A file that is whole, and what each reader makes of it."""
    if kind not in whole:
        content = store(dataset(), folder / "a.nc", kind)
        whole[kind] = content, [read(folder / "a.nc") for read in READERS]
    return whole[kind]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, xr.Dataset):
        return a.identical(b)
    return all(
        np.array_equal(getattr(a, k), getattr(b, k)) for k in ("dates", "precipitation", "temperature", "runoff")
    )


@given(st.sampled_from([*FORMATS]), st.floats(0, 1, exclude_max=True), st.integers(0, 2))
@example(
    "classic" if "classic" in FORMATS else "hdf5", 0.9995, 1
)  # libraries read zeros where the last values are cut off
def test_a_file_that_is_cut_off_is_refused(folder: Path, kind: str, share: float, reader: int) -> None:
    content, known = good(kind, folder)
    path = folder / "a.nc"
    path.write_bytes(content[: int(share * len(content))])
    found, error = attempt(lambda: READERS[reader](path), DataError)
    if error is not None:
        assert str(path) in str(error)
    else:
        assert same(found, known[reader])


# Only text and a table of numbers: bytes overwritten deep inside HDF5 may lead its C library anywhere.
@given(
    st.sampled_from([*FORMATS]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 2),
)
def test_a_file_with_other_bytes_is_read_or_refused(folder: Path, kind: str, changes: Any, reader: int) -> None:
    content = bytearray(good(kind, folder)[0])
    # In HDF5 the head; in a classic file the attributes, but no sizes, of which some would be worth gigabytes.
    for share, byte in changes:
        if kind == "hdf5":
            content[int(share * 96)] = byte
        else:
            text = [i for i in range(len(content)) if chr(content[i]).isalpha() and chr(content[i - 1]).isalpha()]
            content[text[int(share * len(text))]] = byte
    path = folder / "a.nc"
    path.write_bytes(content)
    _, error = attempt(lambda: READERS[reader](path), DataError)
    assert error is None or str(path) in str(error)


def set_attribute(data: xr.Dataset, name: str, key: str, value: Any) -> xr.Dataset:
    data[name].attrs[key] = value
    return data


SERIES = st.sampled_from([*UNITS])
bad_units = st.one_of(
    st.sampled_from(["", " ", "furlong", "m3", "K d", "kg", "1", "mm d-1 d-1", "9**9**9", 3.0, "degC h", "\n"]),
    st.text(min_size=1, max_size=6).filter(lambda t: "\0" not in t),
)


@given(SERIES, bad_units, st.integers(0, 2))
@example("prcp", 3.0, 0)
def test_a_unit_that_does_not_fit_is_named(folder: Path, name: str, unit: Any, reader: int) -> None:
    path = folder / "unit.nc"
    try:
        store(set_attribute(dataset(), name, "units", unit), path)
    except (UnicodeError, ValueError, OSError):
        assume(False)
    for read in (READERS[0], READERS[2]):
        _, error = attempt(lambda read=read: read(path), DataError)
        if isinstance(error, UnitError):
            assert str(path) in str(error)
            assert name in str(error)
        elif error is not None:  # the unit is one, but the values are then out of range
            assert "allowed is" in str(error) or "time" in str(error)


def axis(change: Callable[[np.ndarray], Any]) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda d: d.assign_coords(time=change(d.time.values.copy()))


def repeated(times: np.ndarray) -> np.ndarray:
    times[3] = times[2]
    return times


def drop(name: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda d: d.drop_vars(name)


def put(name: str, value: Any) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(d: xr.Dataset) -> xr.Dataset:
        values = d[name].values.astype(object if isinstance(value, str) else float)
        values[:, 4] = value
        return d.assign({name: (d[name].dims, values.astype(str) if isinstance(value, str) else values, d[name].attrs)})

    return change


# What is wrong -> how to do it, the error of `open_cf` (None where it is fine), of `read_one`, and what they name.
WRONG: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], Any, Any, str]] = {
    "repeated": (axis(repeated), TimeAxisError, DataError, "2001-01-03 appears twice"),
    "unsorted": (axis(lambda t: t[::-1]), TimeAxisError, DataError, "not sorted"),
    "gappy": (
        lambda d: d.isel(time=[0, 1, 2, 5, 6]),
        None,
        DataError,
        "precipitation is NaN on 2001-01-04 (2 such days)",
    ),
    "irregular": (
        axis(lambda t: t + np.arange(10) ** 2 * np.timedelta64(7, "m")),
        TimeAxisError,
        TimeAxisError,
        "2001-01",
    ),
    "stray": (
        axis(lambda t: t + np.array([0] * 9 + [7]) * np.timedelta64(1, "s")),
        TimeAxisError,
        TimeAxisError,
        "time",
    ),
    "missing time": (
        axis(lambda t: np.where(np.arange(10) == 4, np.datetime64("NaT"), t)),
        TimeAxisError,
        DataError,
        "entry 4",
    ),
    "no dates": (axis(lambda t: np.arange(10.0)), TimeAxisError, DataError, "'time' does not hold dates"),
    "text for dates": (axis(lambda t: np.datetime_as_string(t)), TimeAxisError, DataError, "'time'"),
    "no times": (lambda d: d.isel(time=[]), TimeAxisError, DataError, "there are no"),
    "no basins": (lambda d: d.isel(basin=[]), None, DataError, "no basin 'a'"),
    "no time axis": (drop("time"), TimeAxisError, DataError, "no time axis 'time'"),
    "time renamed": (lambda d: d.rename(time="when"), TimeAxisError, DataError, "no time axis 'time'"),
    "basin renamed": (lambda d: d.rename(basin="gauge"), DataError, DataError, "dimensions"),
    "basins unnamed": (drop("basin"), DataError, DataError, "'basin' has no coordinate"),
    "basin twice": (lambda d: d.assign_coords(basin=["a", "a"]), DataError, DataError, "basin a appears 2 times"),
    "another basin": (lambda d: d.assign_coords(basin=["c", "d"]), None, DataError, "no basin 'a'"),
    "no rain": (drop("prcp"), None, DataError, "no precipitation"),
    "no unit": (lambda d: set_attribute(d, "prcp", "units", ""), UnitError, UnitError, "prcp"),
    "rain negative": (put("prcp", -1.0), None, DataError, "precipitation is -1 on 2001-01-05"),
    "rain NaN": (put("prcp", np.nan), None, DataError, "precipitation is NaN on 2001-01-05"),
    "rain infinite": (put("prcp", np.inf), None, DataError, "precipitation is inf on 2001-01-05"),
    "rain text": (put("prcp", "much"), DataError, DataError, "prcp"),
    "all NaN": (
        lambda d: d.assign(tmean=d.tmean * np.nan).assign(tmean=lambda e: e.tmean.assign_attrs(units="degC")),
        None,
        DataError,
        "temperature is NaN",
    ),
    "packed by text": (lambda d: set_attribute(d, "prcp", "scale_factor", "two"), DataError, DataError, ""),
    "encoded oddly": (
        lambda d: set_attribute(d.assign(note=("basin", np.array([b"x", b"y"]))), "note", "_Encoding", "utf-G"),
        DataError,
        DataError,
        "utf-G",
    ),
    "dates of rain": (lambda d: d.assign(prcp=(d.prcp.dims, np.stack([TIMES, TIMES]))), DataError, DataError, "prcp"),
    "another dimension": (
        lambda d: d.assign(prcp=d.prcp.expand_dims(height=[1.0, 2.0])),
        DataError,
        DataError,
        "prcp has the dimensions",
    ),
}
CALENDARS = ["360_day", "noleap", "julian", "all_leap", "none", "NOLEAP", "x", 3]
UNITS_OF_TIME = [
    "days since 2001-13-01",
    "days since yesterday",
    "fortnights since 2001-01-01",
    "days since ",
    " since ",
    "days since 99999-01-01",
    7,
]


@given(st.sampled_from([*WRONG]), st.sampled_from([*FORMATS]))
def test_what_is_wrong_in_a_dataset_is_named(folder: Path, what: str, kind: str) -> None:
    change, of_cf, of_netcdf, culprit = WRONG[what]
    path = folder / "wrong.nc"
    try:
        store(change(dataset()), path, kind)
    except (ValueError, TypeError, RuntimeError):  # not every format holds everything
        assume(kind == "hdf5")
        raise
    for read, error in ((READERS[0], of_cf), (READERS[2], of_netcdf)):
        if error is None:
            read(path)
            continue
        with pytest.raises(DataError) as caught:
            read(path)
        assert isinstance(caught.value, error)
        assert str(path) in str(caught.value)
        assert culprit in str(caught.value) or "unit" in str(caught.value)


@given(
    st.sampled_from(CALENDARS),
    st.sampled_from([*UNITS_OF_TIME, "days since 2001-02-25"]),
    st.sampled_from(["refuse", "convert"]),
)
def test_calendars_and_epochs(folder: Path, calendar: Any, epoch: Any, choice: Any) -> None:
    path = folder / "calendar.nc"
    data = dataset().assign_coords(time=("time", np.arange(10), {"units": epoch, "calendar": calendar}))
    data.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(DataError) as caught:
        read_one(path)
    assert str(path) in str(caught.value)
    found, error = attempt(lambda: dg.hydrology.open_cf(path, calendar=choice), DataError)
    if error is not None:
        assert isinstance(error, TimeAxisError)
        assert str(path) in str(error)
        assert "time" in str(error)
    else:
        assert choice == "convert"
        assert calendar in ("360_day", "noleap", "NOLEAP")
        assert 8 <= found.sizes["time"] <= 13
