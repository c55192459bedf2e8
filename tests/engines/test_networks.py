"""Networks in local functions: both engines, states and gradients, forward and back, whatever calls them."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from networks import CELLS, FINE, MODELS, RAIN, in_closure, in_source, loss_of, mlp, run, store
from torch import Tensor, nn

import pydiffgeo as dg
from pydiffgeo.check.differences import difference


@pytest.mark.parametrize("where", MODELS)
@pytest.mark.parametrize("kind", ["constant", "linear"])
def test_gradients_are_those_of_differences(where: str, kind: str, engine: str) -> None:
    net = mlp(2, 5, 4, 2)
    model = MODELS[where](net)
    k, rain = torch.tensor(0.4, requires_grad=True), RAIN.clone().requires_grad_()
    loss_of(run(model, engine, k, rain, kind)).backward()
    given = [k, rain, *net.parameters()]
    torch.manual_seed(1)
    # Along several directions of all that there is, and along the parameter and the forcing alone.
    for chosen in ([0], [1], [2], [3], [4, 5], [6, 7], [*range(len(given))]):
        direction = [torch.randn_like(x) * (i in chosen) for i, x in enumerate(given)]
        expected = sum((x.grad * d).sum().item() for x, d in zip(given, direction, strict=True))
        start = [x.detach().clone() for x in given]

        def at(step: float, start=start, direction=direction) -> float:
            with torch.no_grad():
                for x, x0, d in zip(given, start, direction, strict=True):
                    x.copy_(x0 + step * d)
                value = loss_of(run(model, engine, k, rain, kind, rtol=1e-10, atol=1e-12)).item()
                for x, x0 in zip(given, start, strict=True):
                    x.copy_(x0)
            return value

        found = difference(at)
        assert expected == pytest.approx(found.value, rel=1e-4, abs=1e-6 + 10 * found.error)


@pytest.mark.parametrize("where", MODELS)
def test_forward_mode_is_the_transpose_of_the_adjoint(where: str, engine: str) -> None:
    net = mlp(2, 5, 4, 2)
    model = MODELS[where](net)
    names = [name for name, _ in net.named_parameters()]
    k, values = torch.tensor(0.4), [x.detach() for x in net.parameters()]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = dg.Layer(model, engine=engine, **FINE)

        def forward(self, k: Tensor) -> Tensor:
            return loss_of(self.layer({"k": k}, forcing={"rain": RAIN}, times=range(7)))

    whole = Whole()

    def loss(k: Tensor, *values: Tensor) -> Tensor:
        weights = {f"layer.networks.act.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(whole, weights, (k,))

    inputs = (k, *values)
    gradients = torch.func.grad(loss, argnums=tuple(range(len(inputs))))(*inputs)
    directions = tuple(torch.randn_like(x) for x in inputs)
    _, along = torch.func.jvp(loss, inputs, directions)
    expected = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
    assert along.item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", [nn.Tanh, nn.Sigmoid, nn.ReLU, nn.Softplus, nn.SiLU, nn.GELU, nn.ELU, nn.Identity])
def test_rates_are_those_of_the_module(kind: type[nn.Module], engine: str) -> None:
    # One step of a store that is filled at a rate which depends on the parameter alone: rate times time.
    net = mlp(2, 6, 5, 1, activation=kind, seed=4)
    model = dg.Model(
        "Filling",
        dg.column(1.0, 20),
        states=(dg.State("water", "mm", "water", 0.0),),
        parameters=(dg.Parameter("k", "1", "what decides"),),
        source=lambda cell, forcing: {"water": cell.rate(cell.k, 0.5)},
        networks={"rate": net},
    )
    k = torch.linspace(-2.0, 2.0, 20, requires_grad=True)
    water = dg.solve(model, {"k": k}, times=[0.0, 2.0], engine=engine, **FINE).states["water"][-1]
    expected = 2 * net(torch.stack([k, torch.full_like(k, 0.5)], -1))[:, 0]
    torch.testing.assert_close(water, expected, rtol=1e-7, atol=1e-8)
    given = [k, *net.parameters()]
    found, right = (torch.autograd.grad((w * torch.sin(torch.arange(20.0))).sum(), given) for w in (water, expected))
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [nn.Sigmoid, nn.Softplus, nn.SiLU, nn.GELU, nn.ELU, nn.Identity])
def test_second_derivatives_of_activations_are_right(kind: type[nn.Module], engine: str) -> None:
    # What the discrete adjoint needs of the Jacobian; the states move, so that it enters.
    net = mlp(2, 5, 4, 2, activation=kind, seed=2)
    model = in_source(net)
    weight = next(net.parameters())
    loss_of(run(model, engine)).backward()
    start, direction = weight.detach().clone(), torch.randn_like(weight)

    def at(step: float) -> float:
        with torch.no_grad():
            weight.copy_(start + step * direction)
            value = loss_of(run(model, engine, rtol=1e-10, atol=1e-12)).item()
            weight.copy_(start)
        return value

    found = difference(at)
    assert (weight.grad * direction).sum().item() == pytest.approx(found.value, rel=1e-4, abs=10 * found.error)


def test_a_network_is_what_is_written_out(engine: str) -> None:
    net = mlp(1, 3, 1)
    (w, a), (v, b) = ((layer.weight, layer.bias) for layer in (net[0], net[2]))

    def written(cell, forcing):
        hidden = [torch.tanh(w[i, 0].item() * cell.water + a[i].item()) for i in range(3)]
        return {"water": forcing.rain - sum(v[0, i].item() * h for i, h in enumerate(hidden)) - b.item()}

    called = store(lambda cell, forcing: {"water": forcing.rain - cell.out(cell.water)}, {"out": net})
    states = [run(m, engine).states["water"] for m in (called, store(written, {}))]
    torch.testing.assert_close(*states, rtol=1e-7, atol=1e-9)


def test_both_engines_agree() -> None:
    from pydiffgeo.engines.julia import session

    if session.executable() is None:
        pytest.skip("no julia")
    for make in MODELS.values():
        net = mlp(2, 16, 16, 2)
        model, found = make(net), []
        for engine in ("julia", "sundials"):
            net.zero_grad()
            solution = run(model, engine)
            loss_of(solution).backward()
            found.append((solution.states["water"].detach(), [x.grad.clone() for x in net.parameters()]))
        torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-7)
        for a, b in zip(found[0][1], found[1][1], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_members_of_a_batch_share_the_weights(engine: str) -> None:
    net = mlp(2, 4, 2)
    model = in_source(net)
    k = torch.tensor([[0.3], [0.5], [0.8]])
    together = run(model, engine, k).states["water"]
    for m in range(3):
        torch.testing.assert_close(together[m], run(model, engine, k[m]).states["water"], rtol=1e-7, atol=1e-9)
    (sum_of,) = torch.autograd.grad(together.sum(), net[0].weight)
    parts = [torch.autograd.grad(run(model, engine, k[m]).states["water"].sum(), net[0].weight)[0] for m in range(3)]
    torch.testing.assert_close(sum_of, sum(parts), rtol=1e-5, atol=1e-7)


def test_many_items_are_taken_in_groups(engine: str) -> None:
    # More cells than are taken at a time, each on its own, are as many single ones.
    net = mlp(2, 4, 2)
    source = in_source(net).source
    many, one = store(source, {"act": net}, 37), store(source, {"act": net})
    k = torch.linspace(0.2, 0.9, 37)
    water = run(many, engine, k).states["water"]
    for c in (0, 15, 16, 36):
        torch.testing.assert_close(water[:, c], run(one, engine, k[c]).states["water"][:, 0], rtol=1e-6, atol=1e-8)
    given = [*net.parameters()]
    found = torch.autograd.grad(water[-1].sum(), given)
    parts = [torch.autograd.grad(run(one, engine, k[c]).states["water"][-1].sum(), given) for c in range(37)]
    for at, gradient in enumerate(found):
        torch.testing.assert_close(gradient, sum(part[at] for part in parts), rtol=1e-4, atol=1e-6)


def test_other_weights_are_seen_and_compile_nothing(engine: str) -> None:
    net, other = mlp(2, 4, 2), mlp(2, 4, 2, seed=9)
    model = in_source(net)
    before = run(model, engine)
    net.load_state_dict(other.state_dict())
    after = run(model, engine)
    assert (before.states["water"][-1] - after.states["water"][-1]).abs().max() > 1e-3
    assert after.stats["setup_seconds"] < 0.05
    torch.testing.assert_close(after.states["water"], run(in_source(other), engine).states["water"])


def test_an_optimiser_lowers_a_loss(engine: str) -> None:
    net = mlp(2, 4, 2).to(torch.float32)
    layer = dg.Layer(in_source(net), engine=engine, rtol=1e-5)
    target = run(in_source(mlp(2, 4, 2, seed=5)), engine).states["water"].detach()
    optimiser, losses = torch.optim.Adam(layer.parameters(), 0.02), []
    for _ in range(8):
        optimiser.zero_grad()
        loss = (layer({"k": 0.4}, forcing={"rain": RAIN}, times=range(7)).states["water"] - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert next(net.parameters()).grad.dtype == torch.float32


def test_a_copied_layer_has_weights_of_its_own() -> None:
    layer = dg.Layer(in_source(mlp(2, 4, 2)), engine="sundials")
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for x in layer.parameters():
            x.add_(0.5)
    ends = [one({"k": 0.4}, forcing={"rain": RAIN}, times=range(7)).states["water"][-1] for one in (layer, other)]
    assert (ends[0] - ends[1]).abs().max() > 1e-3
    assert {*map(id, other.parameters())} == {id(x) for x in other.model.networks["act"].parameters()}


def test_outputs_call_networks_with_the_weights_of_the_solve() -> None:
    net = mlp(1, 4, 1)
    model = store(
        lambda cell, forcing: {"water": -cell.k * cell.water},
        {"act": net},
        CELLS,
        closure=lambda cell: {"twice": 2 * cell.act(cell.water)},
        output=lambda cell: {"seen": cell.twice + cell.act(cell.k)},
        outputs=(dg.Output("seen", "1", "seen"),),
    )
    solution = run(model, "sundials")
    expected = 2 * net(solution.states["water"][..., None])[..., 0] + net(torch.tensor([0.4]))
    found = solution.outputs["seen"]
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(x.sum(), [*net.parameters()], retain_graph=True) for x in (found, expected)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    with torch.no_grad():
        net[0].weight.mul_(3.0)
    torch.testing.assert_close(solution.outputs["seen"], found)


def test_exact_decay(engine: str) -> None:
    # A network of one linear layer: water declines as exp(-w t).
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(0.7)
    model = store(lambda cell, forcing: {"water": -cell.loss(cell.water)}, {"loss": net})
    end = run(model, engine, rain=0 * RAIN).states["water"][-1, 0]
    end.backward()
    assert end.item() == pytest.approx(2 * math.exp(-0.7 * 6), rel=1e-6)
    assert net.weight.grad.item() == pytest.approx(-6 * 2 * math.exp(-0.7 * 6), rel=1e-5)


@pytest.mark.parametrize("settings", [{"sensitivity": "forward"}, {"solver": "FBDF"}], ids=["forward", "gauss"])
@pytest.mark.parametrize("engine", ["julia"], indirect=True)
def test_other_sensitivities_agree(engine: str, settings: dict) -> None:
    net = mlp(2, 5, 4, 2)
    gradients = []
    for chosen in ({}, {**settings, "rtol": 1e-9, "atol": 1e-11}):
        net.zero_grad()
        loss_of(run(in_closure(net), engine, **chosen)).backward()
        gradients.append([x.grad.clone() for x in net.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_error_control_and_limits_know_of_networks(engine: str) -> None:
    model = dg.Model(
        "Controlled",
        dg.single_cell(),
        states=(dg.State("water", "mm", "water", 0.5, error_control=("head", 1.0)),),
        closure=lambda cell: {"head": torch.exp(cell.act(cell.water))},
        source=lambda cell, forcing: {"water": -0.1 * cell.head},
        limits=(dg.Limit("water", "mm", lambda cell: {"low": 0.0, "value": cell.water}, remedy="less"),),
        networks={"act": mlp(1, 4, 1)},
    )
    within = dg.solve(model, times=[0.0, 1.0], engine=engine, **FINE)
    fine = dg.solve(model, times=[0.0, 1.0], engine=engine, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(within.states["water"], fine.states["water"], rtol=1e-7, atol=1e-8)
    with pytest.raises(dg.errors.SolverError, match="'water' in cell 0"):
        dg.solve(model, times=[0.0, 50.0], engine=engine, **FINE)


def test_the_fallback_of_sundials_knows_of_networks() -> None:
    from pydiffgeo.engines.base import Options
    from pydiffgeo.engines.batch import Watch
    from pydiffgeo.engines.interrupts import Interrupt
    from pydiffgeo.engines.ir.assembly import Layout
    from pydiffgeo.engines.ir.structure import system_of
    from pydiffgeo.engines.sundials.cvodes import Interval
    from pydiffgeo.model.networks import pack_weights

    net = mlp(2, 5, 4, 2)
    system, _ = system_of(in_closure(net), Layout({"k": 1}))
    watch = Watch(float("inf"), Interrupt())
    interval = Interval(system, Options(1e-8, 1e-10), 1, watch)
    par = np.concatenate([[0.4], pack_weights("act", net).detach().numpy(), [1.0], [1.5]])
    y, bar = np.array([2.0, 1.0, 0.5]), np.array([1.0, -0.5, 2.0])
    end, _, why = interval.forward(y, par)
    assert not why
    np.testing.assert_allclose(interval.fallback.forward(y, par, watch), end, rtol=1e-7)
    usual = interval.backward(y, par, bar, np.empty(0), again=False, sizes=())
    other = interval.backward(y, par, bar, np.empty(0), again=True, sizes=())
    for a, b in zip(usual[:2], other[:2], strict=True):
        np.testing.assert_allclose(a[:-1], b[:-1], rtol=1e-4, atol=1e-6)
