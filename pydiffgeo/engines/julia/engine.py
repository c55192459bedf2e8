"""Marshals problems to Julia and results back: one call for a solve, one for its derivatives."""

from __future__ import annotations

import time
from operator import attrgetter
from weakref import WeakKeyDictionary

import numpy as np

from ...arrays import Array, Indices
from ...errors import InputError
from ..absolute import absolute
from ..base import Forward, Gradients, Problem, Status, Steady, Tangents, make_stats
from ..discontinuities import jumping_along, message
from ..fallback import Method
from ..ir.autodiff import jacobian, switching_functions, values, vjp, vjp_of_jacobian
from ..ir.events import decisions, events, pull_events, sided
from ..ir.kernels import Assigning, Guard, Kernel, NetworkStage, System
from ..ir.program import Node
from ..stated_steps import EULER, SENSITIVITY_WHY, solver_why
from .codegen import julia_loop
from .conversion import flat, status_of
from .crossing import Package
from .moves import has_items, moves_of, ordered
from .networks import NetworkArguments, kinks, network_arguments
from .session import Owned, in_julia
from .steady import find_steady, pull_steady, push_steady
from .writing import written

# Those of SciML, which choose their steps, and all that this engine has.
ADAPTIVE = ("FBDF", "QNDF", "Rodas5P", "KenCarp4", "TRBDF2")
# Of lower order, for few states: of so many at most, as in `julia/src/rosenbrock.jl`.
LOOSE, FEW_STATES = "Rodas3P", 12
DISCRETE = ("Rodas5P", LOOSE)
"""Those with a discrete adjoint and tangent, besides implicit Euler."""
SOLVERS = (*ADAPTIVE, LOOSE, EULER)
# A stall at loose tolerances is mostly one of slopes that jump; multistep methods with Newton's iteration meet them
# differently. Their gradients, of the Gauss adjoint, follow the tolerance less closely: on a moist column by up to 35 times.
FALLBACKS = (
    Method("Rodas5P at a hundredth of the tolerances", "Rodas5P", 0.01),
    Method("FBDF at a hundredth", "FBDF", 0.01),
)
"""What is tried, one after the other, where the solver of the engine's own choice fails."""
# What is differentiated is the solution of the steps taken, whose error may change with the parameters faster than itself.
# Gradients are as accurate as asked with these shares of the tolerances: a tenth where rates have kinks (without, the
# gradient of a basin is up to twenty times further off), and a hundredth in steps from where small changes of a state
# are large ones of the head, as in clay and close to saturation. Chosen on the cases of tests/helpers/hard.py and one basin.
KINKS_SHARE, STEEP_SHARE = 0.1, 0.01
# No step is taken with a relative tolerance below this one for the sake of a gradient: rounding would fail it.
TIGHTEST = 1e-11
# The Gauss adjoint follows them with its own steps, however accurate those forward were: on silt over clay, gradients were
# a third off at a relative tolerance of 1e-4 and half a percent at 1e-6.
STEEP = (
    "(where small changes of a state are large ones of what controls its error, as the head's close to saturation, the "
    "gradient of the Gauss adjoint is not known to be as accurate as asked; use the solver Rodas5P and its discrete adjoint, "
    "or sensitivity='forward')"
)
SENSITIVITIES = ("auto", "adjoint", "discrete", "gauss", "forward")

# The arguments of a kernel in Julia: sources, items, gathers, which results go where with which weights, and counts.
Arguments = tuple[tuple[str, ...], int, Indices, Indices, Indices, Array, tuple[int, ...]]


