"""What pages of docs/ show runs as it stands there, one block after the other, with what a page takes for given."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from calibration import write_basins
from pages import DOCS, blocks, run
from series_sites import make_series

import pydiffgeo as dg


def gallery() -> ModuleType:
    """The script that runs the tutorials, and draws their pictures."""
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GALLERY = gallery()


def test_start_here() -> None:
    space = run("index.md")
    K_s = space["K_s"].grad
    # What is above brings water to half a metre, what is below takes it away.
    assert (K_s[:10] > 0).all()
    assert (K_s[10:] < 0).all()
    assert space["report"].ok, space["report"]
    found, errors = space["found"].values("plot"), space["found"].standard_errors("plot")
    for name, true in {"K_s": 0.6, "n": 1.8}.items():
        assert abs(found[name] - true) < 3 * errors[name] < 0.3 * true
    assert space["sol"].balance < 1e-12


@pytest.mark.parametrize("tutorial", GALLERY.TUTORIALS)
def test_every_tutorial_says_what_is_true(tutorial: str, tmp_path: Path) -> None:
    """Each within the accuracy that its page states, and with the picture that the gallery has."""
    space = GALLERY.run(tutorial, tmp_path)
    assert (tmp_path / f"{tutorial}.png").stat().st_size > 5000
    assert (DOCS / "gallery" / f"{tutorial}.png").stat().st_size < 60_000
    HELD[tutorial](space, tmp_path)


def of_column(space: dict, folder: Path) -> None:
    found, errors = space["found"].values("plot"), space["found"].standard_errors("plot")
    for name, true in {"K_sand": 0.6, "K_loam": 0.08}.items():
        assert abs(found[name] - true) < 3 * errors[name] < 0.3 * true


def of_aquifer(space: dict, folder: Path) -> None:
    losses, found, true = space["losses"], space["log_K"].detach(), space["true"]
    assert losses[-1] < 1.5 < 10 < losses[0]
    # The lens of gravel, around row 4 and column 9, is where it is, and smoother.
    row, column = divmod(int(found.argmax()), 16)
    assert abs(row - 4) + abs(column - 9) < 3
    assert 15 < found.max().exp() < true.max().exp() < 36
    assert np.corrcoef(found.reshape(-1).numpy(), true.reshape(-1).numpy())[0, 1] > 0.5


def of_basin(space: dict, folder: Path) -> None:
    assert space["score"] > 0.97
    for name, true in {"f": 0.03, "S_max": 300.0, "D_f": 2.5}.items():
        assert abs(space["values"][name] / true - 1) < 0.05


def of_many_basins(space: dict, folder: Path) -> None:
    scores = json.loads((folder / "network.json").read_text())["nse"]["median"]
    assert scores["held out"]["evaluation"] > 0.8
    assert space["flat"] < space["steep"]


def of_network_inside(space: dict, folder: Path) -> None:
    assert space["scores"][0] < 0.9 < 0.97 < space["scores"][-1]
    law = space["store"] ** 2 / 200
    assert ((space["found"] - law).abs().max() / law.max()) < 0.2


def of_process(space: dict, folder: Path) -> None:
    assert space["report"].ok
    assert space["sol"].balance < 1e-9
    assert (space["exact"] - (10.0 - 0.02 * space["travelled"])).abs().max() < 1e-3


HELD = {
    "column": of_column,
    "aquifer": of_aquifer,
    "basin": of_basin,
    "many_basins": of_many_basins,
    "network_inside": of_network_inside,
    "process": of_process,
}


def test_theory() -> None:
    errors = run("theory.md")["errors"]
    for rtol, (state, gradient) in errors.items():
        assert max(abs(state), abs(gradient)) < 10 * rtol
    assert abs(errors[1e-8][1]) < 1e-3 * abs(errors[1e-4][1])


def test_coming_from() -> None:
    space = run("coming_from.md")
    assert space["node"].shape == (3,)
    # A well draws down less where soil conducts better.
    assert space["K"].grad[0, 2, 5] > 0
    assert (space["FC"].grad < 0).all()
    # Robertson's problem by another code; it spends what it begins with.
    integrate = pytest.importorskip("scipy.integrate", reason="SciPy is not installed")

    def rates(t, y):
        slow, fast, square = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return [fast - slow, slow - fast - square, square]

    other = integrate.solve_ivp(rates, (0.0, 40.0), [1.0, 0.0, 0.0], method="Radau", rtol=1e-10, atol=1e-14).y[0, -1]
    assert abs(space["end"].states["a"][-1].item() - other) < 1e-7
    assert space["k1"].grad < 0


def outflow(storage: torch.Tensor, seed: int) -> torch.nn.Module:
    """A network that gives the logarithm of what a hundredth of the square of a storage is."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.03)
    for _ in range(400):
        optimiser.zero_grad()
        (net(storage.detach() / 30).exp() - 0.01 * storage.detach() ** 2).square().mean().backward()
        optimiser.step()
    return net


