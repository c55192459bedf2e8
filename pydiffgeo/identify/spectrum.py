"""Which combinations of sought values the data fix, how well, and which they do not see at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..arrays import Array
from ..errors import UnknownNameError
from .error_model import Errors
from .inverse_problem import TIGHT, InverseProblem, checked
from .mode import at_mode
from .words import direction_in_words

VARIABLES = ("natural", "search")
# A singular value below so many times the difference of two Jacobians, of which one is ten times as accurate, or below this
# part of the largest one, cannot be told from zero.
NOISE, ROUNDING = 10.0, 1e-12
# A combination whose standard error is larger than this, in parts of the values, is badly known.
WEAK = 0.2


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values of the sensitivities: what is observed, in units of its errors, against what is sought.

    Attributes:
        names: of the values. values: at which, `(n,)`.
        variables: "natural", where a change is a part of the value itself (of its range, for a value whose bounds
            are not both positive), or "search", the variables of the search, in which the range is infinite.
        parts: what a change of one is of each value, in its unit, `(n,)`.
        sizes: singular values, falling, `(n,)`: the inverse of the standard error of each direction without priors.
        directions: unit vectors, `(n, n)`, one a row.
        tolerance: singular values below it are zero as far as the derivatives can tell.
        informed: by priors as well: singular values of which `sizes` is a part, along the same directions, `(n,)`.
    """

    names: tuple[str, ...]
    values: Array
    variables: str
    parts: Array
    sizes: Array
    directions: Array
    tolerance: float
    informed: Array

    @property
    def rank(self) -> int:
        """How many directions change what is observed at all."""
        return int((self.sizes > self.tolerance).sum())

    @property
    def null(self) -> Array:
        """Directions that do not, `(n - rank, n)`."""
        return self.directions[self.rank :]

    @property
    def standard_errors(self) -> Array:
        """Of each direction, in parts; infinite for those that are not seen, `(n,)`."""
        seen = np.arange(len(self.sizes)) < self.rank
        return np.where(seen, 1 / np.where(seen, self.sizes, 1.0), np.inf)

    def effective(self, tolerance: float = WEAK) -> int:
        """How many combinations the data know to a standard error below `tolerance`, in parts."""
        return int((self.standard_errors < tolerance).sum())

    @property
    def share_of_data(self) -> Array:
        """Of what is known of each direction, the part that stems from the data and not from priors, `(n,)`."""
        return np.asarray(self.sizes**2 / np.maximum(self.informed**2, 1e-300))

    def sentences(self, weak: float = WEAK) -> tuple[str, ...]:
        """Each direction that is not seen, or known to less than `weak`, in words."""
        relative = self.variables == "natural"
        found = []
        for error, direction in zip(self.standard_errors, self.directions, strict=True):
            if error >= weak:
                found.append(direction_in_words(self.names, direction, error, relative=relative))
        return tuple(found)

    def table(self) -> str:
        """Directions with their standard errors as text."""
        head = f"{'standard error':>16}" + "".join(f"{name[:12]:>13}" for name in self.names)
        lines = [head]
        for error, direction in zip(self.standard_errors, self.directions, strict=True):
            size = "not seen" if np.isinf(error) else f"{error:.3g}"
            lines.append(f"{size:>16}" + "".join(f"{v:13.3f}" for v in direction))
        known = f"rank {self.rank} of {len(self.sizes)}; {self.effective()} known better than {WEAK:g}"
        return "\n".join([*lines, known, *self.sentences()])


def spectrum(problem: InverseProblem, *, variables: str = "natural", rtol: float = TIGHT) -> Spectrum:
    """The spectrum of the sensitivities at the best point of a problem.

    Models are solved at `rtol` and at ten times that, since derivatives at loose tolerances make directions up that do not
    exist; the difference of the two is the noise below which a singular value counts as zero.

    Args:
        variables: see `Spectrum`.
        rtol: relative tolerance of the solves.

    Raises:
        UnknownNameError: other variables. SolverError: the model cannot be solved at the best point.

    Source: Gutenkunst et al. 2007, PLoS Comput. Biol. 3, e189, for spectra that are evenly spread over many decades.
    """
    if variables not in VARIABLES:
        raise UnknownNameError(f"variables must be one of {list(VARIABLES)}, got {variables!r}")
    if problem.errors.unknown:
        problem = at_mode(problem, search=False).problem
    errors = Errors.of(problem.errors, problem.record)
    pairs = [checked(problem.at_tolerance(r), problem.x) for r in ((rtol, 10 * rtol) if problem.site else (rtol,))]
    scale = scales(problem) if variables == "natural" else np.ones(len(problem.x))
    rows = [errors.rows(v[None], j[None])[0].numpy() * scale for v, j in pairs]
    _, sizes, directions = np.linalg.svd(rows[0], full_matrices=True)
    sizes = np.concatenate([sizes, np.zeros(len(scale) - len(sizes))])
    noise = float(np.linalg.norm(rows[0] - rows[-1], 2)) if len(rows) > 1 else 0.0
    prior = problem.prior_rows(torch.from_numpy(problem.x[None].copy()))[0].numpy() * scale
    informed = np.sqrt(sizes**2 + ((prior @ directions.T) ** 2).sum(0))
    parts = problem.slopes(problem.x) * scale
    return Spectrum(
        problem.names,
        problem.best,
        variables,
        parts,
        sizes,
        _signed(directions),
        max(NOISE * noise, ROUNDING * float(sizes[0])),
        informed,
    )


def scales(problem: InverseProblem) -> Array:
    """Changes of the variables `(n,)` that are one part of each value: of itself, or of its range; see `Spectrum`."""
    best, slopes = problem.best, problem.slopes(problem.x)
    sizes = np.where(best != 0, np.abs(best), 1.0)
    if problem.transforms is not None:
        for i, item in enumerate(problem.transforms.items):
            if item.low <= 0.0:
                sizes[i] = item.high - item.low if item.low < 0 else max(abs(best[i]), 1e-9 * item.high)
    return np.asarray(sizes / slopes)


def _signed(directions: Array) -> Array:
    """The largest entry of each is positive."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    return np.asarray(directions * np.where(largest < 0, -1.0, 1.0))


def known_values(problem: InverseProblem, covariance: Array, names: Sequence[str] | None = None) -> dict[str, float]:
    """Standard errors of values in parts, with that covariance of the variables."""
    spread = np.sqrt(np.diag(covariance)) / scales(problem)
    return {n: float(s) for n, s in zip(problem.names, spread, strict=True) if names is None or n in names}
