"""The fewest terms that explain the increments, how stable they are, and what that is worth."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..arrays import Array
from ..errors import InputError, MissingPackageError
from .increments import Increments
from .terms import Term, columns, ratio

# Precisions of weights, in units of standardised columns, beyond which a term is dropped.
THRESHOLDS = tuple(10.0**power for power in range(-1, 8))


@dataclass(frozen=True)
class Point:
    """One point of the sweep, or a set beside it, whose threshold is NaN: `mse` is the share of the variance of the increments that its terms leave."""

    threshold: float
    terms: tuple[str, ...]
    mse: float


@dataclass(frozen=True)
class Discovery:
    """What the increments are made of.

    Attributes:
        terms: name -> coefficient. errors: name -> its standard deviation over resamples. units: name -> unit.
        r2: share of the variance explained.
        stability: name -> share of resamples that chose it; `same` is the share that chose exactly these terms.
        sweep: threshold by threshold, for the picture of the elbow.
        size, floor, tendency: of the increments, see `Increments`.
        treatment: what was done about noise.
        verdict: "no error found", "found" or "not trustworthy". why: in words.
    """

    terms: dict[str, float]
    errors: dict[str, float]
    units: dict[str, str]
    r2: float
    stability: dict[str, float]
    same: float
    sweep: tuple[Point, ...] = field(repr=False)
    size: float
    floor: float
    tendency: float
    treatment: str
    verdict: str
    why: str

    def __str__(self) -> str:
        shown = " ".join(f"{c:+.4g} {n}" for n, c in self.terms.items()) or "nothing"
        lines = [f"{self.verdict}: {self.why}", f"  {shown}   (R2 {self.r2:.3f})"]
        lines += [
            f"  {n}: {c:.4g} +- {self.errors[n]:.2g} {self.units[n]}, chosen in {self.stability[n]:.0%} of resamples"
            for n, c in self.terms.items()
        ]
        lines.append(
            f"  increments {self.size:.3g} of a tendency of {self.tendency:.3g}, floor {self.floor:.3g}; "
            f"treatment of noise: {self.treatment}"
        )
        return "\n".join(lines)


def discover(
    library: Sequence[Term],
    found: Increments,
    *,
    unit: str = "1",
    thresholds: Sequence[float] = THRESHOLDS,
    tolerance: float = 0.01,
    resamples: int = 20,
    all_of: int = 0,
    seed: int = 0,
) -> Discovery:
    """Sparse Bayesian regression of increments on a library, over a sweep of thresholds (Mojgani et al. 2022, 2024).

    Columns and target are standardised; automatic relevance determination (Tipping 2001; scikit-learn's) drops terms
    whose precision passes a threshold. Of the sets that the sweep finds, the fewest terms are taken that leave no more
    than `tolerance` of the variance over the best set. Coefficients are those of least squares on these.

    Args:
        library: terms at the middle of each interval, each `(samples, *places)`, through the filter of the increments.
        unit: of the increments; that of a coefficient follows.
        tolerance: share of the variance that a simpler set may leave more than the best.
        resamples: of whole samples, with replacement, for stability and errors. seed: of these.
        all_of: all sets of up to so many terms stand beside those of the sweep: where terms are much alike, as in
            records of nature, relevance vectors keep several of them, and may not come by the one that is enough.

    Raises:
        InputError: (or a subclass) shapes or names do not fit, or a column does not vary.
        MissingPackageError: scikit-learn is not installed.
    """
    places = tuple(found.values.shape[1:])
    x = columns(library, len(found.values), places).numpy()
    y = found.values.to(torch.float64).reshape(x.shape[:2]).numpy()
    names = [term.name for term in library]
    if flat := [n for n, column in zip(names, np.moveaxis(x, -1, 0), strict=True) if not column.std() > 0]:
        raise InputError(f"terms {flat} do not vary over the samples: leave them out")
    if not y.std() > 0:
        raise InputError("the increments do not vary at all")
    if not found.doubt and (found.size <= 1.2 * found.floor or found.size <= 1e-3 * found.tendency):
        why = "the increments are no larger than noise and the errors of the steps make them"
        about = (found.size, found.floor, found.tendency, found.treatment, "no error found", why)
        return Discovery({}, {}, {}, 0.0, {}, 1.0, (), *about)
    sweep = _sweep(names, x, y, thresholds, all_of)
    chosen = _fewest(sweep, tolerance)
    coefficients, r2 = _least_squares(x, y, [names.index(n) for n in chosen.terms])
    random, counts, drawn_coefficients, same = np.random.default_rng(seed), dict.fromkeys(names, 0), [], 0
    for _ in range(resamples):
        drawn = random.integers(0, len(x), len(x))
        again = _fewest(_sweep(names, x[drawn], y[drawn], thresholds, all_of), tolerance)
        for name in again.terms:
            counts[name] += 1
        same += {*again.terms} == {*chosen.terms}
        drawn_coefficients.append(_least_squares(x[drawn], y[drawn], [names.index(n) for n in chosen.terms])[0])
    spread = np.std(drawn_coefficients, axis=0, ddof=1) if resamples > 1 else np.full(len(chosen.terms), np.nan)
    terms = dict(zip(chosen.terms, map(float, coefficients), strict=True))
    share = same / max(resamples, 1)
    verdict, why = _judged(found, r2, share, len(terms))
    return Discovery(
        terms,
        dict(zip(chosen.terms, map(float, spread), strict=True)),
        {term.name: ratio(unit, term.unit) for term in library if term.name in terms},
        r2,
        {name: counts[name] / max(resamples, 1) for name in terms},
        share,
        sweep,
        found.size,
        found.floor,
        found.tendency,
        found.treatment,
        verdict,
        why,
    )


def _judged(found: Increments, r2: float, same: float, count: int) -> tuple[str, str]:
    """The verdict, and why."""
    if found.doubt:
        return "not trustworthy", found.doubt
    noise = (found.floor / found.size) ** 2
    if r2 < 0.5 * (1 - noise):
        return "not trustworthy", f"the terms explain {r2:.0%} of what noise leaves {1 - noise:.0%} of"
    if found.bent > 0.12:
        return (
            "not trustworthy",
            f"the interval is too long: the model bends {found.bent:.0%} of the mismatch within it",
        )
    if same < 0.8:
        return "not trustworthy", f"only {same:.0%} of resamples choose these terms"
    return "found", f"{count} term{'s' if count > 1 else ''}, chosen in {same:.0%} of resamples"


def _sweep(names: list[str], x: Array, y: Array, thresholds: Sequence[float], all_of: int) -> tuple[Point, ...]:
    """Regressions `(samples, places, terms)` at every threshold, loosest last, and of all sets of up to so many terms."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import ARDRegression
    except ImportError as error:
        raise MissingPackageError("discovery needs scikit-learn: pip install 'pydiffgeo[discover]'") from error
    flat, target = x.reshape(-1, x.shape[-1]), y.reshape(-1)
    scale = flat.std(0)
    scaled, wanted = (flat - flat.mean(0)) / scale, (target - target.mean()) / target.std()
    points = []
    for threshold in sorted(thresholds):
        fit = ARDRegression(threshold_lambda=threshold, fit_intercept=False, max_iter=100, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                fit.fit(scaled, wanted)
            except ValueError:
                # Every term has been dropped.
                continue
        kept = [i for i, weight in enumerate(fit.coef_) if weight != 0 and fit.lambda_[i] < threshold]
        if kept:
            left = 1 - _least_squares(x, y, kept)[1]
            points.append(Point(float(threshold), tuple(names[i] for i in kept), left))
    points += _small_sets(names, flat, target, all_of)
    if not points:
        # Nothing stands at any threshold: the best single term is what there is.
        alone = [1 - _least_squares(x, y, [i])[1] for i in range(len(names))]
        best = int(np.argmin(alone))
        points.append(Point(math.inf, (names[best],), alone[best]))
    return tuple(points)


def _small_sets(names: list[str], flat: Array, target: Array, most: int) -> list[Point]:
    """All sets of up to `most` terms, without a threshold."""
    scaled = flat / np.sqrt((flat**2).mean(0))
    products, onto, whole = scaled.T @ scaled, scaled.T @ target, float(target @ target)
    points = []
    for count in range(1, most + 1):
        for kept in map(list, itertools.combinations(range(len(names)), count)):
            weights = np.linalg.lstsq(products[np.ix_(kept, kept)], onto[kept], rcond=None)[0]
            points.append(Point(math.nan, tuple(names[i] for i in kept), 1 - float(weights @ onto[kept]) / whole))
    return points


def _fewest(sweep: Sequence[Point], tolerance: float) -> Point:
    enough = min(point.mse for point in sweep) + tolerance
    return min((p for p in sweep if p.mse <= enough), key=lambda p: (len(p.terms), p.mse))


def _least_squares(x: Array, y: Array, kept: list[int]) -> tuple[Array, float]:
    """Coefficients of some terms, and the share of the variance that they explain, both about zero."""
    a, b = x.reshape(-1, x.shape[-1])[:, kept], y.reshape(-1)
    size = np.sqrt((a**2).mean(0))
    coefficients = np.linalg.lstsq(a / size, b, rcond=None)[0] / size
    return coefficients, float(1 - ((b - a @ coefficients) ** 2).sum() / (b**2).sum())
