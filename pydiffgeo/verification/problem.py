"""What a verification problem is, and what comes out of solving it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model import Model
from ..solve import Solution, solve

Array = NDArray[np.float64]


class DataNotFoundError(Exception):
    """A problem needs data that are not there; it is reported as skipped."""


@dataclass(frozen=True)
class Quantity:
    """A given number of a problem, with its unit."""

    name: str
    value: str
    unit: str


@dataclass(frozen=True, eq=False)
class Check:
    """Computed against expected numbers.

    Attributes:
        what: the quantity, `unit` its unit, `at` what each entry belongs to (a depth, a time).
        tolerance: largest error allowed, as a share of `scale`; without a scale, in `unit`.
        source: where the expected numbers come from.
    """

    what: str
    unit: str
    at: tuple[str, ...]
    computed: Array
    expected: Array
    tolerance: float
    source: str
    scale: float | None = None

    @property
    def error(self) -> float:
        """Largest error, in the terms of the tolerance; NaN where any number is NaN."""
        return float(np.max(np.abs(self.computed - self.expected))) / (self.scale or 1.0)

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance


def check(
    what: str, unit: str, at: Iterable[Any], computed: ArrayLike, expected: ArrayLike, tolerance: float, source: str,
    *, relative: bool = False,
) -> Check:  # fmt: skip
    """A `Check`; where `relative`, errors are shares of the largest expected number."""
    expected = np.atleast_1d(np.asarray(expected, np.float64))
    computed = np.atleast_1d(np.asarray(computed, np.float64))
    labels = tuple(f"{a:g}" if isinstance(a, (int, float)) else str(a) for a in at)
    if not expected.shape == computed.shape == (len(labels),):
        raise ValueError(f"{what}: {len(labels)} labels, shapes {computed.shape} and {expected.shape}")
    scale = float(np.abs(expected).max()) if relative else None
    return Check(what, unit, labels, computed, expected, tolerance, source, scale)


@dataclass(frozen=True)
class Convergence:
    """Error against cell size or tolerance, and the order it falls with.

    Attributes:
        kind: "space" (sizes are cell sizes) or "time" (sizes are relative tolerances).
        low, high: the observed order must lie between them.
        reason: why that order is expected.
        floor: errors below it, that of the reference or of round-off, say nothing about the order.
        within: where no error exceeds this many times its size, something else than the size keeps errors small, and
            their order may be any.
    """

    kind: Literal["space", "time"]
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    unit: str
    expected: float
    low: float
    high: float
    reason: str
    size_unit: str = "m"
    floor: float = 0.0
    within: float = 0.0

    @property
    def observed(self) -> float:
        """Slope of the least-squares line through log(error) against log(size); NaN from fewer than two errors."""
        sizes, errors = np.array(self.sizes), np.array(self.errors)
        told = errors > self.floor
        return float(np.polyfit(np.log(sizes[told]), np.log(errors[told]), 1)[0]) if told.sum() > 1 else float("nan")

    @property
    def passed(self) -> bool:
        small = all(e <= self.within * s for e, s in zip(self.errors, self.sizes, strict=True))
        return small or self.low <= self.observed <= self.high


@dataclass(frozen=True)
class Balance:
    """Closure error as a share of what passed through, and the bound it must keep."""

    error: float
    bound: float = 1e-8

    @property
    def passed(self) -> bool:
        return self.error <= self.bound


@dataclass(frozen=True, eq=False)
class Line:
    """One curve of a figure."""

    x: Any
    y: Any
    label: str
    style: Literal["line", "points", "dashed", "bars"] = "line"


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a figure; labels carry the units."""

    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    title: str = ""
    logx: bool = False
    logy: bool = False
    downwards: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a problem gave with one engine."""

    checks: tuple[Check, ...]
    balance: Balance | None
    convergence: tuple[Convergence, ...] = ()
    panels: tuple[Panel, ...] = ()

    @property
    def passed(self) -> bool:
        parts: list[Check | Convergence | Balance] = [*self.checks, *self.convergence]
        parts += [self.balance] if self.balance else []
        return bool(parts) and all(p.passed for p in parts)

    @property
    def worst(self) -> Check:
        """The check that comes closest to its tolerance, or exceeds it most."""
        ratios = [c.error / c.tolerance for c in self.checks]
        return self.checks[int(np.argmax([np.inf if np.isnan(r) else r for r in ratios]))]


@dataclass(frozen=True, eq=False)
class Bench:
    """Where problems are solved: an engine, a form, and data.

    Attributes:
        small: the small form, for tests: fewer cells, no or short convergence studies.
        data: folder of measured data, for the problems that can use them.
        disturbed: parameter -> factor; used to see that a problem notices wrong physics.
    """

    engine: str
    small: bool = False
    data: Path | None = None
    disturbed: Mapping[str, float] = field(default_factory=dict)

    def solve(self, model: Model, parameters: Mapping[str, Any], **settings: Any) -> Solution:
        """`pydiffgeo.solve` with this engine and, where asked for, disturbed parameters."""
        if unknown := set(self.disturbed) - set(parameters):
            raise KeyError(f"{model.name}: no parameters {sorted(unknown)} to disturb")
        changed = {k: v * self.disturbed.get(k, 1.0) for k, v in parameters.items()}
        return solve(model, changed, engine=self.engine, **settings)

    def pick(self, small: Any, full: Any) -> Any:
        return small if self.small else full

    def file(self, name: str) -> Path:
        """A data file.

        Raises:
            DataNotFoundError: there is no such file.
        """
        path = None if self.data is None else self.data / name
        if path is None or not path.is_file():
            raise DataNotFoundError(f"data not found ({name}; give its folder with --data)")
        return path


@dataclass(frozen=True)
class Problem:
    """A published problem, an exact solution, or an independent computation to be reproduced.

    Attributes:
        name: short name for the command line; `title` for people.
        source: the paper, with its numbers; how expected numbers were made.
        parameters: what is given, with units.
        compared: what is compared with what.
        reason: why the tolerances are what they are.
        sensitive: a parameter whose change by one percent must make the problem fail.
        run: solves it on a bench.
    """

    name: str
    title: str
    source: str
    parameters: tuple[Quantity, ...]
    compared: str
    reason: str
    sensitive: str
    run: Callable[[Bench], Outcome]


def quantities(**given: tuple[Any, str]) -> tuple[Quantity, ...]:
    """Quantities from `name=(value, unit)`; underscores in a name stay."""
    return tuple(Quantity(k, v if isinstance(v, str) else f"{v:.10g}", unit) for k, (v, unit) in given.items())


def balance_of(solution: Solution, bound: float = 1e-8) -> Balance:
    """Closure error as a share of all signed fluxes, or of the storage, which is to stay, where there are none."""
    signed = [f for f in solution.model.fluxes if f.balance]
    if not signed:
        storage = solution.storage
        return Balance(float((storage - storage[0]).abs().max() / storage.abs().max()), bound)
    return Balance(float(solution.balance) / sum(float(solution.fluxes[f.name].abs().sum()) for f in signed), bound)


def worst_balance(solutions: Sequence[Solution], bound: float = 1e-8) -> Balance:
    return Balance(max(balance_of(s).error for s in solutions), bound)


def study(
    kind: Literal["space", "time"], sizes: Sequence[float], error: Callable[[float], float], unit: str,
    expected: float, low: float, high: float, reason: str, size_unit: str = "m", floor: float = 0.0, within: float = 0.0,
) -> Convergence:  # fmt: skip
    """Runs `error` for each size."""
    errors = tuple(max(float(error(s)), 1e-300) for s in sizes)
    return Convergence(kind, tuple(sizes), errors, unit, expected, low, high, reason, size_unit, floor, within)


FACE_ORDER = "central differences across faces of a uniform grid: second order"
PROFILE_ORDER = (
    "second order where cells resolve the front; a jump at the surface starts within one cell, in first order, "
    "and steep fronts are resolved late"
)
SATURATION_ORDER = "the edge of the saturated zone, where conductivity has an infinite slope, moves by whole cells: first order or better"
TOLERANCE_ORDER = "the error of each step is held at the tolerance, so the error in time falls about as fast as it"


def stretched(depth: float, cells: int, ratio: float) -> Array:
    """Cell thicknesses that grow downwards, the last `ratio` times the first."""
    steps = ratio ** (np.arange(cells) / (cells - 1))
    return np.asarray(depth * steps / steps.sum())


@cache
def references() -> Any:
    """Numbers computed independently of pydiffgeo by `references/make.py`."""
    return json.loads((Path(__file__).parent / "references" / "numbers.json").read_text())
