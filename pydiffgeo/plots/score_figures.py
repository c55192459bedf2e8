"""Scores over many sites: how they are distributed, and where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..arrays import Numbers
from ..errors import InputError, ShapeError
from .style import BLACK, BLUE, GREY, OTHERS, Keywords, canvas, label, numbers, plain, short

HEIGHT = 3.6


def score_cdf(
    scores: Mapping[str, Numbers],
    *,
    baselines: Mapping[str, Numbers] | None = None,
    name: str = "NSE",
    limits: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Share of the sites with a score up to each value; the further to the right, the better.

    Args:
        scores: name, such as a period -> `(site,)`; NaN, a site without a score, is left out.
        baselines: the same of baselines, drawn dashed.
        limits: of the axis; the legend says how many scores lie below it.
    """
    low, high = limits
    with canvas(6.0, HEIGHT) as figure:
        axis = figure.subplots()
        styles = [(BLUE, "-", 1.8), (BLACK, "-", 1.2), (GREY, "-", 1.2)]
        lines = [(k, v, styles[min(i, 2)]) for i, (k, v) in enumerate(scores.items())]
        lines += [(k, v, (OTHERS[i % len(OTHERS)], "--", 1.2)) for i, (k, v) in enumerate((baselines or {}).items())]
        for text, of_sites, (colour, dashes, width) in lines:
            values = numbers(text, of_sites)
            values = np.sort(values[np.isfinite(values)])
            if len(values):
                share = np.arange(len(values) + 1) / len(values)
                below = int((values < low).sum())
                tail = f"; {below} below {low:g}" if below else ""
                text = f"{short(text)}: median {np.median(values):.2f}{tail}"
                ends = [min(low, values[0]), *values, max(high, values[-1])]
                axis.step(ends, [*share, 1.0], where="post", color=colour, ls=dashes, lw=width, label=text)
        axis.set_xlim(low, high)
        axis.set_ylim(0.0, 1.02)
        axis.set_xlabel(f"{plain(name)} (-)")
        axis.set_ylabel("share of sites (-)")
        axis.grid(color="#dddddd", lw=0.5)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper left")
    return figure


def score_map(
    longitude: Numbers,
    latitude: Numbers,
    scores: Numbers,
    *,
    name: str = "NSE",
    unit: str = "1",
    limits: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Scores at their places; a cross is a site without a score.

    Args:
        longitude, latitude, scores: `(site,)`, degrees east and north.
        limits: of the colours.

    Raises:
        ShapeError: lengths differ.
        InputError: no site has a place.
    """
    east, north, values = numbers("longitude", longitude), numbers("latitude", latitude), numbers("scores", scores)
    if not len(east) == len(north) == len(values):
        raise ShapeError(f"there are {len(east)} longitudes, {len(north)} latitudes and {len(values)} scores")
    placed = np.isfinite(east) & np.isfinite(north)
    if not placed.any():
        raise InputError("a map needs at least one site with longitude and latitude")
    # A worse site lies on top: it is the one to be seen.
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf))
    order = order[placed[order]]
    scored = order[np.isfinite(values[order])]
    bare = order[~np.isfinite(values[order])]
    with canvas(7.5, 4.2) as figure:
        axis = figure.subplots()
        scale: Keywords = {"c": values[scored], "vmin": limits[0], "vmax": limits[1], "cmap": "viridis"}
        dots = axis.scatter(east[scored], north[scored], s=45, lw=0.5, edgecolors="black", zorder=3, **scale)
        if len(bare):
            axis.scatter(east[bare], north[bare], marker="x", color=BLACK, s=30, label="no score")
            axis.legend()
        # A degree of longitude is shorter than one of latitude.
        axis.set_aspect(1 / max(0.1, float(np.cos(np.deg2rad(np.mean(north[order]))))), adjustable="datalim")
        axis.margins(0.08)
        axis.set_xlabel("longitude (degrees east)")
        axis.set_ylabel("latitude (degrees north)")
        axis.grid(color="#dddddd", lw=0.5)
        low, high = (values[scored].min(), values[scored].max()) if len(scored) else limits
        beyond = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
        extend = beyond[bool(low < limits[0]), bool(high > limits[1])]
        figure.colorbar(dots, ax=axis, label=label(name, unit), extend=extend)
    return figure
