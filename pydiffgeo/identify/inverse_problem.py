"""What is sought and what is observed of it, as one differentiable function: that of a site, or any other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..calibration.objective import Prior
from ..calibration.result import CalibrationResult
from ..calibration.search import Evaluation
from ..calibration.site import Site
from ..errors import InputError, ShapeError, SolverError, UnknownSiteError
from ..jacobian import jacobian
from ..observe import Observation
from ..solve import Method
from ..tolerances import times_atol
from ..transforms import Transforms
from .error_model import ErrorModel, Errors, Record

# Tolerances at which derivatives keep directions that the data do not see; see `at_tolerance`.
TIGHT = 1e-9
# Standard deviation of a logistic distribution: of a variable whose value is equally likely everywhere between its bounds.
OPEN = math.pi / math.sqrt(3)
# Members that are solved at once.
BATCH = 256


@dataclass(frozen=True, eq=False)
class InverseProblem:
    """A function of what is sought, what was observed of it, and what was known before.

    Attributes:
        name: of the place, for messages.
        names: of the values that are sought, n of them.
        function: takes variables of the search `(members, n)`, returns what is observed of each `(members, m)`; NaN where
            a member cannot be solved.
        record: what was observed.
        x: the best point, `(n,)`.
        errors: how errors are distributed.
        transforms: from variables of the search to values within bounds; None where variables are the values themselves.
        priors: name -> `Prior`. A value within bounds without a prior counts as equally likely everywhere between them, on
            the scale of the search.
        units: name -> unit.
        site: of which this is the problem, if of one.
    """

    name: str
    names: tuple[str, ...]
    function: Callable[[Tensor], Tensor]
    record: Record
    x: Array
    errors: ErrorModel = field(default_factory=ErrorModel)
    transforms: Transforms | None = None
    priors: Mapping[str, Prior] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    site: Site | None = None

    def values(self, x: Tensor) -> Tensor:
        """Values `(members, n)` of variables `(members, n)`."""
        if self.transforms is None:
            return x
        return torch.cat([*self.transforms.unpack(x).values()], dim=1)

    @property
    def best(self) -> Array:
        """The best values, `(n,)`."""
        return self.values(torch.from_numpy(self.x[None])).numpy()[0]

    def slopes(self, x: Array) -> Array:
        """Derivatives of the values to the variables, `(n,)`, which belong to each other one by one."""
        at = torch.from_numpy(x[None].copy()).requires_grad_()
        (slope,) = torch.autograd.grad(self.values(at).sum(), at)
        return np.asarray(slope[0].numpy())

    def at_tolerance(self, rtol: float) -> InverseProblem:
        """The same with solves at this relative tolerance, where it is of a site: the absolute one goes with it."""
        if self.site is None:
            return self
        settings = self.site.settings
        factor = rtol / float(settings.get("rtol", 1e-6))
        tight: Method = {**settings, "rtol": rtol, "atol": times_atol(settings.get("atol", 1e-6), factor)}
        site = replace(self.site, settings=tight)
        return replace(self, site=site, function=observed_of(site, self.site.observations))

    def prior(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """Minus the logarithm of the prior density of the variables, but for a constant, `(members,)`.

        Args:
            shift: `(members, n)`, by which priors are moved, in units of their spread, or of the variable where there
                is none but the bounds.
        """
        total, moved = x.new_zeros(len(x)), torch.zeros_like(x) if shift is None else shift
        values = self.values(x)
        for i, name in enumerate(self.names):
            if name in self.priors:
                total = total + 0.5 * (self.priors[name].deviation(values[:, i]) - moved[:, i]) ** 2
            elif self.transforms is not None:
                # Equally likely between the bounds: a logistic distribution of the variable.
                u = x[:, i] - moved[:, i]
                total = total + u + 2 * torch.nn.functional.softplus(-u)
        return total

    def prior_rows(self, x: Tensor, *, search: bool = False) -> Tensor:
        """`(members, n, n)`, whose squares are the information of the priors.

        A value that is equally likely everywhere between its bounds is given the spread that it has, where the curvature at the
        middle would make it a fifth less: intervals of what data do not know would hold eight in ten, not nine.

        Args:
            search: give the curvature, for steps of a search.
        """
        rows, slopes = list[Tensor](), torch.func.vmap(torch.func.jacrev(self._deviations))(x)
        for i, name in enumerate(self.names):
            row = torch.zeros_like(x)
            if name in self.priors:
                row = slopes[:, i]
            elif self.transforms is not None:
                share = torch.sigmoid(x[:, i])
                bend = 2 * share * (1 - share)
                bend = bend if search else bend.clamp(max=1 / OPEN**2)
                row = row.index_add(1, torch.tensor([i]), torch.sqrt(bend).unsqueeze(1))
            rows.append(row)
        return torch.stack(rows, dim=1)

    def _deviations(self, x: Tensor) -> Tensor:
        values = self.values(x.unsqueeze(0))[0]
        return torch.stack(
            [
                self.priors[n].deviation(v) if n in self.priors else v * 0
                for n, v in zip(self.names, values, strict=True)
            ]
        )

    def linearised(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is observed `(members, m)`, its derivatives `(members, m, n)`, and which members were solved `(members,)`.

        Those of others are zero.
        """
        parts = [
            jacobian(self.function, part, mode="auto" if len(part) == 1 else "forward")
            for part in x.detach().split(BATCH)
        ]
        value, slope = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        ok = torch.isfinite(value).all(1) & torch.isfinite(slope).all(2).all(1)
        return torch.where(ok[:, None], value, 0.0), torch.where(ok[:, None, None], slope, 0.0), ok

    def simulate(self, x: Tensor) -> Tensor:
        """What is observed, `(members, m)`, without gradients."""
        with torch.no_grad():
            return torch.cat([self.function(part) for part in x.detach().split(BATCH)])

    def evaluate(
        self, x: Array, errors: Errors, observed: Tensor | None = None, shift: Tensor | None = None
    ) -> Evaluation:
        """Minus the log posterior at the rows of `x` with its gradient and half its expected second derivatives."""
        at = torch.from_numpy(np.array(x))
        value, slope, ok = self.linearised(at)
        leaf = value.clone().requires_grad_()
        potential = errors.potential(leaf, observed)
        (along,) = torch.autograd.grad(potential.sum(), leaf)
        rows = torch.cat([errors.rows(value, slope), self.prior_rows(at, search=True)], dim=1)
        free = at.clone().requires_grad_()
        before = self.prior(free, shift)
        (pull,) = (
            torch.autograd.grad(before.sum(), free, materialize_grads=True)
            if before.requires_grad
            else (torch.zeros_like(at),)
        )
        loss = torch.where(ok, (potential + before).detach(), torch.inf)
        gradient = torch.einsum("mrn,mr->mn", slope, along) + pull
        normal = 0.5 * torch.einsum("mri,mrj->mij", rows, rows)
        # A gain is held against what a change of units leaves alone: half the number of observations.
        size = np.full(len(x), 0.5 * len(self.record))
        return Evaluation(
            loss.numpy(), gradient.numpy(), None, normal.numpy(), "" if bool(ok.all()) else "a solve failed", size
        )


