"""Are the gradients that the calibration of a basin goes by right? `pydiffgeo check CONFIG`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...calibration.check_site import check_site
from ...check import GradientReport
from ...checks import check_whole
from ...errors import DataError, UnknownSiteError
from ...io import write_whole
from .basins import prepare
from .settings import read_settings


def check_file(
    config_path: str | Path,
    *,
    basin: str | None = None,
    days: int = 730,
    rtols: Sequence[float] | None = None,
    output: str | Path | None = None,
    code: bool = False,
) -> GradientReport:
    """Checks the gradients of one basin of a configuration; see `check_site`.

    Args:
        config_path: a TOML file, as for `calibrate_file`.
        basin: one of the configuration; the first where None.
        days: how much of the training is solved after the warm-up; all of it where there is less.
        rtols: relative tolerances; see `check_site`.
        output: a file for all numbers as JSON, which appears whole or not at all. code: see `calibrate_file`.

    Raises:
        DataError: the configuration or the data cannot be used, or `output` cannot be written.
        InputError: (or a subclass) `days` or `rtols` cannot be used.
    """
    check_whole(1, days=days)
    settings = read_settings(config_path, code=code)
    if basin is not None and basin not in settings.data.basins:
        raise UnknownSiteError(
            f"{settings.path}: [data] basins has no {basin!r}; there are {list(settings.data.basins)}"
        )
    target = None if output is None else Path(output)
    if target is not None and not target.parent.is_dir():  # said before anything is solved
        raise DataError(f"{target}: there is no folder {target.parent}")
    site = prepare(settings, basin or settings.data.basins[0]).site
    report = check_site(site, duration=float(days), rtols=rtols)
    if target is not None:
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
        write_whole(target, lambda temporary: Path(temporary).write_text(text + "\n", encoding="utf-8"))
    return report