def test_discovery() -> None:
    # Storage that drains by its square, seen by a model that knows of a linear outflow only.
    times = torch.arange(0.0, 10.05, 0.1, dtype=torch.float64)
    quadratic = dg.Model(
        "Quadratic",
        dg.single_cell(),
        (dg.State("storage", "mm", "water", default=30.0),),
        source=lambda cell, forcing: {"storage": -0.1 * cell.storage - 0.01 * cell.storage**2},
    )
    linear = dg.Model(
        "Linear",
        dg.single_cell(),
        (dg.State("storage", "mm", "water", default=30.0),),
        (dg.Parameter("k", "d-1", "recession", 0.1),),
        source=lambda cell, forcing: {"storage": -cell.k * cell.storage},
    )
    storage = dg.solve(quadratic, times=times, rtol=1e-10, atol=1e-10).states["storage"]
    noise = 0.2 * torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    at = torch.rand(9, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def wave(place: torch.Tensor) -> torch.Tensor:
        return torch.sin(2 * torch.pi * place.sum(-1))

    space = run(
        "discovery.md",
        dg=dg,
        model=linear,
        parameters={"k": 0.1},
        storage=storage,
        times=times,
        forcing={},
        noisy=storage[5::5, 0].detach() + noise,
        rate=lambda cell, forcing: torch.exp(cell.discharge(cell.storage / 30)),
        trainings=[{"discharge": outflow(storage, seed)} for seed in (0, 1)],
        points=points,
        values=wave(points),
        at=at,
        periods=(1.0, 1.0),
    )
    assert list(space["lacks"]["storage"].terms) == ["S^2"]
    assert abs(space["refined"].values["c_1"] + 0.01) < 3 * space["refined"].errors["c_1"]
    assert space["formula"].verdict == "found", space["formula"]
    assert abs(space["formula"].terms["S^2"] - 0.01) < 5e-4
    assert (space["made"].fields - wave(at)).abs().max() < 0.05
    assert max(space["told"]) < 0.2
    again = dg.solve(space["mended"], times=times, rtol=1e-10, atol=1e-10).states["storage"]
    assert (again - storage).abs().max() < 0.01


def test_closures() -> None:
    system = dg.testbeds.ForcedTurbulence()
    fields = system.start(2, seed=1)
    n = 150
    rain = torch.distributions.Gamma(0.3, 0.1).sample((n,)).double()

    def basin(networks, outflow):
        return dg.Model(
            "Basin",
            dg.single_cell(),
            (dg.State("water", "mm", "water", low=0.0),),
            forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
            fluxes=(dg.IntegratedFlux("runoff", "mm", "runoff", -1),),
            source=lambda cell, forcing: {"water": forcing.rain - outflow(cell), "runoff": outflow(cell)},
            networks=networks,
        )

    law = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    model = basin({"discharge": law}, lambda cell: cell.water / 20 * torch.exp(cell.discharge(cell.water / 50)))
    question = {"forcing": {"rain": rain}, "times": range(n + 1), "initial": {"water": 30.0}}
    space = {
        "dg": dg,
        "fields": fields,
        "wanted": system.flow(fields).enstrophy_spectrum.mean(0),
        "model": model,
        "question": question,
        "observed": dg.solve(basin({}, lambda cell: (cell.water / 20) ** 2), **question).fluxes["runoff"],
    }
    turbulence, flows = blocks("closures.md")
    exec(turbulence.replace("windows=150", "windows=2"), space)
    assert space["learned"].failures == 0
    exec(flows.replace("windows=25", "windows=6"), space)
    assert space["learned"].losses[-1] < space["learned"].losses[0]


def test_decisions() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(0.5, 14, 30, dtype=torch.float64)

    def grown(stock):
        return stock * torch.exp(1 - stock / 10)

    y = grown(x) * torch.exp(0.05 * torch.randn(30, generator=generator, dtype=torch.float64))
    grid = torch.linspace(0, 15, 50, dtype=torch.float64)
    space = run(
        "decisions.md",
        dg=dg,
        torch=torch,
        x=x,
        y=y,
        reward=torch.minimum(grid[:, None], grid[None]),
        step=lambda stock, action, generator=None: grown((stock - action).clamp(min=0)),
        earned=torch.minimum,
    )
    assert space["outcome"].crash_fraction < 0.1


def test_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_series(6)
    runoff = data.observed.clone()
    runoff[:, 1200:1230] = torch.nan
    space = run("series.md", data=data, gappy=replace(data, observed=runoff))
    assert len(space["seen"].loss) == 60
    assert torch.isfinite(space["filled"].observed).all()
    assert space["everything"].shape == (6, len(data.dates), 3)
    assert space["tomorrow"].shape == (6, 3)
    assert space["network"].inputs == ("slope", "embedding_0", "embedding_1", "embedding_2")


def test_assimilation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, times = dg.models.RichardsColumn(depth=0.5, cells=5), torch.arange(4.0, dtype=torch.float64)
    probe = dg.observe.Observation("theta", "value", times[1:], [0.3, 0.31, 0.32], error=0.01, depth=0.1)
    space = run("assimilation.md", dg=dg, model=model, times=times, flux=[0.005] * 3, probe=probe)
    assert not space["found"].failures
    assert (tmp_path / "a.npz").is_file()


def test_local_functions() -> None:
    space = run("local_functions.md", dg=dg, torch=torch)
    sorption = dg.Model(
        "Sorption",
        dg.single_cell(),
        (dg.State("total", "g", "all of it", default=1.0),),
        tuple(dg.Parameter(name, "1", name, value) for name, value in {"theta": 0.3, "K": 0.8, "n": 0.7}.items()),
        closure=space["closure"],
        source=lambda cell, forcing: {"total": 0.0 * cell.c},
        outputs=(dg.Output("c", "g", "dissolved"),),
        output=lambda cell: {"c": cell.c},
    )
    c = dg.solve(sorption, times=[0.0, 1.0]).outputs["c"][-1].item()
    assert abs(0.3 * c + 0.8 * c**0.7 - 1.0) < 1e-8


def test_declaring() -> None:
    space = run("declaring.md")
    unit = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    sol = dg.solve(space["cascade"], times=[0.0, 100.0], initial={"storage": unit})
    # All of the water leaves in the end.
    assert abs(sol.fluxes["discharge"].item() - 1) < 1e-6
    # What is above is as wet as what is below: nothing moves.
    still = dg.solve(space["spreading"], times=[0.0, 1.0])
    assert still.fluxes["moved"].abs().max() < 1e-12
    assert max(space["sol"].balances.values()) < 1e-9
    assert space["net"][0].weight.grad.abs().max() > 0


def test_gradients() -> None:
    space = run("gradients.md")
    assert space["report"].ok, space["report"]
    assert torch.isfinite(space["K_s"].grad).all()
    # What rains and is not evaporated drains.
    assert abs(space["rest"].fluxes["drainage"].item() - 0.007) < 1e-9
    assert space["curvature"] > 0
    assert space["product"].error < 1e-3 * abs(space["product"].value)


def test_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in blocks("calibration.md"):
        # All but the lines that open a reader's own files.
        exec(re.sub(r"^(data = dg\.hydrology\.open_|data\[).*$", "", block, flags=re.MULTILINE), space)
    assert 0.01 < space["found"].values("plot")["K_s"] < 1.0
    assert (tmp_path / "plot.nc").exists()
    assert torch.isfinite(space["loss"])
    assert dg.io.read_dataset(tmp_path / "result.nc").attrs["engine"] == "sundials"


def test_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("learning.md")
    data = dg.hydrology.open_cf(write_basins(tmp_path))
    space: dict = {"data": data.assign(aridity=("basin", [0.5, 2.0]), frac_snow=("basin", [0.3, 0.1]))}
    exec(block.replace("steps=300", "steps=2, warmup=20, window=40"), space)
    again = dg.nn.ParameterNetwork.load("network.npz", dg.models.ExpHydro())
    assert again.inputs == space["network"].inputs


def test_soil() -> None:
    sol = run("soil.md")["sol"]
    # The shower of the second day: what is not evaporated comes in, runs off, or stands on the soil.
    parts = sol.fluxes["infiltration"][1] + sol.fluxes["runoff"][1] + sol.states["pond"][2, 0]
    assert abs(parts - 0.248) < 1e-6
    assert sol.fluxes["drainage"][0] < 1e-6 < sol.fluxes["drainage"][1]


def test_identify() -> None:
    spectrum = run("identify.md")["spectrum"]
    assert spectrum.rank == 2
    # In shares of the values, one up and the other down.
    assert abs(spectrum.directions[-1] @ [1, 1, 0]) + abs(spectrum.directions[-1][2]) < 1e-6
