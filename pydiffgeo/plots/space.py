"""Where things are: profiles over depth, fields on a grid, and along a river."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from ..arrays import Array, Numbers
from .style import BLACK, BLUE, GREY, OTHERS, Keywords, canvas, label, numbers, plain, short, wrong_shape

# Fields that span more are drawn on a logarithmic scale of colours.
DECADES = 30.0


def profile_lines(
    depth: Numbers,
    profiles: Mapping[str, Numbers],
    *,
    measured: Mapping[str, tuple[Numbers, Numbers]] | None = None,
    name: str = "water content",
    unit: str = "1",
    depth_unit: str = "m",
) -> Figure:
    """Profiles over depth, from light to dark as they follow one another.

    Args:
        depth: `(cell,)`. profiles: label, such as a time -> `(cell,)`.
        measured: label -> depths and values of what was measured then, drawn as dots in the colour of that profile.
    """
    below = numbers("depth", depth)
    order = np.argsort(below)
    with canvas(5.2, 4.2) as figure:
        axis = figure.subplots()
        for k, (text, values) in enumerate(profiles.items()):
            row = numbers(text, values)
            if row.shape != below.shape:
                raise wrong_shape(text, row, below.shape)
            colour = _shade(k, len(profiles))
            axis.plot(row[order], below[order], color=colour, lw=1.4, label=short(text))
            if measured and text in measured:
                at, seen = measured[text]
                axis.plot(numbers("values", seen), numbers("depth", at), "o", color=colour, ms=4, mec=BLACK, mew=0.4)
        axis.invert_yaxis()
        axis.set_xlabel(label(name, unit))
        axis.set_ylabel(label("depth", depth_unit))
        axis.grid(color="#dddddd", lw=0.5)
        axis.legend(loc="best", fontsize=7.5)
    return figure


def _shade(k: int, count: int) -> tuple[float, float, float]:
    """From a light to a dark blue."""
    share = k / max(count - 1, 1)
    return 0.62 - 0.55 * share, 0.78 - 0.5 * share, 0.92 - 0.5 * share


def field_map(
    x: Numbers,
    y: Numbers,
    field: Numbers,
    *,
    places: Mapping[str, tuple[float, float]] | None = None,
    name: str = "head",
    unit: str = "m",
    length_unit: str | None = "m",
    title: str = "",
    contours: bool = False,
    zero: bool = False,
) -> Figure:
    """A field on a raster, rows from the top down as they are numbered; places without a cell are left white.

    Args:
        x, y: edges of the columns `(columns + 1,)` and rows `(rows + 1,)`.
        field: `(rows, columns)`, NaN where there is no cell.
        places: name -> x and y, marked.
        contours: lines of equal value too. zero: colours from blue to red around zero.

    Raises:
        ShapeError: shapes do not fit.
    """
    across, down, values = numbers("x", x), numbers("y", y), numbers("field", field, 2)
    if values.shape != (len(down) - 1, len(across) - 1):
        raise wrong_shape("field", values, (len(down) - 1, len(across) - 1))
    wide, tall = float(np.ptp(across)), float(np.ptp(down))
    with canvas(7.0, float(np.clip(5.6 * tall / wide + 0.6, 2.2, 6.5))) as figure:
        axis = figure.subplots()
        mesh = axis.pcolormesh(across, down, values, rasterized=True, **_scale(values, zero))
        seen = values[np.isfinite(values)]
        if (
            contours
            and min(values.shape) > 2
            and len(seen)
            and np.ptp(seen) > 1e-9 * max(1.0, float(np.abs(seen).max()))
        ):
            centres = [(edges[1:] + edges[:-1]) / 2 for edges in (across, down)]
            lines = axis.contour(*centres, np.ma.masked_invalid(values), 8, colors=BLACK, linewidths=0.5, alpha=0.6)
            axis.clabel(lines, fontsize=6.5)
        for text, (east, south) in (places or {}).items():
            axis.plot(east, south, "o", color="white", mec=BLACK, ms=5, mew=0.9)
            axis.annotate(short(text, 14), (east, south), (4, 3), textcoords="offset points", fontsize=7)
        axis.set_aspect("equal")
        axis.set_xlim(across[0], across[-1])
        axis.set_ylim(down[-1], down[0])
        axis.set_xlabel(label("x", length_unit))
        axis.set_ylabel(label("y", length_unit))
        axis.set_title(plain(title), loc="left")
        figure.colorbar(mesh, ax=axis, label=label(name, unit), pad=0.02, shrink=0.9)
    return figure


def residual_map(
    x: Numbers,
    y: Numbers,
    places: tuple[Numbers, Numbers],
    residuals: Numbers,
    *,
    name: str,
    unit: str,
    length_unit: str | None,
) -> Figure:
    """Residuals at their places on a raster, as dots in colours from blue to red around zero.

    Args:
        x, y: edges of columns and rows. places: x and y of each, `(n,)`. residuals: simulated less observed, `(n,)`.
    """
    across, down, values = numbers("x", x), numbers("y", y), numbers("residuals", residuals)
    wide, tall = float(np.ptp(across)), float(np.ptp(down))
    with canvas(6.4, float(np.clip(5.0 * tall / wide + 0.6, 2.2, 6.5))) as figure:
        axis = figure.subplots()
        east, south = (numbers("places", p) for p in places)
        dots = axis.scatter(east, south, c=values, s=46, lw=0.6, edgecolors=BLACK, **_scale(values, True))
        axis.set_aspect("equal")
        axis.set_xlim(across[0], across[-1])
        axis.set_ylim(down[-1], down[0])
        axis.set_xlabel(label("x", length_unit))
        axis.set_ylabel(label("y", length_unit))
        axis.grid(color="#dddddd", lw=0.5)
        figure.colorbar(dots, ax=axis, label=label(name, unit), pad=0.02, shrink=0.9)
    return figure


def _scale(values: Array, zero: bool) -> Keywords:
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    if zero:
        most = max(abs(low), abs(high)) or 1.0
        return {"norm": TwoSlopeNorm(0.0, -most, most), "cmap": "RdBu_r"}
    if low > 0 and high / low > DECADES:
        return {"norm": LogNorm(low, high), "cmap": "viridis"}
    return {"norm": Normalize(low, high if high > low else low + 1e-9 + 1e-6 * abs(low)), "cmap": "viridis"}


def long_profile(
    distance: Numbers,
    bed: Numbers,
    lines: Mapping[str, Numbers],
    *,
    joins: Sequence[tuple[float, str]] = (),
    name: str = "discharge",
    unit: str = "m3 s-1",
    length_unit: str | None = "m",
) -> Figure:
    """The bed of a river along its way to the outlet, and below it what flows there at some times.

    Args:
        distance: from the source of the longest way to the middle of each reach, `(reach,)`.
        bed: elevation of the bed above that at the outlet, `(reach,)`.
        lines: label, such as a time -> `(reach,)`. joins: distance and name of reaches that are marked.
    """
    along, below = numbers("distance", distance), numbers("bed", bed)
    with canvas(8.5, 4.4) as figure:
        upper, axis = figure.subplots(2, 1, sharex=True, height_ratios=[1.0, 1.6])
        upper.fill_between(along, below, min(0.0, float(np.nanmin(below))), color="#d9cbb3", lw=0)
        upper.plot(along, below, color=BLACK, lw=1.2, marker="." if len(along) < 40 else None, ms=4)
        upper.set_ylabel(label("bed above outlet", length_unit))
        for k, (text, values) in enumerate(lines.items()):
            row = numbers(text, values)
            if row.shape != along.shape:
                raise wrong_shape(text, row, along.shape)
            axis.plot(along, row, color=_shade(k, len(lines)), lw=1.4, label=short(text))
        for at, text in joins:
            for panel in (upper, axis):
                panel.axvline(at, color=GREY, lw=0.7, ls=":")
            upper.annotate(
                short(text, 16),
                (at, 1.0),
                (2, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=7,
            )
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        axis.set_xlabel(label("distance from the source", length_unit))
        axis.set_ylabel(label(name, unit))
        axis.legend(loc="best", fontsize=7.5)
    return figure


def one_to_one(groups: Mapping[str, tuple[Numbers, Numbers]], *, name: str, unit: str) -> Figure:
    """Simulated against observed values with the line on which they are equal; groups have a colour each.

    Args:
        groups: label -> observed and simulated values, `(n,)` each.
    """
    colours = (BLUE, *OTHERS)
    with canvas(4.6, 4.2) as figure:
        axis = figure.subplots()
        ends = list[float]()
        for k, (text, (observed, simulated)) in enumerate(groups.items()):
            seen, made = numbers("observed", observed), numbers("simulated", simulated)
            both = np.isfinite(seen) & np.isfinite(made)
            if both.any():
                ends += [float(v) for values in (seen[both], made[both]) for v in (values.min(), values.max())]
                axis.plot(
                    seen[both],
                    made[both],
                    "o",
                    ms=3.2,
                    alpha=0.7,
                    color=colours[k % len(colours)],
                    label=short(text, 24),
                )
        low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
        axis.plot([low, high], [low, high], color=BLACK, lw=0.8)
        axis.set_xlabel(label(f"observed {name}", unit))
        axis.set_ylabel(label(f"simulated {name}", unit))
        axis.grid(color="#dddddd", lw=0.5)
        if 1 < len(groups) <= 8:
            axis.legend(loc="best", fontsize=7)
    return figure
