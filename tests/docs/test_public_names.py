"""Every public name says what it is, and the reference has it."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from pathlib import Path

import pytest

import pydiffgeo

BUILDING = Path(__file__).parents[2] / "docs" / "building"


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(BUILDING))
    try:
        return importlib.import_module("reference")
    finally:
        sys.path.remove(str(BUILDING))


def test_all_public_names_are_explained(reference) -> None:
    names = [*reference.everything()]
    assert len(names) > 250
    assert [found.path for _, found in names if len(found.summary.split()) < 3] == []


def test_all_public_methods_are_explained(reference) -> None:
    """Where they are defined, or in a class that says it for all of its kind."""
    silent, methods = set(), 0
    for _, found in reference.everything():
        module, _, name = found.path.rpartition(".")
        # The one engine that is behind `dg.solve` is no class for users, and its protocol explains it.
        if found.is_module or module.startswith("pydiffgeo.engines.julia"):
            continue
        value = getattr(importlib.import_module(module), name)
        if not inspect.isclass(value):
            continue
        for method, member in vars(value).items():
            shown = inspect.isfunction(member) or isinstance(member, (property, functools.cached_property, classmethod))
            if shown and not method.startswith("_"):
                methods += 1
                if not inspect.getdoc(member) and not inspect.getdoc(getattr(value, method)):
                    silent.add(f"{found.path}.{method}")
    assert methods > 300
    assert silent == set()


def test_names_are_followed_to_where_they_are_defined(reference) -> None:
    for module, found in reference.everything():
        if module.startswith(("pydiffgeo.engines.julia", "pydiffgeo.plots")):
            continue
        value = getattr(importlib.import_module(module), found.name)
        # `pydiffgeo.solve` is a function, and the module that it is in.
        home = importlib.import_module(found.path if found.is_module else found.path.rpartition(".")[0])
        assert value is (home if found.is_module else getattr(home, found.name)), found


def test_the_reference_has_every_package_and_each_name_once(reference) -> None:
    pages = reference.pages()
    public = {module for module, _ in reference.everything()}
    # What is not for users: one engine, the module of `solve`, packages of processes, which are on the page of these.
    apart = {
        "pydiffgeo.engines.julia",
        "pydiffgeo.solve",
        "pydiffgeo.processes.soil",
        "pydiffgeo.processes.groundwater",
    }
    assert public - {*reference.PACKAGES} == apart
    blocks = [line[4:] for page in pages.values() for line in page.splitlines() if line.startswith("::: ")]
    assert len(blocks) == len({*blocks})
    wanted = {found.path for module, found in reference.everything() if module not in apart and not found.is_module}
    assert wanted <= {*blocks}
    assert "pydiffgeo.errors.SolverError" in blocks
    assert {"pydiffgeo.processes.soil.retention.Closure", "pydiffgeo.processes.leaf.arrhenius"} <= {*blocks}
    # Packages that are reached as `dg.name` are there.
    reached = {name for name in pydiffgeo.__all__ if hasattr(getattr(pydiffgeo, name), "__path__")}
    assert {f"pydiffgeo.{name}" for name in reached} <= {*reference.PACKAGES}
