"""Any Julia `ODEProblem`, diffeqpy's included, as a torch-differentiable function.

Example:
    from diffeqpy import ode
    problem = ode.ODEProblem(f, u0, tspan, p)          # f a Julia function
    u = solve_ode_problem(problem, u0=u0, p=p, times=[0.0, 1.0, 10.0])
    u[-1].sum().backward()                             # gradients in u0.grad and p.grad
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from .arrays import Array, Numbers
from .checks import check_positive, check_whole
from .engines.autograd import differentiable_solve
from .engines.base import Forward, Gradients, Options, Problem, Status, Tangents, make_stats
from .engines.ir.kernels import System
from .engines.julia.conversion import CODES
from .engines.julia.crossing import JuliaValue, Package
from .engines.julia.engine import ADAPTIVE
from .engines.julia.session import Owned, in_julia
from .errors import InputError, ShapeError, SolverError
from .model import check_times
from .tensors import as_tensor

SENSITIVITIES = ("auto", "forward", "gauss")


class _ProblemEngine:
    """Makes one `ODEProblem` look like an engine with a single member."""

    name = "julia"

    def __init__(self, problem: JuliaValue) -> None:
        self.problem = problem

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        asked = problem.options

        def call(package: Package) -> tuple[Array, str, Owned]:
            settings = package.Settings(asked.solver, asked.rtol, asked.atol, asked.max_steps)
            result = package.bridge_forward(
                self.problem, problem.y0[0], problem.p[0], problem.breaks, settings, asked.sensitivity
            )
            return np.array(np.asarray(result.u).T)[None], str(result.code), Owned(result.tape)

        y, code, tape = in_julia(call, "SciMLSensitivity")
        reasons = {} if code == "Success" else {0: f"(SciML: {code})"}
        seconds = time.perf_counter() - started
        stats = make_stats(self.name, str(asked.solver), sensitivity=asked.sensitivity)
        stats["forward_seconds"] = seconds
        return Forward(y, np.zeros((1, problem.intervals, 0)), [_status(code)], reasons, stats, tape)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        def call(package: Package) -> tuple[Array, Array, str]:
            result = package.bridge_backward(*forward.tape.values, y_bar[0].T, problem.y0.shape[1])
            y0, p = np.array(np.asarray(result.u0))[None], np.array(np.asarray(result.p)).reshape(problem.p.shape)
            return y0, p, str(result.code)

        y0, p, code = in_julia(call, "SciMLSensitivity")
        reasons = {} if code == "Success" else {0: f"(SciML: {code})"}
        return Gradients(y0, p, np.zeros_like(problem.f), [_status(code)], reasons)

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        y_dot = np.zeros((len(y0_dot), *forward.y.shape))
        if forward.status[0].ok:

            def call(package: Package) -> Array | None:
                (tape,) = forward.tape.values
                return None if tape.jacobian is None else np.array(tape.jacobian)

            jacobian = in_julia(call, "SciMLSensitivity")
            if jacobian is None:
                raise InputError("a Gauss adjoint has no counterpart in forward mode; use sensitivity='forward'")
            y_dot[:] = (np.concatenate([y0_dot, p_dot], axis=2) @ jacobian.T).reshape(y_dot.shape)
        return Tangents(y_dot, np.zeros((*y_dot.shape[:2], problem.intervals, 0)), forward.status, {})


def _status(code: str) -> Status:
    return CODES.get(code, Status.FAILED)


def solve_ode_problem(
    problem: JuliaValue,
    *,
    u0: Numbers,
    p: Numbers = (),
    times: Numbers,
    solver: str = "Rodas5P",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    sensitivity: str = "auto",
    max_steps: int = 100_000,
) -> Tensor:
    """Solves a Julia `ODEProblem` from `u0` with parameters `p`; differentiable in both.

    Args:
        problem: an `ODEProblem` whose right-hand side is a Julia function and whose state and
            parameters are plain vectors; its own `u0`, `p` and `tspan` are replaced.
        u0: initial state `(states,)`; p: parameters `(parameters,)`, empty where there are none.
        times: increasing output times; the first is the start.
        solver: one of Rodas5P, FBDF, QNDF, KenCarp4, TRBDF2.
        sensitivity: "forward" (dual numbers), "gauss" (SciML's Gauss adjoint), or "auto" by size.

    Returns:
        States at `times`, `(time, states)`, float64.

    Raises:
        InputError: (or a subclass) wrong shapes, types, names or times.
        SolverError, AdjointError: the forward or the adjoint solve failed.
    """
    check_positive(rtol=rtol, atol=atol)
    check_whole(1, max_steps=max_steps)
    if solver not in ADAPTIVE:
        raise InputError(f"solver {solver!r} is unknown; known are {list(ADAPTIVE)}")
    if sensitivity not in SENSITIVITIES:
        raise InputError(f"sensitivity {sensitivity!r} is unknown; known are {list(SENSITIVITIES)}")
    start, parameters = as_tensor(u0, "u0"), as_tensor(p, "p")
    for name, tensor in (("u0", start), ("p", parameters)):
        if tensor.ndim != 1:
            raise ShapeError(f"{name} must be a vector, got shape {tuple(tensor.shape)}")
    breaks = check_times(times)
    n, m = len(start), len(parameters)
    system = System("ODEProblem", n, m, 0, 0, n + m, np.empty(0), (), (), {}, {}, {}, {})
    options = Options(rtol, atol, solver, sensitivity, max_steps)
    f = torch.zeros(1, len(breaks) - 1, 1, 0, dtype=torch.float64)
    engine = _ProblemEngine(problem)
    y, _, report = differentiable_solve(engine, system, options, breaks, start[None], parameters[None], f, True)
    if not report.status[0].ok:
        raise SolverError(f"{report.status[0].value} {report.reasons[0]}")
    return y[0]
