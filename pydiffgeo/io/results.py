"""Writes results: NetCDF that follows the CF conventions, and where it came from. Files appear whole or not at all."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..arrays import Dates
from ..checks import netcdf_writer
from ..errors import DataError, UnitError
from ..solve import Solution
from .dates import nanoseconds
from .opening import open_raw
from .units import UNSTATED

CONVENTIONS = "CF-1.10"
# What an attribute of NetCDF can hold.
Attribute = str | int | float | np.integer | np.floating
PACKAGES = ("numpy", "torch", "casadi", "juliacall", "xarray")


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a file to be written: names of its dimensions, values, unit and description.

    `unit` is None for text and dates; `standard_name` where the CF conventions have one; `bounds` are the
    smallest and the largest value it can take; `attributes` are others of CF, such as `cell_methods`.
    """

    dimensions: tuple[str, ...]
    values: ArrayLike
    unit: str | None
    description: str
    standard_name: str | None = None
    bounds: tuple[float, float] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def write_netcdf(
    path: str | Path,
    variables: Mapping[str, Variable],
    coordinates: Mapping[str, Variable],
    attributes: Mapping[str, object],
) -> Path:
    """Writes a NetCDF file that follows the CF conventions; it appears whole or not at all.

    Raises:
        DataError: the folder does not exist or cannot be written, or no NetCDF library is installed.
    """
    dataset = xr.Dataset(
        {name: _array(v) for name, v in variables.items()},
        {name: _array(v) for name, v in coordinates.items()},
        {"Conventions": CONVENTIONS, **attributes},
    )
    return _save(Path(path), dataset)


def _array(variable: Variable) -> xr.DataArray:
    attributes: dict[str, str | float] = {"long_name": variable.description}
    if variable.unit is not None:
        attributes["units"] = variable.unit
    if variable.standard_name is not None:
        attributes["standard_name"] = variable.standard_name
    if variable.bounds is not None:
        attributes |= {"valid_min": variable.bounds[0], "valid_max": variable.bounds[1]}
    attributes |= variable.attributes
    values = np.asarray(variable.values)
    if values.dtype.kind == "M":
        values = nanoseconds(values, variable.description)
    return xr.DataArray(values, dims=variable.dimensions, attrs=attributes)


def provenance(
    solution: Solution | None = None,
    *,
    rtol: float | None = None,
    atol: float | Mapping[str, float] | None = None,
    seed: int | None = None,
    configuration: str | None = None,
    action: str = "written",
    **further: object,
) -> dict[str, Attribute]:
    """Attributes that say how a result came about; what is None is left out.

    Args:
        solution: states engine, solver, why the engine was chosen, tolerances, and members that another method solved.
        rtol, atol: tolerances of the solve, where no solution states them.
        seed: of whatever was random.
        configuration: the text of the configuration, whole.
        action: what was done, for the line in `history`.
        further: more attributes: text, numbers or plain containers of them.

    Returns:
        Name -> text or number, with versions of Python and packages, the time in UTC, and `history`.
    """
    now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    own = package_version("pydiffgeo")
    about: dict[str, object] = {"source": f"pydiffgeo {own}"}
    if solution is not None:
        model, stats = solution.model, solution.stats
        about["source"] = f"pydiffgeo {own}" + (f", {model.reference}" if model.reference else "")
        about |= {"title": f"{model.name} solved with pydiffgeo", "engine": stats["engine"]}
        about |= {"solver": stats["solver"], "engine_why": stats["why"]}
        rtol = stats["rtol"] if rtol is None else rtol
        atol = stats["atol"] if atol is None else atol
        if needed := stats["fallbacks"]:
            about["fallbacks"] = "; ".join(f"member {m}: {method}" for m, method in needed.items())
    about |= {"rtol": rtol, "atol": atol, "seed": seed, "configuration": configuration, "date_created": now}
    about |= {"python": platform.python_version(), "pydiffgeo": own}
    about["packages"] = ", ".join(f"{name} {package_version(name)}" for name in PACKAGES)
    about |= {"history": f"{now}: {action} by pydiffgeo {own}", **further}
    return {name: _plain(value) for name, value in about.items() if value is not None}


