"""The result of calibrating basins, as NetCDF: parameters, series, scores beside baselines, costs, provenance."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...calibration.keeper import COSTS
from ...calibration.result import CalibrationResult, prior_values, training_loss
from ...errors import PydiffgeoError
from ...io import Variable, provenance, write_netcdf
from ...losses.measures import MEASURES
from ...solve import Solution
from ..scores import BASELINES, SCORES, UNITS, baseline_scores, scores
from .basins import Basin
from .settings import Settings

PERIODS = ("train", "evaluation")
DAILY = ("basin", "time")
MEAN = {"cell_methods": "time: mean"}


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
    solutions: Mapping[str, Solution],
    together: Mapping[str, Tensor],
    failures: Mapping[str, str],
) -> list[str]:
    """Two lines for each basin, the second of what it has to beat, and two for all where there are several."""
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
    lines += [f"basin {name} failed: {why}" for name, why in failures.items()]
    if len(reached) > 1:
        (train, evaluation), (both, ahead) = ([_median(v) for v in np.transpose(x)] for x in (reached, joint))
        lines.append(
            f"median of {len(reached)} basins: train NSE {train:.3f}, evaluation NSE {evaluation:.3f}; "
            f"means of ensembles: {both:.3f}, {ahead:.3f}"
        )
        lines.append(f"median of {len(reached)} basins: {_against([_median(v) for v in zip(*against, strict=True)])}")
    return lines


def _against(scores: Iterable[float]) -> str:
    """The efficiencies of the baselines in evaluation, in words."""
    named = {"linear regression": "linear regression on the weather"}
    shown = (f"{named.get(k, k)} {v:.3f}" for k, v in zip(BASELINES, scores, strict=True))
    return f"baselines, evaluation NSE: {', '.join(shown)}"


def _median(values: Iterable[float]) -> float:
    """Of the basins in which a baseline can predict; NaN where it can in none."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else float("nan")


@dataclass(frozen=True, eq=False)
class _Rows:
    """Gathers values of basins, NaN where there are none; what cannot be had of one costs that alone.

    Attributes:
        names: all basins, in order. notes: basin -> what of it is missing, and why.
    """

    names: Sequence[str]
    notes: dict[str, str]

    def each(self, what: str, of: Container[str], value: Callable[..., Any], shape: tuple[int, ...] = ()) -> Any:
        """`value(name)` of the basins in `of`."""
        rows = [np.full(shape, np.nan) for _ in self.names]
        for i, name in enumerate(self.names):
            if name in of:
                try:
                    rows[i] = np.asarray(value(name), np.float64).reshape(shape)
                except PydiffgeoError as error:
                    self.notes[name] = "; ".join(filter(None, (self.notes.get(name), f"no {what}: {error}")))
        return np.stack(rows)


