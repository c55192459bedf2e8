"""The result of calibrating basins, as NetCDF: parameters, series, scores beside baselines, costs, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import SolverError
from ..io import Variable, provenance, write_netcdf
from ..losses import MEASURES
from ..solve import Solution
from .basins import Basin
from .found import Calibration
from .run import COSTS
from .scores import BASELINES, SCORES, UNITS, baseline_scores, scores
from .settings import Settings

PERIODS = ("train", "validation")
DAILY = ("basin", "time")
MEAN = {"cell_methods": "time: mean"}


def _scores(basin: Basin, runoff: Tensor) -> dict[str, list[float]]:
    return {name: _score(basin, runoff, name) for name in SCORES}


def _baseline(name: str, basin: Basin) -> list[list[float]]:
    return baseline_scores(name, basin.data, basin.train, basin.validation)


def _score(basin: Basin, runoff: Tensor, name: str) -> list[float]:
    """A measure of daily runoff `(days,)` in training and validation."""
    return scores(name, runoff, basin.observed, (basin.train, basin.validation))


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
        m, members = _scores(basins[name], _best(basins[name], solution)), together[name]
        reached.append(m["nse"])
        joint.append(_score(basins[name], members.mean(0), "nse"))
        lines.append(
            f"basin {name}: train NSE {m['nse'][0]:.3f} KGE {m['kge'][0]:.3f} bias {m['bias'][0]:+.3f}, "
            f"validation NSE {m['nse'][1]:.3f} KGE {m['kge'][1]:.3f} bias {m['bias'][1]:+.3f}; "
            f"mean of {len(members)} nearly as good: NSE {joint[-1][0]:.3f}, {joint[-1][1]:.3f}"
        )
        against.append([row[1] for row in _baseline("nse", basins[name])])
        lines.append(f"basin {name}: {_against(against[-1])}")
    lines += [f"basin {name} failed: {why}" for name, why in failures.items()]
    if len(reached) > 1:
        (train, validation), (both, ahead) = np.median(reached, axis=0), np.median(joint, axis=0)
        lines.append(
            f"median of {len(reached)} basins: train NSE {train:.3f}, validation NSE {validation:.3f}; "
            f"means of ensembles: {both:.3f}, {ahead:.3f}"
        )
        lines.append(f"median of {len(reached)} basins: {_against([_median(v) for v in zip(*against, strict=True)])}")
    return lines


def _against(scores: Iterable[float]) -> str:
    """The efficiencies of the baselines in validation, in words."""
    named = {"linear regression": "linear regression on the weather"}
    shown = (f"{named.get(k, k)} {v:.3f}" for k, v in zip(BASELINES, scores, strict=True))
    return f"baselines, validation NSE: {', '.join(shown)}"


def _median(values: Iterable[float]) -> float:
    """Of the basins in which a baseline can predict; NaN where it can in none."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else float("nan")


