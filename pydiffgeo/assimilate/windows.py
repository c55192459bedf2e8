"""Cycling: window after window, each from what the last one left, with a file that a stopped run goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_whole
from ..errors import InputError, SolverError
from ..fingerprint import digest
from ..observe import SAME, Observation
from .assimilation import Assimilation
from .cycle_file import CycleFile
from .ensemble import gaspari_cohn, relaxed, stochastic_update, transform_update
from .methods import Ensemble, Method, Variational
from .uncertain_model import Problem, told_by
from .variational import fit_window


@dataclass(frozen=True, eq=False)
class State:
    """Where an assimilation stands: what the next window begins with, and what is known of those before."""

    cycle: int
    ensemble: Tensor  # (members, length), or the mean (1, length)
    covariance: Tensor  # of 4D-Var; empty of an ensemble
    rest: Mapping[str, Tensor]
    solves: int = 0
    kept: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)


def assimilate(
    problem: Problem,
    method: Method,
    *,
    window: int,
    checkpoint: str | Path | None = None,
    cycles: int | None = None,
) -> Assimilation:
    """Estimates states, and what else is uncertain, from the observations of one window after the other.

    A window that cannot be solved, or with too few members left, is named in the result; the next one begins from its
    forecast, or from where it began.

    Args:
        window: intervals in a window; what is left at the end of the record is left out.
        checkpoint: a file (SQLite) that each window adds to, and that a run which was stopped goes on from.
        cycles: windows at most; all if None.

    Raises:
        InputError: the record is shorter than a window, or a flux was observed over parts of two windows.
        DataError: the checkpoint cannot be written or read, or belongs to another question.
    """
    check_whole(1, window=window)
    count = (len(problem.axis) - 1) // window
    count = count if cycles is None else min(cycles, count)
    if count < 1:
        raise InputError(f"the record has {len(problem.axis) - 1} intervals, fewer than a window of {window}")
    _check_within(problem.observations, problem.axis[::window])
    identity = _identity(problem, method, window)
    file = None if checkpoint is None else CycleFile(Path(checkpoint), identity)
    stored = None if file is None else _load(file)
    state = _begin(problem, method) if stored is None else stored
    while state.cycle < count:
        begin = state.cycle * window
        state = _cycled(problem, method, state, slice(begin, begin + window))
        if file is not None:
            _save(file, state)
    return _result(problem, state, problem.axis[window : count * window + 1 : window])


def _check_within(observations: Sequence[Observation], edges: Array) -> None:
    """A flux over parts of two windows would be told by neither of them."""
    slack = SAME * float(edges[-1] - edges[0])
    for one in observations:
        if one.kind == "value":
            continue
        begins, ends = one.times[:, 0], one.times[:, 1]
        edge = edges[np.minimum(np.searchsorted(edges, begins + slack, side="right"), len(edges) - 1)]
        across = (edge > begins + slack) & (edge < ends - slack)
        if across.any():
            begin, end = one.times[across][0]
            raise InputError(
                f"{one.what} was observed from {begin:g} to {end:g}, across the end of a window at {edge[across][0]:g} "
                f"({int(across.sum())} of {len(across)} are): choose windows that hold whole observations"
            )


def _begin(problem: Problem, method: Method) -> State:
    mean, covariance = problem.background
    rest = {n: v for n, v in problem.start.items() if n not in problem.control.sizes}
    if isinstance(method, Variational):
        return State(0, mean[None], covariance, rest)
    random = torch.Generator().manual_seed(method.seed)
    drawn = torch.randn(method.members, len(mean), generator=random, dtype=torch.float64)
    drawn = drawn - drawn.mean(0)
    ensemble = mean + drawn @ torch.linalg.cholesky(covariance).T
    return State(0, ensemble, torch.empty(0), {n: v.expand(method.members, -1) for n, v in rest.items()})


def _cycled(problem: Problem, method: Method, state: State, window: slice) -> State:
    """The state after the next window."""
    begin, end = problem.axis[window.start], problem.axis[window.stop]
    seen = problem.window_observations(begin, end)
    try:
        if isinstance(method, Variational):
            return _variational(problem, method, state, window, seen)
        return _ensemble(problem, method, state, window, seen)
    except SolverError as error:
        mean, sd = _moments(problem, state.ensemble, state.covariance)
        kept = {"forecast": mean, "forecast_sd": sd, "analysis": mean, "analysis_sd": sd}
        # Those that the window began with: the members of the other windows are not to be lost.
        kept |= {"members": _members(problem, state.ensemble)}
        empty = torch.zeros(0, dtype=torch.float64)
        kept |= {"innovations": empty, "innovation_sd": empty, "ranks": empty}
        return _next(state, kept, failures={**state.failures, state.cycle: str(error).split("\n")[0]})


def _variational(
    problem: Problem, method: Variational, state: State, window: slice, seen: Sequence[Observation]
) -> State:
    found = fit_window(problem, method, state.ensemble[0], state.covariance, state.rest, window, seen)
    noise = _model_error(problem, window, found.end[None])
    covariance = found.covariance + torch.diag(noise[0] ** 2)
    mean, sd = _moments(problem, found.end[None], found.covariance)
    before, before_sd = _moments(problem, found.forecast_end[None], found.forecast_covariance)
    observed, _ = told_by(seen)
    kept = {"forecast": before, "forecast_sd": before_sd, "analysis": mean, "analysis_sd": sd}
    kept |= {"members": _members(problem, found.end[None]), "ranks": observed[:0]}
    kept |= {"innovations": observed - found.forecast, "innovation_sd": found.innovation_variance.sqrt()}
    return _next(
        state,
        kept,
        ensemble=found.end[None],
        covariance=covariance,
        rest=found.rest,
        solves=state.solves + found.solves,
    )


def _ensemble(problem: Problem, method: Ensemble, state: State, window: slice, seen: Sequence[Observation]) -> State:
    random = torch.Generator().manual_seed((method.seed + 1) * 1_000_003 + state.cycle)
    mean, m = state.ensemble.mean(0), method.members
    start = mean + (state.ensemble - mean) * method.inflation
    logs = torch.randn(m, len(problem.log_sd), generator=random, dtype=torch.float64) * problem.log_sd
    logs = logs - logs.mean(0)

    def run(z: Tensor, logs: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            end, simulated, rest, ok = problem.run(z, state.rest, logs, window, seen)
        if ok.sum() < max(3, m // 2):
            raise SolverError(f"only {int(ok.sum())} of {m} members could be solved")
        # Those that failed begin anew as copies of others.
        good = ok.nonzero()[:, 0]
        taken = torch.where(ok, torch.arange(m), good[torch.arange(m) % len(good)])
        return end[taken], simulated[taken], {n: v[taken] for n, v in rest.items()}

    end, simulated, rest = run(start, logs)
    noise = _model_error(problem, window, end)
    end = end + noise * torch.randn(end.shape, generator=random, dtype=torch.float64)
    before, before_sd = _moments(problem, end, state.covariance)
    analysis = end
    empty = torch.zeros(0, dtype=torch.float64)
    kept = {"forecast": before, "forecast_sd": before_sd, "innovations": empty, "innovation_sd": empty, "ranks": empty}
    if seen:
        observed, error = told_by(seen)
        weights = _localisation(problem, method, seen)
        moved = torch.cat([start, logs], -1) if method.smoother else end
        if weights is not None and method.smoother:
            weights = torch.cat([weights, weights.new_ones(logs.shape[1], weights.shape[1])])
        if method.update == "stochastic":
            updated = stochastic_update(moved, simulated, observed, error, weights=weights, random=random)
        else:
            updated = transform_update(moved, simulated, observed, error, weights=weights)
        updated = relaxed(updated, moved, method.relaxation) if method.relaxation else updated
        if method.smoother:
            analysis, _, rest = run(updated[:, : start.shape[1]], updated[:, start.shape[1] :])
            analysis = analysis + noise * torch.randn(end.shape, generator=random, dtype=torch.float64)
        else:
            analysis = updated
        drawn = simulated + error * torch.randn(simulated.shape, generator=random, dtype=torch.float64)
        kept["innovations"] = observed - simulated.mean(0)
        kept["innovation_sd"] = (simulated.var(0) * (m + 1) / m + error**2).sqrt()
        kept["ranks"] = (drawn < observed).double().mean(0)
    after, after_sd = _moments(problem, analysis, state.covariance)
    kept |= {"analysis": after, "analysis_sd": after_sd, "members": _members(problem, analysis)}
    return _next(
        state, kept, ensemble=analysis, rest=rest, solves=state.solves + m * (1 + (bool(seen) and method.smoother))
    )


def _model_error(problem: Problem, window: slice, z: Tensor) -> Tensor:
    """Standard deviations of what the model gets wrong in a window, in units of the vector, `(members, length)`."""
    took = float(problem.axis[window.stop] - problem.axis[window.start]) ** 0.5
    sd = [torch.full((size,), problem.model_error.get(n, 0.0)) for n, size in problem.control.sizes.items()]
    return took * torch.cat(sd).double() / problem.control.slopes(z).clamp(min=1e-9)


def _members(problem: Problem, z: Tensor) -> Tensor:
    """Values of the members of an ensemble, `(members, length)`; none of a mean, `(0, length)`."""
    return torch.cat([*problem.control.values(z).values()], -1)[: len(z) if len(z) > 1 else 0]


def _moments(problem: Problem, z: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the values: of the members, or of a linear map at the mean."""
    values = torch.cat([*problem.control.values(z).values()], -1)
    if len(z) > 1:
        return values.mean(0), values.std(0)
    return values[0], problem.control.slopes(z)[0] * covariance.diagonal().clamp(min=0).sqrt()


