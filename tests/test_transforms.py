"""Bounded parameters: there and back, derivatives, ends of the range, and errors."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.errors import BoundsError, MissingNameError, UnknownNameError
from pydiffgeo.model import Parameter
from pydiffgeo.models import ExpHydro
from pydiffgeo.transforms import Bounded, Transforms, bounded, nearest_bound, transforms

RANGES = [
    Bounded("a", 0.0, 0.1),
    Bounded("b", -3.0, 0.0),
    Bounded("c", 100.0, 1500.0),
    Bounded("d", 1e-6, 10.0, log=True),
]


@pytest.mark.parametrize("item", RANGES, ids=lambda b: b.name)
def test_there_and_back(item):
    x = torch.linspace(-8, 8, 33, dtype=torch.float64)
    value = item.forward(x)
    assert ((value > item.low) & (value < item.high)).all()
    assert (value.diff() > 0).all()
    torch.testing.assert_close(item.inverse(value), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("item", RANGES, ids=lambda b: b.name)
def test_values_stay_off_the_bounds_for_any_number(item):
    value = item.forward(torch.tensor([-1e6, -50.0, 50.0, 1e6], dtype=torch.float64))
    assert ((value > item.low) & (value < item.high)).all()


@pytest.mark.parametrize("item", RANGES, ids=lambda b: b.name)
def test_derivative_matches_finite_differences(item):
    x = torch.tensor([-2.0, 0.3, 1.5], dtype=torch.float64, requires_grad=True)
    scale = item.high - item.low
    assert torch.autograd.gradcheck(lambda v: item.forward(v) / scale, x)


def test_the_middle_is_the_mean_or_the_geometric_mean():
    zero = torch.zeros((), dtype=torch.float64)
    assert Bounded("a", 1.0, 3.0).forward(zero).item() == pytest.approx(2.0)
    assert Bounded("a", 1e-4, 1e2, log=True).forward(zero).item() == pytest.approx(0.1)


def test_the_inverse_of_a_bound_is_finite():
    item = Bounded("a", 0.0, 2.0)
    x = item.inverse(torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert torch.isfinite(x).all()
    torch.testing.assert_close(item.forward(x), torch.tensor([0.0, 2.0], dtype=torch.float64), rtol=0, atol=1e-7)
    with pytest.raises(BoundsError, match=r"'a' must lie in \[0, 2\], got 2.5"):
        item.inverse(torch.tensor([1.0, 2.5]))
    with pytest.raises(BoundsError, match="nan"):
        item.inverse(torch.tensor(float("nan")))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_bounds_must_be_finite_and_in_order(low, high):
    with pytest.raises(BoundsError, match="'a' must be finite and in order"):
        Bounded("a", low, high)
    with pytest.raises(BoundsError, match="logarithmic"):
        Bounded("a", 0.0, 1.0, log=True)


def test_ranges_come_from_the_parameter_unless_given():
    p = Parameter("k", "1/d", "rate", low=0.0, high=5.0, typical=(0.1, 2.0), log=True)
    assert bounded(p) == Bounded("k", 0.1, 2.0, log=True)
    assert bounded(p, (0.2, 5.0)) == Bounded("k", 0.2, 5.0, log=True)
    # A range that begins at zero has no logarithm.
    assert bounded(p, (0.0, 1.0)) == Bounded("k", 0.0, 1.0)
    assert bounded(Parameter("k", "1", "share", low=0.0, high=1.0)) == Bounded("k", 0.0, 1.0)
    with pytest.raises(BoundsError, match="'k' reach beyond its physical range"):
        bounded(p, (-1.0, 1.0))
    with pytest.raises(BoundsError, match="'k' has no typical range"):
        bounded(Parameter("k", "1", "rate", low=0.0))


def test_a_model_packs_and_unpacks():
    model = ExpHydro()
    packed = transforms(model.parameters, {"S_max": (50.0, 2500.0)})
    assert packed.names == tuple(p.name for p in model.parameters)
    values = {p.name: torch.full((3, 1), p.default, dtype=torch.float64) for p in model.parameters}
    x = packed.pack(values)
    assert x.shape == (3, 6)
    again = packed.unpack(x)
    assert again["S_max"].shape == (3, 1)
    for name, value in values.items():
        torch.testing.assert_close(again[name], value, rtol=1e-7, atol=1e-9)


def test_wrong_names_are_named():
    model = ExpHydro()
    with pytest.raises(UnknownNameError, match="'S_min'"):
        transforms(model.parameters, {"S_min": (0.0, 1.0)})
    two = Transforms((Bounded("a", 0.0, 1.0), Bounded("b", 0.0, 1.0)))
    half = torch.full((1, 1), 0.5)
    with pytest.raises(MissingNameError, match="'b'"):
        two.pack({"a": half})
    with pytest.raises(UnknownNameError, match="'c'"):
        two.pack({"a": half, "b": half, "c": half})


@pytest.mark.parametrize(
    ("value", "bound"), [(0.0, "lower"), (0.99, "lower"), (1.1, None), (50.0, None), (99.1, "upper"), (100.0, "upper")]
)
def test_a_value_is_near_a_bound_within_a_hundredth_of_the_range(value: float, bound: str | None) -> None:
    assert nearest_bound(value, 0.0, 100.0) == bound
