"""Series in time: flow beside rain, and moisture over depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .style import (
    ENSEMBLE,
    GREY,
    OBSERVED,
    PRIOR,
    RAIN,
    SIMULATED,
    canvas,
    instants,
    label,
    numbers,
    plain,
    series,
    wrong_shape,
)

# So many steps and observations still have room for a dot each.
DOTS = 800


def hydrograph(
    time: Any,
    observed: Any,
    simulated: Any,
    *,
    prior: Any = None,
    ensemble: Any = None,
    rain: Any = None,
    window: tuple[Any, Any] | None = None,
    periods: Mapping[str, tuple[Any, Any]] | None = None,
    name: str = "runoff",
    unit: str = "mm d-1",
    rain_unit: str = "mm d-1",
    time_unit: str | None = None,
    title: str = "",
) -> Figure:
    """Observed and simulated flow, with rain upside down on top.

    Args:
        time: `(time,)`, dates or numbers.
        observed, simulated, prior, ensemble, rain: `(time,)`; NaN is not drawn. `prior` is the simulation before
            calibration, `ensemble` the mean of several that are nearly as good as the best.
        window: first and last time of what is drawn large; the whole series is then drawn small below it.
        periods: name -> first and last time, marked in the whole series.
        time_unit: of times that are numbers.

    Raises:
        ShapeError: a series is not as long as `time`; names it.
    """
    times = instants(time)
    lines = {"observed": (observed, OBSERVED, 1.1), "simulated": (simulated, SIMULATED, 1.2)}
    if prior is not None:
        lines = {"before calibration": (prior, PRIOR, 0.9), **lines}
    if ensemble is not None:
        lines["mean of the ensemble"] = (ensemble, ENSEMBLE, 1.0)
    drawn = {k: (series(k, v, times), colour, width) for k, (v, colour, width) in lines.items()}
    falling = None if rain is None else series("rain", rain, times)
    first, last = (times[0], times[-1]) if window is None else _ends(window, times)
    inside = (times >= first) & (times <= last)
    whole = bool(inside.all())

    rows = {"rain": 1.0} if falling is not None else {}
    rows |= {"flow": 3.2} if whole else {"flow": 3.2, "whole": 1.0}
    with canvas(9.5, 0.75 * sum(rows.values()) + 0.5) as figure:
        found = figure.subplots(len(rows), 1, height_ratios=[*rows.values()], squeeze=False)[:, 0]
        axes = dict(zip(rows, found, strict=True))
        for text, (values, colour, width) in drawn.items():
            few = text == "observed" and inside.sum() <= DOTS
            axes["flow"].plot(times[inside], values[inside], color=colour, lw=width, marker="." if few else None, ms=2.5,
                              label=text, zorder={"simulated": 4, "mean of the ensemble": 3}.get(text, 2))  # fmt: skip
        axes["flow"].set_ylabel(label(name, unit))
        axes["flow"].legend(loc="upper right", ncol=len(drawn))
        axes["flow"].set_ylim(bottom=min(0.0, axes["flow"].get_ylim()[0]))
        if falling is not None:
            axes["rain"].fill_between(times[inside], falling[inside], color=RAIN, step="pre", lw=0)
            most = float(np.nan_to_num(falling[inside]).max(initial=0.0))
            axes["rain"].set_ylim(1.05 * most if most > 0 else 1.0, 0.0)
            axes["rain"].set_ylabel(label("rain", rain_unit))
            axes["rain"].spines["bottom"].set_visible(False)
            axes["rain"].spines["top"].set_visible(True)
            axes["rain"].tick_params(bottom=False, labelbottom=False)
            axes["rain"].sharex(axes["flow"])
        if first < last:
            axes["flow"].set_xlim(first, last)
        if not whole:
            _whole(axes["whole"], times, drawn, (first, last), periods or {})
        for axis in (axes["flow"], *([] if whole else [axes["whole"]])):
            _time_axis(axis, times, time_unit)
        found[0].set_title(plain(title), loc="left")
    return figure


def _ends(window: tuple[Any, Any], times: NDArray[Any]) -> tuple[Any, Any]:
    kind = times.dtype.type
    return (np.datetime64(window[0], "ms"), np.datetime64(window[1], "ms")) if kind is np.datetime64 else window


def _whole(axis: Any, times: NDArray[Any], drawn: Any, window: Any, periods: Mapping[str, tuple[Any, Any]]) -> None:
    """The whole series, with the window shaded and the periods named."""
    for values, colour, _ in drawn.values():
        # Thousands of points in a small panel are an image.
        axis.plot(times, values, color=colour, lw=0.5, rasterized=len(times) > DOTS)
    axis.axvspan(*window, color=GREY, alpha=0.3, lw=0)
    if len(times) > 1:
        axis.set_xlim(times[0], times[-1])
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    for text, ends in periods.items():
        first, last = _ends(ends, times)
        axis.axvline(first, color=GREY, lw=0.8, ls=":")
        axis.axvline(last, color=GREY, lw=0.8, ls=":")
        axis.annotate(plain(text), (first, 1.0), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                      va="top", fontsize=7, color="#444444", annotation_clip=True)  # fmt: skip


def _time_axis(axis: Any, times: NDArray[Any], unit: str | None) -> None:
    if times.dtype.kind == "M":
        locator = AutoDateLocator(minticks=3, maxticks=9)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axis.set_xlabel(label("time", unit))


def moisture_profile(
    time: Any,
    depth: Any,
    values: Any,
    *,
    probe_depth: Any = None,
    probe_time: Any = None,
    probe_values: Any = None,
    name: str = "water content",
    unit: str = "1",
    depth_unit: str = "m",
    time_unit: str | None = None,
    title: str = "",
    colours: str = "YlGnBu",
) -> Figure:
    """A state of a column over time (to the right) and depth (downwards), as filled colours.

    Args:
        time: `(time,)`, dates or numbers.
        depth: `(cell,)`, of the centres of the cells.
        values: `(time, cell)`; NaN is left white.
        probe_depth, probe_time, probe_values: `(probe,)`, `(when,)` and `(when, probe)`: measurements, drawn as
            dots in the same colours. `probe_time` is `time` where not given.
        time_unit: of times that are numbers.

    Raises:
        ShapeError: shapes do not fit.
    """
    times, depths = instants(time), numbers("depth", depth)
    field = numbers("values", values, 2)
    if field.shape != (len(times), len(depths)):
        raise wrong_shape("values", field, (len(times), len(depths)))
    order = np.argsort(depths)
    when = times if probe_time is None else instants(probe_time)
    measured = None if probe_values is None else numbers("probe_values", probe_values, 2)
    below = None if probe_depth is None else numbers("probe_depth", probe_depth)
    if measured is not None and (below is None or measured.shape != (len(when), len(below))):
        raise wrong_shape("probe_values", measured, (len(when), 0 if below is None else len(below)))
    seen = field[np.isfinite(field)] if measured is None else np.concatenate(
        [x[np.isfinite(x)] for x in (field, measured)])  # fmt: skip
    levels = MaxNLocator(12).tick_values(seen.min(), seen.max()) if len(seen) else np.array([0.0, 1.0])
    with canvas(9.5, 3.4) as figure:
        axis = figure.subplots()
        norm = BoundaryNorm(levels, 256)
        mesh = axis.pcolormesh(times, depths[order], field[:, order].T, norm=norm, cmap=colours, shading="nearest",
                               rasterized=True)  # fmt: skip
        if measured is not None and below is not None:
            at, down = np.meshgrid(np.arange(len(when)), below, indexing="ij")
            axis.scatter(when[at.ravel()], down.ravel(), c=measured.ravel(), norm=norm, cmap=colours, s=14, lw=0.4,
                         edgecolors="black", label="measured")  # fmt: skip
            axis.legend(loc="upper left", bbox_to_anchor=(0.0, 1.12))
        if len(times) > 1:
            axis.set_xlim(times[0], times[-1])
        half = np.diff(depths[order])[[0, -1]] / 2 if len(depths) > 1 else np.zeros(2)
        axis.set_ylim(depths.max() + half[1], max(0.0, depths.min() - half[0]) if depths.min() >= 0 else depths.min())
        axis.set_ylabel(label("depth", depth_unit))
        axis.set_title(plain(title), loc="left")
        figure.colorbar(mesh, ax=axis, label=label(name, unit), pad=0.01)
        _time_axis(axis, times, time_unit)
    return figure
