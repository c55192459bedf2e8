"""Calibrates the basins of a TOML file and writes the result: `pydiffgeo calibrate CONFIG`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...arrays import Json
from ...calibration.many_sites import checkpoint_beside
from ...calibration.multistart import calibrate
from ...calibration.progress import Progress, Step
from ...calibration.result import CalibrationResult
from ...errors import DataError, InputError, PydiffgeoError, SolverError, UnknownSiteError
from ...scheduling import Scheduler, connected, each
from ...solve import Solution
from ...toml_table import check_output
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
    code: bool = False,
    scheduler: Scheduler = None,
) -> Path:
    """Calibrates the basins of a configuration and writes the result.

    Args:
        config_path: a TOML file; see `examples/calibrate_basin.toml`.
        overrides: `key=value` each, which come before what the file says, such as `solve.rtol=1e-6`.
        code: whether `[model] name = "my_package:MyModel"` may import that package, which runs code of its author.
        resume: go on from the checkpoint of an interrupted run, if there is one; else start anew.
        progress: print step, loss and time left to the standard error.
        callback: called after each step.
        scheduler: where basins are calibrated side by side, and solved over the whole record; see `calibration.calibrate`.

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
    settings = read_settings(config_path, overrides, code=code)
    if not os.path.isdir(settings.output.parent):  # a name that no file can have is no folder, and no error
        raise DataError(f"{settings.path}: [output] file: there is no folder {settings.output.parent}")
    check_output(settings.path, settings.output)
    basins, failures = _prepare(settings)
    notes = Progress(progress, 0.0, None)
    for name, why in failures.items():
        notes.say(f"site {name} failed: {why}")
    checkpoint = checkpoint_beside(settings.output, scheduler)
    with connected(scheduler) as client:
        calibrated = calibrate(
            [basin.site for basin in basins.values()],
            settings.strategy,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
            callback=callback,
            identity=_identity(settings),
            scheduler=client,
        )
        failures |= calibrated.failures
        try:
            return _finish(settings, basins, calibrated, failures, checkpoint, notes, client)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"after the search; the same command goes on from {checkpoint}") from None


def _finish(
    settings: Settings,
    basins: dict[str, Basin],
    calibrated: CalibrationResult,
    failures: dict[str, str],
    checkpoint: Path,
    progress: Progress,
    scheduler: Scheduler,
) -> Path:
    """Solves what was found over the whole record, and writes it; the checkpoint goes when that is done."""
    solutions, together, notes = dict[str, Solution](), dict[str, Tensor](), dict[str, str]()
    things = ((name, _found(basins[name], calibrated, settings.within)) for name in calibrated.searches)
    by_name = dict(each(_over_record, things, scheduler))
    findings = dict[str, Told]()
    for name in calibrated.searches:
        found = by_name[name]
        if isinstance(found, PydiffgeoError):
            failures[name] = f"could not be solved over the whole record: {found}"
            continue
        solutions[name], ensemble = found
        if isinstance(ensemble, Tensor):
            together[name] = ensemble
        else:
            notes[name] = f"no ensemble: {ensemble}"
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
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint)
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


# A basin, the best values found, and those of an ensemble, or why there is none.
_Found = tuple[Basin, dict[str, Tensor], dict[str, Tensor] | str]


def _found(basin: Basin, calibrated: CalibrationResult, within: float) -> _Found:
    name = basin.site.name
    best = basin.whole.values(calibrated.x(name))
    try:
        return basin, best, calibrated.ensemble(name, within)
    except InputError as error:
        return basin, best, str(error)


def _over_record(found: _Found) -> tuple[Solution, Tensor | str]:
    """The solution over the whole record, and daily runoff after the warm-up of the members of an ensemble that can
    be solved, `(members, days)`, or why there is none.
    """
    basin, best, ensemble = found
    solution = _whole(basin, best)
    if isinstance(ensemble, str):
        return solution, ensemble
    try:
        return solution, _together(basin, ensemble)
    except PydiffgeoError as error:
        return solution, str(error)


def _whole(basin: Basin, values: dict[str, Tensor]) -> Solution:
    return basin.whole.solve(values, throw=True)


def _together(basin: Basin, values: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        members = basin.whole.solve(values)
        return basin.runoff(members.select(members.ok))


def _identity(settings: Settings) -> dict[str, Json]:
    """What must be the same for a checkpoint to be of use; where data and result lie may change."""
    tables = {k: settings.tables.get(k, {}) for k in ("periods", "model", "solve", "optimiser")}
    plain: dict[str, Json] = json.loads(json.dumps(tables, default=str))
    return plain
