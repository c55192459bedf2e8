"""Solves under the transforms of `torch.func` and `torch.vmap`, and looks at results, which change nothing.

The reservoir has the solution `S(t) = S_0 exp(-k t)`, outflow `S_0 - S`, and derivatives that can be written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from decays import RESERVOIR, TIGHT, close
from torch import Tensor
from torch.autograd import forward_ad, functional

import pydiffgeo as dg
from pydiffgeo.errors import AdjointError, BoundsError, TangentError, TimeError

K = torch.tensor([0.2, 0.7, 1.3])
DAYS = 2.0


def solve(k: Any, water: Any = 10.0, rain: Any = 0.0, **settings: Any) -> dg.Solution:
    return dg.solve(
        RESERVOIR,
        {"k": k},
        initial={"water": water},
        forcing={"rain": rain},
        times=[0.0, 0.5, DAYS],
        **{**TIGHT, **settings},
    )


def left(k: Any, water: Any = 10.0, **settings: Any) -> Tensor:
    """Water at the end, `()` or `(batch,)`."""
    return solve(k, water, **settings).states["water"][..., -1, 0]


def exact(k: Tensor, water: float = 10.0) -> Tensor:
    return water * torch.exp(-DAYS * k)


def slope(k: Tensor, water: float = 10.0) -> Tensor:
    """Of `exact`, to k."""
    return -DAYS * water * torch.exp(-DAYS * k)


def test_a_gradient_by_any_transform_is_the_exact_one(engine: str) -> None:
    def end(k: Tensor) -> Tensor:
        return left(k, engine=engine)

    k = K[1]
    close(torch.func.grad(end)(k), slope(k))
    value, pull = torch.func.vjp(end, k)
    close(value, exact(k))
    close(pull(torch.tensor(3.0))[0], 3 * slope(k))
    close(torch.func.jvp(end, (k,), (torch.tensor(2.0),))[1], 2 * slope(k))
    rows = K.reshape(3, 1)
    whole = torch.diag(slope(K)).unsqueeze(-1)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        close(jacobian(end)(k), slope(k))
        close(jacobian(end)(rows), whole)
    close(functional.jacobian(end, rows), whole)
    close(functional.vjp(end, rows, torch.ones(3))[1], slope(rows))


def test_what_is_mapped_over_are_members(engine: str) -> None:
    water = torch.tensor([10.0, 20.0, 5.0])
    ends = torch.vmap(lambda k, w: left(k, w, engine=engine))(K, water)
    close(ends, torch.stack([exact(k, w) for k, w in zip(K, water.tolist(), strict=True)]))
    # One input mapped over, and along another axis than the first.
    close(torch.vmap(lambda w: left(K[0], w, engine=engine))(water), water / 10 * exact(K[0]))
    close(torch.vmap(lambda k: left(k, engine=engine), in_dims=1)(K.reshape(1, 3)), exact(K))
    # Batches within, and maps within maps.
    columns = torch.stack([K, K + 0.1])
    close(torch.vmap(lambda k: left(k.reshape(3, 1), engine=engine))(columns), exact(columns))
    close(torch.vmap(torch.vmap(lambda k: left(k, engine=engine)))(columns), exact(columns))


def test_all_of_a_solution_can_be_mapped_over(engine: str) -> None:
    def everything(k: Tensor, rain: Tensor) -> tuple[Tensor, ...]:
        s = solve(k, rain=rain, engine=engine)
        return s.fluxes["outflow"].sum(), s.fluxes["rain"], s.outputs["rate"][-1, 0], s.storage[-1], s.balance, s.ok

    rain = torch.tensor([[1.0, 2.0], [0.0, 4.0], [3.0, 0.0]])
    outflow, fallen, rate, storage, balance, ok = torch.vmap(everything)(K, rain)
    close(fallen, rain * torch.tensor([0.5, 1.5]))
    close(storage, 10 + fallen.sum(1) - outflow)
    close(rate, K * storage)
    assert (balance < 1e-8).all()
    assert ok.tolist() == [True] * 3
    alone = solve(K[1], rain=rain[1], engine=engine)
    close(outflow[1], alone.fluxes["outflow"].sum())


@pytest.mark.parametrize("derivative", [torch.func.grad, torch.func.jacrev, torch.func.jacfwd])
def test_derivatives_and_maps_are_exchangeable(derivative: Callable[..., Any], engine: str) -> None:
    def end(k: Tensor) -> Tensor:
        return left(k, engine=engine)

    close(torch.vmap(derivative(end))(K), slope(K))
    if derivative is torch.func.grad:
        close(derivative(lambda k: torch.vmap(end)(k).sum())(K), slope(K))
    else:
        close(derivative(torch.vmap(end))(K), torch.diag(slope(K)))
    leaves = K.clone().requires_grad_()
    torch.vmap(end)(leaves).sum().backward()
    close(leaves.grad, slope(K))


def test_gradients_of_the_weights_of_a_network(engine: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1)
    attributes = torch.tensor([[0.3, -0.2], [1.0, 0.4]])

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return left(
            torch.nn.functional.softplus(torch.func.functional_call(network, weights, attributes)), engine=engine
        ).sum()

    found = torch.func.grad(loss)({k: v.detach() for k, v in network.named_parameters()})
    raw = network(attributes)
    exact(torch.nn.functional.softplus(raw)).sum().backward()
    for name, value in network.named_parameters():
        close(found[name], value.grad)


def test_a_failed_member_of_a_map_leaves_the_others(engine: str) -> None:
    def end(k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = solve(k, engine=engine, max_steps=25, throw=False)
        return s.states["water"][-1, 0], s.outputs["rate"][-1, 0], s.ok

    found, rate, ok = torch.vmap(end)(torch.tensor([1e-9, 4.9]))
    assert ok.tolist() == [True, False]
    assert torch.isnan(found).tolist() == torch.isnan(rate).tolist() == [False, True]


def test_checks_look_at_each_that_is_mapped_over() -> None:
    def end(k: Tensor) -> Tensor:
        return left(k, engine="sundials")

    with pytest.raises(BoundsError, match=r"'k' must lie in \[0, inf\).* is -0.1"):
        torch.vmap(end)(torch.tensor([0.3, -0.1]))
    with pytest.raises(BoundsError, match=r"k < 5; .* k=7"):
        torch.vmap(torch.func.grad(end))(torch.tensor([0.3, 7.0]))
    with pytest.raises(BoundsError, match="'k' must lie"):
        torch.func.jvp(end, (torch.tensor(-1.0),), (torch.tensor(1.0),))
    with pytest.raises(TimeError, match=r"times .*torch\.vmap"):
        torch.vmap(lambda t: dg.solve(RESERVOIR, {"k": 1.0}, times=t, engine="sundials").states["water"])(
            torch.tensor([[0.0, 1.0], [0.0, 2.0]])
        )


SECOND: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Any]] = {
    "func.hessian": lambda f, k: torch.func.hessian(f)(k),
    "hessian": functional.hessian,
    "grad of grad": lambda f, k: torch.func.grad(torch.func.grad(f))(k),
    "jacfwd of jacfwd": lambda f, k: torch.func.jacfwd(torch.func.jacfwd(f))(k),
    "jacrev of jacfwd": lambda f, k: torch.func.jacrev(torch.func.jacfwd(f))(k),
    "hessian-vector product": lambda f, k: functional.hvp(f, k, torch.ones_like(k)),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_are_refused_in_words(name: str, engine: str) -> None:
    with pytest.raises((AdjointError, TangentError), match=r"differentiated once.*hessian_vector_product"):
        SECOND[name](lambda k: left(k, engine=engine), K[0])


def test_a_graph_of_the_gradient_is_made_and_refuses(engine: str) -> None:
    k = K[0].clone().requires_grad_()
    (first,) = torch.autograd.grad(left(k, engine=engine) ** 2, k, create_graph=True)
    close(first.detach(), 2 * exact(K[0]) * slope(K[0]))
    with pytest.raises(AdjointError, match="once"):
        torch.autograd.grad(first, k)


def test_the_older_maps_of_torch_give_the_exact_derivatives(engine: str) -> None:
    def end(k: Tensor) -> Tensor:
        return left(k, engine=engine)

    rows, whole = K.reshape(3, 1), torch.diag(slope(K)).unsqueeze(-1)
    for strategy in ("reverse-mode", "forward-mode"):
        close(functional.jacobian(end, rows, vectorize=True, strategy=strategy), whole)
    k, water = rows.clone().requires_grad_(), torch.tensor(10.0).requires_grad_()
    solution = solve(k, water, engine=engine)
    ends, outflow = solution.states["water"][:, -1, 0], solution.fluxes["outflow"].sum(-1)
    # Some rows pass through states only, others through fluxes only.
    found = torch.autograd.grad(torch.cat([ends, outflow]), (k, water), torch.eye(6), is_grads_batched=True)
    close(found[0], torch.cat([whole, -whole]))
    close(found[1], torch.cat([exact(K), 10 - exact(K)]) / 10)


def test_a_vectorised_map_of_a_failed_member_is_zero(engine: str) -> None:
    k = torch.tensor([[1e-9], [4.9]]).requires_grad_()
    ends = solve(k, engine=engine, max_steps=25, throw=False).states["water"][:, -1, 0]
    (found,) = torch.autograd.grad(ends, k, torch.eye(2), is_grads_batched=True)
    close(found[..., 0], torch.tensor([[-20.0, 0.0], [0.0, 0.0]]))


def test_what_differentiates_twice_to_go_forward_says_what_to_use(engine: str) -> None:
    with pytest.raises(AdjointError, match=r"torch\.func\.jvp"):
        functional.jvp(lambda k: left(k, engine=engine), K[0], torch.tensor(1.0))


LOOKS: dict[str, Callable[[dg.Solution], Any]] = {
    "nothing": lambda s: None,
    "balance": lambda s: (s.balance, s.balances, s.storages),
    "without gradients": torch.no_grad()(lambda s: (s.outputs, s.storage)),
    "inference": torch.inference_mode()(lambda s: (s.outputs, s.storage)),
    "score": torch.no_grad()(lambda s: dg.observe.values_at(s, "rate", [DAYS])),
    "text": lambda s: (repr(s), list(s.failures()), s.ok, s.stats, s.times),
}


def under_dual_level(solution: dg.Solution) -> None:
    with forward_ad.dual_level():
        assert solution.outputs is not None
        assert solution.storage is not None


LOOKS["dual level"] = under_dual_level


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_a_result_changes_no_gradient(look: str) -> None:
    k = K[1].clone().requires_grad_()
    solution = solve(k, engine="sundials")
    LOOKS[look](solution)
    rate, seen = solution.outputs["rate"][-1, 0], dg.observe.values_at(solution, "rate", [DAYS]).sum()
    (rate + 3 * solution.storage[-1] + seen).backward()
    # rate = k S: its slope is S + k dS/dk.
    close(k.grad, 2 * (exact(K[1]) + K[1] * slope(K[1])) + 3 * slope(K[1]))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_solution_made_without_gradients_stays_so(mode: Callable[[], Any]) -> None:
    k = K[1].clone().requires_grad_()
    with mode():
        solution = solve(k, engine="sundials")
    assert not solution.outputs["rate"].requires_grad
    assert not solution.storage.requires_grad
    close(solution.outputs["rate"][-1, 0], K[1] * exact(K[1]))
    # Nor has it left anything behind for the next solve of the same model.
    left(k, engine="sundials").backward()
    close(k.grad, slope(K[1]))


def test_outputs_move_along_with_dual_tensors() -> None:
    with forward_ad.dual_level():
        solution = solve(forward_ad.make_dual(K[0], torch.tensor(1.0)), engine="sundials")
        tangent = forward_ad.unpack_dual(solution.outputs["rate"][-1, 0]).tangent
        close(tangent, exact(K[0]) + K[0] * slope(K[0]))
    # The level is over, and with it the tangents; the values stay.
    close(solution.outputs["rate"][-1, 0].detach(), K[0] * exact(K[0]))