def write_result(
    settings: Settings,
    basins: Mapping[str, Basin],
    found: CalibrationResult,
    solutions: Mapping[str, Solution],
    together: Mapping[str, Tensor],
    failures: Mapping[str, str],
    notes: Mapping[str, str],
) -> Path:
    """Writes the result; where there is nothing of a basin there are missing values, and `status` or `notes` says why.

    Args:
        found: what is written of each basin in it, whether or not it could be solved over the whole record.
        solutions: of the basins that could.
        together: daily runoff of the members of a basin's ensemble, `(members, days)`, where there is one.
        notes: basin -> what of it could not be had.
    """
    rows, first = _Rows(settings.data.basins, dict(notes)), basins[next(iter(found.searches))]
    model, dates = first.site.model, first.data.dates

    def daily(what: str, value: Callable[..., Any], of: Container[str] = solutions) -> Any:
        return rows.each(what, of, value, dates.shape)

    def after(values: Tensor) -> Any:
        return values.detach().reshape(-1).numpy()[-len(dates) :]

    variables = _values(model, found, solutions, rows)
    for s in model.all_states:
        variables[s.name] = Variable(DAILY, daily(s.name, lambda n, s=s: after(solutions[n].states[s.name])),
                                     s.unit, f"{s.description} at the end of the day")  # fmt: skip
    for flux in model.fluxes:
        # A flux integrated over a day is its daily mean per day.
        mean = daily(flux.name, lambda n, flux=flux: after(solutions[n].fluxes[flux.name]))
        name = "runoff_simulated" if flux.name == "runoff" else flux.name
        variables[name] = Variable(DAILY, mean, f"{flux.unit} d-1", f"{flux.description}, daily mean", attributes=MEAN)
    variables["runoff_observed"] = Variable(DAILY, daily("runoff", lambda n: basins[n].observed, found.searches), "mm d-1",
                                            "observed runoff", attributes=MEAN)  # fmt: skip
    variables["runoff_prior"] = Variable(DAILY, daily("runoff_prior", lambda n: _prior_runoff(basins[n])), "mm d-1",
                                         "runoff ahead of calibration, daily mean", attributes=MEAN)  # fmt: skip
    variables |= _ensembles(settings, basins, found, together, rows, dates.shape)
    for name in SCORES:
        values = rows.each(
            name, solutions, lambda n, name=name: _score(basins[n], _best(basins[n], solutions[n]), name), (2,)
        )
        about = MEASURES[name]
        variables[name] = Variable(("basin", "period"), values, UNITS[about.unit], f"{about.text} of daily runoff")
    for name in ("nse", "kge"):
        values = rows.each(
            f"baseline_{name}", found.searches, lambda n, name=name: _baseline(name, basins[n]), (len(BASELINES), 2)
        )
        variables[f"baseline_{name}"] = Variable(("baseline", "basin", "period"), values.swapaxes(0, 1), "1",
                                                 f"{MEASURES[name].text} of each baseline")  # fmt: skip
    variables |= _search(settings, found, rows)
    balance = rows.each("balance_error", solutions, lambda n: solutions[n].balance.reshape(()))
    variables["balance_error"] = Variable(("basin",), balance, "mm", "largest closure error of the water balance")
    told = {"status": ([failures.get(n, "ok") for n in rows.names], "how the calibration ended")}
    if rows.notes:
        told["notes"] = ([rows.notes.get(n, "") for n in rows.names], "what could not be had of the basin, and why")
    variables = {k: Variable(("basin",), np.array(v), None, text) for k, (v, text) in told.items()} | variables
    days = np.array([[str(d) for d in p] for p in (settings.periods.train, settings.periods.evaluation)])
    coordinates = {
        "basin": Variable(
            ("basin",), np.array(rows.names), None, "basin identifier", attributes={"cf_role": "timeseries_id"}
        ),
        "time": Variable(("time",), dates, None, "day", standard_name="time"),
        "period": Variable(("period",), np.array(PERIODS), None, "period"),
        "period_start": Variable(("period",), days[:, 0], None, "first day of the period"),
        "period_end": Variable(("period",), days[:, 1], None, "last day of the period"),
        "baseline": Variable(("baseline",), np.array(BASELINES), None, "what the model has to beat"),
        "finalist": Variable(("finalist",), np.arange(settings.strategy.finalists), "1", "number of the finalist"),
        "step": Variable(("step",), np.arange(1, settings.strategy.steps + 1), "1", "step of the refinement"),
    }
    attributes = provenance(
        next(iter(solutions.values()), None), rtol=settings.solve.rtol, atol=settings.solve.atol,
        seed=settings.strategy.seed, configuration=settings.text, action="calibrated",
        title=f"{model.name} calibrated with pydiffgeo", loss=settings.loss, fallbacks=_fallbacks(solutions),
        data_source="; ".join(dict.fromkeys(b.data.source for b in basins.values())),
    )  # fmt: skip
    return write_netcdf(settings.output, variables, coordinates, attributes)


def _fallbacks(solutions: Mapping[str, Solution]) -> str | None:
    """Basins that another method solved than the first choice, which is that of all, and the method."""
    needed = {n: s.stats.get("fallbacks") or {} for n, s in solutions.items()}
    return "; ".join(f"basin {n}: {method}" for n, methods in needed.items() for method in methods.values()) or None


def _values(model: Any, found: CalibrationResult, solutions: Any, rows: _Rows) -> dict[str, Variable]:
    """Parameters and initial states, and of those that were calibrated the bounds, and the values ahead of it."""
    sought = {item.name: item for item in next(iter(found.sites.values())).transforms.items}
    listed = [(p.name, p, p.description, lambda s, k: s.parameters[k]) for p in model.parameters]
    listed += [(f"initial_{s.name}", s, f"{s.description} at the start of the warm-up", lambda s, k: s.states[k])
               for s in model.all_states]  # fmt: skip
    variables = {}
    for name, about, text, of in listed:
        key, item = about.name, sought.get(about.name)
        if item is None:
            values = rows.each(name, solutions, lambda n, of=of, key=key: of(solutions[n], key).detach().reshape(-1)[0])
            variables[name] = Variable(("basin",), values, about.unit, f"{text} (fixed)")
            continue
        values = rows.each(name, found.searches, lambda n, key=key: found.values(n)[key])
        ends = (item.low, item.high)
        variables[name] = Variable(("basin",), values, about.unit, f"{text} (calibrated)", bounds=ends)
        start = rows.each(
            f"{name}_prior", found.searches, lambda n, key=key: prior_values(found.sites[n])[key].reshape(-1)[0]
        )
        variables[f"{name}_prior"] = Variable(("basin",), start, about.unit, f"{text}, ahead of calibration")
    return variables


