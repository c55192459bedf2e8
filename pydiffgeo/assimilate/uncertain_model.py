"""A model, its record, and what of it is uncertain: what every method of assimilation is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..calibration.record import between, picked
from ..checks import is_number
from ..errors import InputError, MissingNameError, ShapeError, UnknownNameError
from ..model import Model
from ..observe import Observation
from ..solve import Settings, solve
from ..transforms import bounded
from .control import Control, Map, map_of


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, what is uncertain of it, and what was observed.

    Attributes:
        model: any. times: `(n + 1,)`. forcing: name -> `(n,)`, one for each interval.
        observations: of the whole record; those within a window are used in it.
        uncertain: state -> standard deviation at first, in its unit: the states that are estimated, all cells of each. The
            correlation of cells falls with their distance, over `correlation` (in units of the graph; zero for none).
        initial: state -> value at first, `()` or `(cells,)`; the defaults of the model where not given.
        bounds: state -> (low, high), where they are narrower than those of the model, such as residual and saturated water
            contents.
        parameters: name -> value, known. sought: parameter -> (value, standard deviation) at first: estimated along with
            the states, within its typical range.
        forcing_error: forcing -> relative standard deviation; each window has its own factor, log-normal with mean one.
        model_error: state -> standard deviation of what the model itself gets wrong in one unit of time, in its unit.
        settings: keywords of `solve`.

    Raises:
        InputError: (or a subclass) a name or a number does not fit; names it.
    """

    model: Model
    times: Numbers
    forcing: Mapping[str, Numbers]
    observations: Sequence[Observation]
    uncertain: Mapping[str, float]
    initial: Mapping[str, Numbers] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parameters: Mapping[str, Numbers] = field(default_factory=dict)
    sought: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    forcing_error: Mapping[str, float] = field(default_factory=dict)
    model_error: Mapping[str, float] = field(default_factory=dict)
    correlation: float = 0.0
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        known = {
            "uncertain": {s.name for s in self.model.states},
            "bounds": {*self.uncertain},
            "model_error": {*self.uncertain},
            "sought": {p.name for p in self.model.parameters},
            "forcing_error": {*self.forcing},
        }
        for what, names in known.items():
            given: Mapping[str, object] = getattr(self, what)
            for name, value in given.items():
                if name not in names:
                    raise UnknownNameError(f"{what}: there is no {name!r}; there are {sorted(names)}")
                sd = value[1] if isinstance(value, tuple) else value
                if what != "bounds" and (not is_number(sd) or sd <= 0):
                    raise InputError(f"{what}: the standard deviation of {name!r} must be positive, got {sd!r}")
        if not self.uncertain:
            raise InputError("name at least one uncertain state")
        if not self.observations:
            raise InputError("there is nothing to assimilate: give at least one observation")
        for one in self.observations:
            if one.values.ndim > 1 or one.error.ndim > 1:
                raise ShapeError(
                    f"{one.what}: one record has values and errors of shape (n,), not for each of many members"
                )
        for name, series in self.driven.items():
            if series.shape != (len(self.axis) - 1,):
                raise ShapeError(f"forcing {name!r} must have one value for each of {len(self.axis) - 1} intervals")

    @cached_property
    def axis(self) -> Array:
        """The times, `(n,)`; raises `ShapeError` where they do not rise."""
        axis = np.asarray(self.times, np.float64)
        if axis.ndim != 1 or len(axis) < 2 or not (np.diff(axis) > 0).all():
            raise ShapeError("times must be a rising series of two or more")
        return axis

    @cached_property
    def driven(self) -> dict[str, Tensor]:
        """Forcing -> its values as tensors, in double precision."""
        return {name: torch.as_tensor(np.asarray(v), dtype=torch.float64) for name, v in self.forcing.items()}

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """State -> value at first, `(1, cells)`."""
        found = {}
        for state in self.model.states:
            cells = self.model.state_cells(state.name)
            given = self.initial.get(state.name, state.default)
            if given is None:
                raise MissingNameError(f"initial: {state.name!r} has no default, and is not given")
            value = torch.as_tensor(np.asarray(given), dtype=torch.float64)
            if value.ndim and value.shape != (cells,):
                raise ShapeError(
                    f"initial {state.name!r} must have the shape () or ({cells},), got {tuple(value.shape)}"
                )
            found[state.name] = value.expand(cells).reshape(1, cells).clone()
        return found

    @cached_property
    def control(self) -> Control:
        """Uncertain states, then sought parameters."""
        maps: dict[str, Map] = {}
        sizes: dict[str, int] = {}
        for state in self.model.states:
            if state.name in self.uncertain:
                low, high = self.bounds.get(state.name, (state.low, state.high))
                # A store that begins empty has no size of its own to go by.
                size = float((self.start[state.name] - _or_zero(low)).abs().mean()) / 10
                scale = size if size > 1e-6 * self.uncertain[state.name] else self.uncertain[state.name]
                maps[state.name] = map_of(state.name, low, high, scale)
                sizes[state.name] = self.model.state_cells(state.name)
        for parameter in self.model.parameters:
            if parameter.name in self.sought:
                maps[parameter.name], sizes[parameter.name] = bounded(parameter), 1
        return Control(maps, sizes)

    @cached_property
    def log_sd(self) -> Tensor:
        """Standard deviation of the logarithms of the factors of forcings, `(forcings,)`."""
        spread = torch.tensor([*self.forcing_error.values()], dtype=torch.float64)
        return torch.log1p(spread**2).sqrt()

    @cached_property
    def background(self) -> tuple[Tensor, Tensor]:
        """Mean `(length,)` and covariance `(length, length)` of the vector at first."""
        values = {name: self.start[name] for name in self.uncertain}
        values |= {name: torch.tensor([[value]], dtype=torch.float64) for name, (value, _) in self.sought.items()}
        mean = self.control.vector(values)
        sd = [torch.full((size,), self._sd(name)) for name, size in self.control.sizes.items()]
        spread = torch.cat(sd).double() / self.control.slopes(mean)[0]
        return mean[0], torch.outer(spread, spread) * self.correlations

    def _sd(self, name: str) -> float:
        return self.uncertain[name] if name in self.uncertain else self.sought[name][1]

    @cached_property
    def correlations(self) -> Tensor:
        """Of the numbers of the vector: cells of one state, by an exponential of their distance."""
        blocks = []
        for name, size in self.control.sizes.items():
            block = torch.eye(size, dtype=torch.float64)
            at = self.places(name)
            if self.correlation > 0 and size > 1 and at is not None:
                block = torch.exp(-torch.cdist(at, at) / self.correlation)
            blocks.append(block)
        return torch.block_diag(*blocks)

    def places(self, name: str) -> Tensor | None:
        """Position of each cell of a state, `(size, axes)`; None of parameters, and where cells have no coordinates."""
        axes = [*self.model.graph.coordinates.values()]
        if name in self.sought or not axes or any(len(axis) != self.control.sizes[name] for axis in axes):
            return None
        return torch.as_tensor(np.stack(axes, -1), dtype=torch.float64)

    def window_observations(self, begin: float, end: float) -> list[Observation]:
        """What was observed after `begin` up to `end`, gaps left out."""
        found = []
        for one in between(self.observations, begin, end):
            # What was seen as one window ends is not seen again as the next begins.
            inside = (one.times.reshape(len(one.times), -1)[:, -1] > begin) & ~np.isnan(one.values.numpy())
            if inside.any():
                found.append(picked(one, inside))
        return found

    def run(
        self, z: Tensor, rest: Mapping[str, Tensor], logs: Tensor, window: slice, seen: Sequence[Observation]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
        """A window from vectors `(members, length)`, differentiable; members that fail hold NaN.

        Args:
            rest: states that are not estimated, `(members, cells)`. logs: of the factors of uncertain forcings, about those of a mean
                of one, `(members, forcings)`.
            window: intervals.

        Returns:
            Vectors at its end, what is simulated of `seen` `(members, observations)`, the rest at its end, and which
            members succeeded.
        """
        values, factors = self.control.values(z), torch.exp(logs - self.log_sd**2 / 2)
        forcing: dict[str, Tensor] = {name: series[window] for name, series in self.driven.items()}
        for i, name in enumerate(self.forcing_error):
            forcing[name] = forcing[name] * factors[:, i : i + 1]
        initial = {name: (values if name in values else rest)[name].expand(len(z), -1) for name in self.start}
        parameters = {**self.parameters, **{name: values[name] for name in self.sought}}
        axis = self.axis[window.start : window.stop + 1]
        settings: Settings = {**self.settings, "throw": False}
        sol = solve(self.model, parameters, forcing=forcing, times=axis, initial=initial, **settings)
        ends = {name: v.reshape(len(z), -1) for name, v in sol.end.items()}
        ok = sol.ok.reshape(-1)
        simulated = [o.simulated(sol).reshape(len(z), -1) for o in seen]
        after = self.control.vector(
            {n: _settled(ends[n], self.control.maps[n], ok) if n in ends else values[n] for n in self.control.sizes}
        )
        gone = {name: ends[name] for name in self.start if name not in self.control.sizes}
        return after, torch.cat(simulated, -1) if simulated else z.new_zeros(len(z), 0), gone, ok


def told_by(seen: Sequence[Observation]) -> tuple[Tensor, Tensor]:
    """Values and errors of all observations, each `(observations,)`."""
    values, errors = [one.values for one in seen], [one.error.expand(one.values.shape) for one in seen]
    empty = torch.zeros(0, dtype=torch.float64)
    return torch.cat([empty, *values]), torch.cat([empty, *errors])


def _settled(value: Tensor, within: Map, ok: Tensor) -> Tensor:
    """Ends of members that failed are set to what the map can take: they are not used."""
    inside = within.forward(torch.zeros((), dtype=value.dtype))
    return torch.where(ok[:, None], value, inside)


def _or_zero(low: float) -> float:
    return low if np.isfinite(low) else 0.0
