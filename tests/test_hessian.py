"""Products with Hessians: of a reservoir whose solution is known, of a basin, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from decays import RESERVOIR, TIGHT
from engine_calls import engine_calls
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.check.differences import difference
from pydiffgeo.errors import (
    BoundsError,
    DtypeError,
    InputError,
    MissingNameError,
    ShapeError,
    UnknownNameError,
)

Named = Mapping[str, Tensor]
TIMES = torch.tensor([0.0, 0.5, 1.0, 2.0])
SEEN = torch.tensor([9.0, 6.0, 5.0, 1.0])
AT = {"k": torch.tensor([0.4, 0.9]).reshape(2, 1), "water": torch.tensor(10.0)}
VECTOR = {"k": torch.tensor([0.3, -0.1]).reshape(2, 1), "water": torch.tensor(2.0)}


def stored(x: Named, **settings: Any) -> Tensor:
    """Water of two reservoirs, `(2, times)`."""
    how = {**TIGHT, **settings}
    return dg.solve(RESERVOIR, {"k": x["k"]}, initial={"water": x["water"]}, times=TIMES, **how).states["water"][..., 0]


def exact(x: Named) -> Tensor:
    return x["water"] * torch.exp(-x["k"] * TIMES)


def misfit(values: Tensor) -> Tensor:
    """No sum of squares, so that the Hessian of the loss counts."""
    return torch.log(1 + (values - SEEN) ** 2).sum()


def packed(x: Named) -> Tensor:
    return torch.cat([x["k"].reshape(-1), x["water"].reshape(-1)])


def unpacked(x: Tensor) -> dict[str, Tensor]:
    return {"k": x[:2].reshape(2, 1), "water": x[2]}


def exact_hessian() -> Tensor:
    return torch.func.hessian(lambda x: misfit(exact(unpacked(x))))(packed(AT))


def exact_gauss_newton() -> Tensor:
    slopes = torch.func.jacrev(lambda x: exact(unpacked(x)).reshape(-1))(packed(AT))
    bent = torch.func.hessian(lambda v: misfit(v.reshape(2, -1)))(exact(AT).reshape(-1))
    return slopes.T @ bent @ slopes


def test_gauss_newton_product_of_a_reservoir_is_the_exact_one(engine: str) -> None:
    found = dg.gauss_newton_vector_product(lambda x: stored(x, engine=engine), misfit, AT, VECTOR)
    torch.testing.assert_close(packed(found), exact_gauss_newton() @ packed(VECTOR), rtol=1e-6, atol=1e-8)
    assert not any(v.requires_grad for v in found.values())
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in AT.items()}
    # Of one tensor as of several by name.
    alone = dg.gauss_newton_vector_product(
        lambda x: stored(unpacked(x), engine=engine), misfit, packed(AT), packed(VECTOR)
    )
    torch.testing.assert_close(alone, packed(found), rtol=1e-6, atol=1e-8)


def test_gauss_newton_product_solves_once(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = engine_calls(engine, monkeypatch)
    dg.gauss_newton_vector_product(lambda x: stored(x, engine=engine), misfit, AT, VECTOR)
    assert calls == ["forward", "tangent", "backward"]


@pytest.mark.parametrize(("rtol", "digits"), [(1e-6, 1e-3), (1e-9, 1e-6)])
def test_hessian_product_of_a_reservoir_is_the_exact_one_within_its_error(
    engine: str, rtol: float, digits: float
) -> None:
    def loss(x: Named) -> Tensor:
        return misfit(stored(x, engine=engine, rtol=rtol, atol=rtol / 100))

    found = dg.hessian_vector_product(loss, AT, VECTOR)
    expected = exact_hessian() @ packed(VECTOR)
    off = (packed(found.value) - expected).abs()
    assert (off <= digits * expected.abs().max()).all(), off
    assert (off <= 10 * packed(found.error) + rtol * expected.abs().max()).all()
    assert (packed(found.error) <= 10 * digits * expected.abs().max()).all()
    # It is symmetric, and not that of Gauss and Newton.
    assert (expected - exact_gauss_newton() @ packed(VECTOR)).abs().max() > 0.1 * expected.abs().max()


def test_products_of_a_basin_agree_with_jacobians_and_with_differences_of_slopes(engine: str) -> None:
    days = 30
    day = torch.arange(days)
    weather = {
        "precipitation": 6 + 6 * torch.sin(1.3 * day),
        "temperature": 8 + 3 * torch.sin(0.9 * day),
        "daylength": 9 + 0.05 * day,
    }
    names = ("f", "S_max", "Q_max", "D_f")
    sizes = torch.tensor([0.03, 300.0, 20.0, 2.5])

    def runoff(z: Tensor, rtol: float = 1e-8) -> Tensor:
        values = dict(zip(names, sizes * torch.exp(z), strict=True))
        initial = {"water_storage": 200.0, "snow_storage": 0.0}
        settings: Any = {"engine": engine, "rtol": rtol, "atol": rtol / 100}
        return dg.solve(
            dg.models.ExpHydro(), values, forcing=weather, times=range(days + 1), initial=initial, **settings
        ).fluxes["runoff"]

    observed = 2 + torch.cos(day)

    def squares(values: Tensor) -> Tensor:
        return ((values - observed) ** 2).mean()

    z, vector = torch.zeros(4), torch.tensor([0.5, -1.0, 0.7, 0.3])
    slopes = dg.jacobian(lambda z: runoff(z[0])[None], z[None])[1][0]
    found = dg.gauss_newton_vector_product(runoff, squares, z, vector)
    expected = 2 / days * slopes.T @ (slopes @ vector)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())

    def slope(other: Tensor, step: float) -> float:
        moved = z + step * other
        return torch.func.jvp(lambda z: squares(runoff(z, 1e-10)), (moved,), (vector,))[1].item()

    full = dg.hessian_vector_product(lambda z: squares(runoff(z)), z, vector)
    for along in (vector, torch.tensor([1.0, 0.2, 0.0, 0.4])):
        known = difference(lambda h, along=along: slope(along, h))
        assert abs((full.value @ along).item() - known.value) <= 1e-4 * abs(known.value) + 3 * known.error
    assert (full.error <= 1e-3 * full.value.abs().max()).all()


def test_steps_of_a_hessian_product_stay_within_bounds() -> None:
    at, vector = {"k": torch.tensor([[4.9]])}, {"k": torch.tensor([[1.0]])}

    def end(x: Named) -> Tensor:
        return dg.solve(RESERVOIR, {"k": x["k"]}, times=[0.0, 1.0], engine="sundials", **TIGHT).states["water"][
            0, -1, 0
        ]

    found = dg.hessian_vector_product(end, at, vector)
    assert 0.04 < found.step < 0.1  # a step of 4 % would not be k < 5, as the model says
    torch.testing.assert_close(found.value["k"].item(), 10 * torch.exp(torch.tensor(-4.9)).item(), rtol=1e-4, atol=0)
    assert dg.hessian_vector_product(end, at, vector, step=0.01).step == 0.01


def test_what_has_no_curvature_gives_zero() -> None:
    x, v = torch.ones(3), torch.arange(3.0)
    assert (dg.gauss_newton_vector_product(lambda x: 2 * x, torch.sum, x, v) == 0).all()
    assert (dg.gauss_newton_vector_product(lambda x: torch.ones(2), lambda r: (r**2).sum(), x, v) == 0).all()
    assert dg.hessian_vector_product(torch.sum, x, v).value.abs().max() == 0
    # A quadratic is exact, along any direction, whatever the step.
    torch.testing.assert_close(dg.hessian_vector_product(lambda x: (x**2).sum(), x, v).value, 2 * v)
    assert (dg.hessian_vector_product(lambda x: (x**2).sum(), x, 0 * v).value == 0).all()


@pytest.mark.parametrize(
    ("x", "vector", "error", "words"),
    [
        (torch.ones(2), torch.ones(3), ShapeError, r"vector is \(3,\), and x is \(2,\)"),
        (torch.ones(2), torch.tensor([1.0, torch.nan]), BoundsError, "vector is not finite"),
        ({"a": torch.ones(2)}, {}, MissingNameError, "vector has no 'a'"),
        ({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(2)}, UnknownNameError, "vector has 'b'"),
        ({"a": torch.ones(2)}, {"a": [1.0, 2.0]}, DtypeError, "vector 'a' must be a floating-point tensor, got list"),
        (
            torch.ones(2, dtype=torch.int64),
            torch.ones(2),
            DtypeError,
            "x must be a floating-point tensor, got torch.int",
        ),
    ],
)
def test_what_does_not_fit_is_named(x: Any, vector: Any, error: type[Exception], words: str) -> None:
    def total(x: Any) -> Tensor:
        return x["a"].sum() if isinstance(x, Mapping) else x.sum()

    with pytest.raises(error, match=words):
        dg.hessian_vector_product(total, x, vector)
    with pytest.raises(error, match=words):
        dg.gauss_newton_vector_product(total, torch.sum, x, vector)


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    x = torch.ones(2)
    with pytest.raises(ShapeError, match=r"loss must return a scalar, got a tensor \(2,\)"):
        dg.hessian_vector_product(lambda x: x, x, x)
    with pytest.raises(ShapeError, match="loss must return a scalar"):
        dg.gauss_newton_vector_product(lambda x: x, lambda r: r, x, x)
    with pytest.raises(DtypeError, match="loss must return a floating-point tensor, got float"):
        dg.hessian_vector_product(lambda x: 1.0, x, x)  # type: ignore[arg-type, return-value]
    with pytest.raises(DtypeError, match="function must return a floating-point tensor, got tuple"):
        dg.gauss_newton_vector_product(lambda x: (x,), torch.sum, x, x)  # type: ignore[arg-type, return-value]
    with pytest.raises(InputError, match="step must be"):
        dg.hessian_vector_product(torch.sum, x, x, step=0.0)
