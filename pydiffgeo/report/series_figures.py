"""Series in time: pairs of observed and simulated, and states over depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..plots import hydrograph, moisture_profile
from .content import ENSEMBLE, Content, Pair, Profile, short_name, title_of, unit_of
from .parts import figure
from .score_tables import over_seeds, ranking

YEAR = np.timedelta64(365, "D")
# Profiles of more states, or of more members of a batch, would be a book.
MOST = 3


def series(content: Content, asked: Sequence[int]) -> str:
    """Hydrographs of the best, the median and the worst site and of those asked for, as HTML."""
    chosen = _chosen(content, asked)
    return "\n".join(_hydrograph(content, pair, site, why) for pair in content.pairs for site, why in chosen.items())


def _chosen(content: Content, asked: Sequence[int]) -> dict[int, str]:
    """Site -> why it is shown."""
    ranked = ranking(content)
    if not ranked:
        return {i: "" for i in asked} or {i: "" for i in range(min(MOST, len(content.sites)))}
    if len(ranked) == 1:
        roles = {ranked[0]: ""}
    else:
        middle = ranked[(len(ranked) - 1) // 2]
        roles = {ranked[0]: "best", **({middle: "median"} if len(ranked) > 2 else {}), ranked[-1]: "worst"}
    return {**roles, **{i: "asked for" for i in asked if i not in roles}}


def _hydrograph(content: Content, pair: Pair, site: int, why: str) -> str:
    times, time_unit = content.times()
    observed, simulated = content.series(pair.observed, site), content.series(pair.simulated, site)
    rain = content.rain(pair)
    falling = None if rain is None else content.series(rain, site)
    label, name = content.sites[site], pair.name.replace("_", " ")
    window = _window(content, times, observed if falling is None else falling)
    drawn = hydrograph(
        times,
        observed,
        simulated,
        prior=None if pair.prior is None else content.series(pair.prior, site),
        ensemble=None if pair.ensemble is None else content.series(pair.ensemble, site),
        rain=falling,
        window=window,
        periods={k: v for k, v in content.periods.items() if v is not None},
        name=name,
        unit=unit_of(pair.observed),
        rain_unit="" if rain is None else unit_of(rain),
        time_unit=time_unit,
        title=label,
    )
    at, measure = content.period("evaluation"), next(iter(content.scores), None)
    score = ""
    if at is not None and measure is not None:
        value = over_seeds(content.score(measure))[site, at]
        stated = f", {short_name(measure)} {value:.3f} in {[*content.periods][at]}"
        score = stated if np.isfinite(value) else ", without a score"
        if (joint := f"{ENSEMBLE}{measure}") in content.scores:
            value = over_seeds(content.score(joint))[site, at]
            score += f", {value:.3f} of the ensemble" if np.isfinite(value) else ""
    most = "observed" if falling is None else "rain"
    shown = "" if window is None else f" Large: {window[0]} to {window[1]}, the year with most {most}."
    seeds = " Simulated is the median over seeds." if "seed" in content.data[f"{pair.name}_simulated"].dims else ""
    mean = "" if pair.ensemble is None else f" Ensemble: {title_of(pair.ensemble)}."
    role = f" ({why}{' site' if why != 'asked for' else ''})" if why else ""
    return figure(drawn, f"{name.capitalize()} of {label}{role}{score}.{shown}{seeds}{mean}")


def _window(content: Content, times: NDArray[np.generic], wet: Array) -> tuple[np.datetime64, np.datetime64] | None:
    """First and last day of the wettest year of the evaluation, years being counted from its start."""
    if times.dtype.kind != "M" or len(times) < 2:
        return None
    at = content.period("evaluation")
    days = times.astype("datetime64[D]")
    ends = None if at is None else [*content.periods.values()][at]
    first, last = ends or (days[0], days[-1])
    first, last = max(first, days[0]), min(last, days[-1])
    if first > last:
        return None
    starts = np.arange(first, max(last - YEAR, first) + 1, YEAR)
    sums = [np.nansum(wet[(days >= s) & (days < s + YEAR)]) for s in starts]
    start = starts[int(np.argmax(sums))]
    return start, min(start + YEAR - 1, last)


def profiles(content: Content, asked: Sequence[int]) -> str:
    """States over time and depth, as HTML."""
    sites = asked or range(min(MOST, len(content.sites)))
    return "\n".join(_profile(content, profile, site) for profile in content.profiles[:MOST] for site in sites)


def _profile(content: Content, profile: Profile, site: int) -> str:
    times, time_unit = content.times()
    cell = profile.depth.dims[0]
    values = content.ordered(profile.values, content.site, "time", str(cell))
    batch = content.site in profile.values.dims
    probes = profile.probes if site == 0 or not batch else None
    text = title_of(profile.values)
    drawn = moisture_profile(
        times,
        profile.depth,
        values[site if batch else 0],
        probe_depth=None if probes is None else content.data["probe_depth"],
        probe_time=None if probes is None else content.times(str(probes.dims[0]))[0],
        probe_values=probes,
        name=profile.name.replace("_", " "),
        unit=unit_of(profile.values),
        depth_unit=unit_of(profile.depth),
        time_unit=time_unit,
        title=content.sites[site] if batch else "",
        colours="YlGnBu" if profile.name == "theta" else "viridis",
    )
    of_member = f" of {content.sites[site]}" if batch else ""
    dots = "" if probes is None else "; dots are measured"
    return figure(drawn, f"{text.capitalize()}{of_member} over time and depth{dots}.")
