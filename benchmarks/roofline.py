"""Where the time of a gradient goes in the Julia engine: local functions, linear algebra, solver, bridge.

    python benchmarks/roofline.py [--cells 100] [--rtol 1e-4]

Problem: a loam column under 30 days of weather, loss and gradient to 630 inputs (for 100 cells), as in
`benchmarks/peers`. Counts of calls follow from the steps taken: 8 rates and a Jacobian for each step tried, and 8
transposed products, a Jacobian and a second derivative for each step accepted. What the local functions alone
would take is the floor that is left if everything around them cost nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.hoisted import prepare
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.engines.julia import session
from pydiffgeo.engines.registry import julia

DAYS = 30
LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-4}

# Seconds of each piece on the model, at a moist state: the least of 20 averages over 500 calls.
PIECES = """
function (P, model, p, y0)
    P.ready!(model; adjoint = "discrete")
    w = P.set_parameters!(P.Work{Float64}(model, false; adjoint = true), P.plain(p))
    u = P.plain(y0)
    P.set_interval!(w, fill(1e-3, model.n_forcings, 1), 1.0)
    rates, bar = zeros(P.size_of(model)), zeros(model.n_values)
    best(f) = (f(); minimum(@elapsed(foreach(_ -> f(), 1:500)) for _ in 1:20) / 500)
    P.jacobian!(P.set_point!(w, u, 0.0))
    kernels, spaces = [model.stages; model.kernels], [w.stages; w.kernels]
    local_functions(f) = sum(best(() -> f(k, s)) for (k, s) in zip(kernels, spaces))
    return [best(() -> P.rates!(rates, P.set_point!(w, u, 0.0))), local_functions((k, s) -> k.value!(s.out, s.x)),
            best(() -> P.jacobian!(P.set_point!(w, u, 0.0))), local_functions((k, s) -> k.slopes!(s.out, s.slopes, s.x)),
            best(() -> P.pull!(bar, P.set_point!(w, u, 0.0), rates)),
            local_functions((k, s) -> k.pull!(s.bars, s.seeds, s.x)), local_functions((k, s) -> k.bend!(s.bars, s.bent, s.x))]
end
"""

# Seconds forward and backward of the same two calls, without Python.
ALONE = """
function (P, model, breaks, y0, p, f, settings)
    best = (Inf, 0.0, 0.0)
    for _ in 1:10
        a = time()
        result = P.forward(model, breaks, y0, p, f, 1, settings, "discrete")
        b = time()
        bar = 2 .* (result.y .- 0.25) ./ length(y0)
        bar[:, 1, :] .= 0
        P.backward(model, result.tape, vec(bar), vec(zero(result.q)), [1])
        best = min(best, (time() - a, b - a, time() - b))
    end
    return [best[2], best[3]]
end
"""


def least(call: Callable[[], Any], repeats: int = 10) -> float:
    best = float("inf")
    for _ in range(repeats + 1):  # the first one compiles
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


def empty_node() -> float:
    """Seconds of a forward and backward pass through the autograd node of a solve that does nothing."""
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

    def call() -> None:
        y, _, _ = differentiable_solve(Nothing(), None, Options(), np.zeros(1), y0, p, f, True)  # type: ignore[arg-type]
        y.sum().backward()

    return least(call, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--rtol", type=float, default=1e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells, rtol = options.cells, options.rtol
    model, times = dg.models.RichardsColumn(cells / 100, cells), np.arange(DAYS + 1.0)
    flux = torch.full((DAYS,), 0.001, dtype=torch.float64)
    flux[::5] = 0.03
    soil = {k: torch.full((cells if k != "S_s" else 1,), v, dtype=torch.float64) for k, v in LOAM.items()}
    theta = torch.full((cells,), 0.2, dtype=torch.float64)
    leaves = [v.requires_grad_() for v in (*(soil[k] for k in LOAM if k != "S_s"), theta, flux)]
    report: dict[str, Any] = {}

    def gradient() -> None:
        started = time.perf_counter()
        sol = dg.solve(
            model,
            soil,
            forcing={"flux": flux},
            times=times,
            initial={"theta": theta},
            engine="julia",
            rtol=rtol,
            atol=rtol / 100,
        )
        loss = (sol.states["theta"][1:] - 0.25).square().mean(-1).sum()
        middle = time.perf_counter()
        torch.autograd.grad(loss, leaves)
        found = (time.perf_counter() - started, middle - started, sol.stats)
        report["best"] = min(report.get("best", found), found, key=lambda x: x[0])

    least(gradient)
    total, forward, stats = report["best"]
    system = build_system(model, trace_model(model), Layout({k: len(v) for k, v in soil.items()}))
    with torch.no_grad():
        p = prepare(system, torch.cat([soil[q.name] for q in model.parameters])[None]).numpy()[0]
    y0, f = theta.detach().numpy(), flux.detach().numpy()
    engine: Any = julia()

    def inside(package: Any) -> tuple[list[float], list[float]]:
        from juliacall import Main

        (built,) = engine._model(package, system).values
        settings = package.Settings("Rodas5P", rtol, rtol / 100, 100_000)
        module, own = package.module, package.own
        pieces = Main.seval(PIECES)(module, own(built), p, y0)
        alone = Main.seval(ALONE)(module, own(built), times, y0, p, f, own(settings))
        return [float(x) for x in pieces], [float(x) for x in alone]

    pieces, alone = session.in_julia(inside)
    rates, value, jacobian, slopes, pull, pulled, bent = pieces
    steps, tried = stats["steps"][0], stats["steps"][0] + stats["rejections"][0]
    floor = tried * (8 * value + slopes), steps * (8 * pulled + slopes + bent)
    assembled = tried * (8 * rates + jacobian), steps * (8 * pull + jacobian)
    print(f"{cells} cells, {DAYS} days, rtol {rtol:g}: {steps} steps, {tried - steps} rejected\n")
    print(f"{'milliseconds':42}{'forward':>9}{'backward':>10}{'share':>7}")
    for what, (a, b) in {
        "local functions alone (the floor)": floor,
        "rates, Jacobians and transposed products": assembled,
        "forward and backward called from Julia": tuple(alone),
        "through dg.solve and autograd": (forward, total - forward),
    }.items():
        print(f"{what:42}{1e3 * a:9.2f}{1e3 * b:10.2f}{(a + b) / total:7.0%}")
    print(
        f"\nbackward over forward {(total - forward) / forward:.2f}; dg.solve over the same calls from Julia "
        f"{total / sum(alone):.2f}; an empty solve through autograd {1e6 * empty_node():.0f} us"
    )


if __name__ == "__main__":
    main()