def _ensembles(
    settings: Settings, basins: Mapping[str, Basin], found: CalibrationResult, together: Any, rows: _Rows, days: Any
) -> dict[str, Variable]:
    """All finalists, and what those of them predict together that do nearly as well as the best."""
    count, which = settings.strategy.finalists, f"the finalists within {100 * settings.within:g} % of the smallest loss"
    site, variables = next(iter(found.sites.values())), {}
    model = site.model
    units = {p.name: p.unit for p in model.parameters} | {s.name: s.unit for s in model.all_states}
    for item in site.transforms.items:

        def values(name: str, item: Any = item) -> Any:
            row = np.full(count, np.nan)
            reached = found.sites[name].values(found.searches[name]["best_x"])[item.name].reshape(-1)
            row[: len(reached)] = np.where(np.isfinite(found.searches[name]["best_loss"]), reached, np.nan)
            return row

        key = f"finalist_{item.name}"
        variables[key] = Variable(("basin", "finalist"), rows.each(key, found.searches, values, (count,)), units[item.name],
                                  f"{item.name} of each finalist")  # fmt: skip
    mean = {n: runoff.mean(0) for n, runoff in together.items()}
    runoff = rows.each("runoff_ensemble", mean, lambda n: mean[n], days)
    variables["runoff_ensemble"] = Variable(DAILY, runoff, "mm d-1", f"mean runoff of {which}", attributes=MEAN)
    size = rows.each("ensemble_size", together, lambda n: len(together[n]))
    variables["ensemble_size"] = Variable(("basin",), size, "1", f"number of {which}")
    for name in ("nse", "kge"):
        reached = rows.each(f"ensemble_{name}", mean, lambda n, name=name: _score(basins[n], mean[n], name), (2,))
        variables[f"ensemble_{name}"] = Variable(
            ("basin", "period"), reached, "1", f"{MEASURES[name].text} of the mean daily runoff of {which}"
        )
    return variables


def _search(settings: Settings, found: CalibrationResult, rows: _Rows) -> dict[str, Variable]:
    """What the search has reached, and what it has cost."""
    strategy, unit = settings.strategy, UNITS[MEASURES[settings.loss].unit]

    def spread(name: str) -> Any:
        row = np.full(strategy.finalists, np.nan)
        row[: len(found.searches[name]["best_loss"])] = found.searches[name]["best_loss"]
        return row

    def history(name: str, of: str) -> Any:
        # The best of all finalists after each step of the refinement.
        best = found.searches[name][of].min(axis=1)
        return np.concatenate([np.where(np.isfinite(best), best, np.nan), np.full(strategy.steps - len(best), np.nan)])

    loss, own = training_loss(settings.loss, bool(settings.model.priors)), "1" if settings.model.priors else unit
    steps = (strategy.steps,)

    def each(name: str, value: Callable[..., Any], shape: tuple[int, ...] = ()) -> Any:
        return rows.each(name, found.searches, value, shape)

    variables = {
        "finalist_loss": Variable(("basin", "finalist"), each("finalist_loss", spread, (strategy.finalists,)), own,
                                  f"{loss} reached by each finalist"),
        "loss": Variable(("basin", "step"), each("loss", lambda n: history(n, "loss_history"), steps), own,
                         f"smallest {loss} so far"),
        "steps": Variable(("basin",), each("steps", lambda n: found.searches[n]["step"]), "1", "steps of the refinement"),
    }  # fmt: skip
    if settings.periods.tuning is not None:
        values = each("tuning_loss", lambda n: history(n, "tuning_history"), steps)
        variables["tuning_loss"] = Variable(
            ("basin", "step"), values, unit, f"smallest loss ({settings.loss}) in the tuning so far"
        )
    texts = ("members solved", "members differentiated", "time solved, of all members", "time spent")
    for name, text, unit in zip(COSTS, texts, ("1", "1", "d", "s"), strict=True):
        spent = each(f"cost_{name}", lambda n, name=name: found.searches[n][name])
        variables[f"cost_{name}"] = Variable(("basin",), spent, unit, text)
    return variables


def _prior_runoff(basin: Basin) -> Any:
    with torch.no_grad():
        return _best(basin, basin.whole.solve(prior_values(basin.whole), throw=True)).numpy()