def of_site(site: Site, x: Numbers, *, errors: ErrorModel | None = None) -> InverseProblem:
    """The problem of a site at variables `x`, `(n,)` or `(1, n)`.

    Args:
        errors: where not given, those of the loss: as stated for "gaussian", growing for "heteroscedastic" with one
            `relative_error`, else of an unknown size.

    Raises:
        InputError: observations of several members, or `x` does not fit.
    """
    at = np.asarray(x, np.float64).reshape(-1)
    if at.shape != (len(site.transforms.items),):
        raise ShapeError(f"site {site.name}: x must hold {len(site.transforms.items)} variables, got {np.shape(x)}")
    if any(one.values.ndim != 1 or one.error.ndim > 1 for one in site.observations):
        raise InputError(f"site {site.name}: observations must be those of one member")
    units = {p.name: p.unit for p in site.model.parameters} | {s.name: s.unit for s in site.model.all_states}
    return InverseProblem(
        site.name,
        site.transforms.names,
        observed_of(site, site.observations),
        record_of(site.observations),
        at,
        errors or _errors_of(site),
        site.transforms,
        site.priors,
        {name: units.get(name, "1") for name in site.transforms.names},
        site,
    )


def _errors_of(site: Site) -> ErrorModel:
    if site.loss == "gaussian":
        return ErrorModel()
    if site.loss == "heteroscedastic":
        growths = {one.relative_error for one in site.observations}
        if len(growths) > 1:
            raise InputError(f"site {site.name}: relative errors {sorted(growths)} differ; give errors=ErrorModel(...)")
        return ErrorModel(growth=growths.pop())
    return ErrorModel(size=None)


