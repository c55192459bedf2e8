"""How a calibration went: losses over steps, and parameters within their bounds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..arrays import Array, Numbers
from ..errors import UnknownNameError
from .style import BLUE, GREY, ORANGE, OTHERS, Keywords, canvas, label, numbers, plain, short

# More curves than this are drawn as a crowd with its median.
NAMED = 6
# Up to so many sites the way from prior to result is followed by eye.
FEW = 12
# A loss that spans this factor is drawn on a logarithmic axis.
WIDE = 10.0


def loss_curves(
    losses: Mapping[str, Numbers],
    *,
    name: str = "loss",
    unit: str = "1",
    what: str = "curves",
) -> Figure:
    """Losses over the steps of an optimiser, one panel for each kind of loss.

    Args:
        losses: kind, such as "training" -> `(step,)` or `(curve, step)`, padded with NaN.
        what: what the curves of a kind are, such as "seeds".
    """
    tables = {k: np.atleast_2d(numbers(k, v, np.ndim(v))) for k, v in losses.items()}
    with canvas(min(10.0, 4.8 * len(tables) + 0.4), 3.2) as figure:
        axes = figure.subplots(1, max(1, len(tables)), squeeze=False)[0]
        for axis, (kind, table) in zip(axes, tables.items(), strict=False):
            steps = np.arange(1, table.shape[1] + 1)
            crowd = len(table) > NAMED
            width, dots = 0.6 if crowd else 1.3, "." if len(steps) < 60 and not crowd else None
            for i, row in enumerate(table):
                axis.plot(steps, row, color=GREY if crowd else (BLUE, *OTHERS)[i % 7], lw=width, marker=dots, ms=4)
            if crowd:
                running = np.isfinite(table).any(0)
                middle = np.nanmedian(table[:, running], 0)
                axis.plot(steps[running], middle, color=BLUE, lw=2, label="median of those still running")
                axis.legend()
            seen = table[np.isfinite(table)]
            if len(seen) and seen.min() > 0 and seen.max() > WIDE * seen.min():
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
                axis.yaxis.set_minor_formatter("{x:g}" if seen.max() < 1e3 * seen.min() else NullFormatter())
            axis.set_title(f"{short(kind)}, {len(table)} {plain(what)}" if len(table) > 1 else short(kind), loc="left")
            axis.set_xlabel("step (-)")
            axis.set_ylabel(label(name, unit))
            axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def parameter_ranges(
    values: Mapping[str, Numbers],
    *,
    prior: Mapping[str, Numbers] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Parameters within their bounds, one row each; a dot is a site, a hollow one its value before calibration.

    Args:
        values: name -> `(site,)`, or one number.
        prior: the same before calibration, of some of them.
        bounds: name -> lowest and highest value. Where not given, the smallest and largest of the values.

    Raises:
        UnknownNameError: a prior, bound or unit belongs to no parameter in `values`.
    """
    prior, bounds, units = prior or {}, bounds or {}, units or {}
    for name in (*prior, *bounds, *units):
        if name not in values:
            raise UnknownNameError(f"{name!r} is not among the parameters {sorted(values)}")
    with canvas(8.0, 0.55 * len(values) + 0.9) as figure:
        axis = figure.subplots()
        for row, (name, of_sites) in enumerate(values.items()):
            fitted = np.atleast_1d(numbers(name, of_sites, np.ndim(of_sites)))
            before = np.atleast_1d(numbers(name, prior[name], np.ndim(prior[name]))) if name in prior else None
            low, high = bounds.get(name) or _ends(fitted, before)
            # Sites side by side across the row, so that equal values are seen as several.
            place = row + (np.linspace(-0.22, 0.22, len(fitted)) if len(fitted) > 1 else np.zeros(1))
            x = _share(fitted, low, high)
            axis.plot([0, 1], [row, row], color="#cccccc", lw=1, zorder=1)
            if before is not None:
                start = np.broadcast_to(_share(before, low, high), x.shape)
                axis.hlines(place, start, x, color=ORANGE, lw=0.5, alpha=1.0 if len(fitted) <= FEW else 0.3, zorder=2)
                axis.plot(start, place, "o", mfc="white", mec=ORANGE, ms=4, zorder=3)
            axis.plot(x, place, "o", color=BLUE, ms=4, alpha=0.8, zorder=4)
            text: Keywords = {"textcoords": "offset points", "va": "center", "fontsize": 7.5}
            text["color"] = "#444444" if name in bounds else GREY
            axis.annotate(f"{low:.4g}", (0.0, row), (-8, 0), ha="right", **text)
            axis.annotate(f"{high:.4g}", (1.0, row), (8, 0), ha="left", **text)
        axis.set_yticks(range(len(values)), [label(name, units.get(name)) for name in values])
        axis.set_ylim(len(values) - 0.5, -0.5)
        axis.set_xlim(-0.12, 1.12)
        ends = ["lower bound", "middle", "upper bound"] if bounds else ["smallest", "", "largest"]
        axis.set_xticks([0, 0.5, 1], ends)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(length=0)
    return figure


def _ends(fitted: Array, before: Array | None) -> tuple[float, float]:
    """The smallest and the largest of the values and those before; 0 and 1 where there are none."""
    seen = np.concatenate([fitted, before]) if before is not None else fitted
    seen = seen[np.isfinite(seen)]
    return (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)


def _share(values: Array, low: float, high: float) -> Array:
    """Place between the bounds, 0 to 1; the middle where they coincide."""
    return (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.5, np.nan)
