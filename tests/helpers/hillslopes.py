"""A catchment of three reaches: its table, its size, eight days of weather, and parameters."""

from __future__ import annotations

REACHES = {
    "id": ["a", "b", "c"],
    "downstream": ["c", "c", None],
    "length": [300.0, 400.0, 500.0],
    "slope": [0.01, 0.02, 0.005],
    "area": [3e4, 5e4, 8e4],
}
SIZE = {
    "hillslope_cells": 2,
    "soil_cells": 4,
    "soil_depth": 1.0,
    "aquifer_thickness": 5.0,
    "relief": 2.0,
    "incision": 0.5,
}
DAYS = 8
WEATHER = {
    "precipitation": [0.01, 0.02, 0.0, 0.05, 0.0, 0.0, 0.06, 0.0],
    "temperature": [-4.0, -2.0, 2.0, 5.0, -1.0, 6.0, 8.0, 9.0],
    "potential_evaporation": 5e-4,
    "potential_transpiration": 2e-3,
}
VALUES = {
    "K": 20.0,
    "K_s": 0.4,
    "S_y": 0.1,
    "aquifer_S_s": 1e-4,
    "CFMAX": 4.0,
    "manning_n": 0.04,
    "bed_leakance": 2.0,
    "width": 3.0,
}
