"""What the data of one place tell, put together: what is known, how well, and what is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..checks import check_within
from ..errors import UnknownNameError
from .inverse_problem import OPEN, InverseProblem
from .mode import Mode, at_mode
from .posterior import Posterior, laplace
from .randomised import randomised_maximum_likelihood
from .sampling import sample
from .spectrum import WEAK, Spectrum, scales, spectrum

METHODS = ("laplace", "rml", "sampling")
KNOWN, ROUGH, UNKNOWN = "known", "roughly known", "not known from these data"
# Data that leave more than this part of what was open before tell nothing of a value.
LITTLE = 0.5
# Name -> dimensions, values and attributes, as `xarray.Dataset.assign` takes them.
Variables = dict[str, tuple[tuple[str, ...], NDArray, dict[str, str]]]
# Residuals further apart than so many steps that are still alike by a third.
THIRD = math.log(3)
# Growth of errors, and a fifth of the correlation, that is not worth a sentence.
NEGLIGIBLE = 0.02
# Intervals of fewer members that count alike say little.
FEW = 20


@dataclass(frozen=True, eq=False)
class Findings:
    """What the data of one place tell.

    Attributes:
        spectrum: of the sensitivities, in parts of the values. posterior: of the values.
        level: the probability with which a value lies in its interval.
    """

    spectrum: Spectrum
    posterior: Posterior
    level: float = 0.9

    @property
    def standard_errors(self) -> Array:
        """Of each value in parts of it, see `Spectrum`, `(n,)`."""
        problem = self.posterior.problem
        return np.asarray(np.sqrt(np.diag(self.posterior.covariance)) / np.abs(scales(problem)))

    @property
    def verdicts(self) -> dict[str, str]:
        """Whether each value is known to better than a fifth, known roughly, or not known from these data."""
        problem = self.posterior.problem
        left = np.sqrt(np.diag(self.posterior.covariance)) / _before(problem)
        found = {}
        for name, error, rest in zip(problem.names, self.standard_errors, left, strict=True):
            # What a prior knew before the data came is not known from these data.
            found[name] = UNKNOWN if rest > LITTLE else KNOWN if error < WEAK else ROUGH
        return found

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the data tell, for people."""
        n, known = len(self.spectrum.sizes), self.spectrum.effective()
        first = f"Of {n} sought {'value' if n == 1 else 'values'} the data fix "
        first += (
            f"{'all' if known == n else known} combinations to better than {100 * WEAK:g} %" if n > 1 else f"{known}"
        )
        if (null := n - self.spectrum.rank) > 0:
            first += f", and {null} {'does' if null == 1 else 'do'} not change what is observed at all"
        return (f"{first}.", *(f"{s}." for s in self.spectrum.sentences()), *self._of_errors(), *self._of_draws())

    def _of_errors(self) -> tuple[str, ...]:
        errors, asked = self.posterior.problem.errors, self.posterior.mode.asked
        found = []
        if asked.size is None and errors.size is not None:
            found.append(
                f"Errors are {errors.size:.3g} times as large as stated, by what remains between model and data."
            )
        if asked.growth is None and errors.growth and errors.growth > NEGLIGIBLE:
            found.append(f"They grow by {errors.growth:.2g} of a stated error for each unit of what is simulated.")
        lasting = errors.autocorrelation or 0.0
        if asked.autocorrelation is None and lasting <= 5 * NEGLIGIBLE:
            found.append("Errors of neighbours have little to do with each other.")
        elif asked.autocorrelation is None:
            steps = THIRD / -math.log(lasting)
            found.append(
                f"An error is like the one before it (correlation {lasting:.2f}) and lasts about {steps:.2g} "
                f"{'step' if round(steps, 1) == 1 else 'steps'}, so that many observations tell less than their number."
            )
        return tuple(found)

    def _of_draws(self) -> tuple[str, ...]:
        numbers, found = self.posterior.numbers, []
        if numbers.get("largest_R_hat", 1.0) > 1.05:
            found.append(
                f"The chains have not met (R-hat {numbers['largest_R_hat']:.2f}): take more draws before trusting them."
            )
        if numbers.get("diverged", 0.0):
            found.append(f"{numbers['diverged']:.0f} trajectories diverged: intervals may be too narrow.")
        if numbers.get("failed", 0.0):
            found.append(f"{numbers['failed']:.0f} members of the ensemble could not be fitted.")
        if numbers.get("effective_members", FEW) < FEW:
            found.append(
                f"The ensemble counts as {numbers['effective_members']:.0f} members of equal weight: take more of them, or sample, "
                "before trusting its intervals."
            )
        return tuple(found)

    def table(self) -> str:
        """All of it as text."""
        verdicts = "\n".join(f"{name}: {verdict}" for name, verdict in self.verdicts.items())
        return "\n".join([*self.sentences, "", self.posterior.table(self.level), "", verdicts])

    def variables(self) -> Variables:
        """For a NetCDF file with a page "What the data tell" in its report: `data.assign(found.variables())`."""
        problem, intervals = self.posterior.problem, self.posterior.intervals(self.level)
        text = f"of the {100 * self.level:g} % interval, in the unit of each value"
        ends = np.array([[i.low, i.high] for i in intervals.values()])
        spread = np.where(np.isfinite(self.spectrum.standard_errors), self.spectrum.standard_errors, np.nan)
        about: Mapping[str, tuple[tuple[str, ...], Array, str]] = {
            "told_value": (("sought",), problem.best, "most probable value, in the unit of each value"),
            "told_low": (("sought",), ends[:, 0], f"lower end {text}"),
            "told_high": (("sought",), ends[:, 1], f"upper end {text}"),
            "told_error": (
                ("direction",),
                spread,
                "standard error of each combination, in parts; missing where it is not seen",
            ),
            "told_combination": (
                ("direction", "sought"),
                self.spectrum.directions,
                "combinations, in parts of the values",
            ),
        }
        found: Variables = {
            k: (d, np.asarray(v, float), {"long_name": t, "units": "1"}) for k, (d, v, t) in about.items()
        }
        for name in ("told_value", "told_low", "told_high"):
            found[name][2]["comment"] = "in the unit of each value, see told_unit"
        texts = {
            "told_verdict": [self.verdicts[n] for n in problem.names],
            "sought": [*problem.names],
            "told_unit": [problem.units.get(n, "1") for n in problem.names],
        }
        long = {"told_verdict": "whether the value is known", "sought": "sought value", "told_unit": "its unit"}
        found |= {k: (("sought",), np.array(v), {"long_name": long[k]}) for k, v in texts.items()}
        found["told_text"] = ((), np.array("\n".join(self.sentences)), {"long_name": "what the data tell"})
        found["told_method"] = ((), np.array(in_words(self)), {"long_name": "by which intervals were found"})
        return found


