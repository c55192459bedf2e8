"""A place for a dataset that a reader is to open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    def store(data: xr.Dataset, **options) -> Path:
        path = tmp_path / "any.nc"
        data.to_netcdf(path, **options, engine="h5netcdf")
        return path

    return store