def of_calibration(found: CalibrationResult, site: str, *, errors: ErrorModel | None = None) -> InverseProblem:
    """The problem of a calibrated site, at the best point found.

    Raises:
        UnknownSiteError: it is not there, or failed. InputError: see `of_site`.
    """
    if site not in found.searches:
        raise UnknownSiteError(
            f"there is nothing of a site {site!r}: {found.failures.get(site, f'there are {[*found.searches]}')}"
        )
    return of_site(found.sites[site], found.x(site), errors=errors)


def of_function(
    function: Callable[[Tensor], Tensor],
    names: Sequence[str],
    x: Numbers,
    observed: Numbers,
    error: Numbers,
    *,
    errors: ErrorModel | None = None,
    priors: Mapping[str, Prior] | None = None,
    transforms: Transforms | None = None,
    name: str = "function",
) -> InverseProblem:
    """The problem of any differentiable function of variables `(members, n)` that returns `(members, m)`.

    Args:
        observed: `(m,)`, one series at equal distances; NaN where missing. error: standard deviations, `()` or `(m,)`.

    Raises:
        ShapeError: names, variables or observations do not fit.
    """
    seen = torch.as_tensor(observed, dtype=torch.float64)
    at = np.asarray(x, np.float64).reshape(-1)
    if seen.ndim != 1 or len(names) != len(at):
        raise ShapeError(
            f"observed must be (m,), and x one number for each of {list(names)}; got {tuple(seen.shape)} and {at.shape}"
        )
    inside = torch.nonzero(~torch.isnan(seen)).reshape(-1)
    wide = torch.as_tensor(error, dtype=torch.float64).expand_as(seen)
    place = inside.double()
    record = Record(seen[inside], wide[inside], _distances(place, 1.0))
    return InverseProblem(
        name,
        tuple(names),
        lambda v: function(v)[:, inside],
        record,
        at,
        errors or ErrorModel(),
        transforms,
        priors or {},
    )


def record_of(observations: Sequence[Observation]) -> Record:
    """Several series one after the other, gaps left out."""
    observed, error, distance = list[Tensor](), list[Tensor](), list[Tensor]()
    for one in observations:
        inside = ~torch.isnan(one.values)
        observed.append(one.values[inside])
        error.append(one.error.expand_as(one.values)[inside])
        times = torch.from_numpy(np.asarray(one.times, np.float64).reshape(len(one.times), -1)[:, 0])
        step = float(times.diff().abs().median()) if len(times) > 1 else 1.0
        distance.append(_distances(times[inside], step if step > 0 else 1.0))
    return Record(torch.cat(observed), torch.cat(error), torch.cat(distance))


def _distances(times: Tensor, step: float) -> Tensor:
    between = (times.diff() / step).abs()
    # Two values of one moment would be one: their errors are told apart by a hundredth of a step.
    return torch.cat([times.new_full((min(len(times), 1),), torch.inf), between.clamp(min=0.01)])


def observed_of(site: Site, observations: Sequence[Observation]) -> Callable[[Tensor], Tensor]:
    """What a site would see of variables `(members, n)`: `(members, m)`, gaps left out; differentiable."""
    insides = [torch.nonzero(~torch.isnan(one.values)).reshape(-1) for one in observations]

    def function(x: Tensor) -> Tensor:
        solution = site.solve(site.transforms.unpack(x))
        seen = [one.simulated(solution)[:, at] for one, at in zip(observations, insides, strict=True)]
        return torch.cat(seen, dim=1)

    return function


def checked(problem: InverseProblem, x: Array) -> tuple[Tensor, Tensor]:
    """What is observed `(m,)` and its derivatives `(m, n)` at `x`.

    Raises:
        SolverError: it cannot be solved there.
    """
    value, slope, ok = problem.linearised(torch.from_numpy(x[None].copy()))
    if not bool(ok.all()):
        raise SolverError(f"{problem.name}: the model or its derivatives cannot be solved at the best point")
    return value[0], slope[0]
