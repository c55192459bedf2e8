"""The same for pages where something is looked up, and for those that want workers, or a folder of MODFLOW."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pages import blocks, run

import pydiffgeo as dg
from pydiffgeo.engines import registry
from pydiffgeo.engines.base import Engine
from pydiffgeo.engines.ir.numpy_rules import RULES
from pydiffgeo.models.ready import READY


def test_installing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # An engine that is asked for by name is looked for in earnest, and Julia may run in this process.
    def none_here() -> Engine:
        raise dg.errors.EngineNotAvailableError("no-such-julia is not there")

    monkeypatch.setattr(registry, "julia", none_here)
    space = run("installing.md")
    assert [*space["at_hand"]] == ["sundials"]
    # dS/dt = 1 - S / 2 from an empty store.
    assert abs(space["at_hand"]["sundials"].states["storage"][-1].item() - 2 * (1 - np.exp(-5.0))) < 1e-5
    missing, chosen = capsys.readouterr().out.splitlines()
    assert "no-such-julia" in missing
    assert chosen.startswith("sundials; no Julia: not wanted here; ")


def test_faults(capsys: pytest.CaptureFixture[str]) -> None:
    space = run("faults.md")
    sol = space["sol"]
    assert sol.status[1] is dg.Status.OUT_OF_RANGE
    assert re.search(r"'flux' in cell 0 at 0\.0\d+ is 0\.5 m d-1", sol.reasons[1])
    assert torch.isnan(sol.states["theta"][1, -1]).all()
    assert space["K_s"].grad[0] < 0 == space["K_s"].grad[1]
    assert [text.partition(":")[0] for text in space["said"]] == ["BoundsError", "UnknownNameError", "ShapeError"]
    assert "K_sat" in capsys.readouterr().out


def test_glossary() -> None:
    space = run("glossary.md")
    sol = space["sol"]
    assert sol.states["theta"].shape == (2, 2, 5)
    assert (sol.balance.abs() < 1e-12).all()
    # More conductive soil brings more water to its surface, and lets 1 cm/d - 3 mm/d through at rest.
    assert (space["K_s"].grad > 0).all()
    assert abs(space["rest"].fluxes["drainage"].item() - 0.007) < 1e-8


def test_architecture() -> None:
    space = run("architecture.md")
    program, slope = space["kernel"].program, space["slope"]
    water = {"cell.water": 9.0, "cell.k": 0.1, "cell.n": 1.5, "forcing.rain": 3.0}
    assert abs(program.run(water, RULES)["water"] - (3.0 - 0.1 * 27.0)) < 1e-12
    assert abs(slope.run(water, RULES)["slope.water.cell.water"] + 0.1 * 1.5 * 3.0) < 1e-12


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("h5netcdf", reason="h5netcdf is not installed")
    space = run("files.md")
    # Twelve millimetres within a day, of which what has left follows from dS/dt = 12 - S / k.
    for k, discharge in ((2.0, space["data"]["discharge"].values), (4.0, space["sol"].fluxes["discharge"])):
        assert abs(discharge[1] - 12 * (1 - k * (1 - np.exp(-1 / k)))) < 1e-4
    assert space["start"] == np.datetime64("2001-05-01")


def test_tutorials(capsys: pytest.CaptureFixture[str]) -> None:
    run("tutorials/index.md")
    out = capsys.readouterr().out
    assert all(name in out for name in READY)
    assert "saturated hydraulic conductivity" in out


def test_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    total = run("gallery.md")["total"]
    assert abs(total["precipitation"] - 0.05) < 1e-9
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("profiles.png", "balance.png"))


def test_many_sites(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'pydiffgeo[dask]'")
    (program,) = blocks("many_sites.md")
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    space: dict = {"__name__": "read only"}
    exec(program, space)
    for line in done.stdout.splitlines():
        name, found, error = re.fullmatch(r"(\w+) \{'k': ([^}]+)\} \{'k': ([^}]+)\}", line).groups()
        (seen,) = space["read"](name).observations
        with torch.no_grad():
            again = dg.solve(
                space["RESERVOIR"], {"k": float(found)}, forcing=space["read"](name).forcing, times=space["DAYS"]
            )
        assert (seen.simulated(again) - seen.values).abs().max() < 0.01
        assert float(error) < 0.2
    assert sorted(p.stem for p in (tmp_path / "sites").iterdir()) == ["lower", "middle", "upper"]


def test_groundwater(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    solutes, rests, modflow, fields = blocks("groundwater.md")
    grid = dg.raster((1, 6, 8), (50.0, 50.0), layers=[20.0])
    space: dict = {"dg": dg, "grid": grid, "torch": torch}
    exec(solutes.replace("range(100)", "range(5)"), space)
    # Water of 1.5 is put in at cell 40: concentrations are highest there.
    assert space["sol"].outputs["concentration"][-1].argmax() == 40
    assert all(abs(float(v)) < 1e-6 for v in space["sol"].balances.values())

    exec(rests.replace("range(100)", "range(5)"), space)
    # Heads are those of the water alone, and solutes are on their way to where they are at rest.
    assert (space["rest"].outputs["head"] - space["heads"]).abs().max() < 1e-6
    last = space["sol"].outputs["concentration"][-1]
    assert (last > 0).any()
    assert (last < space["rest"].outputs["concentration"] + 1e-9).all()

    by_zones, kriged, by_network = fields.split("\n\n")
    space["zone"], space["log10_K"] = torch.arange(48) % 2, torch.tensor([0.0, 1.0])
    exec(by_zones, space)
    assert space["K"][:3].tolist() == [1.0, 10.0, 1.0]
    space["network"] = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
    exec(by_network, space)
    assert space["K"].shape == (48,)
    assert (space["K"] > 0).all()
    if space.setdefault("gstools", import_of("gstools")):
        space |= {"places": np.array([[25.0, 25.0], [375.0, 275.0]]), "values": torch.tensor([0.0, 1.0]).double()}
        exec(kriged, space)
        # Between what the two points say.
        assert (space["K"] > 0.5).all()
        assert (space["K"] < 20.0).all()
    if flopy := import_of("flopy"):
        modflow_folder(flopy, tmp_path / "my_model")
        exec(modflow, space)
        # Rain of 1 mm/d on 12,000 m2 runs out through the drain, at rest and after.
        assert abs(space["first"].fluxes["drn_0"].sum() + 12.0) < 1e-4
        assert abs(space["sol"].fluxes["drn_0"].sum() + 120.0) < 1e-3


def import_of(name: str) -> ModuleType | None:
    """A package that may be missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def modflow_folder(flopy: ModuleType, folder: Path) -> None:
    """Three cells with recharge and a drain: a steady period, and ten days."""
    mf6 = flopy.mf6
    simulation = mf6.MFSimulation(sim_name="made", sim_ws=str(folder), verbosity_level=0)
    mf6.ModflowTdis(simulation, nper=2, perioddata=[(1.0, 1, 1.0), (10.0, 5, 1.2)], time_units="days")
    mf6.ModflowIms(simulation)
    model = mf6.ModflowGwf(simulation, modelname="made", newtonoptions="NEWTON")
    mf6.ModflowGwfdis(model, nlay=1, nrow=1, ncol=3, delr=100.0, delc=40.0, top=10.0, botm=0.0, length_units="meters")
    mf6.ModflowGwfnpf(model, icelltype=1, k=5.0)
    mf6.ModflowGwfic(model, strt=8.0)
    mf6.ModflowGwfsto(model, iconvert=1, ss=1e-5, sy=0.1, steady_state={0: True}, transient={1: True})
    mf6.ModflowGwfdrn(model, stress_period_data={0: [[(0, 0, 2), 5.0, 50.0]]})
    mf6.ModflowGwfrcha(model, recharge={0: 1e-3})
    simulation.write_simulation(silent=True)