def in_words(found: Findings) -> str:
    """By which the intervals were found."""
    posterior = found.posterior
    count = 0 if posterior.draws is None else len(posterior.draws)
    kind = "fits" if posterior.weights is None else "weighted fits"
    kinds = {
        "laplace": "from the model linearised at the most probable values (Laplace's approximation)",
        "rml": f"from {count} {kind} to data with other errors (randomised maximum likelihood)",
        "sampling": f"from {count} draws of the posterior (No-U-Turn sampler)",
    }
    return f"{100 * found.level:g} % intervals {kinds[posterior.method]}"


def _before(problem: InverseProblem) -> Array:
    """Standard deviations of the variables ahead of the data, `(n,)`; infinite where nothing was known."""
    slopes, spread = problem.slopes(problem.x), np.full(len(problem.x), np.inf if problem.transforms is None else OPEN)
    for i, name in enumerate(problem.names):
        if (prior := problem.priors.get(name)) is not None:
            spread[i] = prior.spread * (abs(problem.best[i]) if prior.log else 1.0) / abs(slopes[i])
    return spread


def tell(
    problem: InverseProblem | Mode, method: str = "laplace", *, level: float = 0.9, draws: int = 100, seed: int = 0
) -> Findings:
    """Spectrum and posterior of a problem at its mode.

    Args:
        method: "laplace" (some solves), "rml" (as many searches as `draws`) or "sampling" (`draws` from each of four chains,
            thousands of solves with gradients; see `sample`).
        level: of the intervals.

    Raises:
        UnknownNameError: another method. Else as these methods do.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise UnknownNameError(f"method must be one of {list(METHODS)}, got {method!r}")
    check_within(1e-6, 1 - 1e-6, "a probability", level=level)
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    if method == "laplace":
        posterior = laplace(mode)
    elif method == "rml":
        posterior = randomised_maximum_likelihood(mode, draws, seed=seed)
    else:
        posterior = sample(mode, draws=draws, seed=seed)
    return Findings(spectrum(mode.problem), posterior, level)
