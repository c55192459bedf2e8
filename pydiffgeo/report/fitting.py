"""How the calibration went, and whether water is conserved."""

from __future__ import annotations

from html import escape

import numpy as np

from ..arrays import Array
from ..html import table
from ..plots import loss_curves, parameter_ranges
from ..transforms import nearest_bound
from .content import FOUND, Content, Fitted, title_of, unit_of
from .parts import COLUMNS, NONE, figure, median, number, of_unit, plural

# With more sites the table of parameters shows their spread instead of each.
FEW = 6
# Sites that are named where a value lies on a bound.
NAMED = 10
DAYS = 365.25


def parameters(content: Content) -> str:
    """Parameters within their bounds, as HTML; empty where there are none."""
    if not content.parameters:
        return ""
    fitted = {k: p for k, p in content.parameters.items() if p.text.endswith(FOUND) and np.isfinite(p.values).any()}
    few = len(content.sites) <= FEW
    prior = any(p.prior is not None for p in content.parameters.values())
    head = ["parameter", "what", "bounds", *(["before (median)"] if prior else [])]
    head += map(escape, content.sites) if few else ["smallest", "median", "largest"]
    rows = []
    for name, p in content.parameters.items():
        finite = p.values[np.isfinite(p.values)]
        spread = [finite.min(), median(finite), finite.max()] if len(finite) else [np.nan] * 3
        shown = p.values if few else np.array(spread)
        bounds = f"{p.bounds[0]:.4g} to {p.bounds[1]:.4g}" if p.bounds else NONE
        before = [] if not prior else [NONE if p.prior is None else number(median(p.prior))]
        rows.append(
            [
                f"{escape(name)}{of_unit(p.unit)}",
                escape(p.text),
                bounds,
                *before,
                *(_value(v, p, e) for v, e in zip(shown, _errors(p, few), strict=True)),
            ]
        )
    parts = []
    if fitted:
        bounded = {k: p.bounds for k, p in fitted.items() if p.bounds}
        drawn = parameter_ranges(
            {k: p.values for k, p in fitted.items()},
            prior={k: p.prior for k, p in fitted.items() if p.prior is not None},
            bounds=bounded,
            units={k: p.unit for k, p in fitted.items()},
        )
        ends = "smallest and largest of these values, where the file states no bounds"
        ends = "bounds of the search" if len(bounded) == len(fitted) else ends
        hollow = "; hollow: before calibration" if prior else ""
        sites = plural(len(content.sites), "site")
        parts.append(figure(drawn, f"Calibrated values of {sites} between the {ends}{hollow}."))
    if near := _on_bounds(content):
        parts.append(
            f"<p><b>On a bound</b>, within a hundredth of the range: {near}. There the bound decides, not the data: widen it, "
            "or ask whether the data know of the process.</p>"
        )
    parts.append(table(head, rows, left=2, most=COLUMNS + 2))
    return "\n".join(parts)


def _on_bounds(content: Content) -> str:
    """Found values that lie on the bounds of the search, and where, as HTML."""
    found = []
    for name, p in content.parameters.items():
        if p.bounds is None or not p.text.endswith(FOUND):
            continue
        low, high = p.bounds
        of_sites = [nearest_bound(v, low, high) if np.isfinite(v) else None for v in p.values]
        for end, value in (("lower", low), ("upper", high)):
            sites = [site for site, bound in zip(content.sites, of_sites, strict=True) if bound == end]
            if sites:
                named = ", ".join(sites[:NAMED]) + (", ..." if len(sites) > NAMED else "")
                where = f" in {plural(len(sites), 'site')} of {len(content.sites)} ({escape(named)})"
                found.append(
                    f"{escape(name)} on its {end} one, {value:.4g}{of_unit(p.unit)}{where if len(content.sites) > 1 else ''}"
                )
    return "; ".join(found)


def _errors(p: Fitted, few: bool) -> Array:
    """Standard errors of what a row of the table shows, NaN where they are not known."""
    return p.errors if few and p.errors is not None else np.full(len(p.values) if few else 3, np.nan)


def _value(value: float, parameter: Fitted, error: float) -> str:
    """A number with its standard error where it is known, with a mark where it was found on a bound."""
    found = parameter.bounds is not None and parameter.text.endswith(FOUND) and np.isfinite(value)
    near = nearest_bound(value, *parameter.bounds) if found and parameter.bounds is not None else None
    spread = f" &plusmn; {error:.2g}" if np.isfinite(error) else ""
    return number(value) + spread + ("" if near is None else f' <span title="on its {near} bound">&#9888;</span>')


def losses(content: Content) -> str:
    """Loss curves, as HTML; empty where there are none."""
    parts = []
    # Losses of one unit share a figure.
    for unit in dict.fromkeys(unit_of(a) for a in content.losses.values()):
        curves = {k: a for k, a in content.losses.items() if unit_of(a) == unit and np.isfinite(a.values).any()}
        if curves:
            first = next(iter(curves.values()))
            what = f"{first.dims[0]}s" if first.ndim > 1 else "curves"
            text = "; ".join(f"{k}: {title_of(a)}" for k, a in curves.items())
            parts.append(figure(loss_curves(curves, unit=unit, what=what), f"Loss over the steps. {text}."))
    return "\n".join(parts)


def balance(content: Content) -> str:
    """Closure errors and mean fluxes, as HTML; empty where there is neither."""
    if content.closure is None and not content.fluxes:
        return ""
    head, columns = ["site"], list[list[str]]()
    if content.closure is not None:
        head.append(f"closure error{of_unit(unit_of(content.data['balance_error']))}")
        columns.append([number(v, ".1e") for v in content.closure])
    for name, array in content.fluxes.items():
        rate = "time" in array.dims
        values = content.ordered(array, content.site, "time" if rate else "interval").astype(float)
        finite = np.isfinite(values)
        total = np.where(finite, values, 0.0).sum(1)
        if rate:
            # Days without an observation say nothing about the mean.
            total = np.divide(DAYS * total, finite.sum(1), out=np.full(len(total), np.nan), where=finite.any(1))
        unit = "mm per year" if rate else f"{unit_of(array)}, sum"
        head.append(f"{escape(name.replace('_', ' '))}{of_unit(unit)}")
        columns.append([number(v, ".1f" if rate else ".4g") for v in np.broadcast_to(total, len(content.sites))])
    rows = [[escape(site), *(c[i] for c in columns)] for i, site in enumerate(content.sites)]
    caption = "largest closure error of the balance; fluxes over the whole series, observed ones over the days observed"
    return table(head, rows, caption=caption, most=COLUMNS)
