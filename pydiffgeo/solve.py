"""The one verb: `solve`, and the layer around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor
from typing_extensions import TypedDict, Unpack

from .arrays import Indices, Numbers
from .checks import check_positive, check_switch, check_whole
from .engines.autograd import differentiable_solve
from .engines.base import Forward, Options
from .engines.ir.kernels import System
from .engines.ir.structure import system_of
from .engines.ir.traced_model import Programs
from .engines.registry import choose_engine
from .engines.stated_steps import EULER
from .errors import InputError
from .inputs import Inputs, check_inputs
from .model import Model, TimeSeries
from .solution import Solution
from .tolerances import tolerances

__all__ = ["Layer", "Sensitivity", "Solution", "solve"]

Sensitivity = Literal["auto", "adjoint", "discrete", "gauss", "forward"]
"""How derivatives are found: the engine's choice, either adjoint, that of the steps, Gauss quadrature, or dual numbers."""


class Method(TypedDict, total=False):
    """Keywords of `solve` that say how a model is solved."""

    engine: str
    solver: str | None
    step: float | None
    rtol: float
    atol: float | Mapping[str, float]
    sensitivity: Sensitivity
    max_steps: int
    threads: int
    compiled: bool
    memory: float
    max_seconds: float | None


class Settings(Method, total=False):
    """The same, and whether members that fail raise."""

    throw: bool


class Question(Settings, total=False):
    """Keywords of `solve` that say what is solved, and how."""

    forcing: Mapping[str, Numbers | TimeSeries] | None
    times: Numbers
    initial: Mapping[str, Numbers] | None


