"""Series in time: flow beside rain, and moisture over depth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..arrays import Array, Dates, Numbers
from .style import (
    ENSEMBLE,
    GREY,
    OBSERVED,
    PRIOR,
    RAIN,
    SIMULATED,
    Instant,
    Keywords,
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
    time: ArrayLike,
    observed: Numbers,
    simulated: Numbers,
    *,
    prior: Numbers | None = None,
    ensemble: Numbers | None = None,
    rain: Numbers | None = None,
    window: tuple[Instant, Instant] | None = None,
    periods: Mapping[str, tuple[Instant, Instant]] | None = None,
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
        panels = figure.subplots(len(rows), 1, height_ratios=[*rows.values()], squeeze=False)[:, 0]
        axes: dict[str, Axes] = dict(zip(rows, panels, strict=True))
        flow, orders = axes["flow"], {"simulated": 4, "mean of the ensemble": 3}
        for text, (values, colour, width) in drawn.items():
            dots = "." if text == "observed" and inside.sum() <= DOTS else None
            style: Keywords = {"color": colour, "lw": width, "marker": dots, "ms": 2.5, "zorder": orders.get(text, 2)}
            flow.plot(times[inside], values[inside], label=text, **style)
        flow.set_ylabel(label(name, unit))
        flow.legend(loc="upper right", ncol=len(drawn))
        flow.set_ylim(bottom=min(0.0, flow.get_ylim()[0]))
        if falling is not None:
            _rain(axes["rain"], times[inside], falling[inside], rain_unit)
            axes["rain"].sharex(flow)
        if first < last:
            flow.set_xlim(first, last)
        if not whole:
            _whole(axes["whole"], times, drawn, (first, last), periods or {})
        for axis in (flow, *([] if whole else [axes["whole"]])):
            _time_axis(axis, times, time_unit)
        panels[0].set_title(plain(title), loc="left")
    return figure


def _ends(window: tuple[Instant, Instant], times: Dates | Array) -> tuple[Instant, Instant]:
    kind = times.dtype.type
    return (np.datetime64(window[0], "ms"), np.datetime64(window[1], "ms")) if kind is np.datetime64 else window


def _rain(axis: Axes, times: Dates | Array, falling: Array, unit: str) -> None:
    """Rain from the top downwards, on an axis without a scale of time."""
    axis.fill_between(times, falling, color=RAIN, step="pre", lw=0)
    most = float(np.nan_to_num(falling).max(initial=0.0))
    axis.set_ylim(1.05 * most if most > 0 else 1.0, 0.0)
    axis.set_ylabel(label("rain", unit))
    axis.spines["bottom"].set_visible(False)
    axis.spines["top"].set_visible(True)
    axis.tick_params(bottom=False, labelbottom=False)


def _whole(
    axis: Axes,
    times: Dates | Array,
    drawn: Mapping[str, tuple[Array, str, float]],
    window: tuple[Instant, Instant],
    periods: Mapping[str, tuple[Instant, Instant]],
) -> None:
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
        place: Keywords = {
            "xycoords": ("data", "axes fraction"),
            "textcoords": "offset points",
            "annotation_clip": True,
        }
        axis.annotate(plain(text), (first, 1.0), (3, -2), va="top", fontsize=7, color="#444444", **place)


def _time_axis(axis: Axes, times: Dates | Array, unit: str | None) -> None:
    if times.dtype.kind == "M":
        locator = AutoDateLocator(minticks=3, maxticks=9)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axis.set_xlabel(label("time", unit))


def moisture_profile(
    time: ArrayLike,
    depth: Numbers,
    values: Numbers,
    *,
    probe_depth: Numbers | None = None,
    probe_time: ArrayLike | None = None,
    probe_values: Numbers | None = None,
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
    if len(depths) == 1:
        # A single cell reaches from the surface to as far below its centre; it is drawn as two of the same value.
        half = depths[0] / 2 if depths[0] > 0 else 0.5
        depths, field = np.array([depths[0] - half, depths[0] + half]), field.repeat(2, axis=1)
    order = np.argsort(depths)
    when = times if probe_time is None else instants(probe_time)
    measured = None if probe_values is None else numbers("probe_values", probe_values, 2)
    below = None if probe_depth is None else numbers("probe_depth", probe_depth)
    if measured is not None and (below is None or measured.shape != (len(when), len(below))):
        raise wrong_shape("probe_values", measured, (len(when), 0 if below is None else len(below)))
    seen = np.concatenate([x[np.isfinite(x)] for x in (field, measured) if x is not None])
    levels = MaxNLocator(12).tick_values(seen.min(), seen.max()) if len(seen) else np.array([0.0, 1.0])
    with canvas(9.5, 3.4) as figure:
        axis = figure.subplots()
        scale: Keywords = {"norm": BoundaryNorm(levels, 256), "cmap": colours}
        mesh = axis.pcolormesh(times, depths[order], field[:, order].T, shading="nearest", rasterized=True, **scale)
        if measured is not None and below is not None:
            at, down = np.meshgrid(np.arange(len(when)), below, indexing="ij")
            dots = {"s": 14, "lw": 0.4, "edgecolors": "black", "label": "measured", **scale}
            axis.scatter(when[at.ravel()], down.ravel(), c=measured.ravel(), **dots)
            axis.legend(loc="upper left", bbox_to_anchor=(0.0, 1.12))
        if len(times) > 1:
            axis.set_xlim(times[0], times[-1])
        half = np.diff(depths[order])[[0, -1]] / 2
        axis.set_ylim(depths.max() + half[1], max(0.0, depths.min() - half[0]) if depths.min() >= 0 else depths.min())
        axis.set_ylabel(label("depth", depth_unit))
        axis.set_title(plain(title), loc="left")
        figure.colorbar(mesh, ax=axis, label=label(name, unit), pad=0.01)
        _time_axis(axis, times, time_unit)
    return figure
