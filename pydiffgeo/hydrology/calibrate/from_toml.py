"""Calibrates the basins of a TOML file and writes the result: `pydiffgeo calibrate CONFIG`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...arrays import Json
from ...calibration.multistart import calibrate
from ...calibration.progress import Progress, Step
from ...calibration.result import CalibrationResult
from ...errors import DataError, PydiffgeoError, SolverError, UnknownSiteError
from ...solve import Solution
from .basins import Basin, prepare
from .result_file import summary, write_result
from .settings import Settings, read_settings
from .told import Told, told


def calibrate_file(
    config_path: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[Step], None] | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Calibrates the basins of a configuration and writes the result.

    Args:
        config_path: a TOML file; see `examples/calibrate_basin.toml`.
        overrides: `key=value` each, which come before what the file says, such as `solve.rtol=1e-6`.
        resume: go on from the checkpoint of an interrupted run, if there is one; else start anew.
        progress: print step, loss and time left to the standard error.
        callback: called after each step.

    Returns:
        The path of the result: NetCDF with parameters, series, states, metrics and provenance. A basin that
        failed holds missing values, and its `status` says why; where a part of a basin's result could not be had, the
        others are there, and its `notes` say why.

    Raises:
        DataError: the configuration, the checkpoint, or the data of every basin cannot be used, or a basin is
            not there; nothing has been solved then.
        SolverError: no basin could be calibrated, or none solved over the whole record; values that were found are in the
            result all the same.
        KeyboardInterrupt: after the checkpoint is written; the message says how to go on.
    """
    settings = read_settings(config_path, overrides)
    if not os.path.isdir(settings.output.parent):  # a name that no file can have is no folder, and no error
        raise DataError(f"{settings.path}: [output] file: there is no folder {settings.output.parent}")
    if os.path.isdir(settings.output) or not os.access(settings.output.parent, os.W_OK):
        raise DataError(f"{settings.path}: [output] file: {settings.output} cannot be written")
    basins, failures = _prepare(settings)
    notes = Progress(progress, 0.0, None)
    for name, why in failures.items():
        notes.say(f"site {name} failed: {why}")
    checkpoint = settings.output.with_name(settings.output.name + ".checkpoint.npz")
    calibrated = calibrate(
        [basin.site for basin in basins.values()],
        settings.strategy,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        callback=callback,
        identity=_identity(settings),
    )
    try:
        return _finish(settings, basins, calibrated, failures | dict(calibrated.failures), checkpoint, notes)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after the search; the same command goes on from {checkpoint}") from None


def _finish(
    settings: Settings,
    basins: dict[str, Basin],
    calibrated: CalibrationResult,
    failures: dict[str, str],
    checkpoint: Path,
    progress: Progress,
) -> Path:
    """Solves what was found over the whole record, and writes it; the checkpoint goes when that is done."""
    solutions, together, notes = dict[str, Solution](), dict[str, Tensor](), dict[str, str]()
    findings = dict[str, Told]()
    for name in calibrated.searches:
        try:
            solutions[name] = _whole(basins[name], calibrated)
        except PydiffgeoError as error:
            failures[name] = f"could not be solved over the whole record: {error}"
            continue
        try:
            together[name] = _together(basins[name], calibrated, settings.within)
        except PydiffgeoError as error:
            notes[name] = f"no ensemble: {error}"
        if settings.uncertainty == "none":
            continue
        progress.say(f"site {name}: what the data tell ({settings.uncertainty})")
        try:
            findings[name] = told(settings, basins[name], calibrated)
        except PydiffgeoError as error:
            notes[name] = "; ".join(filter(None, (notes.get(name), f"no uncertainty: {error}")))
    try:
        result = write_result(settings, basins, calibrated, solutions, together, failures, notes, findings)
    except PydiffgeoError as error:
        raise type(error)(f"{error}; what was found is in {checkpoint}, from which the same command goes on") from error
    if not solutions:
        why = "; ".join(failures.values())
        raise SolverError(f"no basin could be solved over the whole record; {why}; what was found is in {result}")
    checkpoint.unlink(missing_ok=True)
    for line in summary(basins, calibrated, solutions, together, failures):
        progress.say(line)
    return result


def _prepare(settings: Settings) -> tuple[dict[str, Basin], dict[str, str]]:
    """The basins whose data can be used, and why the others cannot. A basin that is not there is a mistake."""
    basins, failures = dict[str, Basin](), dict[str, DataError]()
    for name in settings.data.basins:
        try:
            basins[name] = prepare(settings, name, compiled=True)
        except UnknownSiteError:
            raise
        except DataError as error:
            failures[name] = error
    if not basins:
        raise next(iter(failures.values()))
    return basins, {name: str(error) for name, error in failures.items()}


def _whole(basin: Basin, calibrated: CalibrationResult) -> Solution:
    return basin.whole.solve(basin.whole.values(calibrated.x(basin.site.name)), throw=True)


def _together(basin: Basin, calibrated: CalibrationResult, within: float) -> Tensor:
    """Daily runoff after the warm-up of the members of an ensemble that can be solved, `(members, days)`."""
    with torch.no_grad():
        solution = basin.whole.solve(calibrated.ensemble(basin.site.name, within))
        return basin.runoff(solution.select(solution.ok))


def _identity(settings: Settings) -> dict[str, Json]:
    """What must be the same for a checkpoint to be of use; where data and result lie may change."""
    tables = {k: settings.tables.get(k, {}) for k in ("periods", "model", "solve", "optimiser")}
    plain: dict[str, Json] = json.loads(json.dumps(tables, default=str))
    return plain
