"""A folder with two basins, and a calibration of them that is left alone."""

from __future__ import annotations

import pytest
from calibration import numbers, write_basins, write_config

from pydiffgeo.hydrology import calibrate_file as calibrate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("basins")
    write_basins(path)
    return path


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The result of the configuration, run without interruption."""
    return numbers(calibrate(write_config(folder, ("result.nc", "undisturbed.nc")), progress=False))