def _localisation(problem: Problem, method: Ensemble, seen: Sequence[Observation]) -> Tensor | None:
    """Weights `(length, observations)`; observations without a place, and parameters, have a weight of one."""
    if method.localisation is None:
        return None
    rows = []
    for name, size in problem.control.sizes.items():
        at, columns = problem.places(name), []
        for o in seen:
            weight = torch.ones(size, dtype=torch.float64)
            if at is not None and o.cell is not None:
                weight = gaspari_cohn((at - at[o.cell]).norm(dim=1), method.localisation)
            elif at is not None and o.depth is not None:
                weight = gaspari_cohn(at[:, 0] - float(np.mean(o.depth)), method.localisation)
            columns.append(weight[:, None].expand(-1, len(o.values)))
        rows.append(torch.cat(columns, 1))
    return torch.cat(rows)


def _next(state: State, kept: Mapping[str, Tensor], **changes: object) -> State:
    every = {name: (*state.kept.get(name, ()), value) for name, value in kept.items()}
    return replace(state, cycle=state.cycle + 1, kept=every, **changes)  # type: ignore[arg-type]


def _result(problem: Problem, state: State, times: np.ndarray) -> Assimilation:
    # A file may hold more windows than are asked for.
    kept = {name: each[: len(times)] for name, each in state.kept.items()}
    whole = {n: torch.stack(kept[n]) for n in ("forecast", "forecast_sd", "analysis", "analysis_sd")}
    return Assimilation(
        tuple(problem.control.names()),
        torch.from_numpy(times),
        **whole,
        members=torch.stack(kept["members"]),
        innovations=kept["innovations"],
        innovation_sd=kept["innovation_sd"],
        ranks=kept["ranks"],
        failures={cycle: why for cycle, why in state.failures.items() if cycle < len(times)},
        solves=state.solves,
    )


