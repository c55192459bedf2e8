"""The summary and the scores: tables, comparisons, distributions and a map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..arrays import Array
from ..baselines import Comparison, compare
from ..html import table
from ..losses.measures import MEASURES
from ..plots import score_cdf, score_map
from .content import Content, short_name, title_of, unit_of
from .parts import COLUMNS, NONE, count, figure, median, of_unit, plural

FEWEST = 2  # sites that have a distribution
# Failed sites that the summary names; the table names all.
NAMED = 10


def summary(content: Content) -> str:
    """The main figures in a few sentences, as HTML."""
    sites, failed = content.sites, content.failed
    lines = [plural(len(sites), "site")]
    if "status" in content.data:
        lines[0] += f", {len(failed) or 'none'} failed"
    if failed:
        named = ", ".join(f"{escape(k)} ({escape(v.rstrip('.'))})" for k, v in [*failed.items()][:NAMED])
        lines[0] += f": {named}" + (", and others" if len(failed) > NAMED else "")
    if content.scores:
        measure = next(iter(content.scores))
        values = content.score(measure)
        scored = count(values.transpose(1, 0, 2))
        middle = escape(short_name(measure))
        middle = f"Median {middle} over {plural(scored, 'site')}" if len(sites) > 1 else middle
        spreads = [_spread([median(seed[:, i]) for seed in values]) for i in range(len(content.periods))]
        stated = ", ".join(f"{spread} in {escape(name)}" for spread, name in zip(spreads, content.periods, strict=True))
        lines.append(f"{middle}: {stated}")
        if len(values) > 1:
            lines[-1] += f" (mean and standard deviation over {len(values)} seeds)"
        if apart := held_out(content):
            lines.append(_of_held_out(content, apart, values[:, [content.place(site) for site in apart]]))
    if content.profiles:
        depth = content.profiles[0].depth
        deepest = f"{float(depth.max()):.4g} {escape(unit_of(depth))}"
        lines.append(f"{depth.size} cells down to {deepest}, {plural(content.data.sizes['time'], 'time')}")
    if content.closure is not None and np.isfinite(content.closure).any():
        unit = escape(unit_of(content.data["balance_error"]))
        lines.append(f"The largest closure error of the balance is {np.nanmax(np.abs(content.closure)):.1e} {unit}")
    return ". ".join(lines) + "."


def held_out(content: Content) -> list[str]:
    """Sites that a network was not trained on, as the file says."""
    array = content.data.get("held_out")
    if array is None or {*array.dims} != {content.site} or array.dtype.kind not in "iub":
        return []
    return [site for site, out in zip(content.sites, array.values, strict=True) if out == 1]


def _of_held_out(content: Content, apart: Sequence[str], values: Array) -> str:
    spreads = [_spread([median(seed[:, i]) for seed in values]) for i in range(len(content.periods))]
    stated = ", ".join(f"{spread} in {escape(name)}" for spread, name in zip(spreads, content.periods, strict=True))
    return f"Of the {plural(len(apart), 'site')} that were held out from the training: {stated}"


def score_section(content: Content) -> str:
    """Scores of every site and period beside the baselines, as HTML; empty where there are none."""
    if not content.scores:
        return ""
    legend = "; ".join(f"{escape(short_name(k))}: {escape(title_of(a))}" for k, a in content.scores.items())
    seeds = len(content.score(next(iter(content.scores))))
    if seeds > 1:
        legend += f". Scores are the mean &plusmn; the standard deviation over {seeds} seeds"
    parts = [f'<p class="note">{legend}.</p>', *_distributions(content), _map(content), _comparison(content, seeds)]
    if len(content.sites) == 1 and not content.failed:
        parts.append(_of_one(content))
    else:
        parts += [_table(content, i, name) for i, name in enumerate(content.periods)]
    return "\n".join(p for p in parts if p)


def _spread(values: Sequence[float] | Array, digits: int = 2) -> str:
    """Mean, and the sample standard deviation where there are several."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return NONE
    spread = f"&nbsp;&plusmn;&nbsp;{finite.std(ddof=1):.{digits}f}" if len(finite) > 1 else ""
    return f"{finite.mean():.{digits}f}{spread}"


def _table(content: Content, period: int, name: str) -> str:
    head = ["site"]
    columns: list[list[str]] = []
    for measure, array in content.scores.items():
        head.append(f"{escape(short_name(measure))}{of_unit(unit_of(array))}")
        values = content.score(measure)[:, :, period]
        columns.append([_spread(values[:, i], 3) for i in range(values.shape[1])])
        columns[-1].append(_spread([median(v) for v in values], 3))
    for measure, baselines in content.baselines.items():
        for baseline, table_ in baselines.items():
            head.append(f"{escape(short_name(measure))} of {escape(baseline)}")
            columns.append([_spread([v], 3) for v in (*table_[:, period], median(table_[:, period]))])
    apart = held_out(content)
    labels = [escape(s) + (" (held out)" if s in apart else "") for s in content.sites]
    labels.append("<b>median</b>")
    rows = [[label, *(c[i] for c in columns)] for i, label in enumerate(labels)]
    if len(content.sites) == 1:
        rows.pop()
    if content.failed:
        head.append("failure")
        for row, site in zip(rows, content.sites, strict=False):
            row.append(escape(content.failed.get(site, "")))
        rows[-1] += [""] * (len(head) - len(rows[-1]))
    ends = content.periods[name]
    days = f", {ends[0]} to {ends[1]}" if ends else ""
    return table(head, rows, caption=f"<b>{escape(name)}</b>{days}", most=COLUMNS)


