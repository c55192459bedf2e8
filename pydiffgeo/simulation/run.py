"""Solves what a configuration says, and writes the solution: `pydiffgeo run CONFIG`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..arrays import Array
from ..errors import DataError
from ..io import provenance, solution_dataset, write_dataset
from ..model import TimeSeries
from ..solve import Solution, solve
from .configuration import Configuration, read_configuration
from .forcing_files import read_forcings

SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
# Steps that reach the end but for rounding.
ROUNDING = 1e-6


def run_file(path: str | Path, *, overrides: Sequence[str] = (), code: bool = False) -> Path:
    """Solves a configuration and writes the solution as NetCDF; returns the path of it.

    Args:
        overrides, code: see `read_configuration`.

    Raises:
        DataError: the configuration or the data cannot be used, or the result cannot be written.
        InputError: (or a subclass) what is given does not fit the model. SolverError: it cannot be solved.
    """
    configuration = read_configuration(path, overrides=overrides, code=code)
    folder = configuration.output.parent
    if not os.path.isdir(folder):  # said before anything is solved
        raise DataError(f"{configuration.path}: [output] file: there is no folder {folder}")
    solution, origin = run(configuration)
    about = provenance(solution, configuration=configuration.text, action="solved")
    return write_dataset(configuration.output, solution_dataset(solution, start=origin), about)


def run(configuration: Configuration) -> tuple[Solution, np.datetime64 | None]:
    """The solution, and the date that is its time zero, where there are dates.

    Raises:
        As `run_file`.
    """
    c = configuration
    times, forcing, origin = problem(c)
    with torch.no_grad():
        solution = solve(
            c.model,
            {name: torch.as_tensor(value) for name, value in c.parameters.items()},
            forcing=forcing,
            times=times,
            initial={name: torch.as_tensor(value) for name, value in c.initial.items()},
            engine=c.engine,
            solver=c.solver,
            rtol=c.rtol,
            atol=c.atol,
        )
    return solution, origin


def problem(c: Configuration) -> tuple[Array, dict[str, float | TimeSeries], np.datetime64 | None]:
    """Output times, forcings, and the date that is time zero, where there are dates."""
    forcing: dict[str, float | TimeSeries] = dict(c.forcing)
    asked = c.times
    origin: np.datetime64 | None = None
    if c.file is None:
        origin = asked.origin
        start = 0.0 if origin is not None or asked.start is None else asked.start
        return _steps(c, start, _number(c, asked.end, origin), asked.step), forcing, origin
    dated, values = read_forcings(c.file, c.model)
    if dated.dtype.kind == "M":
        origin = asked.origin if asked.origin is not None else dated.astype("datetime64[ns]")[0]
        own = (dated.astype("datetime64[ns]") - origin).astype(np.int64) / 1e9 / _unit(c)
    else:
        own = np.asarray(dated, np.float64)
        if asked.origin is not None or isinstance(asked.end, np.datetime64):
            raise DataError(f"{c.path}: [times] has dates, but the times of {c.file.path} are numbers")
    if len(own) < 2:
        raise DataError(f"{c.file.path}: there must be two times at least, got {len(own)}")
    if c.file.linear:
        breaks = own
        forcing |= {k: TimeSeries(own, torch.from_numpy(v), "linear") for k, v in values.items()}
    else:
        # The last value holds as long as the one before.
        breaks = np.append(own, own[-1] + (own[-1] - own[-2]))
        forcing |= {k: TimeSeries(breaks, torch.from_numpy(v)) for k, v in values.items()}
    start = 0.0 if asked.origin is not None else float(own[0]) if asked.start is None else _number(c, asked.start, None)
    end = float(breaks[-1]) if asked.end is None else _number(c, asked.end, origin)
    if asked.step is not None:
        return _steps(c, start, end, asked.step), forcing, origin
    inside = breaks[(breaks > start) & (breaks < end)]
    if not start < end:
        raise DataError(f"{c.path}: [times] end must come after start")
    return np.concatenate([[start], inside, [end]]), forcing, origin


def _steps(c: Configuration, start: object, end: float, step: float | None) -> Array:
    first = float(start) if isinstance(start, (int, float)) else 0.0
    assert step is not None
    count = (end - first) / step
    if not count > ROUNDING:
        raise DataError(f"{c.path}: [times] end must come after start")
    whole = int(np.floor(count + ROUNDING))
    times: Array = first + step * np.arange(whole + 1, dtype=np.float64)
    return times if count - whole <= ROUNDING else np.append(times, end)


def _number(c: Configuration, time: float | np.datetime64 | None, origin: np.datetime64 | None) -> float:
    """A time in the unit of the model, from the origin on where it is a date."""
    if isinstance(time, np.datetime64):
        if origin is None:
            raise DataError(f"{c.path}: [times] has a date, but nothing says which date is time zero")
        return float((time - origin).astype("timedelta64[ns]").astype(np.int64)) / 1e9 / _unit(c)
    assert time is not None
    return time


def _unit(c: Configuration) -> float:
    """Seconds of the time unit of the model."""
    if c.model.time_unit not in SECONDS:
        raise DataError(
            f"{c.path}: [times] dates need a model in {', '.join(SECONDS)}; {c.model.name} is in {c.model.time_unit!r}"
        )
    return SECONDS[c.model.time_unit]