def solve(
    model: Model,
    parameters: Mapping[str, Numbers] | None = None,
    *,
    forcing: Mapping[str, Numbers | TimeSeries] | None = None,
    times: Numbers,
    initial: Mapping[str, Numbers] | None = None,
    engine: str = "auto",
    solver: str | None = None,
    step: float | None = None,
    rtol: float = 1e-6,
    atol: float | Mapping[str, float] = Options.atol,
    sensitivity: Sensitivity = "auto",
    max_steps: int = 100_000,
    threads: int = 0,
    compiled: bool = False,
    memory: float = 4e8,
    max_seconds: float | None = None,
    throw: bool = True,
) -> Solution:
    """Solves `model` and returns states, outputs and integrated fluxes as differentiable tensors.

    Gradients come from an adjoint, by `backward()`, `torch.autograd.grad` or `torch.func.grad`, `vjp` and `jacrev`;
    derivatives along directions in forward mode, by `torch.autograd.forward_ad`, `torch.func.jvp` or `jacfwd`; either way
    by `jacobian`. Second derivatives are refused. What `torch.vmap` maps over is solved together, as a batch is.

    Args:
        model: what to solve; `print(model.describe())` lists its names, units and bounds.
        parameters: name -> number or tensor of shape `()`, `(cells,)`, `(batch, 1)` or
            `(batch, cells)`; names left out take the model's defaults. On a raster also fields of its
            shape, `(*shape)` or `(batch, *shape)`, of which the active cells are taken.
        forcing: name -> tensor `(intervals,)` or `(batch, intervals)`, one value per interval
            between `times` (`(..., intervals, cells)`, `(..., intervals, *shape)` or `(batch, intervals, 1)`
            for forcings that vary over cells), or a `TimeSeries` with its own time axis. Series `(batch, intervals)`
            of such a forcing, of as many members as there are cells, are taken only where something else
            has such a batch: they are more likely `(cells, intervals)`.
        times: increasing output times, in the model's time unit; the first is the start.
        initial: name -> initial state, shaped like a parameter; missing ones take defaults.
        engine: "julia", "sundials", or "auto": Julia where it is ready to use, else SUNDIALS.
        solver: a name the engine knows; None or "auto" leaves the choice to it, and lets it try others where that
            fails: in Julia Rodas5P, then Rodas5P and FBDF at a hundredth of the tolerances; in SUNDIALS Rodas5P where
            there are few states, else CVODES, and the other for the intervals in which one gives up. `stats["fallbacks"]` names what solved which member.
            Julia's "Rodas3P", of order three, is for up to twelve states and tolerances of 1e-2 or so.
            "implicit_euler" is the field's daily scheme, in both engines: steps of a stated size, see `step`.
        step: with the solver "implicit_euler", and only with that, the size of its steps in the model's time unit. Intervals
            between breaks of the forcing and output times are divided into as few equal steps as are no longer. Each is
            solved to rounding by Newton's method (a correction of at most 1e-10 of each state is the last one), or fails
            with `Status.CONVERGENCE`; the forcing is that at its end. The method is of first order and the error of its steps is not
            controlled: `rtol` and `atol` mean nothing. Gradients are the exact ones of its steps, also where rates jump:
            they know nothing of a moment at which a jump happens.
        rtol, atol: relative and absolute tolerance of states, integrated fluxes and adjoints. Where an input needs a
            gradient, steps may be shorter (`stats["tolerance_shares"]`), so that it is as accurate as asked too. `atol` may be a mapping from names of states, and of integrated fluxes, to
            their own: `{"water": 1e-6, "heat": 1e-2}`, in their units. Other states then have 1e-8, and other fluxes
            the largest of the states that they balance. With SUNDIALS other ones are functions built anew.
        sensitivity: how gradients are found; "auto" lets the engine choose. With "adjoint" the SUNDIALS engine solves
            few states by CVODES as well.
        max_steps: solver steps allowed in one interval between breaks, to each method that is tried.
        threads: how many members of a batch are solved at a time; 0 is the engine's choice.
        memory: bytes that may be kept for the adjoint, of all members together, each of which has the same share. What
            goes beyond is computed again in the backward pass: first the stages of the steps, then the steps, by parts.
            (The SUNDIALS engine always does that, interval by interval.)
        max_seconds: time that the solve may take, all members together, and each pass for derivatives
            again as much; None allows any. Members that are not finished by then fail with
            `Status.TIME_LIMIT`. Julia looks at the clock between steps, SUNDIALS between intervals, one
            of which is not broken off. Building and compiling the model, done once, is not counted.
        compiled: let the SUNDIALS engine compile the model to C first, where a compiler is found.
        throw: raise where a member fails. Otherwise it holds NaN, `status` says why, it receives a
            zero gradient (in forward mode, a zero tangent), and the other members are as good as ever;
            mask losses with `ok`.

    Raises:
        InputError: (or a subclass) before anything is solved; names the culprit.
        EngineNotAvailableError: the engine is not there.
        SolverError: a member failed and `throw` is set; carries the partial `solution`.
        AdjointError: from `backward()`, where an adjoint solve fails and `throw` is set, or a second derivative is asked.
        TangentError: in forward mode, where the derivatives of a member fail and `throw` is set.
    """
    asked = tolerances(model, rtol, atol, Options.atol)
    check_positive(memory=memory)
    if max_seconds is not None:
        check_positive(max_seconds=max_seconds)
    check_whole(1, max_steps=max_steps)
    check_whole(0, threads=threads)
    check_switch(compiled=compiled, throw=throw)
    check_step(solver, step)
    inputs = check_inputs(model, parameters, forcing, times, initial, asked)
    chosen, why = choose_engine(engine)
    _check_method(chosen.name, solver, sensitivity)
    system, programs = system_of(model, inputs.layout)
    seconds = float("inf") if max_seconds is None else float(max_seconds)
    options = Options(
        *(asked.rtol, asked.atol, solver, sensitivity, int(max_steps), int(threads), compiled, memory, seconds),
        atols=asked.by_name,
        step=None if step is None else float(step),
    )
    y0 = pack_states(system, inputs)
    y, q, report = differentiable_solve(chosen, system, options, inputs.breaks, y0, inputs.p, inputs.f, throw)
    report.stats["why"], report.stats["rtol"], report.stats["atol"] = why, asked.rtol, asked.asked
    solution = _unpack(model, programs, system, inputs, y, q, report)
    return solution.or_error("failed", chosen.name) if throw else solution


