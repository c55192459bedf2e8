"""What a verification problem is, and what comes out of solving it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from typing_extensions import Unpack

from ..arrays import Array, Numbers
from ..model import Model
from ..solve import Question, Solution, solve
from ..steady import SteadySolution, steady
from .convergence import Convergence, Study

Form = TypeVar("Form")


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
    what: str,
    unit: str,
    at: Iterable[str],
    computed: ArrayLike,
    expected: ArrayLike,
    tolerance: float,
    source: str,
    *,
    relative: bool = False,
) -> Check:
    """A `Check`; where `relative`, errors are shares of the largest expected number.

    Raises:
        ValueError: not as many labels `at` as numbers.
    """
    expected = np.atleast_1d(np.asarray(expected, np.float64))
    computed = np.atleast_1d(np.asarray(computed, np.float64))
    names = tuple(at)
    if not expected.shape == computed.shape == (len(names),):
        raise ValueError(f"{what}: {len(names)} labels, shapes {computed.shape} and {expected.shape}")
    scale = float(np.abs(expected).max()) if relative else None
    return Check(what, unit, names, computed, expected, tolerance, source, scale)


def labels(values: Iterable[float], unit: str) -> list[str]:
    """What entries of a comparison belong to: numbers with their unit."""
    return [f"{value:g} {unit}" for value in values]


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

    x: ArrayLike
    y: ArrayLike
    label: str
    style: Literal["line", "points", "dashed", "bars"] = "line"


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a figure; labels carry the units."""

    xlabel: str
    ylabel: str
    lines: Sequence[Line]
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
        judged: list[Check | Convergence | Balance] = [*self.checks, *self.convergence]
        judged += [self.balance] if self.balance else []
        return bool(judged) and all(each.passed for each in judged)

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

    def solve(self, model: Model, parameters: Mapping[str, float | Tensor], **question: Unpack[Question]) -> Solution:
        """`pydiffgeo.solve` with this engine and, where asked for, disturbed parameters.

        `atol` is a hundredth of `rtol` where it is not given.
        """
        whole: Question = {"atol": question["rtol"] * 1e-2, **question, "engine": self.engine}
        return solve(model, self._changed(model, parameters), **whole)

    def steady(
        self,
        model: Model,
        parameters: Mapping[str, float | Tensor],
        forcing: Mapping[str, Numbers],
        initial: Mapping[str, Numbers],
    ) -> SteadySolution:
        """The same of `pydiffgeo.steady`, with its own tolerances."""
        return steady(model, self._changed(model, parameters), forcing=forcing, initial=initial, engine=self.engine)

    def _changed(self, model: Model, parameters: Mapping[str, float | Tensor]) -> dict[str, float | Tensor]:
        if unknown := set(self.disturbed) - set(parameters):
            raise KeyError(f"{model.name}: no parameters {sorted(unknown)} to disturb")
        return {k: v * self.disturbed.get(k, 1.0) for k, v in parameters.items()}

    def pick(self, small: Form, full: Form) -> Form:
        """What belongs to the form of this bench."""
        return small if self.small else full

    def studies(self, *studies: Study) -> tuple[Convergence, ...]:
        """Makes studies of convergence; the small form has none."""
        return () if self.small else tuple(make() for make in studies)

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


def balance_of(solution: Solution | SteadySolution, bound: float = 1e-8) -> Balance:
    """Closure error as a share of all signed fluxes, or of the storage, which is to stay, where there are none."""
    if isinstance(solution, SteadySolution):
        moved = sum(float(v.detach().abs().sum()) for v in solution.fluxes.values())
        return Balance(abs(float(solution.balance)) / moved, bound)
    signed = [f for f in solution.model.fluxes if f.balance]
    if not signed:
        storage = solution.storage
        return Balance(float((storage - storage[0]).abs().max() / storage.abs().max()), bound)
    passed = sum(float(solution.fluxes[f.name].detach().abs().sum()) for f in signed)
    return Balance(float(solution.balance.detach()) / passed, bound)


def worst_balance(solutions: Sequence[Solution], bound: float = 1e-8) -> Balance:
    """That of the solution whose balance closes worst."""
    return Balance(max(balance_of(s).error for s in solutions), bound)


def stretched(depth: float, cells: int, ratio: float) -> Array:
    """Cell thicknesses that grow downwards, the last `ratio` times the first."""
    steps = ratio ** (np.arange(cells) / (cells - 1))
    return np.asarray(depth * steps / steps.sum())


@cache
def reference(key: str) -> Mapping[str, Array]:
    """Numbers computed independently of pydiffgeo by `references/make.py`, `(n,)` by name.

    Where a reference is one series or number it is called "value".
    """
    whole = json.loads((Path(__file__).parent / "references" / "numbers.json").read_text())[key]
    named = whole if isinstance(whole, dict) else {"value": whole}
    return {k: np.atleast_1d(np.asarray(v, np.float64)) for k, v in named.items() if not isinstance(v, dict)}


@cache
def modflow(name: str) -> Mapping[str, NDArray[Any]]:
    """Arrays of a problem that MODFLOW 6 has solved, from `references/modflow`; its README says whose they are."""
    with np.load(Path(__file__).parent / "references" / "modflow" / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
