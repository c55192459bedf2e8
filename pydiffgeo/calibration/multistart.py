"""Calibrates sites by gradient.

The loss of a model has many local minima, of snow above all. So the search narrows: many candidates are
tried, the best of them explored by gradient over a part of the record, all at once as one batch, and the
best of those refined on the whole of it. What is learnt is kept in a checkpoint, so that an interrupted
run goes on where it was, to the last bit. A site that fails does not stop the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from ..arrays import Array, Json
from ..engines.interrupts import restores_grad_mode, saved_when_stopped
from ..errors import DataError, InputError, PydiffgeoError, SolverError
from ..observe import SAME
from ..scheduling import Scheduler
from .checkpoint import Checkpoint
from .keeper import COSTS, REFINING, Keeper
from .loss_terms import told
from .many_sites import Folder, SitesByName, over_workers
from .objective import SQUARES, defined, squares
from .progress import Progress, Step
from .result import CalibrationResult, apart
from .search import State, spread
from .site import Site
from .strategy import Strategy

# Candidates keep this part of each range away from its ends, where a transform hardly moves.
INSET = 0.02
# In the state of a search: the best after each step, and what it is the history of.
HISTORIES = {"loss_history": "best_loss", "tuning_history": "best_tuning"}
# Of the parts of a record from which one is chosen, so many begin within the length of one, and there are so many at most.
PARTS, MOST = 5, 100


@restores_grad_mode
def calibrate(
    sites: Sequence[Site] | Mapping[str, Callable[[], Site]],
    strategy: Strategy | None = None,
    *,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[Step], None] | None = None,
    identity: Mapping[str, Json] | None = None,
    scheduler: Scheduler = None,
) -> CalibrationResult:
    """Finds the values of each site that make its loss smallest.

    Args:
        sites: one or several, each with a name of its own; or by their names what makes them, such as
            `functools.partial(read, name)`: with a scheduler, sites are then made by its workers, and only that is sent.
        strategy: how the search goes.
        checkpoint: a file that is kept up to date, for a run that is interrupted; it stays when all is done. With a
            scheduler a folder, which gets a file for each site that is done.
        resume: go on from the checkpoint, if there is one; else start anew.
        progress: print step, loss and time left to the standard error.
        callback: called after each step; with a scheduler, after the last step of each site.
        identity: what must be the same for a checkpoint to be of use, besides the data; the strategy if None.
        scheduler: the address of a Dask scheduler, a number of worker processes to start here, a `distributed` cluster or
            client: sites are then calibrated side by side, each as it would be here, and what is lost with a worker is
            begun again by another; see `scheduling.each`. None calibrates them here, one after the other.

    Raises:
        InputError: two sites have the same name, the method fits the loss of none, or all are wrong in some way.
        DataError: the checkpoint cannot be used, or its folder is not there. SolverError: no site could be calibrated.
        SchedulerError: the scheduler cannot be reached, or was lost. MissingPackageError: Dask is not installed.
        KeyboardInterrupt: after the checkpoint is written, as for any error; the message says how to go on.
    """
    strategy = strategy or Strategy()
    sources = dict(sites) if isinstance(sites, Mapping) else {site.name: site for site in sites}
    if not sources or len(sources) < len(sites):
        raise InputError("give at least one site, and each a name of its own")
    path = None if checkpoint is None else Path(checkpoint)
    same: Mapping[str, Json] = identity if identity is not None else {"strategy": asdict(strategy)}
    if scheduler is not None:
        report = Progress(progress, 0.0, None)
        found, wrong = over_workers(
            scheduler,
            sources,
            strategy,
            _searched,
            partial(_check, strategy),
            Folder(path, {"pydiffgeo": __version__, **same}),
            resume=resume,
            report=report,
            callback=callback,
        )
        return _result(SitesByName(sources), found, wrong)
    named = {**SitesByName(sources)}
    if strategy.method == "gauss_newton" and not any(squares(site.loss) for site in named.values()):
        losses = sorted({told(site.loss) for site in named.values()})
        raise InputError(f"gauss_newton needs a loss that is a sum of squares, {list(SQUARES)}, not {losses}")
    same = identity if identity is not None else {"strategy": asdict(strategy)}
    keep = Keeper(
        path,
        {"pydiffgeo": __version__, **same, "data": {name: site.fingerprint for name, site in named.items()}},
        resume,
    )
    report = Progress(progress, 0.0, callback)
    mistakes: dict[str, InputError] = {}
    with saved_when_stopped(keep.save, keep.where, report.close):
        searches = {
            name: _Search(site, strategy, keep, report, number, len(named))
            for number, (name, site) in enumerate(named.items(), 1)
        }
        for name, state in keep.now.states():
            searches[name].check(state)
        if keep.resumed:
            report.say(f"going on from {keep.path}")
        work = {name: search.left() for name, search in searches.items()}
        report.left = sum(work.values())
        for number, name in enumerate(named, 1):
            ahead = sum([*work.values()][number:])
            if name not in keep.now.finished and name not in keep.now.failed:
                try:
                    searches[name].run()
                except InputError as error:
                    # Not kept: the checkpoint must still be of use once the site is mended.
                    mistakes[name] = error
                    report.say(f"site {name} failed: {error}")
                except PydiffgeoError as error:
                    keep.update(keep.now.with_failure(name, str(error)))
                    report.say(f"site {name} failed: {error}")
            report.left = ahead
        if len(mistakes) < len(named):
            # Else nothing has been found that would be lost.
            keep.save()
    return _result(named, keep.now, mistakes)


def _result(named: Mapping[str, Site], found: Checkpoint, mistakes: Mapping[str, InputError]) -> CalibrationResult:
    """What was found of all sites, in their order.

    Raises:
        SolverError, InputError: nothing was found; says why.
    """
    why = {**found.failed, **{name: _of_site(name, error) for name, error in mistakes.items()}}
    failures = {name: why[name] for name in named if name in why}
    if not found.finished:
        kinds = {type(error) for error in mistakes.values()} if len(mistakes) == len(named) else {SolverError}
        kind = kinds.pop() if len(kinds) == 1 else InputError
        raise kind(f"no site could be calibrated; {'; '.join(failures.values())}")
    searched = {name: found.finished[name] for name in named if name in found.finished}
    return CalibrationResult(named, searched, failures)


def _searched(site: Site, strategy: Strategy) -> State:
    """The final state of the search of one site by itself, which tells nobody and keeps nothing."""
    keep = Keeper(None, {}, resume=False)
    _Search(site, strategy, keep, Progress(False, 0.0, None), 1, 1).run()
    return keep.now.finished[site.name]


def _check(strategy: Strategy, site: Site, state: State, path: Path | None) -> None:
    """Raises `DataError` unless a state that was read from `path` is one of the site."""
    keep = Keeper(None, {}, resume=False)
    keep.path = path
    _Search(site, strategy, keep, Progress(False, 0.0, None), 1, 1).check(state)


def _of_site(name: str, error: Exception) -> str:
    text, site = str(error), f"site {name}: "
    return text if text.startswith(site) else site + text


def candidates(site: Site, strategy: Strategy) -> Array:
    """A Latin hypercube `(candidates, n)`; the seed and the name of the site alone decide it."""
    n, count = len(site.transforms.items), strategy.candidates
    random = np.random.default_rng([strategy.seed, *site.name.encode()])
    strata = np.stack([random.permutation(count) for _ in range(n)], axis=1)
    share = INSET + (1 - 2 * INSET) * (strata + random.random((count, n))) / count
    return np.asarray(np.log(share / (1 - share)))


def window(site: Site, length: float) -> Site | None:
    """The part of the record that is explored first: of all that are `length` long after their warm-up, the one
    in which observations vary most, in units of their error. None where that would save little.

    Parts begin a fifth of `length` apart, or further where there would be more than a hundred. One in which the loss is
    not defined, for lack of observations, is passed over.
    """
    times, lead = site.times, site.warmup
    spare = float(times[-1] - times[0]) - lead - length
    if length <= 0 or spare < length:
        return None
    every = max(length / PARTS, spare / MOST)
    slack = SAME * float(times[-1] - times[0])
    best: tuple[float, tuple[int, int] | None] = (0.0, None)
    for number in range(int((spare + slack) / every) + 1):
        start = float(times[0]) + number * every
        first, last = (int(i) for i in np.searchsorted(times, (start - slack, start + lead + length - slack)))
        seen = site.seen(first, last)
        if not seen or not defined(seen, site.loss):
            continue
        deviations = [(o.values - torch.nanmean(o.values)) / o.error for o in seen]
        variation = sum(float(torch.nansum(d**2)) for d in deviations)
        if variation > best[0]:
            best = (variation, (first, last))
    return None if best[1] is None else site.between(*best[1])


def _duration(site: Site) -> float:
    return float(site.times[-1] - site.times[0])


def _work(site: Site, strategy: Strategy, state: State | None = None) -> float:
    """Members times the time still to be solved and differentiated from `state` on, if none is done early."""
    short = strategy.window + site.warmup if 0 < 2 * strategy.window <= _duration(site) - site.warmup else 0.0
    explored, refined = strategy.window_steps * strategy.starts, strategy.steps * strategy.finalists
    if state is not None and state[REFINING]:
        explored, refined = 0, _steps_left(state, strategy.steps)
    elif state is not None:
        explored = _steps_left(state, strategy.window_steps)
    return explored * short + refined * _duration(site)


def _steps_left(state: State, steps: int) -> int:
    """Of all members that are still searching."""
    return max(steps - int(state["step"]), 0) * int((~state["done"]).sum())


class _Search:
    """The search of one site, from where the checkpoint stands."""

    def __init__(self, site: Site, strategy: Strategy, keep: Keeper, report: Progress, number: int, sites: int) -> None:
        self.site, self.strategy, self.keep, self.report = site, strategy, keep, report
        self.number, self.sites, self.cost = number, sites, dict.fromkeys(COSTS, 0.0)
        self.method, self.why = strategy.search(site.loss, len(site.transforms.items)), ""

    def left(self) -> float:
        """The work still to be done, see `_work`."""
        now, name = self.keep.now, self.site.name
        if name in now.finished or name in now.failed:
            return 0.0
        return _work(self.site, self.strategy, now.state if now.site == name else None)

    def run(self) -> None:
        site, plan = self.site, self.strategy
        state = self.keep.now.state if self.keep.now.site == site.name else None
        explored = window(site, plan.window)
        if state is None:
            # Everything up to the first step follows from the configuration; there is nothing to keep.
            self.keep.update(Checkpoint(self.keep.now.finished, self.keep.now.failed, site.name, None))
            self.report.say(f"site {site.name}: trying {plan.candidates} candidates")
            x = self._best_of(candidates(site, plan), explored or site, plan.starts if explored else plan.finalists)
            state = self._begin(x, refining=explored is None)
        else:
            self.cost = {k: float(state[k]) for k in COSTS}
        if explored is not None and not state[REFINING]:
            state = self._steps(state, explored, plan.window_steps)
            solved = np.isfinite(state["best_loss"])
            x = self._best_of(state["best_x"][solved] if solved.any() else state["best_x"], site, plan.finalists)
            state = self._begin(x, refining=True)
        state = self._steps(state, site, plan.steps)
        if not np.isfinite(state["best_loss"]).any():
            raise SolverError(f"site {site.name}: no start could be solved and differentiated; {self.why}")
        self.keep.update(self.keep.now.with_finished(site.name, state))

    def check(self, state: State) -> None:
        """Raises `DataError` unless a state that was read has the arrays of one of this search."""
        trial, n = state.get("trial", np.empty(0)), len(self.site.transforms.items)
        members = len(trial) if trial.ndim and len(trial) else 1
        for name, wanted in self._begin(np.zeros((members, n)), refining=False).items():
            # How many steps a history holds is its own affair.
            steps = name.endswith("_history")
            array = state.get(name)
            if array is None or _form(array, steps) != _form(wanted, steps):
                raise DataError(
                    f"{self.keep.path}: {name!r} of site {self.site.name} is not what a checkpoint holds; "
                    "delete it to start anew"
                )

    def _begin(self, x: Array, *, refining: bool) -> State:
        histories = {name: np.empty((0, len(x))) for name in HISTORIES}
        return {**self.method.start(x), REFINING: np.array(refining), **self._costs(), **histories}

    def _costs(self) -> State:
        return {name: np.array(value) for name, value in self.cost.items()}

    def _count(self, site: Site, members: int, gradients: int, seconds: float) -> None:
        for name, amount in zip(COSTS, (members, gradients, members * _duration(site), seconds), strict=True):
            self.cost[name] += amount

    def _best_of(self, x: Array, site: Site, count: int) -> Array:
        """The `count` rows of `x` with the smallest loss that are apart, fewer where fewer can be solved.

        Raises:
            SolverError: the model can be solved at none of them.
        """
        started = time.perf_counter()
        tried = site.coarse().evaluate(x, gradient=False)
        self._count(site, len(x), 0, time.perf_counter() - started)
        best = np.argsort(tried.loss, kind="stable")
        best = best[np.isfinite(tried.loss[best])]
        if not len(best):
            raise SolverError(f"site {site.name}: none of {len(x)} points could be solved; {tried.why}")
        return x[best][apart(x[best], count)]

    def _steps(self, state: State, site: Site, steps: int) -> State:
        """Goes on with a search until it has done `steps` or all its members are done."""
        self.report.begin()
        while int(state["step"]) < steps and not state["done"].all():
            active = np.flatnonzero(~state["done"])
            started = time.perf_counter()
            trials = site.evaluate(state["trial"][active], normal=self.method.needs_normal)
            self._count(site, len(active), len(active), time.perf_counter() - started)
            self.why = trials.why or self.why
            state = self.method.advance(state, spread(trials, active, *state["trial"].shape)) | self._costs()
            state |= {name: np.concatenate([state[name], state[best][None]]) for name, best in HISTORIES.items()}
            self.keep.update(Checkpoint(self.keep.now.finished, self.keep.now.failed, self.site.name, state))
            self.report.step(self._told(state, steps, float(trials.loss.min())), len(active) * _duration(site))
        return state

    def _told(self, state: State, steps: int, loss: float) -> Step:
        """What a callback is told after a step with this smallest loss."""
        phase = "refining" if state[REFINING] else "exploring"
        done, best, searching = int(state["step"]), tuple(state["best_loss"].tolist()), int((~state["done"]).sum())
        return Step(self.site.name, self.number, self.sites, phase, done, steps, loss, best, searching)


def _form(array: NDArray[np.generic], first: int) -> tuple[int, str, tuple[int, ...]]:
    """How an array is laid out, its lengths from the axis `first` on."""
    return array.ndim, array.dtype.kind, array.shape[first:]
