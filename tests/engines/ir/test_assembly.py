"""What has a place among the values of a system, and what needs none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.errors import ModelError


def diffusion(*stages: dg.Stage | dg.Reduction, **more: object) -> dg.Model:
    return dg.Model(
        name="Diffusion",
        graph=dg.column(0.7, 3, thickness=[0.1, 0.2, 0.4]),
        states=(dg.State("c", "1", "concentration", default=1.0),),
        flux=lambda left, right, face: {"c": (left.c - right.c) / face.distance},
        stages=stages,
        **more,
    )


def test_only_geometry_that_is_read_has_a_place() -> None:
    model = diffusion()
    assert {"volume", "thickness"} <= {*model.graph.cell}
    system = build_system(model, trace_model(model), Layout({}), prepared=False)
    np.testing.assert_allclose(system.constants, [0.15, 0.3])
    assert system.n_values == 3 + 2


def test_geometry_that_is_summed_or_read_by_a_link_has_one(engine: str) -> None:
    # The distances to all neighbours, 0.15, 0.45 and 0.3; what flows over the link is its width.
    model = diffusion(dg.Reduction("near", of="distance"), source=lambda cell, forcing: {"c": cell.near})
    link = dg.Link("drain", "a", "b", [(2, 0)], lambda left, right, face: {"c->c": face.width}, geometry={"width": 0.5})
    made = dg.couple("Both", {"a": model, "b": diffusion()}, [link])
    sol = dg.solve(made, times=[0.0, 1.0], engine=engine)
    amounts = {
        name: (values * torch.tensor([0.1, 0.2, 0.4])).sum(-1).diff().item() for name, values in sol.states.items()
    }
    assert amounts["a_c"] == pytest.approx(0.1 * 0.15 + 0.2 * 0.45 + 0.4 * 0.3 - 0.5)
    assert amounts["b_c"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "stage", [dg.Stage("s", lambda cell: {"volume": cell.c}), dg.Reduction("volume", of="distance")]
)
def test_names_of_geometry_that_is_not_read_are_taken_too(stage: dg.Stage | dg.Reduction) -> None:
    with pytest.raises(ModelError, match=r"volume.*is there already"):
        dg.solve(diffusion(stage), times=[0.0, 1.0], engine="sundials")
