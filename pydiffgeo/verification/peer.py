"""Reads the series of a peer implementation of EXP-HYDRO and the forcing it was made with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ..arrays import Array

NAMES = {"ref_snow": "snow_storage", "ref_water": "water_storage", "ref_q": "runoff", "ref_et": "evapotranspiration"}
FORCING = {"prcp": "precipitation", "tmean": "temperature", "dayl": "daylength"}


def read_peer(outputs: Path, forcing: Path, basin: str, days: int) -> dict[str, Array]:
    """The first `days` of both files for one basin, by pydiffgeo's names."""
    series: dict[str, Array] = {}
    for path, names in ((outputs, NAMES), (forcing, FORCING)):
        with xr.open_dataset(path) as file:
            days_of = file.sel(basin=basin).isel(time=slice(0, days))
            series |= {new: np.asarray(days_of[old].values, np.float64) for old, new in names.items()}
    return series
