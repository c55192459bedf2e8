"""Basins of a configuration, made ready for calibration against runoff."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...calibration.site import Site
from ...days import day
from ...errors import DataError, InputError
from ...losses.measures import nse
from ...observe import Observation
from ...solve import Solution
from ...toml_table import Days
from ..basin import BasinData
from ..data.basin_series import basin_data
from ..data.data_source import open_data
from ..years import even_years
from .settings import Settings


@dataclass(frozen=True, eq=False)
class Basin:
    """A basin with its model and days, which count from the first one of training. The time unit is a day.

    Attributes:
        data: from the first day of training to the last of evaluation.
        site: up to the last day of training, or of the tuning period where there is one.
        whole: up to the last day of evaluation.
        warmup: days solved ahead of training, those of the spin-up included.
        observed: runoff (mm/d), `(days,)`, NaN where missing.
        train, evaluation: slices of the days.
    """

    data: BasinData
    site: Site
    whole: Site
    warmup: int
    observed: Tensor
    train: slice
    evaluation: slice

    def runoff(self, solution: Solution) -> Tensor:
        """Daily runoff (mm/d) after the warm-up, `(members, days)`: exact integrals over each day."""
        return solution.fluxes["runoff"][..., self.warmup :]


def prepare(settings: Settings, basin: str, *, compiled: bool = False) -> Basin:
    """Reads the data of `basin` and cuts them to the periods.

    Args:
        compiled: let the embedded engine compile the model to C where it can, which pays for many solves.

    Raises:
        DataError: the data cannot be read, do not cover the periods, or hold too few observations.
    """
    periods = settings.periods
    record = _read(settings, basin)
    data = _between(settings, record, "train", (periods.train[0], periods.evaluation[1]))
    model = settings.model.model
    forced = data.forcing(model)
    if periods.warmup_from == "repeat":
        lead = {name: values[: periods.warmup] for name, values in forced.items()}
    elif periods.warmup:
        first = np.datetime64(periods.train[0], "D") - periods.warmup
        before = _between(settings, record, "warmup", (first, np.datetime64(periods.train[0], "D") - 1))
        lead = before.forcing(model)
    else:
        lead = {name: np.empty(0) for name in forced}
    windows = {"train": periods.train, "tuning": periods.tuning, "evaluation": periods.evaluation}
    days = {name: _days(data, window) for name, window in windows.items() if window is not None}
    observed = torch.from_numpy(np.array(data.runoff))
    for name, inside in days.items():
        try:
            nse(observed[inside], observed[inside])
        except InputError as error:
            raise DataError(f"{data.source}: basin {basin}: runoff in [periods] {name}: {error}") from error

    warmup, end = periods.warmup * periods.spinup, len(data)
    forcing = {k: torch.from_numpy(np.concatenate([*[lead[k]] * periods.spinup, v])) for k, v in forced.items()}

    def runoff(inside: slice) -> tuple[Observation, ...]:
        start = warmup + np.arange(inside.start, inside.stop)
        windows = np.stack([start, start + 1], axis=1)
        # The error decides what a year counts only: the loss is relative to the variance.
        error = even_years(data.dates[inside], observed[inside], settings.even_years)
        return (Observation("runoff", "flux_mean", windows, observed[inside], error=error),)

    def site(stop: int) -> Site:
        chosen, how = settings.model, settings.solve
        starts = {k: v for k, v in chosen.initial.items() if isinstance(v, tuple)}
        free = {p.name: chosen.bounds.get(p.name) for p in model.parameters if p.name not in chosen.fixed}
        return Site(
            name=basin,
            model=model,
            times=np.arange(warmup + stop + 1.0),
            forcing={k: v[: warmup + stop] for k, v in forcing.items()},
            observations=runoff(days["train"]),
            bounds=free | starts,
            fixed=chosen.fixed,
            initial={k: v for k, v in chosen.initial.items() if not isinstance(v, tuple)},
            priors=chosen.priors,
            tuning=runoff(days["tuning"]) if "tuning" in days else (),
            loss=settings.loss,
            warmup=warmup,
            settings={
                "engine": how.engine,
                "solver": how.solver,
                "rtol": how.rtol,
                "atol": how.atol,
                "compiled": compiled,
            },
        )

    used = days.get("tuning", days["train"]).stop
    return Basin(data, site(used), site(end), warmup, observed, days["train"], days["evaluation"])


def _read(settings: Settings, basin: str) -> BasinData:
    d = settings.data
    data = open_data(d, [basin])
    # Days that are not used are not looked at: forcing may have gaps there.
    warmup = settings.periods.warmup if settings.periods.warmup_from == "record" else 0
    first = np.datetime64(settings.periods.train[0], "D") - warmup
    return basin_data(data, basin, latitude=d.latitude, start=first, end=settings.periods.evaluation[1])


def _between(settings: Settings, data: BasinData, key: str, days: tuple[object, object]) -> BasinData:
    try:
        return data.between(*days)
    except DataError as error:
        hint = ""
        if key == "warmup":
            hint = '; shorten it, begin training later, or set warmup_from = "repeat"'
        elif data.dates[0] <= day(key, days[0]):
            key = "evaluation"
        raise DataError(f"{settings.path}: [periods] {key} cannot be used: {error}{hint}") from error


def _days(data: BasinData, days: Days) -> slice:
    first, last = (int((np.datetime64(d, "D") - data.dates[0]).astype(int)) for d in days)
    return slice(first, last + 1)
