"""Are the gradients that a calibration goes by right? `pydiffgeo check CONFIG`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..check import GradientReport
from ..check.gradients import compare
from ..check.groups import Group
from ..checks import check_positive, check_whole
from ..engines.base import Options
from ..errors import DataError, UnknownSiteError
from ..io import write_whole
from ..observe import SAME
from ..solve import Solution
from ..transforms import Bounded
from .basins import prepare
from .objective import Prior
from .settings import read_settings
from .site import Site

# Beside the tolerance of the site these parts of it, but none tighter than solvers can keep.
PARTS, TIGHTEST = (1.0, 1e-2, 1e-4), 1e-11
# Prior means this near to a bound, in parts of the range, are moved away from it: next to it nothing changes.
INSET = 0.02


def check_site(
    site: Site, *, duration: float | None = None, rtols: Sequence[float] | None = None, seed: int = 0
) -> GradientReport:
    """Compares the gradient of the loss of a site, priors included, with forward mode and finite differences.

    The groups are the calibrated values, in the unbounded variables of a search. Each stands at the mean of its
    prior, or else in the middle of its bounds (of their logarithms, on a logarithmic scale), the others with it.

    Args:
        site: its settings say engine, solver and tolerances.
        duration: time after the warm-up that is solved, from the start; all of it where None.
        rtols: relative tolerances; the absolute ones keep their proportion. That of the site and finer ones where None.
        seed: of the directions.

    Raises:
        InputError: (or a subclass) `duration` or `rtols` cannot be used, or there is nothing to compare with.
        EngineNotAvailableError: the engine is not there.
    """
    if duration is not None:
        check_positive(duration=duration)
        end = site.times[0] + site.warmup + duration
        slack = SAME * (site.times[-1] - site.times[0])
        site = site.between(0, min(int(np.searchsorted(site.times, end - slack)), len(site.times) - 1))
    rtol = float(site.settings.get("rtol", Options.rtol))
    ratio = float(site.settings.get("atol", Options.atol)) / rtol
    if rtols is None:
        rtols = [max(part * rtol, min(rtol, TIGHTEST)) for part in PARTS]
    items = site.transforms.items
    random = torch.Generator().manual_seed(seed)
    groups = [
        Group(f"calibrated {b.name}", _start(b, site.priors.get(b.name)), 0.5 + torch.rand((1, 1), generator=random, dtype=torch.float64))
        for b in items
    ]  # fmt: skip

    def evaluate(moved: Mapping[str, Tensor], rtol: float, atol: float) -> tuple[Tensor, Solution]:
        x = torch.cat([moved.get(g.name, g.value) for g in groups], dim=1)
        loss, solution = replace(site, settings={**site.settings, "rtol": rtol, "atol": atol}).objective(x)
        return loss.sum(), solution

    name = f"{site.loss} of {site.name}{' with priors' if site.priors else ''}"
    return compare(evaluate, groups, rtols, ratio, model=site.model, loss=name, seed=seed)


def _start(item: Bounded, prior: Prior | None) -> Tensor:
    """The unbounded variable `(1, 1)` of the mean of a prior; zero, the middle of the bounds, without one."""
    if prior is None:
        return torch.zeros((1, 1), dtype=torch.float64)
    end = math.log(1 / INSET - 1)
    return item.inverse(torch.tensor([[prior.mean]], dtype=torch.float64)).clamp(-end, end)


def check_file(
    config_path: str | Path,
    *,
    basin: str | None = None,
    days: int = 730,
    rtols: Sequence[float] | None = None,
    output: str | Path | None = None,
) -> GradientReport:
    """Checks the gradients of one basin of a configuration; see `check_site`.

    Args:
        config_path: a TOML file, as for `calibrate_file`.
        basin: one of the configuration; the first where None.
        days: how much of the training is solved after the warm-up; all of it where there is less.
        rtols: relative tolerances; see `check_site`.
        output: a file for all numbers as JSON, which appears whole or not at all.

    Raises:
        DataError: the configuration or the data cannot be used, or `output` cannot be written.
        InputError: (or a subclass) `days` or `rtols` cannot be used.
    """
    check_whole(1, days=days)
    settings = read_settings(config_path)
    if basin is not None and basin not in settings.data.basins:
        raise UnknownSiteError(
            f"{settings.path}: [data] basins has no {basin!r}; there are {list(settings.data.basins)}"
        )
    target = None if output is None else Path(output)
    if target is not None and not target.parent.is_dir():  # said before anything is solved
        raise DataError(f"{target}: there is no folder {target.parent}")
    site = prepare(settings, basin or settings.data.basins[0]).site
    found = check_site(site, duration=float(days), rtols=rtols)
    if target is not None:
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
        write_whole(target, lambda temporary: Path(temporary).write_text(text + "\n", encoding="utf-8"))
    return found
