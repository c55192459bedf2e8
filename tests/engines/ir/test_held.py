"""What follows from forcings that are constant in each interval is computed once for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.check.differences import difference
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.held import PART, held, pull_held, push_held
from pydiffgeo.engines.ir.hoisting import HELD
from pydiffgeo.engines.ir.kernels import System
from pydiffgeo.engines.ir.traced_model import trace_model

DAYS = 6


def rates(cell, forcing):
    """Snow falls by a smooth share of precipitation; demand grows with temperature, and is met as far as there is water."""
    share = 0.5 * (1 + torch.tanh((cell.mean - forcing.temperature) / cell.width))
    demand = torch.exp(0.06 * forcing.temperature)
    melt = torch.relu(forcing.temperature) * cell.snow / (1 + cell.snow)
    evaporation = demand * cell.water / (5 + cell.water)
    return {
        "snow": share * forcing.precipitation - melt,
        "water": (1 - share) * forcing.precipitation + melt - evaporation,
        "evaporation": evaporation,
    }


def model(cells: int = 1) -> dg.Model:
    return dg.Model(
        "Held",
        dg.column(1.0, cells),
        states=(dg.State("snow", "mm", "", 2.0), dg.State("water", "mm", "", 5.0)),
        parameters=(dg.Parameter("mean", "1", "", 0.5), dg.Parameter("width", "1", "", 1.5)),
        forcings=(dg.ForcingVariable("precipitation", "1", ""), dg.ForcingVariable("temperature", "1", "", on="cell")),
        fluxes=(dg.IntegratedFlux("evaporation", "mm", ""),),
        source=rates,
    )


def system(cells: int = 1, still: bool = True, of_cells: bool = False) -> System:
    sizes = {"mean": cells if of_cells else 1, "width": 1}
    return build_system(model(cells), trace_model(model(cells)), Layout(sizes, still))


def weather(*shape: int) -> np.ndarray:
    random = np.random.default_rng(5)
    return np.stack([random.gamma(1.0, 6.0, shape), random.normal(0.0, 4.0, shape)], axis=-1)[:, :, None]


def test_values_are_those_written_out_by_hand() -> None:
    built = system()
    p, f = np.array([[0.5, 1.5], [0.2, 3.0]]), weather(2, DAYS)
    full = held(built, np.concatenate([p, np.ones((2, built.n_parameters - 2)) / p[:, 1:]], axis=1), f)
    assert full.shape == (2, DAYS, 1, built.n_forcings)
    assert np.array_equal(full[..., :2], f)
    rain, temperature = f[:, :, 0, 0], f[:, :, 0, 1]
    share = 0.5 * (1 + np.tanh((p[:, :1] - temperature) / p[:, 1:]))
    expected = [share * rain, (1 - share) * rain, np.exp(0.06 * temperature), np.maximum(temperature, 0)]
    for value in expected[:3]:
        assert min(np.abs(full[:, :, 0, k] - value).max() for k in range(2, built.n_forcings)) < 1e-12
    # Nothing of this is left in what is evaluated at each stage of a step.
    (kernel,) = built.kernels
    assert not {"tanh", "exp"} & {node.op for node in kernel.program.nodes}


def test_nothing_is_held_where_forcings_change_within_intervals() -> None:
    assert not system(still=False).held
    assert not system(still=False).still


def test_terms_of_many_items_are_left_where_they_are() -> None:
    assert system(HELD, of_cells=True).held
    assert not system(HELD + 1, of_cells=True).held


def test_pulling_back_is_the_transpose_of_pushing_forward_whatever_the_parts() -> None:
    built, random = system(), np.random.default_rng(1)
    members = 2 * PART // DAYS + 1  # of three parts
    p, f = random.uniform(0.5, 2.0, (members, built.n_parameters)), weather(members, DAYS)
    p_dot, f_dot = random.normal(size=p.shape), random.normal(size=f.shape)
    bar = random.normal(size=(*f.shape[:3], built.n_forcings))
    full_dot = push_held(built, p, f, p_dot[None], f_dot[None])[0]
    p_bar, f_bar = pull_held(built, p, f, np.zeros_like(p), bar)
    assert (bar * full_dot).sum() == pytest.approx((p_bar * p_dot).sum() + (f_bar * f_dot).sum(), rel=1e-10)
    step = 1e-6
    ahead, behind = (held(built, p + s * p_dot, f + s * f_dot) for s in (step, -step))
    smooth = np.abs(f[..., 1:]) > 1e-3  # away from the kink of the melt
    assert np.abs(np.where(smooth, (ahead - behind) / (2 * step) - full_dot, 0.0)).max() < 1e-6


@pytest.mark.parametrize("kind", ["constant", "linear"])
def test_gradients_are_those_of_differences(engine: str, kind: str) -> None:
    nodes = DAYS + (kind == "linear")
    given = torch.tensor(weather(1, nodes)[0, :, 0])
    inputs = [torch.tensor(0.5), torch.tensor(1.5), given[:, :1].T.contiguous()[0], given[:, 1:] + 0.3]
    inputs = [x.double().requires_grad_() for x in inputs]

    def loss(values: list[Tensor], rtol: float = 1e-8) -> Tensor:
        mean, width, rain, temperature = values
        forcing = {"precipitation": rain, "temperature": temperature}
        if kind == "linear":
            forcing = {k: dg.TimeSeries(np.arange(nodes), v, "linear") for k, v in forcing.items()}
        sol = dg.solve(
            model(),
            {"mean": mean, "width": width},
            forcing=forcing,
            times=range(DAYS + 1),
            engine=engine,
            rtol=rtol,
            atol=rtol,
        )
        return sol.fluxes["evaporation"].square().sum() + sol.states["snow"].sum()

    gradients = torch.autograd.grad(loss(inputs), inputs)
    torch.manual_seed(2)
    for chosen in ([0], [1], [2], [3], [0, 1, 2, 3]):
        direction = [torch.randn_like(x) * (i in chosen) for i, x in enumerate(inputs)]
        expected = sum((g * d).sum().item() for g, d in zip(gradients, direction, strict=True))

        def at(step: float, direction: list[Tensor] = direction) -> float:
            with torch.no_grad():
                moved = [x + step * d for x, d in zip(inputs, direction, strict=True)]
                return loss(moved, 1e-11).item()

        found = difference(at)
        assert expected == pytest.approx(found.value, rel=1e-5, abs=1e-6 + 10 * found.error)
