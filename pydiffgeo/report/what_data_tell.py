"""What the data tell of the sought values, in words, a table and two figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..html import table
from ..plots import combinations, series_intervals, value_intervals
from .content import Content, text_of
from .parts import NONE, figure, number, of_unit

# Sites with figures; of others there is the table.
MOST = 3
EXPLAINED = (
    "A number found by calibration is worth what the data know of it. The bars show between which ends a value lies with the "
    "probability stated, within the bounds of the search: a short bar is a value that the data fix, a bar from bound to bound "
    "one they say nothing about. Often single values are not known, but a combination of them is, such as a product: then "
    "one may grow while the other shrinks, and the simulation stays as it is. The sentences and the last figure are about the "
    "data alone; bars and table also keep within the bounds of the search and to what was known before."
)


def told(content: Content, asked: Sequence[int]) -> str:
    """As HTML; empty where the file holds no such findings."""
    data = content.data
    if "told_value" not in data or "sought" not in data.coords or data["told_value"].dims[-1:] != ("sought",):
        return ""
    texts = (
        content.ordered(data["told_text"], content.site) if "told_text" in data else np.array([""] * len(content.sites))
    )
    values = content.ordered(data["told_value"], content.site, "sought").astype(float)
    chosen = [i for i in dict.fromkeys([*asked, *range(len(content.sites))]) if np.isfinite(values[i]).any()]
    parts = [f"<p>{EXPLAINED}</p>"]
    for i in chosen[: max(MOST, len(asked))]:
        if len(content.sites) > 1:
            parts.append(f"<h3>{escape(content.sites[i])}</h3>")
        lines = [line for line in text_of(texts[i]).splitlines() if line.strip()]
        parts.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>")
        parts += [_values(content, i), _combinations(content, i), _series(content, i)]
    if len(chosen) > MOST:
        parts.append(_all(content, chosen))
    return "\n".join(part for part in parts if part)


def _values(content: Content, site: int) -> str:
    data, names = content.data, [text_of(v) for v in content.data["sought"].values]
    units = [text_of(v) for v in data["told_unit"].values] if "told_unit" in data else ["1"] * len(names)
    best, low, high = (
        content.ordered(data[k], content.site, "sought").astype(float)[site]
        for k in ("told_value", "told_low", "told_high")
    )
    verdicts = [text_of(v) for v in content.ordered(data["told_verdict"], content.site, "sought")[site]]
    bounds = {}
    for name in names:
        # Where a state has the name, what was sought is its start.
        for key in (f"initial_{name}", f"parameter_{name}", name):
            if key in content.parameters and (found := content.parameters[key].bounds) is not None:
                bounds[name] = found
                break
    method = text_of(content.ordered(data["told_method"], content.site)[site]) if "told_method" in data else "intervals"
    drawn = value_intervals(names, best, low, high, bounds=bounds, units=units)
    rows = [
        [
            f"{escape(n)}{of_unit(u)}",
            escape(v),
            number(b, ".3g"),
            f"{number(lo, '.3g')} to {number(hi, '.3g')}",
            f"{bounds[n][0]:.4g} to {bounds[n][1]:.4g}" if n in bounds else NONE,
        ]
        for n, u, v, b, lo, hi in zip(names, units, verdicts, best, low, high, strict=True)
    ]
    head = ["value", "is it known?", "most probable", "lies between", "searched between"]
    caption = (
        f"Most probable values (dots) and between what they lie (bars), within the bounds of the search: {method}. "
        "Lines whose ends are more than a factor of twenty apart are logarithmic."
    )
    return figure(drawn, caption) + table(head, rows, left=2)


def _combinations(content: Content, site: int) -> str:
    data = content.data
    if "told_combination" not in data:
        return ""
    sizes = content.ordered(data["told_error"], content.site, "direction").astype(float)[site]
    directions = content.ordered(data["told_combination"], content.site, "direction", "sought").astype(float)[site]
    drawn = combinations([text_of(v) for v in data["sought"].values], sizes, directions)
    return figure(
        drawn,
        "How well each combination of values is known, the best first. Left: its standard error, in per cent of the values; a bar "
        "that ends left of the dashed line is known to better than a fifth, and of one that reaches the right edge the data know next "
        "to nothing. Right: the values it is made of: those in red grow while those in blue shrink, and the darker, the more.",
    )


def _series(content: Content, site: int) -> str:
    parts = []
    for pair in content.pairs:
        ends = [content.data.get(f"{pair.name}_{end}") for end in ("low", "high")]
        if any(end is None or {*end.dims} != {*pair.observed.dims} for end in ends):
            continue
        low, high = (content.series(end, site) for end in ends if end is not None)
        observed, simulated = content.series(pair.observed, site), content.series(pair.simulated, site)
        inside = np.isfinite(observed) & np.isfinite(low)
        if not inside.any():
            continue
        share = float(((observed >= low) & (observed <= high))[inside].mean())
        times, time_unit = content.times()
        drawn = series_intervals(
            times,
            observed,
            simulated,
            low,
            high,
            name=pair.name.replace("_", " "),
            unit=text_of(pair.observed.attrs.get("units", "1")),
            time_unit=time_unit,
        )
        parts.append(
            figure(
                drawn,
                f"Between which values an observation is expected, in the last year; of all observations {100 * share:.0f} % lie there.",
            )
        )
    return "\n".join(parts)


def _all(content: Content, chosen: Sequence[int]) -> str:
    """In how many sites each value is known."""
    data, names = content.data, [text_of(v) for v in content.data["sought"].values]
    verdicts = np.array(
        [[text_of(v) for v in row] for row in content.ordered(data["told_verdict"], content.site, "sought")]
    )[list(chosen)]
    kinds = sorted({*verdicts.reshape(-1)} - {""})
    rows = [
        [escape(name), *(f"{int((verdicts[:, i] == kind).sum())}" for kind in kinds)] for i, name in enumerate(names)
    ]
    return table(
        ["value", *map(escape, kinds)], rows, caption=f"in how many of {len(chosen)} sites each value is known"
    )
