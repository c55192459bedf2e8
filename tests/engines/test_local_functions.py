"""Operations of local functions within solves: values and gradients on both engines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.check.differences import difference
from pydiffgeo.errors import AdjointError, SolverError

TIGHT = {"rtol": 1e-9, "atol": 1e-11}


def cell_model(
    source: Any, parameters: dict[str, float], *, closure: Any = None, output: Any = None, cells: int = 1
) -> dg.Model:
    """x and y in cells of their own, from 1 and 0."""
    return dg.Model(
        name="Local",
        graph=dg.network(cells, []) if cells > 1 else dg.single_cell(),
        states=(dg.State("x", "1", "x", default=1.0), dg.State("y", "1", "y", default=0.0)),
        parameters=tuple(dg.Parameter(k, "1", k, v) for k, v in parameters.items()),
        outputs=() if output is None else (dg.Output("concentration", "1", "dissolved"),),
        closure=closure,
        output=output,
        source=source,
    )


def smooth(cell: Any, forcing: Any) -> dict[str, Any]:
    x, y, a, b = cell.x, cell.y, cell.a, cell.b
    several = torch.stack([x, a * y, b + x * y])
    rate = torch.erf(a * x) + torch.log1p(b * x * x) - torch.expm1(-a * y) + torch.atan(x - y)
    return {
        "x": -0.3 * rate + 0.1 * torch.sinh(y - b * x) - 0.02 * torch.cosh(a * x),
        "y": torch.nn.functional.softplus(x, beta=a, threshold=50.0)
        - 0.2 * torch.logsumexp(several, 0)
        + 0.1 * torch.atan2(y + 0.1, x)
        - 0.1 * torch.linalg.norm(several) * several.mean()
        + 0.05 * several.prod(),
    }


def exchange(cell: Any, forcing: Any) -> dict[str, Any]:
    """x falls through zero; y grows by one until then, and by three from there on, whatever the guard says."""
    steady = torch.where(cell.x == 12.5, 7.0, 2.0) - torch.sign(cell.x)
    return {"x": -cell.a, "y": cell.b * steady}


# Sorption by Freundlich's isotherm, and decay of what is dissolved.
SORPTION = {"theta": 0.4, "K": 0.8, "n": 0.7, "k": 0.5}


def dissolved(cell: Any) -> dict[str, Any]:
    def residual(c: Any) -> Any:
        return cell.theta * c + cell.K * c**cell.n - cell.x

    return {"c": dg.implicit(residual, cell.x, between=(0.0, cell.x / cell.theta))}


def sorbed(cell: Any) -> dict[str, Any]:
    """The same, with what is sorbed as the unknown."""
    s = dg.implicit(lambda s: cell.theta * (s / cell.K) ** (1 / cell.n) + s - cell.x, cell.x, iterations=12)
    return {"c": (s / cell.K) ** (1 / cell.n)}


def decay(cell: Any, forcing: Any) -> dict[str, Any]:
    return {"x": -cell.k * cell.c, "y": cell.k * cell.c}


def gradient(model: dg.Model, at: dict[str, Tensor], t: float, engine: str, **more: Any) -> tuple[Tensor, list[Tensor]]:
    leaves = {k: v.clone().requires_grad_() for k, v in at.items()}
    total = final(model, leaves, t, engine, **more)
    return total.detach(), list(torch.autograd.grad(total, [*leaves.values()]))


def final(model: dg.Model, at: dict[str, Tensor], t: float, engine: str, **more: Any) -> Tensor:
    states = dg.solve(model, at, times=[0.0, 0.4 * t, t], engine=engine, **(TIGHT | more)).states
    return states["x"][..., -1, :].sum() + 2.0 * states["y"][..., -1, :].sum()


def test_smooth_operations_have_right_gradients(engine: str) -> None:
    model = cell_model(smooth, {"a": 0.9, "b": 0.6})
    at = {"a": torch.tensor(0.9), "b": torch.tensor(0.6)}
    _, found = gradient(model, at, 2.0, engine)
    for name, slope in zip(at, found, strict=True):

        def moved(h: float, name: str = name) -> float:
            with torch.no_grad():
                return final(model, at | {name: at[name] + h}, 2.0, engine, rtol=1e-11, atol=1e-13).item()

        expected = difference(moved)
        assert expected.error < 1e-6
        assert slope.item() == pytest.approx(expected.value, abs=3 * expected.error + 2e-8)


def test_a_sign_is_located_or_refused(engine: str) -> None:
    # x = 1 - a t turns at 1 / a, before t = 2.
    model = cell_model(exchange, {"a": 0.8, "b": 1.5})
    at = {"a": torch.tensor(0.8), "b": torch.tensor(1.5)}
    exact = 1 - 0.8 * 2.0 + 2 * 1.5 * (1 / 0.8 + 3 * (2.0 - 1 / 0.8))
    if engine == "sundials":
        with torch.no_grad():
            assert final(model, at, 2.0, engine).item() == pytest.approx(exact, abs=1e-6)
        with pytest.raises(AdjointError, match="jumps"):
            gradient(model, at, 2.0, engine)
        return
    value, (to_a, to_b) = gradient(model, at, 2.0, engine)
    assert value.item() == pytest.approx(exact, abs=1e-6)
    assert to_a.item() == pytest.approx(-2.0 + 2 * 1.5 * 2 / 0.8**2, rel=1e-5)
    assert to_b.item() == pytest.approx(2 * (1 / 0.8 + 3 * (2.0 - 1 / 0.8)), rel=1e-5)


@pytest.mark.parametrize(("closure", "solver"), [(dissolved, None), (sorbed, None), (sorbed, "FBDF")])
def test_sorption_decays_as_the_exact_solution_does(engine: str, closure: Any, solver: str | None) -> None:
    if solver is not None and engine == "sundials":
        pytest.skip("a solver of Julia")
    model = cell_model(decay, SORPTION, closure=closure, output=lambda cell: {"concentration": cell.c})
    t, at = 3.0, {k: torch.tensor(v) for k, v in SORPTION.items()}
    more = {} if solver is None else {"solver": solver}
    value, found = gradient(model, at, t, engine, **more)

    def equations(z: Tensor, p: Tensor) -> Tensor:
        """Concentrations at the start and the end: the total there, and theta ln c + K n c^(n-1) / (n-1) falls by k t."""
        theta, K, n, k = p
        lost = theta * torch.log(z[0] / z[1]) + K * n / (n - 1) * (z[0] ** (n - 1) - z[1] ** (n - 1))
        return torch.stack([theta * z[0] + K * z[0] ** n - 1.0, lost - k * t])

    def remaining(z: Tensor, p: Tensor) -> Tensor:
        """x + 2 y at the end, where x + y is one."""
        return 2.0 - (p[0] * z[1] + p[1] * z[1] ** p[2])

    p, z = torch.tensor([*SORPTION.values()]), torch.tensor([0.5, 0.1])
    slopes = torch.autograd.functional.jacobian
    for _ in range(30):
        z = z - torch.linalg.solve(slopes(equations, (z, p))[0], equations(z, p))
    to_z, to_p = slopes(equations, (z, p))
    direct = slopes(remaining, (z, p))
    expected = direct[1] - direct[0] @ torch.linalg.solve(to_z, to_p)
    assert value.item() == pytest.approx(remaining(z, p).item(), rel=1e-7)
    assert [g.item() for g in found] == pytest.approx(expected.tolist(), rel=2e-6)

    solution = dg.solve(model, at, times=[0.0, t], engine=engine, **TIGHT, **more)
    assert solution.outputs["concentration"].flatten()[-1].item() == pytest.approx(z[1].item(), rel=1e-6)
    plain = closure(SimpleNamespace(**at, x=solution.states["x"]))["c"]
    assert solution.outputs["concentration"].flatten().tolist() == pytest.approx(plain.flatten().tolist(), rel=1e-13)


def test_a_root_that_is_not_reached_fails_the_solve(engine: str) -> None:
    def closure(cell: Any) -> dict[str, Any]:
        return {"c": dg.implicit(lambda c: c**2 + 0.3 - cell.x, cell.x)}  # none once x is below 0.3

    model = cell_model(lambda cell, forcing: {"x": -cell.k - 0.0 * cell.c, "y": cell.c}, {"k": 1.0}, closure=closure)
    with pytest.raises(SolverError):
        dg.solve(model, {"k": 1.0}, times=[0.0, 2.0], engine=engine)
