"""Models whose arguments are tables and files: aquifers, rivers, buckets, and fields of parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, ModelError
from pydiffgeo.groundwater import GivenHead, Recharge, Well
from pydiffgeo.models.aquifer_tables import aquifer_of
from pydiffgeo.models.bucket_tables import buckets_of
from pydiffgeo.models.grid_places import cells_at
from pydiffgeo.simulation import run_file

AQUIFER = """
model = "Aquifer"
[arguments]
kind = "unconfined"
top = 30.0
[arguments.grid]
shape = [1, 4, 5]
spacing = [100.0, [50.0, 100.0, 100.0, 100.0, 150.0]]
layers = 30.0
active = { file = "active.csv" }
[[arguments.boundaries]]
kind = "GivenHead"
name = "lake"
cells = { column = 0 }
[[arguments.boundaries]]
kind = "Well"
name = "well"
cells = { file = "wells.csv" }
[[arguments.boundaries]]
kind = "Recharge"
name = "recharge"
[parameters]
K = { zones = { file = "zones.asc" }, values = { 1 = 5.0, 2 = 20.0 } }
S_y = { file = "fields.nc", variable = "S_y" }
[initial]
head = 20.0
[forcing]
file = "pumping.csv"
lake_head = 20.0
well_rate = ["W1", "W2"]
recharge_rate = { file = "rain.csv", variable = "rain", units = "mm d-1" }
[solve]
engine = "sundials"
rtol = 1e-8
[output]
file = "result.nc"
"""
ACTIVE = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
ZONES = np.array([[1, 1, 1, 2, -9], [1, 1, 2, 2, 2], [1, 1, 2, 2, 2], [1, 1, 1, -9, -9]])
S_Y = 0.1 + 0.01 * np.arange(20).reshape(1, 4, 5)
PUMPING, RAIN = [[-100.0, 0.0], [-200.0, -50.0], [0.0, -50.0]], [1.0, 0.0, 3.0]  # m3/d, mm/d


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "aquifer.toml").write_text(AQUIFER)
    (tmp_path / "active.csv").write_text("\n".join(",".join(map(str, row)) for row in ACTIVE.astype(int)))
    head = "ncols 5\nnrows 4\nxllcorner 0\nyllcorner 0\ncellsize 100\nNODATA_value -9\n"
    (tmp_path / "zones.asc").write_text(head + "\n".join(" ".join(map(str, row)) for row in ZONES))
    # In cells (1, 2) and (2, 4); columns end at 50, 150, 250, 350, 500 m.
    (tmp_path / "wells.csv").write_text("name,x,y\nnorth,249.0,150.0\neast,351.0,299.0\n")
    rows = [f"{t},{a},{b}" for t, (a, b) in enumerate(PUMPING)]
    (tmp_path / "pumping.csv").write_text("\n".join(["time,W1,W2", *rows]))
    (tmp_path / "rain.csv").write_text("time,rain\n" + "\n".join(f"{t},{r}" for t, r in enumerate(RAIN)))
    share = xr.Dataset({"S_y": (("layer", "row", "column"), 100 * S_Y, {"units": "percent"})})
    share.to_netcdf(tmp_path / "fields.nc", engine="h5netcdf")
    return tmp_path


def test_an_aquifer_of_tables_is_that_of_python(folder: Path) -> None:
    grid = dg.raster((1, 4, 5), (100.0, [50.0, 100.0, 100.0, 100.0, 150.0]), layers=30.0, active=ACTIVE)
    lake = GivenHead([(0, row, 0) for row in range(4)], "lake")
    aquifer = dg.models.Aquifer(
        grid, "unconfined", top=30.0, boundaries=[lake, Well([(0, 1, 2), (0, 2, 4)]), Recharge()]
    )
    same = dg.solve(
        aquifer,
        {"K": torch.from_numpy(np.where(ZONES == 2, 20.0, 5.0))[None], "S_y": torch.from_numpy(S_Y)},
        initial={"head": 20.0},
        forcing={
            "lake_head": 20.0,
            "well_rate": torch.tensor(PUMPING, dtype=torch.float64),
            "recharge_rate": 1e-3 * torch.tensor(RAIN, dtype=torch.float64),
        },
        times=range(4),
        engine="sundials",
        rtol=1e-8,
    )
    with xr.open_dataset(run_file(folder / "aquifer.toml")) as data:
        np.testing.assert_allclose(data["head"].values, same.outputs["head"].numpy(), rtol=1e-10)
        np.testing.assert_allclose(data["well"].values.sum(1), np.sum(PUMPING, 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "Well"', 'kind = "Wells"', "boundary 2 has the kind 'Wells'; did you mean 'Well'"),
        ("name,x,y", "name,x,z", r"Well needs columns cell, or row and column, or x and y"),
        ("name,x,y", "name,x,y,depth", r"line 2 has no entry for 'depth'"),
        ("351.0,299.0", "351.0,399.0", r"no cell at \{'x': 351.0, 'y': 399.0\} \(row 1"),
        ("{ column = 0 }", "{ column = 9 }", "column 9 is not one of 5"),
        ("2 = 20.0", "3 = 20.0", r"\[parameters\] K: zone 2 has no value"),
        ('variable = "S_y"', 'variable = "S"', r"\[parameters\] S_y: .*fields.nc has no variable 'S'"),
        ('["W1", "W2"]', '["W1", "W3"]', "there is no column 'W3'"),
        ("time,W1,W2", "time,W1,W", "there is no column 'W2'"),
        ('units = "mm d-1"', 'unit = "mm d-1"', r"\[forcing.recharge_rate\] unit is unknown; did you mean 'units'"),
        ("ncols 5", "ncols 6", "zones.asc: cannot be read as a grid"),
        ("spacing =", "spaces =", "grid has no 'spaces'; did you mean 'spacing'"),
    ],
)
def test_what_does_not_fit_in_a_table_is_named(folder: Path, old: str, new: str, said: str) -> None:
    for path in folder.glob("*.[tac]*"):
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said):
        run_file(folder / "aquifer.toml")


def test_columns_of_places_become_parameters_and_forcings() -> None:
    cells = {"row": [0, 1], "column": [2, 2], "stage": [3.0, 4.0], "conductance": [5.0, 6.0], "bed": [1.0, 2.0]}
    made = aquifer_of({"shape": [2, 3]}, boundaries=[{"kind": "River", "name": "creek", "cells": cells}])
    assert made.model.boundaries[0].cells == (2, 5)
    np.testing.assert_array_equal(made.forcing["creek_stage"], [3.0, 4.0])
    assert {k: v.tolist() for k, v in made.parameters.items()} == {"creek_conductance": [5, 6], "creek_bed": [1, 2]}
    with pytest.raises(ModelError, match="'creek' has no 'width'; it has"):
        aquifer_of(
            {"shape": [2, 3]}, boundaries=[{"kind": "River", "name": "creek", "cells": {**cells, "width": [1, 2]}}]
        )
    with pytest.raises(ModelError, match="Aquifer: no choice 'means'; did you mean 'mean'"):
        aquifer_of({"shape": [2, 3]}, means="harmonic")  # type: ignore[call-arg]


def test_places_of_a_raster() -> None:
    grid = dg.raster((2, 2, 3), (1.0, 1.0), layers=[1.0, 1.0])
    assert cells_at(grid, {"layer": 1, "row": -1}, "here").tolist() == [9, 10, 11]
    assert cells_at(grid, {"cell": [4, 2]}, "here").tolist() == [4, 2]
    assert cells_at(grid, {"x": [0.5, 2.9], "y": [1.5, 0.1], "layer": [0, 1]}, "here").tolist() == [3, 8]
    with pytest.raises(ModelError, match=r"here: there is no cell at .* -1"):
        cells_at(grid, {"row": [0, -1], "column": [0, 0]}, "here")


RIVER = """
model = "River"
[arguments]
reaches = { file = "reaches.csv" }
[parameters]
manning_n = { file = "reaches.csv", column = "n" }
[forcing]
file = "inflow.csv"
lateral_inflow = ["a", "b", "c"]
[solve]
engine = "sundials"
rtol = 1e-8
"""


def test_a_river_of_tables_is_that_of_python(tmp_path: Path) -> None:
    (tmp_path / "river.toml").write_text(RIVER)
    (tmp_path / "reaches.csv").write_text(
        "id,downstream,length,slope,width,n\na,c,4000,2e-3,8,0.04\nb,c,3000,3e-3,6,0.05\nc,,6000,1e-3,15,0.035\n"
    )
    flow = [[1.0, 2.0, 0.5], [3.0, 0.1, 0.2]]
    (tmp_path / "inflow.csv").write_text("time,a,b,c\n2001-05-01,1,2,0.5\n2001-05-02,3,0.1,0.2\n")
    reaches = {"id": ["a", "b", "c"], "downstream": ["c", "c", None]}
    reaches |= {"length": [4000.0, 3000.0, 6000.0], "slope": [2e-3, 3e-3, 1e-3], "width": [8.0, 6.0, 15.0]}
    same = dg.solve(
        dg.models.River(reaches),
        {"manning_n": [0.04, 0.05, 0.035]},
        forcing={"lateral_inflow": torch.tensor(flow, dtype=torch.float64)},
        times=range(3),
        engine="sundials",
        rtol=1e-8,
    )
    with xr.open_dataset(run_file(tmp_path / "river.toml")) as data:
        np.testing.assert_allclose(data["flux_discharge"].values, same.fluxes["discharge"].numpy(), rtol=1e-9)
        assert data["time"].values[0] == np.datetime64("2001-05-01")


STORES = [{"name": "soil", "default": 10.0}]
FLUXES = [
    {"name": "rain", "rate": "max(precipitation, 0.5 + 0.25)", "source": "precipitation", "target": "soil"},
    {"name": "flow", "rate": "-(-K) * soil**1.0", "source": "soil", "target": "runoff"},
]
PARAMETERS = [{"name": "K", "unit": "d-1", "default": 0.5}]


def test_buckets_of_formulas_follow_their_equation() -> None:
    model = buckets_of("One", STORES, FLUXES, PARAMETERS)
    forcing = {"precipitation": [0.0, 2.0], "potential_evapotranspiration": 0.0}
    sol = dg.solve(model, forcing=forcing, times=range(3), engine="sundials", rtol=1e-9, atol=1e-12)
    first = 1.5 + 8.5 * np.exp(-0.5)
    np.testing.assert_allclose(
        sol.states["soil"][:, 0].numpy(), [10.0, first, 4.0 + (first - 4.0) * np.exp(-0.5)], rtol=1e-7
    )


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("K * sol", "'sol' is none of"),
        ("__import__('os').getcwd()", "call is no part of a formula"),
        ("soil.real", "attribute is no part"),
        ("max(soil)", "max takes 2 arguments, got 1"),
        ("exp(soil, base=2)", "call is no part"),
        ("cosh(soil)", "'cosh' is none of the functions"),
        ("smooth_ramp(soil, K)", "a width, must be a number"),
        ("soil if K else 0", "ifexp is no part"),
        ("soil *", "is no formula"),
        ("True * soil", "True is no number"),
        (3.0, "must be a formula"),
    ],
)
def test_what_is_no_formula_is_refused(rate: object, said: str) -> None:
    with pytest.raises(ModelError, match=f"One: flux 'flow': rate.*{said}"):
        buckets_of("One", STORES, [FLUXES[0], {**FLUXES[1], "rate": rate}], PARAMETERS)


def test_solutes_of_an_aquifer_of_tables_are_those_of_python(folder: Path) -> None:
    text = AQUIFER.replace('"Aquifer"', '"SoluteAquifer"').replace("kind =", 'decay = "dissolved"\nkind =', 1)
    text = text.replace("head = 20.0", "head = 20.0\nconcentration = 0.5", 1)
    (folder / "solute.toml").write_text(text.replace("[parameters]", "[parameters]\ndecay = 0.1\nporosity = 0.4"))
    grid = dg.raster((1, 4, 5), (100.0, [50.0, 100.0, 100.0, 100.0, 150.0]), layers=30.0, active=ACTIVE)
    lake, wells = GivenHead([(0, row, 0) for row in range(4)], "lake"), Well([(0, 1, 2), (0, 2, 4)])
    same = dg.solve(
        dg.models.SoluteAquifer(grid, "unconfined", top=30.0, boundaries=[lake, wells, Recharge()], decay="dissolved"),
        {
            "K": torch.from_numpy(np.where(ZONES == 2, 20.0, 5.0))[None],
            "S_y": torch.from_numpy(S_Y),
            "decay": 0.1,
            "porosity": 0.4,
        },
        initial={"head": 20.0, "concentration": 0.5},
        forcing={
            "lake_head": 20.0,
            "well_rate": torch.tensor(PUMPING, dtype=torch.float64),
            "recharge_rate": 1e-3 * torch.tensor(RAIN, dtype=torch.float64),
        },
        times=range(4),
        engine="sundials",
        rtol=1e-8,
    )
    with xr.open_dataset(run_file(folder / "solute.toml")) as data:
        found = data["concentration"].values
        np.testing.assert_allclose(found, same.outputs["concentration"].numpy(), rtol=1e-10)
    # It decays by a tenth a day, and what comes in is clean.
    assert 0.3 * 0.5 < np.nanmax(found[-1]) < 0.5 * np.exp(-0.25)


def test_a_catchment_is_read_from_a_table_of_reaches(tmp_path: Path) -> None:
    reaches = "id,downstream,length,slope,width,area\na,b,2000,4e-3,2,2e6\nb,,3000,2e-3,4,3e6\n"
    (tmp_path / "reaches.csv").write_text(reaches)
    (tmp_path / "catchment.toml").write_text(
        'model = "Catchment"\n[arguments]\nsoil_cells = 4\nincision = [1.0, 2.0]\nreaches = { file = "reaches.csv" }\n'
        "[parameters]\nK = 5.0\n[initial]\nsoil_head = -1.0\naquifer_head = -0.5\n[forcing]\nprecipitation = 0.004\n"
        "temperature = 8.0\npotential_evaporation = 0.001\npotential_transpiration = 0.002\n"
        '[times]\nend = 2.0\nstep = 1.0\n[solve]\nengine = "sundials"\n'
    )
    with xr.open_dataset(run_file(tmp_path / "catchment.toml")) as result:
        rain, lost = float(result["precipitation"].sum()), float(result["balance_error_all_m3_"])
    # Two days of 4 mm on 5 km2.
    assert abs(rain - 40000.0) < 1e-6 * 40000
    assert abs(lost) < 1e-6
