"""Calibrates any model as a configuration says: `pydiffgeo calibrate CONFIG`, and checks its gradients: `check CONFIG`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ..arrays import Json
from ..calibration import CalibrationResult, Site, Step, calibrate, check_site
from ..calibration.dataset import site_dataset
from ..calibration.many_sites import checkpoint_beside
from ..calibration.progress import Progress
from ..calibration.sites_dataset import several_dataset
from ..check import GradientReport
from ..errors import DataError, PydiffgeoError, SolverError
from ..io import write_dataset, write_whole
from ..io.geometry import with_labels
from ..scheduling import Scheduler
from ..toml_table import check_output
from .site_files import Calibration, compiled_no_more, read_calibration, site_by_name, site_of


def calibrate_model(
    path: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[Step], None] | None = None,
    overrides: Sequence[str] = (),
    code: bool = False,
    scheduler: Scheduler = None,
) -> Path:
    """Calibrates the sites of a configuration, and writes what was found.

    Args:
        resume, progress, callback: see `calibration.calibrate`; the checkpoint lies beside the result until all is done.
        overrides, code: see `read_configuration`.
        scheduler: see `calibration.calibrate`; workers read the configuration and its files themselves.

    Returns:
        The path of the result, NetCDF: of one site as `calibration.site_dataset` makes it; of several a table of what was
        found, and beside it a file of each site, `RESULT_SITE.nc`.

    Raises:
        DataError: (or a subclass) the configuration or the data of every site cannot be used; nothing has been solved then.
        SolverError: no site could be calibrated.
        KeyboardInterrupt: after the checkpoint is written; the message says how to go on.
    """
    asked = read_calibration(path, overrides=overrides, code=code)
    check_output(asked.path, asked.output)
    notes = Progress(progress, 0.0, None)
    for name, why in asked.failures.items():
        notes.say(f"site {name} failed: {why}")
    checkpoint = checkpoint_beside(asked.output, scheduler)
    sites: Sequence[Site] | Mapping[str, Callable[[], Site]] = [prepared.site for prepared in asked.sites.values()]
    if scheduler is not None:
        there = asked.path.resolve()
        sites = {name: partial(site_by_name, there, tuple(overrides), code, name) for name in asked.sites}
    found = calibrate(
        sites,
        asked.strategy,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        callback=callback,
        identity=_identity(asked),
        scheduler=scheduler,
    )
    written, failures = _written(asked, found)
    if not written:
        raise SolverError(
            f"no site could be solved with what was found: {'; '.join(failures.values())}; see {checkpoint}"
        )
    result = written[0]
    if len(asked.sites) + len(asked.failures) > 1:
        about = {"configuration": asked.text}
        data = several_dataset(found, {**asked.failures, **failures})
        result = write_dataset(asked.output, data, about)
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint)
    checkpoint.unlink(missing_ok=True)
    for line in told_lines(found):
        notes.say(line)
    return result


def _written(asked: Calibration, found: CalibrationResult) -> tuple[list[Path], dict[str, str]]:
    """Files of the sites, and why some have none."""
    several = len(asked.sites) + len(asked.failures) > 1
    written, failures = list[Path](), dict(found.failures)
    for name in found.searches:
        prepared = asked.sites[name]
        output = asked.output.with_name(f"{asked.output.stem}_{name}{asked.output.suffix}") if several else asked.output
        try:
            data = site_dataset(found, name, start=prepared.origin, further=prepared.evaluation)
            data = with_labels(data, prepared.configuration.places)
        except PydiffgeoError as error:
            failures[name] = str(error)
            continue
        written.append(write_dataset(output, data, {"configuration": prepared.configuration.text}))
    return written, failures


def _identity(asked: Calibration) -> dict[str, Json]:
    """What must be the same for a checkpoint to be of use, besides sites and their data."""
    plain: dict[str, Json] = json.loads(json.dumps(asdict(asked.strategy)))
    return {"strategy": plain}


def told_lines(found: CalibrationResult) -> list[str]:
    """A line for each site with what was found, and one where values lie on their bounds."""
    lines = []
    for name in found.searches:
        values, near = found.values(name), found.on_bounds(name)
        try:
            errors = found.standard_errors(name)
        except PydiffgeoError:
            errors = {}
        shown = (f"{k} {v:.4g}" + (f" +- {errors[k]:.2g}" if k in errors else "") for k, v in values.items())
        lines.append(f"site {name}: {', '.join(shown)}")
        if near:
            ends = ", ".join(f"{k} {values[k]:.4g} ({end})" for k, end in near.items())
            lines.append(f"site {name}: on a bound, which decides then, not the data: {ends}")
    return lines + [f"site {name} failed: {why}" for name, why in found.failures.items()]


def check_model(
    path: str | Path,
    *,
    site: str | None = None,
    duration: float | None = None,
    rtols: Sequence[float] | None = None,
    output: str | Path | None = None,
    code: bool = False,
) -> GradientReport:
    """Checks the gradients that the calibration of a configuration goes by; see `calibration.check_site`.

    Args:
        site: one of the configuration; the first where None. duration: time that is solved after the warm-up; all of it
            where None.
        rtols: relative tolerances. output: a file for all numbers as JSON. code: see `read_configuration`.

    Raises:
        DataError: the configuration or the data cannot be used, or `output` cannot be written.
        InputError: (or a subclass) there is no such site, or `duration` or `rtols` cannot be used.
    """
    target = None if output is None else Path(output)
    if target is not None and not target.parent.is_dir():  # said before anything is solved
        raise DataError(f"{target}: there is no folder {target.parent}")
    chosen = compiled_no_more(site_of(read_calibration(path, code=code), site))
    report = check_site(chosen, duration=duration, rtols=rtols)
    if target is not None:
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
        write_whole(target, lambda temporary: Path(temporary).write_text(text + "\n", encoding="utf-8"))
    return report
