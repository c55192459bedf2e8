"""Marshals problems to Julia and results back: one call forward, one call back."""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import InputError
from ..base import Array, Forward, Gradients, Problem, Status
from ..system import Kernel, System
from .session import julia
from .transpile import julia_function

SOLVERS = ("FBDF", "QNDF", "Rodas5P", "KenCarp4", "TRBDF2")
SENSITIVITIES = ("auto", "adjoint", "gauss", "forward")

# SciML's return codes, and what they mean to a user.
CODES = {
    "Success": Status.SUCCESS, "MaxIters": Status.MAX_STEPS, "DtLessThanMin": Status.STEP_TOO_SMALL,
    "DtNaN": Status.NOT_FINITE, "Unstable": Status.NOT_FINITE, "NotFinite": Status.NOT_FINITE,
    "ConvergenceFailure": Status.CONVERGENCE, "SingularMatrix": Status.LINEAR_SOLVER,
}  # fmt: skip


class JuliaEngine:
    """SciML's stiff solvers; built models are kept per system."""

    name = "julia"

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[System, Any] = WeakKeyDictionary()
        with julia():
            pass  # starts Julia, so that a missing one is noticed here

    def _model(self, package: Any, system: System) -> Any:
        if system not in self._models:
            s = system
            base = s.n_states + s.n_parameters + s.n_forcings + len(s.constants)
            self._models[system] = package.build(
                s.n_states, s.n_parameters, s.n_forcings, s.n_fluxes, s.n_values, s.constants,
                [_kernel(k, s.n_states, base, base - len(s.constants)) for k in s.closures],
                [_kernel(k, s.n_states, base, base - len(s.constants)) for k in s.kernels],
            )  # fmt: skip
        return self._models[system]

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        solver, sensitivity, why = _choose(problem)
        o = problem.options
        with julia() as package:
            model = self._model(package, problem.system)
            settings = package.Settings(solver, o.rtol, o.atol, o.max_steps)
            built = time.perf_counter()
            result = package.forward(
                model, problem.breaks, problem.y0.T, problem.p.T, problem.f.transpose(3, 2, 1, 0), settings,
                sensitivity if differentiate else "none",
            )  # fmt: skip
            y, q = _array(result.y), _array(result.q)
            status, reasons = _status(str(result.codes))
            stats = {
                "engine": self.name,
                "solver": solver,
                "sensitivity": sensitivity,
                "sensitivity_why": why,
                "setup_seconds": built - started,
                "forward_seconds": time.perf_counter() - built,
            }
            return Forward(y, q, status, reasons, stats, tape=(model, result.tape))

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        started = time.perf_counter()
        good = np.flatnonzero([s.ok for s in forward.status]) + 1
        with julia() as package:
            model, tape = forward.tape
            result = package.backward(model, tape, y_bar.transpose(2, 1, 0), q_bar.transpose(2, 1, 0), good)
            status, reasons = _status(str(result.codes))
            y0, p, f = _array(result.y0), _array(result.p), _array(result.f)
        return Gradients(y0, p, f, status, reasons, {"backward_seconds": time.perf_counter() - started})


def _choose(problem: Problem) -> tuple[str, str, str]:
    """Solver, sensitivity, and the reason for the latter."""
    options = problem.options
    solver = options.solver or "Rodas5P"
    if solver not in SOLVERS:
        raise InputError(f"solver {solver!r} is unknown to the engine 'julia'; it has {list(SOLVERS)}")
    if options.sensitivity not in SENSITIVITIES:
        raise InputError(f"sensitivity {options.sensitivity!r} is unknown; known are {list(SENSITIVITIES)}")
    chosen = {"auto": "gauss", "adjoint": "gauss"}.get(options.sensitivity, options.sensitivity)
    # Measured: for two states and eleven inputs, dual numbers cost five times as much as an adjoint.
    return solver, chosen, "cheaper than dual numbers" if options.sensitivity == "auto" else "asked for"


def _kernel(kernel: Kernel, n_states: int, base: int, constants: int) -> tuple[Any, ...]:
    """Source, gather, targets, weights, and how many inputs are active and variable; counted from one.

    Inputs are ordered: what depends on the states, then parameters and forcings, then constants.
    """
    first = kernel.gather[:, 0] if kernel.gather.size else np.empty(0, np.int64)
    kind = np.where((first < n_states) | (first >= base), 0, np.where(first < constants, 1, 2))
    order = np.argsort(kind, kind="stable")
    names = kernel.program.inputs
    source = julia_function(kernel.program, [names[i] for i in order], [s.output for s in kernel.scatter])
    items = kernel.gather.shape[1] if kernel.gather.size else len(kernel.scatter[0].target)
    targets = np.array([s.target for s in kernel.scatter]).reshape(-1, items)
    weights = np.array([s.weight for s in kernel.scatter], dtype=np.float64).reshape(-1, items)
    gather = kernel.gather[order].reshape(len(order), items)
    return source, gather + 1, targets + 1, weights, int((kind == 0).sum()), int((kind < 2).sum())


def _array(value: Any) -> Array:
    """A Julia array as a NumPy array of its own, with the order of the axes reversed."""
    return np.array(np.asarray(value).T, dtype=np.float64, order="C")


def _status(codes: str) -> tuple[list[Status], dict[int, str]]:
    names = codes.split(",")
    status = [CODES.get(name, Status.FAILED) for name in names]
    return status, {i: f"(SciML: {name})" for i, name in enumerate(names) if name != "Success"}
