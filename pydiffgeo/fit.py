"""One basin made ready for calibration: what is solved, over which days, and the loss against runoff."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .basin import FORCINGS, Array, BasinData
from .errors import DataError, InputError, SolverError
from .io import read_camels, read_netcdf
from .losses import LOSSES, nse
from .model import Model
from .search import BFGS, Adam, Search
from .settings import MODELS, Days, Settings
from .solve import Solution, solve
from .transforms import Bounded, Transforms, transforms

# Comparing candidates needs no more than this; a search uses the tolerances of the configuration.
SCREENING = 1e-3
# Candidates keep this part of each range away from its ends, where a transform hardly moves.
INSET = 0.02


@dataclass(frozen=True, eq=False)
class Fit:
    """A basin, its model and its days. Days count from the first one of training.

    Attributes:
        data: from the first day of training to the last of validation.
        forcing: the same with the warm-up ahead of it, name -> `(warmup + days,)`.
        observed: runoff (mm/d), `(days,)`, NaN where missing.
        train, validation: slices of the days.
        transforms: what is calibrated: parameters, and initial states that have bounds.
    """

    settings: Settings
    model: Model
    data: BasinData
    forcing: Mapping[str, Tensor]
    observed: Tensor
    train: slice
    validation: slice
    transforms: Transforms

    @property
    def warmup(self) -> int:
        return self.settings.periods.warmup

    @property
    def all_days(self) -> slice:
        """From the first day of training to the last of validation."""
        return slice(0, self.validation.stop)

    @property
    def fingerprint(self) -> str:
        """A digest of the data, by which a checkpoint knows them again."""
        digest = hashlib.sha256()
        for values in (*self.forcing.values(), self.observed):
            digest.update(np.ascontiguousarray(values.numpy()).tobytes())
        return digest.hexdigest()[:16]

    def values(self, x: Array) -> dict[str, Tensor]:
        """What the rows of `x` (members, n) stand for: name -> `(members, 1)`."""
        return self.transforms.unpack(torch.from_numpy(np.array(x)))

    @property
    def window(self) -> slice | None:
        """The part of the training that is explored first: of all such windows, the one in which
        observed runoff varies most, as it weighs most in the loss. None where that would save little.
        """
        length, days = self.settings.optimiser.window, self.train.stop
        if length == 0 or 2 * length > days:
            return None
        firsts = range(0, days - length + 1, min(length, 365))
        windows = [slice(first, first + length) for first in firsts]
        variation = [float(torch.nansum((self.observed[w] - torch.nanmean(self.observed[w])) ** 2)) for w in windows]
        best = int(np.argmax(variation))
        return windows[best] if variation[best] > 0 else None

    def solve(
        self, values: Mapping[str, Tensor], days: slice, *, coarse: bool = False, throw: bool = False
    ) -> Solution:
        """Solves the warm-up and then `days`, for one or several members; the time unit is a day.

        The warm-up is what comes before `days`, as long as the warm-up of the training.
        """
        chosen, s = self.settings.model, self.settings.solve
        parameters = {p.name: chosen.fixed.get(p.name, values.get(p.name)) for p in self.model.parameters}
        start = {k: values[k] if isinstance(v, tuple) else v for k, v in chosen.initial.items()}
        forcing = {k: v[days.start : self.warmup + days.stop] for k, v in self.forcing.items()}
        return solve(
            self.model,
            parameters,
            forcing=forcing,
            times=np.arange(self.warmup + days.stop - days.start + 1.0),
            initial=start,
            engine=s.engine,
            solver=s.solver,
            rtol=max(s.rtol, SCREENING) if coarse else s.rtol,
            atol=max(s.atol, SCREENING) if coarse else s.atol,
            throw=throw,
        )

    def runoff(self, solution: Solution) -> Tensor:
        """Daily runoff (mm/d) after the warm-up, `(members, days)`: exact integrals over each day."""
        flux = solution.fluxes["runoff"]
        return flux.reshape(-1, flux.shape[-1])[:, self.warmup :]

    def losses(self, x: Array, days: slice, *, gradient: bool, coarse: bool = False) -> tuple[Array, Array, str]:
        """Loss over `days` `(members,)` and its gradient `(members, n)` at the rows of `x`.

        A member that cannot be solved has an infinite loss; the third value says why, for one of them.
        """
        variable = torch.from_numpy(np.array(x)).requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            solution = self.solve(self.transforms.unpack(variable), days, coarse=coarse)
            solved = solution.ok.reshape(-1)
            loss = np.full(len(x), np.inf)
            if solved.any():
                measure = LOSSES[self.settings.optimiser.loss]
                good = measure(self.runoff(solution)[solved], self.observed[days])
                if gradient:
                    good.sum().backward()
                loss[solved.numpy()] = good.detach().numpy()
        # An adjoint that fails shows only now.
        loss[~solution.ok.reshape(-1).numpy()] = np.inf
        slope = variable.grad.numpy() if variable.grad is not None else np.zeros_like(x)
        return loss, slope, next(solution.failures(), "")

    def candidates(self) -> Array:
        """A Latin hypercube `(candidates, n)`; seed and name of the basin alone decide it."""
        o, n = self.settings.optimiser, len(self.transforms.items)
        random = np.random.default_rng([o.seed, *self.data.basin.encode()])
        strata = np.stack([random.permutation(o.candidates) for _ in range(n)], axis=1)
        share = INSET + (1 - 2 * INSET) * (strata + random.random((o.candidates, n))) / o.candidates
        return np.asarray(np.log(share / (1 - share)))

    def best_of(self, x: Array, days: slice, count: int) -> Array:
        """The `count` rows of `x` with the smallest loss over `days`, fewer where fewer can be solved.

        Raises:
            SolverError: the model can be solved at none of them.
        """
        loss, _, why = self.losses(x, days, gradient=False, coarse=True)
        order = np.argsort(loss, kind="stable")[:count]
        order = order[np.isfinite(loss[order])]
        if not len(order):
            raise SolverError(f"basin {self.data.basin}: none of {len(x)} points could be solved; {why}")
        return x[order]

    def search(self) -> Search:
        o = self.settings.optimiser
        return Adam(o.learning_rate) if o.method == "adam" else BFGS(o.tolerance)


def prepare(settings: Settings, basin: str) -> Fit:
    """Reads the data of `basin` and cuts them to the periods.

    Raises:
        DataError: the data cannot be read, do not cover the periods, or hold too few observations.
    """
    periods = settings.periods
    whole = _read(settings, basin)
    data = _between(settings, whole, "train", (periods.train[0], periods.validation[1]))
    if periods.warmup_from == "repeat":
        lead = {name: getattr(data, name)[: periods.warmup] for name in FORCINGS}
    elif periods.warmup:
        first = np.datetime64(periods.train[0], "D") - periods.warmup
        before = _between(settings, whole, "warmup", (first, np.datetime64(periods.train[0], "D") - 1))
        lead = {name: getattr(before, name) for name in FORCINGS}
    else:
        lead = {name: np.empty(0) for name in FORCINGS}
    train, validation = _days(data, periods.train), _days(data, periods.validation)
    observed = torch.from_numpy(np.array(data.runoff))
    for name, days in (("train", train), ("validation", validation)):
        try:
            nse(observed[days], observed[days])
        except InputError as error:
            raise DataError(f"{data.source}: basin {basin}: runoff in [periods] {name}: {error}") from error

    model = MODELS[settings.model.name]()
    free = [p for p in model.parameters if p.name not in settings.model.fixed]
    packed = transforms(free, dict(settings.model.bounds))
    ranged = {k: v for k, v in settings.model.initial.items() if isinstance(v, tuple)}
    items = (*packed.items, *(Bounded(k, *v) for k, v in ranged.items()))
    forcing = {name: torch.from_numpy(np.concatenate([lead[name], getattr(data, name)])) for name in FORCINGS}
    return Fit(settings, model, data, forcing, observed, train, validation, Transforms(items))


def _read(settings: Settings, basin: str) -> BasinData:
    d = settings.data
    if d.camels is not None:
        return read_camels(d.camels, basin, product=d.product)
    assert d.file is not None
    # Days that are not used are not read: forcing may have gaps there.
    warmup = settings.periods.warmup if settings.periods.warmup_from == "record" else 0
    return read_netcdf(
        d.file,
        basin,
        variables=d.variables,
        units=d.units,
        dimensions=d.dimensions,
        latitude=d.latitude,
        start=np.datetime64(settings.periods.train[0], "D") - warmup,
        end=settings.periods.validation[1],
    )


def _between(settings: Settings, data: BasinData, key: str, days: tuple[Any, Any]) -> BasinData:
    try:
        return data.between(*days)
    except DataError as error:
        hint = ""
        if key == "warmup":
            hint = '; shorten it, begin training later, or set warmup_from = "repeat"'
        elif data.dates[0] <= np.datetime64(days[0], "D"):
            key = "validation"
        raise DataError(f"{settings.path}: [periods] {key} cannot be used: {error}{hint}") from error


def _days(data: BasinData, days: Days) -> slice:
    first, last = (int((np.datetime64(d, "D") - data.dates[0]).astype(int)) for d in days)
    return slice(first, last + 1)