def write_result(
    settings: Settings,
    basins: Mapping[str, Basin],
    found: Calibration,
    solutions: Mapping[str, Solution],
    together: Mapping[str, Tensor],
    failures: Mapping[str, str],
) -> Path:
    """Writes the result; basins that failed hold missing values, and `status` says why.

    Args:
        together: daily runoff of the members of each basin's ensemble, `(members, days)`.
    """
    names, first = [*settings.data.basins], basins[next(iter(solutions))]
    model, dates = first.site.model, first.data.dates

    def each(value: Any, shape: tuple[int, ...] = ()) -> Any:
        """`value(name)` of each basin that was solved, NaN of the others."""
        rows = [np.asarray(value(n)) if n in solutions else np.full(shape, np.nan) for n in names]
        return np.stack(rows).astype(np.float64)

    def after(name: str, values: Tensor) -> Any:
        return values.detach().reshape(-1).numpy()[-len(dates) :]

    variables = {"status": Variable(("basin",), np.array([failures.get(n, "ok") for n in names]), None,
                                    "how the calibration ended")}  # fmt: skip
    variables |= _values(model, found, solutions, each)
    for s in model.all_states:
        variables[s.name] = Variable(DAILY, each(lambda n, s=s: after(n, solutions[n].states[s.name]), dates.shape),
                                     s.unit, f"{s.description} at the end of the day")  # fmt: skip
    for flux in model.fluxes:
        # A flux integrated over a day is its daily mean per day.
        daily = each(lambda n, flux=flux: after(n, solutions[n].fluxes[flux.name]), dates.shape)
        name = "runoff_simulated" if flux.name == "runoff" else flux.name
        variables[name] = Variable(DAILY, daily, f"{flux.unit} d-1", f"{flux.description}, daily mean", attributes=MEAN)
    variables["runoff_observed"] = Variable(DAILY, each(lambda n: basins[n].observed, dates.shape), "mm d-1",
                                            "observed runoff", attributes=MEAN)  # fmt: skip
    variables["runoff_prior"] = Variable(DAILY, each(lambda n: _prior_runoff(basins[n]), dates.shape), "mm d-1",
                                         "runoff ahead of calibration, daily mean", attributes=MEAN)  # fmt: skip
    variables |= _ensembles(settings, basins, found, together, each, dates.shape)
    reached = {n: _scores(basins[n], _best(basins[n], solution)) for n, solution in solutions.items()}
    for name in SCORES:
        values = each(lambda n, name=name: reached[n][name], (2,))
        about = MEASURES[name]
        variables[name] = Variable(("basin", "period"), values, UNITS[about.unit], f"{about.text} of daily runoff")
    for name in ("nse", "kge"):
        values = each(lambda n, name=name: _baseline(name, basins[n]), (len(BASELINES), 2))
        variables[f"baseline_{name}"] = Variable(("baseline", "basin", "period"), values.swapaxes(0, 1), "1",
                                                 f"{MEASURES[name].text} of each baseline")  # fmt: skip
    variables |= _search(settings, found, each)
    variables["balance_error"] = Variable(("basin",), each(lambda n: solutions[n].balance.reshape(())), "mm",
                                          "largest closure error of the water balance")  # fmt: skip
    days = np.array([[str(d) for d in p] for p in (settings.periods.train, settings.periods.validation)])
    coordinates = {
        "basin": Variable(
            ("basin",), np.array(names), None, "basin identifier", attributes={"cf_role": "timeseries_id"}
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
        next(iter(solutions.values())), seed=settings.strategy.seed, configuration=settings.text, action="calibrated",
        title=f"{model.name} calibrated with pydiffgeo", loss=settings.loss, fallbacks=_fallbacks(solutions),
        data_source="; ".join(dict.fromkeys(b.data.source for b in basins.values())),
    )  # fmt: skip
    return write_netcdf(settings.output, variables, coordinates, attributes)


def _fallbacks(solutions: Mapping[str, Solution]) -> str | None:
    """Basins that another method solved than the first choice, which is that of all, and the method."""
    needed = {n: s.stats.get("fallbacks") or {} for n, s in solutions.items()}
    return "; ".join(f"basin {n}: {method}" for n, methods in needed.items() for method in methods.values()) or None


def _values(model: Any, found: Calibration, solutions: Any, each: Any) -> dict[str, Variable]:
    """Parameters and initial states, and of those that were calibrated the bounds, and the values ahead of it."""
    sought = {item.name: item for item in next(iter(found.sites.values())).transforms.items}
    rows = [(p.name, p, p.description, lambda s, k: s.parameters[k]) for p in model.parameters]
    rows += [(f"initial_{s.name}", s, f"{s.description} at the start of the warm-up", lambda s, k: s.states[k])
             for s in model.all_states]  # fmt: skip
    variables = {}
    for name, about, text, of in rows:
        key, item = about.name, sought.get(about.name)
        values = each(lambda n, of=of, key=key: of(solutions[n], key).detach().reshape(-1)[0])
        kind, bounds = ("fixed", None) if item is None else ("calibrated", (item.low, item.high))
        variables[name] = Variable(("basin",), values, about.unit, f"{text} ({kind})", bounds=bounds)
        if item is not None:
            start = each(lambda n, key=key: prior_values(found.sites[n])[key].reshape(-1)[0])
            variables[f"{name}_prior"] = Variable(("basin",), start, about.unit, f"{text}, ahead of calibration")
    return variables


def _ensembles(
    settings: Settings, basins: Mapping[str, Basin], found: Calibration, together: Any, each: Any, days: Any
) -> dict[str, Variable]:
    """All finalists, and what those of them predict together that do nearly as well as the best."""
    count, which = settings.strategy.finalists, f"the finalists within {100 * settings.within:g} % of the smallest loss"
    site, variables = next(iter(found.sites.values())), {}
    model = site.model
    units = {p.name: p.unit for p in model.parameters} | {s.name: s.unit for s in model.all_states}
    for item in site.transforms.items:

        def values(name: str, item: Any = item) -> Any:
            row = np.full(count, np.nan)
            reached = found.sites[name].values(found.found[name]["best_x"])[item.name].reshape(-1)
            row[: len(reached)] = np.where(np.isfinite(found.found[name]["best_loss"]), reached, np.nan)
            return row

        variables[f"finalist_{item.name}"] = Variable(
            ("basin", "finalist"), each(values, (count,)), units[item.name], f"{item.name} of each finalist"
        )
    mean = {n: runoff.mean(0) for n, runoff in together.items()}
    variables["runoff_ensemble"] = Variable(
        DAILY, each(lambda n: mean[n], days), "mm d-1", f"mean runoff of {which}", attributes=MEAN
    )
    variables["ensemble_size"] = Variable(("basin",), each(lambda n: len(together[n])), "1", f"number of {which}")
    for name in ("nse", "kge"):
        reached = {n: _score(basins[n], v, name) for n, v in mean.items()}
        variables[f"ensemble_{name}"] = Variable(
            ("basin", "period"), each(lambda n, reached=reached: reached[n], (2,)), "1",
            f"{MEASURES[name].text} of the mean daily runoff of {which}",
        )  # fmt: skip
    return variables


def _search(settings: Settings, found: Calibration, each: Any) -> dict[str, Variable]:
    """What the search has reached, and what it has cost."""
    strategy, unit = settings.strategy, UNITS[MEASURES[settings.loss].unit]

    def spread(name: str) -> Any:
        row = np.full(strategy.finalists, np.nan)
        row[: len(found.found[name]["best_loss"])] = found.found[name]["best_loss"]
        return row

    def history(name: str, of: str) -> Any:
        # The best of all finalists after each step of the refinement.
        best = found.found[name][of].min(axis=1)
        return np.concatenate([np.where(np.isfinite(best), best, np.nan), np.full(strategy.steps - len(best), np.nan)])

    loss = settings.loss
    variables = {
        "finalist_loss": Variable(("basin", "finalist"), each(spread, (strategy.finalists,)), unit,
                                  f"training loss ({loss}) reached by each finalist"),
        "loss": Variable(("basin", "step"), each(lambda n: history(n, "loss_history"), (strategy.steps,)), unit,
                         f"smallest training loss ({loss}) so far"),
        "steps": Variable(("basin",), each(lambda n: found.found[n]["step"]), "1", "steps of the refinement"),
    }  # fmt: skip
    if settings.periods.selection is not None:
        values = each(lambda n: history(n, "selection_history"), (strategy.steps,))
        variables["selection_loss"] = Variable(
            ("basin", "step"), values, unit, f"smallest loss ({loss}) in the selection so far"
        )
    texts = ("members solved", "members differentiated", "time solved, of all members", "time spent")
    for name, text, unit in zip(COSTS, texts, ("1", "1", "d", "s"), strict=True):
        variables[f"cost_{name}"] = Variable(("basin",), each(lambda n, name=name: found.found[n][name]), unit, text)
    return variables


def prior_values(site: Any) -> dict[str, Tensor]:
    """What is calibrated, ahead of it: the means of the priors, and the middle of the range where there is none."""
    values: dict[str, Tensor] = site.values(np.zeros((1, len(site.transforms.items))))
    return {k: torch.full_like(v, site.priors[k].mean) if k in site.priors else v for k, v in values.items()}


def _prior_runoff(basin: Basin) -> Any:
    try:
        with torch.no_grad():
            return _best(basin, basin.whole.solve(prior_values(basin.whole), throw=True)).numpy()
    except SolverError:
        return np.full(len(basin.data), np.nan)
