"""Two basins in NetCDF, in each of its formats."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

TIMES = np.arange("2001-01-01", "2001-01-11", dtype="datetime64[D]").astype("datetime64[ns]")
UNITS = {"prcp": "mm d-1", "tmean": "degC", "dayl": "h", "q_obs": "mm d-1"}
FORMATS = {
    "hdf5": ("h5netcdf", None),
    "classic": ("netcdf4", "NETCDF3_CLASSIC"),
    "offsets": ("netcdf4", "NETCDF3_64BIT"),
    "scipy": ("scipy", None),
}
FORMATS = {k: v for k, v in FORMATS.items() if find_spec({"netcdf4": "netCDF4"}.get(v[0], v[0]))}


def dataset() -> xr.Dataset:
    n = np.arange(20.0).reshape(2, 10) + 1
    series = {k: (("basin", "time"), n, {"units": u}) for k, u in UNITS.items()}
    return xr.Dataset({**series, "area": ("basin", [1.0, 2.0], {"units": "km2"})}, {"basin": ["a", "b"], "time": TIMES})


def store(data: xr.Dataset, path: Path, kind: str = "hdf5") -> bytes:
    engine, form = FORMATS[kind]
    path.unlink(missing_ok=True)
    data.to_netcdf(path, engine=engine, **({"format": form} if form else {}))
    return path.read_bytes()
