"""Imports point one way, heavy packages have one door each, and importing pydiffgeo loads none of them."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import pydiffgeo

ROOT = Path(pydiffgeo.__file__).parent
DRAWN = Path(__file__).parents[1] / "docs" / "architecture.py"


def drawn() -> ModuleType:
    """The script that draws the picture: it knows the layers, and what modules import."""
    spec = importlib.util.spec_from_file_location("architecture", DRAWN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ARCHITECTURE = drawn()
MODULES: dict[str, Path] = ARCHITECTURE.MODULES
imports, inside, layer = ARCHITECTURE.imports, ARCHITECTURE.inside, ARCHITECTURE.layer
IO = {name for name in MODULES if name.split(".")[0] == "io" or name.startswith("hydrology.data")}
PLOTS = {name for name in MODULES if name.split(".")[0] == "plots"}


def external(name: str) -> set[str]:
    return {i.split(".")[0] for i in imports(name) if not i.startswith(".")}


def test_every_module_was_found_and_read() -> None:
    assert {"__init__", "models", "models.richards", "engines.julia.session", "commands.cli", "__main__"} <= {*MODULES}
    assert {"model", "processes.soil.surface", "processes.soil.retention"} <= inside("models.richards")
    assert {"errors", "engines.base", "engines.julia.codegen"} <= inside("engines.julia.engine")
    assert "errors" in inside("__init__")
    assert "casadi" in external("engines.sundials.cvodes")
    assert {"models.exphydro", "models.richards"} <= inside("models")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    against = {other for other in inside(name) if layer(other) > layer(name)}
    assert not against, f"{name} imports {sorted(against)}, which build on it"


def test_no_modules_import_each_other() -> None:
    # The package itself is left out: its version is read from below, inside functions or from the last layer.
    below = {name: inside(name) - {name, "__init__"} for name in MODULES if name != "__init__"}
    assert len([*TopologicalSorter(below).static_order()]) >= len(below)


def test_the_picture_is_that_of_the_code() -> None:
    assert ARCHITECTURE.drawing() == DRAWN.with_suffix(".svg").read_text(), "draw it again: python docs/architecture.py"


# Engines answer alike, references are for the problems of the same name, and so is the plot of the demo.
ALIKE = {"engine", "networks", "steady", "basin_models", "rainfall_runoff", "infiltration", "stiff", "demo"}


def test_a_name_of_a_module_means_one_thing() -> None:
    names = Counter(name.split(".")[-1] for name, path in MODULES.items() if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} <= ALIKE


def test_no_file_is_long() -> None:
    assert {name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 350} == set()


def test_generic_tools_know_no_basin() -> None:
    for name in MODULES:
        if layer(name) < layer("hydrology"):
            assert not {i for i in inside(name) if i.split(".")[0] == "hydrology"}, name


def test_engines_know_no_process() -> None:
    for name in MODULES:
        if layer(name) == layer("engines"):
            assert not {i for i in inside(name) if i.split(".")[0] in ("models", "processes")}, name


@pytest.mark.parametrize(
    ("package", "doors"),
    [
        ("juliacall", {"engines.julia.session"}),
        ("juliapkg", {"engines.julia.session", "commands.doctor"}),
        (
            "casadi",
            {
                "engines.sundials.calls",
                "engines.sundials.compiling",
                "engines.sundials.cvodes",
                "engines.sundials.euler_algebra",
                "engines.sundials.few_states",
                "engines.sundials.implicit_euler",
                "engines.sundials.networks",
                "engines.sundials.symbols",
                "engines.sundials.limits",
                "engines.sundials.rosenbrock",
                "engines.sundials.sparse_rosenbrock",
                "engines.sundials.steady",
                "engines.sundials.steady_functions",
                "engines.sundials.turning",
                "commands.doctor",
            },
        ),
        (
            "xarray",
            IO
            | {
                "calibration.dataset",
                "calibration.sites_dataset",
                "hydrology.learn.learning",
                "hydrology.prediction_dataset",
                "report.content",
                "verification.peer",
            },
        ),
        ("h5netcdf", IO),
        ("netCDF4", IO),
        ("pint", {"io.units"}),
        ("cf_xarray", {"io.units"}),
        ("zarr", set()),
        ("pyro", {"identify.sampling"}),
        ("matplotlib", PLOTS | {"verification.figures"}),
    ],
    ids=lambda value: f"door of {value}" if isinstance(value, str) else "modules",
)
def test_heavy_packages_have_one_door(package: str, doors: set[str]) -> None:
    assert {name for name in MODULES if package in external(name)} <= doors


def test_importing_pydiffgeo_loads_nothing_heavy() -> None:
    heavy = ["juliacall", "juliapkg", "casadi", "xarray", "matplotlib", "h5netcdf", "scipy", "pandas", "pint", "zarr"]
    code = f"import sys, pydiffgeo; print([m for m in {heavy} if m in sys.modules], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert done.stdout.strip() == "[] True"


def test_every_fault_in_the_table_has_its_test() -> None:
    tests = Path(__file__).parent
    known = {
        node.name
        for file in tests.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    text = (ROOT.parent / "docs" / "faults.md").read_text()
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = [cells for cells in table if len(cells) == 5 and cells[0] != "fault"]
    assert len(rows) > 30
    for fault, *_, held in rows:
        named = re.findall(r"`(test_\w+)`", held)
        assert named, fault
        assert {*named} <= known, fault
