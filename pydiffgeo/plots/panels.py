"""Many short series, each in a small panel of its own."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..arrays import Numbers
from .style import OBSERVED, SIMULATED, canvas, instants, label, plain, series, short

# Beside each other, and in all.
ACROSS = 3


def series_panels(
    panels: Mapping[str, tuple[ArrayLike, Numbers | None, ArrayLike, Numbers]],
    *,
    name: str = "",
    unit: str = "",
    time_unit: str | None = None,
    shared: bool = True,
) -> Figure:
    """Observed dots and simulated lines, a panel for each place.

    Args:
        panels: label -> times and values of what was observed (None where nothing was), times and values of what was
            simulated.
        time_unit: of times that are numbers. shared: whether all are of one quantity, and so on one scale.
    """
    across = min(ACROSS, max(len(panels), 1))
    rows = -(-len(panels) // across)
    with canvas(9.5 if across > 1 else 6.5, 1.75 * rows + 0.5) as figure:
        axes = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=shared).ravel()
        for axis, (text, (when, observed, times, simulated)) in zip(axes, panels.items(), strict=False):
            drawn = instants(times)
            axis.plot(drawn, series("simulated", simulated, drawn), color=SIMULATED, lw=1.1)
            if observed is not None:
                seen = instants(when)
                axis.plot(seen, series("observed", observed, seen), ".", color=OBSERVED, ms=3.5)
            axis.set_title(short(plain(text), 34), loc="left", fontsize=8)
            axis.tick_params(axis="x", labelsize=7)
            if drawn.dtype.kind == "M":
                locator = AutoDateLocator(minticks=2, maxticks=4)
                axis.xaxis.set_major_locator(locator)
                axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        if shared:
            figure.supylabel(label(name, unit), fontsize=9)
        if time_unit is not None:
            figure.supxlabel(label("time", time_unit), fontsize=9)
    return figure
