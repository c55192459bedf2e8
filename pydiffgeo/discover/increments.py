"""What happened between two observed states, less what a model forecasts from the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arrays import Numbers
from ..checks import is_number
from ..errors import InputError, ShapeError, SolverError
from ..model import Model
from ..solve import Settings, solve

# Part of a mismatch that a state is shifted by, to see what the model makes of it: small, so that stores stay stores.
SHIFT = 0.1
# A forecast `(samples, *places)` of states after a time.
Advance = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True, eq=False)
class Increments:
    """Missing tendencies, one for each pair of states.

    Attributes:
        values: `(samples, *places)`, in units of the state per time.
        middle: state half way, `(samples, *places)`: there the terms of a library hold to second order in the interval,
            at either end only to first.
        tendency: root mean square of what happened, per time. floor: of the part of `values` that noise in the states and
            errors of the steps make up.
        bent: size of what the model made of its mismatch within the interval, as a share of the increments; where it is
            not small the interval is too long.
        treatment: what was done about noise, in words. doubt: why they are not to be believed, in words; empty if they are.
    """

    values: Tensor
    middle: Tensor
    tendency: float
    floor: float
    bent: float
    treatment: str = "none"
    doubt: str = ""

    @property
    def size(self) -> float:
        """Root mean square of the increments."""
        return rms(self.values)


def increments(
    advance: Advance,
    before: Tensor,
    after: Tensor,
    dt: float,
    *,
    noise: float = 0.0,
    smooth: Callable[[Tensor], Tensor] | None = None,
    treatment: str | None = None,
) -> Increments:
    """Mismatch of one-interval forecasts, per time (Mojgani et al. 2022, equation 5), from full states.

    A forecast that lacks a term goes astray within the interval, and the model acts on that: a third forecast, from a state
    shifted by the mismatch, takes this away, so that increments hold at the middle to second order in the interval.
    The error of the forecasts' own steps is found by halving the interval, and belongs to the floor, as does noise.

    Args:
        advance: the model: states `(samples, *places)` after a time.
        before, after: what was observed or estimated, `(samples, *places)`, `dt` apart. dt: the interval.
        noise: standard deviation of the errors of the states, after `smooth`.
        smooth: a linear filter in space, which the increments go through; terms must go through the same: see `middle`.
        treatment: what was done about noise, in words.

    Raises:
        InputError: (or a subclass) shapes do not fit or numbers are not finite. SolverError: a forecast is not finite.
    """
    if before.shape != after.shape or before.dim() < 1 or not len(before):
        raise ShapeError(f"before and after must have one shape, got {tuple(before.shape)} and {tuple(after.shape)}")
    if not is_number(dt) or dt <= 0 or not is_number(noise) or noise < 0:
        raise InputError(f"dt must be positive and noise not negative, got {dt!r} and {noise!r}")
    if not (torch.isfinite(before).all() and torch.isfinite(after).all()):
        raise InputError("states must be finite; leave out pairs with gaps")
    with torch.no_grad():
        forecast, halves = advance(before, dt), advance(advance(before, dt / 2), dt / 2)
        miss = after - halves
        shifted = advance(before + SHIFT * miss, dt)
    if not all(torch.isfinite(state).all() for state in (forecast, halves, shifted)):
        raise SolverError("a forecast is not finite: the interval is too long for the model, or a state beyond it")
    values = second_order(miss, (shifted - forecast) / SHIFT) / dt
    filtered = smooth or _as_is
    bent = rms(filtered(miss / dt - values)) / max(rms(filtered(values)), 1e-300)
    middle = (after + before) / 2
    floor = (rms(filtered(forecast - halves)) ** 2 + 2 * noise**2) ** 0.5 / dt
    said = treatment or ("none" if smooth is None else "a filter in space, on increments and terms")
    return Increments(filtered(values), middle, rms(filtered((after - before) / dt)), floor, bent, said)


def model_increments(
    model: Model,
    parameters: Mapping[str, Numbers],
    states: Mapping[str, Tensor],
    times: Tensor,
    *,
    forcing: Mapping[str, Tensor] | None = None,
    noise: Mapping[str, float] | None = None,
    treatment: str | None = None,
    **settings: Unpack[Settings],
) -> dict[str, Increments]:
    """Mismatch of a model's forecasts over each interval of a record of its states, solved as one batch.

    Args:
        parameters: name -> value, or one for each cell `(1, cells)`.
        states: name -> `(times, cells)`, observed or estimated; NaN at gaps, whose intervals are left out.
        times: `(times,)`, with equal intervals. forcing: name -> `(times - 1,)`, of each interval.
        noise: name -> standard deviation of the errors of the states.
        treatment: what gave the states and was done about their noise, in words.
        settings: keywords of `solve`.

    Returns:
        name -> increments, `(intervals, cells)`, in the unit of the state per unit of time.

    Raises:
        InputError: (or a subclass) shapes do not fit. SolverError: a forecast failed.
    """
    dt = float(times[1] - times[0])
    if not torch.allclose(times.diff(), torch.tensor(dt, dtype=times.dtype), rtol=1e-9):
        raise InputError("times must have equal intervals")
    given = {name: value.to(torch.float64).reshape(len(times), -1) for name, value in states.items()}
    whole = torch.stack([torch.isfinite(v).all(1) for v in given.values()]).all(0)
    used = whole[:-1] & whole[1:]
    if not used.any():
        raise InputError("no interval has states at both of its ends")
    driven = {name: series.to(torch.float64)[used, None] for name, series in (forcing or {}).items()}
    start = {name: value[:-1][used] for name, value in given.items()}
    end = {name: value[1:][used] for name, value in given.items()}
    settings = {"rtol": 1e-8, **settings}

    def forecast(begin: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            sol = solve(model, parameters, forcing=driven, times=[0.0, dt], initial=begin, **settings)
        return {name: sol.states[name][:, -1].reshape(begin[name].shape) for name in begin}

    first = forecast(start)
    miss = {name: end[name] - first[name] for name in given}
    lows = {state.name: state.low for state in model.states}
    # A state shifted to below its bound is shifted the other way.
    shift = {n: torch.where(start[n] + SHIFT * m > lows.get(n, -torch.inf), SHIFT, -SHIFT) for n, m in miss.items()}
    moved = {n: (start[n] + shift[n] * m).clamp(min=lows.get(n, -torch.inf)) for n, m in miss.items()}
    second = forecast(moved)
    found = {}
    for name, m in miss.items():
        values = second_order(m, (second[name] - first[name]) / shift[name]) / dt
        error = (noise or {}).get(name, 0.0)
        # The solver's own error is that of its tolerance.
        floor = (2 * error**2 + (settings["rtol"] * rms(end[name])) ** 2) ** 0.5 / dt
        middle, tendency = (start[name] + end[name]) / 2, rms((end[name] - start[name]) / dt)
        bent = rms(m / dt - values) / max(rms(values), 1e-300)
        found[name] = Increments(values, middle, tendency, floor, bent, treatment or "none")
    return found


def second_order(miss: Tensor, carried: Tensor) -> Tensor:
    """A mismatch without what the model made of it on its way, where `carried` is what it makes in a whole interval.

    The mismatch grows evenly from nothing, so that half of the change is in it: `miss - (carried - miss) / 2`.
    """
    return 1.5 * miss - 0.5 * carried


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _as_is(values: Tensor) -> Tensor:
    return values
