"""Networks of a model: what is refused, and how."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from networks import run, store
from torch import Tensor, nn

import pydiffgeo as dg


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ({"act": Own()}, "'act' is Own; networks in local functions are made of"),
        ({"act": nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))}, r"'act'\.1 is Dropout"),
        ({"act": nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 1))}, r"'act'\.1 takes 2 values, and gets 3"),
        ({"act": nn.Sequential(nn.Tanh(), nn.Linear(2, 1))}, r"must follow a Linear layer"),
        ({"act": nn.Sequential()}, "no Linear layer"),
        ({"act": torch.tanh}, "is <built-in"),
        ({"water": nn.Linear(1, 1)}, "'water' is both a state and a network"),
        ([nn.Linear(1, 1)], "must be a mapping"),
    ],
)
def test_networks_that_cannot_be_are_refused(networks: object, said: str) -> None:
    with pytest.raises(dg.errors.ModelError, match=said):
        store(lambda cell, forcing: {"water": -cell.water}, networks)


def trace_of(source: Callable, **networks: nn.Module) -> None:
    run(store(source, networks), "sundials")


def test_features_are_counted() -> None:
    with pytest.raises(dg.errors.ModelError, match=r"Store\.source: .*'act' with 1 features; it takes 2"):
        trace_of(lambda cell, forcing: {"water": cell.act(cell.water)}, act=nn.Linear(2, 1))


def test_a_module_that_is_not_declared_is_refused_by_name() -> None:
    hidden = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    one = nn.Linear(1, 1).requires_grad_(False)
    holder = SimpleNamespace(net=hidden)
    for source, name in (
        (lambda cell, forcing: {"water": hidden(torch.stack([cell.water, cell.k]))[0]}, "'hidden'"),
        (lambda cell, forcing: {"water": one(cell.water)}, "'one'"),
        (lambda cell, forcing: {"water": holder.net(torch.stack([cell.water, cell.k]))[0]}, r"'holder\.net'"),
    ):
        with pytest.raises(dg.errors.ModelError, match=rf"calls the module {name} itself; declare it in `networks`"):
            trace_of(source)


def test_weights_that_are_not_finite_are_refused() -> None:
    net = nn.Linear(1, 1)
    with torch.no_grad():
        net.bias.fill_(math.nan)
    with pytest.raises(dg.errors.InputError, match=r"network 'act'\.bias must be finite"):
        trace_of(lambda cell, forcing: {"water": cell.act(cell.water)}, act=net)


def test_a_model_describes_its_networks() -> None:
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    assert (
        "2-5-1 tanh" in store(lambda cell, forcing: {"water": -cell.act(cell.water, cell.k)}, {"act": net}).describe()
    )