def _identity(problem: Problem, method: Method, window: int) -> str:
    parts = [problem.model, problem.axis, problem.driven, problem.start, problem.parameters, dict(problem.sought)]
    parts += [dict(problem.uncertain), dict(problem.forcing_error), dict(problem.model_error), problem.correlation]
    parts += [[(o.name, o.kind, o.times, o.values, o.error, o.depth, o.cell) for o in problem.observations]]
    return digest(*parts, dict(problem.settings), type(method).__name__, asdict(method), window)


def _save(file: CycleFile, state: State) -> None:
    latest = {"ensemble": state.ensemble, "covariance": state.covariance}
    latest |= {f"rest/{n}": v for n, v in state.rest.items()}
    last, kept = state.cycle - 1, {name: each[-1] for name, each in state.kept.items()}
    file.add(last, kept, state.failures.get(last), latest, state.solves)


def _load(file: CycleFile) -> State | None:
    found = file.read()
    if found is None:
        return None
    latest, rows = found.latest, found.kept
    rest = {n.removeprefix("rest/"): v for n, v in latest.items() if n.startswith("rest/")}
    kept = {name: tuple(row[name] for row in rows) for name in rows[0]}
    return State(len(rows), latest["ensemble"], latest["covariance"], rest, found.solves, kept, found.failures)
