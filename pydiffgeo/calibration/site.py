"""One place made ready for calibration: its model, what drives it, what was observed, and what is sought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import check_within, is_pair
from ..copies import Made
from ..engines.structure import fingerprint
from ..errors import BoundsError, InputError, SolverError, TimeError, UnknownNameError
from ..fingerprint import digest
from ..forcing import TimeSeries, check_times
from ..jacobian import jacobian
from ..model import Model
from ..observe import Observation
from ..solve import Solution, solve
from ..transforms import Bounded, Transforms, bounded
from .objective import SQUARES, Prior, check_loss, deviations, least, loss, prior_weight, residuals
from .search import Array, Evaluation

# Comparing candidates needs no more than this; a search uses the tolerances of the site.
SCREENING = 1e-3
Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Site(Made):
    """A model at one place, with its observations.

    Attributes:
        name: of the place.
        times: output times `(n + 1,)`, in the time unit of the model.
        forcing: name -> `(n,)`, or whatever `solve` takes, without a batch.
        observations: what the loss is taken over.
        bounds: what is calibrated: name of a parameter or of an initial value -> `(low, high)`, or None for
            the usual range of a parameter.
        fixed: parameters that are given. initial: initial values that are given.
        priors: name of a calibrated value -> `Prior`.
        selection: observations that are held back from the loss, for early stopping.
        loss: a loss of `losses.LOSSES`, or a misfit: "gaussian", "heteroscedastic", "mean_square".
        assemble: turns calibrated values, name -> `(members, 1)`, into parameters of the model, name ->
            `(members, 1)` or `(members, cells)`, where they are not themselves parameters: one value for each
            soil horizon, say. Such values need bounds.
        logarithmic: names of values, other than parameters of the model, to be searched on a logarithmic scale.
        warmup: time at the start of any part of the record that is solved but not compared.
        settings: keywords of `solve`, such as `engine` and `rtol`.

    Raises:
        InputError: (or a subclass) when made of things that do not fit; names them.
    """

    name: str
    model: Model
    times: Any
    forcing: Mapping[str, Any]
    observations: tuple[Observation, ...]
    bounds: Mapping[str, tuple[float, float] | None]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    selection: tuple[Observation, ...] = ()
    loss: str = "mean_square"
    assemble: Callable[[Values], Mapping[str, Any]] | None = None
    logarithmic: tuple[str, ...] = ()
    warmup: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    transforms: Transforms = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError(f"the name of a site must be text, got {self.name!r}")
        if not isinstance(self.model, Model):
            raise InputError(f"site {self.name}: model must be a pydiffgeo.Model, got {self.model!r}")
        check_loss(self.loss)
        for key in ("forcing", "bounds", "fixed", "initial", "priors", "settings"):
            if not isinstance(getattr(self, key), Mapping):
                raise InputError(f"site {self.name}: {key} must be a mapping from names, got {getattr(self, key)!r}")
        for key in ("observations", "selection"):
            given = getattr(self, key)
            if not isinstance(given, (tuple, list)) or not all(isinstance(o, Observation) for o in given):
                raise InputError(f"site {self.name}: {key} must be several `Observation`, got {given!r}")
            object.__setattr__(self, key, tuple(given))
        if not self.observations:
            raise InputError(f"site {self.name}: there is nothing to compare with")
        for name, prior in self.priors.items():
            if not isinstance(prior, Prior):
                raise InputError(f"site {self.name}: the prior of {name!r} must be a `Prior`, got {prior!r}")
        check_within(0.0, np.inf, "a time, zero or more", **{f"site {self.name}: warmup": self.warmup})
        try:
            object.__setattr__(self, "times", check_times(self.times))
        except TimeError as error:
            raise TimeError(f"site {self.name}: {error}") from error
        object.__setattr__(self, "transforms", self._transforms())
        for name in self.priors:
            if name not in self.transforms.names:
                raise UnknownNameError(f"site {self.name}: a prior is given for {name!r}, which is not calibrated")

    def _transforms(self) -> Transforms:
        parameters = {p.name: p for p in self.model.parameters}
        items = []
        for name, given in self.bounds.items():
            if name in self.fixed or name in self.initial:
                raise InputError(f"site {self.name}: {name!r} is both calibrated and given")
            try:
                if name in parameters:
                    items.append(bounded(parameters[name], given))
                elif given is None or not (self.assemble or name in self._initial_names):
                    known = [*parameters, *self._initial_names]
                    raise UnknownNameError(f"{name!r} is to be calibrated; it needs bounds, and to be one of {known}")
                else:
                    if not is_pair(given):
                        raise BoundsError(f"bounds of {name!r} must be two finite numbers, got {given!r}")
                    items.append(Bounded(name, float(given[0]), float(given[1]), name in self.logarithmic))
            except (BoundsError, UnknownNameError) as error:
                raise type(error)(f"site {self.name}: {error}") from error
        if not items:
            raise InputError(f"site {self.name}: there is nothing to calibrate")
        return Transforms(tuple(items))

    def _functions(self) -> dict[str, Any]:
        return {} if self.assemble is None else {"its function 'assemble'": self.assemble}

    @property
    def _initial_names(self) -> tuple[str, ...]:
        return (*(s.name for s in self.model.all_states), *self.model.initial_names)

    @property
    def fingerprint(self) -> str:
        """A digest of the site, by which a checkpoint knows it again: model, data, and what is calibrated how.

        The model counts by its structure (`engines.structure.fingerprint`), data by their values, `assemble` by its code
        and what it closes over.

        Raises:
            ModelError: a local function of the model cannot be traced.
            InputError: something given cannot be told from others of its kind.
        """
        return digest(
            fingerprint(self.model), self.loss, self.warmup, self.times, self.transforms.items, self.assemble,
            self.forcing, self.fixed, self.initial, self.priors, self.settings, self.observations, self.selection,
        )  # fmt: skip

    def values(self, x: Array) -> dict[str, Tensor]:
        """What the rows of `x` (members, n) stand for: name -> `(members, 1)`."""
        return self.transforms.unpack(torch.from_numpy(np.array(x)))

    def solve(self, values: Values, *, throw: bool = False) -> Solution:
        """Solves the site with calibrated values, name -> `(members, 1)`."""
        start = {k: v for k, v in values.items() if k in self._initial_names}
        rest = {k: v for k, v in values.items() if k not in start}
        found = self.assemble(rest) if self.assemble is not None else rest
        return solve(
            self.model, {**self.fixed, **found}, forcing=self.forcing, times=self.times,
            initial={**self.initial, **start}, throw=throw, **self.settings,
        )  # fmt: skip

    def between(self, first: int, last: int) -> Site:
        """The site over `times[first:last + 1]`, with the observations after its own warm-up; none held back."""
        times = self.times[first : last + 1]
        seen = [_within(o, times[0] + self.warmup, times[-1]) for o in self.observations]
        return replace(
            self, times=times, forcing={k: _cut(v, first, last) for k, v in self.forcing.items()},
            observations=tuple(o for o in seen if o is not None), selection=(),
        )  # fmt: skip

    def coarse(self) -> Site:
        """The site with tolerances that are enough to compare candidates."""
        loose = {k: max(float(self.settings.get(k, SCREENING)), SCREENING) for k in ("rtol", "atol")}
        return replace(self, settings={**self.settings, **loose})

    def evaluate(self, x: Array, *, gradient: bool = True, normal: bool = False) -> Evaluation:
        """Loss and derivatives at the rows of `x`, `(members, n)`. A member that cannot be solved has an infinite loss.

        With `normal`, loss and derivatives are those of the residuals, by forward mode.

        Raises:
            InputError: `normal` is asked for, but the loss is no sum of squares.
        """
        if normal:
            return self._evaluate_squares(x)
        variable = torch.from_numpy(np.array(x)).requires_grad_(gradient)
        members = np.full(len(x), np.inf)
        with torch.set_grad_enabled(gradient):
            values = self.transforms.unpack(variable)
            solution = self.solve(values)
            good = solution.ok.reshape(-1)
            held_back = self._selection(solution, good)
            if good.any():
                total = self._loss(solution, values, good)
                if variable.requires_grad:
                    total.sum().backward()
                members[good.numpy()] = total.detach().numpy()
        # An adjoint that fails shows only now.
        members[~solution.ok.reshape(-1).numpy()] = np.inf
        slope = variable.grad.numpy() if variable.grad is not None else np.zeros_like(x)
        return Evaluation(members, slope, held_back, None, next(solution.failures(), ""))

    def _evaluate_squares(self, x: Array) -> Evaluation:
        self._need_squares()
        (r, j), held_back, solution = self._linearised(x)
        good = solution.ok.reshape(-1).numpy()
        members = np.where(good, np.einsum("mr,mr->m", r, r) + least(self.observations, self.loss), np.inf)
        slope = 2 * np.einsum("mrn,mr->mn", j, r)
        return Evaluation(
            members, slope, held_back, np.einsum("mrn,mrk->mnk", j, j), next(solution.failures(), "")
        )  # fmt: skip

    def objective(self, x: Tensor) -> tuple[Tensor, Solution]:
        """What a search makes small, `(members,)`, at the rows of `x`, `(members, n)`, and the solutions; differentiable.

        Raises:
            SolverError: a member cannot be solved.
        """
        values = self.transforms.unpack(x)
        solution = self.solve(values, throw=True)
        return self._loss(solution, values, solution.ok.reshape(-1)), solution

    def standard_errors(self, x: Array) -> dict[str, float]:
        """Standard errors of the values at `x`, `(1, n)`; see `Calibration.standard_errors`."""
        self._need_squares()
        (r, j), _, solution = self._linearised(x)
        if why := next(solution.failures(), ""):
            raise SolverError(f"site {self.name}: {why}")
        r, j = r[0], j[0]
        data, n = int((r != 0).sum()), x.shape[1]
        variance = 0.5 if self.loss == "gaussian" else float(r @ r) / max(data - n, 1)
        normal = j.T @ j
        scale = np.sqrt(np.diag(normal))
        if not (scale > 0).all() or np.linalg.cond(normal / np.outer(scale, scale)) > 1e14:
            raise InputError(
                f"site {self.name}: the observations say nothing about some of {list(self.transforms.names)}"
            )
        spread = np.sqrt(variance * np.diag(np.linalg.inv(normal)))
        at = torch.from_numpy(np.array(x)).requires_grad_()
        (slopes,) = torch.autograd.grad(torch.cat([*self.transforms.unpack(at).values()]).sum(), at)
        return dict(zip(self.transforms.names, (spread * slopes[0].numpy()).tolist(), strict=True))

    def _need_squares(self) -> None:
        if self.loss not in SQUARES:
            raise InputError(f"this needs a loss that is a sum of squares: one of {list(SQUARES)}, not {self.loss!r}")

    def _loss(self, solution: Solution, values: Values, good: Tensor) -> Tensor:
        kept = solution.select(good)
        total = loss(kept, self.observations, self.loss)
        if self.priors:
            z = deviations({k: v[good] for k, v in values.items()}, self.priors)
            total = total + prior_weight(self.observations, self.loss) * 0.5 * (z**2).sum(-1)
        return total

    def _selection(self, solution: Solution, good: Tensor) -> Array | None:
        if not self.selection:
            return None
        found = np.full(len(good), np.inf)
        if good.any():
            found[good.numpy()] = loss(solution.select(good), self.selection, self.loss).detach().numpy()
        return found

    def _linearised(self, x: Array) -> tuple[tuple[Array, Array], Array | None, Solution]:
        """Residuals `(members, m)` and their derivatives to `x` `(members, m, n)`, the loss over what is held back,
        and the solution, of which only the status is of use. Residuals of members that failed are zero.
        """
        seen: list[Solution] = []

        def of(variable: Tensor) -> Tensor:
            values = self.transforms.unpack(variable)
            seen.append(self.solve(values))
            parts = [residuals(seen[-1], self.observations, self.loss)]
            if self.priors:
                weight = (0.5 * prior_weight(self.observations, self.loss)) ** 0.5
                parts.append(weight * deviations(values, self.priors))
            parts.append(residuals(seen[-1], self.selection, self.loss) if self.selection else variable[:, :0])
            return torch.cat(parts, dim=1)

        value, derivative = jacobian(of, torch.from_numpy(np.array(x)))
        good = seen[-1].ok.reshape(-1, 1)
        value, derivative = torch.where(good, value, 0.0), torch.where(good.unsqueeze(-1), derivative, 0.0)
        late = sum(o.values.shape[-1] for o in self.selection)
        count = value.shape[1] - late
        held_back: Array | None = None
        if self.selection:
            squares = (value[:, count:] ** 2).sum(1) + least(self.selection, self.loss)
            held_back = torch.where(good[:, 0], squares, torch.inf).numpy()
        return (value[:, :count].numpy(), derivative[:, :count].numpy()), held_back, seen[-1]


def _within(o: Observation, start: float, end: float) -> Observation | None:
    """The observation from `start` to `end`; None where nothing is left of it."""
    times = np.asarray(o.times).reshape(len(o.times), -1)
    inside = (times[:, 0] >= start) & (times[:, -1] <= end)
    if not inside.any():
        return None
    error = o.error[..., torch.from_numpy(inside)] if o.error.ndim and o.error.shape[-1] > 1 else o.error
    return replace(o, times=o.times[inside], values=o.values[..., torch.from_numpy(inside)], error=error)


def _cut(value: Any, first: int, last: int) -> Any:
    """One value per interval, from `times[first]` to `times[last]`; time series keep their own axis."""
    if isinstance(value, TimeSeries) or np.ndim(value) == 0:
        return value
    return value[first:last]
