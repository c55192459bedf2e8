"""Are the gradients that a calibration goes by right? `pydiffgeo check CONFIG`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..check import GradientReport
from ..check.gradients import compare
from ..check.groups import Group
from ..checks import check_positive
from ..engines.base import Options
from ..observe import SAME
from ..solve import Solution
from ..tolerances import times_atol, tolerances
from ..transforms import Bounded
from .loss_terms import told
from .objective import Prior
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
    rtol = first = float(site.settings.get("rtol", Options.rtol))
    asked = site.settings.get("atol", Options.atol)
    ratio = tolerances(site.model, rtol, asked, Options.atol).atol / rtol
    if rtols is None:
        rtols = [max(part * rtol, min(rtol, TIGHTEST)) for part in PARTS]
    random = torch.Generator().manual_seed(seed)
    groups = []
    for item in site.transforms.items:
        size = 0.5 + torch.rand((1, 1), generator=random, dtype=torch.float64)
        groups.append(Group(f"calibrated {item.name}", _start(item, site.priors.get(item.name)), size))

    def evaluate(moved: Mapping[str, Tensor], rtol: float, atol: float) -> tuple[Tensor, Solution]:
        x = torch.cat([moved.get(g.name, g.value) for g in groups], dim=1)
        own = times_atol(asked, rtol / first) if isinstance(asked, Mapping) else atol
        loss, solution = replace(site, settings={**site.settings, "rtol": rtol, "atol": own}).objective(x)
        return loss.sum(), solution

    name = f"{told(site.loss)} of {site.name}{' with priors' if site.priors else ''}"
    return compare(evaluate, groups, rtols, ratio, model=site.model, loss=name, seed=seed)


def _start(item: Bounded, prior: Prior | None) -> Tensor:
    """The unbounded variable `(1, 1)` of the mean of a prior; zero, the middle of the bounds, without one."""
    if prior is None:
        return torch.zeros((1, 1), dtype=torch.float64)
    end = math.log(1 / INSET - 1)
    return item.inverse(torch.tensor([[prior.mean]], dtype=torch.float64)).clamp(-end, end)
