"""Derivatives of a loss found in three ways, at several tolerances."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from typing_extensions import Unpack

from ..arrays import Numbers
from ..engines.base import Status
from ..errors import AdjointError, BoundsError, InputError, ShapeError, SolverError, TangentError
from ..model import Model, TimeSeries
from ..solve import Question, Settings, Solution, solve
from .differences import difference
from .gradient_report import Derivative, GradientReport, GroupCheck, Run
from .groups import Group, collect, groups_of
from .verdicts import judge

Loss = Callable[[Solution], Tensor]
# Values by name of group, rtol and atol -> loss `()` and the solution it was taken of.
Evaluate = Callable[[Mapping[str, Tensor], float, float], tuple[Tensor, Solution]]
DEFAULT_LOSS = "weighted sum of states and fluxes"


def check_gradients(
    model: Model,
    parameters: Mapping[str, Numbers] | None = None,
    *,
    forcing: Mapping[str, Numbers | TimeSeries] | None = None,
    times: Numbers,
    initial: Mapping[str, Numbers] | None = None,
    loss: Loss | None = None,
    rtols: Sequence[float] = (1e-4, 1e-6, 1e-8),
    atol_ratio: float = 1e-2,
    only: Sequence[str] | None = None,
    seed: int = 0,
    **settings: Unpack[Settings],
) -> GradientReport:
    """Are the gradients of a model right? Adjoint, forward mode and extrapolated finite differences, side by side.

    For each parameter, forcing (boundary values are forcings) and initial state, defaults included, the derivative of
    a loss is found along one random direction that moves all its entries, by about their own size for a step of one.
    This is done at each tolerance. The tightest decides.

    Args:
        model, parameters, forcing, times, initial: as for `solve`, with a batch or without.
        loss: of a `Solution`, a scalar tensor; it is called anew for each solve, and must be deterministic. Where left
            out: the sum of all states after the start and of all fluxes between `times`, with random weights from 0.5
            to 1.5 that are divided by the number of values and by their largest magnitude plus `atol_ratio`, below
            which the tolerances leave nothing certain. All inputs that matter to the model have an effect on it.
        rtols: relative tolerances; the absolute ones are `atol_ratio` times them, in the units of the states.
        only: names of groups, such as "K_s" or "initial theta"; all where left out.
        seed: of the directions and of the default loss.
        settings: further keywords of `solve`, such as `engine` and `solver`.

    Returns:
        A report: `print` it, or see its `ok`, `verdict` and `groups`. A solve that fails is in it with its status,
        and is never taken for a derivative.

    Raises:
        InputError: (or a subclass) inputs do not fit the model, `rtols` or `only` are empty, the loss is not finite,
            or does not depend on the solution. ShapeError: the loss is no scalar.
        EngineNotAvailableError: the engine is not there.
    """
    for name in ("rtol", "atol", "throw"):
        if name in settings:
            raise InputError(f"{name} is not among the settings of a check; give rtols and atol_ratio")
    inputs = collect(model, parameters, forcing, times, initial)
    groups = groups_of(model, inputs, only, seed)
    chosen = [] if loss is None else [loss]

    def evaluate(moved: Mapping[str, Tensor], rtol: float, atol: float) -> tuple[Tensor, Solution]:
        values, question = inputs.arguments(moved)
        whole: Question = {**settings, **question, "rtol": rtol, "atol": atol}
        solution = solve(model, values, **whole)
        if not chosen:  # the scales in it are those of the first solution, and then fixed
            chosen.append(_weighted_sum(solution, seed, float(atol_ratio)))
        return chosen[0](solution), solution

    name = DEFAULT_LOSS if loss is None else _name(loss)
    return compare(evaluate, groups, rtols, atol_ratio, model=model, loss=name, seed=seed)


def compare(
    evaluate: Evaluate,
    groups: Sequence[Group],
    rtols: Sequence[float],
    atol_ratio: float,
    *,
    model: Model,
    loss: str,
    seed: int,
) -> GradientReport:
    """The report on any `evaluate` that raises `SolverError` where a solve fails; see `check_gradients`."""
    tolerances = _tolerances(rtols, atol_ratio)
    runs = [_run(evaluate, groups, rtol, atol) for rtol, atol in tolerances]
    strongest = [max(d.scale for d in derivatives) for _, derivatives, _ in runs]
    checks = []
    for i, g in enumerate(groups):
        own = tuple(derivatives[i] for _, derivatives, _ in runs)
        said = judge(own, strongest)
        size, text = g.value.numel(), (said.outcome, said.verdict, said.differing)
        checks.append(GroupCheck(g.name, size, g.moved, g.one_sided, own, *text))
    stats: Mapping[str, object] = next((stats for _, _, stats in reversed(runs) if stats), {})
    engine, solver, sensitivity = (str(stats.get(key, "unknown")) for key in ("engine", "solver", "sensitivity"))
    solves = tuple(run for run, _, _ in runs)
    return GradientReport(model.name, engine, solver, sensitivity, loss, seed, solves, tuple(checks))


def _tolerances(rtols: Sequence[float], ratio: float) -> list[tuple[float, float]]:
    """Pairs of tolerances, the loosest first."""
    if isinstance(rtols, (str, Real)) or len(rtols) == 0:
        raise InputError(f"rtols must be a sequence of at least one positive number, got {rtols!r}")
    for name, value in [*(("rtols", r) for r in rtols), ("atol_ratio", ratio)]:
        good = isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < np.inf
        if not good or (name == "rtols" and float(value) >= 1):
            below = "positive numbers below 1" if name == "rtols" else "a positive number"
            raise InputError(f"{name} must be {below}, got {value!r}")
    return [(r, r * float(ratio)) for r in sorted({float(r) for r in rtols}, reverse=True)]


@dataclass
class _Log:
    """What went wrong in a run, each kind once."""

    problems: dict[str, None]

    def add(self, what: str, error: SolverError | AdjointError | TangentError) -> str:
        members = error.solution.status if isinstance(error, SolverError) and error.solution is not None else []
        sentences = {status.value: None for status in members if not status.ok} or {str(error): None}
        text = f"{what}: {' '.join(sentences)}"
        self.problems[text] = None
        return text


def _run(
    evaluate: Evaluate, groups: Sequence[Group], rtol: float, atol: float
) -> tuple[Run, list[Derivative], Mapping[str, object]]:
    """Everything at one tolerance: the run, a derivative per group, and what the engine says of itself."""
    log, seconds = _Log({}), dict[str, float]()
    leaves = {g.name: g.value.clone().requires_grad_() for g in groups}
    started = time.perf_counter()
    try:
        with torch.enable_grad():
            value, solution = evaluate(leaves, rtol, atol)
    except SolverError as error:
        note = log.add("solve", error)
        nothing = [Derivative(rtol, None, None, None, None, 0.0, None, note) for _ in groups]
        return Run(rtol, atol, False, "; ".join(log.problems), None, None, seconds), nothing, {}
    seconds["solve"] = time.perf_counter() - started
    _check_loss(value)

    started = time.perf_counter()
    gradients: dict[str, Tensor] | None = None
    adjoint_note = ""
    try:
        slopes = torch.autograd.grad(value, [*leaves.values()], allow_unused=True)
        pairs = zip(leaves.items(), slopes, strict=True)
        gradients = {name: torch.zeros_like(x) if slope is None else slope for (name, x), slope in pairs}
    except AdjointError as error:
        adjoint_note = log.add("adjoint", error)
    seconds["adjoint"] = time.perf_counter() - started
    seconds["forward"] = seconds["differences"] = 0.0

    derivatives = []
    for g in groups:
        notes = [adjoint_note]
        shares = None if gradients is None else gradients[g.name] * g.direction
        adjoint = None if shares is None else float(shares.sum())
        started = time.perf_counter()
        forward, note = _forward_mode(evaluate, g, rtol, atol, log)
        seconds["forward"] += time.perf_counter() - started
        notes.append(note)
        started = time.perf_counter()
        slope, uncertainty, sides, note = _differences(evaluate, g, rtol, atol, log)
        seconds["differences"] += time.perf_counter() - started
        notes.append(note)
        sizes = [abs(x) for x in (adjoint, forward, slope) if x is not None]
        scale = max([*sizes, 0.0 if shares is None else float(shares.abs().max())], default=0.0)
        said = "; ".join(filter(None, notes))
        derivatives.append(Derivative(rtol, adjoint, forward, slope, uncertainty, scale, sides, said))

    balance = max((float(error.max()) for error in solution.balances.values()), default=None)
    status = "; ".join(log.problems) or Status.SUCCESS.value
    run = Run(rtol, atol, not log.problems, status, float(value.detach()), balance, seconds)
    return run, derivatives, solution.stats


def _forward_mode(evaluate: Evaluate, g: Group, rtol: float, atol: float, log: _Log) -> tuple[float | None, str]:
    """The derivative along the direction of a group, or why there is none."""
    try:
        with forward_ad.dual_level(), torch.no_grad():
            moved = forward_ad.make_dual(g.value.clone(), g.direction)
            tangent = forward_ad.unpack_dual(evaluate({g.name: moved}, rtol, atol)[0]).tangent
            return (0.0 if tangent is None else float(tangent)), ""
    except (SolverError, TangentError) as error:
        return None, log.add("forward mode", error)
    except (InputError, NotImplementedError, RuntimeError) as error:
        # A solver, or an operation of the loss, that has none is no mistake of the gradient.
        return None, f"no forward mode: {str(error).splitlines()[0][:120]}"


def _differences(
    evaluate: Evaluate, g: Group, rtol: float, atol: float, log: _Log
) -> tuple[float | None, float | None, tuple[float, float] | None, str]:
    """Value, uncertainty and slopes to the sides of finite differences, or why there are none."""

    def at(step: float) -> float:
        with torch.no_grad():
            value = float(evaluate({g.name: g.at(step)}, rtol, atol)[0])
        if not np.isfinite(value):
            raise FloatingPointError
        return value

    try:
        slope = difference(at, g.one_sided, enough=max(1e-4, 10 * rtol), noise=rtol)
    except SolverError as error:
        return None, None, None, log.add(f"{g.name} disturbed", error)
    except BoundsError as error:
        return None, None, None, f"no step stays within bounds: {error}"
    except FloatingPointError:
        return None, None, None, "the loss is not finite nearby"
    return slope.value, slope.error, slope.sides, ""


def _check_loss(value: object) -> None:
    if not isinstance(value, Tensor):
        raise InputError(f"the loss must return a scalar tensor, got {type(value).__name__}")
    if value.numel() != 1:
        raise ShapeError(f"the loss must return a scalar tensor, got one of shape {tuple(value.shape)}")
    if not bool(torch.isfinite(value.detach()).all()):
        raise InputError(f"the loss is {float(value.detach())}, so there is nothing to differentiate")
    if not value.requires_grad:
        raise InputError("the loss does not depend on the solution through torch operations: nothing to differentiate")


def _weighted_sum(reference: Solution, seed: int, least: float) -> Loss:
    """The default loss, with scales of `reference`; see `check_gradients`."""
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, values in _series(reference).items():
        drawn = 0.5 + torch.rand(values.shape, generator=random, dtype=torch.float64)
        weights[name] = drawn / ((float(values.detach().abs().max()) + least) * values.numel())

    def loss(solution: Solution) -> Tensor:
        return torch.stack([(weights[name] * values).sum() for name, values in _series(solution).items()]).sum()

    return loss


def _series(solution: Solution) -> dict[str, Tensor]:
    """States after the start, which are not those given, and fluxes."""
    states = {f"state {k}": v[..., 1:, :] for k, v in solution.states.items()}
    return states | {f"flux {k}": v for k, v in solution.fluxes.items()}


def _name(loss: Loss) -> str:
    return str(getattr(loss, "__name__", type(loss).__name__)).replace("<lambda>", "a function")
