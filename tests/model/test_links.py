"""Links that call networks, and links at boundaries: against exact solutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.errors import ModelError

TIMES = torch.tensor([0.0, 0.5, 2.0])
TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def store(networks: dict[str, torch.nn.Module] | None = None) -> dg.Model:
    return dg.Model(
        name="Store",
        graph=dg.single_cell(),
        states=(dg.State("storage", "mm", "content", default=0.0),),
        source=lambda cell, forcing: {"storage": 0.0 * cell.storage},
        networks=networks or {},
    )


def linear(slope: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, slope)
    return layer


def pair(function: Any, **changes: Any) -> dg.CoupledModel:
    link = dg.Link("drains", "upper", "lower", [(0, 0)], function, **changes)
    return dg.couple("Pair", {"upper": store(), "lower": store()}, [link])


def ends(model: dg.Model, engine: str, **parameters: Any) -> Tensor:
    start = {"upper_storage": 3.0, "lower_storage": 1.0}
    found = dg.solve(model, parameters, initial=start, times=TIMES, engine=engine, **TIGHT)
    assert all(error < 1e-12 for error in found.balances.values())
    return torch.cat([found.states["upper_storage"][:, 0], found.states["lower_storage"][:, 0]])


def exact(slope: Tensor) -> Tensor:
    upper = 3 * torch.exp(-slope * TIMES)
    return torch.cat([upper, 4 - upper])


def test_a_link_calls_a_network_of_its_own(engine: str) -> None:
    net = linear(0.7)
    model = pair(lambda left, right, face: {"storage->storage": face.law(left.storage)}, networks={"law": net})
    assert [*model.networks] == ["drains_law"]
    slope = torch.tensor(0.7, requires_grad=True)
    found, truth, weights = ends(model, engine), exact(slope), torch.cos(torch.arange(6.0))
    torch.testing.assert_close(found, truth, rtol=1e-7, atol=1e-9)
    (weights * found).sum().backward()
    (weights * truth).sum().backward()
    torch.testing.assert_close(net.weight.grad.squeeze(), slope.grad, rtol=1e-6, atol=0)
    # Other weights are read anew, by a layer as well, whose parameters they are.
    torch.nn.init.constant_(net.weight, 1.2)
    torch.testing.assert_close(ends(model, engine).detach(), exact(torch.tensor(1.2)), rtol=1e-7, atol=1e-9)
    assert [n for n, _ in dg.Layer(model).named_parameters()] == ["networks.drains_law.weight"]


def test_a_link_calls_networks_of_both_its_regions(engine: str) -> None:
    torch.manual_seed(1)
    nets = [torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)) for _ in range(2)]
    link = dg.Link(
        "drains",
        "upper",
        "lower",
        [(0, 0)],
        lambda left, right, face: {
            "storage->storage": left.law(left.storage, right.storage)[0] + right.law(left.storage, 1.0)[1] * face.width
        },
        geometry={"width": 2.0},
    )
    model = dg.couple("Pair", {"upper": store({"law": nets[0]}), "lower": store({"law": nets[1]})}, [link])
    assert [*model.networks] == ["upper_law", "lower_law"]
    found = ends(model, engine)
    weights = torch.cos(torch.arange(6.0))
    (weights * found).sum().backward()
    gradients = [p.grad.clone() for net in nets for p in net.parameters()]

    # The same by Runge and Kutta's method of order four, in PyTorch.
    def rate(upper: Tensor, lower: Tensor) -> Tensor:
        one = torch.tensor(1.0)
        return nets[0](torch.stack([upper, lower]))[0] + 2 * nets[1](torch.stack([upper, one]))[1]

    moved, h, seen = torch.tensor(0.0), 0.02, [torch.tensor(0.0)]
    for step in range(100):
        k = [rate(3 - moved, 1 + moved)]
        for part in (0.5, 0.5, 1.0):
            k.append(rate(3 - moved - part * h * k[-1], 1 + moved + part * h * k[-1]))
        moved = moved + h / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])
        if step + 1 in (25, 100):
            seen.append(moved)
    truth = torch.cat([3 - torch.stack(seen), 1 + torch.stack(seen)])
    torch.testing.assert_close(found, truth, rtol=1e-7, atol=1e-8)
    for net in nets:
        net.zero_grad()
    (weights * truth).sum().backward()
    for mine, p in zip(gradients, (p for net in nets for p in net.parameters()), strict=True):
        torch.testing.assert_close(mine, p.grad, rtol=1e-5, atol=1e-8)


def soil() -> dg.Model:
    """Three cells, the first and the last with a puddle of their own on top."""
    return dg.Model(
        name="Soil",
        graph=dg.raster((1, 3), (1.0, 2.0)),
        states=(dg.State("theta", "m", "water content", default=0.5),),
        source=lambda cell, forcing: {"theta": 0.0 * cell.theta},
        stages=(dg.Stage("leak", lambda cell, forcing, face: {"q": face.rate * cell.theta}, on="top"),),
        boundaries=(
            dg.Boundary(
                "top",
                (2, 0),
                lambda cell, forcing, face: {"pond": 0.0 * cell.pond, "theta": 0.0 * cell.theta},
                {"area": (2.0, 4.0), "rate": (0.3, 0.6)},
                states=(dg.State("pond", "m", "puddle", default=1.0),),
            ),
        ),
    )


def test_a_link_leads_from_stores_of_a_boundary(engine: str) -> None:
    runs_off = dg.Link(
        "runs_off",
        "soil",
        "river",
        [(0, 0), (1, 0)],
        lambda left, right, face: {"pond->storage": left.rate * left.pond},
        area=(1.0, 4.0),
        left_boundary="top",
    )
    model = dg.couple("Hill", {"soil": soil(), "river": store()}, [runs_off])
    found = dg.solve(model, times=TIMES, engine=engine, **TIGHT)
    # Half of the first puddle's area drains at .3, the whole of the second at .6.
    ponds = torch.stack([torch.exp(-0.15 * TIMES), torch.exp(-0.6 * TIMES)], dim=1)
    torch.testing.assert_close(found.states["pond"], ponds, rtol=1e-7, atol=0)
    gone = (torch.tensor([2.0, 4.0]) * (1 - ponds)).sum(1)
    torch.testing.assert_close(found.states["storage"][:, 0], gone, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.fluxes["runs_off_to_river"].cumsum(0), gone[1:], rtol=1e-7, atol=1e-9)
    assert (found.states["theta"] == 0.5).all()
    assert all(error < 1e-12 for error in found.balances.values())


def test_a_link_leads_to_a_boundary_and_reads_its_stages(engine: str) -> None:
    # What stands at the boundary's place counts: cell 0 is its second.
    leaks = dg.Link(
        "leaks",
        "river",
        "soil",
        [(0, 1)],
        lambda left, right, face: {"storage->theta": -right.q},
        area=4.0,
        right_boundary="top",
    )
    model = dg.couple("Hill", {"river": store(), "soil": soil()}, [leaks])
    rate = torch.tensor(0.6, requires_grad=True)
    found = dg.solve(model, times=TIMES, engine=engine, **TIGHT)
    # The cell's volume is 2: theta falls at 4 / 2 times .6.
    theta = 0.5 * torch.exp(-2 * rate * TIMES)
    torch.testing.assert_close(found.states["theta"][:, 0], theta.detach(), rtol=1e-7, atol=0)
    torch.testing.assert_close(found.states["storage"][:, 0], 2 * (0.5 - theta.detach()), rtol=1e-7, atol=1e-9)
    assert (found.states["theta"][:, 1:] == 0.5).all()
    assert (found.states["pond"] == 1.0).all()
    report = dg.check_gradients(
        model, {}, initial={"theta": 0.4, "pond": 0.8, "storage": 0.1}, times=[0, 1, 2], engine=engine
    )
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left_boundary": "side"}, r"link 'l' is at 'side' of 'soil', whose boundaries are \['top'\]"),
        ({"left_boundary": "top", "pairs": [(2, 0)]}, r"names places outside 0..1 of 'top' of 'soil'"),
        ({"function": lambda left, right, face: {"pond->storage": left.theta}}, "'soil' has no state 'pond'"),
        ({"function": lambda left, right, face: {"theta->storage": left.q}}, "reads a name the model does not declare"),
        (
            {"networks": {"area": linear(1.0)}},
            r"has a network 'area'; its name must be an identifier and none of \['area'",
        ),
        ({"networks": {"a b": linear(1.0)}}, "has a network 'a b'"),
        ({"networks": {"law": torch.nn.LSTM(1, 1)}}, "'l_law' is LSTM; networks in local functions are made of"),
        (
            {"networks": {"law": linear(1.0)}, "function": lambda left, right, face: {"theta->storage": left.law(1.0)}},
            "reads a name the model does not declare",
        ),
        (
            {
                "networks": {"law": linear(1.0)},
                "function": lambda left, right, face: {"theta->storage": face.law(left.theta, 1.0)},
            },
            "calls the network 'l_law' with 2 features; it takes 1",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    link: dict[str, Any] = {
        "pairs": [(0, 0)],
        "function": lambda left, right, face: {"theta->storage": left.theta},
        **changes,
    }

    def solve() -> None:
        model = dg.couple("Hill", {"soil": soil(), "river": store()}, [dg.Link("l", "soil", "river", **link)])
        dg.solve(model, times=[0, 1], engine="sundials")

    with pytest.raises(ModelError, match=message):
        solve()


def test_networks_of_links_do_not_clash() -> None:
    def link(name: str, network: str) -> dg.Link:
        return dg.Link(
            name,
            "upper",
            "lower",
            [(0, 0)],
            lambda left, right, face: {"storage->storage": getattr(face, network)(left.storage)},
            networks={network: linear(1.0)},
        )

    regions = {"upper": store(), "lower": store()}
    assert [*dg.couple("Two", regions, [link("a", "law"), link("b", "law")]).networks] == ["a_law", "b_law"]
    with pytest.raises(ModelError, match="the network 'c' of link 'a_b' is 'a_b_c', which is there already"):
        dg.couple("Two", regions, [link("a", "b_c"), link("a_b", "c")])