class JuliaEngine:
    """SciML's stiff solvers; built models are kept per system."""

    name = "julia"

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[System, tuple[Owned, float]] = WeakKeyDictionary()
        in_julia(lambda package: None)  # starts Julia, so that a missing one is noticed here

    def _model(self, package: Package, system: System) -> tuple[Owned, float]:
        """The built model, and the share of the tolerances with which its gradients are as asked."""
        if system not in self._models:
            stages = [_stage(stage, system) for stage in system.stages if has_items(stage)]
            kernels = [_kernel(k, system) for k in system.kernels]
            sizes = attrgetter("n_states", "n_parameters", "n_forcings", "n_fluxes", "n_values")(system)
            guards = [_guard(guard, system) for guard in system.guards]
            built = package.build(*written(*sizes, system.constants, stages, kernels, *_controls(system), guards))
            turns = any(switches for *_, (*_, switches, _) in kernels) or kinks(system)
            self._models[system] = Owned(built), KINKS_SHARE if turns else 1.0
        return self._models[system]

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        chosen = _choose(problem)
        asked, f = problem.options, problem.f
        limit, kind = asked.max_seconds, chosen["sensitivity"] if differentiate else "none"

        def call(package: Package) -> Forward:
            model, least = self._model(package, problem.system)
            share, steep = _shares(least, asked.rtol) if differentiate and asked.step is None else (1.0, 1.0)
            how = asked.tighter(share)
            atols = (flat(absolute(problem.system, how)),) if how.atols else ()
            step = () if asked.step is None else (asked.step,)
            share_of_memory = asked.memory / problem.members
            settings = package.Settings(
                chosen["solver"], how.rtol, how.atol, how.max_steps, share_of_memory, steep, *atols, *step
            )
            built = time.perf_counter()
            # C order here and column-major there: axes come out reversed, members last.
            inputs = flat(problem.y0), flat(problem.p), flat(f), f.shape[2]
            result = package.forward(model.values[0], problem.breaks, *inputs, settings, kind, limit)
            y, codes = result.y, result.codes
            status, reasons = status_of(codes)
            reasons |= _ranges(problem, codes, y)
            stats = make_stats(self.name, **chosen)
            stats["steps"], stats["rejections"] = (
                [int(n) for n in counts] for counts in (result.steps, result.rejections)
            )
            stats["step"] = asked.step
            if asked.step is None:
                stats["tolerance_shares"] = [share * float(s) for s in result.shares]
            stats["lockstep"] = result.lockstep
            stats["linear_solver"] = package.linear_solver(model.values[0], chosen["solver"], kind)
            stats["compiled"], stats["kept_bytes"] = True, package.kept_bytes(result.tape)
            stats["setup_seconds"], stats["forward_seconds"] = built - started, time.perf_counter() - built
            return Forward(y, result.q, status, reasons, stats, tape=Owned(model.values[0], result.tape))

        return in_julia(call)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        started = time.perf_counter()
        good = np.flatnonzero([s.ok for s in forward.status]) + 1
        if why := _unseen_jumps(problem, forward):
            y0, p, f = (np.zeros_like(values) for values in (problem.y0, problem.p, problem.f))
            return Gradients(y0, p, f, *_refused(good, problem.members, why))
        steep = _steep(forward, self._models[problem.system][1], problem.options.rtol)
        good = np.setdiff1d(good, steep)

        def call(package: Package) -> Gradients:
            result = package.backward(*forward.tape.values, flat(y_bar), flat(q_bar), good, problem.options.max_seconds)
            status, reasons = status_of(result.codes)
            for m in steep:
                status[m - 1], reasons[m - 1] = Status.ADJOINT, STEEP
            bars = result.y0, result.p, result.f
            return Gradients(*bars, status, reasons, {"backward_seconds": time.perf_counter() - started})

        return in_julia(call)

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        started = time.perf_counter()
        if forward.stats["sensitivity"] == "gauss":
            raise InputError(
                f"the Gauss adjoint of {forward.stats['solver']} has no counterpart in forward mode; use the solver "
                "Rodas5P, or sensitivity='forward'"
            )
        good = np.flatnonzero([s.ok for s in forward.status]) + 1
        dots = [flat(dot) for dot in (y0_dot, p_dot, f_dot)]
        if why := _unseen_jumps(problem, forward):
            y_dot, q_dot = (np.zeros((len(y0_dot), *values.shape)) for values in (forward.y, forward.q))
            return Tangents(y_dot, q_dot, *_refused(good, problem.members, why))

        def call(package: Package) -> Tangents:
            if package.lacks_moves(*forward.tape.values, good):
                package.add_moves(forward.tape.values[0], *written(*moves_of(problem.system)))
            lent = map(package.lent, dots)
            result = package.tangent(*forward.tape.values, *lent, good, problem.options.max_seconds)
            status, reasons = status_of(result.codes)
            y_dot, q_dot = result.y, result.q
            return Tangents(y_dot, q_dot, status, reasons, {"tangent_seconds": time.perf_counter() - started})

        return in_julia(call)

    def steady(self, problem: Problem, low: Array, high: Array) -> Steady:
        return find_steady(self._model, problem, low, high)

    def steady_adjoint(self, problem: Problem, y: Array, good: Indices, y_bar: Array, q_bar: Array) -> Gradients:
        return pull_steady(self._model, problem, y, good, y_bar, q_bar)

    def steady_tangent(self, problem: Problem, y: Array, good: Indices, p_dot: Array, f_dot: Array) -> Tangents:
        return push_steady(self._model, problem, y, good, p_dot, f_dot)


def _shares(least: float, rtol: float) -> tuple[float, float]:
    """Shares of the tolerances with which a gradient is as asked: of all steps, and of that in steps from steep values."""
    share = min(1.0, max(least, TIGHTEST / rtol))
    # Below one, so that it is seen whether there were such steps.
    return share, min(0.99, max(STEEP_SHARE, TIGHTEST / rtol) / share)


