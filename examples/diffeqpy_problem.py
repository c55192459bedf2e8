"""A problem of diffeqpy, calibrated in PyTorch: two storages in a row, whose exponent and rates are found again.

    pip install 'pydiffgeo[diffeqpy]'
    python examples/diffeqpy_problem.py

diffeqpy makes `ODEProblem`s of Julia functions and solves them; `pydiffgeo.bridge.solve_ode_problem` makes the solution a differentiable
function of initial state and parameters, by the solvers of the Julia engine, so that any optimiser of PyTorch can go on from there.
Rate and exponent of the soil make up for each other: with errors of a hundredth the rate is found to a sixth, the exponent to 3 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pydiffgeo.bridge import solve_ode_problem

# Rain that comes and goes (mm/d); a soil drains faster the more it holds, into groundwater that drains in proportion.
STORAGES = """
function storages!(du, u, p, t)
    rain = 6.0 * max(sin(0.5 * t), 0.0)
    drainage = p[1] * max(u[1], 0.0)^p[2]
    du[1] = rain - drainage
    du[2] = drainage - p[3] * u[2]
end
"""
TRUE = {"rate of the soil": 0.02, "exponent": 1.8, "rate of groundwater": 0.1}
START = torch.tensor([20.0, 40.0], dtype=torch.float64)


def main(ode: Any = None, steps: int = 25) -> dict[str, float]:
    """Finds the parameters again from the outflow with errors of a hundredth. `ode` is diffeqpy's, or what has `ODEProblem`."""
    if ode is None:
        from diffeqpy import ode
    times = np.linspace(0.0, 60.0, 61)
    problem = ode.ODEProblem(ode.seval(STORAGES), START.tolist(), (0.0, 60.0), [*TRUE.values()])
    settings: dict[str, Any] = {"u0": START, "times": times, "rtol": 1e-7, "atol": 1e-7}

    def outflow(p: torch.Tensor) -> torch.Tensor:
        return p[2] * solve_ode_problem(problem, p=p, **settings)[1:, 1]

    with torch.no_grad():
        seen = outflow(torch.tensor([*TRUE.values()], dtype=torch.float64))
    seen = seen * torch.from_numpy(1 + 0.01 * np.random.default_rng(0).normal(size=len(seen)))
    # All are positive: their logarithms are sought.
    logarithms = torch.log(torch.tensor([0.05, 1.2, 0.2], dtype=torch.float64)).requires_grad_()
    optimiser = torch.optim.LBFGS([logarithms], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        misfit = ((outflow(logarithms.exp()) / seen - 1) ** 2).mean()
        misfit.backward()
        return misfit

    optimiser.step(loss)
    found = dict(zip(TRUE, logarithms.exp().tolist(), strict=True))
    for name, value in found.items():
        print(f"{name:20} {value:.4f}  (true {TRUE[name]:g})")
    return found


if __name__ == "__main__":
    main()