def check_step(solver: str | None, step: float | None) -> None:
    """Raises `InputError` unless a step is given with the solver that takes it, and with no other."""
    if step is not None:
        check_positive(step=step)
    if (solver == EULER) != (step is not None):
        asked = "needs step, the size of its steps in the model's time unit" if step is None else "alone takes step"
        raise InputError(f"the solver {EULER!r} {asked}" + (f"; solver is {solver!r}" if step is not None else ""))


def _check_method(engine: str, solver: str | None, sensitivity: str) -> None:
    """Raises `InputError` unless the engine, which is there, knows the solver and the sensitivity."""
    solvers: Iterable[str]
    sensitivities: Iterable[str]
    if engine == "julia":
        from .engines.julia import engine as julia

        solvers, sensitivities = julia.SOLVERS, julia.SENSITIVITIES
    else:
        from .engines.sundials import method

        solvers, sensitivities = method.SOLVERS, ("auto", "adjoint")
    for what, value, names in (("solver", solver, solvers), ("sensitivity", sensitivity, sensitivities)):
        free = what == "solver" and (value is None or (isinstance(value, str) and value == "auto"))
        if not free and not (isinstance(value, str) and value in names):
            raise InputError(f"{what} {value!r} is unknown to the engine {engine!r}; it has {sorted(names)}")


def pack_states(system: System, inputs: Inputs) -> Tensor:
    """Initial states in the order of the system, `(members, states)`."""
    order = np.concatenate([system.states[name] for name in inputs.states])
    together = torch.cat([*inputs.states.values()], dim=1)
    return together.index_select(1, torch.from_numpy(np.argsort(order)))


def _unpack(
    model: Model, programs: Programs, system: System, inputs: Inputs, y: Tensor, q: Tensor, report: Forward
) -> Solution:
    at: Indices = np.searchsorted(inputs.breaks, inputs.times)
    kept = y.index_select(1, torch.from_numpy(at))
    if len(at) < len(inputs.breaks):
        # Several intervals between two output times: their integrals add up.
        total = torch.cat([torch.zeros_like(q[:, :1]), q.cumsum(1)], dim=1)
        q = total.index_select(1, torch.from_numpy(at)).diff(dim=1)
    forcing = forcing_at(system, inputs, at) if programs.take_forcing else {}
    return Solution.of(model, programs, system, inputs, (kept, q, report), forcing, inputs.times)


def forcing_at(system: System, inputs: Inputs, at: Indices) -> dict[str, Tensor]:
    """Forcings at the end of the interval before each output time, and at the start; `at` are the breaks of these."""
    ends = inputs.f[:, :, -1].index_select(1, torch.from_numpy(np.maximum(at - 1, 0)))
    start = inputs.f[:, :1, 0] if at[0] == 0 else ends[:, :1]
    values = torch.cat([start, ends[:, 1:]], dim=1)
    values = values if inputs.batch is not None else values[0]
    return {name: values.index_select(-1, torch.from_numpy(place)) for name, place in system.forcings.items()}


class Layer(torch.nn.Module):
    """A model as a module: `layer(parameters, forcing=..., times=...)` is `solve` with settings kept.

    Example: `Layer(model, engine="sundials", rtol=1e-5)`; settings are the keywords of `solve`. Networks that the model
    declares are its submodules.
    """

    def __init__(self, model: Model, **settings: Unpack[Question]) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        if isinstance(model, Model) and model.networks:
            # Under a name of its own, so that optimisers, `state_dict` and the like find the weights.
            self.networks = torch.nn.ModuleDict(dict(model.networks))

    def forward(self, parameters: Mapping[str, Numbers] | None = None, **inputs: Unpack[Question]) -> Solution:
        """`solve` with the settings that were kept, and those given here, which come first."""
        question = cast(Question, {**self.settings, **inputs})
        return solve(self.model, parameters, **question)

    def extra_repr(self) -> str:
        return ", ".join([self.model.name, *(f"{k}={v!r}" for k, v in self.settings.items())])