def _steep(forward: Forward, least: float, rtol: float) -> list[int]:
    """Members, counted from one, that the Gauss adjoint is not to follow, since they went through steep values."""
    if forward.stats["sensitivity"] != "gauss":
        return []
    usual, shares = _shares(least, rtol)[0], forward.stats["tolerance_shares"] or []
    return [m + 1 for m, share in enumerate(shares) if share < usual and forward.status[m].ok]


def _unseen_jumps(problem: Problem, forward: Forward) -> str:
    """Why there are no derivatives, where rates may jump in a way that only the discrete adjoint and tangent know of."""
    kind = forward.stats["sensitivity"]
    jumps = jumping_along(problem, forward) if kind in ("gauss", "forward") else []
    return message(jumps, f"the sensitivity '{kind}'") if jumps else ""


def _refused(good: Indices, members: int, why: str) -> tuple[list[Status], dict[int, str]]:
    status = [Status.SUCCESS] * members
    for m in good - 1:
        status[m] = Status.JUMP
    return status, {int(m): why for m in good - 1}


def _controls(system: System) -> tuple[Indices, Indices, Array]:
    """States, the closure values they are controlled through, and their sizes; counted from one, 0 for none."""
    states, values, sizes = (np.array(x) for x in zip(*system.controls, strict=True)) if system.controls else [[]] * 3
    return np.array(states, np.int64) + 1, np.array(values, np.int64) + 1, np.array(sizes, np.float64)


def _choose(problem: Problem) -> dict[str, str]:
    """Solver and sensitivity, and the reason for each.

    Measured at equal error of the gradient, from two states to five thousand, on basins, columns and
    rasters: Rodas5P with its discrete adjoint beats the multistep methods, which start anew at every
    break of the forcing, and their continuous adjoint, which follows the tolerance less closely; and any
    adjoint beats dual numbers, even for two states and eleven inputs. At loose tolerances, too: steps of Rodas3P cost three
    fifths, but two and a half times as many are needed at 1e-3 where forcings change daily.
    """
    options, states = problem.options, problem.system.n_states
    solver, why = options.solver, "asked for"
    if solver in (None, "auto"):
        solver = "Rodas5P"
        why = f"least time at equal gradient error for {states} states over {problem.intervals} intervals"
    if solver not in SOLVERS:
        raise InputError(f"solver {solver!r} is unknown to the engine 'julia'; it has {list(SOLVERS)}")
    if solver == LOOSE and states > FEW_STATES:
        raise InputError(f"the solver {LOOSE} is for up to {FEW_STATES} states, and there are {states}; use Rodas5P")
    if options.sensitivity not in SENSITIVITIES:
        raise InputError(f"sensitivity {options.sensitivity!r} is unknown; known are {list(SENSITIVITIES)}")
    sensitivity, reason = options.sensitivity, "asked for"
    if solver == EULER:
        if sensitivity in ("gauss", "forward"):
            raise InputError(f"sensitivity {sensitivity!r} is not that of {EULER}, whose steps have a discrete adjoint")
        why, sensitivity, reason = solver_why(options), "discrete", SENSITIVITY_WHY
    elif sensitivity in ("auto", "adjoint"):
        sensitivity, reason = "gauss", f"{solver} has no discrete adjoint"
        if solver in DISCRETE:
            sensitivity = "discrete"
            reason = "exact for the steps taken, at a cost that does not grow with the number of inputs"
    elif sensitivity == "discrete" and solver not in DISCRETE:
        raise InputError(f"sensitivity 'discrete' is that of {' and '.join(DISCRETE)}; for {solver} there is 'gauss'")
    elif solver == LOOSE and sensitivity != "discrete":
        raise InputError(f"sensitivity {sensitivity!r} is not that of {LOOSE}, whose steps have a discrete adjoint")
    return {"solver": solver, "solver_why": why, "sensitivity": sensitivity, "sensitivity_why": reason}


def _guard(guard: Guard, system: System) -> Arguments:
    """The arguments of a kernel in Julia for a guard, of which only values are asked for."""
    kernel, items = guard.kernel, len(guard.cells)
    order, names, counts = ordered(kernel, system)
    source = julia_loop(values(kernel.program), {"x": names}, {"out": ["low", "value", "high"]}, items)
    targets, weights = np.ones(3 * items, np.int64), np.zeros(3 * items)
    gather = flat(kernel.gather[order] + 1)
    return (source,) * 4, items, gather, np.array([1, 2, 3]), targets, weights, (*counts, counts[0], 0, 0)


