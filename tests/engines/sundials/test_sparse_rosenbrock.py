"""Grids large enough for factors on them in both engines: against CVODES, and against differences."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.sundials import sparse_rosenbrock

SIDE = 31
CELLS = SIDE * SIDE


def aquifer(counted: bool = False) -> dg.Model:
    """An unconfined aquifer with a river along one side; `counted`, it loses water to the air, which an integrated flux counts."""

    def flux(left: SimpleNamespace, right: SimpleNamespace, face: SimpleNamespace) -> dict[str, torch.Tensor]:
        k = 2 / (1 / left.K + 1 / right.K)
        return {"water": k * 0.5 * (left.head + right.head) * (left.head - right.head) / 100.0}

    def source(cell: SimpleNamespace, forcing: SimpleNamespace) -> dict[str, torch.Tensor]:
        if not counted:
            return {"water": forcing.recharge, "recharge": forcing.recharge}
        lost = 0.001 * torch.sigmoid(cell.head - 20.0)
        return {"water": forcing.recharge - lost, "recharge": forcing.recharge, "lost": lost}

    def river(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, torch.Tensor]:
        return {"water": 50.0 * (20.0 - cell.head), "river": 50.0 * (20.0 - cell.head)}

    fluxes = [dg.IntegratedFlux("recharge", "m3", "", 1), dg.IntegratedFlux("river", "m3", "", 1)]
    return dg.Model(
        "Aquifer",
        dg.raster((SIDE, SIDE), (100.0, 100.0)),
        states=(dg.State("water", "m", "water per area"),),
        parameters=(dg.Parameter("K", "m d-1", "conductivity", 10.0), dg.Parameter("S", "1", "storage", 0.1)),
        forcings=(dg.ForcingVariable("recharge", "m d-1", "recharge"),),
        fluxes=(*fluxes, *((dg.IntegratedFlux("lost", "m3", "", -1),) if counted else ())),
        outputs=(dg.Output("head", "m", "head"),),
        closure=lambda cell: {"head": cell.water / cell.S},
        source=source,
        flux=flux,
        output=lambda cell: {"head": cell.head},
        boundaries=(dg.Boundary("river", tuple(range(0, CELLS, SIDE)), river, {"area": 100.0}),),
    )


def fields() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    place = torch.arange(CELLS, dtype=torch.float64)
    return 10 * torch.exp(0.5 * torch.sin(place)), 0.1 + 0.02 * torch.cos(place), torch.tensor([1e-3, 4e-3, 0.0])


def solved(
    k: torch.Tensor,
    s: torch.Tensor,
    rain: torch.Tensor,
    *,
    counted: bool = False,
    linear: bool = False,
    **settings: Any,
) -> dg.Solution:
    times = [0.0, 10.0, 20.0, 30.0]
    forcing = dg.TimeSeries(times, torch.cat([rain, rain[:1]]), "linear") if linear else rain
    given = {"forcing": {"recharge": forcing}, "times": times, "initial": {"water": 21.0 * s}}
    return dg.solve(aquifer(counted), {"K": k, "S": s}, **given, **{"rtol": 1e-5, "atol": 1e-7} | settings)


def loss_of(sol: dg.Solution) -> torch.Tensor:
    return sol.outputs["head"][1:, :: CELLS // 30].square().mean() + 1e-6 * sol.fluxes["river"].sum()


@pytest.mark.parametrize("linear", [False, True])
def test_gradients_to_fields_are_those_of_differences(engine: str, linear: bool) -> None:
    inputs = [x.requires_grad_() for x in fields()]
    loss_of(solved(*inputs, linear=linear, engine=engine)).backward()
    tight = {"linear": linear, "engine": engine, "rtol": 1e-9, "atol": 1e-11}
    for i, x in enumerate(inputs):
        direction = x.detach() * torch.cos(torch.arange(len(x)))
        ends = []
        for share in (-1e-3, 1e-3):
            shifted = [v.detach() + share * direction if v is x else v.detach() for v in inputs]
            ends.append(loss_of(solved(*shifted, **tight)))
        expected = (ends[1] - ends[0]) / 2e-3
        assert x.grad is not None
        torch.testing.assert_close((x.grad * direction).sum(), expected, rtol=1e-4, atol=0.0, msg=str(i))


def test_the_linear_solver_is_chosen_by_the_structure_and_named(engine: str) -> None:
    with torch.no_grad():
        stats = solved(*fields(), engine=engine).stats
        column = dg.solve(
            dg.models.RichardsColumn(0.3, 30),
            initial={"theta": 0.2},
            forcing={"flux": 0.0},
            times=[0.0, 0.1],
            engine=engine,
        ).stats
    assert stats["solver"] == "Rodas5P"
    assert stats["linear_solver"] == f"sparse direct ({ {'julia': 'multifrontal', 'sundials': 'SuperLU'}[engine] })"
    assert column["linear_solver"] == {"julia": "banded", "sundials": "sparse direct (QR)"}[engine]


def test_the_balance_closes_with_a_flux_counted_over_all_cells(engine: str) -> None:
    with torch.no_grad():
        sol = solved(*fields(), counted=True, engine=engine)
    assert float(sol.balance) < 1e-10 * float(sol.storage.abs().max())
    assert float(sol.fluxes["lost"].sum()) > 0


def test_the_tangent_is_the_transpose_of_the_adjoint() -> None:
    inputs = fields()
    dots = tuple(x * torch.sin(torch.arange(len(x))) for x in inputs)

    def loss(*given: torch.Tensor) -> torch.Tensor:
        return loss_of(solved(*given, linear=True, engine="sundials"))

    pushed = torch.func.jvp(loss, inputs, dots)[1]
    bars = torch.func.grad(loss, argnums=(0, 1, 2))(*inputs)
    pulled = sum((bar * dot).sum() for bar, dot in zip(bars, dots, strict=True))
    torch.testing.assert_close(pushed, pulled, rtol=1e-9, atol=0.0)


def test_cvodes_agrees_and_solves_where_scipy_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        usual = solved(*fields(), engine="sundials")
        named = solved(*fields(), engine="sundials", solver="cvodes-bdf")
        monkeypatch.setattr(sparse_rosenbrock, "find_spec", lambda name: None)
        without = solved(*fields(), engine="sundials", rtol=2e-5)
    assert (named.stats["solver"], without.stats["solver"]) == ("cvodes-bdf", "cvodes-bdf")
    assert (named.stats["linear_solver"], without.stats["linear_solver"]) == ("sparse direct (QR)",) * 2
    for other in (named, without):
        torch.testing.assert_close(usual.outputs["head"], other.outputs["head"], rtol=1e-4, atol=0.0)
