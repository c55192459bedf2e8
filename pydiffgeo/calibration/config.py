"""Calibrates the basins of a TOML file and writes the result: `pydiffgeo calibrate CONFIG`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError, SolverError, UnknownSiteError
from .basins import Basin, prepare
from .found import Calibration
from .progress import Progress, Step
from .result import summary, write_result
from .run import calibrate
from .settings import Settings, read_settings


def calibrate_file(
    config_path: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[Step], None] | None = None,
) -> Path:
    """Calibrates the basins of a configuration and writes the result.

    Args:
        config_path: a TOML file; see `examples/calibrate_basin.toml`.
        resume: go on from the checkpoint of an interrupted run, if there is one; else start anew.
        progress: print step, loss and time left to the standard error.
        callback: called after each step.

    Returns:
        The path of the result: NetCDF with parameters, series, states, metrics and provenance. A basin that
        failed holds missing values, and its `status` says why.

    Raises:
        DataError: the configuration, the checkpoint, or the data of every basin cannot be used, or a basin is
            not there; nothing has been solved then.
        SolverError: no basin could be calibrated.
        KeyboardInterrupt: after the checkpoint is written; the message says how to go on.
    """
    settings = read_settings(config_path)
    if not os.path.isdir(settings.output.parent):  # a name that no file can have is no folder, and no error
        raise DataError(f"{settings.path}: [output] file: there is no folder {settings.output.parent}")
    basins, failures = _prepare(settings)
    notes = Progress(progress, 0.0, None)
    for name, why in failures.items():
        notes.say(f"site {name} failed: {why}")
    checkpoint = settings.output.with_name(settings.output.name + ".checkpoint.npz")
    found = calibrate(
        [basin.site for basin in basins.values()],
        settings.strategy,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        callback=callback,
        identity=_identity(settings),
    )
    failures |= found.failures
    solutions, together = {}, {}
    for name in found.found:
        try:
            solutions[name] = _whole(basins[name], found)
            together[name] = _together(basins[name], found, settings.within)
        except SolverError as error:
            failures[name] = str(error)
    if not solutions:
        raise SolverError(f"no basin could be solved over the whole record; {'; '.join(failures.values())}")
    result = write_result(settings, basins, found, solutions, together, failures)
    checkpoint.unlink(missing_ok=True)
    for line in summary(basins, solutions, together, failures):
        notes.say(line)
    return result


def _prepare(settings: Settings) -> tuple[dict[str, Basin], dict[str, str]]:
    """The basins whose data can be used, and why the others cannot. A basin that is not there is a mistake."""
    basins, failures = dict[str, Basin](), dict[str, DataError]()
    for name in settings.data.basins:
        try:
            basins[name] = prepare(settings, name)
        except UnknownSiteError:
            raise
        except DataError as error:
            failures[name] = error
    if not basins:
        raise next(iter(failures.values()))
    return basins, {name: str(error) for name, error in failures.items()}


def _whole(basin: Basin, found: Calibration) -> Any:
    return basin.whole.solve(basin.whole.values(found.x(basin.site.name)), throw=True)


def _together(basin: Basin, found: Calibration, within: float) -> Tensor:
    """Daily runoff after the warm-up of the members of an ensemble that can be solved, `(members, days)`."""
    with torch.no_grad():
        solution = basin.whole.solve(found.ensemble(basin.site.name, within))
        return basin.runoff(solution.select(solution.ok))


def _identity(settings: Settings) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of use; where data and result lie may change."""
    tables = {k: settings.tables.get(k, {}) for k in ("periods", "model", "solve", "optimiser")}
    plain: dict[str, Any] = json.loads(json.dumps(tables, default=str))
    return plain
