"""A river: what flows along its longest way, and at its gauges."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Indices
from ..plots import long_profile, series_panels
from .content import Content, unit_of
from .instruments import instruments
from .parts import figure
from .simulated import instant

OUTLETS = 6


def rivers(content: Content) -> str:
    """The long profile, and hydrographs at outlets where nothing was observed, as HTML; empty where there is no river."""
    data = content.data
    needed = ("downstream", "reach_length", "reach_slope")
    discharge = next((data[k] for k in ("discharge", "output_discharge") if k in data), None)
    if not all(name in data for name in needed) or discharge is None or discharge.dims != ("time", "cell"):
        return ""
    below, length, slope = (data[name].values for name in needed)
    way = longest_way(below.astype(int), length.astype(float))
    ends = np.cumsum(length[way])
    middle = ends - length[way] / 2
    fall = length[way] * slope[way]
    bed = fall[::-1].cumsum()[::-1] - fall / 2
    times, time_unit = content.times()
    flow = np.asarray(discharge.values, float)
    parts = [_profile(content, discharge.values, way, middle, bed)]
    if not any(one.quantity == "discharge" for one in instruments(content)):
        outlets = [int(k) for k in np.flatnonzero(below < 0)][:OUTLETS]
        panels = {_name(content, k): (times, None, times, flow[:, k]) for k in outlets}
        drawn = series_panels(panels, name="discharge", unit=unit_of(discharge), time_unit=time_unit)
        parts.append(figure(drawn, f"Discharge at the outlet{'s' if len(outlets) > 1 else ''}."))
    return "\n".join(parts)


def _profile(content: Content, discharge: Array, way: Indices, middle: Array, bed: Array) -> str:
    data = content.data
    array = next(data[k] for k in ("discharge", "output_discharge") if k in data)
    times, time_unit = content.times()
    order = np.argsort(discharge[:, way[-1]], kind="stable")
    chosen = {"lowest": int(order[0]), "median": int(order[(len(order) - 1) // 2]), "highest": int(order[-1])}
    lines = {f"{instant(times, k, time_unit)}, {word} at the outlet": discharge[k, way] for word, k in chosen.items()}
    below, length = data["downstream"].values.astype(int), data["reach_length"]
    joins = [
        (float(at - 0.5 * length.values[cell]), _name(content, int(other)))
        for cell, at in zip(way, middle, strict=True)
        for other in np.flatnonzero(below == cell)
        if other not in way
    ]
    unit = None if "units" not in length.attrs else unit_of(length)
    drawn = long_profile(middle, bed, lines, joins=joins[:12], name="discharge", unit=unit_of(array), length_unit=unit)
    return figure(
        drawn, "The longest way to the outlet: the bed, and discharge at some times; dotted lines are tributaries."
    )


def _name(content: Content, cell: int) -> str:
    return str(content.data["cell"].values[cell]) if "cell" in content.data.coords else str(cell)


def longest_way(below: Indices, length: Array) -> Indices:
    """Cells of the longest way to an outlet, from its source down.

    Args:
        below: the cell that each flows into, -1 at outlets. length: of the cells.
    """
    reached = np.zeros(len(below))
    # From each source down: what has been reached by a longer way is left.
    for source in np.setdiff1d(np.arange(len(below)), below):
        cell, so_far = int(source), 0.0
        while cell >= 0:
            so_far += float(length[cell])
            if so_far <= reached[cell]:
                break
            reached[cell], cell = so_far, int(below[cell])
    way = [int(np.argmax(np.where(below < 0, reached, -1.0)))]
    while len(above := np.flatnonzero(below == way[-1])):
        way.append(int(above[np.argmax(reached[above])]))
    return np.array(way[::-1])
