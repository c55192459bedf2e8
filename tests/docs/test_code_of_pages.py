"""What pages of docs/ show runs as it stands there, one block after the other, with what a page takes for given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines import registry

DOCS = Path(__file__).parents[2] / "docs"
# Run by tests/test_examples.py.
ELSEWHERE = {"basins.md", "grids.md", "models.md"}
# What these show wants workers, and a folder of MODFLOW; tests/calibration/test_many_sites.py and tests/io have both.
APART = {"many_sites.md", "groundwater.md"}


@pytest.fixture(autouse=True)
def without_julia(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages leave the choice to "auto". That both engines agree is held elsewhere, and Julia takes a while to start."""
    monkeypatch.setattr(registry, "julia_missing", lambda: "not wanted here")


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def run(page: str, **space: object) -> dict:
    for block in blocks(page):
        exec(block, space)
    return space


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
        points=points,
        values=wave(points),
        at=at,
        periods=(1.0, 1.0),
    )
    assert (space["made"].fields - wave(at)).abs().max() < 0.05
    assert max(space["told"]) < 0.2
    again = dg.solve(space["mended"], times=times, rtol=1e-10, atol=1e-10).states["storage"]
    assert (again - storage).abs().max() < 0.01


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


def test_no_page_is_left_out() -> None:
    here = {m for m in re.findall(r'run\(\s*"(\w+\.md)"', Path(__file__).read_text())}
    assert {page.name for page in DOCS.glob("*.md") if blocks(page.name)} == here | ELSEWHERE | APART
