"""Solves what a configuration says, and writes the solution: `pydiffgeo run CONFIG`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..arrays import Array, Dates
from ..errors import DataError
from ..io import provenance, solution_dataset, write_dataset
from ..io.geometry import with_labels
from ..model import TimeSeries
from ..solve import Solution, solve
from ..toml_table import check_output
from .configuration import Configuration, FileSettings, Numbers, read_configuration
from .forcing_files import read_forcings
from .starting import start, tensors

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
    check_output(configuration.path, configuration.output)
    solution, origin = run(configuration)
    about = provenance(solution, configuration=configuration.text, action="solved")
    data = with_labels(solution_dataset(solution, start=origin), configuration.places)
    return write_dataset(configuration.output, data, about)


def run(configuration: Configuration) -> tuple[Solution, np.datetime64 | None]:
    """The solution, and the date that is its time zero, where there are dates.

    Raises:
        DataError: as in `run_file`, and so are the others.
    """
    c = configuration
    times, forcing, origin = problem(c)
    with torch.no_grad():
        solution = solve(
            c.model,
            tensors(c.parameters),
            forcing=forcing,
            times=times,
            initial=start(c, times, forcing),
            engine=c.engine,
            solver=c.solver,
            rtol=c.rtol,
            atol=c.atol,
        )
    return solution, origin


def problem(c: Configuration) -> tuple[Array, dict[str, float | TimeSeries], np.datetime64 | None]:
    """Output times, forcings, and the date that is time zero, where there are dates."""
    asked, read = c.times, [(file, *read_forcings(file, c.model)) for file in c.files]
    origin = asked.origin
    if origin is None:
        firsts = [dates.astype("datetime64[ns]")[0] for _, dates, _ in read if dates.dtype.kind == "M"]
        origin = firsts[0] if firsts else None
    forcing, breaks = dict[str, float | TimeSeries](), list[Array]()
    for file, dates, values in read:
        own = _own_times(c, file, dates, origin)
        # The last value holds as long as the one before.
        breaks.append(own if file.linear else np.append(own, own[-1] + (own[-1] - own[-2])))
        kind: Literal["linear", "constant"] = "linear" if file.linear else "constant"
        forcing |= {k: TimeSeries(breaks[-1], torch.from_numpy(v), kind) for k, v in values.items()}
    dated_start = isinstance(asked.start, np.datetime64)
    earliest = float(breaks[0][0]) if breaks and not dated_start else 0.0
    start = earliest if asked.start is None or dated_start else _number(c, asked.start, None)
    end = float(breaks[0][-1]) if breaks and asked.end is None else _number(c, asked.end, origin)
    if asked.step is not None:
        times = _steps(c, start, end, asked.step)
    elif not start < end:
        raise DataError(f"{c.path}: [times] end must come after start")
    else:
        inside = breaks[0][(breaks[0] > start) & (breaks[0] < end)] if breaks else np.empty(0)
        times = np.concatenate([[start], inside, [end]])
    return times, forcing | _constant(c.forcing, times), origin


def _own_times(c: Configuration, file: FileSettings, dates: Dates | Array, origin: np.datetime64 | None) -> Array:
    """Times of a file of forcings in the unit of the model."""
    if len(dates) < 2:
        raise DataError(f"{file.path}: there must be two times at least, got {len(dates)}")
    return model_times(c, dates, origin, str(file.path))


def model_times(c: Configuration, dates: Dates | Array, origin: np.datetime64 | None, what: str) -> Array:
    """Dates, from the origin on, or numbers, as times in the unit of the model; of the same shape.

    Raises:
        DataError: there are dates but nothing says which is time zero, or numbers where times are dates.
    """
    if dates.dtype.kind == "M":
        if origin is None:
            raise DataError(
                f"{c.path}: {what} has dates, but nothing says which date is time zero: give [times] start one"
            )
        since: Array = (dates.astype("datetime64[ns]") - origin).astype(np.int64) / 1e9 / seconds(c)
        return since
    if origin is not None:
        raise DataError(f"{c.path}: [times] has dates, but the times of {what} are numbers")
    return np.asarray(dates, np.float64)


def _constant(given: Mapping[str, Numbers], times: Array) -> dict[str, float | TimeSeries]:
    """Forcings that do not change: a number, or one for each place, which is a series of one interval."""
    ends = times[[0, -1]]
    return {
        name: value if isinstance(value, float) else TimeSeries(ends, torch.from_numpy(value[None]))
        for name, value in given.items()
    }


def _steps(c: Configuration, start: float, end: float, step: float) -> Array:
    count = (end - start) / step
    if not count > ROUNDING:
        raise DataError(f"{c.path}: [times] end must come after start")
    whole = int(np.floor(count + ROUNDING))
    times: Array = start + step * np.arange(whole + 1, dtype=np.float64)
    return times if count - whole <= ROUNDING else np.append(times, end)


def _number(c: Configuration, time: float | np.datetime64 | None, origin: np.datetime64 | None) -> float:
    """A time in the unit of the model, from the origin on where it is a date."""
    if isinstance(time, np.datetime64):
        if origin is None:
            raise DataError(f"{c.path}: [times] has a date, but nothing says which date is time zero")
        return float((time - origin).astype("timedelta64[ns]").astype(np.int64)) / 1e9 / seconds(c)
    assert time is not None
    return time


def seconds(c: Configuration) -> float:
    """Seconds of the time unit of the model."""
    if c.model.time_unit not in SECONDS:
        raise DataError(
            f"{c.path}: [times] dates need a model in {', '.join(SECONDS)}; {c.model.name} is in {c.model.time_unit!r}"
        )
    return SECONDS[c.model.time_unit]
