"""The result of calibrating basins, as NetCDF: parameters, series, scores beside baselines, costs, provenance."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...arrays import Array, Numbers
from ...calibration.keeper import COSTS
from ...calibration.result import CalibrationResult, prior_values, training_loss
from ...calibration.site import Site
from ...errors import PydiffgeoError
from ...io import Variable, provenance, write_netcdf
from ...losses.measures import MEASURES
from ...model import Parameter, State
from ...solve import Solution
from ..scores import BASELINES, SCORES, UNITS, baseline_scores, scores
from .basins import Basin
from .settings import Settings
from .told import Told
from .told_variables import told_variables

PERIODS = ("train", "evaluation")
DAILY = ("time",)
# What is had of a basin, by its name.
Value = Callable[[str], Numbers]


def _scores(basin: Basin, runoff: Tensor) -> dict[str, list[float]]:
    return {name: _score(basin, runoff, name) for name in SCORES}


def _baseline(name: str, basin: Basin) -> list[list[float]]:
    return baseline_scores(name, basin.data, basin.train, basin.evaluation)


def _score(basin: Basin, runoff: Tensor, name: str) -> list[float]:
    """A measure of daily runoff `(days,)` in training and evaluation."""
    return scores(name, runoff, basin.observed, (basin.train, basin.evaluation))


def _best(basin: Basin, solution: Solution) -> Tensor:
    return basin.runoff(solution).detach().reshape(-1)


def summary(
    basins: Mapping[str, Basin],
    calibrated: CalibrationResult,
    solutions: Mapping[str, Solution],
    together: Mapping[str, Tensor],
    failures: Mapping[str, str],
) -> list[str]:
    """Two lines for each basin, the second of what it has to beat, and two for all where there are several.

    One more for a basin with values on their bounds.
    """
    lines, reached, joint, against = [], [], [], []
    for name, solution in solutions.items():
        m, members = _scores(basins[name], _best(basins[name], solution)), together.get(name)
        reached.append(m["nse"])
        joint.append([np.nan] * 2 if members is None else _score(basins[name], members.mean(0), "nse"))
        also = f"mean of {0 if members is None else len(members)} nearly as good"
        lines.append(
            f"basin {name}: train NSE {m['nse'][0]:.3f} KGE {m['kge'][0]:.3f} bias {m['bias'][0]:+.3f}, "
            f"evaluation NSE {m['nse'][1]:.3f} KGE {m['kge'][1]:.3f} bias {m['bias'][1]:+.3f}; "
            f"{also}: NSE {joint[-1][0]:.3f}, {joint[-1][1]:.3f}"
        )
        against.append([row[1] for row in _baseline("nse", basins[name])])
        lines.append(f"basin {name}: {_against(against[-1])}")
        if near := _on_bounds(calibrated, name):
            lines.append(f"basin {name}: on a bound, which decides then, not the data: {near}")
    lines += [f"basin {name} failed: {why}" for name, why in failures.items()]
    if len(reached) > 1:
        (train, evaluation), (both, ahead) = ([_median(v) for v in np.transpose(x)] for x in (reached, joint))
        lines.append(
            f"median of {len(reached)} basins: train NSE {train:.3f}, evaluation NSE {evaluation:.3f}; "
            f"means of ensembles: {both:.3f}, {ahead:.3f}"
        )
        lines.append(f"median of {len(reached)} basins: {_against([_median(v) for v in zip(*against, strict=True)])}")
    return lines


def _on_bounds(calibrated: CalibrationResult, name: str) -> str:
    """The values of a basin that lie on their bounds, in words."""
    values, items = calibrated.values(name), {i.name: i for i in calibrated.sites[name].transforms.items}
    ends = {"lower": lambda item: item.low, "upper": lambda item: item.high}
    near = calibrated.on_bounds(name)
    return ", ".join(f"{k} {values[k]:.4g} ({end} bound {ends[end](items[k]):g})" for k, end in near.items())


def _against(scores: Iterable[float]) -> str:
    """The efficiencies of the baselines in evaluation, in words."""
    named = {"linear regression": "linear regression on the weather"}
    shown = (f"{named.get(k, k)} {v:.3f}" for k, v in zip(BASELINES, scores, strict=True))
    return f"baselines, evaluation NSE: {', '.join(shown)}"


def _median(values: Iterable[float]) -> float:
    """Of the basins in which a baseline can predict; NaN where it can in none."""
    defined = [v for v in values if np.isfinite(v)]
    return float(np.median(defined)) if defined else float("nan")


@dataclass(frozen=True, eq=False)
class _Rows:
    """Gathers variables of basins, NaN where there are none; what cannot be had of one costs that alone.

    Attributes:
        site: one of them, whose model and calibrated values are those of all.
        names: all basins, in order. lengths: of dimensions other than that of basins.
        notes: basin -> what of it is missing, and why. variables: those gathered, by name.
    """

    site: Site
    names: Sequence[str]
    lengths: Mapping[str, int]
    notes: dict[str, str]
    variables: dict[str, Variable] = field(default_factory=dict)

    def each(self, what: str, axes: tuple[str, ...], of: Container[str], value: Value) -> Array:
        """`value(name)` of the basins in `of`, each with these axes."""
        shape = tuple(self.lengths[axis] for axis in axes)
        rows = [np.full(shape, np.nan) for _ in self.names]
        for i, name in enumerate(self.names):
            if name in of:
                try:
                    rows[i] = np.asarray(value(name), np.float64).reshape(shape)
                except PydiffgeoError as error:
                    self.notes[name] = "; ".join(filter(None, (self.notes.get(name), f"no {what}: {error}")))
        return np.stack(rows)

    def add(
        self,
        name: str,
        axes: tuple[str, ...],
        of: Container[str],
        value: Value,
        unit: str,
        text: str,
        *,
        bounds: tuple[float, float] | None = None,
        mean: bool = False,
    ) -> None:
        """Adds a variable `(basin, *axes)`, of means over days or not."""
        about = {"cell_methods": "time: mean"} if mean else {}
        values = self.each(name, axes, of, value)
        self.variables[name] = Variable(("basin", *axes), values, unit, text, bounds=bounds, attributes=about)


def write_result(
    settings: Settings,
    basins: Mapping[str, Basin],
    calibrated: CalibrationResult,
    solutions: Mapping[str, Solution],
    together: Mapping[str, Tensor],
    failures: Mapping[str, str],
    notes: Mapping[str, str],
    findings: Mapping[str, Told] | None = None,
) -> Path:
    """Writes the result; where there is nothing of a basin there are missing values, and `status` or `notes` says why.

    Args:
        calibrated: what is written of each basin in it, whether or not it could be solved over the whole record.
        solutions: of the basins that could.
        together: daily runoff of the members of a basin's ensemble, `(members, days)`, where there is one.
        notes: basin -> what of it could not be had.
        findings: basin -> what its record tells.
    """
    first, plan = basins[next(iter(calibrated.searches))], settings.strategy
    model, dates = first.site.model, first.data.dates
    lengths = {"time": len(dates), "period": len(PERIODS), "baseline": len(BASELINES)}
    rows = _Rows(
        first.site, settings.data.basins, {**lengths, "finalist": plan.finalists, "step": plan.steps}, dict(notes)
    )
    _add_values(rows, calibrated, solutions)
    _add_series(rows, basins, calibrated, solutions)
    _add_ensembles(rows, settings, basins, calibrated, together)
    _add_scores(rows, basins, calibrated, solutions)
    _add_search(rows, settings, calibrated)
    balance = "largest closure error of the water balance"
    rows.add("balance_error", (), solutions, lambda n: solutions[n].balance, "mm", balance)
    texts_of = {"status": ([failures.get(n, "ok") for n in rows.names], "how the calibration ended")}
    if rows.notes:
        texts_of["notes"] = ([rows.notes.get(n, "") for n in rows.names], "what could not be had of the basin, and why")
    variables = {name: _labels("basin", texts, about) for name, (texts, about) in texts_of.items()} | rows.variables
    sought = told_variables(rows.names, findings or {}, len(dates))
    days = [[str(day) for day in period] for period in (settings.periods.train, settings.periods.evaluation)]
    coordinates = {
        "basin": replace(_labels("basin", rows.names, "basin identifier"), attributes={"cf_role": "timeseries_id"}),
        "time": Variable(("time",), dates, None, "day", standard_name="time"),
        "period": _labels("period", PERIODS, "period"),
        "period_start": _labels("period", [start for start, _ in days], "first day of the period"),
        "period_end": _labels("period", [end for _, end in days], "last day of the period"),
        "baseline": _labels("baseline", BASELINES, "what the model has to beat"),
        "finalist": Variable(("finalist",), np.arange(plan.finalists), "1", "number of the finalist"),
        "step": Variable(("step",), np.arange(1, plan.steps + 1), "1", "step of the refinement"),
    }
    attributes = provenance(
        next(iter(solutions.values()), None),
        rtol=settings.solve.rtol,
        atol=settings.solve.atol,
        seed=plan.seed,
        configuration=settings.text,
        action="calibrated",
        title=f"{model.name} calibrated with pydiffgeo",
        loss=settings.loss,
        fallbacks=_fallbacks(solutions),
        data_source="; ".join(dict.fromkeys(basin.data.source for basin in basins.values())),
    )
    return write_netcdf(settings.output, variables | sought.variables, coordinates | sought.coordinates, attributes)


def _labels(axis: str, texts: Sequence[str], about: str) -> Variable:
    return Variable((axis,), np.array(texts), None, about)


def _fallbacks(solutions: Mapping[str, Solution]) -> str | None:
    """Basins that another method solved than the first choice, which is that of all, and the method."""
    needed = {n: s.stats.get("fallbacks") or {} for n, s in solutions.items()}
    return "; ".join(f"basin {n}: {method}" for n, methods in needed.items() for method in methods.values()) or None


def _add_values(rows: _Rows, calibrated: CalibrationResult, solutions: Mapping[str, Solution]) -> None:
    """Parameters and initial states, and of those that were calibrated the bounds, and the values ahead of it."""
    sought = {item.name: item for item in rows.site.transforms.items}

    def add(name: str, about: Parameter | State, text: str) -> None:
        key, item, searches = about.name, sought.get(about.name), calibrated.searches
        if item is None:
            rows.add(name, (), solutions, lambda n: _given(solutions[n], about), about.unit, f"{text} (fixed)")
            return
        best, ahead, ends = f"{text} (calibrated)", f"{text}, ahead of calibration", (item.low, item.high)
        rows.add(name, (), searches, lambda n: calibrated.values(n)[key], about.unit, best, bounds=ends)
        rows.add(f"{name}_prior", (), searches, lambda n: prior_values(calibrated.sites[n])[key], about.unit, ahead)

    for p in rows.site.model.parameters:
        add(p.name, p, p.description)
    for s in rows.site.model.all_states:
        add(f"initial_{s.name}", s, f"{s.description} at the start of the warm-up")


def _given(solution: Solution, about: Parameter | State) -> Tensor:
    values = solution.parameters if isinstance(about, Parameter) else solution.states
    return values[about.name].detach().reshape(-1)[0]


def _add_series(
    rows: _Rows, basins: Mapping[str, Basin], calibrated: CalibrationResult, solutions: Mapping[str, Solution]
) -> None:
    """States at the ends of days, daily means of fluxes, and the runoff that was observed and that of the priors."""
    days, model = rows.lengths["time"], rows.site.model
    for s in model.all_states:
        state = partial(lambda key, n: _last(solutions[n].states[key], days), s.name)
        rows.add(s.name, DAILY, solutions, state, s.unit, f"{s.description} at the end of the day")
    for f in model.fluxes:
        # A flux integrated over a day is its daily mean per day.
        flux = partial(lambda key, n: _last(solutions[n].fluxes[key], days), f.name)
        name, unit = "runoff_simulated" if f.name == "runoff" else f.name, f"{f.unit} d-1"
        rows.add(name, DAILY, solutions, flux, unit, f"{f.description}, daily mean", mean=True)
    unit, text, searches = "mm d-1", "runoff ahead of calibration, daily mean", calibrated.searches
    rows.add("runoff_observed", DAILY, searches, lambda n: basins[n].observed, unit, "observed runoff", mean=True)
    rows.add("runoff_prior", DAILY, searches, lambda n: _prior_runoff(basins[n]), unit, text, mean=True)


def _last(values: Tensor, days: int) -> Tensor:
    return values.detach().reshape(-1)[-days:]


def _add_ensembles(
    rows: _Rows,
    settings: Settings,
    basins: Mapping[str, Basin],
    calibrated: CalibrationResult,
    together: Mapping[str, Tensor],
) -> None:
    """All finalists, and what those of them predict together that do nearly as well as the best."""
    site, searches, count = rows.site, calibrated.searches, settings.strategy.finalists
    units = {p.name: p.unit for p in site.model.parameters} | {s.name: s.unit for s in site.model.all_states}

    def finalists(name: str, key: str) -> Array:
        values = calibrated.sites[name].values(searches[name]["best_x"])[key].reshape(-1)
        return _filled(np.where(np.isfinite(searches[name]["best_loss"]), values, np.nan), count)

    for key in site.transforms.names:
        values, text = partial(finalists, key=key), f"{key} of each finalist"
        rows.add(f"finalist_{key}", ("finalist",), searches, values, units[key], text)
    which = f"the finalists within {100 * settings.within:g} % of the smallest loss"
    mean = {name: runoff.mean(0) for name, runoff in together.items()}
    rows.add("runoff_ensemble", DAILY, mean, lambda n: mean[n], "mm d-1", f"mean runoff of {which}", mean=True)
    rows.add("ensemble_size", (), together, lambda n: len(together[n]), "1", f"number of {which}")
    for name in ("nse", "kge"):
        score = partial(lambda name, n: _score(basins[n], mean[n], name), name)
        text = f"{MEASURES[name].text} of the mean daily runoff of {which}"
        rows.add(f"ensemble_{name}", ("period",), mean, score, "1", text)


def _add_scores(
    rows: _Rows, basins: Mapping[str, Basin], calibrated: CalibrationResult, solutions: Mapping[str, Solution]
) -> None:
    """Scores of the model and of the baselines in both periods."""
    for name in SCORES:
        score = partial(lambda name, n: _score(basins[n], _best(basins[n], solutions[n]), name), name)
        unit, text = UNITS[MEASURES[name].unit], f"{MEASURES[name].text} of daily runoff"
        rows.add(name, ("period",), solutions, score, unit, text)
    for name in ("nse", "kge"):
        beaten = partial(lambda name, n: _baseline(name, basins[n]), name)
        key, text = f"baseline_{name}", f"{MEASURES[name].text} of each baseline"
        table = rows.each(key, ("baseline", "period"), calibrated.searches, beaten)
        rows.variables[key] = Variable(("baseline", "basin", "period"), table.swapaxes(0, 1), "1", text)


def _add_search(rows: _Rows, settings: Settings, calibrated: CalibrationResult) -> None:
    """What the search has reached, and what it has cost."""
    plan, unit, states = settings.strategy, UNITS[MEASURES[settings.loss].unit], calibrated.searches

    def history(name: str, of: str) -> Array:
        # The best of all finalists after each step of the refinement.
        best = states[name][of].min(axis=1)
        return _filled(np.where(np.isfinite(best), best, np.nan), plan.steps)

    loss, own = training_loss(settings.loss, bool(settings.model.priors)), "1" if settings.model.priors else unit
    text = f"{loss} reached by each finalist"
    rows.add(
        "finalist_loss", ("finalist",), states, lambda n: _filled(states[n]["best_loss"], plan.finalists), own, text
    )
    rows.add("loss", ("step",), states, partial(history, of="loss_history"), own, f"smallest {loss} so far")
    rows.add("steps", (), states, lambda n: states[n]["step"], "1", "steps of the refinement")
    if settings.periods.tuning is not None:
        text = f"smallest loss ({settings.loss}) over the tuning period so far"
        rows.add("tuning_loss", ("step",), states, partial(history, of="tuning_history"), unit, text)
    texts = ("members solved", "members differentiated", "time solved, of all members", "time spent")
    for name, text, unit in zip(COSTS, texts, ("1", "1", "d", "s"), strict=True):
        rows.add(f"cost_{name}", (), states, partial(lambda name, n: states[n][name], name), unit, text)


def _filled(values: Array, length: int) -> Array:
    """A row of this length, NaN after the last value."""
    return np.concatenate([values, np.full(length - len(values), np.nan)])


def _prior_runoff(basin: Basin) -> Tensor:
    with torch.no_grad():
        return _best(basin, basin.whole.solve(prior_values(basin.whole), throw=True))
