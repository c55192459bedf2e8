"""Balances, one for each unit in which fluxes declare one, and statistics of a solve."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from decays import TIGHT, close

import pydiffgeo as dg
from pydiffgeo.errors import InputError


def test_a_balance_is_that_of_the_fluxes_that_declare_one(engine: str) -> None:
    heat = dg.State("heat", "MJ m-2", "heat", default=3.0)
    water = dg.State("water", "mm", "water", default=10.0)
    out = dg.IntegratedFlux("out", "mm", "outflow", -1)
    lost = dg.IntegratedFlux("lost", "MJ m-2", "heat lost", -1)
    rates = {"water": 0.3, "heat": 0.1}

    def model(states: tuple[dg.State, ...], fluxes: tuple[dg.IntegratedFlux, ...]) -> dg.Model:
        def source(cell: Any, forcing: Any) -> dict[str, Any]:
            found = {s.name: -rates[s.name] * getattr(cell, s.name) for s in states}
            flows = {"out": 0.3 * cell.water, "lost": 0.1 * cell.heat} if len(states) == 2 else {}
            return found | {f.name: flows[f.name] for f in fluxes}

        return dg.Model(name="Two", graph=dg.single_cell(), states=states, fluxes=fluxes, source=source)

    def solved(*of: Any) -> dg.Solution:
        return dg.solve(model(*of), times=[0.0, 1.0], engine=engine, **TIGHT)

    none = solved((water,), ())
    assert none.balances == {}
    close(none.storage, 10 * torch.exp(-0.3 * torch.tensor([0.0, 1.0])))
    with pytest.raises(InputError, match=r"no flux of Two declares a balance.*\+1"):
        none.balance  # noqa: B018
    assert "balance_error" not in dg.io.solution_dataset(none)

    one = solved((water, heat), (out,))
    assert one.balance < 1e-9
    assert [*one.balances] == ["mm"]
    close(one.storages["mm"][-1], torch.tensor(10 * math.exp(-0.3)))
    with pytest.raises(InputError, match=r"'water' \(mm\), 'heat' \(MJ m-2\)"):
        one.storage  # noqa: B018
    assert dg.io.solution_dataset(one).balance_error.attrs["units"] == "mm"

    both = solved((water, heat), (out, lost))
    assert [*both.balances] == ["mm", "MJ m-2"]
    assert all(error < 1e-9 for error in both.balances.values())
    close(both.storages["MJ m-2"][-1], torch.tensor(3 * math.exp(-0.1)))
    with pytest.raises(InputError, match="balances in mm, MJ m-2"):
        both.balance  # noqa: B018
    data = dg.io.solution_dataset(both)
    assert {data[k].attrs["units"] for k in data if k.startswith("balance_error")} == {"mm", "MJ m-2"}


def test_a_flux_that_is_not_declared_shows_in_its_own_balance_alone() -> None:
    def source(cell: Any, forcing: Any) -> dict[str, Any]:
        return {"water": -0.3 * cell.water - 0.1, "heat": -cell.heat, "out": 0.3 * cell.water, "lost": cell.heat}

    model = dg.Model(
        name="Leaky",
        graph=dg.column(2.0, 4),
        source=source,
        states=(dg.State("water", "m3 m-3", "water", default=0.5), dg.State("heat", "MJ m-3", "heat", default=3.0)),
        fluxes=(dg.IntegratedFlux("out", "m", "outflow", -1), dg.IntegratedFlux("lost", "MJ/m^2", "heat lost", -1)),
    )
    found = dg.solve(model, times=[0.0, 1.0], engine="sundials", **TIGHT).balances
    # 0.1 per day of each of two cubic metres.
    assert float(found["m"]) == pytest.approx(0.2, rel=1e-6)
    assert float(found["MJ/m^2"]) < 1e-9


def test_stores_that_cannot_be_added_up_are_refused() -> None:
    def model(*units: str, flux: str) -> dg.Model:
        states = tuple(dg.State(f"s{i}", unit, "store", default=1.0) for i, unit in enumerate(units))
        return dg.Model(
            name="Mixed",
            graph=dg.single_cell(),
            states=states,
            fluxes=(dg.IntegratedFlux("q", flux, "flow", -1),),
            source=lambda cell, forcing: {s.name: -getattr(cell, s.name) for s in states} | {"q": cell.s0},
        )

    def solved(*units: str, flux: str) -> dg.Solution:
        return dg.solve(model(*units, flux=flux), times=[0.0, 1.0], engine="sundials")

    with pytest.raises(InputError, match=r"different units, 's0' \(mm\), 's1' \(m\)"):
        solved("mm", "m", flux="mm").balance  # noqa: B018
    odd = dg.Model(
        name="Odd",
        graph=dg.single_cell(),
        states=(dg.State("a", "mm", "a", default=1.0, stored=False),),
        fluxes=(dg.IntegratedFlux("q", "mol", "flow", -1),),
        source=lambda cell, forcing: {"a": -cell.a, "q": cell.a},
    )
    solution = dg.solve(odd, times=[0.0, 1.0], engine="sundials")
    with pytest.raises(InputError, match="'mol' declare a balance, but no state"):
        solution.balances  # noqa: B018
