"""What an engine is given and what it gives back: plain arrays and status codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, Protocol, TypedDict, cast

from ..arrays import Array, Indices
from .ir.kernels import System


class Status(Enum):
    """Outcome of one member of a batch. The value is a sentence."""

    SUCCESS = "The solve succeeded."
    MAX_STEPS = "The solver took the largest allowed number of steps before the end of an interval."
    STEP_TOO_SMALL = "The step size fell below what the arithmetic resolves."
    CONVERGENCE = "The Newton iteration failed to converge, even with small steps."
    ERROR_TEST = "The error test failed repeatedly, even with small steps."
    TIME_LIMIT = "The time allowed was over before the end."
    NOT_FINITE = "The model produced a value that is not finite."
    OUT_OF_RANGE = "The model left the range in which it has a meaning."
    LINEAR_SOLVER = "A linear system could not be solved."
    SINGULAR = "There is no steady state, or there are many: the Jacobian is singular."
    ADJOINT = "The forward solve succeeded but the adjoint solve failed."
    TANGENT = "The forward solve succeeded but its derivatives along given directions failed."
    JUMP = "The rates jump at a value of a state in a way that leaves the solution without a derivative that is known."
    FAILED = "The solver stopped for a reason it does not name."

    @property
    def ok(self) -> bool:
        """Whether the solve, and what was asked of it later, succeeded."""
        return self is Status.SUCCESS


# What no other method would change.
FINAL = (Status.TIME_LIMIT, Status.OUT_OF_RANGE)


@dataclass(frozen=True)
class Options:
    """How to solve. `solver` is a name that the engine knows, or None for its own choice.

    `atols` are absolute tolerances of states and integrated fluxes by name, none where `atol`, the least, is that of all.
    `memory` bounds, in bytes, what is kept for the adjoint, all members together; beyond it, steps are taken again.
    `step` is the longest step of implicit Euler; None with other solvers, which choose their steps.
    `max_seconds` bounds each call of `forward`, `backward` and `tangent`, all members together.
    """

    rtol: float = 1e-6
    atol: float = 1e-8
    solver: str | None = None
    sensitivity: str = "auto"
    max_steps: int = 100_000
    threads: int = 0
    compiled: bool = False
    memory: float = 4e8
    max_seconds: float = float("inf")
    atols: tuple[tuple[str, float], ...] = ()
    step: float | None = None

    def tighter(self, share: float) -> Options:
        """The same with a share of all tolerances."""
        atols = tuple((name, share * atol) for name, atol in self.atols)
        return replace(self, rtol=share * self.rtol, atol=share * self.atol, atols=atols)


@dataclass(frozen=True, eq=False)
class Problem:
    """Numbers to solve with, for a batch of `members`.

    Attributes:
        breaks: `(intervals + 1,)` output and break times, increasing.
        y0: `(members, states)`; p: `(members, parameters)`.
        f: `(members, intervals, 2, forcings)` forcing at the start and at the end of each interval,
            or `(members, intervals, 1, forcings)` where all forcings are constant in each.
    """

    system: System
    options: Options
    breaks: Array
    y0: Array
    p: Array
    f: Array

    @property
    def members(self) -> int:
        return len(self.y0)

    @property
    def intervals(self) -> int:
        return len(self.breaks) - 1


class Stats(TypedDict):
    """What is known of a solve; the same keys whatever the engine, from the start on.

    What is known of each member is a list, or a dictionary of some members; the rest is of all members together.
    """

    engine: str
    """Name of the engine; `why` says how it was chosen."""
    why: str
    solver: str
    """The method used; `solver_why` says how it was chosen."""
    solver_why: str
    linear_solver: str
    """What solves the linear systems of its steps: "dense", "banded" or "sparse direct", and by which method."""
    sensitivity: str
    """How gradients are found: "adjoint" (continuous), "discrete", "gauss" or "forward"."""
    sensitivity_why: str
    rtol: float
    """Relative tolerance asked for."""
    atol: float | Mapping[str, float]
    """Absolute tolerance asked for, or those by name."""
    tolerance_shares: list[float] | None
    """The smallest share of both that a step of each member was chosen with, below 1 where a gradient as accurate as
    asked takes it; None where all are taken with both as they are (SUNDIALS)."""
    compiled: bool
    """Whether the model runs as machine code; it always does in Julia."""
    setup_seconds: float
    """Time to build the model for the engine; next to nothing where it was built before."""
    forward_seconds: float
    backward_seconds: float
    """Time of all adjoint passes so far; `tangent_seconds` that of forward mode."""
    tangent_seconds: float
    step: float | None
    """The longest step, where its size was asked for: with the solver `implicit_euler`, which does not control its error."""
    steps: list[int] | None
    """Steps of each member; None where the engine does not count them (SUNDIALS)."""
    rejections: list[int] | None
    """Steps of each member that were taken again, smaller."""
    lockstep: int
    """Members that were solved in lockstep, as those of small models are in Julia; of the others each went by itself."""
    kept_bytes: float
    """Memory kept for the derivatives, all members together."""
    fallbacks: dict[int, str]
    """Member -> the method that solved it where the first one failed, and why that failed."""
    adjoint_fallbacks: dict[int, str]
    """The same of adjoint passes; `tangent_fallbacks` of forward mode."""
    tangent_fallbacks: dict[int, str]


Amount = Literal["forward_seconds", "backward_seconds", "tangent_seconds", "kept_bytes"]
AMOUNTS: tuple[Amount, ...] = ("forward_seconds", "backward_seconds", "tangent_seconds", "kept_bytes")
REASONS: tuple[Literal["adjoint_fallbacks", "tangent_fallbacks"], ...] = ("adjoint_fallbacks", "tangent_fallbacks")


class PassStats(TypedDict, total=False):
    """Those of `Stats` that a pass adds to."""

    forward_seconds: float
    backward_seconds: float
    tangent_seconds: float
    kept_bytes: float
    adjoint_fallbacks: dict[int, str]
    tangent_fallbacks: dict[int, str]


def make_stats(
    engine: str = "", solver: str = "", solver_why: str = "", sensitivity: str = "", sensitivity_why: str = ""
) -> Stats:
    """Statistics with what is known before a solve; the rest is empty."""
    return Stats(
        engine=engine,
        why="",
        solver=solver,
        solver_why=solver_why,
        linear_solver="",
        sensitivity=sensitivity,
        sensitivity_why=sensitivity_why,
        rtol=float("nan"),
        atol=float("nan"),
        tolerance_shares=None,
        compiled=False,
        setup_seconds=0.0,
        forward_seconds=0.0,
        backward_seconds=0.0,
        tangent_seconds=0.0,
        step=None,
        steps=None,
        rejections=None,
        lockstep=0,
        kept_bytes=0.0,
        fallbacks={},
        adjoint_fallbacks={},
        tangent_fallbacks={},
    )


def add_stats(stats: Stats | PassStats, more: PassStats) -> None:
    """Adds what a pass took to the statistics of a solve, or of a part of one; of several passes, all count."""
    for amount in AMOUNTS:
        if amount in more:
            stats[amount] = stats.get(amount, 0.0) + more[amount]
    for reasons in REASONS:
        if reasons in more:
            stats[reasons] = stats.get(reasons, {}) | more[reasons]


@dataclass(eq=False)
class Forward:
    """Result of a forward solve.

    Attributes:
        y: `(members, intervals + 1, states)` at the breaks; NaN after the point of failure.
        q: `(members, intervals, fluxes)` integrals over each interval; NaN likewise.
        status: one per member; `reasons` the solver's own words for those that failed.
        stats: see `Stats`.
        tape: whatever the engine needs for derivatives.
    """

    y: Array
    q: Array
    status: list[Status]
    reasons: dict[int, str]
    stats: Stats = field(default_factory=make_stats)
    tape: Any = None

    def report_of(self, members: Sequence[int]) -> Forward:
        """Status, reasons and statistics of some members, numbered anew; values and tape stay those of all."""

        def some(value: object) -> object:
            if isinstance(value, list):
                return [value[i] for i in members]
            return _renumbered(value, members) if isinstance(value, dict) else value

        stats = cast(Stats, {name: some(value) for name, value in self.stats.items()})
        status, reasons = [self.status[i] for i in members], _renumbered(self.reasons, members)
        return replace(self, status=status, reasons=reasons, stats=stats)


def _renumbered(reasons: Mapping[int, str], members: Sequence[int]) -> dict[int, str]:
    return {k: reasons[i] for k, i in enumerate(members) if i in reasons}


@dataclass(eq=False)
class Gradients:
    """Result of an adjoint solve, shaped like `y0`, `p` and `f` of the problem; `stats` are what the pass adds to those of the solve."""

    y0: Array
    p: Array
    f: Array
    status: list[Status]
    reasons: dict[int, str]
    stats: PassStats = field(default_factory=PassStats)


@dataclass(eq=False)
class Tangents:
    """Derivatives along directions, the first axis, of `y` and `q` of a forward solve.

    Attributes:
        y: `(directions, members, intervals + 1, states)`.
        q: `(directions, members, intervals, fluxes)`.
    """

    y: Array
    q: Array
    status: list[Status]
    reasons: dict[int, str]
    stats: PassStats = field(default_factory=PassStats)


@dataclass(eq=False)
class Steady:
    """Result of a search for steady states, of each member.

    Attributes:
        y: `(members, states)` the steady states; where a member failed, the last point that was reached.
        rates: `(members, states + fluxes)` rates of change of states and of integrated fluxes at `y`.
        direction: `(members, states)` where the Jacobian is singular, a change of the states that changes no rate.
        status, reasons: as of `Forward`.
        iterations: Jacobians that were factorised.
        continuation: whether pseudo-transient continuation was needed.
    """

    y: Array
    rates: Array
    direction: Array
    status: list[Status]
    reasons: dict[int, str]
    iterations: list[int]
    continuation: list[bool]
    setup_seconds: float = 0.0
    scale: Array | float = 0.0
    """The least size by which each state's rate of change is measured."""
    problem: Problem | None = None
    """What was asked; None once pickled."""


