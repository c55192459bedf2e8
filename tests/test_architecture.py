"""Imports point one way, heavy packages have one door each, and importing pydiffgeo loads none of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pydiffgeo

ROOT = Path(pydiffgeo.__file__).parent
# A module may import from its own layer and those before it.
LAYERS = (
    ("errors", "arrays", "checks", "copies", "days", "fingerprint", "looking", "html"),
    ("model",),
    ("processes",),
    ("models",),
    ("engines",),
    ("inputs", "tensors", "solution", "solve", "jacobian", "check"),
    ("losses", "observe", "transforms", "bridge", "__init__"),
    ("io", "plots"),
    ("calibration", "nn"),
    ("hydrology",),
    ("report", "verification"),
    ("commands", "__main__"),
)


def module_name(path: Path) -> str:
    """Dotted name below the package: `engines.ir.tracing`, `models`, `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}

IO, PLOTS = (
    {name for name in MODULES if name.startswith((f"{top}.", "hydrology.data."))} | {top} for top in ("io", "plots")
)


def imports(name: str) -> set[str]:
    """What a module imports anywhere in its text: dotted names, those of pydiffgeo relative to it with a dot ahead."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    package = [] if name == "__init__" else package
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *((node.module or "").split(".") if node.module else [])]
            # `from . import x` imports the module x where there is one, else a name of the package.
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                found.add("." + (whole if whole in MODULES else ".".join(base) or "__init__"))
    return {
        "." + (f.removeprefix("pydiffgeo").lstrip(".") or "__init__") if f.split(".")[0] == "pydiffgeo" else f
        for f in found
    }


def layer(name: str) -> int:
    top = name.split(".")[0]
    return next(i for i, names in enumerate(LAYERS) if top in names)


def inside(name: str) -> set[str]:
    return {i[1:] for i in imports(name) if i.startswith(".")}


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
                "engines.sundials.cvodes",
                "engines.sundials.networks",
                "engines.sundials.symbols",
                "engines.sundials.limits",
                "engines.sundials.rosenbrock",
                "engines.sundials.turning",
                "commands.doctor",
            },
        ),
        ("xarray", IO | {"calibration.dataset", "hydrology.prediction_dataset", "report.content", "verification.peer"}),
        ("h5netcdf", IO),
        ("netCDF4", IO),
        ("pint", {"io.units"}),
        ("cf_xarray", {"io.units"}),
        ("zarr", set()),
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
