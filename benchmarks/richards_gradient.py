"""Loss and gradient of a soil column: both engines against bare calls of their own solvers.

Problem: 100 cells of 1 cm, 30 days, 0.03 m/d every fifth day and 0.001 m/d else, free drainage, loam;
the loss is the sum over days of the mean squared difference of the water content to 0.25; its gradient
has an entry for each of five parameters in each cell, each daily flux and each initial value: 630.

Prints a table: worst entry of the gradient against a reference at tight tolerances, seconds forward
and backward, and the ratios that matter. Everything is measured in one run; compare ratios, not
seconds, between machines. Bare CasADi and bare Julia are run beside the
engines.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.engines.julia import session

CELLS, DAYS = 100, 30
LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496}


def inputs() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    flux = torch.full((DAYS,), 0.001, dtype=torch.float64)
    flux[::5] = 0.03
    parameters = {k: torch.full((CELLS,), v, dtype=torch.float64, requires_grad=True) for k, v in LOAM.items()}
    theta = torch.full((CELLS,), 0.2, dtype=torch.float64, requires_grad=True)
    return parameters, flux.requires_grad_(), theta


def solve(model: dg.Model, given: Any, **settings: Any) -> torch.Tensor:
    parameters, flux, theta = given
    times = np.arange(DAYS + 1.0)
    sol = dg.solve(model, parameters, forcing={"flux": flux}, times=times, initial={"theta": theta}, **settings)
    return (sol.states["theta"][1:] - 0.25).square().mean(-1).sum()


def timed(model: dg.Model, repeats: int, **settings: Any) -> tuple[list[torch.Tensor], float, float]:
    """Gradient, and the least seconds forward and backward over the repeats."""
    given = inputs()
    wanted = [*given[0].values(), given[1], given[2]]
    best = (float("inf"), 0.0, 0.0)
    gradient: list[torch.Tensor] = []
    for _ in range(repeats + 1):  # the first one builds and compiles
        a = time.perf_counter()
        loss = solve(model, given, **settings)
        b = time.perf_counter()
        gradient = list(torch.autograd.grad(loss, wanted))
        c = time.perf_counter()
        best = min(best, (c - a, b - a, c - b))
    return gradient, best[1], best[2]


def worst(gradient: list[torch.Tensor], reference: list[torch.Tensor]) -> float:
    pairs = zip(gradient, reference, strict=True)
    return max(((g - r).abs().max() / r.abs().max()).item() for g, r in pairs)


def bare_casadi(model: dg.Model, rtol: float, repeats: int) -> tuple[list[torch.Tensor], float]:
    """The same gradient from one CasADi graph of chained CVODES calls, as a CasADi user would write it."""
    import casadi as ca

    from pydiffgeo.engines.sundials import rates
    from pydiffgeo.engines.system import Layout, build_system

    system = build_system(model, Layout({p.name: 1 if p.name == "S_s" else CELLS for p in model.parameters}))
    y, p, f = (ca.SX.sym(n, s) for n, s in (("y", CELLS), ("p", system.n_parameters), ("f", 1)))
    ode = {"x": y, "p": ca.vertcat(p, f), "ode": rates(system, y, p, f)[:CELLS]}
    options = {"reltol": rtol, "abstol": rtol / 100, "steps_per_checkpoint": 500, "max_num_steps": 100_000}
    day = ca.integrator("day", "cvodes", ode, 0.0, 1.0, options)
    start, parameters, fluxes = ca.MX.sym("y", CELLS), ca.MX.sym("p", system.n_parameters), ca.MX.sym("f", DAYS)
    x, loss = start, 0
    for j in range(DAYS):
        x = day(x0=x, p=ca.vertcat(parameters, fluxes[j]))["xf"]
        loss += ca.sumsqr(x - 0.25) / CELLS
    given_inputs = (start, parameters, fluxes)
    reverse = ca.Function("loss", list(given_inputs), [loss]).reverse(1)
    gradient = ca.Function("gradient", list(given_inputs), [loss, *reverse(*given_inputs, loss, 1)])
    given, flux, theta = inputs()
    values = np.concatenate([v.detach().numpy() for v in given.values()] + [[1e-4]])
    best, result = float("inf"), None
    for _ in range(repeats + 1):
        a = time.perf_counter()
        result = gradient(theta.detach().numpy(), values, flux.detach().numpy())
        best = min(best, time.perf_counter() - a)
    by_start, by_parameters, by_flux = (torch.from_numpy(r.full().ravel()) for r in result[1:])
    return [*by_parameters[:-1].split(CELLS), by_flux, by_start], best


def bridge_overhead(repeats: int = 2000) -> float:
    """Seconds of an empty forward and backward through the autograd node."""
    from pydiffgeo.engines.autograd import differentiable_solve
    from pydiffgeo.engines.base import Forward, Gradients, Options, Problem, Status

    class Nothing:
        name = "nothing"

        def forward(self, problem: Problem, differentiate: bool) -> Forward:
            return Forward(problem.y0[:, None].copy(), np.zeros((1, 0, 0)), [Status.SUCCESS], {})

        def backward(self, problem: Problem, forward: Forward, y_bar: Any, q_bar: Any) -> Gradients:
            return Gradients(y_bar[:, 0], np.zeros((1, 1)), np.zeros((1, 0, 1, 0)), [Status.SUCCESS], {})

    y0 = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    p, f = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 0, 1, 0, dtype=torch.float64)
    engine, options = Nothing(), Options()

    def call() -> None:
        y, _, _ = differentiable_solve(engine, None, options, np.zeros(1), y0, p, f, True)  # type: ignore[arg-type]
        y.sum().backward()

    return _least(call, repeats) - _least(lambda: (y0 * 1.0).sum().backward(), repeats)


def julia_call_overhead(repeats: int = 2000) -> float:
    """Seconds of a call to Julia that does nothing."""
    with session.julia() as package:
        return _least(lambda: package.active, repeats)


def _least(call: Callable[[], Any], repeats: int) -> float:
    best = float("inf")
    for _ in range(5):
        a = time.perf_counter()
        for _ in range(repeats // 5):
            call()
        best = min(best, (time.perf_counter() - a) / (repeats // 5))
    return best


def julia_alone(model: dg.Model, rtol: float, repeats: int) -> float:
    """Seconds of the same two calls, timed within Julia."""
    from pydiffgeo.engines.choose import julia
    from pydiffgeo.engines.system import Layout, build_system

    engine: Any = julia()
    system = build_system(model, Layout({p.name: 1 if p.name == "S_s" else CELLS for p in model.parameters}))
    given, flux, theta = inputs()
    p = np.concatenate([v.detach().numpy() for v in given.values()] + [[1e-4]])[:, None]
    with session.julia() as package:
        built = engine._model(package, system)
        from juliacall import Main

        run = Main.seval("""
            function (P, model, breaks, y0, p, f, settings, repeats)
                y0, p, f, breaks = P.plain(y0), P.plain(p), P.plain(f), P.plain(breaks)
                best = Inf
                for _ in 0:repeats
                    best = min(best, @elapsed begin
                        result = P.forward(model, breaks, y0, p, f, settings, "gauss")
                        bar = 2 .* (result.y .- 0.25) ./ size(y0, 1)
                        bar[:, 1, :] .= 0
                        P.backward(model, result.tape, bar, zero(result.q), [1])
                    end)
                end
                return best
            end
        """)
        settings = package.Settings("Rodas5P", rtol, rtol / 100, 100_000)
        f = flux.detach().numpy().reshape(1, 1, DAYS, 1)
        return float(
            run(package, built, np.arange(DAYS + 1.0), theta.detach().numpy()[:, None], p, f, settings, repeats)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="also SUNDIALS compiled to C (takes a minute)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = dg.models.RichardsColumn(1.0, CELLS)
    reference, _, _ = timed(model, 0, engine="sundials", rtol=1e-10, atol=1e-12)
    print(f"{'':34}{'rtol':>8}{'error':>10}{'forward':>10}{'backward':>10}{'ratio':>7}{'total':>8}")

    def row(name: str, rtol: float, **settings: Any) -> tuple[float, float]:
        gradient, forward, backward = timed(model, options.repeats, rtol=rtol, atol=rtol / 100, **settings)
        error = worst(gradient, reference)
        print(f"{name:34}{rtol:8.0e}{error:10.1e}{forward:10.3f}{backward:10.3f}{backward / forward:7.2f}"
              f"{forward + backward:8.3f}")  # fmt: skip
        return error, forward + backward

    for rtol in (1e-4, 1e-5, 1e-6):
        row("sundials", rtol, engine="sundials")
    if options.compiled:
        for rtol in (1e-4, 1e-5, 1e-6):
            row("sundials, compiled", rtol, engine="sundials", compiled=True)
    for rtol in (1e-5, 1e-6, 1e-7):
        gradient, seconds = bare_casadi(model, rtol, options.repeats)
        print(
            f"{'bare CasADi, chained intervals':34}{rtol:8.0e}{worst(gradient, reference):10.1e}{'':27}{seconds:8.3f}"
        )
    if session.executable() is None:
        print("no julia on PATH: the Julia engine is not measured")
        return
    for rtol in (1e-4, 1e-5, 1e-6):
        _, total = row("julia, Rodas5P", rtol, engine="julia")
        alone = julia_alone(model, rtol, options.repeats)
        print(f"{'  the same calls from Julia alone':34}{rtol:8.0e}{'':37}{alone:8.3f}   ratio {total / alone:.2f}")
    row("julia, FBDF", 1e-6, engine="julia", solver="FBDF")
    print(f"empty call through the autograd node: {1e6 * bridge_overhead():.0f} us; "
          f"an empty call to Julia: {1e6 * julia_call_overhead():.0f} us")  # fmt: skip


if __name__ == "__main__":
    main()