class Solver(Protocol):
    """What becomes a node of PyTorch's graph."""

    name: str

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        """Solves all members; keeps a tape where `differentiate` says derivatives may be asked."""
        ...

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        """Pulls gradients with respect to `y` and `q` back to `y0`, `p` and `f`.

        Members whose forward solve failed get zeros.
        """
        ...

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        """Pushes directions, the first axis, of `y0`, `p` and `f` forward to `y` and `q`.

        Members whose forward solve failed get zeros.
        """
        ...


class Engine(Solver, Protocol):
    """A solver stack. Engines hold no state between calls besides caches."""

    def steady(self, problem: Problem, low: Array, high: Array) -> Steady:
        """Finds states `(states,)` within `low` and `high` at which nothing changes, from `y0` on.

        The problem has one interval, in which its forcings are constant. `options.max_steps` bounds the iterations.
        """
        ...

    def steady_adjoint(self, problem: Problem, y: Array, good: Indices, y_bar: Array, q_bar: Array) -> Gradients:
        """Pulls gradients to steady states `y` and to the rates of fluxes there back to `p` and `f`.

        `good` are the members to do it for; others, and `y0`, get zeros.
        """
        ...

    def steady_tangent(self, problem: Problem, y: Array, good: Indices, p_dot: Array, f_dot: Array) -> Tangents:
        """Pushes directions, the first axis, of `p` and `f` forward to steady states `y` and to the rates of fluxes there.

        The results have an axis for one time, as if of a solve to its first break. Others than `good` get zeros.
        """
        ...