def package_version(package: str) -> str:
    """The version of an installed package, or "absent"."""
    if package == "pydiffgeo":
        from .. import __version__

        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _plain(value: object) -> Attribute:
    """Text or numbers as they are; all else becomes JSON, or text."""
    if isinstance(value, (str, int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return value
    return str(value) if isinstance(value, (Path, dt.date)) else json.dumps(value, default=str)


def write_dataset(path: str | Path, data: xr.Dataset, attributes: Mapping[str, object] | None = None) -> Path:
    """Writes a dataset as NetCDF that follows the CF conventions; it appears whole or not at all.

    Args:
        path: of the file; one that exists is replaced.
        data: every variable of numbers must state its `units`; `long_name` is its name where not given.
        attributes: added to those of the dataset, such as `provenance(...)`. Lines of `history` go before
            those that are there.

    Raises:
        UnitError: a variable has no units; names it.
        DataError: the folder does not exist or cannot be written.
        MissingPackageError: no library for NetCDF is installed.
    """
    path = Path(path)
    if not isinstance(data, xr.Dataset):
        raise DataError(f"{path}: only a dataset can be written, got {type(data).__name__}")
    data = data.copy()
    # Bounds take units and meaning from the coordinate they belong to.
    bounds = {v.attrs["bounds"] for v in data.variables.values() if "bounds" in v.attrs}
    for name in map(str, data.variables):
        variable = data[name].variable
        if variable.dtype.kind == "c" or "/" in name:
            what = "holds complex numbers" if variable.dtype.kind == "c" else "has a slash in its name"
            raise DataError(f"{path}: {name} {what}, which NetCDF has no place for; it is not written")
        # Attributes and places whose unit nobody states are written as they are: their comment says so.
        placed = variable.dims in (("basin",), ("cell",), ("probe",))
        unstated = placed and UNSTATED in str(variable.attrs.get("comment", ""))
        if variable.dtype.kind in "fiu" and "units" not in variable.attrs and name not in bounds and not unstated:
            message = f"{path}: {name} has no attribute 'units', so it is not written"
            raise UnitError(message, file=str(path), variable=name)
        if name not in bounds:
            data[name].attrs = {"long_name": name.replace("_", " "), **variable.attrs}
    new = {name: _plain(value) for name, value in (attributes or {}).items()}
    if "history" in new and "history" in data.attrs:
        new["history"] = f"{new['history']}\n{data.attrs['history']}"
    data.attrs = {**data.attrs, **new, "Conventions": CONVENTIONS}
    return _save(path, data)


def read_dataset(path: str | Path) -> xr.Dataset:
    """A dataset as `write_dataset` wrote it, in memory; numbers in units of time stay numbers.

    Raises:
        DataError: it cannot be opened or decoded, or is cut off.
    """
    with open_raw(path) as raw:
        try:
            return xr.decode_cf(raw, decode_timedelta=False).load()
        # Attributes of a file can be anything, and what they break differs.
        except Exception as error:
            raise DataError(f"{path}: what it holds cannot be decoded ({error})") from error


def _save(path: Path, data: xr.Dataset) -> Path:
    engine = netcdf_writer(path)
    encoding: dict[str, dict[str, object]] = {}
    for name, variable in data.variables.items():
        kind = variable.dtype.kind
        if kind == "M":
            encoding[str(name)] = {**_date_encoding(variable.values)}
        elif kind == "f" and name not in data.coords:
            encoding[str(name)] = {"zlib": True, "complevel": 4, "_FillValue": np.nan}
        else:
            encoding[str(name)] = {"_FillValue": None}
    data = data.copy()
    for variable in data.variables.values():
        # What a file that was read once was packed with is none of this one's business.
        variable.encoding = {}

    def write(temporary: str) -> None:
        try:
            data.to_netcdf(temporary, engine=engine, encoding=encoding)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: NetCDF cannot hold this ({error})") from error

    return write_whole(path, write)


def _date_encoding(dates: Dates) -> dict[str, str]:
    """Whole days, or else milliseconds: both come back the same."""
    since = np.datetime_as_string(np.nanmin(dates).astype("datetime64[D]")) if dates.size else "1970-01-01"
    whole = bool((dates.astype("datetime64[D]") == dates).all())
    unit = "days" if whole else "milliseconds"
    return {"units": f"{unit} since {since}", "calendar": "standard", "dtype": "int64"}


def write_whole(path: Path, write: Callable[[str], object]) -> Path:
    """Calls `write(temporary name)` in the folder of `path`, then puts the file in its place at once.

    Raises:
        DataError: the folder does not exist or cannot be written.
    """
    try:
        # No reader takes what ends in .part, left behind by a killed process, for a result.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from error
    try:
        write(temporary)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files that only their owner can read; a result has the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
