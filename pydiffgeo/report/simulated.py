"""What was simulated: profiles of a column at some times, series of what has no place, and the balance as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..plots import balance_picture, profile_lines, series_panels
from .content import Content, DataArray, Profile, title_of, unit_of
from .parts import figure

# Lines of a figure of profiles, profiles of different variables, and panels of a figure of series.
LINES, PROFILES, PANELS = 6, 3, 12
# Of all that came and went, a part that is smaller is rounding.
NOTHING = 1e-9
# Series that are smaller throughout are rounding.
TINY = 1e-15


def moments(count: int, most: int = LINES) -> list[int]:
    """Places of some times, the first and the last among them, evenly spread."""
    return sorted({round(float(k)) for k in np.linspace(0, count - 1, min(most, count))})


def instant(times: NDArray[np.generic], at: int, unit: str | None) -> str:
    """A time as text: a date, or a number with its unit."""
    if times.dtype.kind == "M":
        return str(times[at].astype("datetime64[m]")).replace("T00:00", "").replace("T", " ")
    return f"{float(times[at]):g} {unit or ''}".rstrip()


def profiles_at_times(content: Content) -> str:
    """States and outputs over depth at some times, as HTML; empty where there is no depth."""
    own = [p for p in content.profiles if content.site not in p.values.dims]
    return "\n".join(_profile(content, profile) for profile in own[:PROFILES])


def _profile(content: Content, profile: Profile) -> str:
    times, time_unit = content.times()
    values = np.asarray(profile.values.transpose("time", ...).values, float)
    lines = {instant(times, k, time_unit): values[k] for k in moments(len(times))}
    drawn = profile_lines(
        np.asarray(profile.depth.values, float),
        lines,
        name=profile.name.replace("_", " "),
        unit=unit_of(profile.values),
        depth_unit=unit_of(profile.depth),
    )
    return figure(drawn, f"{title_of(profile.values).capitalize()} over depth, at some times.")


def series_of_all(content: Content) -> str:
    """States, outputs and fluxes that have no place, one panel each, as HTML; empty where there are none."""
    times, time_unit = content.times() if "time" in content.data.sizes else (np.empty(0), None)
    panels = {}
    for key, array in content.data.data_vars.items():
        name, unit = str(key), unit_of(array)
        if array.dtype.kind not in "fiu" or array.dims not in (("time",), ("interval",)) or _is_of_pair(content, name):
            continue
        values = np.asarray(array.values, float)
        if not (np.abs(values) > TINY).any():
            continue
        text = name.replace("_", " ") + ("" if unit == "1" else f" ({unit})")
        when = times if array.dims == ("time",) else content.times("interval")[0]
        panels[text] = (when, None, when, values)
    if not panels:
        return ""
    parts, names = [], list(panels)
    for first in range(0, min(len(names), 2 * PANELS), PANELS):
        own = {name: panels[name] for name in names[first : first + PANELS]}
        parts.append(
            figure(
                series_panels(own, time_unit=time_unit, shared=False),
                "States, outputs, and fluxes as amounts of each interval.",
            )
        )
    return "\n".join(parts)


def _is_of_pair(content: Content, name: str) -> bool:
    """Whether it is drawn elsewhere, as what was observed and simulated."""
    return name.endswith(("_observed", "_simulated", "_prior", "_ensemble")) or any(
        p.name == name for p in content.pairs
    )


def balance_pictures(content: Content) -> str:
    """What came in and went out, as bands, one picture for each unit; empty where the file does not say."""
    units = dict[str, tuple[dict[str, float], dict[str, float]]]()
    for key, array in content.data.data_vars.items():
        direction = array.attrs.get("direction")
        if direction in ("in", "out") and "interval" in array.dims and content.site not in array.dims:
            entry = units.setdefault(unit_of(array), ({}, {}))
            _add(str(key), array, direction == "in", entry)
    parts = []
    for unit, (inflows, outflows) in units.items():
        whole = max(sum(inflows.values()), sum(outflows.values()))
        if not whole > 0:
            continue
        kept = [
            {k.replace("_", " "): v for k, v in side.items() if v > NOTHING * whole} for side in (inflows, outflows)
        ]
        text = "What came in (left) and went out (right) over the whole run; grey is what was stored, or what the store gave."
        parts.append(figure(balance_picture(*kept, unit=unit), text))
    return "\n".join(parts)


def _add(name: str, array: DataArray, inwards: bool, entry: tuple[dict[str, float], dict[str, float]]) -> None:
    """Amounts over the whole run; of a flux that goes both ways, both."""
    values: Array = np.nan_to_num(np.asarray(array.values, float))
    name = name.removeprefix("flux_")
    for positive, amount in ((True, values[values > 0].sum()), (False, -values[values < 0].sum())):
        if amount > 0:
            entry[0 if positive == inwards else 1][name] = float(amount)
