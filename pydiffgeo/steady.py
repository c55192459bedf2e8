"""The verb `steady`: states at which nothing changes, with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .arrays import Array, Numbers
from .checks import check_positive, check_switch, check_whole
from .engines.autograd import differentiable_solve
from .engines.base import Forward, Options
from .engines.ir.kernels import System
from .engines.ir.structure import system_of
from .engines.registry import choose_engine
from .engines.steady import SteadyEngine, SteadyStats, steady_stats
from .errors import InputError, ShapeError
from .inputs import Inputs, check_inputs
from .model import ForcingVariable, Model, TimeSeries, quantities
from .solution import Solved, total
from .solve import forcing_at, pack_states
from .stability import growth_rates
from .tensors import as_tensor, check_shape
from .tolerances import tolerances

# Where no absolute tolerance is given.
ATOL = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class SteadySolution(Solved):
    """What `steady` returns. The leading dimension is the batch, absent where nothing was batched.

    Attributes:
        states: name -> `(..., cell)`, differentiable; NaN in a failed member.
        fluxes: name -> amount per unit of time `(...)`, differentiable.
        status: one `Status` per member; its value is a sentence.
        reasons: member -> which state is to blame, for those that failed.
        stats: see `help(pydiffgeo.engines.steady.SteadyStats)`.

    Pickled, it takes its values along as tensors without gradients, as `Solution` does.
    """

    @property
    def stats(self) -> SteadyStats:
        """Engine, iterations, seconds, and whether time was stepped through."""
        return steady_stats(self.report)

    @property
    def ok(self) -> Tensor:
        """Which members have a steady state: `(batch,)`, or `()` where nothing was batched."""
        every = [torch.isfinite(v.detach()).all(-1) for v in self.states.values()]
        # An adjoint that failed later counts as well; within `torch.vmap` the report is that of all that is mapped over.
        good = torch.stack(every).all(0)
        if len(self.status) == good.numel():
            good = good & torch.tensor([s.ok for s in self.status]).reshape(good.shape)
        return good

    @cached_property
    def _growth(self) -> tuple[Array, Array]:
        return growth_rates(self.report)

    @property
    def growth(self) -> Tensor:
        """The fastest rate, per unit of time, at which a small perturbation grows, `(batch,)` or `()`; NaN in a failed member.

        It is the largest real part of an eigenvalue of the Jacobian of the rates, and negative where all perturbations
        decay. Computed when first asked for; of more than 1000 states by iterations of SciPy's, see `pydiffgeo.stability`.

        Raises:
            InputError: the solution was pickled.
            MissingPackageError: there are many states, and SciPy is not installed.
            EngineError: there are many states, and the iterations for their eigenvalues do not converge.
        """
        growth = torch.from_numpy(self._growth[0].copy())
        return growth if self.batched else growth[0]

    @property
    def stable(self) -> Tensor:
        """Whether small perturbations decay: `growth` is below zero by more than rounding. Raises as that does."""
        growth, rounding = self._growth
        stable = torch.from_numpy(growth < -rounding)
        return stable if self.batched else stable[0]

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """Algebraic outputs: name -> `(..., cell)`, differentiable."""
        values = {k: v if self.batched else v[0] for k, v in self.parameters.items()}
        return self._outputs(values, torch.ones_like)

    @property
    def balances(self) -> Mapping[str, Tensor]:
        """Unit -> net inflow per unit of time of each member, `(batch,)` or `()`: zero but for rounding.

        One for each unit in which fluxes of the model declare a balance (`IntegratedFlux.balance`).

        Raises:
            InputError: units do not tell which states belong to the fluxes.
        """
        with torch.no_grad():
            return {
                quantity.unit: torch.stack([f.balance * total(f, self.fluxes[f.name]) for f in quantity.fluxes]).sum(0)
                for quantity in quantities(self.model)
            }

    def _bare(self) -> Forward:
        # Statistics are taken from what was found.
        return replace(super()._bare(), tape=replace(self.report.tape, problem=None))

    def __repr__(self) -> str:
        return self._described(f"found by {self.stats['engine']}")


def steady(
    model: Model,
    parameters: Mapping[str, Numbers] | None = None,
    *,
    forcing: Mapping[str, Numbers] | None = None,
    initial: Mapping[str, Numbers] | None = None,
    engine: str = "auto",
    rtol: float = 1e-8,
    atol: float | Mapping[str, float] = ATOL,
    max_iterations: int = 1000,
    threads: int = 0,
    max_seconds: float | None = None,
    throw: bool = True,
) -> SteadySolution:
    """States of `model` at which all rates of change vanish while forcings stay as they are, and the rates of fluxes there.

    Newton's method, on the same rates and sparse Jacobian as `solve`. A step is halved until the one that would follow, by
    the same factors, is smaller (the natural monotonicity test of Deuflhard 2004, Newton Methods for Nonlinear Problems,
    section 3.3; steps are measured in tolerances, so that units do not matter) and all states are within their bounds.
    Where that fails, pseudo-transient continuation goes from the initial guess on: steps of implicit Euler that grow as
    rates fall (switched evolution relaxation: Kelley and Keyes 1998, SIAM J. Numer. Anal. 35), until Newton's method
    succeeds from where they have led.

    Where a model has several steady states, `initial` decides which is found. It need not be a stable one: the solution's
    `stable` and `growth` say. Gradients are those of the implicit function theorem, by one solve with the transposed Jacobian, in
    backward and in forward mode; a steady state can be differentiated once.

    Args:
        model: what to solve; `print(model.describe())` lists its names, units and bounds.
        parameters: name -> number or tensor of shape `()`, `(cells,)`, `(batch, 1)` or `(batch, cells)`.
        forcing: name -> number or tensor of shape `()`, `(batch,)` or `(batch, 1)`; where it varies over cells of shape
            `()`, `(cells,)`, `(batch, 1)` or `(batch, cells)`.
        initial: name -> where to begin, shaped like a parameter; missing ones take defaults. It has no gradient.
        engine: "julia", "sundials", or "auto": Julia where it is ready to use, else SUNDIALS.
        rtol, atol: a state is found where the last step of Newton's method was no longer than `atol + rtol * |state|`.
            That step is taken, so that its error is far smaller. `atol` may be a mapping from states to their own.
        max_iterations: Jacobians that may be factorised for each member.
        threads: how many members are searched for at a time; 0 is the engine's choice.
        max_seconds: time that the search, and each pass for derivatives, may take; None allows any.
        throw: raise where a member fails. Otherwise it holds NaN, `status` says why, and it receives a zero gradient.

    Raises:
        InputError: (or a subclass) before anything is solved; names the culprit.
        EngineNotAvailableError: the engine is not there.
        SolverError: a member failed and `throw` is set; carries the partial `solution`. `Status.CONVERGENCE` where nothing
            came to rest, `Status.SINGULAR` where there is no steady state or a family of them, `Status.OUT_OF_RANGE`
            where it is outside of a limit of the model, `Status.NOT_FINITE` where rates are not finite.
        AdjointError: from `backward()`, where an adjoint solve fails and `throw` is set, or a second derivative is asked.
    """
    asked = tolerances(model, rtol, atol, ATOL)
    if max_seconds is not None:
        check_positive(max_seconds=max_seconds)
    check_whole(1, max_iterations=max_iterations)
    check_whole(0, threads=threads)
    check_switch(throw=throw)
    if not isinstance(model, Model):
        raise InputError(f"model must be a pydiffgeo.Model, got {model!r}")
    inputs = check_inputs(model, parameters, _constant(model, forcing), [0.0, 1.0], initial, asked)
    chosen, why = choose_engine(engine)
    system, programs = system_of(model, inputs.layout)
    seconds = float("inf") if max_seconds is None else float(max_seconds)
    options = Options(
        *(asked.rtol, asked.atol),
        max_steps=int(max_iterations),
        threads=int(threads),
        max_seconds=seconds,
        atols=asked.by_name,
    )
    search = SteadyEngine(chosen, *_bounds(model, system))
    y0 = pack_states(system, inputs)
    y, q, report = differentiable_solve(search, system, options, inputs.breaks, y0, inputs.p, inputs.f, throw)
    report.stats["why"], report.stats["rtol"], report.stats["atol"] = why, asked.rtol, asked.asked
    now = _now(system, inputs) if programs.take_forcing else {}
    solution = SteadySolution.of(model, programs, system, inputs, (y[:, 1], q[:, 0], report), now)
    return solution.or_error("have no steady state that was found", chosen.name) if throw else solution


def _now(system: System, inputs: Inputs) -> dict[str, Tensor]:
    """The forcings, `(..., 1 or cells)`."""
    both = forcing_at(system, inputs, np.array([0, 1]))
    return {name: values[..., -1, :] for name, values in both.items()}


def _constant(model: Model, forcing: Mapping[str, Numbers] | None) -> Mapping[str, Numbers] | None:
    """Forcings as `solve` takes them for one interval; what is no mapping, or has other names, is left to its checks."""
    if not isinstance(forcing, Mapping):
        return forcing
    variables = {variable.name: variable for variable in model.forcings}
    return {
        name: _for_one_interval(model, variables[name], value) if name in variables else value
        for name, value in forcing.items()
    }


def _for_one_interval(model: Model, variable: ForcingVariable, value: Numbers) -> Tensor:
    what = f"forcing {variable.name!r}"
    if isinstance(value, TimeSeries):
        raise InputError(f"{what} is a TimeSeries; a steady state needs one value, which does not change")
    tensor = as_tensor(value, what)
    if variable.on != "model" and tensor.ndim > 0:
        check_shape(tensor, model.items(variable.on), what)
        wide = tensor.expand(*tensor.shape[:-1], model.items(variable.on))
        return wide.unsqueeze(-2)
    if tensor.ndim > 2 or (tensor.ndim == 2 and tensor.shape[1] != 1) or 0 in tensor.shape:
        raise ShapeError(f"{what} has shape {tuple(tensor.shape)}; allowed are (), (batch,) and (batch, 1)")
    return tensor.unsqueeze(-1) if tensor.ndim == 1 else tensor


def _bounds(model: Model, system: System) -> tuple[Array, Array]:
    """Lower and upper bounds of the states, in the order of the system."""
    low, high = np.empty(system.n_states), np.empty(system.n_states)
    for state in model.all_states:
        low[system.states[state.name]], high[system.states[state.name]] = state.low, state.high
    return low, high
