"""Bad files and configurations, searched for: what is wrong gives an error that names it, or the data are as they were."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("hypothesis")

from calibration import CONFIG
from hypothesis import assume, example, given
from hypothesis import strategies as st
from netcdf import FORMATS, TIMES, UNITS, dataset, store
from properties import attempt

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError
from pydiffgeo.hydrology.basin import QUANTITIES, BasinData
from pydiffgeo.hydrology.calibrate.settings import MODELS, Settings, read_settings, tomllib

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["", " ", "\0", "nan", "../x", "x" * 300, "µ", "1"]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.dates())
HUGE = 10**400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


# --- configurations --------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, (bool, float)) else str(value)


def document(tables: dict[str, Any]) -> str:
    return "\n".join(
        f"[{toml(k)}]\n" + "\n".join(f"{toml(n)} = {toml(v)}" for n, v in t.items()) for k, t in tables.items()
    )


values = st.one_of(
    st.booleans(), st.integers(), st.floats(), TEXTS, st.dates(), st.times(), st.just(HUGE), st.datetimes(),
    st.sampled_from([-1, 0, 0.5, 10**30, [], {}, [[]], [1, 2], ["a", "a"], [1.0, float("nan")], {"f": 1.0}, {"f": [0, 1]}, [dt.date(2000, 1, 1)]]),
    st.recursive(st.integers() | TEXTS, lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXTS, s, max_size=3), max_leaves=5),
)  # fmt: skip


def key_strategy() -> Any:
    tables = tomllib.loads(CONFIG)
    return st.sampled_from([(t, k) for t in tables for k in tables[t]])


@given(key_strategy(), values)
@example(("solve", "rtol"), HUGE)
@example(("periods", "warmup"), 10**30)
@example(("periods", "warmup"), 10**9)
@example(("model", "fixed"), {"Q_max": HUGE})
def test_a_key_of_another_value_is_read_or_named(folder: Path, at: Any, value: Any) -> None:
    tables, path = tomllib.loads(CONFIG), folder / "config.toml"
    table, key = at
    tables[table][key] = value
    path.write_text(document(tables), encoding="utf-8")
    settings, error = attempt(lambda: read_settings(path), DataError)
    if error is not None:
        assert str(path) in str(error)
        assert f"[{table}]" in str(error)
        related = {
            "starts": "finalists",
            "candidates": "starts",
            "train": "evaluation warmup",
            "fixed": "bounds",
            "bounds": "fixed",
        }
        assert any(k in str(error) for k in [key, *related.get(key, key).split()])
    else:
        assert isinstance(settings, Settings)


@given(
    key_strategy(),
    st.sampled_from(["remove", "typo", "copy", "table", "reverse", "overlap", "duplicate"]),
    st.integers(0, 20),
    TEXTS,
)
def test_a_damaged_configuration_is_named(folder: Path, at: Any, kind: str, where: int, text: str) -> None:
    tables, path = tomllib.loads(CONFIG), folder / "config.toml"
    table, key = at
    culprit: tuple[str, ...] = (f"[{table}]", key)
    if kind == "remove":
        tables[table].pop(key)
        if (table, key) not in {
            ("data", "file"),
            ("data", "basins"),
            ("periods", "train"),
            ("periods", "evaluation"),
            ("output", "file"),
        }:
            kind = "fine"
            assume(key not in ("finalists", "starts", "candidates"))
    elif kind in ("typo", "copy"):
        wrong = key[: where % len(key)] + (text[:1] or "x") + key[where % len(key) :]
        assume(wrong not in tables[table])
        old = tables[table].pop(key) if kind == "typo" else tables[table][key]
        tables[table][wrong] = old
        culprit = (f"[{table}]",)
    elif kind == "table":
        assume(text not in tables)
        tables[text], culprit = {"a": 1}, (f"[{text}]",)
    elif kind == "reverse":
        which = ("train", "evaluation")[where % 2]
        tables["periods"][which].reverse()
        culprit = ("[periods]", which)
    elif kind == "overlap":
        tables["periods"]["evaluation"][0] = tables["periods"]["train"][1] - dt.timedelta(days=where)
        culprit = ("[periods]", "evaluation")
    else:
        tables["data"]["basins"].append(tables["data"]["basins"][where % 2])
        culprit = ("[data]", "basins")
    path.write_text(document(tables), encoding="utf-8")
    if kind == "fine":
        assert isinstance(read_settings(path), Settings)
        return
    with pytest.raises(DataError) as caught:
        read_settings(path)
    for part in (str(path), *culprit):
        assert part in str(caught.value)


@given(st.one_of(st.text(max_size=60).map(str.encode), st.binary(max_size=60),
                 st.dictionaries(st.sampled_from(["data", "periods", "model", "solve", "optimiser", "output", "x"]),
                                 st.dictionaries(st.sampled_from(["file", "basins", "train", "bounds", "seed"]) | TEXTS, values, max_size=3),
                                 max_size=5).map(lambda d: document(d).encode("utf-8", "surrogatepass"))))  # fmt: skip
@example(b"a = " + b"1" * 5000)
@example(b"a = " + b"[" * 5000)
@example(b"a." * 5000 + b"b = 1")
def test_no_document_gives_anything_but_an_error_of_data(folder: Path, content: bytes) -> None:
    path = folder / "any.toml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"any\.toml"):
        read_settings(path)


@given(TEXTS)
@example("a\0b.toml")
@example("\ud800.toml")
def test_no_name_of_a_file_gives_anything_but_an_error_of_data(folder: Path, name: str) -> None:
    absent = f"{folder}/absent/{name}"
    for read in (read_settings, dg.hydrology.open_cf, dg.io.read_dataset, dg.hydrology.open_camels, dg.hydrology.open_caravan,
                 lambda p: dg.nn.ParameterNetwork.load(p, MODELS["ExpHydro"]())):  # fmt: skip
        with pytest.raises(DataError):
            read(absent)


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
@given(st.sampled_from([*FORMATS]), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, 2))  # fmt: skip
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
bad_units = st.one_of(st.sampled_from(["", " ", "furlong", "m3", "K d", "kg", "1", "mm d-1 d-1", "9**9**9", 3.0, "degC h", "\n"]), st.text(min_size=1, max_size=6).filter(lambda t: "\0" not in t))  # fmt: skip


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
    "gappy": (lambda d: d.isel(time=[0, 1, 2, 5, 6]), None, DataError, "precipitation is NaN on 2001-01-04 (2 such days)"),
    "irregular": (axis(lambda t: t + np.arange(10) ** 2 * np.timedelta64(7, "m")), TimeAxisError, TimeAxisError, "2001-01"),
    "stray": (axis(lambda t: t + np.array([0] * 9 + [7]) * np.timedelta64(1, "s")), TimeAxisError, TimeAxisError, "time"),
    "missing time": (axis(lambda t: np.where(np.arange(10) == 4, np.datetime64("NaT"), t)), TimeAxisError, DataError, "entry 4"),
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
    "all NaN": (lambda d: d.assign(tmean=d.tmean * np.nan).assign(tmean=lambda e: e.tmean.assign_attrs(units="degC")), None, DataError, "temperature is NaN"),
    "packed by text": (lambda d: set_attribute(d, "prcp", "scale_factor", "two"), DataError, DataError, ""),
    "encoded oddly": (lambda d: set_attribute(d.assign(note=("basin", np.array([b"x", b"y"]))), "note", "_Encoding", "utf-G"), DataError, DataError, "utf-G"),
    "dates of rain": (lambda d: d.assign(prcp=(d.prcp.dims, np.stack([TIMES, TIMES]))), DataError, DataError, "prcp"),
    "another dimension": (lambda d: d.assign(prcp=d.prcp.expand_dims(height=[1.0, 2.0])), DataError, DataError, "prcp has the dimensions"),
}  # fmt: skip
CALENDARS = ["360_day", "noleap", "julian", "all_leap", "none", "NOLEAP", "x", 3]
UNITS_OF_TIME = ["days since 2001-13-01", "days since yesterday", "fortnights since 2001-01-01", "days since ", " since ", "days since 99999-01-01", 7]  # fmt: skip


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
