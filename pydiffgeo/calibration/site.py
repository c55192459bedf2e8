"""One place made ready for calibration: its model, what drives it, what was observed, and what is sought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..checks import check_within, is_pair
from ..copies import Made
from ..engines.base import Options
from ..engines.ir.structure import fingerprint
from ..errors import BoundsError, InputError, SolverError, TimeError, UnknownNameError
from ..fingerprint import digest
from ..jacobian import jacobian
from ..model import Model, TimeSeries, check_times
from ..observe import Observation
from ..solve import Method, Solution
from ..tolerances import times_atol
from ..transforms import Bounded, Transforms, bounded
from .loss_terms import Loss, terms_of, told
from .objective import (
    SQUARES,
    Prior,
    check_loss,
    check_mean,
    check_priors,
    check_units,
    count,
    deviations,
    gains,
    least,
    likelihood,
    loss,
    residuals,
    squares,
    squares_with_priors,
    with_priors,
)
from .record import after_warmup, between, cut, unit_of
from .resting import solve_from_rest
from .search import Evaluation
from .uncertainty import covariance

# Comparing candidates needs no smaller a relative tolerance; a search uses the tolerances of the site.
SCREENING = 1e-3
Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Site(Made):
    """A model at one place, with its observations.

    Attributes:
        name: of the place.
        times: output times `(n + 1,)`, in the time unit of the model.
        forcing: name -> `(n,)`, or whatever `solve` takes, without a batch.
        observations: what the loss is taken over; what lies in the warm-up is left out when the site is made.
        bounds: what is calibrated: name of a parameter or of an initial value -> `(low, high)`, or None for
            the usual range of a parameter.
        fixed: parameters that are given. initial: initial values that are given.
        priors: name of a calibrated value -> `Prior`, whose mean lies within the bounds. With priors the best values are
            the mode of their posterior. "gaussian" and "heteroscedastic" take the errors of observations as stated;
            "mean_square", "nse", "mse", "log_nse", "mae" and, of one series, "rmse" estimate their size (see
            `calibration.objective`). Other losses take no priors.
        tuning: observations that are held back from the loss, for early stopping.
        loss: a loss of `losses.LOSSES`, or a misfit: "gaussian", "heteroscedastic", "mean_square". "mse", "rmse" and
            "mae" have the unit of the observations, and so take those of one unit only. Or several `Term`, whose weighted
            sum is taken, or a function, see `Term`.
        assemble: turns calibrated values, name -> `(members, 1)`, into parameters of the model, name ->
            `(members, 1)` or `(members, cells)`, where they are not themselves parameters: one value for each
            soil horizon, say. Such values need bounds.
        logarithmic: names of values, other than parameters of the model, to be searched on a logarithmic scale.
        warmup: time at the start of any part of the record that is solved but not compared: values before its end, and
            windows that begin before it, are no part of `observations` and `tuning`, whatever the site is used for.
        settings: keywords of `solve`, such as `engine` and `rtol`.
        rest: forcing, name -> a value that does not change, at whose steady state every solve begins, with the values at hand;
            `initial` is where that is searched from. See `steady`.

    Raises:
        InputError: (or a subclass) when made of things that do not fit; names them.
    """

    name: str
    model: Model
    times: Array
    forcing: Mapping[str, Numbers | TimeSeries]
    observations: tuple[Observation, ...]
    bounds: Mapping[str, tuple[float, float] | None]
    fixed: Mapping[str, Numbers] = field(default_factory=dict)
    initial: Mapping[str, Numbers] = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    tuning: tuple[Observation, ...] = ()
    loss: Loss = "mean_square"
    assemble: Callable[[Values], Mapping[str, Numbers]] | None = None
    logarithmic: tuple[str, ...] = ()
    warmup: float = 0.0
    settings: Method = field(default_factory=Method)
    rest: Mapping[str, Numbers] | None = None
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
        for key in ("observations", "tuning"):
            series = getattr(self, key)
            if not isinstance(series, (tuple, list)) or not all(isinstance(o, Observation) for o in series):
                raise InputError(f"site {self.name}: {key} must be several `Observation`, got {series!r}")
            object.__setattr__(self, key, tuple(series))
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
        try:
            for key in ("observations", "tuning"):
                what = "observations" if key == "observations" else "observations for tuning"
                object.__setattr__(self, key, after_warmup(getattr(self, key), self.times, self.warmup, what))
            check_loss(self.loss, self.observations)
            for term, seen in terms_of(self.loss, self.observations):
                units = {o.what: unit_of(self.model, o) for o in seen}
                check_units(term.loss, {what: unit for what, unit in units.items() if unit is not None})
            self._check_priors()
        except InputError as error:
            raise type(error)(f"site {self.name}: {error}") from error

    def _check_priors(self) -> None:
        if self.priors:
            check_priors(self.loss, len(self.observations))
        items = {item.name: item for item in self.transforms.items}
        parameters = {p.name: p for p in self.model.parameters}
        for name, prior in self.priors.items():
            if name not in items:
                raise UnknownNameError(f"a prior is given for {name!r}, which is not calibrated")
            check_mean(prior, items[name], parameters.get(name))

    def _transforms(self) -> Transforms:
        parameters = {p.name: p for p in self.model.parameters}
        items = []
        for name, ends in self.bounds.items():
            if name in {*self.fixed, *self.initial, *(() if self.rest is None else self._initial_names)}:
                raise InputError(f"site {self.name}: {name!r} is both calibrated and given")
            try:
                if name in parameters:
                    items.append(bounded(parameters[name], ends))
                elif ends is None or not (self.assemble or name in self._initial_names):
                    names = [*parameters, *self._initial_names]
                    raise UnknownNameError(f"{name!r} is to be calibrated; it needs bounds, and to be one of {names}")
                else:
                    if not is_pair(ends):
                        raise BoundsError(f"bounds of {name!r} must be two finite numbers, got {ends!r}")
                    items.append(Bounded(name, float(ends[0]), float(ends[1]), name in self.logarithmic))
            except (BoundsError, UnknownNameError) as error:
                raise type(error)(f"site {self.name}: {error}") from error
        if not items:
            raise InputError(f"site {self.name}: there is nothing to calibrate")
        return Transforms(tuple(items))

    def _functions(self) -> Mapping[str, object]:
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
        search = fingerprint(self.model), self.loss, self.warmup, self.times, self.transforms.items, self.assemble
        data = self.forcing, self.fixed, self.initial, self.priors, self.settings, self.observations, self.tuning
        return digest(*search, *data, *(() if self.rest is None else (self.rest,)))

    def values(self, x: Array) -> dict[str, Tensor]:
        """What the rows of `x` (members, n) stand for: name -> `(members, 1)`."""
        return self.transforms.unpack(torch.from_numpy(np.array(x)))

    def solve(self, values: Values, *, throw: bool = False) -> Solution:
        """Solves the site with calibrated values, name -> `(members, 1)`."""
        start = {k: v for k, v in values.items() if k in self._initial_names}
        rest = {k: v for k, v in values.items() if k not in start}
        assembled = self.assemble(rest) if self.assemble is not None else rest
        parameters, initial = {**self.fixed, **assembled}, {**self.initial, **start}
        return solve_from_rest(
            self.model,
            parameters,
            self.rest,
            forcing=self.forcing,
            times=self.times,
            initial=initial,
            throw=throw,
            **self.settings,
        )

    def between(self, first: int, last: int) -> Site:
        """The site over `times[first:last + 1]`, with the observations after its own warm-up; none held back.

        Raises:
            InputError: there are none.
        """
        forcing = {k: cut(v, first, last) for k, v in self.forcing.items()}
        seen = tuple(self.seen(first, last))
        return replace(self, times=self.times[first : last + 1], forcing=forcing, observations=seen, tuning=())

    def seen(self, first: int, last: int) -> list[Observation]:
        """The observations from `times[first]`, after a warm-up from there, to `times[last]`."""
        return between(self.observations, self.times[first] + self.warmup, self.times[min(last, len(self.times) - 1)])

    def coarse(self) -> Site:
        """The site with tolerances that are enough to compare candidates, both looser by the same factor."""
        rtol, atol = float(self.settings.get("rtol", Options.rtol)), self.settings.get("atol", Options.atol)
        looser = max(SCREENING / rtol, 1.0)
        return replace(self, settings={**self.settings, "rtol": looser * rtol, "atol": times_atol(atol, looser)})

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
            held_back = self._tuning(solution, good)
            if good.any():
                total = self._loss(solution, values, good)
                if variable.requires_grad:
                    total.sum().backward()
                members[good.numpy()] = total.detach().numpy()
        # An adjoint that fails shows only now.
        members[~solution.ok.reshape(-1).numpy()] = np.inf
        slope = variable.grad.numpy() if variable.grad is not None else np.zeros_like(x)
        size = gains(members, self.observations, self.loss, bool(self.priors))
        return Evaluation(members, slope, held_back, None, next(solution.failures(), ""), size)

    def _evaluate_squares(self, x: Array) -> Evaluation:
        self._need_squares()
        parts, held_back, solution = self._linearised(x)
        loss, slope, normal = squares_with_priors(*parts, self.loss, count(self.observations))
        smallest = least(self.observations, self.loss)
        members = np.where(solution.ok.reshape(-1).numpy(), loss.numpy() + smallest, np.inf)
        size = gains(members, self.observations, self.loss, bool(self.priors))
        return Evaluation(members, slope.numpy(), held_back, normal.numpy(), next(solution.failures(), ""), size)

    def objective(self, x: Tensor) -> tuple[Tensor, Solution]:
        """What a search makes small, `(members,)`, at the rows of `x`, `(members, n)`, and the solutions; differentiable.

        Raises:
            SolverError: a member cannot be solved.
        """
        values = self.transforms.unpack(x)
        solution = self.solve(values, throw=True)
        return self._loss(solution, values, solution.ok.reshape(-1)), solution

    def standard_errors(self, x: Array) -> dict[str, float]:
        """Standard errors of the values at `x`, `(1, n)`; see `CalibrationResult.standard_errors`."""
        self._need_squares()
        parts, _, solution = self._linearised(x)
        if why := next(solution.failures(), ""):
            raise SolverError(f"site {self.name}: {why}")
        try:
            r, j, z, slopes = (part[0].numpy() for part in parts)
            stated = likelihood(self.loss)
            posterior = covariance(r, j, z, slopes, count(self.observations), stated=stated)
        except InputError as error:
            raise InputError(f"site {self.name}: {error} (calibrated are {list(self.transforms.names)})") from error
        at = torch.from_numpy(np.array(x)).requires_grad_()
        (scale,) = torch.autograd.grad(torch.cat([*self.transforms.unpack(at).values()]).sum(), at)
        spread = np.sqrt(np.diag(posterior)) * scale[0].numpy()
        return dict(zip(self.transforms.names, spread.tolist(), strict=True))

    def _need_squares(self) -> None:
        if not squares(self.loss):
            raise InputError(f"this needs a loss that is a sum of squares: of {list(SQUARES)}, not {told(self.loss)!r}")

    def _loss(self, solution: Solution, values: Values, good: Tensor) -> Tensor:
        kept = solution.select(good)
        total = loss(kept, self.observations, self.loss)
        if self.priors:
            z = deviations({k: v[good] for k, v in values.items()}, self.priors)
            total = with_priors(total, z, self.loss, count(self.observations))
        return total

    def _tuning(self, solution: Solution, good: Tensor) -> Array | None:
        if not self.tuning:
            return None
        held_back = np.full(len(good), np.inf)
        if good.any():
            held_back[good.numpy()] = loss(solution.select(good), self.tuning, self.loss).detach().numpy()
        return held_back

    def _linearised(self, x: Array) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Array | None, Solution]:
        """Residuals `(members, m)` and their derivatives to `x` `(members, m, n)`, deviations from priors `(members, k)` and
        theirs, the loss over what is held back, and the solution, of which only the status is of use. All are zero of
        members that failed.
        """
        solved: list[Solution] = []

        def of(variable: Tensor) -> Tensor:
            values = self.transforms.unpack(variable)
            solved.append(self.solve(values))
            parts = [residuals(solved[-1], self.observations, self.loss)]
            parts.append(deviations(values, self.priors) if self.priors else variable[:, :0])
            parts.append(residuals(solved[-1], self.tuning, self.loss) if self.tuning else variable[:, :0])
            return torch.cat(parts, dim=1)

        value, derivative = jacobian(of, torch.from_numpy(np.array(x)), mode="forward")
        good = solved[-1].ok.reshape(-1, 1)
        value, derivative = torch.where(good, value, 0.0), torch.where(good.unsqueeze(-1), derivative, 0.0)
        # Several terms may be of the same observations.
        seen = terms_of(self.loss, self.observations)
        lengths = [sum(o.values.shape[-1] for _, chosen in seen for o in chosen), len(self.priors)]
        r, z, late = (part.detach() for part in value.tensor_split((lengths[0], sum(lengths)), 1))
        j, slopes, _ = (part.detach() for part in derivative.tensor_split((lengths[0], sum(lengths)), 1))
        held_back: Array | None = None
        if self.tuning:
            squares = (late**2).sum(1) + least(self.tuning, self.loss)
            held_back = torch.where(good[:, 0], squares, torch.inf).numpy()
        return (r, j, z, slopes), held_back, solved[-1]
