"""What instruments have seen beside what was simulated: panels, values against each other, and how far they are apart."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..html import table
from ..plots import one_to_one, series_panels
from .content import Content, text_of, unit_of
from .parts import figure, number, of_unit

# Panels of a figure, and rows of a table; with more it would be a book.
PANELS, ROWS = 12, 60


class Instrument(NamedTuple):
    """A series of one instrument; `cell` is where it is on the grid, None where that is not known."""

    label: str
    quantity: str
    use: str
    times: NDArray[np.generic]
    time_unit: str | None
    observed: Array
    simulated: Array
    unit: str
    cell: int | None


def instruments(content: Content) -> list[Instrument]:
    """All that have a time axis of their own, and probes at depths."""
    found = []
    for key in map(str, content.data.data_vars):
        name, observed = key.removesuffix("_observed"), content.data[key]
        simulated = content.data.get(f"{name}_simulated")
        if name == key or simulated is None or simulated.dims != observed.dims or "time" in observed.dims:
            continue
        if observed.dtype.kind not in "fiu" or simulated.dtype.kind not in "fiu":
            continue
        quantity, use = text_of(observed.attrs.get("quantity", name)), text_of(observed.attrs.get("use", "train"))
        if observed.ndim == 1:
            times, time_unit = content.times(str(observed.dims[0]))
            label = text_of(observed.attrs.get("long_name", name)).removesuffix(", observed")
            cell = observed.attrs.get("cell")
            seen, made = (np.asarray(v.values, float) for v in (observed, simulated))
            place = None if cell is None else int(cell)
            found.append(Instrument(label, quantity, use, times, time_unit, seen, made, unit_of(observed), place))
        elif observed.ndim == 2 and "probe_depth" in content.data:
            probe = content.data["probe_depth"].dims[0]
            if probe not in observed.dims:
                continue
            when = next(str(d) for d in observed.dims if d != probe)
            times, time_unit = content.times(when)
            depth_unit = unit_of(content.data["probe_depth"])
            rows = [np.asarray(v.transpose(when, probe).values, float) for v in (observed, simulated)]
            for k, depth in enumerate(content.data["probe_depth"].values):
                known = np.isfinite(rows[0][:, k])
                if known.any():
                    label = f"{name} at {depth:g}{'' if depth_unit == '1' else ' ' + depth_unit}"
                    seen, made, unit = rows[0][known, k], rows[1][known, k], unit_of(observed)
                    found.append(Instrument(label, quantity, use, times[known], time_unit, seen, made, unit, None))
    return found


def observations(content: Content) -> str:
    """Series, scatter and a table of what was observed by instruments, as HTML; empty where there is nothing."""
    seen = instruments(content)
    parts = []
    for quantity in dict.fromkeys((one.quantity, one.unit) for one in seen):
        group = [one for one in seen if (one.quantity, one.unit) == quantity]
        name, unit = quantity[0].replace("_", " "), quantity[1]
        shown = group[:PANELS]
        panels = {_label(one): (one.times, one.observed, one.times, one.simulated) for one in shown}
        more = f", the first {PANELS} of {len(group)}" if len(group) > PANELS else ""
        drawn = series_panels(panels, name=name, unit=unit, time_unit=shown[0].time_unit)
        parts.append(figure(drawn, f"{name}: observed (dots) and simulated (lines){more}."))
        uses = dict.fromkeys(one.use for one in group)
        pairs = {
            use: tuple(
                np.concatenate([getattr(one, what) for one in group if one.use == use])
                for what in ("observed", "simulated")
            )
            for use in uses
        }
        drawn = one_to_one({use: (pair[0], pair[1]) for use, pair in pairs.items()}, name=name, unit=unit)
        parts.append(figure(drawn, f"{name}: all of it, simulated against observed."))
    if seen:
        head = ["what", "used in", "values", "bias", "RMSE", "NSE"]
        rows = [[escape(one.label) + of_unit(one.unit), escape(one.use), *_scores(one)] for one in seen[:ROWS]]
        caption = "<b>residuals</b>, simulated less observed, of each instrument"
        parts.append(table(head, rows, left=2, caption=caption))
    return "\n".join(parts)


def _label(one: Instrument) -> str:
    return one.label if one.use == "train" else f"{one.label} ({one.use})"


def _scores(one: Instrument) -> list[str]:
    both = np.isfinite(one.observed) & np.isfinite(one.simulated)
    error = (one.simulated - one.observed)[both]
    if not len(error):
        return ["0", *[number(np.nan)] * 3]
    spread = float(((one.observed[both] - one.observed[both].mean()) ** 2).sum())
    efficiency = 1 - float((error**2).sum()) / spread if spread > 0 else np.nan
    return [
        str(len(error)),
        number(float(error.mean()), ".3g"),
        number(float((error**2).mean() ** 0.5), ".3g"),
        number(efficiency, ".3f"),
    ]
