"""Calibrates basins by gradient, as a TOML file says: `pydiffgeo calibrate CONFIG`.

Runoff has many local optima in the parameters of a basin, of snow above all. So the search narrows:
many candidates are tried, the best of them explored by gradient over a few years, all at once as one
batch, and the best of those refined on the whole of the training. What is learnt is kept in a checkpoint
beside the result, so that an interrupted run goes on where it was, to the last bit.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__
from .checkpoint import Checkpoint, load, save
from .errors import DataError, SolverError
from .fit import Fit, prepare
from .io import Variable, provenance, write_netcdf
from .losses import MEASURES, bias, kge, nse, rmse
from .search import State
from .settings import Settings, read_settings
from .solve import Solution

METRICS = {
    "nse": (nse, "1", "Nash-Sutcliffe efficiency of daily runoff"),
    "kge": (kge, "1", "Kling-Gupta efficiency of daily runoff (2009)"),
    "bias": (bias, "1", "relative bias of runoff"),
    "rmse": (rmse, "mm d-1", "root mean squared error of daily runoff"),
}
LOSS_UNITS = {"1": "1", "{unit}": "mm d-1", "{unit}^2": "mm2 d-2"}
# In the state of a search: whether it has come to the whole of the training.
REFINING = "refining"
# Seconds of work that a crash may cost at most, besides the step it happens in.
SAVE_EVERY = 10.0


@dataclass(frozen=True)
class Step:
    """What is known after a step of a search.

    Attributes:
        basin, number: the basin and its place among `basins`, from 1.
        phase: "exploring" a window of the training, or "refining" on all of it.
        step, steps: steps done and allowed in this phase.
        best: the smallest loss so far of each start.
        searching: how many starts are not done.
    """

    basin: str
    number: int
    basins: int
    phase: str
    step: int
    steps: int
    best: tuple[float, ...]
    searching: int


def calibrate(
    config_path: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[Step], None] | None = None,
) -> Path:
    """Calibrates the basins of a configuration and writes the result.

    Args:
        config_path: a TOML file; see `examples/calibrate_basin.toml`.
        resume: go on from the checkpoint of an interrupted run, if there is one; else start anew.
        progress: print step, loss and time left to the standard error.
        callback: called after each step.

    Returns:
        The path of the result: NetCDF with parameters, series, states, metrics and provenance.

    Raises:
        DataError: configuration, data or checkpoint cannot be used; nothing has been solved then.
        SolverError: a basin cannot be solved anywhere. What is finished is in the checkpoint: with that
            basin taken out of the list, the next run goes on with the others.
        KeyboardInterrupt: after the checkpoint is written; the message says how to go on.
    """
    settings = read_settings(config_path)
    if not os.path.isdir(settings.output.parent):
        raise DataError(f"{settings.path}: [output] file: there is no folder {settings.output.parent}")
    fits = {basin: prepare(settings, basin) for basin in settings.data.basins}
    checkpoint_path = settings.output.with_name(settings.output.name + ".checkpoint.npz")
    keep = _Keeper(checkpoint_path, _identity(settings, fits), resume)
    report = _Reporter(settings, len(fits), progress, callback)
    if keep.checkpoint.finished or keep.checkpoint.state:
        report.say(f"going on from {checkpoint_path}")
    try:
        for number, (basin, fit) in enumerate(fits.items()):
            if basin not in keep.checkpoint.finished:
                _search(fit, number, keep, report)
        keep.save()
        solutions = {b: fit.solve(fit.values(_best(keep, b)), fit.all_days, throw=True) for b, fit in fits.items()}
        result = _write(settings, fits, keep.checkpoint, solutions)
    except SolverError:
        keep.save()
        raise
    except KeyboardInterrupt:
        keep.save()
        state = keep.checkpoint.state
        phase = "refining" if state and state[REFINING] else "exploring"
        step = f"after step {int(state['step'])} of {phase}" if state else "before the first step of"
        where = f"{step} basin {keep.checkpoint.basin}" if keep.checkpoint.basin else "between basins"
        raise KeyboardInterrupt(f"{where}; the same command goes on from {checkpoint_path}") from None
    checkpoint_path.unlink(missing_ok=True)
    for line in _summary(settings, fits, solutions):
        report.say(line)
    return result


def _search(fit: Fit, number: int, keep: _Keeper, report: _Reporter) -> None:
    """Searches for the parameters of one basin, from where the checkpoint stands."""
    basin, o, window = fit.data.basin, fit.settings.optimiser, fit.window
    state = keep.checkpoint.state if keep.checkpoint.basin == basin else None
    if state is None:
        # Everything up to the first step follows from the configuration; there is nothing to keep.
        keep.update(Checkpoint(keep.checkpoint.finished, basin, None))
        report.say(f"basin {basin}: trying {o.candidates} candidates")
        x = fit.best_of(fit.candidates(), window or fit.train, o.starts if window else o.finalists)
        state = {**fit.search().start(x), REFINING: np.array(window is None)}
    if window is not None and not state[REFINING]:
        state = _steps(fit, number, state, window, o.window_steps, keep, report)
        solved = np.isfinite(state["best_loss"])
        x = fit.best_of(state["best_x"][solved] if solved.any() else state["best_x"], fit.train, o.finalists)
        state = {**fit.search().start(x), REFINING: np.array(True)}
    state = _steps(fit, number, state, fit.train, o.steps, keep, report)
    if not np.isfinite(state["best_loss"]).any():
        raise SolverError(f"basin {basin}: no start could be solved and differentiated; {report.why}")
    keep.update(Checkpoint({**keep.checkpoint.finished, basin: state}))


def _steps(fit: Fit, number: int, state: State, days: slice, steps: int, keep: _Keeper, report: _Reporter) -> State:
    """Goes on with a search over `days` until it has done `steps` or all its members are done."""
    method = fit.search()
    report.begin()
    while int(state["step"]) < steps and not state["done"].all():
        active = np.flatnonzero(~state["done"])
        loss, gradient = np.full(len(state["done"]), np.inf), np.zeros_like(state["trial"])
        loss[active], gradient[active], why = fit.losses(state["trial"][active], days, gradient=True)
        state = method.advance(state, loss, gradient)
        keep.update(Checkpoint(keep.checkpoint.finished, fit.data.basin, state))
        report.step(fit, number, state, loss[active], days, steps, why)
    return state


def _best(keep: _Keeper, basin: str) -> Any:
    state = keep.checkpoint.finished[basin]
    best = int(np.argmin(state["best_loss"]))
    return state["best_x"][best : best + 1]


class _Keeper:
    """Holds the present checkpoint and writes it now and then."""

    def __init__(self, path: Path, identity: dict[str, Any], resume: bool) -> None:
        self.path, self.identity, self.saved = path, identity, time.monotonic()
        self.checkpoint = load(path, identity) if resume and path.exists() else Checkpoint()

    def update(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        save(self.path, self.identity, self.checkpoint)
        self.saved = time.monotonic()


def _identity(settings: Settings, fits: dict[str, Fit]) -> dict[str, Any]:
    """What must be the same for a checkpoint to be of use; where data and result lie may change."""
    tables = {k: settings.tables.get(k, {}) for k in ("periods", "model", "solve", "optimiser")}
    plain = json.loads(json.dumps(tables, default=str))
    return {
        "pydiffgeo": __version__,
        **plain,
        "data": {basin: fit.fingerprint for basin, fit in fits.items()},
    }


class _Reporter:
    """Prints how things stand, and passes it to the callback."""

    def __init__(self, settings: Settings, basins: int, progress: bool, callback: Any) -> None:
        self.settings, self.basins, self.progress, self.callback = settings, basins, progress, callback
        # Seconds per member and day of the latest steps, and why a member failed last.
        self.rates, self.started, self.why = list[float](), time.monotonic(), ""

    def say(self, line: str) -> None:
        if self.progress:
            print(line, file=sys.stderr, flush=True)

    def begin(self) -> None:
        self.started = time.monotonic()

    def step(self, fit: Fit, number: int, state: State, loss: Any, days: slice, steps: int, why: str) -> None:
        now, step, refining = time.monotonic(), int(state["step"]), bool(state[REFINING])
        self.why = why or self.why
        self.rates.append((now - self.started) / (len(loss) * (fit.warmup + days.stop - days.start)))
        self.started = now
        searching = int((~state["done"]).sum())
        left = dt.timedelta(
            seconds=round(self._work_left(fit, number, step, searching, refining) * np.mean(self.rates[-10:]))
        )
        best, phase = float(state["best_loss"].min()), "refining" if refining else "exploring"
        self.say(
            f"basin {fit.data.basin} ({number + 1}/{self.basins})  {phase} {step}/{steps}  "
            f"loss ({self.settings.optimiser.loss}) {np.min(loss):.6g}  best {best:.6g}  "
            f"searching {searching}/{len(state['done'])}  at most {left} left"
        )
        if self.callback is not None:
            each = tuple(float(v) for v in state["best_loss"])
            self.callback(Step(fit.data.basin, number + 1, self.basins, phase, step, steps, each, searching))

    def _work_left(self, fit: Fit, number: int, step: int, searching: int, refining: bool) -> int:
        """Members times days still to be solved and differentiated, if no member is done early."""
        o, window = self.settings.optimiser, fit.window
        whole = fit.warmup + fit.train.stop
        short = fit.warmup + window.stop - window.start if window else 0
        explore, refine = o.window_steps * o.starts * short, o.steps * o.finalists * whole
        if refining:
            here = (o.steps - step) * searching * whole
        else:
            here = (o.window_steps - step) * searching * short + refine
        return here + (self.basins - number - 1) * (explore + refine)


def _metrics(fit: Fit, solution: Solution) -> dict[str, list[float]]:
    """Each metric for training and validation."""
    runoff = fit.runoff(solution)[0].detach()
    return {
        name: [float(measure(runoff[days], fit.observed[days])) for days in (fit.train, fit.validation)]
        for name, (measure, _, _) in METRICS.items()
    }


def _summary(settings: Settings, fits: dict[str, Fit], solutions: dict[str, Solution]) -> list[str]:
    lines = []
    for basin, fit in fits.items():
        m = _metrics(fit, solutions[basin])
        lines.append(
            f"basin {basin}: train NSE {m['nse'][0]:.3f} KGE {m['kge'][0]:.3f} bias {m['bias'][0]:+.3f}, "
            f"validation NSE {m['nse'][1]:.3f} KGE {m['kge'][1]:.3f} bias {m['bias'][1]:+.3f}"
        )
    return lines


def _write(settings: Settings, fits: dict[str, Fit], checkpoint: Checkpoint, solutions: dict[str, Solution]) -> Path:
    first = next(iter(fits.values()))
    basins = [*fits]
    daily, periods = ("basin", "time"), ("basin", "period")

    def together(values: list[Any]) -> Any:
        return np.stack([v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in values])

    variables = {}
    for p in first.model.parameters:
        fitted = together([solutions[b].parameters[p.name].reshape(-1)[0] for b in basins])
        text = p.description + (" (fixed)" if p.name in settings.model.fixed else " (calibrated)")
        variables[p.name] = Variable(("basin",), fitted, p.unit, text)
    for s in first.model.all_states:
        series = [solutions[b].states[s.name].reshape(-1) for b in basins]
        variables[f"initial_{s.name}"] = Variable(("basin",), together([v[0] for v in series]), s.unit,
                                                  f"{s.description} at the start of the warm-up")  # fmt: skip
        variables[s.name] = Variable(daily, together([v[first.warmup + 1 :] for v in series]), s.unit,
                                     f"{s.description} at the end of the day")  # fmt: skip
    variables["runoff_observed"] = Variable(
        daily, together([f.observed for f in fits.values()]), "mm d-1", "observed runoff"
    )
    for flux in first.model.fluxes:
        series = [solutions[b].fluxes[flux.name].reshape(-1)[first.warmup :] for b in basins]
        name = "runoff_simulated" if flux.name == "runoff" else flux.name
        # A flux integrated over a day is its daily mean per day.
        variables[name] = Variable(daily, together(series), f"{flux.unit} d-1", f"{flux.description}, daily mean")
    metrics = [_metrics(fits[b], solutions[b]) for b in basins]
    for name, (_, unit, text) in METRICS.items():
        variables[name] = Variable(periods, together([m[name] for m in metrics]), unit, text)
    o = settings.optimiser
    states = [checkpoint.finished[b] for b in basins]
    spread = np.full((len(basins), o.finalists), np.nan)
    for row, state in zip(spread, states, strict=True):
        row[: len(state["best_loss"])] = state["best_loss"]
    variables["finalist_loss"] = Variable(("basin", "finalist"), spread, LOSS_UNITS[MEASURES[o.loss].unit],
                                       f"training loss ({o.loss}) reached by each finalist")  # fmt: skip
    variables["steps"] = Variable(("basin",), together([s["step"] for s in states]), "1", "steps of the refinement")
    variables["balance_error"] = Variable(("basin",), together([solutions[b].balance.reshape(-1)[0] for b in basins]),
                                          "mm", "largest closure error of the water balance")  # fmt: skip
    days = np.array([[str(d) for d in p] for p in (settings.periods.train, settings.periods.validation)])
    coordinates = {
        "basin": Variable(("basin",), np.array(basins), None, "basin identifier"),
        "time": Variable(("time",), first.data.dates, None, "day"),
        "period": Variable(("period",), np.array(["train", "validation"]), None, "period"),
        "period_start": Variable(("period",), days[:, 0], None, "first day of the period"),
        "period_end": Variable(("period",), days[:, 1], None, "last day of the period"),
        "finalist": Variable(("finalist",), np.arange(o.finalists), "1", "number of the finalist"),
    }
    return write_netcdf(settings.output, variables, coordinates, _provenance(settings, fits, solutions))


def _provenance(settings: Settings, fits: dict[str, Fit], solutions: dict[str, Solution]) -> dict[str, Any]:
    return provenance(
        next(iter(solutions.values())),
        rtol=settings.solve.rtol,
        atol=settings.solve.atol,
        seed=settings.optimiser.seed,
        configuration=settings.text,
        action="calibrated",
        title=f"{settings.model.name} calibrated with pydiffgeo",
        data_source="; ".join(dict.fromkeys(fit.data.source for fit in fits.values())),
        loss=settings.optimiser.loss,
    )