def _kernel(kernel: Kernel, system: System) -> Arguments:
    """The arguments of a kernel in Julia, counted from one."""
    order, names, (active, along, variable) = ordered(kernel, system)
    # What does not move within an interval needs no slopes, and turns no switch.
    moving = names[: active if system.still else along]
    outputs = list(dict.fromkeys(s.output for s in kernel.scatter))
    items = kernel.gather.shape[1] if kernel.gather.size else len(kernel.scatter[0].target)
    switches, free = switching_functions(kernel.program, moving), names[:variable]
    marks = julia_loop(switches, {"x": names}, {"marks": [*switches.outputs]}, items)
    sources = (*_sources(kernel, names, outputs, moving, free, items), marks)
    if count := decisions(kernel.program, moving):
        sources += _jump_sources(kernel, names, outputs, moving, free, count)
    rows = np.array([outputs.index(s.output) + 1 for s in kernel.scatter])
    targets = flat(np.array([s.target for s in kernel.scatter]) + 1)
    weights = flat(np.array([s.weight for s in kernel.scatter], float))
    counts = active, along, variable, len(moving), len(switches.outputs), count
    return sources, items, flat(kernel.gather[order] + 1), rows, targets, weights, counts


def _stage(kernel: Assigning, system: System) -> tuple[bool, str, Indices, Arguments] | NetworkArguments:
    """The arguments of a kernel that assigns values, with its partial derivatives, and which of these may not be zero."""
    if isinstance(kernel, NetworkStage):
        return network_arguments(kernel, system)
    _, names, (*_, variable) = ordered(kernel, system)
    outputs, free = list(dict.fromkeys(s.output for s in kernel.scatter)), names[:variable]
    program = jacobian(kernel.program, outputs, free)
    pairs = [f"slope.{o}.{i}" for o in outputs for i in free]
    zero = [program.nodes[program.outputs[pair]] == Node("constant") for pair in pairs]
    columns = np.array([at for at, none in enumerate(zero, 1) if not none], np.int64)
    items = kernel.gather.shape[1] if kernel.gather.size else len(kernel.scatter[0].target)
    source = julia_loop(program, {"x": names}, {"out": outputs, "partials": pairs}, items)
    return kernel.sums is not None, source, columns, _kernel(kernel, system)


def _sources(
    kernel: Kernel, inputs: list[str], outputs: list[str], directions: list[str], free: list[str], items: int
) -> tuple[str, ...]:
    """The local function, its slopes, and the transposed products of both, written in Julia."""
    program = kernel.program
    pairs = [f"{o}.{i}" for o in outputs for i in directions]
    x = {"x": inputs}
    bars = {"bars": [f"bar.{i}" for i in free]}
    return (
        julia_loop(values(program), x, {"out": outputs}, items),
        julia_loop(
            jacobian(program, outputs, directions), x, {"out": outputs, "slopes": [f"slope.{p}" for p in pairs]}, items
        ),
        julia_loop(vjp(program, outputs, free), {"w": [f"w.{o}" for o in outputs], **x}, bars, items),
        julia_loop(
            vjp_of_jacobian(program, outputs, directions, free), {"w": [f"w.{p}" for p in pairs], **x}, bars, items
        ),
    )


def _jump_sources(
    kernel: Kernel, inputs: list[str], outputs: list[str], moving: list[str], free: list[str], count: int
) -> tuple[str, ...]:
    """The function with its decisions given, what decides and on which side it is, and the gradient of the former."""
    program, x = kernel.program, {"x": inputs}
    each = range(count)
    return (
        julia_loop(sided(program, moving), {"sides": [f"side.{k}" for k in each], **x}, {"out": outputs}, 1),
        julia_loop(
            events(program, moving), x, {"events": [f"{what}.{k}" for what in ("event", "side") for k in each]}, 1
        ),
        julia_loop(
            pull_events(program, moving, free),
            {"w": [f"w.{k}" for k in each], **x},
            {"bars": [f"bar.{i}" for i in free]},
            1,
        ),
    )


def _ranges(problem: Problem, codes: str, y: Array) -> dict[int, str]:
    """What members that left a range were told to say: which range it was, where and when."""
    told = {}
    for m, code in enumerate(codes.split(",")):
        if code.startswith("OutOfRange"):
            guard, item, low, value, high, t = map(float, code.split(";")[1:])
            # The interval in which a member failed is the first without an end.
            begun = int(np.isfinite(y[m]).all(axis=1).sum()) - 1
            when = f" at {problem.breaks[begun] + t:.6g}"
            told[m] = f"({problem.system.guards[int(guard)].message(int(item), low, value, high, when)})"
    return told
