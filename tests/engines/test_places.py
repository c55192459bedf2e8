"""Parameters, forcings and fluxes of each place of a boundary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import pydiffgeo as dg


def wells(engine: str, conductance: Tensor, pumping: Tensor) -> dg.Solution:
    """A strip of aquifer with two wells and a river in three cells."""
    model = dg.Model(
        name="Strip",
        graph=dg.column(1.0, 8),
        states=(dg.State("head", "m", "head", default=1.0),),
        parameters=(
            dg.Parameter("T", "m2 d-1", "transmissivity", 0.5),
            dg.Parameter("conductance", "d-1", "of the river bed", 0.1, on="boundary:river"),
            dg.Parameter("stage", "m", "of the river", 1.0, on="boundary:river"),
        ),
        forcings=(dg.ForcingVariable("pumping", "m d-1", "of each well", on="boundary:wells"),),
        fluxes=(
            dg.IntegratedFlux("pumped", "m", "by each well", -1, on="boundary"),
            dg.IntegratedFlux("seepage", "m", "from the river", +1, on="boundary"),
        ),
        flux=lambda left, right, face: {"head": left.T * (left.head - right.head) / face.distance},
        boundaries=(
            dg.Boundary(
                "wells", (2, 5), lambda cell, forcing, face: {"head": -forcing.pumping, "pumped": forcing.pumping}
            ),
            dg.Boundary(
                "river",
                (0, 1, 7),
                lambda cell, forcing, face: {
                    "head": face.conductance * (face.stage - cell.head),
                    "seepage": face.conductance * (face.stage - cell.head),
                },
            ),
        ),
    )
    return dg.solve(
        model,
        {"conductance": conductance, "stage": [1.0, 1.1, 0.9]},
        forcing={"pumping": pumping},
        times=[0.0, 1.0, 4.0],
        engine=engine,
        rtol=1e-8,
        atol=1e-10,
    )


def test_each_place_of_a_boundary_has_its_own_parameters_and_forcings(engine: str) -> None:
    conductance = torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    pumping = torch.tensor([[0.05, 0.0], [0.0, 0.02]], dtype=torch.float64, requires_grad=True)
    sol = wells(engine, conductance, pumping)
    # What each well is told to pump, over one day and over three.
    expected = torch.tensor([[0.05, 0.0], [0.0, 0.06]], dtype=torch.float64)
    torch.testing.assert_close(sol.fluxes["pumped"], expected, rtol=1e-12, atol=1e-14)
    assert sol.fluxes["seepage"].shape == (2, 3)
    assert sol.balance < 1e-13
    sol.fluxes["seepage"][:, 1].sum().backward()
    for given, at in ((conductance, (1,)), (conductance, (2,)), (pumping, (1, 1))):
        ends = []
        for d in (-1e-4, 1e-4):
            moved = [t.detach().clone() for t in (conductance, pumping)]
            next(m for m, t in zip(moved, (conductance, pumping), strict=True) if t is given)[at] += d
            ends.append(wells(engine, *moved).fluxes["seepage"][:, 1].sum().item())
        assert given.grad is not None
        assert given.grad[at].item() == pytest.approx((ends[1] - ends[0]) / 2e-4, rel=2e-5, abs=1e-9)


def test_a_parameter_of_a_boundary_that_is_not_there_is_named() -> None:
    with pytest.raises(dg.errors.ModelError, match="'q' is on='boundary:roof'; allowed are"):
        dg.Model(
            name="Wrong",
            graph=dg.single_cell(),
            states=(dg.State("s", "mm", "store"),),
            parameters=(dg.Parameter("q", "1", "a number", on="boundary:roof"),),
        )