def _of_one(content: Content) -> str:
    """The scores of a single site, periods beside each other."""
    rows = []
    for measure, array in content.scores.items():
        values = [_spread(v, 3) for v in content.score(measure)[:, 0].T]
        rows.append([f"{escape(short_name(measure))}{of_unit(unit_of(array))}", *values])
    for measure, baselines in content.baselines.items():
        for baseline, of_site in baselines.items():
            rows.append(
                [f"{escape(short_name(measure))} of {escape(baseline)}", *(_spread([v], 3) for v in of_site[0])]
            )
    ends = (f"<br>{days[0]} to {days[1]}" if days else "" for days in content.periods.values())
    head = ["measure", *(f"{escape(name)}{days}" for name, days in zip(content.periods, ends, strict=True))]
    return table(head, rows, caption=f"<b>{escape(content.sites[0])}</b>")


def _comparison(content: Content, seeds: int) -> str:
    """In words, and only where seeds say how far chance goes."""
    at = content.period("evaluation")
    if seeds < 2 or at is None:
        return ""
    name = [*content.periods][at]
    sentences, head, columns = [], ["site"], list[list[str]]()
    for measure, baselines in content.baselines.items():
        if measure not in MEASURES:
            continue
        values = content.score(measure)[:, :, at]
        for baseline, of_sites in baselines.items():
            against = of_sites[:, at]
            # The same sites for every seed and the baseline.
            common = np.isfinite(values).all(0) & np.isfinite(against)
            if not common.any():
                continue
            verdict = _verdict(measure, np.median(values[:, common], 1), baseline, float(np.median(against[common])))
            sites = zip(values.T, against, common, strict=True)
            words = [_verdict(measure, v, baseline, a).verdict if scored else NONE for v, a, scored in sites]
            counts = ", ".join(f"{words.count(w)} {w}" for w in ("better", "no different", "worse") if w in words)
            out = f"; {int((~common).sum())} without a score left out" if not common.all() else ""
            sentences.append(f"{escape(str(verdict))}; of {plural(int(common.sum()), 'site')} {counts}{out}.")
            head.append(f"{escape(short_name(measure))} against {escape(baseline)}")
            columns.append(words)
    if not sentences:
        return ""
    rows = [[escape(site), *(c[i] for c in columns)] for i, site in enumerate(content.sites)]
    better = '"Better" means that every seed is, and the mean by more than two standard deviations over seeds.'
    intro = f"Against baselines in {escape(name)}, medians over sites. {better}"
    lines = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    caption = f"<b>model against baselines</b>, {escape(name)}"
    return f"<p>{intro}</p><ul>{lines}</ul>" + table(head, rows, caption=caption, most=COLUMNS)


def _verdict(measure: str, scores: Array, baseline: str, against: float) -> Comparison:
    """The comparison of the scores of the seeds with the one of a baseline."""
    return compare({measure: [float(s) for s in scores]}, {baseline: {measure: float(against)}})[0]


def _distributions(content: Content) -> list[str]:
    """Distributions over sites of the efficiencies: measures that are 1 for a perfect simulation."""
    parts: list[str] = []
    at = content.period("evaluation")
    for measure in content.scores:
        if len(content.sites) < FEWEST or measure not in MEASURES or MEASURES[measure].perfect != 1.0:
            continue
        # Sites, not runs, are counted: a site has the mean of its seeds.
        values = over_seeds(content.score(measure))
        order = sorted(range(len(content.periods)), key=lambda i: i != at)
        names = [*content.periods]
        against = {k: v[:, at] for k, v in content.baselines.get(measure, {}).items()} if at is not None else {}
        drawn = score_cdf({names[i]: values[:, i] for i in order}, baselines=against, name=short_name(measure))
        where = f"; baselines (dashed) in {names[at]}" if against and at is not None else ""
        where += "; a site has the mean of its seeds" if len(content.score(measure)) > 1 else ""
        parts.append(figure(drawn, f"Distribution of the {short_name(measure)} over {count(values)} sites{where}."))
    return parts


def over_seeds(values: Array) -> Array:
    """Mean over the first axis of what is finite; NaN where nothing is."""
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(0)
    return np.divide(total, finite.sum(0), out=np.full(total.shape, np.nan), where=finite.any(0))


def _map(content: Content) -> str:
    """Scores of the first measure in evaluation at the places of the sites; empty where there are none."""
    at = content.period("evaluation")
    if content.places is None or at is None:
        return ""
    measure = next(iter(content.scores))
    values = over_seeds(content.score(measure))[:, at]
    limits = (0.0, 1.0)
    if measure not in MEASURES or MEASURES[measure].perfect != 1.0:
        seen = values[np.isfinite(values)]
        limits = (float(seen.min()), float(seen.max())) if len(seen) else limits
    name = short_name(measure)
    drawn = score_map(*content.places, values, name=name, unit=unit_of(content.scores[measure]), limits=limits)
    return figure(drawn, f"{name} of each site in {[*content.periods][at]}.")


def ranking(content: Content) -> list[int]:
    """Sites from the best to the worst in evaluation, by the first measure; those without a score are left out."""
    at = content.period("evaluation")
    if not content.scores or at is None:
        return []
    measure = next(iter(content.scores))
    values = over_seeds(content.score(measure))[:, at]
    bad = MEASURES[measure].badness(values) if measure in MEASURES else -values
    return [int(i) for i in np.argsort(bad) if np.isfinite(bad[i])]
