"""What data tell: intervals of values and series, and how well combinations of values are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..arrays import Numbers
from ..errors import ShapeError
from .style import BLACK, BLUE, GREY, ORANGE, SKY, canvas, instants, label, numbers, plain, series, short

# Combinations below the line are known well. Bars end where one value may be hundreds of times another: nothing is known there.
WELL, NOTHING = 0.2, 5.0
YEAR = np.timedelta64(365, "D")
# Inches: narrow figures can be read on a telephone. So many names, or so long ones, need the width of a page.
NARROW, WIDE, FEW, LONG = 5.0, 8.0, 8, 16


def value_intervals(
    names: Sequence[str],
    best: Numbers,
    low: Numbers,
    high: Numbers,
    *,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    units: Sequence[str] | None = None,
) -> Figure:
    """A bar for each value between the ends of its interval, within the bounds of the search.

    Args:
        best, low, high: `(values,)`. bounds: name -> lowest and highest; those of the interval where not given.

    Raises:
        ShapeError: there is not one number for each name.
    """
    rows = [numbers(k, v) for k, v in (("best", best), ("low", low), ("high", high))]
    if any(len(row) != len(names) for row in rows):
        raise ShapeError(f"best, low and high must have one number for each of {len(names)} names")
    with canvas(_width(names), 0.42 * len(names) + 0.8) as figure:
        axis = figure.subplots()
        for i, (name, b, lo, hi) in enumerate(zip(names, *rows, strict=True)):
            first, last = (bounds or {}).get(name, (lo, hi))
            # A value whose bounds span decades is seen on a logarithmic scale.
            log = first > 0 and last > 20 * first
            at = [np.log(v) if log else v for v in (first, last, lo, hi, b)]
            share = [(v - at[0]) / (at[1] - at[0]) if at[1] > at[0] else 0.5 for v in at[2:]]
            axis.plot([0, 1], [i, i], color="#cccccc", lw=1, zorder=1)
            axis.plot(np.clip(share[:2], 0, 1), [i, i], color=BLUE, lw=7, alpha=0.45, solid_capstyle="butt", zorder=2)
            axis.plot(np.clip(share[2], 0, 1), i, "o", color=BLUE, ms=5, zorder=3)
            for x, value, way in ((0, first, "right"), (1, last, "left")):
                axis.annotate(
                    f"{value:.4g}",
                    (x, i),
                    (-8 if x == 0 else 8, 0),
                    textcoords="offset points",
                    ha=way,
                    va="center",
                    fontsize=7.5,
                    color=GREY,
                )
        axis.set_yticks(
            range(len(names)), [label(n, u) for n, u in zip(names, units or ["1"] * len(names), strict=True)]
        )
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlim(-0.18, 1.18)
        axis.set_xticks([0, 1], ["lower bound", "upper bound"])
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(length=0)
    return figure


def _width(names: Sequence[str]) -> float:
    return NARROW if len(names) <= FEW and max(map(len, names), default=0) <= LONG else WIDE


def combinations(names: Sequence[str], errors: Numbers, directions: Numbers) -> Figure:
    """How well each combination of values is known, and what it is made of: the spectrum of the sensitivities.

    Args:
        errors: standard errors in parts, `(n,)`, growing; NaN where a combination is not seen. directions: `(n, names)`.
    """
    size, table = numbers("errors", errors), numbers("directions", directions, 2)
    if table.shape != (len(size), len(names)):
        raise ShapeError(f"directions must have the shape {(len(size), len(names))}, got {table.shape}")
    place = np.arange(len(size))
    seen = np.isfinite(size)
    with canvas(_width(names), 0.32 * max(len(size), 4) + 1.5) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.3])
        left.barh(place[seen], size[seen], left=0, color=[BLUE if s < WELL else ORANGE for s in size[seen]], height=0.6)
        for i in place[~seen]:
            left.text(NOTHING, i, "not seen ", ha="right", va="center", fontsize=8, color=GREY)
        left.set_xscale("log")
        left.set_xlim(min(float(size[seen].min()) / 3 if seen.any() else 0.01, 0.01), NOTHING)
        left.xaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
        left.xaxis.set_minor_formatter(lambda *_: "")
        left.axvline(WELL, color=BLACK, lw=0.8, ls="--")
        left.set_xlabel("standard error")
        left.set_yticks(place, [f"{i + 1}" for i in place])
        left.set_ylabel("combination (-)")
        left.set_ylim(len(size) - 0.5, -0.5)
        right.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        right.set_xticks(range(len(names)), [short(n, 14) for n in names], rotation=40, ha="right")
        right.set_yticks([])
        for i, row in enumerate(table):
            for j, v in enumerate(row):
                if abs(v) >= 0.15:
                    right.text(
                        j, i, f"{v:.2f}", ha="center", va="center", fontsize=7, color="white" if abs(v) > 0.6 else BLACK
                    )
        right.spines[:].set_visible(False)
        right.tick_params(length=0)
    return figure


def series_intervals(
    time: ArrayLike,
    observed: Numbers,
    simulated: Numbers,
    low: Numbers,
    high: Numbers,
    *,
    name: str = "runoff",
    unit: str = "mm d-1",
    time_unit: str | None = None,
) -> Figure:
    """Observed values, and between which values they are expected, in the last year of a series.

    Args:
        time: dates or numbers, `(time,)`; the others likewise, NaN where missing.
    """
    when = instants(time)
    rows = [
        series(k, v, when) for k, v in (("observed", observed), ("simulated", simulated), ("low", low), ("high", high))
    ]
    shown = np.ones(len(when), bool)
    known = np.flatnonzero(np.isfinite(rows[0]) & np.isfinite(rows[2]))
    if when.dtype.kind == "M" and len(known):
        shown = (when > when[known[-1]] - YEAR) & (when <= when[known[-1]])
    seen, middle, below, above = (row[shown] for row in rows)
    with canvas(8.0, 2.8) as figure:
        axis = figure.subplots()
        axis.fill_between(when[shown], below, above, color=SKY, alpha=0.5, lw=0, label="expected between")
        axis.plot(when[shown], middle, color=BLUE, lw=1, label="simulated")
        axis.plot(when[shown], seen, ".", color=BLACK, ms=3, label="observed")
        axis.set_ylabel(label(name, unit))
        axis.set_xlabel("" if when.dtype.kind == "M" else f"time ({plain(time_unit or '-')})")
        axis.legend(ncols=3)
        axis.margins(x=0)
    return figure


def curve_of_dimension(
    dimensions: Numbers, performance: Numbers, threshold: float, *, name: str = "performance"
) -> Figure:
    """Performance of trainings in random subspaces against their dimension, a thin line for each seed.

    Args:
        dimensions: `(n,)`. performance: `(n, seeds)`. threshold: what is to be exceeded.
    """
    d, table = numbers("dimensions", dimensions), numbers("performance", performance, 2)
    if len(d) != len(table):
        raise ShapeError(f"performance must have one row for each of {len(d)} dimensions, got {table.shape}")
    with canvas(5.0, 3.2) as figure:
        axis = figure.subplots()
        axis.plot(d, table, color=GREY, lw=0.7)
        axis.plot(d, table.mean(1), color=BLUE, marker="o", ms=4)
        axis.axhline(threshold, color=BLACK, lw=0.8, ls="--")
        axis.set_xscale("log")
        axis.set_xlabel("dimension of the subspace (-)")
        axis.set_ylabel(label(name, "1"))
    return figure
